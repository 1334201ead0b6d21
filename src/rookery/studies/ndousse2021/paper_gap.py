"""From the desk recipe towards the paper's setting, one change at a time: where the auxiliary loss is needed, where it
merely helps, and what makes a seed a watcher, an explorer or neither.

No figure of the paper: figure 4 says at `desk` that the loss is not what makes a watcher there, and this asks on what
that depends. Each change is made to the desk recipe alone, with and without the next-frame loss, everything else equal.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from rookery.gridworld.spec import ViewConfig
from rookery.studies import budgets, figures, statistics
from rookery.studies.claims import MEASURE_LABELS, judge_interval, mean_above, mean_greater, withhold_if_few_seeds
from rookery.studies.ndousse2021.shared_runs import EXPERT_AGENTS, GOAL_CYCLE_3, SOCIAL_NEXT_FRAME, SOCIAL_VANILLA
from rookery.studies.results import Results
from rookery.studies.study import Budget, Claim, EvalCondition, Study, TrainedAgents, TrainingRun, Verdict
from rookery.studies.study import Condition as Condition
from rookery.training import presets
from rookery.training.config import RunConfig, Variant
from rookery.viz.plots import count_bars, interval_dots

_PUBLISHED_NOVICE = presets.paper().team[0]
_GOALS_SHOWN, _FULL_PENALTY = {"goal_hiding_prob": 0.0}, {"penalty": 1.5}
SCHEDULE_CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "shown": ("goals shown from the start", {"env_schedules": _GOALS_SHOWN}),
    "full": ("full penalty from the start", {"env_schedules": _FULL_PENALTY}),
    "plain": ("goals shown and full penalty", {"env_schedules": _GOALS_SHOWN | _FULL_PENALTY}),
    "entropy": ("the paper's entropy weight, 1e-5", {"ent_coef": _PUBLISHED_NOVICE.ent_coef}),
    "slow": ("the paper's step size, 1e-4", {"learning_rate": _PUBLISHED_NOVICE.learning_rate}),
}
"""Changes of schedules alone: all of them train in one program."""


def _schedule_changes_config(budget: Budget) -> RunConfig:
    arms = []
    for name, (_, changes) in SCHEDULE_CHANGES.items():
        arms += [Variant(name=name, **changes), Variant(name=f"{name}-vanilla", aux_loss_scale=0.0, **changes)]
    return budgets.run_config(budget, "paper-gap-schedules", tuple(arms))


def _pixels_task(budget: Budget) -> Any:
    """The novice sees the published picture of 21×21 pixels, still with the small network."""
    task = budgets.goal_cycle_task(budget)
    return dataclasses.replace(task, views=(ViewConfig(can_hide_goals=True), *task.views[1:]))


def _large_task(budget: Budget) -> Any:
    """The published 13×13 world with its obstacles, in episodes of 250 steps."""
    if budget == "smoke":
        return budgets.goal_cycle_task(budget)
    paper = presets.paper().task
    size = {name: getattr(paper, name) for name in ("height", "width", "num_obstacles", "obstacle_density", "max_steps")}
    return budgets.goal_cycle_task(budget, **size)


def _pair_config(budget: Budget, name: str, task: Any, **changes) -> RunConfig:
    arms = (Variant(name="next-frame"), Variant(name="vanilla", aux_loss_scale=0.0))
    return budgets.run_config(budget, name, arms, task=task, **changes)


def _large_config(budget: Budget) -> RunConfig:
    """Episodes are twice as long, so half as many make an update of the same size."""
    if budget == "smoke":
        return _pair_config(budget, "paper-gap-large-grid", _large_task(budget))
    same = {"minibatch_size": budgets.novice_ppo(budget, budgets.goal_cycle_task(budget)).minibatch_size}
    return _pair_config(budget, "paper-gap-large-grid", _large_task(budget), num_envs=budgets.NUM_ENVS // 2, learner=same)


SCHEDULE_CHANGES_RUN = TrainingRun(name="paper-gap-schedules", configure=_schedule_changes_config)
PIXELS_RUN = TrainingRun(
    name="paper-gap-pixels", configure=lambda budget: _pair_config(budget, "paper-gap-pixels", _pixels_task(budget))
)
LARGE_GRID_RUN = TrainingRun(name="paper-gap-large-grid", configure=_large_config)
PIXELS_CONDITION = EvalCondition(name="3-goal cycle, pixels", task=_pixels_task, partners=budgets.expert_partners)
LARGE_GRID_CONDITION = EvalCondition(name="3-goal cycle, 13×13", task=_large_task, partners=budgets.expert_partners)

BASE_LABEL = "the desk preset"


ConditionPair = tuple[Condition, Condition]
"""The arm with the next-frame loss, and the arm without."""


def _labeled_pair(words: str, agents: tuple[Any, Any], scene: EvalCondition) -> ConditionPair:
    with_loss, without = (
        Condition(label=f"{words}; {loss}", agents=learned, eval_conditions=(scene,))
        for loss, learned in zip(("next frame", "no loss"), agents, strict=True)
    )
    return with_loss, without


def condition_pair(
    words: str, run: TrainingRun, names: tuple[str, str], eval_condition: EvalCondition
) -> ConditionPair:
    """Two arms of a training, by their names in it."""
    return _labeled_pair(words, tuple(TrainedAgents(run=run, variant=name) for name in names), eval_condition)  # type: ignore[arg-type]


def _condition_pairs() -> dict[str, ConditionPair]:
    """What was changed → who learned so."""
    found = {BASE_LABEL: _labeled_pair(BASE_LABEL, (SOCIAL_NEXT_FRAME.agents, SOCIAL_VANILLA.agents), GOAL_CYCLE_3)}
    for name, (words, _) in SCHEDULE_CHANGES.items():
        found[words] = condition_pair(words, SCHEDULE_CHANGES_RUN, (name, f"{name}-vanilla"), GOAL_CYCLE_3)
    for words, training, scene in (
        ("pixels", PIXELS_RUN, PIXELS_CONDITION),
        ("13×13, 250 steps", LARGE_GRID_RUN, LARGE_GRID_CONDITION),
    ):
        found[words] = condition_pair(words, training, ("next-frame", "vanilla"), scene)
    return found


CONDITION_PAIRS = _condition_pairs()
MIN_SOCIAL_GAIN = 0.5
"""Of a goal an episode: what social gain must exceed to count. Where all stop after one goal, others in the way make a
thousandth of it, with an interval over seeds as narrow."""
STRATEGIES = ("follower", "explorer", "neither")
ONE_GOAL_RETURN = 1.05
"""What an agent earns at most that takes one goal and shuns the rest."""


def classify_strategy(return_social: float, return_solo: float) -> str:
    """What an agent became, by its mean returns beside experts and alone.

    A watcher earns more than one goal beside experts, and at least half of that is social gain. An explorer earns more
    than one goal in either place, and most of it without them.
    """
    if max(return_social, return_solo) <= ONE_GOAL_RETURN:
        return "neither"
    return (
        "follower"
        if return_social > ONE_GOAL_RETURN and return_social - return_solo >= return_social / 2
        else "explorer"
    )


def count_strategies(results: Results, condition: str) -> dict[str, int]:
    """How many of an arm's seeds became what."""
    pairs = zip(results.values(condition, "return_social"), results.values(condition, "return_solo"), strict=True)
    became = [classify_strategy(float(beside), float(alone)) for beside, alone in pairs]
    return {name: became.count(name) for name in STRATEGIES}


