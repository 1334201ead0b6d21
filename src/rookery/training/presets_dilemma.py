"""Runs in the social dilemmas: the published ones by game and method, and smaller ones for a desk.

Methods: 'a3c', 'visible' (others' last actions are seen), 'centralized', 'messages-baseline' (messages without
influence), 'messages', 'moa-baseline' (the model of others as a mere auxiliary loss), 'moa', 'prosocial', 'inequity'.
Source of the numbers: Jaques et al. 2019, tables of hyperparameters in the appendix, and the scripts of the
environments its authors cite.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal

from rookery.agents.communication import CommunicationConfig
from rookery.agents.networks import JaquesNetwork
from rookery.errors import NotFoundError
from rookery.learning.a2c import A2C
from rookery.learning.intrinsic import (
    CentralizedInfluence,
    InequityAversion,
    IntrinsicConfig,
    MessageInfluence,
    MOAInfluence,
    Prosocial,
)
from rookery.learning.learners import LearnerConfig
from rookery.learning.ppo import PPO
from rookery.tasks import registry
from rookery.training.config import GroupConfig, RecurrentPolicyConfig, RunConfig, Variant

SocialDilemmaName = Literal["cleanup", "harvest"]

PUBLISHED_HPARAMS: dict[str, dict[SocialDilemmaName, tuple[float, float, float]]] = {
    "a3c": {"cleanup": (0.00176, 0.00126, 0.000012), "harvest": (0.000687, 0.00136, 0.000028)},
    "visible": {"cleanup": (0.00176, 0.00126, 0.000012), "harvest": (0.00184, 0.00215, 0.000013)},
    "centralized": {"cleanup": (0.000248, 0.00107, 0.000042), "harvest": (0.00025, 0.00107, 0.000042)},
    "messages-baseline": {"cleanup": (0.000249, 0.00223, 0.000022), "harvest": (0.000174, 0.00137, 0.0000127)},
    "messages": {"cleanup": (0.00305, 0.00249, 0.0000127), "harvest": (0.00220, 0.000413, 0.000049)},
    "moa-baseline": {"cleanup": (0.00176, 0.00123, 0.000012), "harvest": (0.00495, 0.00206, 0.000022)},
    "moa": {"cleanup": (0.00176, 0.00123, 0.000012), "harvest": (0.00223, 0.00120, 0.000044)},
    "prosocial": {"cleanup": (0.00176, 0.00126, 0.000012), "harvest": (0.000687, 0.00136, 0.000028)},
    "inequity": {"cleanup": (0.00176, 0.00126, 0.000012), "harvest": (0.000687, 0.00136, 0.000028)},
}
"""Weight of the entropy bonus, learning rate at the start and at the end. Prosocial and inequity-averse agents have no
numbers of their own in the paper; they take A3C's."""

MILLION = 1e6
"""The paper's curricula are numbers of this many environment steps, as its text has them."""


def published_intrinsic_rewards(method: str, game: SocialDilemmaName) -> tuple[IntrinsicConfig, ...]:
    """The published intrinsic reward of a method's agents (of those who lead, in 'centralized').

    The model's loss weights are the reciprocals of the table's numbers, as in the authors' scripts.
    """
    cleanup = game == "cleanup"
    table: dict[str, tuple[IntrinsicConfig, ...]] = {
        "centralized": (
            CentralizedInfluence(
                weight=0.146 if cleanup else 0.224, warmup_steps=140 * MILLION, divergence="jsd" if cleanup else "pmi"
            ),
        ),
        "messages-baseline": (MessageInfluence(weight=0.0),),
        "messages": (
            MessageInfluence(
                weight=2.752 if cleanup else 4.825,
                warmup_steps=(1 if cleanup else 8) * MILLION,
                extrinsic_coef=0.0 if cleanup else 1.0,
                ent_coef=0.000789 if cleanup else 0.00208,
                loss_weight=0.0758 if cleanup else 0.0709,
            ),
        ),
        "moa-baseline": (MOAInfluence(weight=0.0, loss_weight=1 / (1.312 if cleanup else 1.711)),),
        "moa": (
            MOAInfluence(
                weight=0.620 if cleanup else 2.521,
                warmup_steps=(40 if cleanup else 226) * MILLION,
                loss_weight=1 / (15.007 if cleanup else 10.911),
                train_only_visible=True,
            ),
        ),
        "prosocial": (Prosocial(weight=0.85),),
        "inequity": (InequityAversion(),),
    }
    return table.get(method, ())


