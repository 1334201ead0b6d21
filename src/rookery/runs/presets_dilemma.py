"""Runs in the social dilemmas: the published ones by game and method, and smaller ones for a desk.

Methods: 'a3c', 'visible' (others' last actions are seen), 'centralised', 'messages-baseline' (messages without
influence), 'messages', 'moa-baseline' (the model of others as a mere auxiliary loss), 'moa', 'prosocial', 'inequity'.
Source of the numbers: Jaques et al. 2019, tables of hyperparameters in the appendix, and the scripts of the
environments its authors cite.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal

from rookery.agents.hearing import Hears
from rookery.agents.networks import InfluenceNetwork
from rookery.errors import MissingError
from rookery.learning.a2c import A2C
from rookery.learning.intrinsic import (
    CentralisedInfluence,
    InequityAversion,
    IntrinsicConfig,
    MessageInfluence,
    ModelledInfluence,
    Prosocial,
)
from rookery.learning.learners import LearnerConfig
from rookery.learning.ppo import PPO
from rookery.runs.config import Arm, GroupConfig, Recurrent, RunConfig
from rookery.tasks import registry

Game = Literal["cleanup", "harvest"]

PUBLISHED: dict[str, dict[Game, tuple[float, float, float]]] = {
    "a3c": {"cleanup": (0.00176, 0.00126, 0.000012), "harvest": (0.000687, 0.00136, 0.000028)},
    "visible": {"cleanup": (0.00176, 0.00126, 0.000012), "harvest": (0.00184, 0.00215, 0.000013)},
    "centralised": {"cleanup": (0.000248, 0.00107, 0.000042), "harvest": (0.00025, 0.00107, 0.000042)},
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


def intrinsic(method: str, game: Game) -> tuple[IntrinsicConfig, ...]:
    """The published intrinsic reward of a method's agents (of those who lead, in 'centralised').

    The model's loss weights are the reciprocals of the table's numbers, as in the authors' scripts.
    """
    cleanup = game == "cleanup"
    table: dict[str, tuple[IntrinsicConfig, ...]] = {
        "centralised": (
            CentralisedInfluence(
                weight=0.146 if cleanup else 0.224, curriculum=140 * MILLION, divergence="jsd" if cleanup else "pmi"
            ),
        ),
        "messages-baseline": (MessageInfluence(weight=0.0),),
        "messages": (
            MessageInfluence(
                weight=2.752 if cleanup else 4.825,
                curriculum=(1 if cleanup else 8) * MILLION,
                environment=0.0 if cleanup else 1.0,
                entropy=0.000789 if cleanup else 0.00208,
                loss_weight=0.0758 if cleanup else 0.0709,
            ),
        ),
        "moa-baseline": (ModelledInfluence(weight=0.0, loss_weight=1 / (1.312 if cleanup else 1.711)),),
        "moa": (
            ModelledInfluence(
                weight=0.620 if cleanup else 2.521,
                curriculum=(40 if cleanup else 226) * MILLION,
                loss_weight=1 / (15.007 if cleanup else 10.911),
                train_only_visible=True,
            ),
        ),
        "prosocial": (Prosocial(weight=0.85),),
        "inequity": (InequityAversion(),),
    }
    return table.get(method, ())


def hears(method: str, game: Game) -> Hears | None:
    """What agents are told in a method (those who follow, in 'centralised')."""
    leaders = tuple(range(1 if game == "cleanup" else 3))
    symbols = 9 if game == "cleanup" else 7
    table = {
        "visible": Hears(actions=True),
        "centralised": Hears(leaders=leaders),
        "messages-baseline": Hears(symbols=symbols),
        "messages": Hears(symbols=symbols),
    }
    return table.get(method)


def team(
    method: str,
    game: Game,
    agents: int,
    network: InfluenceNetwork,
    learner: Callable[[tuple[IntrinsicConfig, ...]], LearnerConfig],
    **schedules: Any,
) -> tuple[GroupConfig, ...]:
    """The groups of a method: all alike, 'player'; but 'leader' and 'follower' where influence is centralised.

    Args:
      learner: makes a learner of intrinsic rewards. schedules: `learning_rate`, `entropy` and the like, of every group.
    Raises: MissingError for a method that is not known.
    """
    if method not in PUBLISHED:
        raise MissingError(f"no method {method!r}; there are: {', '.join(PUBLISHED)}")
    told, paid = hears(method, game), intrinsic(method, game)
    own = learner(paid)
    if method != "centralised":
        policy = Recurrent(network=network, hears=told)
        return (GroupConfig(name="player", slots=tuple(range(agents)), policy=policy, learner=own, **schedules),)
    assert told is not None
    first = len(told.leaders)
    if first >= agents:
        raise MissingError(f"{first} influencers leave nobody to influence among {agents} agents; take more agents")
    # In Cleanup the best of the published settings also pays those who are influenced, with weight 1.
    felt = dataclasses.replace(paid[0], weight=1.0) if game == "cleanup" else None
    listening = learner((felt,) if felt else ())
    return (
        GroupConfig(name="leader", slots=told.leaders, policy=Recurrent(network=network), learner=own, **schedules),
        GroupConfig(
            name="follower",
            slots=tuple(range(first, agents)),
            policy=Recurrent(network=network, hears=told),
            learner=listening,
            **schedules,
        ),
    )


def published(game: Game, method: str = "moa") -> RunConfig:
    """A game of five agents with the published network and the best published numbers of a method: 500 million steps.

    The sizes of A3C's batches are not told; here 16 worlds are played for an episode, in 8 gradient steps.
    """
    if method not in PUBLISHED:
        raise MissingError(f"no method {method!r}; there are: {', '.join(PUBLISHED)}")
    entropy, start, end = PUBLISHED[method][game]
    task = registry.make(f"{game}-v0")
    make = functools.partial(_a2c, minibatches=8)
    rates: dict[str, Any] = {"learning_rate": ((0.0, start), (1.0, end)), "entropy": entropy}
    return RunConfig(
        name=game,
        task=task,
        team=team(method, game, task.agents, InfluenceNetwork(), make, **rates),
        steps=500_000_000,
        episodes=16,
        checkpoint_every=50,
    )


def _a2c(paid: tuple[IntrinsicConfig, ...], **changes) -> A2C:
    return A2C(**{"sequence_length": 50, **changes}, intrinsic=paid)


def desk_ppo(task: Any, episodes: int, paid: tuple[IntrinsicConfig, ...]) -> PPO:
    """Two passes over the batch in four minibatches each, over sequences of 50 steps (or an episode, if shorter)."""
    length = min(50, task.max_steps)
    sequences = -(-task.max_steps // length) * episodes
    return PPO(
        sequence_length=length, minibatches=8, sequences=-(-sequences // 4), refresh_every=4, discount=0.99,
        decay=0.95, value_weight=0.5, kl_stop=None, kl_limit=None, max_gradient_norm=0.5, adam_epsilon=1e-5,
        intrinsic=paid,
    )  # fmt: skip


SMALL = InfluenceNetwork(width=32, memory_size=32)

ABLATIONS = (
    Arm(name="influence"),
    Arm(name="auxiliary", rates={"intrinsic_scale": 0.0}),
    Arm(name="baseline", rates={"intrinsic_scale": 0.0}, auxiliary_scale=0.0),
)
"""With influence; the model as a mere auxiliary loss; neither. One program trains all three."""


def small(game: Game) -> RunConfig:
    """A smaller game of three agents: influence by a model of others, and its ablations. The numbers are our own."""
    task = registry.make(f"{game}-small-v0")
    episodes = 32
    paid = (ModelledInfluence(weight=0.5, curriculum=1e6, loss_weight=0.5),)
    return RunConfig(
        name=f"{game}-small-moa",
        task=task,
        team=(
            GroupConfig(
                name="player",
                slots=tuple(range(task.agents)),
                policy=Recurrent(network=SMALL),
                learner=desk_ppo(task, episodes, paid),
                learning_rate=((0.0, 1e-3), (1.0, 1e-4)),
                entropy=((0.0, 0.02), (1.0, 0.002)),
            ),
        ),
        arms=ABLATIONS,
        steps=4_000_000,
        episodes=episodes,
        checkpoint_every=25,
    )


def box_trapped() -> RunConfig:
    """One agent boxed in: who is paid for influence lets it out, who is paid for apples does not. Desk sized.

    Influence is centralised: agent 0 acts first, agent 1 is told what it does. An apple pays 1 and agents move each
    other by a thousandth of a nat or less, so the weight, which the paper does not give, is a thousand;
    docs/influence.md has what smaller ones do.
    """
    task = dataclasses.replace(registry.make("box-trapped-v0"), view_radius=4)
    episodes = 16
    network = InfluenceNetwork(width=64, memory_size=64)
    rates: dict[str, Any] = {
        "learning_rate": ((0.0, 1e-3), (0.7, 5e-4), (1.0, 1e-4)),
        "entropy": ((0.0, 0.02), (0.7, 0.005), (1.0, 0.001)),
    }

    def learner(paid: tuple[IntrinsicConfig, ...]) -> PPO:
        return dataclasses.replace(desk_ppo(task, episodes, paid), minibatches=16)

    return RunConfig(
        name="box-trapped",
        task=task,
        team=(
            GroupConfig(
                name="free",
                slots=(0,),
                policy=Recurrent(network=network),
                learner=learner((CentralisedInfluence(weight=1000.0),)),
                **rates,
            ),
            GroupConfig(
                name="boxed",
                slots=(1,),
                policy=Recurrent(network=network, hears=Hears(leaders=(0,))),
                learner=learner(()),
                **rates,
            ),
        ),
        arms=(Arm(name="influence"), Arm(name="baseline", rates={"intrinsic_scale": 0.0})),
        steps=1_000_000,
        episodes=episodes,
        checkpoint_every=25,
        evaluation_episodes=0,
    )


DILEMMAS: dict[str, Callable[[], RunConfig]] = {
    "cleanup": functools.partial(published, "cleanup"),
    "harvest": functools.partial(published, "harvest"),
    "cleanup-small-moa": functools.partial(small, "cleanup"),
    "harvest-small-moa": functools.partial(small, "harvest"),
    "box-trapped": box_trapped,
}
