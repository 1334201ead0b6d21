"""Tiny runs of every learner, intrinsic reward and auxiliary loss."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from tests.tiny import NETWORK, OTHER, TASK, tiny

from rookery.agents.communication import CommunicationConfig
from rookery.learning.a2c import A2C
from rookery.learning.auxiliary import AttentionLoss, NextFramePrediction, Reconstruction
from rookery.learning.intrinsic import CentralizedInfluence, MessageInfluence, MOAInfluence
from rookery.learning.intrinsic.inequity import InequityAversion
from rookery.learning.intrinsic.prosocial import Prosocial
from rookery.learning.intrinsic.reciprocity import Reciprocity
from rookery.learning.intrinsic.reward_sharing import RewardSharing
from rookery.learning.intrinsic.value_orientation import SocialValueOrientation
from rookery.learning.ppo import PPO
from rookery.learning.r2d2 import R2D2
from rookery.training.config import GroupConfig, RecurrentPolicyConfig, RunConfig, Variant
from rookery.training.trainer import train

PPO_TINY = PPO(sequence_length=4, num_minibatches=2, minibatch_size=4, recompute_every=1)
R2D2_TINY = R2D2(capacity=6, sequence_length=3, burn_in=2, n_step=2, gradient_steps=2, minibatch_size=4)
LEARNERS: dict[str, Any] = {"ppo": PPO_TINY, "a2c": A2C(sequence_length=4), "r2d2": R2D2_TINY}
INTRINSIC_REWARDS: dict[str, Any] = {
    "influence-centralized": CentralizedInfluence(weight=1.0),
    "influence-messages": MessageInfluence(weight=1.0),
    "influence-moa": MOAInfluence(weight=1.0, dense_size=4),
    "prosocial": Prosocial(),
    "inequity": InequityAversion(),
    "reward-sharing": RewardSharing(),
    "svo": SocialValueOrientation(),
    "reciprocity": Reciprocity(dense_size=4),
}
AUXILIARY_LOSSES: dict[str, Any] = {
    "next-frame": NextFramePrediction(weight=1.0),
    "reconstruction": Reconstruction(weight=1.0),
    "attention": AttentionLoss(weight=1.0),
}


def run_config(learner: Any, **changes: Any) -> RunConfig:
    """Eight updates of one learning agent and a random one, with one seed."""
    group = GroupConfig(
        name="novice", slots=(0,), policy=RecurrentPolicyConfig(network=NETWORK), learner=learner, learning_rate=1e-2
    )
    return tiny(
        name="torture", team=(group, OTHER), variants=(Variant(),), env_schedules={}, eval_episodes=0,
        checkpoint_interval=2, **changes,
    )  # fmt: skip


def with_intrinsic_reward(reward: Any) -> RunConfig:
    """Both agents learn by A2C with an intrinsic reward; of influence on another agent's policy, the first alone."""
    if isinstance(reward, CentralizedInfluence):
        team = (_group("influencer", (0,), reward), _group("influencee", (1,), influencers=(0,)))
    elif reward.pays_messages:
        team = (_group("pair", (0, 1), reward, vocab_size=3),)
    else:
        team = (_group("pair", (0, 1), reward),)
    return dataclasses.replace(run_config(LEARNERS["a2c"]), team=team)


def with_auxiliary_loss(loss: Any) -> RunConfig:
    """One agent learns by PPO with an auxiliary loss."""
    return run_config(dataclasses.replace(PPO_TINY, auxiliary=(loss,)))


def with_advantage_alignment() -> RunConfig:
    """Both agents learn by PPO with Advantage Alignment."""
    config = run_config(dataclasses.replace(PPO_TINY, alignment_coef=1.0))
    return dataclasses.replace(config, team=(dataclasses.replace(config.team[0], name="pair", slots=(0, 1)),))


def _group(name: str, slots: tuple[int, ...], *rewards: Any, **communication: Any) -> GroupConfig:
    observed = CommunicationConfig(**communication) if communication else None
    policy = RecurrentPolicyConfig(network=NETWORK, communication=observed)
    learner = A2C(sequence_length=4, intrinsic=rewards)
    return GroupConfig(name=name, slots=slots, policy=policy, learner=learner, learning_rate=1e-2)


def train_to_end(config: RunConfig, run_dir: Path, **options: Any) -> None:
    """Train. Raises KeyboardInterrupt if the run was asked to stop, which is not a finding: the script stops, too."""
    if not train(config, run_dir, quiet=True, **options).finished:
        raise KeyboardInterrupt


def diverging(config: RunConfig, seed: int) -> RunConfig:
    """The same with another seed, and a learning rate that spoils everything in the second half."""
    group = dataclasses.replace(config.team[0], learning_rate=((0.0, 1e-2), (0.45, 1e-2), (0.5, 1e38)))
    return dataclasses.replace(config, team=(group, *config.team[1:]), seed=seed)


__all__ = [
    "AUXILIARY_LOSSES", "INTRINSIC_REWARDS", "LEARNERS", "TASK", "diverging", "run_config", "train_to_end",
    "with_advantage_alignment", "with_auxiliary_loss", "with_intrinsic_reward",
]  # fmt: skip
