"""From the desk recipe towards the paper's setting, one change at a time: where the auxiliary loss is needed, where it
merely helps, and what makes a seed a watcher, an explorer or neither.

No figure of the paper: figure 4 says at `desk` that the loss is not what makes a watcher there, and this asks on what
that depends. Each change is made to the desk recipe alone, with and without the next-frame loss, everything else equal.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from rookery.runs import presets
from rookery.runs.config import Arm, RunConfig
from rookery.show.plots import count_bars, interval_dots
from rookery.studies import figures, recipe, statistics
from rookery.studies.claims import SAYS, enough, exceeds, more, verdict
from rookery.studies.ndousse2021.programs import EXPERTS, HOME, SOCIAL_NEXT, VANILLA
from rookery.studies.results import Results
from rookery.studies.study import Arm as Condition
from rookery.studies.study import Budget, Claim, Judgement, Learned, Scene, Study, Training
from rookery.world.spec import View

PUBLISHED = presets.paper().team[0]
SHOWN, FULL = {"hide_share": 0.0}, {"penalty": 1.5}
COURSES: dict[str, tuple[str, dict[str, Any]]] = {
    "shown": ("goals shown from the start", {"task_schedules": SHOWN}),
    "full": ("full penalty from the start", {"task_schedules": FULL}),
    "plain": ("goals shown and full penalty", {"task_schedules": SHOWN | FULL}),
    "entropy": ("the paper's entropy weight, 1e-5", {"entropy": PUBLISHED.entropy}),
    "slow": ("the paper's step size, 1e-4", {"learning_rate": PUBLISHED.learning_rate}),
}
"""Changes of schedules alone: all of them train in one program."""


def _courses(budget: Budget) -> RunConfig:
    arms = []
    for name, (_, changes) in COURSES.items():
        arms += [Arm(name=name, **changes), Arm(name=f"{name}-vanilla", auxiliary_scale=0.0, **changes)]
    return recipe.run(budget, "walk-courses", tuple(arms))


def _pixels(budget: Budget) -> Any:
    """The novice sees the published picture of 21×21 pixels, still with the small network."""
    task = recipe.home(budget)
    return dataclasses.replace(task, views=(View(hide_goals=True), *task.views[1:]))


def _large(budget: Budget) -> Any:
    """The published 13×13 world with its obstacles, in episodes of 250 steps."""
    if budget == "smoke":
        return recipe.home(budget)
    paper = presets.paper().task
    size = {name: getattr(paper, name) for name in ("height", "width", "obstacles", "obstacle_density", "max_steps")}
    return recipe.home(budget, **size)


def _pair(budget: Budget, name: str, task: Any, **changes) -> RunConfig:
    arms = (Arm(name="next"), Arm(name="vanilla", auxiliary_scale=0.0))
    return recipe.run(budget, name, arms, task=task, **changes)


def _train_large(budget: Budget) -> RunConfig:
    """Episodes are twice as long, so half as many make an update of the same size."""
    if budget == "smoke":
        return _pair(budget, "walk-large", _large(budget))
    same = {"sequences": recipe.ppo(budget, recipe.home(budget)).sequences}
    return _pair(budget, "walk-large", _large(budget), episodes=recipe.EPISODES // 2, learner=same)


IN_COURSES = Training(name="walk-courses", configure=_courses)
IN_PIXELS = Training(name="walk-pixels", configure=lambda budget: _pair(budget, "walk-pixels", _pixels(budget)))
IN_LARGE = Training(name="walk-large", configure=_train_large)
SEES_PIXELS = Scene(name="3-goal cycle, pixels", task=_pixels, beside=recipe.experts)
LARGE = Scene(name="3-goal cycle, 13×13", task=_large, beside=recipe.experts)

HERE = "the desk recipe"


Pair = tuple[Condition, Condition]
"""The arm with the next-frame loss, and the arm without."""


def _labelled(words: str, agents: tuple[Any, Any], scene: Scene) -> Pair:
    with_loss, without = (
        Condition(label=f"{words}; {loss}", agents=learned, scenes=(scene,))
        for loss, learned in zip(("next frame", "no loss"), agents, strict=True)
    )
    return with_loss, without


def pair(words: str, training: Training, names: tuple[str, str], scene: Scene) -> Pair:
    """Two arms of a training, by their names in it."""
    return _labelled(words, tuple(Learned(training=training, arm=name) for name in names), scene)  # type: ignore[arg-type]


def _conditions() -> dict[str, Pair]:
    """What was changed → who learned so."""
    found = {HERE: _labelled(HERE, (SOCIAL_NEXT.agents, VANILLA.agents), HOME)}
    for name, (words, _) in COURSES.items():
        found[words] = pair(words, IN_COURSES, (name, f"{name}-vanilla"), HOME)
    for words, training, scene in (("pixels", IN_PIXELS, SEES_PIXELS), ("13×13, 250 steps", IN_LARGE, LARGE)):
        found[words] = pair(words, training, ("next", "vanilla"), scene)
    return found


CONDITIONS = _conditions()
HALF = 0.5
"""Of a goal an episode: what social gain must exceed to count. Where all stop after one goal, others in the way make a
thousandth of it, with an interval over seeds as narrow."""
KINDS = ("watcher", "explorer", "neither")
ONE_GOAL = 1.05
"""What an agent earns at most that takes one goal and shuns the rest."""


def kind(beside: float, alone: float) -> str:
    """What an agent became, by its mean returns beside experts and alone.

    A watcher earns more than one goal beside experts, and at least half of that is social gain. An explorer earns more
    than one goal in either place, and most of it without them.
    """
    if max(beside, alone) <= ONE_GOAL:
        return "neither"
    return "watcher" if beside > ONE_GOAL and beside - alone >= beside / 2 else "explorer"


def kinds(results: Results, arm: str) -> dict[str, int]:
    """How many of an arm's seeds became what."""
    pairs = zip(results.values(arm, "beside"), results.values(arm, "alone"), strict=True)
    became = [kind(float(beside), float(alone)) for beside, alone in pairs]
    return {name: became.count(name) for name in KINDS}


