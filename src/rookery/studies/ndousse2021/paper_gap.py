"""From a setting in which following is easy towards the paper's, one change at a time: where the auxiliary loss is
needed, where it merely helps, and what makes a seed a follower, an explorer or neither.

Not a figure of the paper. Each change is made to the easy setting by itself, with and without the next-frame loss;
everything else is equal.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from rookery import significance
from rookery.gridworld.spec import ViewConfig
from rookery.studies import budgets, figures
from rookery.studies.agent_sources import PretrainedAgent, TrainedAgents
from rookery.studies.claims import changed, judge_difference, judge_interval, judge_test, mean_above, mean_greater
from rookery.studies.followers import more_followers
from rookery.studies.frozen_evaluation import EvalCondition
from rookery.studies.mechanisms import FramePredictionCheck
from rookery.studies.ndousse2021.easy_setting import (
    EASY_CONDITION,
    easy_partners,
    easy_run_config,
    easy_task,
)
from rookery.studies.ndousse2021.fig4 import LOSS_GATE
from rookery.studies.results import Results
from rookery.studies.study import Claim, Condition, Figures, Study, Verdict
from rookery.studies.training_run import Budget, TrainingRun
from rookery.tasks.goal_cycle import GoalCycle
from rookery.training import presets
from rookery.training.config import RunConfig, Variant
from rookery.training.schedules import Schedule

_PUBLISHED_NOVICE = presets.paper().team[0]
_GOALS_SHOWN, _FULL_PENALTY = {"goal_hiding_prob": 0.0}, {"penalty": 1.5}
WITHOUT_HELP: dict[str, Schedule] = {**_GOALS_SHOWN, **_FULL_PENALTY}
"""Schedules of the task under which following is not easy."""
SCHEDULE_CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "shown": ("goals shown from the start", {"env_schedules": _GOALS_SHOWN}),
    "full": ("full penalty from the start", {"env_schedules": _FULL_PENALTY}),
    "plain": ("goals shown and full penalty", {"env_schedules": WITHOUT_HELP}),
    "entropy": ("the paper's entropy weight, 1e-5", {"ent_coef": _PUBLISHED_NOVICE.ent_coef}),
    "slow": ("the paper's step size, 1e-4", {"learning_rate": _PUBLISHED_NOVICE.learning_rate}),
}
"""Changes of schedules alone: all of them train in one run. Variant to (description, changes)."""
_WITHOUT_LOSS = "-vanilla"
LARGE_NUM_ENVS = budgets.DESK_NUM_ENVS // 2
"""Episodes of 13×13 are twice as long, so half as many make an update of the same size."""
_PAIR = ("next-frame", "vanilla")
"""Variants with and without the loss of a run with one change."""


def _schedule_changes_config(budget: Budget) -> RunConfig:
    variants = []
    for name, (_, changes) in SCHEDULE_CHANGES.items():
        variants += [
            Variant(name=name, **changes),
            Variant(name=f"{name}{_WITHOUT_LOSS}", aux_loss_scale=0.0, **changes),
        ]
    return easy_run_config(budget, "paper-gap-schedules", tuple(variants))


def _pixels_task(budget: Budget) -> Any:
    """The novice sees the published image of 21×21 pixels, still with the small network."""
    task = easy_task(budget)
    return dataclasses.replace(task, views=(ViewConfig(can_hide_goals=True), *task.views[1:]))


def large_task(budget: Budget, **changes: Any) -> GoalCycle:
    """The published 13×13 grid with its obstacles, in episodes of 250 steps."""
    if budget == "smoke":
        return easy_task(budget, **changes)
    paper = presets.paper().task
    return easy_task(
        budget,
        height=paper.height,
        width=paper.width,
        num_obstacles=paper.num_obstacles,
        obstacle_density=paper.obstacle_density,
        max_steps=paper.max_steps,
        **changes,
    )


def _pair_config(budget: Budget, name: str, task: Any, **changes) -> RunConfig:
    variants = (Variant(name=_PAIR[0]), Variant(name=_PAIR[1], aux_loss_scale=0.0))
    return easy_run_config(budget, name, variants, task=task, **changes)


def _large_config(budget: Budget) -> RunConfig:
    name = "paper-gap-large-grid"
    if budget == "smoke":
        return _pair_config(budget, name, large_task(budget))
    return _pair_config(budget, name, large_task(budget), num_envs=LARGE_NUM_ENVS)


SCHEDULE_CHANGES_RUN = TrainingRun(name="paper-gap-schedules", configure=_schedule_changes_config)
PIXELS_RUN = TrainingRun(
    name="paper-gap-pixels", configure=lambda budget: _pair_config(budget, "paper-gap-pixels", _pixels_task(budget))
)
LARGE_GRID_RUN = TrainingRun(name="paper-gap-large-grid", configure=_large_config)
PIXELS_CONDITION = EvalCondition(name="3-goal cycle, pixels", task=_pixels_task, partners=easy_partners)
LARGE_GRID_CONDITION = EvalCondition(name="3-goal cycle, 13×13", task=large_task, partners=easy_partners)

EASY_RUN = TrainingRun(
    name="paper-gap-easy", configure=lambda budget: _pair_config(budget, "paper-gap-easy", easy_task(budget))
)
BASE_LABEL = "the easy setting"
EASY_EXPERTS = Condition(label="experts", agents=PretrainedAgent(policy=lambda budget: easy_partners(budget)[0]))

ConditionPair = tuple[Condition, Condition]
"""The condition with the next-frame loss, and the condition without."""


def condition_pair(
    description: str, run: TrainingRun, variants: tuple[str, str], eval_condition: EvalCondition
) -> ConditionPair:
    """Two variants of a run, with the loss and without, evaluated in the task they trained in."""
    with_loss, without = (TrainedAgents(run=run, variant=name) for name in variants)
    return (
        Condition(label=f"{description}; next frame", agents=with_loss, eval_conditions=(eval_condition,)),
        Condition(label=f"{description}; no loss", agents=without, eval_conditions=(eval_condition,)),
    )


def _condition_pairs() -> dict[str, ConditionPair]:
    """Description of the change to its pair of conditions."""
    pairs = {BASE_LABEL: condition_pair(BASE_LABEL, EASY_RUN, _PAIR, EASY_CONDITION)}
    for name, (description, _) in SCHEDULE_CHANGES.items():
        variants = (name, f"{name}{_WITHOUT_LOSS}")
        pairs[description] = condition_pair(description, SCHEDULE_CHANGES_RUN, variants, EASY_CONDITION)
    for description, run, eval_condition in (
        ("pixels", PIXELS_RUN, PIXELS_CONDITION),
        ("13×13, 250 steps", LARGE_GRID_RUN, LARGE_GRID_CONDITION),
    ):
        pairs[description] = condition_pair(description, run, _PAIR, eval_condition)
    return pairs


CONDITION_PAIRS = _condition_pairs()
MIN_SOCIAL_GAIN = 0.5
"""Goals per episode that social gain must exceed to count. Where all agents stop after one goal, being blocked by
others contributes a thousandth of this, with an equally narrow interval over seeds."""


def gain_early_and_late(curve: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Each seed's social gain at the checkpoint nearest to a third of training, and at the last one."""
    steps, gain = np.array(curve["checkpoints"]["steps"]), np.array(curve["checkpoints"]["social_gain"], float)
    third = int(np.argmin(np.abs(steps - steps[-1] / 3)))
    return gain[:, third], gain[:, -1]