def gain_early_and_late(curve: dict) -> tuple[np.ndarray, np.ndarray]:
    """Of each seed of an arm, its social gain at the checkpoint nearest to a third of training, and at the last."""
    steps, gain = np.array(curve["checkpoints"]["steps"]), np.array(curve["checkpoints"]["social_gain"], float)
    third = int(np.argmin(np.abs(steps - steps[-1] / 3)))
    return gain[:, third], gain[:, -1]


def rank_agreement(early: np.ndarray, late: np.ndarray) -> float:
    """Share of pairs of seeds of which the one ahead early is ahead late; ties count half, as does one seed alone."""
    if len(early) < 2:
        return 0.5
    i, j = np.triu_indices(len(early), 1)
    agree = np.sign(early[i] - early[j]) * np.sign(late[i] - late[j])
    return float(np.mean((agree + 1) / 2))


def _judge_shows_early(results: Results) -> Verdict:
    shares = [rank_agreement(*gain_early_and_late(results.data["curves"][arm.label])) for pair in CONDITION_PAIRS.values()
              for arm in pair]  # fmt: skip
    found = withhold_if_few_seeds(statistics.mean_over_seeds(shares), len(results.data["seeds"]))
    named = "pairs of seeds of one arm in which the one with more gain after a third of training has more at the end"
    return Verdict(judge_interval(found, above=0.5), f"{named}, mean over arms; claimed > 0.5", found)