def early_and_late(curve: dict) -> tuple[np.ndarray, np.ndarray]:
    """Of each seed of an arm, its social gain at the checkpoint nearest to a third of training, and at the last."""
    steps, gain = np.array(curve["checkpoints"]["steps"]), np.array(curve["checkpoints"]["gain"], float)
    third = int(np.argmin(np.abs(steps - steps[-1] / 3)))
    return gain[:, third], gain[:, -1]


def order_kept(early: np.ndarray, late: np.ndarray) -> float:
    """Share of pairs of seeds of which the one ahead early is ahead late; ties count half, as does one seed alone."""
    if len(early) < 2:
        return 0.5
    i, j = np.triu_indices(len(early), 1)
    agree = np.sign(early[i] - early[j]) * np.sign(late[i] - late[j])
    return float(np.mean((agree + 1) / 2))


def _shows_early(results: Results) -> Judgement:
    shares = [order_kept(*early_and_late(results.data["curves"][arm.label])) for pair in CONDITIONS.values()
              for arm in pair]  # fmt: skip
    found = enough(statistics.mean_over_seeds(shares), len(results.data["seeds"]))
    named = "pairs of seeds of one arm in which the one with more gain after a third of training has more at the end"
    return Judgement(verdict(found, above=0.5), f"{named}, mean over arms; claimed > 0.5", found)


def claims_of(words: str, arms: Pair) -> list[Claim]:
    """What is asked of every setting: do they learn socially, with the loss and without, and does it add to that?"""
    start, (with_loss, without) = words[0].upper() + words[1:], arms
    return [
        exceeds(f"{start}: with the next-frame loss novices learn socially.", with_loss.label, HALF, "gain"),
        exceeds(f"{start}: so they do without.", without.label, HALF, "gain"),
        more(f"{start}: the loss adds to social gain.", with_loss.label, without.label, "gain"),
    ]


def _claims() -> tuple[Claim, ...]:
    found = []
    here = CONDITIONS[HERE]
    for words, (with_loss, without) in CONDITIONS.items():
        start = words[0].upper() + words[1:]
        found += claims_of(words, (with_loss, without))
        if words != HERE:
            found += [
                more(f"{start}: less social gain than by {HERE}.", here[0].label, with_loss.label, "gain"),
                more(f"{start}: less without the loss, too.", here[1].label, without.label, "gain"),
            ]
    return (*found, Claim(text="What a seed becomes shows after a third of its training.", judge=_shows_early))


def figures_of(results: Results, conditions: dict[str, Pair]) -> figures.Figures:
    """What became of whom, and a row an arm for each measure."""
    arms = [arm.label for pair in conditions.values() for arm in pair]
    bars = count_bars({arm: kinds(results, arm) for arm in arms})
    text = (
        "What each seed became. Watcher: earns more than one goal beside experts, at least half of it social gain; "
        "explorer: more than one goal, most of it without them; neither: one goal at most."
    )
    found: figures.Figures = [("figure", bars, text)]
    levels = {"gain": {"no gain": 0.0}, "beside": figures.levels_of(results), "alone": {"stop after one goal": 1.0}}
    for measure, level in levels.items():
        words = SAYS[measure]
        dots = interval_dots({arm: results.values(arm, measure) for arm in arms}, levels=level, xlabel=words)
        caption = f"{words.capitalize()}, of every frozen agent over fresh episodes, in the setting it trained in."
        if measure == "beside":
            caption += f" The experts' line is theirs in the world of {HERE}."
        found.append((measure, dots, caption))
    return found


STUDY = Study(
    name="ndousse2021/walk",
    title="From the easy setting towards the paper's",
    source="Ndousse et al. 2021, section 5, taken apart",
    compares="the desk recipe with one thing at a time as in the paper, with and without the next-frame loss: who "
    "becomes a watcher, an explorer or neither",
    arms=(*(arm for pair in CONDITIONS.values() for arm in pair), EXPERTS),
    scenes=(HOME, SEES_PIXELS, LARGE),
    claims=_claims(),
    figures=lambda results: figures_of(results, CONDITIONS),
    seeds=5,
    budgets=("smoke", "desk"),
)
