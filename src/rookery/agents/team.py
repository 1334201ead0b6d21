"""Teams: which policy fills which slots of an environment, whether it learns there, and how all of them act.

Letters in shapes: A agents of the environment, S slots of a group, B environments, H entries of the communication
observation.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from rookery.agents.communication import CommState
from rookery.errors import ConfigError, IncompatibleError
from rookery.interfaces import Policy
from rookery.types import Env, PRNGKey, PyTree


@dataclasses.dataclass(frozen=True)
class AgentGroup:
    """Agents with one policy. The agents of a learning group have parameters of their own; others share theirs."""

    name: str
    slots: tuple[int, ...]
    policy: Policy  # a RecurrentPolicy if the group learns
    learner: Any = None  # None: the group does not change
    teacher: Policy | None = None  # a privileged policy; its actions are targets for the learner

    @property
    def learns(self) -> bool:
        return self.learner is not None


@dataclasses.dataclass(frozen=True)
class Team:
    """Groups that fill each slot of an environment exactly once."""

    groups: tuple[AgentGroup, ...]

    def validate(self, env: Env) -> None:
        """Raises ConfigError where the groups do not fill the slots, or a policy does not fit its observations."""
        filled = sorted(slot for group in self.groups for slot in group.slots)
        if filled != list(range(env.num_agents)):
            raise ConfigError(
                f"the team fills slots {filled}, the environment has slots {list(range(env.num_agents))}; "
                "each slot must be filled exactly once"
            )
        names = [group.name for group in self.groups]
        if len(set(names)) != len(names):
            raise ConfigError(f"group names {names} must differ from each other")
        for group in self.groups:
            if (expected := group.policy.observation_shape) is not None:
                self._validate_views(group, env, expected)
            self._validate_communication(group, env)

    def _validate_views(self, group: AgentGroup, env: Env, expected_shape: tuple[int, ...]) -> None:
        shapes = {slot: "×".join(map(str, env.observation_shape(slot))) for slot in group.slots}
        if len(set(shapes.values())) != 1:
            named = ", ".join(f"slot {slot} {shape}" for slot, shape in shapes.items())
            raise ConfigError(
                f"group {group.name!r} has slots whose views differ in shape ({named}); make one group for each shape"
            )
        expected, observed = "×".join(map(str, expected_shape)), shapes[group.slots[0]]
        if expected != observed:
            raise ConfigError(f"group {group.name!r} observes {observed}, its policy takes {expected}")

    def _validate_communication(self, group: AgentGroup, env: Env) -> None:
        policy: Any = group.policy
        communication = policy.communication
        if communication is None or not policy.comms_obs_size:
            return
        if (policy.num_agents, policy.num_actions) != (env.num_agents, env.num_actions):
            raise ConfigError(
                f"group {group.name!r} has a communication observation for {policy.num_agents} agents with "
                f"{policy.num_actions} actions, the environment has {env.num_agents} with {env.num_actions}"
            )
        influenced = {slot for g in self.groups if influencers(g) for slot in g.slots}
        wrong = [slot for slot in communication.influencers if slot in influenced or slot >= env.num_agents]
        if wrong:
            raise ConfigError(
                f"group {group.name!r}: influencers {wrong} are not slots of this environment, or have influencers "
                "themselves; an agent either acts first or observes those that act first"
            )
        if communication.vocab_size:
            different = {g.policy.vocab_size for g in self.groups} - {0, communication.vocab_size}
            if different:
                raise ConfigError(
                    f"group {group.name!r} has vocab_size={communication.vocab_size}, another group "
                    f"vocab_size={min(different)}; all that send messages must have the same"
                )

    @property
    def acting_order(self) -> tuple[tuple[int, AgentGroup], ...]:
        """The groups in the order in which they act within a step, each with its number: those that observe the actions
        of influencers act after all others; otherwise as given, all at the same time."""
        numbered = list(enumerate(self.groups))
        return tuple(sorted(numbered, key=lambda n: bool(influencers(n[1]))))

    @property
    def learning_groups(self) -> tuple[AgentGroup, ...]:
        return tuple(group for group in self.groups if group.learns)

    @property
    def learning_slots(self) -> tuple[int, ...]:
        return tuple(slot for group in self.learning_groups for slot in group.slots)


def sample_teacher_action(
    group: AgentGroup, carry: PyTree, states: PyTree, is_first: Bool[Array, "B"], key: PRNGKey
) -> tuple[Int[Array, "S B"], PyTree]:
    """The teacher's action in the place of each agent of a group, and its carry [S, B, ...]."""
    action, carry, _ = act_group(_teacher_group(group), (), carry, None, states, is_first, key)
    return action, carry


