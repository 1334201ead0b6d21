"""The maze of the transfer tasks, and who finds its goal.

Source: Ndousse et al. 2021, figure 13, which shows one.
"""

from __future__ import annotations

import jax
import numpy as np

from rookery.runs.config import Random, Scripted
from rookery.runs.evaluation import evaluation_key
from rookery.show.plots import interval_dots
from rookery.studies import figures
from rookery.studies.claims import exceeds, more
from rookery.studies.ndousse2021.programs import MAZE, TASK_EXPERTS
from rookery.studies.pictures import tiles
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Arm, Fixed, Study

OWN = Arm(label="expert that sees its own view", agents=Fixed(policy=lambda budget: Scripted(sight="own")))
BLIND = Arm(label="random mover", agents=Fixed(policy=lambda budget: Random()))
SHOWN = 4
"""Mazes drawn."""


def _mazes(session: Session) -> dict:
    """Tiles of a few mazes: {'mazes': [[[kind]]]}."""
    env = session.stage(MAZE).env
    keys = jax.random.split(evaluation_key(session.seed), SHOWN)
    states, _ = jax.vmap(lambda key: env.reset(key, env.default_params()))(keys)
    return {"mazes": np.asarray(states.tiles).tolist()}


def _figures(results: Results) -> figures.Figures:
    rows = {arm: results.values(arm) for arm in results.arms}
    dots = interval_dots(rows, xlabel="goals an episode")
    return [
        (
            "figure",
            tiles(results.data["measured"]["mazes"]),
            "Mazes, a new one each episode; the goal is yellow.",
        ),
        ("agents", dots, "Goals an episode of ready-made agents."),
    ]


STUDY = Study(
    name="ndousse2021/fig13",
    title="A maze",
    source="Ndousse et al. 2021, figure 13",
    compares="a maze: what it looks like, and what ready-made agents earn in it",
    arms=(TASK_EXPERTS, OWN, BLIND),
    scenes=(MAZE,),
    claims=(
        exceeds("Who sees the map reaches a goal in nearly every episode.", "experts", 0.95, "counts alone: success"),
        more("Who sees the map earns more than who sees its own view.", "experts", OWN.label),
        more("Who sees its own view earns more than a random mover.", OWN.label, BLIND.label),
    ),
    figures=_figures,
    measure=_mazes,
)
