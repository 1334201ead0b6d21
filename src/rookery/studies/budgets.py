"""The three budgets of Goal Cycle studies; every constant of the desk preset is here and nowhere else.

`desk` is a small world with a small network: 9×9 cells, two obstacles, 125 steps, three goals that are always shown,
penalty 1.5 throughout, three actions, and two trained experts that see their own view. Observations are symbolic. In
the paper's 13×13 cells none of the thirteen agents that were tried at this penalty, for 1.6 to 6 million steps, learned
to follow (docs/presets.md); the smaller world is the one help. Changing a number here makes other runs, and never
changes the numbers of an old one; a change of what a study trains counts in its `Study.definition`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from rookery.agents.networks import MLPNetwork, NdousseNetwork
from rookery.gridworld.spec import ViewConfig
from rookery.learning.auxiliary import AttentionLoss, NextFramePrediction, Reconstruction
from rookery.learning.ppo import PPO
from rookery.studies.training_run import Budget
from rookery.tasks.goal_cycle import GoalCycle
from rookery.training import presets
from rookery.training.config import (
    FrozenPolicyConfig,
    GroupConfig,
    PolicyConfig,
    RandomPolicyConfig,
    RecurrentPolicyConfig,
    RunConfig,
    ScriptedPolicyConfig,
    Variant,
)
from rookery.training.schedules import Schedule

DESK_VIEW = ViewConfig(observation_type="symbolic")
DESK_SIZES: dict[str, Any] = {"height": 9, "width": 9, "num_obstacles": 2, "max_steps": 125, "num_actions": 3}
"""Of the task; the paper's other four actions have no effect."""

TOTAL_TIMESTEPS = 8_000_000  # per seed
DESK_NUM_ENVS = 128  # per update: 16,000 steps
DESK_NETWORK = MLPNetwork(encoder_size=64, hidden_size=64, head_size=32)
SEQUENCE_LENGTH = 25  # steps
NUM_EPOCHS = 3  # passes over the batch per update; hidden states and advantages are recomputed after each
NUM_MINIBATCHES = 12
AUXILIARY_WEIGHT = 3.0  # as in the paper
AUXILIARY_ERROR = "squared"  # symbolic views do not teach an absolute error anything (docs/auxiliary-losses.md)
VF_COEF = 0.5
MAX_GRAD_NORM = 0.5
LEARNING_RATE: Schedule = ((0.0, 1.5e-3), (0.8, 1.5e-3), (1.0, 3e-4))
ENT_COEF: Schedule = ((0.0, 0.01), (0.4, 0.004), (0.8, 0.0005))
EXPERT = "goal-cycle-demo-expert"  # a trained one that sees its own view: earns 11.2 per episode alone
IMPERFECT_EXPERT = "goal-cycle-lite-imperfect"  # earns 8.5
PAPER_IMPERFECT_EXPERT = "goal-cycle-paper-expert"  # sees pixels: earns 10.1
CHECKPOINT_INTERVAL = 20  # updates: 320,000 steps
CHECKPOINT_EPISODES = 64  # with experts and alone each

DEFINITION_2 = (
    "agents train with goals shown and penalty 1.5 from the first step, next to trained experts that see their own "
    "view, and with a next-frame loss that predicts; before: goals hidden from all novices for half of training, a "
    "penalty that rose from 0.3, scripted experts that see the whole map, and absolute error, which symbolic views do "
    "not learn"
)
"""What definition 2 of the studies changed."""
DEFINITION_3 = "agents train for 8 million steps, over which their schedules stretch; before: for 3.2 million"
"""What definition 3 changed."""

REPLAY_CAPACITY = 1024  # episodes in the replay buffer of a Q-learner
REPLAY_LEARNING_RATE: Schedule = 5e-4

CONTINUED_TIMESTEPS = 1_600_000  # for agents that continue training
CONTINUED_LEARNING_RATE: Schedule = ((0.0, 7e-4), (1.0, 3e-4))
CONTINUED_ENT_COEF: Schedule = 5e-4

