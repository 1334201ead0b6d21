"""B environments in one compiled call, from the view of one agent; policies of any kind control the others."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt32

from rookery.agents import scripted, zoo
from rookery.agents.random_policy import RandomPolicy
from rookery.agents.team import AgentGroup, act_group, check_only_sees, initial_carry
from rookery.errors import ConfigError, IncompatibleError
from rookery.interfaces import Policy
from rookery.interop.common import check_slot, episode_key
from rookery.keys import PARTNER_AGENTS
from rookery.tasks.registry import make_env
from rookery.types import Env, PyTree

NO_PARTNER = "none"
"""In place of an agent: the slot stays empty."""

Partners: TypeAlias = str | Path | Mapping[int, str | Path | None] | None
"""The agents in the other slots: one for all, or by slot; None and 'none' leave slots empty."""


class SingleAgentState(NamedTuple):
    """B environments and the memories of the partners in them."""

    env_states: PyTree
    observation: PyTree  # what the partners observe next; () if there are none
    is_first: Bool[Array, "B"]
    carries: dict[str, PyTree]
    key: UInt32[Array, "B 2"]
    step: Int[Array, "B"]


class SingleAgentTimeStep(NamedTuple):
    """One agent's data from a step of B environments."""

    observation: jax.Array  # u8[B, ...]
    scalars: jax.Array  # f32[4+n, B]: reward, terminated, truncated, active, and each of n metrics


def resolve_partners(env: Any, slot: int, partners: Partners) -> tuple[tuple[int, str], ...]:
    """The agent of each slot but `slot`, by number; paths are absolute, so that they stay those of today's folder.

    Raises: ConfigError for a slot that the task lacks, the agent's own slot, or partners of another type.
    """
    slot = check_slot("agent", slot)
    if not 0 <= slot < env.num_agents:
        raise ConfigError(f"agent={slot} is not a slot of this task; allowed: 0 to {env.num_agents - 1}")
    rest = [other for other in range(env.num_agents) if other != slot]
    if partners is None or isinstance(partners, str | os.PathLike):
        return tuple((other, _source_name(partners)) for other in rest)
    if not isinstance(partners, Mapping):
        raise ConfigError(
            f"partners={partners!r} must be the name of an agent, the path of one, or a dictionary of these by slot"
        )
    by_slot = {}
    for other, source in partners.items():
        if (number := check_slot("a slot of partners", other)) in by_slot:
            raise ConfigError(f"partners names slot {number} twice, as text and as a number; give it one partner")
        by_slot[number] = source
    if wrong := [other for other in by_slot if other not in rest]:
        raise ConfigError(f"partners has slot {wrong[0]}; the other slots of agent {slot} are {rest}")
    return tuple((other, _source_name(by_slot.get(other))) for other in rest)


def _source_name(source: str | Path | None) -> str:
    if source is None:
        return NO_PARTNER
    if not isinstance(source, str | os.PathLike):
        raise ConfigError(f"a partner is {source!r}; give the name of an agent or the path of a .safetensors file")
    name = os.fspath(source)
    return os.path.abspath(name) if zoo.is_agent_path(name) else name


