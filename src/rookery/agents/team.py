"""Which slots a policy fills, and whether it learns there."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from rookery.agents.communication import CommState
from rookery.errors import ConfigError, IncompatibleError
from rookery.types import Env, PRNGKey, PyTree


@dataclasses.dataclass(frozen=True)
class AgentGroup:
    """Agents with one policy. A learning group's agents have parameters of their own each; others share theirs."""

    name: str
    slots: tuple[int, ...]
    policy: Any  # a Policy; a RecurrentPolicy where it learns
    learner: Any = None  # None: this group does not change
    teacher: Any = None  # a privileged policy that tells learners what it would do in their place

    @property
    def learns(self) -> bool:
        return self.learner is not None


@dataclasses.dataclass(frozen=True)
class Team:
    """Groups that fill each slot of a world exactly once."""

    groups: tuple[AgentGroup, ...]

    def validate(self, env: Env) -> None:
        """Raises ConfigError where the groups do not fill the slots, or a policy does not fit what it would see."""
        filled = sorted(slot for group in self.groups for slot in group.slots)
        if filled != list(range(env.num_agents)):
            raise ConfigError(
                f"the team fills slots {filled}, the world has slots {list(range(env.num_agents))}; "
                "each slot must be filled exactly once"
            )
        names = [group.name for group in self.groups]
        if len(set(names)) != len(names):
            raise ConfigError(f"group names {names} must differ from each other")
        for group in self.groups:
            shapes = {env.observation_shape(slot) for slot in group.slots}
            if len(shapes) != 1:
                raise ConfigError(f"group {group.name!r} has slots whose views differ in shape: {sorted(shapes)}")
            taken, seen = getattr(group.policy, "observation_shape", None), shapes.pop()
            if taken is not None and tuple(taken) != tuple(seen):
                raise ConfigError(
                    f"group {group.name!r} sees {'×'.join(map(str, seen))}, "
                    f"its policy takes {'×'.join(map(str, taken))}"
                )
            self._validate_communication(group, env)

    def _validate_communication(self, group: AgentGroup, env: Env) -> None:
        hears = getattr(group.policy, "communication", None)
        if hears is None or not group.policy.comms_obs_size:
            return
        if (group.policy.num_agents, group.policy.num_actions) != (env.num_agents, env.num_actions):
            raise ConfigError(
                f"group {group.name!r} hears {group.policy.num_agents} agents of {group.policy.num_actions} actions, "
                f"the world has {env.num_agents} of {env.num_actions}"
            )
        followers = {slot for g in self.groups if influencers(g) for slot in g.slots}
        wrong = [slot for slot in hears.influencers if slot in followers or slot >= env.num_agents]
        if wrong:
            raise ConfigError(
                f"group {group.name!r}: influencers {wrong} are no slots of this world, or follow leaders themselves; "
                "those who act first and those who are told must be different agents"
            )
        if hears.vocab_size:
            different = {getattr(g.policy, "vocab_size", 0) for g in self.groups} - {0, hears.vocab_size}
            if different:
                raise ConfigError(
                    f"group {group.name!r} has {hears.vocab_size} symbols, another group {min(different)} symbols; "
                    "all who speak must have as many"
                )

    @property
    def acting_order(self) -> tuple[tuple[int, AgentGroup], ...]:
        """The groups in the order in which they act within a step, each with its number: who is told what leaders do
        comes after them; all others act at once, and in the order given."""
        numbered = list(enumerate(self.groups))
        return tuple(sorted(numbered, key=lambda n: bool(influencers(n[1]))))

    @property
    def learning_groups(self) -> tuple[AgentGroup, ...]:
        return tuple(group for group in self.groups if group.learns)

    @property
    def learning_slots(self) -> tuple[int, ...]:
        return tuple(slot for group in self.learning_groups for slot in group.slots)


def sample_teacher_action(
    group: AgentGroup, carry: PyTree, states, is_first: Bool[Array, "B"], key: PRNGKey
) -> tuple[Int[Array, "S B"], PyTree]:
    """What the teacher would do in the place of each of a group's agents, and its memories [S, B, ...]."""
    chosen, carry, _ = act_group(_teacher_group(group), (), carry, None, states, is_first, key)
    return chosen, carry


def update_teacher_carry(group: AgentGroup, carry: PyTree, states, action: Int[Array, "S B"]) -> PyTree:
    """The teacher's memories once its pupils have done what they did instead, in states before the step."""
    follow = getattr(group.teacher, "set_executed_action", None)
    if follow is None:
        return carry
    slots = jnp.array(group.slots, jnp.int32)
    return jax.vmap(lambda own, slot, done: follow(own, (states, jnp.full_like(done, slot)), done))(
        carry, slots, action
    )


def initial_teacher_carry(group: AgentGroup, num_envs: int) -> PyTree:
    """Before an episode."""
    return initial_carry(_teacher_group(group), num_envs)