def update_teacher_carry(group: AgentGroup, carry: PyTree, states: PyTree, action: Int[Array, "S B"]) -> PyTree:
    """The teacher's carry after its students took these actions instead, in `states`, those before the step."""
    return set_executed_actions(_teacher_group(group), carry, None, states, action)


def initial_teacher_carry(group: AgentGroup, num_envs: int) -> PyTree:
    """The teacher's carry before an episode, [S, B, ...]."""
    return initial_carry(_teacher_group(group), num_envs)


def _teacher_group(group: AgentGroup) -> AgentGroup:
    assert group.teacher is not None, f"group {group.name!r} has no teacher"
    return AgentGroup(group.name, group.slots, group.teacher)


def influencers(group: AgentGroup) -> tuple[int, ...]:
    """The slots whose actions of the same step a group observes; most groups have none."""
    communication = group.policy.communication
    return communication.influencers if communication else ()


def gather_observations(observation: jax.Array | tuple[jax.Array, ...], slots: tuple[int, ...]) -> jax.Array:
    """The observations of some agents in B environments: [S, B, ...]."""
    if isinstance(observation, tuple):
        return jnp.stack([observation[slot] for slot in slots])
    return jnp.stack([observation[:, slot] for slot in slots])


def check_only_sees(policy: Policy, label: str) -> None:
    """Raises IncompatibleError for a policy with a communication observation. `label`: what to call it."""
    if policy.comms_obs_size:
        raise IncompatibleError(
            f"{label} observes other agents' actions or messages, which only runs, evaluations and replays provide"
        )


def act_group(
    group: AgentGroup,
    params: PyTree,
    carry: PyTree,
    observation: Any,
    states: PyTree,
    is_first: Bool[Array, "B"],
    key: PRNGKey,
    comm_state: CommState | None = None,
) -> tuple[jax.Array, PyTree, dict[str, jax.Array]]:
    """Let a group act in B environments.

    Args:
      params: leads with S if the group learns (parameters for each agent), and does not if it is frozen.
      observation: of all agents, as in a TimeStep of B environments; not read by a privileged policy.
      states: of the environments; read by a privileged policy only.
      comm_state: needed if the group has a communication observation.
    Returns: actions i32[S, B], the next carry and extras, all leading with S. If the group has a communication
      observation, extras hold it as `comms_obs`, u8[S, B, H].
    Raises: IncompatibleError where the group has a communication observation and `comm_state` is missing.
    """
    keys = jax.random.split(key, len(group.slots))
    if group.policy.privileged:
        # Not vmapped: a scripted policy plans under `cond`, and vmap would run both branches every step.
        views = [(states, jnp.full(is_first.shape, slot, jnp.int32)) for slot in group.slots]
        return _act_in_turn(group, params, carry, views, is_first, keys)
    if _views_differ(observation, group.slots):
        return _act_in_turn(group, params, carry, [observation[slot] for slot in group.slots], is_first, keys)
    obs = gather_observations(observation, group.slots)
    params_axis = 0 if group.learns else None
    if not group.policy.comms_obs_size:
        return jax.vmap(group.policy.act, (params_axis, 0, 0, None, 0))(params, carry, obs, is_first, keys)
    if comm_state is None:
        check_only_sees(group.policy, f"group {group.name!r}")
    policy: Any = group.policy
    comms_obs = policy.communication.encode(comm_state, policy.num_actions).astype(jnp.uint8)
    action, carry, extras = jax.vmap(policy.act, (params_axis, 0, 0, None, 0, None))(
        params, carry, obs, is_first, keys, comms_obs
    )
    return action, carry, {**extras, "comms_obs": jnp.broadcast_to(comms_obs, (len(group.slots), *comms_obs.shape))}


