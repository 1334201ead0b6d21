"""What messages come to mean, how often agents are influential, and whether being influenced pays.

Source: Jaques et al. 2019, Cleanup: the measures of communication, and the correlation of influence with reward.
"""

from __future__ import annotations

import math

import numpy as np

from rookery import significance
from rookery.intervals import Interval
from rookery.studies import figures, social_metrics
from rookery.studies.agent_sources import TrainedTeam
from rookery.studies.claims import changed, judge_difference, judge_interval, judge_mean, judge_test
from rookery.studies.jaques2019 import influence_budgets, messages
from rookery.studies.jaques2019.influence_runs import NOTES, influence_check
from rookery.studies.results import Results
from rookery.studies.rollout_traces import RolloutTrace, rollout_traces
from rookery.studies.session import Session
from rookery.studies.study import UNDECIDED, Claim, Figures, Study, Verdict
from rookery.training.build import build
from rookery.viz.plots import interval_dots

_NUM_EPISODES = {"smoke": 2, "desk": 50, "paper": 50}
_INFLUENCE, _NO_INFLUENCE = messages.STUDY.conditions[:2]
_INFLUENCE_IS_FELT = influence_check("messages", _INFLUENCE.label, "cleanup")
_FRACTION_ABOVE_MEAN = "fraction of steps above the mean"
_MEASURES = (
    "speaker consistency",
    "speaker consistency, by chance",
    "context independence",
    "coordination by messages",
    "coordination by messages, influential steps",
    "coordination by actions",
    "coordination by actions, influential steps",
    _FRACTION_ABOVE_MEAN,
)
_RARE_FRACTION = 0.1
"""The published fraction of steps with influence above its mean is below this."""
_PUBLISHED_CORRELATION = 0.67


def _measure_communication(session: Session) -> dict:
    """'table': {condition: {measure: one number per seed}}; and by condition, seed and agent, the influence received
    (nats per step) and the return."""
    measured: dict = {"table": {}, "influence_received": {}, "returns": {}}
    for condition in (_INFLUENCE, _NO_INFLUENCE):
        team, label = condition.agents, condition.label
        assert isinstance(team, TrainedTeam), "the conditions of the messages study are trained teams"
        run = build(session.run_config(team.run))
        vocab_size = run.team.learning_groups[0].policy.vocab_size
        rows, received, returns = [], [], []
        for _, trace in rollout_traces(session, team, _NUM_EPISODES[session.budget]):
            rows.append(communication_measures(trace, vocab_size, run.env.num_actions))
            received.append(trace.influence.sum(2).mean((0, 1)).round(6).tolist())
            returns.append(trace.reward.sum(0).mean(0).round(4).tolist())
        measured["influence_received"][label], measured["returns"][label] = received, returns
        measured["table"][label] = {name: [row[name] for row in rows] for name in _MEASURES}
    return measured


def communication_measures(trace: RolloutTrace, vocab_size: int, num_actions: int) -> dict[str, float]:
    """One team's row of the table. The concepts of context independence are the speaker's own actions.

    Args:
      vocab_size, num_actions: how many there are, used or not.
    """
    assert trace.message is not None, "only teams that send messages have a table of communication"
    # Episodes first: the last step of one episode is not followed by the first step of the next.
    message, action = (np.asarray(x).swapaxes(0, 1) for x in (trace.message, trace.action))
    influence = np.asarray(trace.influence).sum(3).swapaxes(0, 1)  # by each agent, [E, T, A]
    is_influential = influence >= influence.mean((0, 1))

    def mean_over_agents(measure, messages=message):
        agents = range(action.shape[-1])
        return float(np.mean([measure(messages[..., k].ravel(), action[..., k].ravel()) for k in agents]))

    def consistency(m, a):
        return social_metrics.speaker_consistency(m, a, vocab_size, num_actions)

    coordination = social_metrics.instantaneous_coordination
    values = (
        mean_over_agents(consistency),
        mean_over_agents(consistency, np.roll(message, 1, 0)),
        mean_over_agents(social_metrics.context_independence),
        coordination(message, action),
        coordination(message, action, is_influential),
        coordination(action, action),
        coordination(action, action, is_influential),
        social_metrics.fraction_above_mean(influence),
    )
    return dict(zip(_MEASURES, values, strict=True))


