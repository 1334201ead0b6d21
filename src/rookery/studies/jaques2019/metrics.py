"""What messages come to mean, how often agents are influential, and whether being influenced pays.

Source: Jaques et al. 2019, section 4.1 and table of communication, Cleanup.
"""

from __future__ import annotations

import math

import numpy as np

from rookery.errors import ConfigError
from rookery.show.plots import interval_dots
from rookery.studies import figures, social, statistics
from rookery.studies.claims import enough, verdict
from rookery.studies.jaques2019 import messages, recipe
from rookery.studies.jaques2019.programs import NOTES
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import FAILS, HOLDS, UNDECIDED, Claim, Judgement, Study
from rookery.studies.traces import Trace, traces

EPISODES = {"smoke": 2, "desk": 50, "paper": 50}
PAID, UNPAID, _ = messages.STUDY.arms
TABLE = (
    "speaker consistency",
    "context independence",
    "coordination by messages",
    "coordination by messages, influential steps",
    "coordination by actions",
    "coordination by actions, influential steps",
    "share of steps above the mean",
)
RARE = 0.1
"""The published share of steps with influence above its mean is below this."""


def _table(session: Session) -> dict:
    """{arm: {measure: one number a seed}}, and for each arm what agents earn and how far they are moved."""
    found: dict = {"table": {}, "influenced": {}, "earned": {}}
    for arm in (PAID, UNPAID):
        rows = []
        for _, told in traces(session, arm.agents, EPISODES[session.budget]):
            rows.append(communication(told))
            moved = told.influence.sum(2).mean((0, 1))  # [A], nats a step
            found["influenced"].setdefault(arm.label, []).append(moved.round(6).tolist())
            found["earned"].setdefault(arm.label, []).append(told.reward.sum(0).mean(0).round(4).tolist())
        found["table"][arm.label] = {name: [row[name] for row in rows] for name in TABLE}
    return found


def communication(told: Trace) -> dict[str, float]:
    """One team's row of the table. Concepts are what the speaker itself does."""
    assert told.message is not None, "only agents that speak have a table of communication"
    message, action = np.asarray(told.message), np.asarray(told.action)
    moving = np.asarray(told.influence).sum(3)  # by each agent, [T, E, A]
    often = moving >= moving.mean((0, 1))
    speakers = range(action.shape[-1])
    symbols, actions = int(message.max()) + 1, int(action.max()) + 1
    # Pairs of a step and the next, episode after episode: the last of one is no neighbour of the next one's first.
    flat = {name: x.swapaxes(0, 1) for name, x in (("says", message), ("does", action), ("when", often))}

    def coordination(signal, when=None):
        """The largest over ordered pairs of I(signal of k at t; action of j at t+1)."""
        return max(
            social.mutual_information(signal[:, :-1, k][keep], flat["does"][:, 1:, j][keep])
            for k in speakers for j in speakers if k != j
            for keep in [np.ones_like(often.swapaxes(0, 1)[:, :-1, k]) if when is None else when[:, :-1, k]]
        )  # fmt: skip

    def each(measure):
        return float(np.mean([measure(message[..., k].ravel(), action[..., k].ravel()) for k in speakers]))

    return {
        "speaker consistency": each(lambda m, a: social.speaker_consistency(m, a, max(symbols, 2), max(actions, 2))),
        "context independence": each(social.context_independence),
        "coordination by messages": coordination(flat["says"]),
        "coordination by messages, influential steps": coordination(flat["says"], flat["when"]),
        "coordination by actions": coordination(flat["does"]),
        "coordination by actions, influential steps": coordination(flat["does"], flat["when"]),
        "share of steps above the mean": social.share_above_mean(moving),
    }


def _compared(text: str, name: str, against: str | None = None) -> Claim:
    """The measure is larger with influence than without; given `against`, than another measure of the same teams."""

    def judge(results: Results) -> Judgement:
        table = results.data["measured"]["table"]
        ours = np.array(table[PAID.label][name])
        if against is None:
            found = statistics.difference(ours, np.array(table[UNPAID.label][name]))
            words = f"{name} of {PAID.label} less of {UNPAID.label}; claimed > 0"
        else:
            found = statistics.mean_over_seeds(ours - np.array(table[PAID.label][against]))
            words = f"{name} less {against}, of {PAID.label}; claimed > 0"
        found = enough(found, len(ours))
        return Judgement(verdict(found, above=0.0), words, found)

    return Claim(text=text, judge=judge)


def _rare(results: Results) -> Judgement:
    values = np.array(results.data["measured"]["table"][PAID.label][TABLE[-1]])
    found = enough(statistics.mean_over_seeds(values), len(values))
    words = f"{TABLE[-1]} of {PAID.label}, mean over seeds; claimed < {RARE:g}"
    return Judgement(verdict(found, below=RARE), words, found)


def _pays(results: Results) -> Judgement:
    """Correlation over agents and seeds, with Fisher's interval."""
    told = results.data["measured"]
    moved, earned = (np.array(told[name][PAID.label]).ravel() for name in ("influenced", "earned"))
    words = f"correlation of being influenced with own reward, {len(moved)} agents of {PAID.label}; claimed > 0"
    try:
        rho, p = social.influenced_pays(moved, earned)
    except ConfigError:  # all earned the same, or nobody was moved
        return Judgement(UNDECIDED, words, statistics.Interval(*[math.nan] * 3), "there is none where nothing varies")
    if len(moved) < 4:
        return Judgement(UNDECIDED, words, statistics.Interval(rho, math.nan, math.nan), f"p = {p:.3g}")
    half = 1.959964 / math.sqrt(len(moved) - 3)
    z = math.atanh(np.clip(rho, -0.999999, 0.999999))
    found = statistics.Interval(rho, math.tanh(z - half), math.tanh(z + half))
    said = HOLDS if found.low > 0 else FAILS if found.high < 0 else UNDECIDED
    return Judgement(said, words, found, f"p = {p:.3g}; published: 0.67")


def _figures(results: Results) -> figures.Figures:
    table = results.data["measured"]["table"]
    rows = {f"{name}: {arm}": table[arm][name] for name in TABLE for arm in table}
    dots = interval_dots(rows, xlabel="0 to 1; coordination in nats")
    text = "What messages come to mean, with and without influence. Dots: seeds."
    return [("figure", dots, text), *figures.society(results)]


STUDY = Study(
    name="jaques2019/metrics",
    title="What messages mean, and whether being influenced pays",
    source="Jaques et al. 2019, section 4.1 and its table of communication",
    compares="the messages of agents paid for influence with those of agents that are not: consistency, context "
    "independence, coordination, rare influence, and what it earns to be influenced",
    arms=(PAID, UNPAID),
    scenes=messages.STUDY.scenes,
    claims=(
        _compared("Influence makes speakers consistent.", "speaker consistency"),
        _compared("Influence gives each concept a symbol of its own.", "context independence"),
        _compared("Influence makes messages coordinate.", "coordination by messages"),
        _compared("Messages coordinate more on the steps on which they are influential.",
                  "coordination by messages, influential steps", "coordination by messages"),
        Claim(text="Influence is rare: few steps are above its mean.", judge=_rare),
        Claim(text="Who is influenced more earns more.", judge=_pays),
    ),
    figures=_figures,
    notes=(
        *NOTES,
        "Concepts of context independence are what the speaker itself does in the same step.",
        "The paper's correlation is over 100 conditions; here it is over agents and seeds of one. Its interval is "
        "Fisher's and takes agents of a team as independent.",
    ),
    measure=_table,
    steps_per_second=recipe.STEPS_PER_SECOND,
)  # fmt: skip
