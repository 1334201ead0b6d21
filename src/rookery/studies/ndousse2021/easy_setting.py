"""A setting in which following is easy to learn, from which `paper_gap` goes towards the paper's, one change each.

9×9 cells, 125 steps, three actions; goals hidden from novices at first, and a penalty that rises; scripted experts that
see the whole map. It was found on training seeds of its own (docs/presets.md says what was tried).
"""

from __future__ import annotations

import dataclasses
from typing import Any

from rookery.gridworld.spec import ViewConfig
from rookery.learning.auxiliary import NextFramePrediction, Reconstruction
from rookery.learning.ppo import PPO
from rookery.studies import budgets
from rookery.studies.frozen_evaluation import EvalCondition
from rookery.studies.training_run import Budget
from rookery.tasks.goal_cycle import GoalCycle
from rookery.training.config import PolicyConfig, RandomPolicyConfig, RunConfig, ScriptedPolicyConfig, Variant
from rookery.training.schedules import Schedule

NOVICE_VIEW = ViewConfig(observation_type="symbolic", can_hide_goals=True)  # with probability `goal_hiding_prob`
EASY_TOTAL_TIMESTEPS = 3_200_000  # per seed
EASY_NUM_ENVS = 128  # per update
EASY_MINIBATCH_SIZE = 160  # sequences
EASY_LOSS = NextFramePrediction(weight=1.0)
EASY_PENALTY: Schedule = ((0.0, 0.3), (0.25, 0.3), (0.5, 1.0), (0.65, 1.0), (0.85, 1.5))
EASY_GOAL_HIDING_PROB: Schedule = ((0.0, 1.0), (0.5, 1.0), (0.65, 0.0))
EASY_CHECKPOINT_INTERVAL = 10  # updates


def easy_task(budget: Budget, **changes: Any) -> GoalCycle:
    """The task that agents are evaluated in: goals visible, penalty 1.5."""
    views = (NOVICE_VIEW, budgets.DESK_VIEW, budgets.DESK_VIEW)
    small = {"height": 9, "width": 9, "num_obstacles": 2, "max_steps": 125, "num_actions": 3}
    if budget == "smoke":
        small = {}
    return budgets.goal_cycle_task(budget, **{"views": views, **small, **changes})


def easy_partners(budget: Budget) -> tuple[PolicyConfig, ...]:
    """Scripted experts that see the whole map; at `smoke` they move at random, which compiles sooner."""
    return (RandomPolicyConfig() if budget == "smoke" else ScriptedPolicyConfig(),) * 2


def easy_run_config(
    budget: Budget,
    name: str,
    variants: tuple[Variant, ...],
    *,
    task: Any = None,
    loss: NextFramePrediction | Reconstruction = EASY_LOSS,
    **changes: Any,
) -> RunConfig:
    """The setting as one run; `task` and `changes` as of `budgets.run_config`."""
    task = easy_task(budget) if task is None else task
    schedules = {"penalty": EASY_PENALTY, "goal_hiding_prob": EASY_GOAL_HIDING_PROB}
    partners = easy_partners(budget)
    if budget == "smoke":
        return budgets.run_config(
            budget, name, variants, task=task, partners=partners, env_schedules=schedules, **changes
        )
    sizes = {
        "total_timesteps": EASY_TOTAL_TIMESTEPS,
        "num_envs": EASY_NUM_ENVS,
        "checkpoint_interval": EASY_CHECKPOINT_INTERVAL,
    }
    learner = {"minibatch_size": EASY_MINIBATCH_SIZE, "vf_coef": 0.5, "max_grad_norm": 0.5}
    config = budgets.run_config(
        budget, name, variants, task=task, partners=partners, env_schedules=schedules, learner=learner,
        **{**sizes, **changes},
    )  # fmt: skip
    novice = config.team[0]
    assert isinstance(novice.learner, PPO), "the novice's learner is PPO"
    novice = dataclasses.replace(novice, learner=dataclasses.replace(novice.learner, auxiliary=(loss,)))
    return dataclasses.replace(config, team=(novice, *config.team[1:]))


EASY_CONDITION = EvalCondition(name="3-goal cycle", task=easy_task, partners=easy_partners)
