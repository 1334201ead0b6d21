"""B worlds in one compiled call, seen from one agent; others act inside it: trained, scripted, random, or nobody."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt32

from rookery.agents import scripted, zoo
from rookery.agents.random import RandomPolicy
from rookery.agents.team import Group, act, initial_carry
from rookery.errors import ConfigError
from rookery.interop.common import episode_key
from rookery.tasks.registry import environment
from rookery.types import PyTree

NOBODY = "nobody"
ACTS = 0x0AC7
"""Folded into an episode's key for what the companions draw."""


class Loop(NamedTuple):
    """B worlds and the memories of who acts in them."""

    states: PyTree
    observation: PyTree  # what the companions read next; () if there are none
    is_first: Bool[Array, "B"]
    carries: dict[str, PyTree]
    key: UInt32[Array, "B 2"]
    step: Int[Array, "B"]


class Seen(NamedTuple):
    """What one agent is told, in B worlds."""

    observation: jax.Array  # u8[B, ...]
    facts: jax.Array  # f32[4+n, B]: reward, terminated, truncated, active, and each count


def companions(env: Any, slot: int, others: str | dict[int, str]) -> tuple[tuple[int, str], ...]:
    """Who fills each slot but `slot`, by number.

    Raises: ConfigError for a slot the task lacks, one named twice, or one that is the agent's own.
    """
    if not 0 <= slot < env.agents:
        raise ConfigError(f"agent={slot} is no slot of this task; it has 0 to {env.agents - 1}")
    rest = [other for other in range(env.agents) if other != slot]
    if isinstance(others, str):
        return tuple((other, others) for other in rest)
    if wrong := [other for other in others if other not in rest]:
        raise ConfigError(f"others has slot {wrong[0]!r}; slots beside agent {slot} are: {rest}")
    return tuple((other, others.get(other, NOBODY)) for other in rest)


class Arena:
    """Pure functions for one task, one agent and its companions, compiled once.

    open(params, seed u32[B], episode u32[B]) -> Loop, Seen
    step(params, loop, action i32[B]) -> Loop, Seen; the loop handed in is used up
    reopen(params, loop, seen, mask bool[B], seed, episode) -> Loop, Seen: fresh episodes where the mask is set

    Worlds do not touch each other: world i is the same in any batch. Scripted companions that draw are the exception:
    they share the first world's key, for they plan for all worlds at once.
    """

    def __init__(self, task: Any, slot: int, others: tuple[tuple[int, str], ...]):
        from rookery.runs.build import check_fit, scripted_policy  # imports the whole of training

        self._made_of = (task, slot, others)
        self.env = env = environment(task)
        self.slot = slot
        self.params: dict[str, PyTree] = {}
        groups = []
        for other, source in others:
            if source == NOBODY:
                continue
            name = f"slot {other}"
            policy, self.params[name] = RandomPolicy(env.actions), ()
            if source in scripted.NAMES:
                policy = scripted_policy(env, scripted.NAMES[source])
            elif source != "random":
                agent = zoo.load(source)
                check_fit(agent.policy, env.observation_shape(other), env.actions, source)
                policy, self.params[name] = agent.policy, agent.params
            groups.append(Group(name, (other,), policy))
        self.groups = tuple(groups)
        self.present = np.isin(np.arange(env.agents), [slot, *(group.slots[0] for group in groups)])
        self._task_params = env.default_params()
        told = jax.eval_shape(env.reset, jax.random.PRNGKey(0), self._task_params)[1]
        self.counts: tuple[str, ...] = tuple(sorted(told.events))
        self.open = jax.jit(self._open)
        self.step = jax.jit(self._step, donate_argnums=1)
        self.reopen = jax.jit(self._reopen, donate_argnums=(1, 2))

    def __reduce__(self):
        # A copied environment shares the compiled program; one sent to another process compiles it there.
        return arena, self._made_of

    def _open(self, params, seed, episode) -> tuple[Loop, Seen]:
        keys = jax.vmap(episode_key)(seed, episode)
        present = jnp.asarray(self.present)
        states, told = jax.vmap(lambda key: self.env.reset(key, self._task_params, present))(keys)
        batch = len(keys)
        loop = Loop(
            states=states,
            observation=told.observation if self.groups else (),
            is_first=jnp.ones(batch, bool),
            carries={group.name: initial_carry(group, batch) for group in self.groups},
            key=jax.vmap(lambda key: jax.random.fold_in(key, ACTS))(keys),
            step=jnp.zeros(batch, jnp.int32),
        )
        return loop, self._seen(told)

    def _step(self, params, loop: Loop, action) -> tuple[Loop, Seen]:
        batch = len(action)
        joint = jnp.zeros((batch, self.env.agents), jnp.int32).at[:, self.slot].set(action)
        carries = dict(loop.carries)
        for group in self.groups:
            other = group.slots[0]
            keys = jax.vmap(lambda key, t, other=other: jax.random.fold_in(jax.random.fold_in(key, t), other))(
                loop.key, loop.step
            )
            chosen, carries[group.name] = self._act(group, params[group.name], carries[group.name], loop, keys)
            joint = joint.at[:, other].set(chosen)
        states, told = jax.vmap(lambda state, acts: self.env.step(state, acts, self._task_params))(loop.states, joint)
        after = Loop(
            states=states,
            observation=told.observation if self.groups else (),
            is_first=jnp.zeros(batch, bool),
            carries=carries,
            key=loop.key,
            step=loop.step + 1,
        )
        return after, self._seen(told)

    def _act(self, group: Group, params, carry, loop: Loop, keys):
        """Actions i32[B] of one companion in all worlds, and its memories."""
        if group.policy.privileged:
            chosen, carry, _ = act(group, params, carry, loop.observation, loop.states, loop.is_first, keys[0])
            return chosen[0], carry

        def alone(carry, observation, first, key):
            grow = lambda tree, axis=0: jax.tree.map(lambda x: jnp.expand_dims(x, axis), tree)  # noqa: E731
            chosen, carry, _ = act(group, params, grow(carry, 1), grow(observation), None, first[None], key)
            return chosen[0, 0], jax.tree.map(lambda x: x[:, 0], carry)

        return jax.vmap(alone, (1, 0, 0, 0), (0, 1))(carry, loop.observation, loop.is_first, keys)

    def _reopen(self, params, loop: Loop, seen: Seen, mask, seed, episode) -> tuple[Loop, Seen]:
        def choose(fresh, old, axis=0):
            shape = [1] * fresh.ndim
            shape[axis] = -1
            return jnp.where(mask.reshape(shape), fresh, old)

        new_loop, new_seen = self._open(params, seed, episode)
        mixed = jax.tree.map(choose, new_loop._replace(carries={}), loop._replace(carries={}))
        carries = jax.tree.map(lambda new, old: choose(new, old, 1), new_loop.carries, loop.carries)
        observation = choose(new_seen.observation, seen.observation)
        return mixed._replace(carries=carries), Seen(observation, choose(new_seen.facts, seen.facts, 1))

    def _seen(self, told) -> Seen:
        views, slot = told.observation, self.slot
        view = views[slot] if isinstance(views, tuple) else views[:, slot]
        rows = [told.reward[:, slot], told.terminated, told.truncated, told.active[:, slot]]
        rows += [told.events[name][:, slot] for name in self.counts]
        return Seen(view, jnp.stack([row.astype(jnp.float32) for row in rows]))


@functools.lru_cache(maxsize=64)
def arena(task: Any, slot: int, others: tuple[tuple[int, str], ...]) -> Arena:
    """One for all environments alike."""
    return Arena(task, slot, others)
