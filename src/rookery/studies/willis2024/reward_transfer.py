"""Agents that give a fraction of their rewards to each other, in the prisoner's dilemma and in Coin Game.

The paper's measure of a dilemma is the largest fraction of its rewards that an agent can keep while cooperation is
still dominant. It is worked out from payoffs; here agents learn, and the study asks whether they change where the paper
says.

In both games the bound is two thirds. Prisoner's dilemma, payoffs 1, -1, 2 and 0, an agent that gives the fraction s:
against a cooperator, cooperation pays 1 and defection 2(1 - s) - s = 2 - 3s; against a defector, cooperation pays
-(1 - s) + 2s = 3s - 1 and defection 0. Cooperation is better against both where s > ⅓, defection where s < ⅓. In Coin
Game a coin of the other's color pays the one that takes it (1 - s) - 2s = 1 - 3s. So agents that give a quarter should
defect, and agents that give half should cooperate.

Source: Willis et al. 2024, arXiv:2310.12928.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from rookery.learning.intrinsic.reward_sharing import RewardSharing
from rookery.studies.agent_sources import TrainedTeam
from rookery.studies.claims import mean_greater
from rookery.studies.duque2025 import coin_game_study as coins
from rookery.studies.duque2025 import prisoners_dilemma as matrix
from rookery.studies.duque2025.coin_play import OWN_COINS, measure_coin_play
from rookery.studies.duque2025.iterated_play import COOPERATION, EXTRA, measure_play, play_dots, play_greater, play_mean
from rookery.studies.figures import team_figures
from rookery.studies.frozen_evaluation import TeamEvalCondition
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Condition, Figures, Study
from rookery.studies.training_run import Budget, TrainingRun
from rookery.training.config import RunConfig, Variant

FRACTIONS = {"nothing": 0.0, "a quarter": 0.25, "half": 0.5}
"""What agents give, by the words of the conditions; the bound is a third."""
_COIN_GAME, _DILEMMA = coins.COINS_3X3, TeamEvalCondition(name="prisoner's dilemma", task=matrix.matrix_game)
_VARIANTS = tuple(
    Variant(name=name.replace(" ", "-"), hparams={"intrinsic_scale": fraction}) for name, fraction in FRACTIONS.items()
)


def _coin_config(budget: Budget) -> RunConfig:
    learner = coins.coin_learner(budget, intrinsic=(RewardSharing(weight=1.0),))
    run = coins.coin_run(budget, "willis-coins", coins.coin_group(budget, learner))
    return dataclasses.replace(run, variants=_VARIANTS)


def _matrix_config(budget: Budget) -> RunConfig:
    learner = matrix.matrix_learner(budget, intrinsic=(RewardSharing(weight=1.0),))
    run = matrix.matrix_run(budget, "willis-matrix", matrix.matrix_group(budget, learner))
    return dataclasses.replace(run, variants=_VARIANTS)


def _conditions(configure: Callable[[Budget], RunConfig], game: TeamEvalCondition) -> tuple[Condition, ...]:
    """Of each fraction, in one game."""
    name = configure("desk").name
    run = TrainingRun(name=name, configure=configure, published_config=functools.partial(configure, "desk"))
    return tuple(
        Condition(
            label=f"give {fraction}, {game.name}",
            agents=TrainedTeam(run=run, variant=variant.name),
            eval_conditions=(game,),
        )
        for fraction, variant in zip(FRACTIONS, _VARIANTS, strict=True)
    )


_IN_MATRIX, _IN_COINS = _conditions(_matrix_config, _DILEMMA), _conditions(_coin_config, _COIN_GAME)


def _measure(session: Session) -> dict[str, Any]:
    in_matrix, in_coins = (
        {condition.label: condition.agents for condition in conditions} for conditions in (_IN_MATRIX, _IN_COINS)
    )
    played: Any = measure_play(session, in_matrix, matrix.matrix_game(session.budget))  # type: ignore[arg-type]
    measured: Any = measure_coin_play(session, _COIN_GAME, in_coins)  # type: ignore[arg-type]
    return {EXTRA: played[EXTRA] | measured[EXTRA]}


def _figures(results: Results) -> Figures:
    in_matrix, in_coins = (tuple(c.label for c in conditions) for conditions in (_IN_MATRIX, _IN_COINS))
    caption = "Fraction of steps in which an agent cooperates. Above a third, theory says cooperation."
    of_coins = "Of the coins that an agent takes, those of its own color. Above a third, theory says all of them."
    return [
        *play_dots("figure", results, in_matrix, COOPERATION, caption),
        *play_dots("coins", results, in_coins, OWN_COINS, of_coins),
        *team_figures(results),
    ]


def _claims() -> tuple[Any, ...]:
    none, quarter, half = (condition.label for condition in _IN_MATRIX)
    none_coins, quarter_coins, half_coins = (condition.label for condition in _IN_COINS)
    return (
        play_greater("In the prisoner's dilemma, agents that give half cooperate more often than agents that give a "
                     "quarter.", half, quarter, COOPERATION),
        play_mean("Agents that give a quarter defect in most steps.", quarter, COOPERATION, below=0.25),
        play_mean("Agents that give half cooperate in most steps.", half, COOPERATION, above=0.75),
        play_greater("In Coin Game, of the coins that agents take, more are of their own color if they give half than "
                     "if they give a quarter.", half_coins, quarter_coins, OWN_COINS),
        play_mean("Agents that give a quarter take every coin: fewer than six of ten are of the own color.",
                  quarter_coins, OWN_COINS, below=0.6),
        play_mean("Agents that give half mostly take coins of their own color.", half_coins, OWN_COINS, above=0.75),
        mean_greater("Agents that give half earn more together in Coin Game than agents that give nothing.",
                     half_coins, none_coins, "collective_reward", _COIN_GAME.name),
        mean_greater("So they do in the prisoner's dilemma.", half, none, "collective_reward", _DILEMMA.name),
    )  # fmt: skip


STUDY = Study(
    name="willis2024/reward-transfer",
    title="Shared rewards in the prisoner's dilemma and in Coin Game",
    source="Willis et al. 2024, arXiv:2310.12928",
    compares="two agents that give each other nothing, a quarter or half of their rewards, in two games; by "
    "the payoffs cooperation begins to pay at a third",
    conditions=(*_IN_MATRIX, *_IN_COINS),
    eval_conditions=(_DILEMMA, _COIN_GAME),
    claims=_claims(),
    figures=_figures,
    num_seeds=10,
    budgets=("smoke", "desk"),
    notes=(
        "The paper works its bound out from payoffs; learning agents and these two games are this project's.",
        "Settings are those of the studies of Advantage Alignment, and were not tuned for this one.",
        "Returns are of the game's rewards, before anything is given.",
    ),
    measure_extra=_measure,
    steps_per_second={"desk": 10_000},
)  # fmt: skip