class SingleAgentBatch:
    """Pure functions for one task, one agent and its partners, compiled once.

    reset(params, seed u32[B], episode u32[B]) -> SingleAgentState, SingleAgentTimeStep
    step(params, state, action i32[B]) -> SingleAgentState, SingleAgentTimeStep; the given state is used up
    reset_where(params, state, timestep, mask bool[B], seed, episode) -> SingleAgentState, SingleAgentTimeStep: new
      episodes where the mask is set

    Environments are independent: environment i is the same in any batch. Scripted partners with random choices are the
    exception: they share the key of the first environment, because they plan for all of them at once.
    """

    def __init__(
        self, task: Any, slot: int, partners: tuple[tuple[int, str], ...], identities: tuple[Hashable, ...]
    ) -> None:
        self._constructor_args = (task, slot, partners, identities)
        self.env: Env
        self.env = env = make_env(task)
        self.slot = slot
        self.params: dict[str, PyTree] = {}
        groups = []
        for (other, source), identity in zip(partners, identities, strict=True):
            if source == NO_PARTNER:
                continue
            name = f"slot {other}"
            policy, self.params[name] = _load_partner(env, other, source, identity)
            groups.append(AgentGroup(name, (other,), policy))
        self.partner_groups: tuple[AgentGroup, ...] = tuple(groups)
        self.agent_mask: np.ndarray = np.isin(np.arange(env.num_agents), [slot, *(group.slots[0] for group in groups)])
        self.metric_names: tuple[str, ...] = tuple(sorted(task.metric_names))
        self.reset: Callable[..., Any] = jax.jit(self._reset)
        self.step: Callable[..., Any] = jax.jit(self._step, donate_argnums=1)
        self.reset_where: Callable[..., Any] = jax.jit(self._reset_where, donate_argnums=(1, 2))

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies of an environment share the compiled program; another process compiles its own.
        return _compiled_batch, self._constructor_args

    def _reset(self, params, seed, episode) -> tuple[SingleAgentState, SingleAgentTimeStep]:
        keys = jax.vmap(episode_key)(seed, episode)
        agent_mask, env_params = jnp.asarray(self.agent_mask), self.env.default_params()
        env_states, timestep = jax.vmap(lambda key: self.env.reset(key, env_params, agent_mask))(keys)
        batch = len(keys)
        state = SingleAgentState(
            env_states=env_states,
            observation=timestep.observation if self.partner_groups else (),
            is_first=jnp.ones(batch, bool),
            carries={group.name: initial_carry(group, batch) for group in self.partner_groups},
            key=jax.vmap(lambda key: jax.random.fold_in(key, PARTNER_AGENTS))(keys),
            step=jnp.zeros(batch, jnp.int32),
        )
        return state, self._agent_timestep(timestep)

    def _step(self, params, state: SingleAgentState, action) -> tuple[SingleAgentState, SingleAgentTimeStep]:
        batch, env_params = len(action), self.env.default_params()
        joint = jnp.zeros((batch, self.env.num_agents), jnp.int32).at[:, self.slot].set(action)
        carries = dict(state.carries)
        for group in self.partner_groups:
            other = group.slots[0]
            keys = jax.vmap(lambda key, t, other=other: jax.random.fold_in(jax.random.fold_in(key, t), other))(
                state.key, state.step
            )
            partner_action, carries[group.name] = self._partner_actions(
                group, params[group.name], carries[group.name], state, keys
            )
            joint = joint.at[:, other].set(partner_action)
        env_states, timestep = jax.vmap(lambda state, actions: self.env.step(state, actions, env_params))(
            state.env_states, joint
        )
        after = SingleAgentState(
            env_states=env_states,
            observation=timestep.observation if self.partner_groups else (),
            is_first=jnp.zeros(batch, bool),
            carries=carries,
            key=state.key,
            step=state.step + 1,
        )
        return after, self._agent_timestep(timestep)

    def _partner_actions(self, group: AgentGroup, params, carry, state: SingleAgentState, keys):
        """Actions i32[B] of one partner in all environments, and its next carries."""
        if group.policy.privileged:
            action, carry, _ = act_group(
                group, params, carry, state.observation, state.env_states, state.is_first, keys[0]
            )
            return action[0], carry

        def act_in_one(carry, observation, is_first, key):
            grow = lambda tree, axis=0: jax.tree.map(lambda x: jnp.expand_dims(x, axis), tree)  # noqa: E731
            action, carry, _ = act_group(group, params, grow(carry, 1), grow(observation), None, is_first[None], key)
            return action[0, 0], jax.tree.map(lambda x: x[:, 0], carry)

        return jax.vmap(act_in_one, (1, 0, 0, 0), (0, 1))(carry, state.observation, state.is_first, keys)

    def _reset_where(
        self, params, state: SingleAgentState, timestep: SingleAgentTimeStep, mask, seed, episode
    ) -> tuple[SingleAgentState, SingleAgentTimeStep]:
        def choose(new, old, axis=0):
            shape = [1] * new.ndim
            shape[axis] = -1
            return jnp.where(mask.reshape(shape), new, old)

        new_state, new_timestep = self._reset(params, seed, episode)
        chosen = jax.tree.map(choose, new_state._replace(carries={}), state._replace(carries={}))
        carries = jax.tree.map(lambda new, old: choose(new, old, 1), new_state.carries, state.carries)
        observation = choose(new_timestep.observation, timestep.observation)
        scalars = choose(new_timestep.scalars, timestep.scalars, 1)
        return chosen._replace(carries=carries), SingleAgentTimeStep(observation, scalars)

    def _agent_timestep(self, timestep) -> SingleAgentTimeStep:
        views, slot = timestep.observation, self.slot
        view = views[slot] if isinstance(views, tuple) else views[:, slot]
        rows = [timestep.reward[:, slot], timestep.terminated, timestep.truncated, timestep.agent_mask[:, slot]]
        rows += [timestep.info[name][:, slot] for name in self.metric_names]
        return SingleAgentTimeStep(view, jnp.stack([row.astype(jnp.float32) for row in rows]))


def single_agent_batch(task: Any, slot: int, partners: tuple[tuple[int, str], ...]) -> SingleAgentBatch:
    """The same one for all equal environments, until a partner of the same name is another one.

    Raises: NotFoundError, CorruptFileError or IncompatibleError for a partner that cannot be read or does not fit;
      ConfigError for a scripted one that the task does not have.
    """
    return _compiled_batch(task, slot, partners, tuple(_partner_identity(task, source) for _, source in partners))


@functools.lru_cache(maxsize=64)
def _compiled_batch(
    task: Any, slot: int, partners: tuple[tuple[int, str], ...], identities: tuple[Hashable, ...]
) -> SingleAgentBatch:
    return SingleAgentBatch(task, slot, partners, identities)


def _partner_identity(task: Any, source: str) -> Hashable:
    """What tells partners of one name apart: the policy of a scripted one, since experts may be defined again; the
    digest of a trained one, since its file may be written again; nothing for others."""
    if source in scripted.OBSERVABILITY_BY_NAME:
        return scripted.make_expert(task, scripted.OBSERVABILITY_BY_NAME[source])
    return None if source in (NO_PARTNER, "random") else zoo.agent_digest(source)


def _load_partner(env: Env, slot: int, source: str, identity: Any) -> tuple[Policy, PyTree]:
    """The policy of a partner, and its parameters. Raises as `single_agent_batch`."""
    from rookery.training.policy_config import check_compatible  # imports the whole of training

    if source == "random":
        return RandomPolicy(env.num_actions), ()
    if source in scripted.OBSERVABILITY_BY_NAME:
        return identity, ()
    agent = zoo.load_trained_agent(source)
    if agent.card["card_sha256"] != identity:
        raise IncompatibleError(
            f"{source} has changed since the environment was made, or is changing now; make the environment again"
        )
    check_compatible(agent.policy, env.observation_shape(slot), env.num_actions, source)
    check_only_sees(agent.policy, source)
    return agent.policy, agent.params
