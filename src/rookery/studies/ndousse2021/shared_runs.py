"""The runs, conditions and evaluation conditions that several studies share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

from rookery.gridworld.spec import ViewConfig
from rookery.learning.auxiliary import Reconstruction
from rookery.studies import budgets
from rookery.studies.agent_sources import PretrainedAgent, TrainedAgents
from rookery.studies.cloned_agents import ClonedAgents
from rookery.studies.frozen_evaluation import EvalCondition
from rookery.studies.results import Results
from rookery.studies.study import Condition
from rookery.studies.training_run import Budget, TrainingRun
from rookery.tasks.four_rooms import FourRooms
from rookery.tasks.maze import Maze
from rookery.training.config import (
    FrozenPolicyConfig,
    PolicyConfig,
    RandomPolicyConfig,
    RunConfig,
    ScriptedPolicyConfig,
    Variant,
)

SOCIAL_VARIANT = Variant(name="social")
SOLO_VARIANT = Variant(name="solo", social_episode_prob=0.0)
MAX_CONTROL_SEEDS = 6
"""Of the conditions that figure 4 needs fewer of."""


def _next_frame_config(budget: Budget) -> RunConfig:
    variants = (SOCIAL_VARIANT, Variant(name="vanilla", aux_loss_scale=0.0))
    return budgets.run_config(budget, "next-frame", variants)


def _solo_config(budget: Budget) -> RunConfig:
    variants = (SOLO_VARIANT, Variant(name="vanilla", social_episode_prob=0.0, aux_loss_scale=0.0))
    return budgets.run_config(budget, "solo", variants)


def _reconstruction_config(budget: Budget) -> RunConfig:
    return budgets.run_config(budget, "reconstruction", (SOCIAL_VARIANT,), auxiliary=Reconstruction)


NEXT_FRAME_RUN = TrainingRun(name="next-frame", configure=_next_frame_config)
"""It has the vanilla learner as well: with the loss weighted by 0 nothing depends on the decoder."""
SOLO_RUN = TrainingRun(name="solo", configure=_solo_config, max_seeds=MAX_CONTROL_SEEDS)
RECONSTRUCTION_RUN = TrainingRun(name="reconstruction", configure=_reconstruction_config, max_seeds=MAX_CONTROL_SEEDS)

SOCIAL_NEXT_FRAME = Condition(label="social + next frame", agents=TrainedAgents(run=NEXT_FRAME_RUN, variant="social"))
SOCIAL_RECONSTRUCTION = Condition(
    label="social + reconstruction", agents=TrainedAgents(run=RECONSTRUCTION_RUN, variant="social")
)
SOCIAL_VANILLA = Condition(label="social, vanilla", agents=TrainedAgents(run=NEXT_FRAME_RUN, variant="vanilla"))
SOLO_NEXT_FRAME = Condition(label="solo + next frame", agents=TrainedAgents(run=SOLO_RUN, variant="solo"))
SOLO_VANILLA = Condition(label="solo, vanilla", agents=TrainedAgents(run=SOLO_RUN, variant="vanilla"))
EXPERT_AGENTS = Condition(
    label="experts", agents=PretrainedAgent(policy=lambda budget: budgets.expert_partners(budget)[0])
)
"""An expert in the novice's slot, with the other experts."""


def imperfect_experts(budget: Budget) -> tuple[PolicyConfig, ...]:
    """Weaker experts, trained ones at every budget; at `paper` they see pixels."""
    checkpoint = budgets.PAPER_IMPERFECT_EXPERT if budget == "paper" else budgets.IMPERFECT_EXPERT
    return (FrozenPolicyConfig(checkpoint=checkpoint),) * 2


def four_goal_task(budget: Budget) -> Any:
    """The same task with four goals: six possible orders."""
    return dataclasses.replace(budgets.goal_cycle_task(budget), num_goals=4)


def task_experts(budget: Budget) -> tuple[PolicyConfig, ...]:
    """The scripted expert of any task: it sees the whole map, and finds a hidden order by trial."""
    return (ScriptedPolicyConfig(), ScriptedPolicyConfig())