def _claim_larger(text: str, name: str, other: str | None = None) -> Claim:
    """The measure is larger with influence than without; with `other`, than another measure of the same teams."""

    def judge(results: Results) -> Verdict:
        table = results.extra["table"]
        values = np.array(table[_INFLUENCE.label][name])
        if other is None:
            quantity = f"{name}: '{_INFLUENCE.label}' minus '{_NO_INFLUENCE.label}'; claimed > 0"
            return judge_difference(values, table[_NO_INFLUENCE.label][name], quantity, above=0.0)
        quantity = f"{name} minus {other}, of '{_INFLUENCE.label}'; claimed > 0"
        return judge_mean(values - np.array(table[_INFLUENCE.label][other]), quantity, above=0.0)

    return Claim(text=text, judge=judge)


def _judge_rare(results: Results) -> Verdict:
    fractions = results.extra["table"][_INFLUENCE.label][_FRACTION_ABOVE_MEAN]
    quantity = f"{_FRACTION_ABOVE_MEAN} of '{_INFLUENCE.label}', mean over seeds; claimed < {_RARE_FRACTION:g}"
    return judge_mean(fractions, quantity, below=_RARE_FRACTION)


def _judge_influence_pays(results: Results) -> Verdict:
    """Correlation over agents and seeds; its test is over seeds, because agents of a team share what happens to it."""
    received, returns = (
        np.array(results.extra[name][_INFLUENCE.label], float) for name in ("influence_received", "returns")
    )
    quantity = (
        f"correlation of influence received with return, {received.size} agents of '{_INFLUENCE.label}'; claimed > 0"
    )
    test = significance.correlation_test(received, returns)
    if math.isnan(test.interval.value):  # all returns are equal, or no agent is influenced
        return Verdict(UNDECIDED, quantity, Interval.unknown(), "undefined where one of the two never varies")
    outcome = judge_interval(test.interval, above=0.0)
    return judge_test(test, outcome, quantity, len(received), f"published: {_PUBLISHED_CORRELATION}")


def _figures(results: Results) -> Figures:
    table = results.extra["table"]
    rows = {f"{name}: {condition}": table[condition][name] for name in _MEASURES for condition in table}
    dots = interval_dots(rows, xlabel="0 to 1; coordination in nats")
    caption = "Measures of communication, with and without the influence reward. Dots: seeds."
    return [("figure", dots, caption), *figures.team_figures(results)]


STUDY = Study(
    name="jaques2019/communication-metrics",
    title="What messages mean, and whether being influenced pays",
    source="Jaques et al. 2019",
    compares="the messages of agents with and without the influence reward: consistency, context independence, "
    "coordination, how rare influence is, and whether influenced agents earn more",
    conditions=(_INFLUENCE, _NO_INFLUENCE),
    eval_conditions=messages.STUDY.eval_conditions,
    claims=tuple(changed(claim, mechanisms=(_INFLUENCE_IS_FELT,)) for claim in (
        _claim_larger("The influence reward makes speakers more consistent.", "speaker consistency"),
        _claim_larger("The influence reward gives concepts symbols of their own.", "context independence"),
        _claim_larger("The influence reward makes messages coordinate actions.", "coordination by messages"),
        _claim_larger("Messages coordinate more on the steps on which they are influential.",
                      "coordination by messages, influential steps", "coordination by messages"),
        Claim(text="Influence is rare: few steps are above its mean.", judge=_judge_rare),
        Claim(text="Agents that are influenced more earn more.", judge=_judge_influence_pays),
    )),
    figures=_figures,
    num_seeds=messages.STUDY.num_seeds,
    notes=(
        *NOTES,
        "The concepts of context independence are the speaker's own actions in the same step.",
        "From every coordination the same measure with the actions of other episodes is subtracted, which the paper "
        "does not do: with few steps it would be above 0 by chance. 'By chance' in the table: with the messages of "
        "other episodes.",
        "The paper's correlation is over 100 experimental conditions; here it is over agents and seeds of one. Its "
        "interval is over seeds: the agents of a team are not independent.",
    ),
    measure_extra=_measure_communication,
    steps_per_second=influence_budgets.DILEMMA_STEPS_PER_SECOND,
)  # fmt: skip
