"""Joins a task to the world. The base owns reset and step; a task says only what is its own."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery.types import Key, Observation, PyTree, TimeStep
from rookery.world.motion import enter, move
from rookery.world.paint import observe_all
from rookery.world.prestige import update_prestige
from rookery.world.spec import WorldSpec
from rookery.world.state import Events, State


class Task(Protocol):
    """What a task file offers. Frozen and hashable; `params` holds every number that may change in a run."""

    @property
    def world(self) -> WorldSpec: ...
    @property
    def kind(self) -> str: ...
    @property
    def counts(self) -> tuple[str, ...]:
        """Names of what `pay` counts."""
        ...

    def default_params(self) -> PyTree:
        """Arrays; must have a field `world: WorldParams`."""
        ...

    def layout(self, key: Key) -> tuple[UInt8[Array, "H W"], Int[Array, "A 2"], Int[Array, "A"], PyTree]:
        """Tiles, positions, headings and the task's own state at the start of an episode."""
        ...

    def pay(
        self, before: State, after: State, events: Events, params: PyTree
    ) -> tuple[Float[Array, "A"], PyTree, dict[str, Float[Array, "A"]]]:
        """Reward, the task's next state, and what to count. `after` has moved but not yet been paid."""
        ...


@dataclasses.dataclass(frozen=True)
class Env:
    """One world and its task as pure functions; callers vmap over keys and states.

    Observation: u8[A, ...] (`View.shape`), or a tuple with one array an agent where views differ in shape.
    Action: i32[A], below `actions`; others do nothing. Reward: f32[A], what the task pays, 0 for the absent.
    Episodes are truncated at `max_steps`; a step after that is the caller's mistake and changes nothing seen.
    """

    task: Task

    @property
    def agents(self) -> int:
        return self.task.world.agents

    @property
    def actions(self) -> int:
        return self.task.world.actions

    @property
    def max_steps(self) -> int:
        return self.task.world.max_steps

    def observation_shape(self, slot: int) -> tuple[int, ...]:
        return self.task.world.views[slot].shape

    def default_params(self) -> PyTree:
        return self.task.default_params()

    def reset(self, key: Key, params: PyTree, present: Bool[Array, "A"] | None = None) -> tuple[State, TimeStep]:
        """Start an episode. Who is not `present` (default: all are) stays out of it to the end."""
        world = self.task.world
        layout_key, episode_key, hide_key = jax.random.split(key, 3)
        tiles, position, heading, own = self.task.layout(layout_key)
        everyone = jnp.ones(world.agents, bool)
        present = everyone if present is None else present
        state = State(
            tiles=tiles,
            position=position,
            heading=heading,
            present=present,
            active=present & (params.world.spawn_delay <= 0),
            prestige=jnp.zeros(world.agents),
            goals_hidden=jax.random.uniform(hide_key) < params.world.hide_share,
            step=jnp.int32(0),
            key=episode_key,
            task=own,
        )
        return state, self._time_step(state, jnp.zeros(world.agents), jnp.bool_(True), None)

    def step(self, state: State, action: Int[Array, "A"], params: PyTree) -> tuple[State, TimeStep]:
        """Everybody acts once: move, pay, recolour, let latecomers in."""
        world = self.task.world
        moved, events = move(state, action, world.collide)
        reward, own, counts = self.task.pay(state, moved, events, params)
        prestige = update_prestige(state.prestige, reward, params.world.prestige_decay)
        after = moved.replace(
            task=own,
            prestige=jnp.where(state.active, prestige, state.prestige),
            step=state.step + 1,
        )
        after = enter(after, params.world.spawn_delay, world.collide)
        return after, self._time_step(after, reward, jnp.bool_(False), counts)

    def observe(self, state: State) -> Observation:
        """What every agent sees now."""
        return observe_all(state, self.task.world)

    def _time_step(self, state: State, reward, is_first, counts) -> TimeStep:
        if counts is None:
            counts = {name: jnp.zeros(self.agents) for name in self.task.counts}
        return TimeStep(
            observation=self.observe(state),
            reward=reward,
            terminated=jnp.bool_(False),
            truncated=state.step >= self.max_steps,
            is_first=is_first,
            active=state.active,
            events=counts,
        )
