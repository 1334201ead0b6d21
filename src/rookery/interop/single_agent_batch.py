"""B worlds in one compiled call, seen from one agent; others act inside it: trained, scripted, random, or nobody."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt32

from rookery.agents import scripted, zoo
from rookery.agents.random_policy import RandomPolicy
from rookery.agents.team import AgentGroup, act_group, initial_carry
from rookery.errors import ConfigError
from rookery.interop.common import episode_key
from rookery.tasks.registry import make_env
from rookery.types import PyTree

NO_PARTNER = "nobody"
PARTNER_KEY_TAG = 0x0AC7
"""Folded into an episode's key for what the companions draw."""


class SingleAgentState(NamedTuple):
    """B worlds and the memories of who acts in them."""

    env_states: PyTree
    observation: PyTree  # what the companions read next; () if there are none
    is_first: Bool[Array, "B"]
    carries: dict[str, PyTree]
    key: UInt32[Array, "B 2"]
    step: Int[Array, "B"]


class SingleAgentTimeStep(NamedTuple):
    """What one agent is told, in B worlds."""

    observation: jax.Array  # u8[B, ...]
    scalars: jax.Array  # f32[4+n, B]: reward, terminated, truncated, active, and each count


def resolve_partners(env: Any, slot: int, partners: str | dict[int, str]) -> tuple[tuple[int, str], ...]:
    """Who fills each slot but `slot`, by number.

    Raises: ConfigError for a slot the task lacks, one named twice, or one that is the agent's own.
    """
    if not 0 <= slot < env.num_agents:
        raise ConfigError(f"agent={slot} is no slot of this task; it has 0 to {env.num_agents - 1}")
    rest = [other for other in range(env.num_agents) if other != slot]
    if isinstance(partners, str):
        return tuple((other, partners) for other in rest)
    if wrong := [other for other in partners if other not in rest]:
        raise ConfigError(f"others has slot {wrong[0]!r}; slots beside agent {slot} are: {rest}")
    return tuple((other, partners.get(other, NO_PARTNER)) for other in rest)


