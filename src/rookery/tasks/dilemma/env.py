"""Joins a dilemma's rules to its world: everybody moves, eats and fires at once, then things grow."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8, UInt32

from rookery.tasks.dilemma.beams import Beams
from rookery.tasks.dilemma.cells import look_up, stamp
from rookery.tasks.dilemma.motion import aim, settle, turn
from rookery.tasks.dilemma.paint import observe
from rookery.tasks.dilemma.rooms import Room
from rookery.tasks.dilemma.state import DilemmaState
from rookery.tasks.dilemma.tiles import APPLE, EMPTY, FIRE
from rookery.types import Key, PyTree, TimeStep
from rookery.world.layout import draw_cells
from rookery.world.sight import view_cells, whom
from rookery.world.spec import View


class Rules(Protocol):
    """What a dilemma's file offers beside its settings. Frozen and hashable."""

    agents: int
    max_steps: int

    @property
    def room(self) -> Room: ...
    @property
    def view(self) -> View: ...
    @property
    def action_names(self) -> tuple[str, ...]: ...
    @property
    def counts(self) -> tuple[str, ...]:
        """Names of what the environment counts for each agent."""
        ...

    def default_params(self) -> PyTree:
        """Arrays; must have a field `world: DilemmaWorldParams`."""
        ...

    def special(
        self, state: DilemmaState, action: Int[Array, "A"], lot: UInt32[Array, "A"]
    ) -> tuple[Beams, dict[str, Float[Array, "A"]]]:
        """What actions beyond moving do: the changed tiles, the beams, and counts of the task's own."""
        ...

    def grow(
        self, tiles: UInt8[Array, "H W"], occupied: Bool[Array, "H W"], word: UInt32[Array, "H W"], luck, params
    ) -> UInt8[Array, "H W"]:
        """The tiles after growth, from one random word a cell and one more."""
        ...


class Acted(NamedTuple):
    """A step but for growth."""

    state: DilemmaState
    reward: Float[Array, "A"]
    counts: dict[str, Float[Array, "A"]]


