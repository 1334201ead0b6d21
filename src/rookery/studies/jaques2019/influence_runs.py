"""The runs that several of these studies share, their conditions and their evaluation conditions."""

from __future__ import annotations

import functools
from typing import Any

from rookery.studies.agent_sources import TrainedTeam
from rookery.studies.frozen_evaluation import TeamEvalCondition
from rookery.studies.jaques2019 import influence_budgets
from rookery.studies.mechanisms import InfluenceCheck
from rookery.studies.study import Condition
from rookery.studies.training_run import Budget, TrainingRun
from rookery.training.config import RunConfig, Variant
from rookery.training.presets.social_dilemmas import SocialDilemmaName, published_intrinsic_rewards
from rookery.training.schedules import Schedule

NO_INTRINSIC: dict[str, Schedule] = {"intrinsic_scale": 0.0}
ABLATION = Variant(name="ablation", hparams=NO_INTRINSIC)
"""The same agents without the influence reward."""


def _moa_config(budget: Budget, name: str, game: SocialDilemmaName) -> RunConfig:
    """With influence, and with the model as an auxiliary loss alone. One run trains both."""
    changes: dict[str, Any] = {}
    if budget == "paper":
        # The paper's table gives the model another weight in the loss where it is an auxiliary loss alone.
        weight, other = (published_intrinsic_rewards(method, game)[0].loss_weight for method in ("moa", "moa-baseline"))
        changes = {"aux_loss_scale": other / weight, **influence_budgets.published_hparams(game, "moa-baseline")}
    auxiliary = Variant(name="auxiliary", hparams=NO_INTRINSIC, **changes)
    return influence_budgets.method_run_config(budget, name, game, "moa", (Variant(name="influence"), auxiliary))


def _method_config(budget: Budget, name: str, game: SocialDilemmaName, method: str) -> RunConfig:
    variants = (Variant(name="influence"), ABLATION) if method == "centralized" else (Variant(name="main"),)
    return influence_budgets.method_run_config(budget, name, game, method, variants)


@functools.cache
def method_run(game: SocialDilemmaName, method: str) -> TrainingRun:
    """The run of a method in a game.

    Its variants: of 'moa', "influence" and "auxiliary"; of 'centralized', "influence" and "ablation"; of any other
    method, "main".
    """
    name = f"jaques-{game}-{method}"

    def configure(budget: Budget) -> RunConfig:
        return _moa_config(budget, name, game) if method == "moa" else _method_config(budget, name, game, method)

    return TrainingRun(name=name, configure=configure, published_config=lambda: configure("paper"))


def method_condition(label: str, game: SocialDilemmaName, method: str, variant: str = "main") -> Condition:
    """Teams of one variant of a run, one per seed."""
    return Condition(label=label, agents=TrainedTeam(run=method_run(game, method), variant=variant))


@functools.cache
def a3c_condition(game: SocialDilemmaName) -> Condition:
    """Independent learners: without influence, messages or a model of others.

    Their run is their own: as a variant of another one they would pay for its model or messages.
    """
    return method_condition("A3C", game, "a3c")


@functools.cache
def game_condition(game: SocialDilemmaName) -> TeamEvalCondition:
    """The game as an evaluation condition."""
    return TeamEvalCondition(name=game.capitalize(), task=lambda budget: influence_budgets.dilemma_task(budget, game))


def influence_check(method: str, label: str, game: SocialDilemmaName) -> InfluenceCheck:
    """Whether a method's influence reward was large enough to be felt, in one condition of a game."""
    (reward,) = published_intrinsic_rewards(method, game)
    return InfluenceCheck(
        mechanism=reward.kind,
        condition=label,
        reward=reward,
        episode_steps=lambda budget: influence_budgets.dilemma_task(budget, game).max_steps,
    )


NOTES = (
    "A3C stands for the independent learner: A2C at `paper`, whose batches are synchronous, PPO at `desk`.",
    "Published rewards are over the last 50 agent steps of training; here a whole episode counts.",
    "The paper's table gives the influencee's reward a weight of 1, which is taken as the weight 1.0; it may be a "
    "flag. The reward for influence by a model of others is paid in the step in which the influence is exerted; the "
    "reference code pays it one step later.",
    "At `desk` maps are small, episodes have 200 steps, views are 9×9, and there are three agents (Harvest: four). A "
    "hit costs 1 at first, and as published from 40 % of training on. In Harvest the weights of influence are larger "
    "than the published ones, which agents do not feel after so few steps; they were chosen on training seeds.",
)

_HARVEST_CHANGE = (
    "at `desk`, a hit in Harvest costs 1 at first, agents learn faster with a larger network, and weights of influence "
    "are larger; before, agents hardly reacted to each other"
)


def definition(game: SocialDilemmaName, *changes: str) -> dict[str, Any]:
    """A study's `definition` and `changes`, from what changed in both games; settings of Harvest changed last."""
    if game == "harvest":
        changes = (*changes, _HARVEST_CHANGE)
    return {"definition": 1 + len(changes), "changes": dict(enumerate(changes, 2))}