def _views_differ(observation: Any, slots: tuple[int, ...]) -> bool:
    """Whether agents observe arrays of different shapes, which cannot be stacked."""
    return isinstance(observation, tuple) and len({observation[slot].shape for slot in slots}) > 1


def _act_in_turn(
    group: AgentGroup, params: PyTree, carry: PyTree, views: list[Any], is_first: Bool[Array, "B"], keys: jax.Array
):
    """Slot by slot. `views`: what the policy observes in each."""
    outputs = []
    for number, view in enumerate(views):
        slot_carry = jax.tree.map(lambda x, number=number: x[number], carry)
        outputs.append(group.policy.act(params, slot_carry, view, is_first, keys[number]))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *outputs)


def set_executed_actions(
    group: AgentGroup, carry: PyTree, observation: Any, states: PyTree, action: Int[Array, "S B"]
) -> PyTree:
    """A group's carry [S, B, ...] after these actions were executed in place of those that its policy chose.

    Args:
      observation, states: those that it chose them for, as in `act_group`.
    """
    if _views_differ(observation, group.slots) and not group.policy.privileged:
        after = [
            group.policy.set_executed_action(jax.tree.map(lambda x, i=i: x[i], carry), observation[slot], action[i])
            for i, slot in enumerate(group.slots)
        ]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *after)
    if not group.policy.privileged:
        return jax.vmap(group.policy.set_executed_action)(carry, gather_observations(observation, group.slots), action)

    def update(carry, slot, action):
        return group.policy.set_executed_action(carry, (states, jnp.full_like(action, slot)), action)

    return jax.vmap(update)(carry, jnp.array(group.slots, jnp.int32), action)


def act_all(
    team: Team, params: dict[str, PyTree], carries: dict[str, PyTree], timestep: Any, states: PyTree, key: PRNGKey
) -> tuple[Int[Array, "B A"], dict[str, PyTree]]:
    """Let every group of a team without communication act once in B environments, all at the same time.

    Args:
      timestep: the TimeStep of the environments.
      states: their states.
    Returns: the actions, and every group's carry.
    Raises: IncompatibleError where a group has a communication observation.
    """
    num_agents = sum(len(group.slots) for group in team.groups)
    action, carries = jnp.zeros((timestep.is_first.shape[0], num_agents), jnp.int32), dict(carries)
    for group, group_key in zip(team.groups, jax.random.split(key, len(team.groups)), strict=True):
        group_action, carries[group.name], _ = act_group(
            group, params[group.name], carries[group.name], timestep.observation, states, timestep.is_first, group_key
        )
        action = action.at[:, jnp.array(group.slots)].set(group_action.T)
    return action, carries


def record_actions(
    comm_state: CommState,
    group: AgentGroup,
    action: Int[Array, "S B"],
    extras: dict[str, Any],
    agent_mask: Bool[Array, "B A"],
) -> CommState:
    """The communication state after a group has acted.

    Args:
      agent_mask: agents in the environment; actions and messages of absent agents are never observed.
    """
    slots = jnp.array(group.slots)
    is_present = agent_mask[:, slots]
    actions = comm_state.actions.at[:, slots].set(jnp.where(is_present, action.T, -1))
    messages = comm_state.messages
    if "message" in extras:
        messages = messages.at[:, slots].set(jnp.where(is_present, extras["message"].T, -1))
    return comm_state._replace(actions=actions, messages=messages)


def advance(comm_state: CommState) -> CommState:
    """The communication state of the next step: actions and messages of this one become the previous ones."""
    nothing = jnp.full_like(comm_state.actions, -1)
    return CommState(
        prev_actions=comm_state.actions, prev_messages=comm_state.messages, actions=nothing, messages=nothing
    )


def initial_carry(group: AgentGroup, num_envs: int) -> PyTree:
    """The carry of every agent of a group before an episode in B environments: [S, B, ...]."""
    parts = [group.policy.initial_carry(num_envs) for _ in group.slots]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)