def four_rooms_task(budget: Budget) -> Any:
    """Four rooms with one goal, for two agents."""
    if budget == "paper":
        return FourRooms(views=(ViewConfig(),) * 2)
    height, width, max_steps = (11, 11, 125) if budget == "desk" else (7, 8, 10)
    return FourRooms(
        height=height,
        width=width,
        max_steps=max_steps,
        views=(budgets.DESK_VIEW,) * 2,
        num_actions=_num_actions(budget),
    )


def maze_task(budget: Budget, num_agents: int = 2) -> Any:
    """A new maze with one goal in every episode."""
    if budget == "paper":
        return Maze(views=(ViewConfig(),) * num_agents)
    height, width, max_steps = (11, 11, 125) if budget == "desk" else (7, 9, 10)
    return Maze(
        height=height,
        width=width,
        max_steps=max_steps,
        views=(budgets.DESK_VIEW,) * num_agents,
        num_actions=_num_actions(budget),
    )


def _num_actions(budget: Budget) -> Literal[3, 7]:
    """The novices were trained with so many."""
    return budgets.goal_cycle_task(budget).num_actions


EXPERT_CLONES = ClonedAgents(
    eval_condition=EvalCondition(name="recorded", task=budgets.goal_cycle_task, partners=budgets.expert_partners),
)
"""Clones of the novices' expert partners, from the experts' own observations and actions."""
CLONED_EXPERTS = Condition(label="cloning", agents=EXPERT_CLONES)


def clones_fail(results: Results) -> str | None:
    """Why a comparison with clones says nothing: they earn less than doing nothing. In the paper they are good."""
    earned = results.mean(CLONED_EXPERTS.label, "return_social", GOAL_CYCLE_3.name)
    if earned >= 0:
        return None
    return f"the clones earn {earned:.2f} in the task that they were cloned in, less than doing nothing"


def clones_fail_in(eval_condition: str) -> Callable[[Results], str | None]:
    """`clones_fail`, for results that hold the clones in one evaluation condition alone."""

    def withheld(results: Results) -> str | None:
        known = results.eval_conditions_of(CLONED_EXPERTS.label)
        if GOAL_CYCLE_3.name in known:
            return clones_fail(results)
        return f"the clones were not evaluated in the task that they were cloned in, only in {eval_condition}"

    return withheld


def trained_expert(budget: Budget) -> PolicyConfig:
    """A trained three-goal expert; the scripted one of `paper` would know every task."""
    return imperfect_experts(budget)[0] if budget == "paper" else FrozenPolicyConfig(checkpoint=budgets.EXPERT)


THREE_GOAL_EXPERTS = Condition(label="3-goal experts", agents=PretrainedAgent(policy=trained_expert))
THREE_GOAL_CLONES = Condition(
    label="clones of 3-goal experts",
    agents=ClonedAgents(
        eval_condition=EvalCondition(
            name="recorded", task=budgets.goal_cycle_task, partners=lambda budget: (trained_expert(budget),) * 2
        ),
    ),
)


def only_in(condition: Condition, *eval_conditions: EvalCondition) -> Condition:
    """The condition, evaluated in some of the study's evaluation conditions: 'experts' are those of their own task."""
    return dataclasses.replace(condition, eval_conditions=eval_conditions)


GOAL_CYCLE_3 = EvalCondition(name="3-goal cycle", task=budgets.goal_cycle_task, partners=budgets.expert_partners)
GOAL_CYCLE_3_IMPERFECT = EvalCondition(
    name="3-goal cycle, imperfect experts", task=budgets.goal_cycle_task, partners=imperfect_experts
)
GOAL_CYCLE_4 = EvalCondition(name="4-goal cycle", task=four_goal_task, partners=task_experts)
FOUR_ROOMS = EvalCondition(name="four rooms", task=four_rooms_task, partners=lambda budget: (ScriptedPolicyConfig(),))
MAZE = EvalCondition(name="maze", task=maze_task, partners=lambda budget: (ScriptedPolicyConfig(),))
CROWDED_MAZE = EvalCondition(
    name="maze with random movers",
    task=lambda budget: maze_task(budget, 4),
    partners=lambda budget: (ScriptedPolicyConfig(), RandomPolicyConfig(), RandomPolicyConfig()),
)
TASK_EXPERTS = Condition(label="experts", agents=PretrainedAgent(policy=lambda budget: ScriptedPolicyConfig()))
"""The expert of the evaluation condition's own task."""
