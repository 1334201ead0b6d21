"""Every learner a run's configuration may name; a new one needs what `types.Learner` asks for and a place here."""

from rookery.learning.a2c import A2C
from rookery.learning.ppo import PPO
from rookery.learning.r2d2 import R2D2

LearnerConfig = PPO | A2C | R2D2