EXPERT_TIMESTEPS = 8_000_000  # for agents that become experts alone
EXPERT_PENALTY: Schedule = ((0.0, 0.3), (0.25, 0.3), (0.75, 1.5))
EXPERT_ENT_COEF: Schedule = ((0.0, 0.01), (0.8, 0.01), (1.0, 0.003))
EXPERT_LEARNING_RATE: Schedule = ((0.0, 1e-3), (0.8, 1e-3), (1.0, 3e-4))
PAPER_EXPERT_LEARNING_RATE = 1e-5  # appendix 7.8

AuxiliaryClass = type[AttentionLoss] | type[NextFramePrediction] | type[Reconstruction]


def goal_cycle_task(budget: Budget, **changes: Any) -> GoalCycle:
    """The three-goal task that novices train and are evaluated in: goals visible, penalty 1.5."""
    if budget == "paper":
        return dataclasses.replace(presets.paper().task, **changes)
    settings: dict[str, Any] = {"views": (DESK_VIEW,) * 3, "goal_hiding_prob": 0.0, **DESK_SIZES}
    if budget == "smoke":
        settings |= {"height": 7, "width": 8, "num_obstacles": 1, "max_steps": 10}
    return GoalCycle(**{**settings, **changes})


def expert_partners(budget: Budget) -> tuple[PolicyConfig, ...]:
    """The novice's partners: at `desk` trained experts that see their own view; they do not learn.

    At `paper`, scripted experts that see the whole map and find the order by trial stand for the near-optimal experts
    that the paper trains. At `smoke` they move at random, which compiles sooner.
    """
    partners: dict[Budget, PolicyConfig] = {
        "smoke": RandomPolicyConfig(),
        "desk": FrozenPolicyConfig(checkpoint=EXPERT),
        "paper": ScriptedPolicyConfig(),
    }
    return (partners[budget],) * 2