def pair_claims(words: str, pair: ConditionPair) -> list[Claim]:
    """What is asked of every setting: do they learn socially, with the loss and without, and does it add to that?"""
    start, (with_loss, without) = words[0].upper() + words[1:], pair
    return [
        mean_above(
            f"{start}: with the next-frame loss novices learn socially.", with_loss.label, MIN_SOCIAL_GAIN, "social_gain"
        ),
        mean_above(f"{start}: so they do without.", without.label, MIN_SOCIAL_GAIN, "social_gain"),
        mean_greater(f"{start}: the loss adds to social gain.", with_loss.label, without.label, "social_gain"),
    ]


def _claims() -> tuple[Claim, ...]:
    found = []
    here = CONDITION_PAIRS[BASE_LABEL]
    for words, (with_loss, without) in CONDITION_PAIRS.items():
        start = words[0].upper() + words[1:]
        found += pair_claims(words, (with_loss, without))
        if words != BASE_LABEL:
            found += [
                mean_greater(
                    f"{start}: less social gain than by {BASE_LABEL}.", here[0].label, with_loss.label, "social_gain"
                ),
                mean_greater(f"{start}: less without the loss, too.", here[1].label, without.label, "social_gain"),
            ]
    return (*found, Claim(text="What a seed becomes shows after a third of its training.", judge=_judge_shows_early))


def pair_figures(results: Results, pairs: dict[str, ConditionPair]) -> figures.Figures:
    """What became of whom, and a row an arm for each measure."""
    arms = [arm.label for pair in pairs.values() for arm in pair]
    bars = count_bars({arm: count_strategies(results, arm) for arm in arms})
    text = (
        "What each seed became. Watcher: earns more than one goal beside experts, at least half of it social gain; "
        "explorer: more than one goal, most of it without them; neither: one goal at most."
    )
    found: figures.Figures = [("figure", bars, text)]
    levels = {
        "social_gain": {"no gain": 0.0},
        "return_social": figures.reference_levels(results),
        "return_solo": {"stop after one goal": 1.0},
    }
    for measure, level in levels.items():
        words = MEASURE_LABELS[measure]
        dots = interval_dots({arm: results.values(arm, measure) for arm in arms}, reference_levels=level, xlabel=words)
        caption = f"{words.capitalize()}, of every frozen agent over fresh episodes, in the setting it trained in."
        if measure == "return_social":
            caption += f" The experts' line is theirs in the world of {BASE_LABEL}."
        found.append((measure, dots, caption))
    return found


STUDY = Study(
    name="ndousse2021/paper-gap",
    title="From the easy setting towards the paper's",
    source="Ndousse et al. 2021, section 5, taken apart",
    compares="the desk recipe with one thing at a time as in the paper, with and without the next-frame loss: who "
    "becomes a watcher, an explorer or neither",
    conditions=(*(arm for pair in CONDITION_PAIRS.values() for arm in pair), EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_3, PIXELS_CONDITION, LARGE_GRID_CONDITION),
    claims=_claims(),
    figures=lambda results: pair_figures(results, CONDITION_PAIRS),
    num_seeds=5,
    budgets=("smoke", "desk"),
)
