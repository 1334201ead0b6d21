"""What messages come to mean, how often agents are influential, and whether being influenced pays.

Source: Jaques et al. 2019, section 4.1 and table of communication, Cleanup.
"""

from __future__ import annotations

import math

import numpy as np

from rookery.errors import ConfigError
from rookery.runs.build import build
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
    "speaker consistency, by chance",
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
        program = build(session.config(arm.agents.training))
        symbols = program.team.learning[0].policy.symbols
        for _, told in traces(session, arm.agents, EPISODES[session.budget]):
            rows.append(communication(told, symbols, program.env.actions))
            moved = told.influence.sum(2).mean((0, 1))  # [A], nats a step
            found["influenced"].setdefault(arm.label, []).append(moved.round(6).tolist())
            found["earned"].setdefault(arm.label, []).append(told.reward.sum(0).mean(0).round(4).tolist())
        found["table"][arm.label] = {name: [row[name] for row in rows] for name in TABLE}
    return found


def communication(told: Trace, symbols: int, actions: int) -> dict[str, float]:
    """One team's row of the table. Concepts are what the speaker itself does.

    Args:
      symbols, actions: how many there are, used or not.
    """
    assert told.message is not None, "only agents that speak have a table of communication"
    # Episode after episode: the last step of one is no neighbour of the next one's first.
    says, does = (np.asarray(x).swapaxes(0, 1) for x in (told.message, told.action))
    moving = np.asarray(told.influence).sum(3).swapaxes(0, 1)  # by each agent, [E, T, A]
    often = moving >= moving.mean((0, 1))

    def each(measure, messages=says):
        return float(np.mean([measure(messages[..., k].ravel(), does[..., k].ravel()) for k in range(does.shape[-1])]))

    def consistency(m, a):
        return social.speaker_consistency(m, a, symbols, actions)

    return {
        "speaker consistency": each(consistency),
        "speaker consistency, by chance": each(consistency, np.roll(says, 1, 0)),
        "context independence": each(social.context_independence),
        "coordination by messages": social.coordination(says, does),
        "coordination by messages, influential steps": social.coordination(says, does, often),
        "coordination by actions": social.coordination(does, does),
        "coordination by actions, influential steps": social.coordination(does, does, often),
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
        "From every coordination is taken what the same measure gives with actions of other episodes, which the paper "
        "does not do: of few steps it would be above 0 by chance. By chance in the table: with messages of other "
        "episodes.",
        "The paper's correlation is over 100 conditions; here it is over agents and seeds of one. Its interval is "
        "Fisher's and takes agents of a team as independent.",
    ),
    measure=_table,
    steps_per_second=recipe.STEPS_PER_SECOND,
)  # fmt: skip
