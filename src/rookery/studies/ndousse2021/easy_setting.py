"""A setting in which following is easy to learn, from which `paper_gap` goes towards the paper's, one change each.

The world and the learner of all studies (`budgets`), but for this: goals hidden from novices at first, a penalty that
rises, scripted experts that see the whole map, and a next-frame loss that symbolic views learn nothing from. It was
found on training seeds of its own (docs/presets.md says what was tried).
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
EASY_LOSS = NextFramePrediction(weight=1.0)
EASY_TIMESTEPS = 3_200_000  # per seed
EASY_CHECKPOINT_INTERVAL = 10  # updates: 160,000 steps
EASY_PENALTY: Schedule = ((0.0, 0.3), (0.25, 0.3), (0.5, 1.0), (0.65, 1.0), (0.85, 1.5))
EASY_GOAL_HIDING_PROB: Schedule = ((0.0, 1.0), (0.5, 1.0), (0.65, 0.0))


def easy_task(budget: Budget, **changes: Any) -> GoalCycle:
    """The task that agents are evaluated in: goals visible, penalty 1.5."""
    return budgets.goal_cycle_task(budget, **{"views": (NOVICE_VIEW, budgets.DESK_VIEW, budgets.DESK_VIEW), **changes})


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
    if budget != "smoke":
        lengths = {"total_timesteps": EASY_TIMESTEPS, "checkpoint_interval": EASY_CHECKPOINT_INTERVAL}
        changes = {**lengths, **changes}
    config = budgets.run_config(
        budget,
        name,
        variants,
        task=task,
        partners=easy_partners(budget),
        env_schedules={"penalty": EASY_PENALTY, "goal_hiding_prob": EASY_GOAL_HIDING_PROB},
        **changes,
    )
    if budget == "smoke":
        return config
    novice = config.team[0]
    assert isinstance(novice.learner, PPO), "the novice's learner is PPO"
    novice = dataclasses.replace(novice, learner=dataclasses.replace(novice.learner, auxiliary=(loss,)))
    return dataclasses.replace(config, team=(novice, *config.team[1:]))


EASY_CONDITION = EvalCondition(name="3-goal cycle", task=easy_task, partners=easy_partners)
