"""Runs in the social dilemmas: the published ones by game and method, and smaller ones for a desktop computer.

| method | what its agents have |
|---|---|
| a3c | nothing beyond the reward of the task |
| visible | influencers act first, and the others observe their actions; no reward for it |
| centralized | influencers act first and are rewarded for influence on the influencees, which observe their actions |
| messages-baseline, messages | discrete messages, without and with a reward for their influence |
| moa-baseline, moa | a model of other agents, as an auxiliary loss alone and with the influence reward |
| prosocial | a reward for the sum of the others' rewards |
| inequity | inequity aversion |

Source: Jaques et al. 2019, hyperparameter tables of the appendix, and the scripts of the environments that its authors
cite.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal

from rookery.agents.communication import CommunicationConfig
from rookery.agents.networks import JaquesNetwork
from rookery.errors import ConfigError, NotFoundError, suggest
from rookery.interfaces import IntrinsicReward, Learner
from rookery.learning.a2c import A2C
from rookery.learning.intrinsic import (
    CentralizedInfluence,
    InequityAversion,
    MessageInfluence,
    MOAInfluence,
    Prosocial,
)
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
"""By method and game: weight of the entropy bonus, learning rate at the start and at the end.

The paper has no numbers for prosocial and inequity-averse agents; they take A3C's."""

_ACTING_IN_TURN = ("visible", "centralized")

MILLION = 1e6
"""Environment steps: the unit in which the paper gives its curricula."""


