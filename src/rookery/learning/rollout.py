"""Play whole episodes with a team, and record for each learner what it learns from.

Letters in shapes: E episodes, T steps of an episode, A agents, S slots of a group.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rookery import keys
from rookery.agents.communication import CommState, initial_comm_state
from rookery.agents.team import (
    AgentGroup,
    Team,
    act_group,
    advance,
    gather_observations,
    influencers,
    initial_carry,
    initial_teacher_carry,
    record_actions,
    sample_teacher_action,
    update_teacher_carry,
)
from rookery.errors import ConfigError
from rookery.interfaces import OTHERS_INFO, Learner
from rookery.types import Env, MessageTrajectory, OthersInfo, PRNGKey, PyTree, TimeStep, Trajectory

_RECORDED_EXTRAS = ("comms_obs", "message", "message_logits", "teacher_action")
"""What is recorded of a policy's extras, where it has them."""


class EpisodeStats(NamedTuple):
    """Statistics of a batch of episodes for every agent: sums over each episode, unless said otherwise."""

    episode_return: Float[Array, "E A"]
    task_metrics: dict[str, Float[Array, "E A"]]
    longest_streak: Float[Array, "E A"]  # most positive rewards in a row without a negative one between them
    steps_to_first_reward: Float[Array, "E A"]  # step of the first positive reward, from 1; max_steps + 1 if none
    agent_mask: Bool[Array, "E A"]


class RolloutState(NamedTuple):
    """What changes from step to step."""

    env_state: PyTree  # of E environments
    timestep: TimeStep  # of E environments
    carries: dict[str, PyTree]  # recurrent states by group, [S, E, ...]
    teacher_carries: dict[str, PyTree]  # of the teachers, by group
    done: Bool[Array, "E"]  # the episode is over
    stats: EpisodeStats
    streak: Float[Array, "E A"]  # positive rewards in a row up to now
    comm_state: CommState


def rollout(
    env: Env,
    team: Team,
    params: dict[str, PyTree],
    env_params: PyTree,
    key: PRNGKey,
    agent_mask: Bool[Array, "E A"],
    teacher_action_prob: dict[str, Float[Array, ""]] | None = None,
) -> tuple[dict[str, Trajectory], EpisodeStats]:
    """Play E episodes of `max_steps` side by side, each from a reset to its end.

    Whole episodes need no recurrent or environment state kept from update to update, and a reset is computed once per
    episode instead of at every step.

    Args:
      agent_mask: which agents take part in which episode.
      teacher_action_prob: by learning group, the probability that the teacher's action is executed; teachers of groups
        that are left out are not asked.
    Returns: by learning group its trajectories, with leaves [S, T, E, ...] and the information about other agents that
      its intrinsic rewards request; and the statistics.
    """
    teacher_action_prob = teacher_action_prob or {}
    requested = {name for group in team.learning_groups for name in requested_info(group)}
    reset_key, act_key = jax.random.split(key)
    state = _initial_state(env, team, env_params, reset_key, agent_mask, teacher_action_prob)

    def step(state: RolloutState, t):
        group_keys = jax.random.split(jax.random.fold_in(act_key, t), len(team.groups))
        state, action, records = _act(team, params, state, group_keys, teacher_action_prob, requested)
        observed = {"action": state.comm_state.actions, "agent_mask": _acting_agents(state)}
        if "in_view" in requested:
            observed["in_view"] = jax.vmap(env.in_view)(state.env_state)
        if "relative_position" in requested:
            observed["relative_position"] = jax.vmap(env.relative_positions)(state.env_state)
        env_state, timestep = jax.vmap(env.step, (0, 0, None))(state.env_state, action, env_params)
        reward = jnp.where(state.done[:, None], 0.0, timestep.reward)
        observed["reward"] = reward
        for group in team.learning_groups:
            slots = jnp.array(group.slots)
            terminated = jnp.broadcast_to(timestep.terminated & ~state.done, (len(group.slots), len(state.done)))
            records[group.name] |= {"reward": reward[:, slots].T, "terminated": terminated}
            if _may_leave(group, env):
                records[group.name]["agent_mask"] = state.timestep.agent_mask[:, slots].T
        streak = jnp.where(reward < 0, 0.0, state.streak + (reward > 0))
        state = state._replace(
            env_state=env_state,
            timestep=timestep,
            done=state.done | timestep.terminated,
            stats=_update_stats(state.stats, reward, timestep, state.done, streak, t),
            streak=streak,
            comm_state=advance(state.comm_state),
        )
        return state, (records, {name: observed[name] for name in requested if name in observed})

    state, (records, observed) = jax.lax.scan(step, state, jnp.arange(env.max_steps))
    trajectories = {
        group.name: _trajectory(group, records[group.name], observed, state, env) for group in team.learning_groups
    }
    return trajectories, state.stats


