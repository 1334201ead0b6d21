"""Reciprocators in Coin Game and in the prisoner's dilemma: with each other, and with an agent that learns without.

A Reciprocator repays what the other agent did to its return, good with good and bad with bad. The paper's claims: two
of them come to cooperate, and an agent next to one, which learns for itself alone, comes to cooperate, too.

Both conditions are variants of one run: agent 0 always reciprocates, agent 1 in one variant only. They are compared
with two agents that learn with plain PPO, those of the studies of Advantage Alignment, which have the same settings.

Source: Zhou et al. 2024, arXiv:2406.01641. The weight of the reward in the prisoner's dilemma is that of the published
code. In Coin Game, that code's weight of 1 gave rewards that are negligible here; docs/dilemmas.md has what was tried.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from rookery.learning.intrinsic.reciprocity import Reciprocity
from rookery.studies.agent_sources import TrainedAgents, TrainedTeam
from rookery.studies.claims import changed
from rookery.studies.duque2025 import coin_game_study as coins
from rookery.studies.duque2025 import prisoners_dilemma as matrix
from rookery.studies.duque2025.coin_play import OWN_COINS, measure_coin_play
from rookery.studies.duque2025.iterated_play import (
    COOPERATION,
    EXTRA,
    RESPONSE,
    measure_play,
    play_greater,
    play_mean,
)
from rookery.studies.figures import team_figures
from rookery.studies.frozen_evaluation import TeamEvalCondition
from rookery.studies.mechanisms import MechanismCheck
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Condition, Figures, Study
from rookery.studies.training_run import Budget, TrainingRun
from rookery.training.config import GroupConfig, RunConfig, Variant

COIN_WEIGHT, MATRIX_WEIGHT = 8.0, 5.0
_BOTH, _ONE = Variant(name="both", hparams={"intrinsic_scale": 1.0}), Variant(name="one")
_RECIPROCATOR, _LEARNER = "reciprocator", "learner"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReciprocatingTeam(TrainedTeam):
    """A team whose agent 0 reciprocates for sure: it alone says whether the reward was alive."""

    def mechanism_checks(self, session: Session, mechanism: str, by: float) -> list[dict[str, Any]]:
        agent = TrainedAgents(run=self.run, variant=self.variant, group=_RECIPROCATOR)
        return agent.mechanism_checks(session, mechanism, by)


def _groups(group: GroupConfig) -> tuple[GroupConfig, GroupConfig]:
    """Agent 0, and agent 1 with a weight of 0; a variant changes it."""
    return (
        dataclasses.replace(group, name=_RECIPROCATOR, slots=(0,)),
        dataclasses.replace(group, name=_LEARNER, slots=(1,), hparams={"intrinsic_scale": 0.0}),
    )


def _coin_config(budget: Budget) -> RunConfig:
    learner = coins.coin_learner(budget)
    reciprocity = Reciprocity(weight=COIN_WEIGHT, gamma=learner.gamma)
    group = coins.coin_group(budget, dataclasses.replace(learner, intrinsic=(reciprocity,)))
    return dataclasses.replace(coins.coin_run(budget, "zhou-coins", *_groups(group)), variants=(_BOTH, _ONE))


def _matrix_config(budget: Budget) -> RunConfig:
    learner = matrix.matrix_learner(budget)
    reciprocity = Reciprocity(weight=MATRIX_WEIGHT, gamma=learner.gamma)
    group = matrix.matrix_group(budget, dataclasses.replace(learner, intrinsic=(reciprocity,)))
    return dataclasses.replace(matrix.matrix_run(budget, "zhou-matrix", *_groups(group)), variants=(_BOTH, _ONE))


_COINS, _MATRIX = coins.COINS_3X3, TeamEvalCondition(name="prisoner's dilemma", task=matrix.matrix_game)


def _conditions(configure: Any, plain: TrainedTeam, game: TeamEvalCondition) -> tuple[Condition, Condition, Condition]:
    """Two Reciprocators, one with a learner, and two learners."""
    run = TrainingRun(
        name=configure("desk").name, configure=configure, published_config=functools.partial(configure, "desk")
    )
    teams = {
        "two Reciprocators": ReciprocatingTeam(run=run, variant=_BOTH.name),
        "Reciprocator and learner": ReciprocatingTeam(run=run, variant=_ONE.name),
        "two learners": plain,
    }
    both, one, none = (
        Condition(label=f"{label}, {game.name}", agents=team, eval_conditions=(game,)) for label, team in teams.items()
    )
    return both, one, none


_IN_COINS = _conditions(_coin_config, coins.PLAIN_COLLECTORS.agents, _COINS)  # type: ignore[arg-type]
_IN_MATRIX = _conditions(_matrix_config, matrix.PLAIN.agents, _MATRIX)  # type: ignore[arg-type]


def _alive(condition: Condition) -> dict[str, Any]:
    """The mechanism that a claim about a condition needs: a reward that is not negligible next to the game's."""
    return {"mechanisms": (MechanismCheck(mechanism="reciprocity", condition=condition.label),)}


