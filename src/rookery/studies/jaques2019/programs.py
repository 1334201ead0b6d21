"""The programs that several of these studies share, their arms and their scenes."""

from __future__ import annotations

import functools

from rookery.runs.config import Arm as RunArm
from rookery.runs.config import RunConfig
from rookery.runs.presets_dilemma import Game, intrinsic
from rookery.runs.schedules import Schedule
from rookery.studies.jaques2019 import recipe
from rookery.studies.study import Arm, Budget, Training
from rookery.studies.teams import LearnedTeam, TeamScene

OFF: dict[str, Schedule] = {"intrinsic_scale": 0.0}
ALONE = RunArm(name="ablation", rates=OFF)
"""The same agents without the reward."""


def _moa(budget: Budget, name: str, game: Game) -> RunConfig:
    """With influence; with the model as a mere auxiliary loss; with neither, which is A3C. One program trains all."""
    if budget != "paper":
        return recipe.play(budget, name, game, "moa", (
            RunArm(name="influence"),
            RunArm(name="auxiliary", rates=OFF),
            RunArm(name="a3c", rates=OFF, auxiliary_scale=0.0),
        ))  # fmt: skip
    # The table gives the model of the mere auxiliary loss another weight in the loss.
    weight, other = (intrinsic(method, game)[0].loss_weight for method in ("moa", "moa-baseline"))  # type: ignore[attr-defined]
    auxiliary, plain = (recipe.published_rates(game, method) for method in ("moa-baseline", "a3c"))
    return recipe.play(budget, name, game, "moa", (
        RunArm(name="influence"),
        RunArm(name="auxiliary", rates=OFF, auxiliary_scale=other / weight, **auxiliary),
        RunArm(name="a3c", rates=OFF, auxiliary_scale=0.0, **plain),
    ))  # fmt: skip


def _other(budget: Budget, name: str, game: Game, method: str) -> RunConfig:
    arms = (RunArm(name="influence"), ALONE) if method == "centralised" else (RunArm(name="main"),)
    return recipe.play(budget, name, game, method, arms)


@functools.cache
def training(game: Game, method: str) -> Training:
    """The program of a method in a game: 'moa' has arms 'influence', 'auxiliary' and 'a3c', 'centralised' has
    'influence' and 'ablation', the others have 'main'."""
    name = f"jaques-{game}-{method}"

    def configure(budget: Budget) -> RunConfig:
        return _moa(budget, name, game) if method == "moa" else _other(budget, name, game, method)

    return Training(name=name, configure=configure, published=lambda: configure("paper"))


def arm(label: str, game: Game, method: str, name: str = "main") -> Arm:
    """Teams of one arm of a program, one a seed."""
    return Arm(label=label, agents=LearnedTeam(training=training(game, method), arm=name))


@functools.cache
def baseline(game: Game) -> Arm:
    """Agents that learn by themselves: neither influence nor messages nor a model of others."""
    return arm("A3C", game, "moa", "a3c")


@functools.cache
def scene(game: Game) -> TeamScene:
    return TeamScene(name=game.capitalize(), task=lambda budget: recipe.game(budget, game))


NOTES = (
    "A3C stands for the independent learner: A2C at `paper`, whose batches are synchronous, PPO at `desk`.",
    "Published rewards are of 50 agent steps at the end of training; here a whole episode counts.",
    "At `desk` maps are small, episodes last 200 steps, views are 9×9, and three agents (Harvest: four) play.",
)