def _initial_state(
    env: Env, team: Team, env_params: PyTree, key: PRNGKey, agent_mask: Bool[Array, "E A"], teachers: Iterable[str]
) -> RolloutState:
    """The start of E episodes. `teachers`: the groups whose teachers are asked."""
    num_envs = agent_mask.shape[0]
    env_state, timestep = jax.vmap(env.reset, (0, None, 0))(jax.random.split(key, num_envs), env_params, agent_mask)
    zeros = jnp.zeros((num_envs, env.num_agents))
    stats = EpisodeStats(
        episode_return=zeros,
        task_metrics=timestep.info,
        longest_streak=zeros,
        steps_to_first_reward=jnp.full((num_envs, env.num_agents), env.max_steps + 1.0),
        agent_mask=agent_mask,
    )
    return RolloutState(
        env_state=env_state,
        timestep=timestep,
        carries={group.name: initial_carry(group, num_envs) for group in team.groups},
        teacher_carries={
            group.name: initial_teacher_carry(group, num_envs) for group in team.groups if group.name in teachers
        },
        done=jnp.zeros(num_envs, bool),
        stats=stats,
        streak=zeros,
        comm_state=initial_comm_state(num_envs, env.num_agents),
    )


def _acting_agents(state: RolloutState) -> Bool[Array, "E A"]:
    """The agents that are in an episode that is not over."""
    return state.timestep.agent_mask & ~state.done[:, None]


def _act(
    team: Team,
    params: dict[str, PyTree],
    state: RolloutState,
    group_keys: Any,
    teacher_action_prob: dict[str, Float[Array, ""]],
    requested: set[str],
) -> tuple[RolloutState, Int[Array, "E A"], dict[str, dict[str, jax.Array]]]:
    """Let every group act once. Returns the state, the actions, and what is recorded by learning group, [S, E, ...]."""
    names = _RECORDED_EXTRAS + (("logits",) if requested & {"logits", "influence"} else ())
    mask, timestep, comm_state = _acting_agents(state), state.timestep, state.comm_state
    action = jnp.zeros(mask.shape, jnp.int32)
    carries, teacher_carries, records = dict(state.carries), dict(state.teacher_carries), {}
    for number, group in team.acting_order:
        chosen, carries[group.name], extras = act_group(
            group, params[group.name], carries[group.name], timestep.observation, state.env_state, timestep.is_first,
            group_keys[number], comm_state,
        )  # fmt: skip
        if group.learns and "logits" not in extras:
            _check_needs_no_logits(team, group, group.name in teacher_carries)
        if group.name in teacher_carries:
            chosen, extras, teacher_carries[group.name] = _follow_teacher(
                group, chosen, extras, teacher_carries[group.name], state, group_keys[number],
                teacher_action_prob[group.name],
            )  # fmt: skip
        comm_state = record_actions(comm_state, group, chosen, extras, mask)
        action = action.at[:, jnp.array(group.slots)].set(chosen.T)
        if group.learns:
            records[group.name] = {
                "observation": gather_observations(timestep.observation, group.slots),
                "action": chosen,
                "log_prob": extras["log_prob"],
                "loss_mask": mask[:, jnp.array(group.slots)].T,
                **{name: extras[name] for name in names if name in extras},
            }
    state = state._replace(carries=carries, teacher_carries=teacher_carries, comm_state=comm_state)
    return state, action, records