def published_communication(method: str, game: SocialDilemmaName) -> CommunicationConfig | None:
    """What agents are told in a method (those who follow, in 'centralized')."""
    leaders = tuple(range(1 if game == "cleanup" else 3))
    symbols = 9 if game == "cleanup" else 7
    table = {
        "visible": CommunicationConfig(visible_actions=True),
        "centralized": CommunicationConfig(influencers=leaders),
        "messages-baseline": CommunicationConfig(vocab_size=symbols),
        "messages": CommunicationConfig(vocab_size=symbols),
    }
    return table.get(method)


def make_team(
    method: str,
    game: SocialDilemmaName,
    num_agents: int,
    network: JaquesNetwork,
    learner: Callable[[tuple[IntrinsicConfig, ...]], LearnerConfig],
    **schedules: Any,
) -> tuple[GroupConfig, ...]:
    """The groups of a method: all alike, 'player'; but 'leader' and 'follower' where influence is centralized.

    Args:
      learner: makes a learner of intrinsic rewards. schedules: `learning_rate`, `entropy` and the like, of every group.
    Raises: MissingError for a method that is not known.
    """
    if method not in PUBLISHED_HPARAMS:
        raise NotFoundError(f"no method {method!r}; there are: {', '.join(PUBLISHED_HPARAMS)}")
    told, paid = published_communication(method, game), published_intrinsic_rewards(method, game)
    own = learner(paid)
    if method != "centralized":
        policy = RecurrentPolicyConfig(network=network, communication=told)
        return (GroupConfig(name="player", slots=tuple(range(num_agents)), policy=policy, learner=own, **schedules),)
    assert told is not None
    first = len(told.influencers)
    if first >= num_agents:
        raise NotFoundError(
            f"{first} influencers leave nobody to influence among {num_agents} agents; take more agents"
        )
    # In Cleanup the best of the published settings also pays those who are influenced, with weight 1.
    felt = dataclasses.replace(paid[0], weight=1.0) if game == "cleanup" else None
    listening = learner((felt,) if felt else ())
    return (
        GroupConfig(
            name="influencer",
            slots=told.influencers,
            policy=RecurrentPolicyConfig(network=network),
            learner=own,
            **schedules,
        ),
        GroupConfig(
            name="influencee",
            slots=tuple(range(first, num_agents)),
            policy=RecurrentPolicyConfig(network=network, communication=told),
            learner=listening,
            **schedules,
        ),
    )


def published_run(game: SocialDilemmaName, method: str = "moa") -> RunConfig:
    """A game of five agents with the published network and the best published numbers of a method: 500 million steps.

    The sizes of A3C's batches are not told; here 16 worlds are played for an episode, in 8 gradient steps.
    """
    if method not in PUBLISHED_HPARAMS:
        raise NotFoundError(f"no method {method!r}; there are: {', '.join(PUBLISHED_HPARAMS)}")
    entropy, start, end = PUBLISHED_HPARAMS[method][game]
    task = registry.get_task(f"{game}-v0")
    make = functools.partial(_a2c, num_minibatches=8)
    rates: dict[str, Any] = {"learning_rate": ((0.0, start), (1.0, end)), "ent_coef": entropy}
    return RunConfig(
        name=game,
        task=task,
        team=make_team(method, game, task.num_agents, JaquesNetwork(), make, **rates),
        total_timesteps=500_000_000,
        num_envs=16,
        checkpoint_interval=50,
    )


def _a2c(paid: tuple[IntrinsicConfig, ...], **changes) -> A2C:
    return A2C(**{"sequence_length": 50, **changes}, intrinsic=paid)


