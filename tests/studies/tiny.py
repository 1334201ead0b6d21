"""A study that takes seconds, with the tiny run."""

import json

from rookery.studies import figures
from rookery.studies.agent_sources import PretrainedAgent, TrainedAgents
from rookery.studies.claims import mean_above, most_seeds_exceed
from rookery.studies.frozen_evaluation import EvalCondition
from rookery.studies.study import Condition, Study
from rookery.studies.training_run import TrainingRun
from rookery.training.config import RandomPolicyConfig
from tests.tiny import CONFIG, TASK

RUN = TrainingRun(name="tiny", configure=lambda budget: CONFIG)
EVAL_CONDITION = EvalCondition(name="home", task=lambda budget: TASK, partners=lambda budget: (RandomPolicyConfig(),))
STUDY = Study(
    name="test/tiny",
    title="Tiny",
    source="none",
    compares="a tiny thing with itself",
    conditions=(
        Condition(label="social", agents=TrainedAgents(run=RUN, variant="social")),
        Condition(label="solo", agents=TrainedAgents(run=RUN, variant="solo")),
        Condition(label="experts", agents=PretrainedAgent(policy=lambda budget: RandomPolicyConfig())),
    ),
    eval_conditions=(EVAL_CONDITION,),
    claims=(
        mean_above("They have a social gain.", "social", 0.0),
        most_seeds_exceed("Most exceed the experts.", "social", "experts"),
    ),
    figures=figures.training_figures,
)


def without_clocks(data: dict) -> str:
    """Results as text, without what a clock measured."""
    content = {name: value for name, value in data.items() if name not in ("seconds", "runs")}
    return json.dumps(content, sort_keys=True)
