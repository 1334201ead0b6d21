"""What a scripted agent knows of the map: all of it, or what its own view has shown so far."""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt8

from rookery.errors import ConfigError
from rookery.gridworld.movement import is_walkable
from rookery.gridworld.spec import GridSpec, ViewConfig
from rookery.gridworld.state import GridState
from rookery.gridworld.tiles import FLOOR, GOAL_KINDS
from rookery.gridworld.visibility import agent_view, view_cells

Observability = Literal["full", "partial"]
OBSERVABILITIES: tuple[Observability, ...] = ("full", "partial")

UNKNOWN = 255  # the kind of a cell never seen


class MapMemory(NamedTuple):
    """What is known of one world."""

    tiles: UInt8[Array, "H W"]  # as last seen; UNKNOWN where never
    fresh: Bool[Array, "H W"]  # seen since it last may have changed; the rest is worth a look
    visible: Bool[Array, "H W"]  # seen now

    @property
    def goals(self) -> Bool[Array, "H W"]:
        """Cells known to hold a goal of any look."""
        return is_goal(self.tiles)

    @property
    def walkable(self) -> Bool[Array, "H W"]:
        """Cells a way may lead over. What was never seen may turn out so."""
        return is_walkable(self.tiles)

    @property
    def frontier(self) -> Bool[Array, "H W"]:
        """Cells worth a look."""
        return ~self.fresh & self.walkable

    def mark_stale(self) -> MapMemory:
        """What was seen may have changed, all but what is seen now."""
        return self._replace(fresh=self.visible)


@dataclasses.dataclass(frozen=True)
class Perception:
    """How one agent of a world comes to know its map. Reads of a state what the agent may see, nothing more.

    `own` sees the cells its view shows, goals hidden where its view hides them; `map` sees every cell.
    Raises: ConfigError for an `own` view that does not show the cell ahead, so that one walks blindly.
    """

    observability: Observability
    height: int
    width: int
    views: tuple[ViewConfig, ...]  # of all slots
    collide: bool = False  # agents block each other

    def __post_init__(self):
        if self.observability == "partial" and any(view.agent_row == 0 for view in self.views):
            raise ConfigError(
                "a scripted expert limited to its own view must see the cell ahead of it; "
                "give every view an offset below its size - 1"
            )

    @classmethod
    def from_spec(cls, spec: GridSpec, observability: Observability) -> Perception:
        return cls(observability, spec.height, spec.width, spec.views, spec.collide)

    def initial_memory(self) -> MapMemory:
        """Nothing seen yet."""
        dark = jnp.zeros((self.height, self.width), bool)
        return MapMemory(jnp.full((self.height, self.width), UNKNOWN, jnp.uint8), dark, dark)

    def observe(self, memory: MapMemory, state: GridState, slot: Int[Array, ""]) -> MapMemory:
        """Add what the agent in a slot sees now; before it enters the world that is nothing.

        Where a goal is gone from, it is anew to be looked for everywhere.
        """
        if self.observability == "full":
            everywhere = jnp.ones_like(memory.visible)
            return MapMemory(state.tiles, everywhere, everywhere)
        kind, lit = memory.tiles, jnp.zeros_like(memory.visible)
        position, heading, active = state.position[slot], state.heading[slot], state.agent_mask[slot]
        hides = jnp.array([view.can_hide_goals for view in self.views])[slot] & state.goals_masked
        geometry = [
            ViewConfig(size=v.size, rows_behind=v.rows_behind, see_through_walls=v.see_through_walls)
            for v in self.views
        ]
        for view in dict.fromkeys(geometry):
            mine = jnp.array([other == view for other in geometry])[slot]
            shown, seen = agent_view(state.tiles, position, heading, view)
            shown = jnp.where(hides & is_goal(shown), FLOOR, shown)
            row, col = view_cells(position, heading, view)
            # Unseen cells go beyond the edge, where they are dropped; a negative index would count from the end.
            inside = seen & active & mine & (row >= 0) & (col >= 0)
            row, col = jnp.where(inside, row, self.height), jnp.where(inside, col, self.width)
            kind = kind.at[row, col].set(shown, mode="drop")
            lit = lit.at[row, col].set(True, mode="drop")
        # Who does not see goals must go there to find them.
        looked = jnp.where(hides, lit & cell_mask(position, lit.shape), lit)
        seen = MapMemory(kind, memory.fresh | looked, lit)
        gone = (is_goal(memory.tiles) & ~is_goal(kind)).any()
        return jax.tree.map(lambda new, old: jnp.where(gone, new, old), seen.mark_stale(), seen)

    def blocked_cells(self, memory: MapMemory, state: GridState, slot: Int[Array, ""]) -> Bool[Array, "H W"]:
        """Cells closed by other agents that are seen to stand there; none where agents walk through each other."""
        taken = jnp.zeros_like(memory.visible)
        if not self.collide:
            return taken
        standing = state.agent_mask & (jnp.arange(len(self.views)) != slot)
        row = jnp.where(standing, state.position[:, 0], self.height)
        return taken.at[row, state.position[:, 1]].set(True, mode="drop") & memory.visible


def is_goal(tile: Int[Array, "..."]) -> Bool[Array, "..."]:
    """Whether a tile is a goal of any look."""
    return (tile[..., None] == jnp.array(GOAL_KINDS, jnp.uint8)).any(-1)


def cell_mask(position: Int[Array, "2"], shape: tuple[int, ...]) -> Bool[Array, "H W"]:
    """The one cell at a position."""
    row, col = jnp.arange(shape[0])[:, None], jnp.arange(shape[1])
    return (row == position[0]) & (col == position[1])


def broadcast_to_batch(tree, batch_size: int):
    """A blank memory, whatever it holds, for B worlds."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (batch_size, *jnp.shape(x))), tree)