def published_intrinsic_rewards(method: str, game: SocialDilemmaName) -> tuple[IntrinsicReward, ...]:
    """The published intrinsic reward of a method's agents (in 'centralized', of the influencers).

    The loss weights of the model of other agents are the reciprocals of the table's numbers, as in the reference code.
    The table gives the baseline's messages no loss weight and no entropy bonus: they are those of influential messages,
    so that the two differ in the reward of messages alone.
    """
    cleanup = game == "cleanup"
    messages = MessageInfluence(
        weight=2.752 if cleanup else 4.825,
        warmup_steps=(1 if cleanup else 8) * MILLION,
        extrinsic_coef=0.0 if cleanup else 1.0,
        ent_coef=0.000789 if cleanup else 0.00208,
        loss_weight=0.0758 if cleanup else 0.0709,
    )
    rewards: dict[str, tuple[IntrinsicReward, ...]] = {
        "centralized": (
            CentralizedInfluence(
                weight=0.146 if cleanup else 0.224, warmup_steps=140 * MILLION, divergence="jsd" if cleanup else "pmi"
            ),
        ),
        "messages-baseline": (dataclasses.replace(messages, weight=0.0, warmup_steps=0.0, extrinsic_coef=1.0),),
        "messages": (messages,),
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
    return rewards.get(method, ())


def published_communication(method: str, game: SocialDilemmaName) -> CommunicationConfig | None:
    """What a method's agents observe in addition to their views (where some act first, the others)."""
    influencers = tuple(range(1 if game == "cleanup" else 3))
    vocab_size = 9 if game == "cleanup" else 7
    communication = {
        "visible": CommunicationConfig(influencers=(0, 1, 2)),
        "centralized": CommunicationConfig(influencers=influencers),
        "messages-baseline": CommunicationConfig(vocab_size=vocab_size),
        "messages": CommunicationConfig(vocab_size=vocab_size),
    }
    return communication.get(method)


def make_team(
    method: str,
    game: SocialDilemmaName,
    num_agents: int,
    network: JaquesNetwork,
    learner: Callable[[tuple[IntrinsicReward, ...]], Learner],
    **schedules: Any,
) -> tuple[GroupConfig, ...]:
    """The groups of a method: one, 'player', or 'influencer' and 'influencee' where some act first.

    With 'visible', all but the last act first if there are no more agents than the three published influencers.

    Args:
      learner: makes a learner from its intrinsic rewards.
      schedules: `learning_rate`, `ent_coef` and the like, for every group.
    Raises: NotFoundError for an unknown method; ConfigError for too few agents.
    """
    _check_method(method)
    communication, rewards = published_communication(method, game), published_intrinsic_rewards(method, game)
    if method not in _ACTING_IN_TURN:
        policy = RecurrentPolicyConfig(network=network, communication=communication)
        slots = tuple(range(num_agents))
        return (GroupConfig(name="player", slots=slots, policy=policy, learner=learner(rewards), **schedules),)
    assert communication is not None
    if method == "visible":
        communication = dataclasses.replace(communication, influencers=communication.influencers[: num_agents - 1])
    num_influencers = len(communication.influencers)
    if num_influencers >= num_agents:
        raise ConfigError(
            f"with {num_influencers} influencers, {num_agents} agents leave none to influence; take more agents"
        )
    # In Cleanup the best of the published settings also rewards the influencees, with weight 1.
    influencee_rewards = tuple(dataclasses.replace(reward, weight=1.0) for reward in rewards if game == "cleanup")
    return (
        GroupConfig(
            name="influencer",
            slots=communication.influencers,
            policy=RecurrentPolicyConfig(network=network),
            learner=learner(rewards),
            **schedules,
        ),
        GroupConfig(
            name="influencee",
            slots=tuple(range(num_influencers, num_agents)),
            policy=RecurrentPolicyConfig(network=network, communication=communication),
            learner=learner(influencee_rewards),
            **schedules,
        ),
    )


def _check_method(method: str) -> None:
    if method not in PUBLISHED_HPARAMS:
        raise NotFoundError(f"no method {method!r}; {suggest(method, PUBLISHED_HPARAMS)}")


def published_run(game: SocialDilemmaName, method: str = "moa") -> RunConfig:
    """A game of five agents with the published network and a method's best published numbers: 500 million steps.

    The paper does not give A3C's batch sizes; here a batch is one episode in each of 16 environments, in 8 gradient
    steps.
    """
    _check_method(method)
    ent_coef, initial_rate, final_rate = PUBLISHED_HPARAMS[method][game]
    task = registry.get_task(f"{game}-v0")
    team = make_team(
        method,
        game,
        task.num_agents,
        JaquesNetwork(),
        lambda rewards: A2C(sequence_length=50, num_minibatches=8, intrinsic=rewards),
        learning_rate=((0.0, initial_rate), (1.0, final_rate)),
        ent_coef=ent_coef,
    )
    return RunConfig(name=game, task=task, team=team, total_timesteps=500_000_000, num_envs=16, checkpoint_interval=50)


def desktop_ppo(task: Any, num_envs: int, intrinsic_rewards: tuple[IntrinsicReward, ...]) -> PPO:
    """PPO with two passes over the batch in four minibatches each, of sequences of 50 steps (or a shorter episode)."""
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
"""With the influence reward; with the model of other agents as an auxiliary loss alone; with neither. They share one
compiled program."""


def small_run(game: SocialDilemmaName) -> RunConfig:
    """A smaller game of three agents: influence by a model of other agents, and its ablations. Not from the paper."""
    task = registry.get_task(f"{game}-small-v0")
    num_envs = 32
    rewards = (MOAInfluence(weight=0.5, warmup_steps=1e6, loss_weight=0.5),)
    return RunConfig(
        name=f"{game}-small-moa",
        task=task,
        team=(
            GroupConfig(
                name="player",
                slots=tuple(range(task.num_agents)),
                policy=RecurrentPolicyConfig(network=SMALL_JAQUES),
                learner=desktop_ppo(task, num_envs, rewards),
                learning_rate=((0.0, 1e-3), (1.0, 1e-4)),
                ent_coef=((0.0, 0.02), (1.0, 0.002)),
            ),
        ),
        variants=ABLATIONS,
        total_timesteps=4_000_000,
        num_envs=num_envs,
        checkpoint_interval=25,
    )


def box_trapped() -> RunConfig:
    """One agent is boxed in: with the influence reward the free agent lets it out, for apples alone it does not.

    Influence is centralized: agent 0 acts first, and agent 1 observes its action. An apple is worth 1 and the agents
    influence each other by a thousandth of a nat or less, so the weight, which the paper does not give, is 1000;
    docs/influence.md shows what smaller weights do.
    """
    task = dataclasses.replace(registry.get_task("box-trapped-v0"), view_radius=4)
    num_envs = 16
    network = JaquesNetwork(encoder_size=64, hidden_size=64)
    schedules: dict[str, Any] = {
        "learning_rate": ((0.0, 1e-3), (0.7, 5e-4), (1.0, 1e-4)),
        "ent_coef": ((0.0, 0.02), (0.7, 0.005), (1.0, 0.001)),
    }

    def learner(rewards: tuple[IntrinsicReward, ...]) -> PPO:
        return dataclasses.replace(desktop_ppo(task, num_envs, rewards), num_minibatches=16)

    return RunConfig(
        name="box-trapped",
        task=task,
        team=(
            GroupConfig(
                name="free",
                slots=(0,),
                policy=RecurrentPolicyConfig(network=network),
                learner=learner((CentralizedInfluence(weight=1000.0),)),
                **schedules,
            ),
            GroupConfig(
                name="boxed",
                slots=(1,),
                policy=RecurrentPolicyConfig(network=network, communication=CommunicationConfig(influencers=(0,))),
                learner=learner(()),
                **schedules,
            ),
        ),
        variants=(Variant(name="influence"), Variant(name="baseline", hparams={"intrinsic_scale": 0.0})),
        total_timesteps=1_000_000,
        num_envs=num_envs,
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
