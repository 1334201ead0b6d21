"""Agents with a wanted split of rewards, in the prisoner's dilemma: individualistic, prosocial, altruistic, and mixed.

The paper's agents pay for the difference between the angle of a split of rewards and the angle that they want. With
payoffs 2, 0, 3 and 1 mutual cooperation and mutual defection lie at 45°, an agent that defects alone at 0°, one that
cooperates alone at 90°. With weight w a difference of 45° costs ¼πw, here 1.57. So, by the payoffs:

- 0°: defecting alone costs nothing, and defection pays more against both.
- 90°: cooperating alone costs nothing. Cooperation is better against both where ¼πw > 1.
- 45°: mutual cooperation and mutual defection both cost nothing, and both are stable: a stag hunt. Against an agent
  that acts at random, defection pays more.

The paper's games are larger, and its agents more; that orientation makes agents in one group differ is its claim for
them. What is asked here is whether learning agents go where the payoffs say.

Source: McKee et al. 2020, arXiv:2002.02325.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from rookery.learning.intrinsic.value_orientation import SocialValueOrientation
from rookery.studies.agent_sources import TrainedTeam
from rookery.studies.duque2025 import prisoners_dilemma as matrix
from rookery.studies.duque2025.iterated_play import COOPERATION, measure_play, play_dots, play_greater, play_mean
from rookery.studies.figures import team_figures
from rookery.studies.frozen_evaluation import TeamEvalCondition
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Condition, Figures, Study
from rookery.studies.training_run import Budget, TrainingRun
from rookery.tasks.matrix_games import MatrixGame
from rookery.training.config import RunConfig

WEIGHT = 2.0
ANGLES = {"individualistic": (0, 0), "prosocial": (45, 45), "altruistic": (90, 90), "mixed": (90, 0)}
"""Degrees that the two agents want, by condition."""


def positive_dilemma(budget: Budget) -> MatrixGame:
    """The game of the studies of Advantage Alignment with all payoffs raised by 1: no reward is negative."""
    game = matrix.matrix_game(budget)
    payoffs = {name: getattr(game, name) + 1 for name in ("reward", "sucker", "temptation", "punishment")}
    return dataclasses.replace(game, **payoffs)


def _config(budget: Budget, name: str) -> RunConfig:
    groups = (
        matrix.matrix_group(
            budget,
            matrix.matrix_learner(budget, intrinsic=(SocialValueOrientation(weight=WEIGHT, angle=float(angle)),)),
            name=f"player-{slot}",
            slots=(slot,),
        )
        for slot, angle in enumerate(ANGLES[name])
    )
    run = matrix.matrix_run(budget, f"mckee-{name}", *groups)
    return dataclasses.replace(run, task=positive_dilemma(budget))


def _condition(name: str) -> Condition:
    run = TrainingRun(
        name=_config("desk", name).name,
        configure=functools.partial(_config, name=name),
        published_config=functools.partial(_config, "desk", name),
    )
    return Condition(label=name, agents=TrainedTeam(run=run, variant="main"))


_CONDITIONS = {name: _condition(name) for name in ANGLES}
_INDIVIDUALISTIC, _PROSOCIAL, _ALTRUISTIC, _MIXED = _CONDITIONS


def _measure(session: Session) -> dict[str, Any]:
    teams: Any = {name: condition.agents for name, condition in _CONDITIONS.items()}
    return measure_play(session, teams, positive_dilemma(session.budget))


def _figures(results: Results) -> Figures:
    caption = "Fraction of steps in which an agent cooperates, by the split of rewards that the two agents want."
    return [*play_dots("figure", results, _CONDITIONS, COOPERATION, caption), *team_figures(results)]


STUDY = Study(
    name="mckee2020/value-orientation",
    title="Social value orientation in the prisoner's dilemma",
    source="McKee et al. 2020, arXiv:2002.02325",
    compares="teams of two agents that want a certain split of rewards: both individualistic (0°), prosocial (45°) or "
    "altruistic (90°), and an altruist with an individualist",
    conditions=tuple(_CONDITIONS.values()),
    eval_conditions=(TeamEvalCondition(name="prisoner's dilemma", task=positive_dilemma),),
    claims=(
        play_greater("Two altruistic agents cooperate more often than two individualistic ones.",
                     _ALTRUISTIC, _INDIVIDUALISTIC, COOPERATION),
        play_mean("Altruistic agents cooperate in most steps.", _ALTRUISTIC, COOPERATION, above=0.75),
        play_mean("Individualistic agents defect in most steps.", _INDIVIDUALISTIC, COOPERATION, below=0.25),
        play_mean("Prosocial agents, who want an equal split alone, end in mutual defection.",
                  _PROSOCIAL, COOPERATION, below=0.25),
        play_greater("Next to an individualist an altruist still cooperates more often than individualistic agents.",
                     _MIXED, _INDIVIDUALISTIC, COOPERATION, slot=0),
        play_mean("Next to an altruist an individualist defects in most steps.",
                  _MIXED, COOPERATION, slot=1, below=0.25),
    ),
    figures=_figures,
    num_seeds=10,
    budgets=("smoke", "desk"),
    notes=(
        "The paper trains larger groups in Harvest and Cleanup; the prisoner's dilemma is this project's, because its "
        "payoffs say beforehand what should come out.",
        "The weight 2 follows from the payoffs; settings of the learner are those of the studies of Advantage "
        "Alignment. Neither was tuned.",
        "Returns are of the game's rewards, without the cost of the split.",
    ),
    measure_extra=_measure,
    steps_per_second={"desk": 10_000},
)  # fmt: skip
