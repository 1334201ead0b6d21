"""Joins a task to the world. The base owns reset and step; a task says only what is its own."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery.gridworld.interactions import step_interactions
from rookery.gridworld.movement import spawn_delayed, step_movement
from rookery.gridworld.observation import observe_all, observe_grid
from rookery.gridworld.prestige import update_prestige
from rookery.gridworld.spec import GridSpec
from rookery.gridworld.state import GridState, MoveResult
from rookery.types import Observation, PRNGKey, PyTree, TimeStep

POST_STEP_KEY_ID = 0x5E7D  # sets the task's draws of a step apart from those of motion


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
    def grid_spec(self) -> GridSpec: ...
    @property
    def kind(self) -> str: ...
    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of what `pay` counts."""
        ...

    def default_params(self) -> PyTree:
        """Arrays; must have a field `world: WorldParams`."""
        ...

    def generate(self, key: PRNGKey) -> tuple[UInt8[Array, "H W"], Int[Array, "A 2"], Int[Array, "A"], PyTree]:
        """Tiles, positions, headings and the task's own state at the start of an episode."""
        ...

    def reward(
        self, before: GridState, after: GridState, move_result: MoveResult, params: PyTree
    ) -> tuple[Float[Array, "A"], PyTree, dict[str, Float[Array, "A"]]]:
        """Reward, the task's next state, and what to count. `after` has moved but not yet been paid."""
        ...


@dataclasses.dataclass(frozen=True)
class GridEnv:
    """One world and its task as pure functions; callers vmap over keys and states.

    Observation: u8[A, ...] (`View.shape`), or a tuple with one array an agent where views differ in shape.
    Action: i32[A], below `actions`; any other number does nothing, as arrays cannot be refused inside a compiled
    program: adapters check them. Reward: f32[A], what the task pays, 0 for the absent.
    Episodes are truncated at `max_steps`, or terminated where the task says so. A step after that is the caller's
    mistake: it is played like any other, and is told as truncated or terminated again.
    """

    task: Task

    @property
    def num_agents(self) -> int:
        return self.task.grid_spec.num_agents

    @property
    def num_actions(self) -> int:
        return self.task.grid_spec.num_actions

    @property
    def max_steps(self) -> int:
        return self.task.grid_spec.max_steps

    def observation_shape(self, slot: int) -> tuple[int, ...]:
        return self.task.grid_spec.views[slot].shape

    def default_params(self) -> PyTree:
        return self.task.default_params()

    def reset(
        self, key: PRNGKey, params: PyTree, agent_mask: Bool[Array, "A"] | None = None
    ) -> tuple[GridState, TimeStep]:
        """Start an episode. Who is not `present` (default: all are) stays out of it to the end."""
        world = self.task.grid_spec
        layout_key, episode_key, hide_key = jax.random.split(key, 3)
        tiles, position, heading, own = self.task.generate(layout_key)
        everyone = jnp.ones(world.num_agents, bool)
        agent_mask = everyone if agent_mask is None else agent_mask
        state = GridState(
            tiles=tiles,
            position=position,
            heading=heading,
            carrying=jnp.zeros(world.num_agents, jnp.int32),
            episode_agent_mask=agent_mask,
            agent_mask=agent_mask & (params.world.spawn_delay <= 0),
            prestige=jnp.zeros(world.num_agents),
            goals_masked=jax.random.uniform(hide_key) < params.world.goal_hiding_prob,
            step=jnp.int32(0),
            key=episode_key,
            task=own,
        )
        state = self._update_invisible_agents(state, params)
        return state, self._time_step(state, jnp.zeros(world.num_agents), jnp.bool_(True), None)

    def step(self, state: GridState, action: Int[Array, "A"], params: PyTree) -> tuple[GridState, TimeStep]:
        """Everybody acts once: move, pay, recolor, let latecomers in."""
        world = self.task.grid_spec
        moved, events = (step_interactions if world.has_objects else step_movement)(state, action, world.collide)
        reward, own, counts = self.task.reward(state, moved, events, params)
        prestige = update_prestige(state.prestige, reward, params.world.prestige_decay)
        rearrange = getattr(self.task, "post_step", None)
        if rearrange is not None:
            key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), POST_STEP_KEY_ID)
            moved = rearrange(key, state, moved.replace(task=own), events)
            own = moved.task
        after = moved.replace(
            task=own,
            prestige=jnp.where(state.agent_mask, prestige, state.prestige),
            step=state.step + 1,
        )
        after = self._update_invisible_agents(spawn_delayed(after, params.world.spawn_delay, world.collide), params)
        return after, self._time_step(after, reward, jnp.bool_(False), counts)

    def observe(self, state: GridState) -> Observation:
        """What every agent sees now."""
        return observe_all(state, self.task.grid_spec)

    def in_view(self, state: GridState) -> Bool[Array, "A A"]:
        """Whom each agent sees now: those on a cell it sees, itself never."""
        seen = [
            observe_grid(state, agent, view)[2].any((-2, -1)) for agent, view in enumerate(self.task.grid_spec.views)
        ]
        return jnp.stack(seen) & ~jnp.eye(self.num_agents, dtype=bool)

    def _update_invisible_agents(self, state: GridState, params: PyTree) -> GridState:
        hidden = getattr(self.task, "invisible_agents", None)
        return state if hidden is None else state.replace(invisible_agents=hidden(state, params))

    def _time_step(self, state: GridState, reward, is_first, info) -> TimeStep:
        if info is None:
            info = {name: jnp.zeros(self.num_agents) for name in self.task.metric_names}
        ended = getattr(self.task, "is_terminal", None)
        return TimeStep(
            observation=self.observe(state),
            reward=reward,
            terminated=jnp.bool_(False) if ended is None else ended(state),
            truncated=state.step >= self.max_steps,
            is_first=is_first,
            agent_mask=state.agent_mask,
            info=info,
        )
