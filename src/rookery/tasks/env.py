"""Joins a task to the world. The base owns reset and step; a task says only what is its own."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery.types import Key, Observation, PyTree, TimeStep
from rookery.world.motion import enter, move
from rookery.world.objects import act
from rookery.world.paint import observe_all, perceive
from rookery.world.prestige import update_prestige
from rookery.world.spec import WorldSpec
from rookery.world.state import Events, State

REARRANGE = 0x5E7D  # sets the task's draws of a step apart from those of motion


class Task(Protocol):
    """What a task file offers. Frozen and hashable; `params` holds every number that may change in a run.

    Three more methods are the task's to have or not:

    `rearrange(key, before, after, events) -> State`: what it changes in the world once a step is paid, such as agents
    set down elsewhere. `after.task` is what `pay` returned; the key is this step's own.
    `ended(state) -> bool[]`: the episode is over before its time, told as `terminated`.
    `hidden(state, params) -> bool[A, A]`: who (row) does not see whom (column) now, though both are there. Asked at
    reset and after every step; draws come from the state's key and step. None: everybody is seen.
    """

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
    Action: i32[A], below `actions`; any other number does nothing, as arrays cannot be refused inside a compiled
    program: adapters check them. Reward: f32[A], what the task pays, 0 for the absent.
    Episodes are truncated at `max_steps`, or terminated where the task says so. A step after that is the caller's
    mistake: it is played like any other, and is told as truncated or terminated again.
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
            carrying=jnp.zeros(world.agents, jnp.int32),
            present=present,
            active=present & (params.world.spawn_delay <= 0),
            prestige=jnp.zeros(world.agents),
            goals_hidden=jax.random.uniform(hide_key) < params.world.hide_share,
            step=jnp.int32(0),
            key=episode_key,
            task=own,
        )
        state = self._hide(state, params)
        return state, self._time_step(state, jnp.zeros(world.agents), jnp.bool_(True), None)

    def step(self, state: State, action: Int[Array, "A"], params: PyTree) -> tuple[State, TimeStep]:
        """Everybody acts once: move, pay, recolour, let latecomers in."""
        world = self.task.world
        moved, events = (act if world.objects else move)(state, action, world.collide)
        reward, own, counts = self.task.pay(state, moved, events, params)
        prestige = update_prestige(state.prestige, reward, params.world.prestige_decay)
        rearrange = getattr(self.task, "rearrange", None)
        if rearrange is not None:
            key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), REARRANGE)
            moved = rearrange(key, state, moved.replace(task=own), events)
            own = moved.task
        after = moved.replace(
            task=own,
            prestige=jnp.where(state.active, prestige, state.prestige),
            step=state.step + 1,
        )
        after = self._hide(enter(after, params.world.spawn_delay, world.collide), params)
        return after, self._time_step(after, reward, jnp.bool_(False), counts)

    def observe(self, state: State) -> Observation:
        """What every agent sees now."""
        return observe_all(state, self.task.world)

    def in_view(self, state: State) -> Bool[Array, "A A"]:
        """Whom each agent sees now: those on a cell it sees, itself never."""
        seen = [perceive(state, agent, view)[2].any((-2, -1)) for agent, view in enumerate(self.task.world.views)]
        return jnp.stack(seen) & ~jnp.eye(self.agents, dtype=bool)

    def _hide(self, state: State, params: PyTree) -> State:
        hidden = getattr(self.task, "hidden", None)
        return state if hidden is None else state.replace(hidden=hidden(state, params))

    def _time_step(self, state: State, reward, is_first, counts) -> TimeStep:
        if counts is None:
            counts = {name: jnp.zeros(self.agents) for name in self.task.counts}
        ended = getattr(self.task, "ended", None)
        return TimeStep(
            observation=self.observe(state),
            reward=reward,
            terminated=jnp.bool_(False) if ended is None else ended(state),
            truncated=state.step >= self.max_steps,
            is_first=is_first,
            active=state.active,
            events=counts,
        )
