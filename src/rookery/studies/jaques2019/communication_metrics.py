"""What messages come to mean, how often agents are influential, and whether being influenced pays.

Source: Jaques et al. 2019, section 4.1 and table of communication, Cleanup.
"""

from __future__ import annotations

import math

import numpy as np

from rookery.errors import ConfigError
from rookery.studies import figures, social_metrics, statistics
from rookery.studies.claims import judge_interval, withhold_if_few_seeds
from rookery.studies.jaques2019 import influence_budgets, messages
from rookery.studies.jaques2019.influence_runs import NOTES
from rookery.studies.results import Results
from rookery.studies.rollout_traces import RolloutTrace, rollout_traces
from rookery.studies.session import Session
from rookery.studies.study import FAILS, HOLDS, UNDECIDED, Claim, Study, Verdict
from rookery.training.build import build
from rookery.viz.plots import interval_dots

_NUM_EPISODES = {"smoke": 2, "desk": 50, "paper": 50}
_INFLUENCE, _NO_INFLUENCE, _ = messages.STUDY.conditions
_MEASURES = (
    "speaker consistency",
    "speaker consistency, by chance",
    "context independence",
    "coordination by messages",
    "coordination by messages, influential steps",
    "coordination by actions",
    "coordination by actions, influential steps",
    "fraction of steps above the mean",
)
_RARE_FRACTION = 0.1
"""The published share of steps with influence above its mean is below this."""


def _measure_communication(session: Session) -> dict:
    """{arm: {measure: one number a seed}}, and for each arm what agents earn and how far they are moved."""
    found: dict = {"table": {}, "influence_received": {}, "returns": {}}
    for arm in (_INFLUENCE, _NO_INFLUENCE):
        rows = []
        program = build(session.run_config(arm.agents.run))
        symbols = program.team.learning_groups[0].policy.vocab_size
        for _, told in rollout_traces(session, arm.agents, _NUM_EPISODES[session.budget]):
            rows.append(communication_measures(told, symbols, program.env.num_actions))
            moved = told.influence.sum(2).mean((0, 1))  # [A], nats a step
            found["influence_received"].setdefault(arm.label, []).append(moved.round(6).tolist())
            found["returns"].setdefault(arm.label, []).append(told.reward.sum(0).mean(0).round(4).tolist())
        found["table"][arm.label] = {name: [row[name] for row in rows] for name in _MEASURES}
    return found


def communication_measures(trace: RolloutTrace, vocab_size: int, num_actions: int) -> dict[str, float]:
    """One team's row of the table. Concepts are what the speaker itself does.

    Args:
      symbols, actions: how many there are, used or not.
    """
    assert trace.message is not None, "only agents that speak have a table of communication"
    # Episode after episode: the last step of one is no neighbor of the next one's first.
    says, does = (np.asarray(x).swapaxes(0, 1) for x in (trace.message, trace.action))
    moving = np.asarray(trace.influence).sum(3).swapaxes(0, 1)  # by each agent, [E, T, A]
    often = moving >= moving.mean((0, 1))

    def each(measure, messages=says):
        return float(np.mean([measure(messages[..., k].ravel(), does[..., k].ravel()) for k in range(does.shape[-1])]))

    def consistency(m, a):
        return social_metrics.speaker_consistency(m, a, vocab_size, num_actions)

    return {
        "speaker consistency": each(consistency),
        "speaker consistency, by chance": each(consistency, np.roll(says, 1, 0)),
        "context independence": each(social_metrics.context_independence),
        "coordination by messages": social_metrics.instantaneous_coordination(says, does),
        "coordination by messages, influential steps": social_metrics.instantaneous_coordination(says, does, often),
        "coordination by actions": social_metrics.instantaneous_coordination(does, does),
        "coordination by actions, influential steps": social_metrics.instantaneous_coordination(does, does, often),
        "fraction of steps above the mean": social_metrics.fraction_above_mean(moving),
    }


