"""Runs in Goal Cycle: the demo, the published hyperparameters, and smaller ones."""

from __future__ import annotations

import dataclasses
from typing import Any

from rookery.agents.networks import MLPNetwork, NdousseNetwork
from rookery.gridworld.spec import ViewConfig
from rookery.learning.auxiliary import NextFramePrediction, Reconstruction
from rookery.learning.ppo import PPO
from rookery.tasks import registry
from rookery.tasks.goal_cycle import GoalCycle
from rookery.training.config import (
    FrozenPolicyConfig,
    GroupConfig,
    RecurrentPolicyConfig,
    RunConfig,
    ScriptedPolicyConfig,
    Variant,
)

PRESET_VIEW = ViewConfig(observation_type="symbolic")
DEMO_NUM_ENVS = 16
"""Episodes per update. With 32 or 64 novices begin to follow after more steps: docs/presets.md."""
SMALL_MLP = MLPNetwork(encoder_size=64, hidden_size=64, head_size=32)


def desktop_learner(task: Any, num_envs: int, sequence_length: int = 25, **changes: Any) -> PPO:
    """PPO with four passes over the batch in four minibatches each, and recurrent states recomputed before each."""
    settings = {
        "sequence_length": sequence_length,
        "num_minibatches": 16,
        "minibatch_size": -(-task.max_steps // sequence_length) * num_envs // 4,
        "recompute_every": 4,
        "vf_coef": 0.5,
        "target_kl": None,
        "rollback_kl": None,
        "max_grad_norm": 0.5,
        "adam_eps": 1e-5,
    }
    return PPO(**{**settings, **changes})


def demo() -> RunConfig:
    """Novices with experts, and novices alone, in the paper's 13×13 worlds: a few minutes on two cores.

    At first goals are hidden from the novices of both variants, and mistakes are cheap: only a novice that follows
    another agent finds goals. Then the penalty rises, and then goals are shown. The auxiliary loss is reconstruction,
    an ablation of the paper: more seeds follow with it here than with next-frame prediction. docs/presets.md has more.
    """
    task = dataclasses.replace(_symbolic_task(can_hide_goals=True), num_actions=3)
    loss = Reconstruction(weight=10.0, error="squared")
    learner = dataclasses.replace(
        _small_learner(task, DEMO_NUM_ENVS), vf_coef=0.5, max_grad_norm=0.5, auxiliary=(loss,)
    )
    return RunConfig(
        name="demo",
        task=task,
        team=(
            _small_novice(learner),
            GroupConfig(name="expert", slots=(1, 2), policy=ScriptedPolicyConfig()),
        ),
        variants=(Variant(name="social"), Variant(name="solo", social_episode_prob=0.0)),
        num_seeds=2,
        total_timesteps=900_000,
        num_envs=DEMO_NUM_ENVS,
        env_schedules={
            "penalty": ((0.0, 0.3), (0.65, 0.3), (0.85, 1.5)),
            "goal_hiding_prob": ((0.0, 1.0), (0.75, 1.0), (0.9, 0.0)),
        },
        checkpoint_interval=45,
    )


def lite() -> RunConfig:
    """The paper's worlds, rules and trained experts with partial views, for a small network that sees symbols.

    Goals are shown and the penalty is 1.5 throughout: nothing helps the novice but the experts.
    """
    task = _symbolic_task(can_hide_goals=False)
    loss = NextFramePrediction(weight=10.0, error="auto")
    return RunConfig(
        name="lite",
        task=task,
        team=(
            _small_novice(dataclasses.replace(_small_learner(task, 64), auxiliary=(loss,))),
            GroupConfig(name="expert", slots=(1, 2), policy=FrozenPolicyConfig(checkpoint="goal-cycle-lite-expert")),
        ),
        variants=(Variant(name="social"), Variant(name="solo", social_episode_prob=0.0)),
        total_timesteps=10_000_000,
        num_envs=64,
        checkpoint_interval=31,
    )


def _symbolic_task(can_hide_goals: bool) -> GoalCycle:
    task = registry.get_task("goal-cycle-symbolic-v0")
    novice_view = dataclasses.replace(PRESET_VIEW, can_hide_goals=can_hide_goals)
    return dataclasses.replace(task, views=(novice_view, *task.views[1:]), goal_hiding_prob=0.0)


def _small_learner(task: GoalCycle, num_envs: int) -> PPO:
    """Three passes over the batch in four minibatches each; as in the paper, gradients are not clipped."""
    sequences = -(-task.max_steps // 25) * num_envs
    return desktop_learner(
        task, num_envs, num_minibatches=12, minibatch_size=sequences // 4, vf_coef=0.1, max_grad_norm=None
    )


def _small_novice(learner: PPO) -> GroupConfig:
    return GroupConfig(
        name="novice",
        slots=(0,),
        policy=RecurrentPolicyConfig(network=SMALL_MLP),
        learner=learner,
        learning_rate=((0.0, 1.5e-3), (0.8, 1.5e-3), (1.0, 3e-4)),
        ent_coef=((0.0, 0.01), (0.4, 0.004), (0.8, 0.0005)),
    )


def paper() -> RunConfig:
    """The published hyperparameters, with scripted experts: 375 million steps.

    Source: Ndousse et al. 2021, appendix 7.8.
    """
    return RunConfig(
        name="paper",
        task=registry.get_task("goal-cycle-v0"),
        team=(
            GroupConfig(
                name="novice",
                slots=(0,),
                policy=RecurrentPolicyConfig(network=NdousseNetwork()),
                learner=PPO(auxiliary=(NextFramePrediction(weight=3.0),)),
            ),
            GroupConfig(name="expert", slots=(1, 2), policy=ScriptedPolicyConfig()),
        ),
        total_timesteps=375_000_000,
        checkpoint_interval=50,
    )


def expert_paper() -> RunConfig:
    """An expert with the paper's network, which sees pixels: it is distilled from the small expert, which sees symbols.

    The small expert was trained for 140 million steps in its curriculum; from reward alone the paper's network would
    need days on a CPU for as many.
    """
    task = registry.get_task("goal-cycle-v0")
    task = dataclasses.replace(task, views=task.views[:1])
    sequences = 5 * 64  # per batch: five for each episode
    learner = desktop_learner(
        task,
        64,
        50,
        num_minibatches=16,
        recompute_every=8,
        minibatch_size=sequences // 8,
        teacher="goal-cycle-lite-expert",
    )
    return RunConfig(
        name="expert-paper",
        task=task,
        team=(
            GroupConfig(
                name="expert",
                slots=(0,),
                policy=RecurrentPolicyConfig(network=NdousseNetwork()),
                learner=learner,
                learning_rate=((0.0, 1e-5), (0.005, 7e-4), (0.5, 7e-4), (1.0, 3e-5)),
                ent_coef=0.0,
                hparams={"distill_coef": 100.0, "teacher_action_prob": ((0.0, 0.6), (0.3, 0.2), (0.5, 0.0))},
            ),
        ),
        total_timesteps=9_000_000,
        num_envs=64,
        env_schedules={"penalty": 1.5},
        checkpoint_interval=20,
    )


def smoke() -> RunConfig:
    """A run of seconds that tests the installation and no claim."""
    task = dataclasses.replace(
        registry.get_task("goal-cycle-demo-v0"),
        height=7,
        width=7,
        num_obstacles=1,
        max_steps=20,
        views=(PRESET_VIEW,) * 2,
    )
    return RunConfig(
        name="smoke",
        task=task,
        team=(
            GroupConfig(
                name="novice",
                slots=(0,),
                policy=RecurrentPolicyConfig(network=MLPNetwork(encoder_size=8, hidden_size=8, head_size=8)),
                learner=desktop_learner(
                    task, 16, num_minibatches=4, recompute_every=2, auxiliary=(NextFramePrediction(weight=1.0),)
                ),
                learning_rate=1e-3,
            ),
            GroupConfig(name="expert", slots=(1,), policy=ScriptedPolicyConfig()),
        ),
        variants=(Variant(name="social"), Variant(name="solo", social_episode_prob=0.0)),
        total_timesteps=20 * 16 * 6,
        num_envs=16,
        checkpoint_interval=2,
        eval_episodes=8,
    )