def novice_ppo(
    budget: Budget,
    task: Any,
    auxiliary: AuxiliaryClass | None = NextFramePrediction,
    num_envs: int = DESK_NUM_ENVS,
    **changes: Any,
) -> PPO:
    """The novice's learner; at `desk` it passes `NUM_EPOCHS` times over the episodes of so many environments."""
    if budget == "paper":
        return PPO(**{"auxiliary": (auxiliary(weight=3.0),) if auxiliary else (), **changes})
    sequence_length = SEQUENCE_LENGTH if budget == "desk" else 5
    settings: dict[str, Any] = {
        "sequence_length": sequence_length,
        "num_minibatches": NUM_MINIBATCHES,
        "minibatch_size": -(-task.max_steps // sequence_length) * num_envs * NUM_EPOCHS // NUM_MINIBATCHES,
        "recompute_every": NUM_MINIBATCHES // NUM_EPOCHS,
        "vf_coef": VF_COEF,
        "max_grad_norm": MAX_GRAD_NORM,
        "target_kl": None,
        "rollback_kl": None,
        "adam_eps": 1e-5,
        "auxiliary": (_auxiliary_loss(auxiliary),) if auxiliary else (),
    }
    if budget == "smoke":
        settings |= {"num_minibatches": 2, "recompute_every": 1, "minibatch_size": 8}
    return PPO(**{**settings, **changes})


def _auxiliary_loss(kind: AuxiliaryClass) -> AttentionLoss | NextFramePrediction | Reconstruction:
    if issubclass(kind, AttentionLoss):
        return kind(weight=AUXILIARY_WEIGHT)
    return kind(weight=AUXILIARY_WEIGHT, error=AUXILIARY_ERROR)


def run_config(
    budget: Budget,
    name: str,
    variants: tuple[Variant, ...],
    *,
    auxiliary: AuxiliaryClass | None = NextFramePrediction,
    task: Any = None,
    partners: tuple[PolicyConfig, ...] | None = None,
    env_schedules: dict[str, Schedule] | None = None,
    learner: dict[str, Any] | None = None,
    num_envs: int = DESK_NUM_ENVS,
    **changes: Any,
) -> RunConfig:
    """The preset as one run; a study gives only what it changes.

    Args:
      task: default `goal_cycle_task`. partners: of the slots from 1 on, default `expert_partners`.
      env_schedules: of the task; default none. learner: changes to the learner's settings.
      num_envs: episodes per update at `desk`. changes: to the run, such as `social_episode_prob`.
    """
    task = goal_cycle_task(budget) if task is None else task
    partners = expert_partners(budget) if partners is None else partners
    novice = GroupConfig(
        name="novice",
        slots=(0,),
        policy=RecurrentPolicyConfig(network=novice_network(budget)),
        learner=novice_ppo(budget, task, auxiliary, num_envs, **(learner or {})),
        learning_rate=1e-4 if budget == "paper" else LEARNING_RATE,
        ent_coef=1e-5 if budget == "paper" else ENT_COEF,
    )
    config = RunConfig(
        name=name,
        task=task,
        team=(novice, *_partner_groups(partners)),
        variants=variants,
        total_timesteps=TOTAL_TIMESTEPS,
        num_envs=num_envs,
        env_schedules=env_schedules or {},
        checkpoint_interval=CHECKPOINT_INTERVAL,
        eval_episodes=CHECKPOINT_EPISODES,
    )
    if budget == "paper":
        paper = presets.paper()
        config = dataclasses.replace(
            config,
            total_timesteps=paper.total_timesteps,
            num_envs=paper.num_envs,
            checkpoint_interval=paper.checkpoint_interval,
        )
    if budget == "smoke":
        config = dataclasses.replace(
            config, total_timesteps=4 * 8 * task.max_steps, num_envs=8, checkpoint_interval=2, eval_episodes=4
        )
    return dataclasses.replace(config, **changes)


def continued_run_config(budget: Budget, name: str, variants: tuple[Variant, ...]) -> RunConfig:
    """Agents that continue from where a run left them."""
    config = run_config(budget, name, variants)
    if budget == "paper":
        return dataclasses.replace(config, total_timesteps=250_000_000)
    if budget == "smoke":
        return config
    novice = dataclasses.replace(config.team[0], learning_rate=CONTINUED_LEARNING_RATE, ent_coef=CONTINUED_ENT_COEF)
    return dataclasses.replace(config, total_timesteps=CONTINUED_TIMESTEPS, team=(novice, *config.team[1:]))


def solo_run_config(
    budget: Budget, name: str, variants: tuple[Variant, ...], env_schedules: dict[str, Schedule]
) -> RunConfig:
    """Agents that train alone; the experts' slots exist and stay empty."""
    return run_config(budget, name, variants, env_schedules=env_schedules, social_episode_prob=0.0)


def expert_run_config(
    budget: Budget, name: str, variants: tuple[Variant, ...], env_schedules: dict[str, Schedule]
) -> RunConfig:
    """`solo_run_config` with the step size of an expert, and at `desk` for as long as it needs."""
    config = solo_run_config(budget, name, variants, env_schedules)
    changes: dict[Budget, dict[str, Any]] = {
        "smoke": {},
        "desk": {"learning_rate": EXPERT_LEARNING_RATE, "ent_coef": EXPERT_ENT_COEF},
        "paper": {"learning_rate": PAPER_EXPERT_LEARNING_RATE},
    }
    expert = dataclasses.replace(config.team[0], **changes[budget])
    steps = EXPERT_TIMESTEPS if budget == "desk" else config.total_timesteps
    return dataclasses.replace(config, total_timesteps=steps, team=(expert, *config.team[1:]))


def hidden_goals_task(budget: Budget) -> GoalCycle:
    """`goal_cycle_task` with goals hidden from the novice in every episode."""
    task = goal_cycle_task(budget, goal_hiding_prob=1.0)
    return dataclasses.replace(task, views=(dataclasses.replace(task.views[0], can_hide_goals=True), *task.views[1:]))


def novice_network(budget: Budget) -> MLPNetwork | NdousseNetwork:
    """The novice's network; a tiny one at `smoke`."""
    if budget == "paper":
        return NdousseNetwork()
    return MLPNetwork(encoder_size=8, hidden_size=8, head_size=8) if budget == "smoke" else DESK_NETWORK


def _partner_groups(partners: tuple[PolicyConfig, ...]) -> tuple[GroupConfig, ...]:
    """One group for each kind of partner; equal partners share a group."""
    kinds = list(dict.fromkeys(partners))
    names = {kind: "expert" if number == 0 else f"partners-{number}" for number, kind in enumerate(kinds)}
    return tuple(
        GroupConfig(
            name=names[kind], slots=tuple(i + 1 for i, partner in enumerate(partners) if partner == kind), policy=kind
        )
        for kind in kinds
    )