def rank_agreement(early: np.ndarray, late: np.ndarray) -> float:
    """Fraction of the pairs of a condition's seeds that have the same order early and late; ties count half, and so
    does a single seed."""
    first, second = np.triu_indices(len(early), 1)
    agreement = np.sign(early[first] - early[second]) * np.sign(late[first] - late[second])
    return float((agreement + 1).mean() / 2) if len(agreement) else 0.5


def _judge_shows_early(results: Results) -> Verdict:
    """Over conditions, which are independent: the pairs of a condition's seeds are not, for each is in several."""
    gains = [
        gain_early_and_late(results.curves[condition.label]) for pair in CONDITION_PAIRS.values() for condition in pair
    ]
    quantity = (
        "fraction of a condition's pairs of seeds in which the seed with the larger gain after a third of training has "
        f"the larger gain at the end, mean over {len(gains)} conditions; claimed > 0.5"
    )
    test = significance.mean_test([rank_agreement(*gain) for gain in gains], 0.5)
    num_seeds = min(len(early) for early, _ in gains)
    return judge_test(test, judge_interval(test.interval, above=0.5), quantity, num_seeds)


def pair_claims(description: str, pair: ConditionPair) -> list[Claim]:
    """The claims about every setting: agents learn socially with the loss and without, and the loss adds to it."""
    start, (with_loss, without) = description[0].upper() + description[1:], pair
    is_alive = (
        FramePredictionCheck(
            condition=with_loss.label,
            by=LOSS_GATE,
            like_figure_2=with_loss.eval_conditions != (PIXELS_CONDITION,),
        ),
    )
    learn = [
        mean_above(f"{start}: {words} novices learn socially.", condition.label, MIN_SOCIAL_GAIN, "social_gain")
        for words, condition in (("with the next-frame loss", with_loss), ("without the loss", without))
    ]
    more = [
        more_followers(f"{start}: the loss makes more seeds follow.", with_loss.label, without.label),
        mean_greater(f"{start}: the loss increases social gain.", with_loss.label, without.label, "social_gain"),
    ]
    return [*(changed(claim, mechanisms=is_alive) for claim in more), changed(learn[0], mechanisms=is_alive), learn[1]]