def _check_needs_no_logits(team: Team, group: AgentGroup, has_teacher: bool) -> None:
    """Raises ConfigError where something needs the logits of a group whose policy gives none while it learns."""
    users = [f"the influence on group {g.name!r}" for g in team.learning_groups if _is_influenced_by(g, group, team)]
    if "logits" in requested_info(group):
        users.append("what it requests, 'logits',")
    if has_teacher:
        users.append("its teacher")
    if users:
        raise ConfigError(
            f"group {group.name!r}: {users[0]} needs the logits of the policy that acts, and behavior_policy() of the "
            f"learner {group.learner.kind!r} gives no extra 'logits'; give it, or use another learner for this group"
        )


def _is_influenced_by(receiver: AgentGroup, source: AgentGroup, team: Team) -> bool:
    """Whether the influence of the source's actions on the receiver is measured from the source's logits."""
    measured = any(
        "influence" in reward.required_info and not reward.pays_messages
        for group in team.learning_groups
        for reward in group.learner.intrinsic
    )
    return measured and not set(influencers(receiver)).isdisjoint(source.slots)


def _may_leave(group: AgentGroup, env: Env) -> bool:
    """Whether an agent of the group may leave within an episode and return."""
    return not set(group.slots).isdisjoint(env.dropout_slots)


def _follow_teacher(
    group: AgentGroup,
    chosen: Int[Array, "S E"],
    extras: dict[str, jax.Array],
    teacher_carry: PyTree,
    state: RolloutState,
    key: PRNGKey,
    teacher_action_prob: Float[Array, ""],
) -> tuple[Int[Array, "S E"], dict[str, jax.Array], PyTree]:
    """Execute the teacher's action with this probability, otherwise the student's.

    Returns: the actions, the student's extras with the log-probability of these actions and the teacher's actions, and
      the teacher's next carry.
    """
    sample_key, follow_key = jax.random.split(jax.random.fold_in(key, keys.TEACHER_ACTION))
    is_first = state.timestep.is_first
    teacher_action, carry = sample_teacher_action(group, teacher_carry, state.env_state, is_first, sample_key)
    follows = jax.random.bernoulli(follow_key, teacher_action_prob, chosen.shape)
    chosen = jnp.where(follows, teacher_action, chosen)
    log_probs = jax.nn.log_softmax(extras["logits"])
    log_prob = jnp.take_along_axis(log_probs, chosen[..., None], -1)[..., 0]
    extras = {**extras, "log_prob": log_prob, "teacher_action": teacher_action}
    return chosen, extras, update_teacher_carry(group, carry, state.env_state, chosen)


def _update_stats(
    stats: EpisodeStats,
    reward: Float[Array, "E A"],
    timestep: TimeStep,
    done: Bool[Array, "E"],
    streak: Float[Array, "E A"],
    t: Int[Array, ""],
) -> EpisodeStats:
    """The statistics after step t, counted from 0. `done`: before the step."""
    first_reward = jnp.where(reward > 0, jnp.minimum(stats.steps_to_first_reward, t + 1.0), stats.steps_to_first_reward)
    return stats._replace(
        episode_return=stats.episode_return + reward,
        task_metrics={
            name: stats.task_metrics[name] + jnp.where(done[:, None], 0.0, count)
            for name, count in timestep.info.items()
        },
        longest_streak=jnp.maximum(stats.longest_streak, streak),
        steps_to_first_reward=first_reward,
    )


