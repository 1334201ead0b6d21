"""A tiny study of two runs, one of which starts from the agents of the other.

`python -m tests.scaling.study COMMAND...` is `rookery COMMAND...` with this study under the name test/pair. With
TEST_UPDATES it trains for so many updates; with TEST_UNSHARED no worker of Ray sees the driver's disk.
"""

import dataclasses
import os
import sys

from rookery import cli
from rookery.studies import study_list
from rookery.studies.agent_sources import PretrainedAgent, TrainedAgents
from rookery.studies.study import Condition
from rookery.studies.training_run import TrainingRun
from rookery.training.config import RandomPolicyConfig
from tests.studies import tiny
from tests.tiny import TASK
from tests.tiny import tiny as tiny_config

NAME = "test/pair"
UPDATES = int(os.environ.get("TEST_UPDATES", "8"))
CONFIG = tiny_config(
    name="pair",
    variants=tiny_config().variants[:1],
    total_timesteps=UPDATES * 4 * TASK.max_steps,
    eval_episodes=0,
    checkpoint_interval=2,
)
FIRST = TrainingRun(name="first", configure=lambda budget: CONFIG)
SECOND = TrainingRun(
    name="second", configure=lambda budget: CONFIG, init_from=TrainedAgents(run=FIRST, variant="social")
)
STUDY = dataclasses.replace(
    tiny.STUDY,
    name=NAME,
    conditions=(
        Condition(label="social", agents=TrainedAgents(run=FIRST, variant="social")),
        Condition(label="after", agents=TrainedAgents(run=SECOND, variant="social")),
        Condition(label="experts", agents=PretrainedAgent(policy=lambda budget: RandomPolicyConfig())),
    ),
    figures=lambda results: [],
)

if __name__ == "__main__":
    study_list.STUDIES[NAME] = "tests.scaling.study"
    if "TEST_UNSHARED" in os.environ:
        from rookery.scaling import ray_study

        ray_study.marker_text = lambda: "what no file on this disk says"
    sys.exit(cli.main(sys.argv[1:]))
