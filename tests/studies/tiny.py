"""A study that takes seconds, of the tiny run."""

import json

from rookery.runs.config import Random
from rookery.studies import figures
from rookery.studies.claims import exceeds, most_seeds_exceed
from rookery.studies.study import Arm, Fixed, Learned, Scene, Study, Training
from tests.tiny import CONFIG, TASK

TRAINING = Training(name="tiny", configure=lambda budget: CONFIG)
SCENE = Scene(name="home", task=lambda budget: TASK, beside=lambda budget: (Random(),))
STUDY = Study(
    name="test/tiny",
    title="Tiny",
    source="none",
    compares="a tiny thing with itself",
    arms=(
        Arm(label="social", agents=Learned(training=TRAINING, arm="social")),
        Arm(label="solo", agents=Learned(training=TRAINING, arm="solo")),
        Arm(label="experts", agents=Fixed(policy=lambda budget: Random())),
    ),
    scenes=(SCENE,),
    claims=(
        exceeds("They gain.", "social", 0.0),
        most_seeds_exceed("Most beat experts.", "social", "experts"),
    ),
    figures=figures.training,
)


def without_clocks(data: dict) -> str:
    """Results as text, less what a clock measured."""
    kept = {name: value for name, value in data.items() if name not in ("seconds", "trainings")}
    return json.dumps(kept, sort_keys=True)
