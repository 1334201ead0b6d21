"""The programs that several of these studies share, their arms and their scenes."""

from __future__ import annotations

import functools

from rookery.studies.jaques2019 import influence_budgets
from rookery.studies.study import Budget, Condition, TrainingRun
from rookery.studies.trained_teams import TeamEvalCondition, TrainedTeam
from rookery.training.config import RunConfig
from rookery.training.config import Variant as RunArm
from rookery.training.presets_dilemma import SocialDilemmaName, published_intrinsic_rewards
from rookery.training.schedules import Schedule

NO_INTRINSIC: dict[str, Schedule] = {"intrinsic_scale": 0.0}
ABLATION = RunArm(name="ablation", hparams=NO_INTRINSIC)
"""The same agents without the reward."""


def _moa_config(budget: Budget, name: str, game: SocialDilemmaName) -> RunConfig:
    """With influence; with the model as a mere auxiliary loss; with neither, which is A3C. One program trains all."""
    if budget != "paper":
        return influence_budgets.method_run_config(budget, name, game, "moa", (
            RunArm(name="influence"),
            RunArm(name="auxiliary", hparams=NO_INTRINSIC),
            RunArm(name="a3c", hparams=NO_INTRINSIC, aux_loss_scale=0.0),
        ))  # fmt: skip
    # The table gives the model of the mere auxiliary loss another weight in the loss.
    weight, other = (published_intrinsic_rewards(method, game)[0].loss_weight for method in ("moa", "moa-baseline"))  # type: ignore[attr-defined]
    auxiliary, plain = (influence_budgets.published_hparams(game, method) for method in ("moa-baseline", "a3c"))
    return influence_budgets.method_run_config(budget, name, game, "moa", (
        RunArm(name="influence"),
        RunArm(name="auxiliary", hparams=NO_INTRINSIC, aux_loss_scale=other / weight, **auxiliary),
        RunArm(name="a3c", hparams=NO_INTRINSIC, aux_loss_scale=0.0, **plain),
    ))  # fmt: skip


def _method_config(budget: Budget, name: str, game: SocialDilemmaName, method: str) -> RunConfig:
    arms = (RunArm(name="influence"), ABLATION) if method == "centralized" else (RunArm(name="main"),)
    return influence_budgets.method_run_config(budget, name, game, method, arms)


@functools.cache
def method_run(game: SocialDilemmaName, method: str) -> TrainingRun:
    """The program of a method in a game: 'moa' has arms 'influence', 'auxiliary' and 'a3c', 'centralized' has
    'influence' and 'ablation', the others have 'main'."""
    name = f"jaques-{game}-{method}"

    def configure(budget: Budget) -> RunConfig:
        return _moa_config(budget, name, game) if method == "moa" else _method_config(budget, name, game, method)

    return TrainingRun(name=name, configure=configure, published_config=lambda: configure("paper"))


def method_condition(label: str, game: SocialDilemmaName, method: str, variant: str = "main") -> Condition:
    """Teams of one arm of a program, one a seed."""
    return Condition(label=label, agents=TrainedTeam(run=method_run(game, method), variant=variant))


@functools.cache
def a3c_condition(game: SocialDilemmaName) -> Condition:
    """Agents that learn by themselves: neither influence nor messages nor a model of others."""
    return method_condition("A3C", game, "moa", "a3c")


@functools.cache
def game_condition(game: SocialDilemmaName) -> TeamEvalCondition:
    return TeamEvalCondition(name=game.capitalize(), task=lambda budget: influence_budgets.dilemma_task(budget, game))


NOTES = (
    "A3C stands for the independent learner: A2C at `paper`, whose batches are synchronous, PPO at `desk`.",
    "Published rewards are of 50 agent steps at the end of training; here a whole episode counts.",
    "At `desk` maps are small, episodes last 200 steps, views are 9×9, and three agents (Harvest: four) play.",
)