def _trajectory(
    group: AgentGroup, records: dict[str, jax.Array], observed: dict[str, jax.Array], last: RolloutState, env: Env
) -> Trajectory:
    """A group's trajectories, [S, T, E, ...]. `last`: the state after the last step."""
    fields: dict[str, Any] = {name: jnp.moveaxis(x, 1, 0) for name, x in records.items()}  # [T, S, E] -> [S, T, E]
    final = gather_observations(last.timestep.observation, group.slots)[:, None]
    comms_obs, logits, messages = fields.pop("comms_obs", None), fields.pop("logits", None), None
    if comms_obs is not None:
        # With the final observation; nothing of the influencers' actions, which they have not chosen yet.
        policy: Any = group.policy
        final_comms_obs = policy.communication.encode(last.comm_state, policy.num_actions).astype(comms_obs.dtype)
        final_comms_obs = jnp.broadcast_to(final_comms_obs, (len(group.slots), 1, *final_comms_obs.shape))
        comms_obs = jnp.concatenate([comms_obs, final_comms_obs], 1)
    if "message" in fields:
        message, message_logits = fields.pop("message"), fields.pop("message_logits")
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(message_logits), message[..., None], -1)[..., 0]
        messages = MessageTrajectory(message=message, log_prob=log_prob, logits=message_logits)
    if _may_leave(group, env):
        final_mask = last.timestep.agent_mask[:, jnp.array(group.slots)].T[:, None]
        fields["agent_mask"] = jnp.concatenate([fields["agent_mask"], final_mask], 1)
    is_first = jnp.zeros((env.max_steps + 1, len(last.done)), bool).at[0].set(True)
    return Trajectory(
        observation=jnp.concatenate([fields.pop("observation"), final], 1),
        is_first=jnp.broadcast_to(is_first, (len(group.slots), *is_first.shape)),
        comms_obs=comms_obs,
        logits=logits,
        messages=messages,
        others=_others_info(group, observed, env.num_agents),
        **fields,
    )


def requested_info(group: Any) -> tuple[str, ...]:
    """`learner_info` of a group, or of its configuration; nothing if it does not learn."""
    return () if group.learner is None else learner_info(group.learner)


def learner_info(learner: Learner) -> tuple[str, ...]:
    """What a learner, its intrinsic rewards and its auxiliary losses request: names of `REQUESTABLE_INFO`."""
    parts = (learner, *learner.intrinsic, *learner.auxiliary)
    return tuple(dict.fromkeys(name for part in parts for name in part.required_info))


def _others_info(group: AgentGroup, observed: dict[str, jax.Array], num_agents: int) -> OthersInfo | None:
    """What the group requests of the other agents, [S, T, E, ...], with the agent's own first."""
    fields = [name for name in requested_info(group) if name in OTHERS_INFO]
    if not fields:
        return None
    orders = [[(slot + n) % num_agents for n in range(num_agents)] for slot in group.slots]

    def from_slot(name: str, order: list[int]):
        if name in ("in_view", "relative_position"):  # by pairs of agents
            return observed[name][:, :, order[0]][:, :, jnp.array(order[1:], int)]
        return observed[name][..., jnp.array(order)]

    stacked: Any = {name: jnp.stack([from_slot(name, order) for order in orders]) for name in fields}
    return OthersInfo(**stacked)


def sample_agent_mask(
    env: Env,
    team: Team,
    key: PRNGKey,
    num_envs: int,
    social_episode_prob: Float[Array, ""],
    update: int | Int[Array, ""] = 0,
) -> Bool[Array, "E A"]:
    """Which agents take part in each episode: the whole team, or, in solo episodes, one learner alone.

    Each episode is social with probability `social_episode_prob`; the learners take turns in solo episodes, from one
    update to the next, too.

    Args:
      update: the number of updates before this one.
    """
    social = jax.random.uniform(key, (num_envs,)) < social_episode_prob
    slots = jnp.array(team.learning_slots)
    turn = jnp.arange(num_envs)
    if left_over := num_envs % len(slots):  # the next update begins with the learner after the last of this one
        turn = turn + update % len(slots) * left_over
    soloist = slots[turn % len(slots)]
    return social[:, None] | (jnp.arange(env.num_agents) == soloist[:, None])