@dataclasses.dataclass(frozen=True)
class DilemmaEnv:
    """One world and its rules as pure functions; callers vmap over keys and states.

    Observation: u8[A, P, P, 3], P = view size × tile_pixels, turned to the agent's heading. Action: i32[A], an index
    into `action_names`; others do nothing. Reward: f32[A]. Episodes are truncated at `max_steps`, nothing ends
    them before.
    """

    task: Rules

    @property
    def agents(self) -> int:
        return self.task.agents

    @property
    def actions(self) -> int:
        return len(self.task.action_names)

    @property
    def action_names(self) -> tuple[str, ...]:
        return self.task.action_names

    @property
    def max_steps(self) -> int:
        return self.task.max_steps

    def observation_shape(self, slot: int) -> tuple[int, ...]:
        return self.task.view.shape

    def default_params(self) -> PyTree:
        return self.task.default_params()

    def reset(self, key: Key, params: PyTree, present: Bool[Array, "A"] | None = None) -> tuple[DilemmaState, TimeStep]:
        """Start an episode: starts and headings are drawn. Who is not `present` (default: all are) stays out of it."""
        start_key, heading_key, episode_key = jax.random.split(key, 3)
        room = self.task.room
        if len(room.own_starts):
            position = jnp.asarray(room.own_starts[: self.agents])
        else:
            position = draw_cells(start_key, jnp.asarray(room.starts), self.agents)
        state = DilemmaState(
            tiles=jnp.asarray(room.tiles),
            beam=jnp.zeros(room.tiles.shape, jnp.uint8),
            position=position,
            heading=jax.random.randint(heading_key, (self.agents,), 0, 4),
            active=jnp.ones(self.agents, bool) if present is None else present,
            step=jnp.int32(0),
            key=episode_key,
        )
        none = jnp.zeros(self.agents)
        return state, self._time_step(state, none, jnp.bool_(True), {name: none for name in self.task.counts})

    def step(self, state: DilemmaState, action: Int[Array, "A"], params: PyTree) -> tuple[DilemmaState, TimeStep]:
        """Everybody acts once; then apples and waste grow."""
        agents, cells = self.agents, state.tiles.size
        # All the luck of a step from one draw: that is cheaper than several.
        words = jax.random.bits(jax.random.fold_in(state.key, state.step), (2 * agents + 1 + cells,))
        move_lot, beam_lot, luck, word = jnp.split(words, (agents, 2 * agents, 2 * agents + 1))
        position = self.move(state, action, move_lot)
        acted = self.act(state, action, position, beam_lot, params)
        after = acted.state
        occupied = stamp(after.position, after.position, after.active, after.tiles.shape) != 0
        tiles = self.task.grow(after.tiles, occupied, word.reshape(after.tiles.shape), luck[0], params)
        after = after.replace(tiles=tiles, step=state.step + 1)
        return after, self._time_step(after, acted.reward, jnp.bool_(False), acted.counts)

    def move(self, state: DilemmaState, action: Int[Array, "A"], lot: UInt32[Array, "A"]) -> Int[Array, "A 2"]:
        """Where everybody stands after moving; `lot` decides who gets a contested cell."""
        target = aim(state.tiles, state.position, state.heading, action, state.active)
        return settle(state.position, target, state.active, lot)

    def act(
        self, state: DilemmaState, action: Int[Array, "A"], position: Int[Array, "A 2"], lot: UInt32[Array, "A"], params
    ) -> Acted:
        """All of a step but growth, given where everybody has moved: turn, eat, fire. The step is not counted yet."""
        active, world = state.active, params.world
        heading = jnp.where(active, turn(state.heading, action), state.heading)
        eats = active & (look_up(state.tiles, position[:, 0], position[:, 1]) == APPLE)
        eaten = stamp(position, position, eats, state.tiles.shape) != 0
        moved = state.replace(
            tiles=jnp.where(eaten, EMPTY, state.tiles).astype(jnp.uint8), position=position, heading=heading
        )
        beams, own = self.task.special(moved, action, lot)
        struck = beams.hits.sum(0)
        fires = active & (action == FIRE) & ("fire" in self.task.action_names)
        counts = {
            "apples": eats,
            "apple_steps": eats * (state.step + 1),
            "fires": fires,
            "hits": beams.hits.sum(1),
            "struck": struck,
            "cleaned": beams.cleaned,
        }
        counts = {name: value.astype(jnp.float32) for name, value in counts.items() if name in self.task.counts}
        reward = world.apple_reward * eats - world.fire_cost * fires - world.hit_cost * struck
        return Acted(moved.replace(tiles=beams.tiles, beam=beams.beam), reward, counts | own)

    def observe(self, state: DilemmaState) -> UInt8[Array, "A P P 3"]:
        """What every agent sees now."""
        return observe(state, self.task.view)

    def picture(self, state: DilemmaState, tile_pixels: int) -> UInt8[Array, "A P P 3"]:
        """What every agent sees now, at another size, for people."""
        return observe(state, dataclasses.replace(self.task.view, tile_pixels=tile_pixels))

    def in_sight(self, state: DilemmaState) -> Bool[Array, "A H W"]:
        """The map cells each agent sees now."""
        view = self.task.view

        def one(position, heading, active):
            row, col = view_cells(position, heading, view)
            row, col = (jnp.where(x < 0, 10**6, x) for x in (row, col))  # dropped, not wrapped round
            return jnp.zeros(state.tiles.shape, bool).at[row, col].set(active, mode="drop")

        return jax.vmap(one)(state.position, state.heading, state.active)

    def in_view(self, state: DilemmaState) -> Bool[Array, "A A"]:
        """Whom each agent sees now: those in its square, itself never."""
        clear = jnp.ones((self.task.view.size,) * 2, bool)
        found = jax.vmap(whom, (0, 0, None, None, None))
        seen = found(state.position, state.heading, clear, state.position, self.task.view)
        return seen & state.active[:, None] & state.active & ~jnp.eye(self.agents, dtype=bool)

    def _time_step(self, state: DilemmaState, reward, is_first, counts) -> TimeStep:
        return TimeStep(
            observation=self.observe(state),
            reward=reward,
            terminated=jnp.bool_(False),
            truncated=state.step >= self.max_steps,
            is_first=is_first,
            active=state.active,
            events=counts,
        )