def _teacher_group(group: AgentGroup) -> AgentGroup:
    return AgentGroup(group.name, group.slots, group.teacher)


def influencers(group: AgentGroup) -> tuple[int, ...]:
    """The slots whose actions of the same step a group is told; none for most."""
    return getattr(getattr(group.policy, "communication", None), "influencers", ())


def gather_observations(observation, slots: tuple[int, ...]) -> jax.Array:
    """What some agents of B worlds see: [S, B, ...]."""
    if isinstance(observation, tuple):
        return jnp.stack([observation[slot] for slot in slots])
    return jnp.stack([observation[:, slot] for slot in slots])


def act_group(
    group: AgentGroup,
    params: PyTree,
    carry: PyTree,
    observation,
    states,
    is_first: Bool[Array, "B"],
    key: PRNGKey,
    comm_state: CommState | None = None,
) -> tuple[jax.Array, PyTree, dict[str, jax.Array]]:
    """Let a group act in B worlds. Carry, action i32[S, B] and extras lead with the group's S slots.

    `params` leads with S where the group learns (parameters of their own), and does not where it is frozen. Extras of
    a group that hears hold what it was told, u8[S, B, H].
    Raises: MisfitError where the group hears and there is no board to read.
    """
    keys = jax.random.split(key, len(group.slots))
    if group.policy.privileged:
        batch = is_first.shape[0]

        def privileged(carry, slot, key):
            seen = (states, jnp.full(batch, slot, jnp.int32))
            return group.policy.act(params, carry, seen, is_first, key)

        # Not vmapped: a scripted policy plans under `cond`, which vmap would run at every step.
        parts = [
            privileged(jax.tree.map(lambda x, i=i: x[i], carry), slot, keys[i]) for i, slot in enumerate(group.slots)
        ]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)
    seen = gather_observations(observation, group.slots)
    over = 0 if group.learns else None
    if not getattr(group.policy, "comms_obs_size", 0):
        return jax.vmap(group.policy.act, (over, 0, 0, None, 0))(params, carry, seen, is_first, keys)
    if comm_state is None:
        raise IncompatibleError(
            f"group {group.name!r} hears what others do or say, which is told in runs, evaluations and films only"
        )
    heard = group.policy.communication.encode(comm_state, group.policy.num_actions).astype(jnp.uint8)
    action, carry, extras = jax.vmap(group.policy.act, (over, 0, 0, None, 0, None))(
        params, carry, seen, is_first, keys, heard
    )
    return action, carry, {**extras, "comms_obs": jnp.broadcast_to(heard, (len(group.slots), *heard.shape))}


def act_all(
    team: Team, params: dict[str, PyTree], carries: dict[str, PyTree], timestep, states, key: PRNGKey
) -> tuple[Int[Array, "B A"], dict[str, PyTree]]:
    """Let every group of a team in which nobody hears act once in B worlds; its members all act at once.

    Args:
      told: the TimeStep of each world. states: their states.
    Returns: the actions, and every group's carry.
    Raises: MisfitError where a group hears.
    """
    agents = sum(len(group.slots) for group in team.groups)
    action, carries = jnp.zeros((timestep.is_first.shape[0], agents), jnp.int32), dict(carries)
    for group, group_key in zip(team.groups, jax.random.split(key, len(team.groups)), strict=True):
        chosen, carries[group.name], _ = act_group(
            group, params[group.name], carries[group.name], timestep.observation, states, timestep.is_first, group_key
        )
        action = action.at[:, jnp.array(group.slots)].set(chosen.T)
    return action, carries


def record_actions(
    comm_state: CommState, group: AgentGroup, action: jax.Array, extras: dict, agent_mask: Bool[Array, "B A"]
) -> CommState:
    """The board once a group has acted.

    Args:
      action: i32[S, B]. active: who is in the world; what the absent do is never told.
    """
    slots = jnp.array(group.slots)
    there = agent_mask[:, slots]
    does = comm_state.actions.at[:, slots].set(jnp.where(there, action.T, -1))
    says = comm_state.messages
    if "message" in extras:
        says = says.at[:, slots].set(jnp.where(there, extras["message"].T, -1))
    return comm_state._replace(actions=does, messages=says)


def advance(comm_state: CommState) -> CommState:
    """The board for the next step, which tells what was done and said in this one."""
    nothing = jnp.full_like(comm_state.actions, -1)
    return CommState(
        prev_actions=comm_state.actions, prev_messages=comm_state.messages, actions=nothing, messages=nothing
    )


def initial_carry(group: AgentGroup, num_envs: int) -> PyTree:
    """A blank memory for every slot of the group in B worlds: [S, B, ...]."""
    parts = [group.policy.initial_carry(num_envs) for _ in group.slots]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)