def _measure(session: Session) -> dict[str, Any]:
    in_coins, in_matrix = (
        {condition.label: condition.agents for condition in conditions} for conditions in (_IN_COINS, _IN_MATRIX)
    )
    measured: Any = measure_coin_play(session, _COINS, in_coins)  # type: ignore[arg-type]
    played: Any = measure_play(session, in_matrix, matrix.matrix_game(session.budget))  # type: ignore[arg-type]
    return {EXTRA: measured[EXTRA] | played[EXTRA]}


def _figures(results: Results) -> Figures:
    in_coins, in_matrix = (tuple(c.label for c in conditions) for conditions in (_IN_COINS, _IN_MATRIX))
    figures = coins.coin_figures(results, in_coins)
    of_matrix = matrix.play_figures(results, in_matrix)
    figures += [(f"matrix_{name}", figure, caption) for name, figure, caption in of_matrix]
    return [*figures, *team_figures(results)]


def _claims() -> tuple[Any, ...]:
    both, one, none = (condition.label for condition in _IN_COINS)
    both_matrix, one_matrix, none_matrix = (condition.label for condition in _IN_MATRIX)
    return (
        changed(play_greater("In Coin Game, two Reciprocators take more coins of their own color, of those that they "
                             "take, than two learners with plain PPO.", both, none, OWN_COINS), **_alive(_IN_COINS[0])),
        changed(play_greater("A learner next to a Reciprocator takes more coins of its own color, of those that it "
                             "takes, than next to another learner.", one, none, OWN_COINS, slot=1),
                **_alive(_IN_COINS[1])),
        changed(play_greater("In the prisoner's dilemma, two Reciprocators cooperate more often than two learners.",
                             both_matrix, none_matrix, COOPERATION), **_alive(_IN_MATRIX[0])),
        changed(play_greater("A learner next to a Reciprocator cooperates more often than next to another learner.",
                             one_matrix, none_matrix, COOPERATION, slot=1), **_alive(_IN_MATRIX[1])),
        changed(play_mean("Two Reciprocators play like tit for tat: they cooperate much more often after cooperation "
                          "than after defection.", both_matrix, RESPONSE, above=0.5), **_alive(_IN_MATRIX[0])),
    )  # fmt: skip


STUDY = Study(
    name="zhou2024/reciprocators",
    title="Reciprocators in Coin Game and in the prisoner's dilemma",
    source="Zhou et al. 2024, arXiv:2406.01641",
    compares="two agents that reciprocate, one next to an agent that learns with plain PPO, and two of the latter, in "
    "two games",
    conditions=(*_IN_COINS, *_IN_MATRIX),
    eval_conditions=(_COINS, _MATRIX),
    claims=_claims(),
    figures=_figures,
    num_seeds=10,
    budgets=("smoke", "desk"),
    notes=(
        "The published code trains a model of rewards and one of returns on a buffer of past episodes; here one model "
        "of returns learns with the policy.",
        "In the published code of the prisoner's dilemma the balance is the other agent's last influence alone, and "
        "expected rewards come from the known payoffs; here it is as in Coin Game.",
        "Episodes and training are far shorter than in the published code.",
    ),
    measure_extra=_measure,
    steps_per_second={"desk": 9_000},
)