def _claim_larger(text: str, name: str, against: str | None = None) -> Claim:
    """The measure is larger with influence than without; given `against`, than another measure of the same teams."""

    def judge(results: Results) -> Verdict:
        table = results.data["extra_measurements"]["table"]
        ours = np.array(table[_INFLUENCE.label][name])
        if against is None:
            found = statistics.difference_of_means(ours, np.array(table[_NO_INFLUENCE.label][name]))
            words = f"{name} of {_INFLUENCE.label} less of {_NO_INFLUENCE.label}; claimed > 0"
        else:
            found = statistics.mean_over_seeds(ours - np.array(table[_INFLUENCE.label][against]))
            words = f"{name} less {against}, of {_INFLUENCE.label}; claimed > 0"
        found = withhold_if_few_seeds(found, len(ours))
        return Verdict(judge_interval(found, above=0.0), words, found)

    return Claim(text=text, judge=judge)


def _judge_rare(results: Results) -> Verdict:
    values = np.array(results.data["extra_measurements"]["table"][_INFLUENCE.label][_MEASURES[-1]])
    found = withhold_if_few_seeds(statistics.mean_over_seeds(values), len(values))
    words = f"{_MEASURES[-1]} of {_INFLUENCE.label}, mean over seeds; claimed < {_RARE_FRACTION:g}"
    return Verdict(judge_interval(found, below=_RARE_FRACTION), words, found)


def _judge_influence_pays(results: Results) -> Verdict:
    """Correlation over agents and seeds, with Fisher's interval."""
    told = results.data["extra_measurements"]
    moved, earned = (np.array(told[name][_INFLUENCE.label]).ravel() for name in ("influence_received", "returns"))
    words = f"correlation of being influenced with own reward, {len(moved)} agents of {_INFLUENCE.label}; claimed > 0"
    try:
        rho, p = social_metrics.influence_reward_correlation(moved, earned)
    except ConfigError:  # all earned the same, or nobody was moved
        return Verdict(UNDECIDED, words, statistics.Interval(*[math.nan] * 3), "there is none where nothing varies")
    if len(moved) < 4:
        return Verdict(UNDECIDED, words, statistics.Interval(rho, math.nan, math.nan), f"p = {p:.3g}")
    half = 1.959964 / math.sqrt(len(moved) - 3)
    z = math.atanh(np.clip(rho, -0.999999, 0.999999))
    found = statistics.Interval(rho, math.tanh(z - half), math.tanh(z + half))
    said = HOLDS if found.low > 0 else FAILS if found.high < 0 else UNDECIDED
    return Verdict(said, words, found, f"p = {p:.3g}; published: 0.67")


def _figures(results: Results) -> figures.Figures:
    table = results.data["extra_measurements"]["table"]
    rows = {f"{name}: {arm}": table[arm][name] for name in _MEASURES for arm in table}
    dots = interval_dots(rows, xlabel="0 to 1; coordination in nats")
    text = "What messages come to mean, with and without influence. Dots: seeds."
    return [("figure", dots, text), *figures.team_figures(results)]


STUDY = Study(
    name="jaques2019/communication-metrics",
    title="What messages mean, and whether being influenced pays",
    source="Jaques et al. 2019, section 4.1 and its table of communication",
    compares="the messages of agents paid for influence with those of agents that are not: consistency, context "
    "independence, coordination, rare influence, and what it earns to be influenced",
    conditions=(_INFLUENCE, _NO_INFLUENCE),
    eval_conditions=messages.STUDY.eval_conditions,
    claims=(
        _claim_larger("Influence makes speakers consistent.", "speaker consistency"),
        _claim_larger("Influence gives each concept a symbol of its own.", "context independence"),
        _claim_larger("Influence makes messages coordinate.", "coordination by messages"),
        _claim_larger("Messages coordinate more on the steps on which they are influential.",
                  "coordination by messages, influential steps", "coordination by messages"),
        Claim(text="Influence is rare: few steps are above its mean.", judge=_judge_rare),
        Claim(text="Who is influenced more earns more.", judge=_judge_influence_pays),
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
    measure_extra=_measure_communication,
    steps_per_second=influence_budgets.DILEMMA_STEPS_PER_SECOND,
)  # fmt: skip
