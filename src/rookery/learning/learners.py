"""Every learner a run's configuration may name; a new one needs what `types.Learner` asks for and a place here."""

from rookery.learning.a2c import A2C
from rookery.learning.dqn import DQN
from rookery.learning.ppo import PPO

LearnerConfig = PPO | A2C | DQN