class SingleAgentBatch:
    """Pure functions for one task, one agent and its companions, compiled once.

    open(params, seed u32[B], episode u32[B]) -> Loop, Seen
    step(params, loop, action i32[B]) -> Loop, Seen; the loop handed in is used up
    reopen(params, loop, seen, mask bool[B], seed, episode) -> Loop, Seen: fresh episodes where the mask is set

    Worlds do not touch each other: world i is the same in any batch. Scripted companions that draw are the exception:
    they share the first world's key, for they plan for all worlds at once.
    """

    def __init__(self, task: Any, slot: int, partners: tuple[tuple[int, str], ...]):
        from rookery.training.policy_config import check_compatible, scripted_policy  # imports the whole of training

        self._constructor_args = (task, slot, partners)
        self.env = env = make_env(task)
        self.slot = slot
        self.params: dict[str, PyTree] = {}
        groups = []
        for other, source in partners:
            if source == NO_PARTNER:
                continue
            name = f"slot {other}"
            policy, self.params[name] = RandomPolicy(env.num_actions), ()
            if source in scripted.OBSERVABILITY_BY_NAME:
                policy = scripted_policy(env, scripted.OBSERVABILITY_BY_NAME[source])
            elif source != "random":
                agent = zoo.load_trained_agent(source)
                check_compatible(agent.policy, env.observation_shape(other), env.num_actions, source)
                policy, self.params[name] = agent.policy, agent.params
            groups.append(AgentGroup(name, (other,), policy))
        self.partner_groups = tuple(groups)
        self.agent_mask = np.isin(np.arange(env.num_agents), [slot, *(group.slots[0] for group in groups)])
        self._env_params = env.default_params()
        told = jax.eval_shape(env.reset, jax.random.PRNGKey(0), self._env_params)[1]
        self.metric_names: tuple[str, ...] = tuple(sorted(told.info))
        self.reset = jax.jit(self._reset)
        self.step = jax.jit(self._step, donate_argnums=1)
        self.reset_where = jax.jit(self._reset_where, donate_argnums=(1, 2))

    def __reduce__(self):
        # A copied environment shares the compiled program; one sent to another process compiles it there.
        return single_agent_batch, self._constructor_args

    def _reset(self, params, seed, episode) -> tuple[SingleAgentState, SingleAgentTimeStep]:
        keys = jax.vmap(episode_key)(seed, episode)
        present = jnp.asarray(self.agent_mask)
        states, told = jax.vmap(lambda key: self.env.reset(key, self._env_params, present))(keys)
        batch = len(keys)
        loop = SingleAgentState(
            env_states=states,
            observation=told.observation if self.partner_groups else (),
            is_first=jnp.ones(batch, bool),
            carries={group.name: initial_carry(group, batch) for group in self.partner_groups},
            key=jax.vmap(lambda key: jax.random.fold_in(key, PARTNER_KEY_TAG))(keys),
            step=jnp.zeros(batch, jnp.int32),
        )
        return loop, self._agent_timestep(told)

    def _step(self, params, loop: SingleAgentState, action) -> tuple[SingleAgentState, SingleAgentTimeStep]:
        batch = len(action)
        joint = jnp.zeros((batch, self.env.num_agents), jnp.int32).at[:, self.slot].set(action)
        carries = dict(loop.carries)
        for group in self.partner_groups:
            other = group.slots[0]
            keys = jax.vmap(lambda key, t, other=other: jax.random.fold_in(jax.random.fold_in(key, t), other))(
                loop.key, loop.step
            )
            chosen, carries[group.name] = self._partner_actions(
                group, params[group.name], carries[group.name], loop, keys
            )
            joint = joint.at[:, other].set(chosen)
        states, told = jax.vmap(lambda state, acts: self.env.step(state, acts, self._env_params))(
            loop.env_states, joint
        )
        after = SingleAgentState(
            env_states=states,
            observation=told.observation if self.partner_groups else (),
            is_first=jnp.zeros(batch, bool),
            carries=carries,
            key=loop.key,
            step=loop.step + 1,
        )
        return after, self._agent_timestep(told)

    def _partner_actions(self, group: AgentGroup, params, carry, loop: SingleAgentState, keys):
        """Actions i32[B] of one companion in all worlds, and its memories."""
        if group.policy.privileged:
            chosen, carry, _ = act_group(
                group, params, carry, loop.observation, loop.env_states, loop.is_first, keys[0]
            )
            return chosen[0], carry

        def alone(carry, observation, first, key):
            grow = lambda tree, axis=0: jax.tree.map(lambda x: jnp.expand_dims(x, axis), tree)  # noqa: E731
            chosen, carry, _ = act_group(group, params, grow(carry, 1), grow(observation), None, first[None], key)
            return chosen[0, 0], jax.tree.map(lambda x: x[:, 0], carry)

        return jax.vmap(alone, (1, 0, 0, 0), (0, 1))(carry, loop.observation, loop.is_first, keys)

    def _reset_where(
        self, params, loop: SingleAgentState, seen: SingleAgentTimeStep, mask, seed, episode
    ) -> tuple[SingleAgentState, SingleAgentTimeStep]:
        def choose(fresh, old, axis=0):
            shape = [1] * fresh.ndim
            shape[axis] = -1
            return jnp.where(mask.reshape(shape), fresh, old)

        new_loop, new_seen = self._reset(params, seed, episode)
        mixed = jax.tree.map(choose, new_loop._replace(carries={}), loop._replace(carries={}))
        carries = jax.tree.map(lambda new, old: choose(new, old, 1), new_loop.carries, loop.carries)
        observation = choose(new_seen.observation, seen.observation)
        return mixed._replace(carries=carries), SingleAgentTimeStep(
            observation, choose(new_seen.scalars, seen.scalars, 1)
        )

    def _agent_timestep(self, told) -> SingleAgentTimeStep:
        views, slot = told.observation, self.slot
        view = views[slot] if isinstance(views, tuple) else views[:, slot]
        rows = [told.reward[:, slot], told.terminated, told.truncated, told.agent_mask[:, slot]]
        rows += [told.info[name][:, slot] for name in self.metric_names]
        return SingleAgentTimeStep(view, jnp.stack([row.astype(jnp.float32) for row in rows]))


@functools.lru_cache(maxsize=64)
def single_agent_batch(task: Any, slot: int, partners: tuple[tuple[int, str], ...]) -> SingleAgentBatch:
    """One for all environments alike."""
    return SingleAgentBatch(task, slot, partners)