def _gain_of_experts_return(results: Results, condition: str) -> np.ndarray:
    """Social gain over the return of the experts in the same episodes, f[seeds]: comparable where these are longer."""
    return results.values(condition, "social_gain") / results.values(condition, "return_partners")


def _gains_smaller_fraction(text: str, condition: str, other: str) -> Claim:
    def judge(results: Results) -> Verdict:
        first, second = (_gain_of_experts_return(results, name) for name in (other, condition))
        quantity = f"social gain over the experts' return: '{other}' minus '{condition}'; claimed > 0"
        return judge_difference(first, second, quantity, above=0.0)

    return Claim(text=text, judge=judge)


def _claims() -> tuple[Claim, ...]:
    claims = []
    base = CONDITION_PAIRS[BASE_LABEL]
    for description, (with_loss, without) in CONDITION_PAIRS.items():
        start = description[0].upper() + description[1:]
        claims += pair_claims(description, (with_loss, without))
        if without.eval_conditions == (LARGE_GRID_CONDITION,):  # episodes of another length
            claims.append(_gains_smaller_fraction(
                f"{start}: without the loss, novices gain a smaller fraction of their experts' return than with "
                f"{BASE_LABEL}.", without.label, base[1].label,
            ))  # fmt: skip
        elif description != BASE_LABEL:
            claims.append(mean_greater(
                f"{start}: without the loss, social gain is smaller than with {BASE_LABEL}.",
                base[1].label, without.label, "social_gain",
            ))  # fmt: skip
    return (
        *claims,
        Claim(text="A third of training is enough to see which seeds end ahead.", judge=_judge_shows_early),
    )


def pair_figures(results: Results, pairs: dict[str, ConditionPair]) -> Figures:
    """The strategy of each seed, and one row per condition for each measure."""
    conditions = [condition.label for pair in pairs.values() for condition in pair]
    levels = {
        "social_gain": {"no gain": 0.0},
        "return_social": figures.reference_levels(results),
        "return_solo": figures.ONE_GOAL_LEVEL,
    }
    made = []
    for name, figure, text in figures.measure_figures(results, conditions, levels):
        if name == "return_social":
            text += f" The experts' line is their return in the task of {BASE_LABEL}."
        made.append((name, figure, text))
    return [*figures.strategy_figures(results, conditions, "figure"), *made]


STUDY = Study(
    name="ndousse2021/paper-gap",
    title="From the easy setting towards the paper's",
    source="Ndousse et al. 2021, section 4.1, one setting at a time",
    compares="the easy setting with one setting at a time as in the paper, with and without the next-frame loss: which "
    "seeds become followers, explorers or neither",
    conditions=(*(condition for pair in CONDITION_PAIRS.values() for condition in pair), EASY_EXPERTS),
    eval_conditions=(EASY_CONDITION, PIXELS_CONDITION, LARGE_GRID_CONDITION),
    claims=_claims(),
    figures=lambda results: pair_figures(results, CONDITION_PAIRS),
    num_seeds=5,
    budgets=("smoke", "desk"),
    definition=2,
    changes={
        2: "the next-frame loss is a squared error that counts tiles and agents alike, which symbolic views learn"
    },
)