def desktop_ppo(task: Any, num_envs: int, intrinsic_rewards: tuple[IntrinsicConfig, ...]) -> PPO:
    """Two passes over the batch in four minibatches each, over sequences of 50 steps (or an episode, if shorter)."""
    length = min(50, task.max_steps)
    sequences = -(-task.max_steps // length) * num_envs
    return PPO(
        sequence_length=length, num_minibatches=8, minibatch_size=-(-sequences // 4), recompute_every=4, gamma=0.99,
        gae_lambda=0.95, vf_coef=0.5, target_kl=None, rollback_kl=None, max_grad_norm=0.5, adam_eps=1e-5,
        intrinsic=intrinsic_rewards,
    )  # fmt: skip


SMALL_JAQUES = JaquesNetwork(encoder_size=32, hidden_size=32)

ABLATIONS = (
    Variant(name="influence"),
    Variant(name="auxiliary", hparams={"intrinsic_scale": 0.0}),
    Variant(name="baseline", hparams={"intrinsic_scale": 0.0}, aux_loss_scale=0.0),
)
"""With influence; the model as a mere auxiliary loss; neither. One program trains all three."""


def small_run(game: SocialDilemmaName) -> RunConfig:
    """A smaller game of three agents: influence by a model of others, and its ablations. The numbers are our own."""
    task = registry.get_task(f"{game}-small-v0")
    episodes = 32
    paid = (MOAInfluence(weight=0.5, warmup_steps=1e6, loss_weight=0.5),)
    return RunConfig(
        name=f"{game}-small-moa",
        task=task,
        team=(
            GroupConfig(
                name="player",
                slots=tuple(range(task.num_agents)),
                policy=RecurrentPolicyConfig(network=SMALL_JAQUES),
                learner=desktop_ppo(task, episodes, paid),
                learning_rate=((0.0, 1e-3), (1.0, 1e-4)),
                ent_coef=((0.0, 0.02), (1.0, 0.002)),
            ),
        ),
        variants=ABLATIONS,
        total_timesteps=4_000_000,
        num_envs=episodes,
        checkpoint_interval=25,
    )


def box_trapped() -> RunConfig:
    """One agent boxed in: who is paid for influence lets it out, who is paid for apples does not. Desk sized.

    Influence is centralized: agent 0 acts first, agent 1 is told what it does. An apple pays 1 and agents move each
    other by a thousandth of a nat or less, so the weight, which the paper does not give, is a thousand;
    docs/influence.md has what smaller ones do.
    """
    task = dataclasses.replace(registry.get_task("box-trapped-v0"), view_radius=4)
    episodes = 16
    network = JaquesNetwork(encoder_size=64, hidden_size=64)
    rates: dict[str, Any] = {
        "learning_rate": ((0.0, 1e-3), (0.7, 5e-4), (1.0, 1e-4)),
        "ent_coef": ((0.0, 0.02), (0.7, 0.005), (1.0, 0.001)),
    }

    def learner(paid: tuple[IntrinsicConfig, ...]) -> PPO:
        return dataclasses.replace(desktop_ppo(task, episodes, paid), num_minibatches=16)

    return RunConfig(
        name="box-trapped",
        task=task,
        team=(
            GroupConfig(
                name="free",
                slots=(0,),
                policy=RecurrentPolicyConfig(network=network),
                learner=learner((CentralizedInfluence(weight=1000.0),)),
                **rates,
            ),
            GroupConfig(
                name="boxed",
                slots=(1,),
                policy=RecurrentPolicyConfig(network=network, communication=CommunicationConfig(influencers=(0,))),
                learner=learner(()),
                **rates,
            ),
        ),
        variants=(Variant(name="influence"), Variant(name="baseline", hparams={"intrinsic_scale": 0.0})),
        total_timesteps=1_000_000,
        num_envs=episodes,
        checkpoint_interval=25,
        eval_episodes=0,
    )


SOCIAL_DILEMMA_PRESETS: dict[str, Callable[[], RunConfig]] = {
    "cleanup": functools.partial(published_run, "cleanup"),
    "harvest": functools.partial(published_run, "harvest"),
    "cleanup-small-moa": functools.partial(small_run, "cleanup"),
    "harvest-small-moa": functools.partial(small_run, "harvest"),
    "box-trapped": box_trapped,
}
