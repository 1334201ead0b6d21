"""The maze of the transfer tasks, and who finds its goal.

Source: Ndousse et al. 2021, figure 13, which shows one.
"""

from __future__ import annotations

import jax
import numpy as np

from rookery.studies import figures
from rookery.studies.claims import mean_above, mean_greater
from rookery.studies.image_grid import draw_tile_maps
from rookery.studies.ndousse2021.shared_runs import MAZE, TASK_EXPERTS
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Condition, PretrainedAgent, Study
from rookery.training.config import RandomPolicyConfig, ScriptedPolicyConfig
from rookery.training.evaluation import evaluation_key
from rookery.viz.plots import interval_dots

_PARTIAL_VIEW_EXPERT = Condition(
    label="expert that sees its own view",
    agents=PretrainedAgent(policy=lambda budget: ScriptedPolicyConfig(observability="partial")),
)
_RANDOM_MOVER = Condition(label="random mover", agents=PretrainedAgent(policy=lambda budget: RandomPolicyConfig()))
_NUM_MAZES_SHOWN = 4
"""Mazes drawn."""


def _sample_mazes(session: Session) -> dict:
    """Tiles of a few mazes: {'mazes': [[[kind]]]}."""
    env = session.evaluator(MAZE).env
    keys = jax.random.split(evaluation_key(session.seed), _NUM_MAZES_SHOWN)
    states, _ = jax.vmap(lambda key: env.reset(key, env.default_params()))(keys)
    return {"mazes": np.asarray(states.tiles).tolist()}


def _figures(results: Results) -> figures.Figures:
    rows = {arm: results.values(arm) for arm in results.conditions}
    dots = interval_dots(rows, xlabel="goals an episode")
    return [
        (
            "figure",
            draw_tile_maps(results.data["extra_measurements"]["mazes"]),
            "Mazes, a new one each episode; the goal is yellow.",
        ),
        ("agents", dots, "Goals an episode of ready-made agents."),
    ]


STUDY = Study(
    name="ndousse2021/fig13",
    title="A maze",
    source="Ndousse et al. 2021, figure 13",
    compares="a maze: what it looks like, and what ready-made agents earn in it",
    conditions=(TASK_EXPERTS, _PARTIAL_VIEW_EXPERT, _RANDOM_MOVER),
    eval_conditions=(MAZE,),
    claims=(
        mean_above(
            "Who sees the map reaches a goal in nearly every episode.", "experts", 0.95, "metrics_solo: success"
        ),
        mean_greater("Who sees the map earns more than who sees its own view.", "experts", _PARTIAL_VIEW_EXPERT.label),
        mean_greater(
            "Who sees its own view earns more than a random mover.", _PARTIAL_VIEW_EXPERT.label, _RANDOM_MOVER.label
        ),
    ),
    figures=_figures,
    measure_extra=_sample_mazes,
)
