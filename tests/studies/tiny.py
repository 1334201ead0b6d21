"""A study that takes seconds, of the tiny run."""

import json

from rookery.studies import figures
from rookery.studies.claims import mean_above, most_seeds_exceed
from rookery.studies.study import Condition, EvalCondition, PretrainedAgent, Study, TrainedAgents, TrainingRun
from rookery.training.config import RandomPolicyConfig
from tests.tiny import CONFIG, TASK

TRAINING = TrainingRun(name="tiny", configure=lambda budget: CONFIG)
SCENE = EvalCondition(name="home", task=lambda budget: TASK, partners=lambda budget: (RandomPolicyConfig(),))
STUDY = Study(
    name="test/tiny",
    title="Tiny",
    source="none",
    compares="a tiny thing with itself",
    conditions=(
        Condition(label="social", agents=TrainedAgents(run=TRAINING, variant="social")),
        Condition(label="solo", agents=TrainedAgents(run=TRAINING, variant="solo")),
        Condition(label="experts", agents=PretrainedAgent(policy=lambda budget: RandomPolicyConfig())),
    ),
    eval_conditions=(SCENE,),
    claims=(
        mean_above("They gain.", "social", 0.0),
        most_seeds_exceed("Most beat experts.", "social", "experts"),
    ),
    figures=figures.training_figures,
)


def without_clocks(data: dict) -> str:
    """Results as text, less what a clock measured."""
    kept = {name: value for name, value in data.items() if name not in ("seconds", "runs")}
    return json.dumps(kept, sort_keys=True)
