"""Q-learning against policy gradients: the learners tried before.

Source: the first author's talk of 2020 and Ndousse et al. 2021, section 5: DQN, with memory, with prioritised replay,
stayed weak; PPO gained at once.
"""

from __future__ import annotations

import dataclasses

from rookery.learning.dqn import DQN
from rookery.runs.config import Arm, RunConfig
from rookery.studies import figures, recipe
from rookery.studies.claims import more
from rookery.studies.ndousse2021.programs import EXPERTS, HOME, SOCIAL_NEXT, SOLO, VANILLA
from rookery.studies.study import Arm as Condition
from rookery.studies.study import Budget, Learned, Study, Training


def _dqn(budget: Budget) -> RunConfig:
    """The recipe with another learner; its step size and exploration are its own."""
    arms = (Arm(name="social"), Arm(name="solo", social_share=0.0))
    config = recipe.run(budget, "dqn", arms)
    learner = DQN(capacity=recipe.REPLAY_EPISODES)
    if budget == "smoke":
        learner = DQN(capacity=16, sequence_length=5, burn_in=2, lookahead=2, gradient_steps=2, sequences=8)
    novice = dataclasses.replace(config.team[0], learner=learner, learning_rate=recipe.REPLAY_LEARNING_RATE)
    return dataclasses.replace(config, team=(novice, *config.team[1:]))


TRAINING = Training(name="dqn", configure=_dqn)
SOCIAL = Condition(label="DQN, social", agents=Learned(training=TRAINING, arm="social"))
ALONE = Condition(label="DQN, solo", agents=Learned(training=TRAINING, arm="solo"))

STUDY = Study(
    name="ndousse2021/talk/dqn",
    title="Q-learning and policy gradients",
    source="Ndousse 2020, talk; Ndousse et al. 2021, section 5",
    compares="DQN + LSTM + prioritised replay against PPO at equal steps, social and solo",
    arms=(SOCIAL, ALONE, VANILLA, SOCIAL_NEXT, SOLO, EXPERTS),
    scenes=(HOME,),
    claims=(
        more("Beside experts PPO without auxiliary loss earns more than DQN.", VANILLA.label, SOCIAL.label),
        more("Its social gain is larger.", VANILLA.label, SOCIAL.label, "gain"),
        more("Alone PPO earns more than DQN.", SOLO.label, ALONE.label, "alone"),
    ),
    figures=figures.training,
)
