"""The maze of the transfer tasks, and which agents find its goal.

Source: Ndousse et al. 2021, figure 13, which shows one maze.
"""

from __future__ import annotations

import jax
import numpy as np

from rookery.studies.agent_sources import PretrainedAgent
from rookery.studies.claims import mean_above, mean_greater
from rookery.studies.image_grid import draw_tile_maps
from rookery.studies.ndousse2021.shared_runs import MAZE, TASK_EXPERTS
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Condition, Figures, Study
from rookery.training.config import RandomPolicyConfig, ScriptedPolicyConfig
from rookery.training.evaluation import evaluation_key
from rookery.viz.plots import interval_dots

_PARTIAL_VIEW_EXPERT = Condition(
    label="expert that sees its own view",
    agents=PretrainedAgent(policy=lambda budget: ScriptedPolicyConfig(observability="partial")),
)
_RANDOM_MOVER = Condition(label="random mover", agents=PretrainedAgent(policy=lambda budget: RandomPolicyConfig()))
_NUM_MAZES_SHOWN = 4


def _sample_mazes(session: Session) -> dict:
    """Tiles of a few mazes: {'mazes': [[[kind]]]}."""
    env = session.evaluator(MAZE).env
    keys = jax.random.split(evaluation_key(session.seed), _NUM_MAZES_SHOWN)
    states, _ = jax.vmap(lambda key: env.reset(key, env.default_params()))(keys)
    return {"mazes": np.asarray(states.tiles).tolist()}


def _figures(results: Results) -> Figures:
    rows = {condition: results.values(condition) for condition in results.conditions}
    mazes = draw_tile_maps(results.extra["mazes"])
    return [
        ("figure", mazes, "Mazes, a new one in every episode; the goal is yellow."),
        ("agents", interval_dots(rows, xlabel="goals per episode"), "Goals per episode of ready-made agents."),
    ]


STUDY = Study(
    name="ndousse2021/fig13",
    title="A maze",
    source="Ndousse et al. 2021, figure 13",
    compares="what a maze looks like, and what ready-made agents earn in it",
    conditions=(TASK_EXPERTS, _PARTIAL_VIEW_EXPERT, _RANDOM_MOVER),
    eval_conditions=(MAZE,),
    claims=(
        mean_above("An expert that sees the map reaches a goal in nearly every episode.",
                   "experts", 0.95, "metrics_solo: success"),
        mean_greater("An expert that sees the map earns more than one that sees only its own view.",
                     "experts", _PARTIAL_VIEW_EXPERT.label),
        mean_greater("An expert that sees only its own view earns more than a random mover.",
                     _PARTIAL_VIEW_EXPERT.label, _RANDOM_MOVER.label),
    ),
    figures=_figures,
    notes=(
        "The paper shows a maze and measures nothing. Agents here are ready-made and have no seeds: claims are judged "
        "by their episodes. At `desk` mazes have 11×11 cells and episodes 125 steps.",
    ),
    measure_extra=_sample_mazes,
)  # fmt: skip
