"""Q-learning and policy gradients: the learners that were tried before PPO.

Source: the first author's talk of 2020: DQN stayed weak, even with an LSTM and prioritized replay; PPO improved at
once. Ndousse et al. 2021, section 3.2: PPO performs better than deep Q-learning.
"""

from __future__ import annotations

import dataclasses

from rookery.learning.r2d2 import R2D2
from rookery.studies import budgets, figures
from rookery.studies.agent_sources import TrainedAgents
from rookery.studies.claims import changed, mean_greater
from rookery.studies.ndousse2021.shared_runs import (
    EXPERT_AGENTS,
    GOAL_CYCLE_3,
    SOCIAL_NEXT_FRAME,
    SOCIAL_VANILLA,
    SOCIAL_VARIANT,
    SOLO_NEXT_FRAME,
    SOLO_VARIANT,
)
from rookery.studies.study import Condition, Study
from rookery.studies.training_run import Budget, TrainingRun
from rookery.training.config import RunConfig


def _dqn_config(budget: Budget) -> RunConfig:
    """The preset with another learner, which has its own step size and exploration."""
    config = budgets.run_config(budget, "dqn", (SOCIAL_VARIANT, SOLO_VARIANT))
    learner = R2D2(capacity=budgets.REPLAY_CAPACITY)
    if budget == "smoke":
        learner = R2D2(capacity=16, sequence_length=5, burn_in=2, n_step=2, gradient_steps=2, minibatch_size=8)
    novice = dataclasses.replace(config.team[0], learner=learner, learning_rate=budgets.REPLAY_LEARNING_RATE)
    return dataclasses.replace(config, team=(novice, *config.team[1:]))


_DQN_RUN = TrainingRun(name="dqn", configure=_dqn_config)
_DQN_SOCIAL = Condition(label="DQN, social", agents=TrainedAgents(run=_DQN_RUN, variant="social"))
_DQN_SOLO = Condition(label="DQN, solo", agents=TrainedAgents(run=_DQN_RUN, variant="solo"))

STUDY = Study(
    name="ndousse2021/talk2020/dqn",
    title="Q-learning and policy gradients",
    source="Ndousse 2020, talk; Ndousse et al. 2021, section 3.2",
    compares="DQN + LSTM + prioritized replay and PPO after equal steps, social and solo",
    conditions=(_DQN_SOCIAL, _DQN_SOLO, SOCIAL_VANILLA, SOCIAL_NEXT_FRAME, SOLO_NEXT_FRAME, EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        mean_greater("With experts, PPO without an auxiliary loss earns more than DQN.",
                     SOCIAL_VANILLA.label, _DQN_SOCIAL.label),
        mean_greater("PPO without an auxiliary loss has a larger social gain than DQN.",
                     SOCIAL_VANILLA.label, _DQN_SOCIAL.label, "social_gain"),
        changed(mean_greater("Alone, PPO earns more than DQN.", SOLO_NEXT_FRAME.label, _DQN_SOLO.label, "return_solo"),
                since=2),
    ),
    figures=figures.training_figures,
    num_seeds=6,
    definition=3,
    changes={2: budgets.DEFINITION_2, 3: budgets.DEFINITION_3},
)  # fmt: skip
