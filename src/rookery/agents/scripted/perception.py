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
from rookery.types import PyTree

Observability = Literal["full", "partial"]
OBSERVABILITIES: tuple[Observability, ...] = ("full", "partial")

UNKNOWN = 255  # tile of a cell that was never seen


class MapMemory(NamedTuple):
    """What an agent knows of the map."""

    tiles: UInt8[Array, "H W"]  # as last seen; UNKNOWN where never seen
    fresh: Bool[Array, "H W"]  # seen since the map may have changed; other cells are worth exploring
    visible: Bool[Array, "H W"]  # seen at this step

    @property
    def goals(self) -> Bool[Array, "H W"]:
        """Cells known to hold a goal of any kind."""
        return is_goal(self.tiles)

    @property
    def walkable(self) -> Bool[Array, "H W"]:
        """Cells that can be walked over, as far as is known; those never seen are included."""
        return is_walkable(self.tiles)

    @property
    def frontier(self) -> Bool[Array, "H W"]:
        """Cells worth exploring."""
        return ~self.fresh & self.walkable

    def mark_stale(self) -> MapMemory:
        """Mark everything as possibly changed except what is visible now."""
        return self._replace(fresh=self.visible)


@dataclasses.dataclass(frozen=True)
class Perception:
    """How an agent comes to know the map. Reads of a state what the agent may see, and nothing else.

    With "partial" observability it sees the cells in its view, with goals hidden if its view hides them; with "full"
    it sees every cell.
    Raises: ConfigError for a "partial" view that does not show the cell ahead, with which it would walk blindly.
    """

    observability: Observability
    height: int
    width: int
    views: tuple[ViewConfig, ...]  # of all slots
    collide: bool = False  # agents block each other

    def __post_init__(self) -> None:
        if self.observability == "partial" and any(view.agent_row == 0 for view in self.views):
            raise ConfigError(
                "a scripted expert limited to its own view must see the cell ahead of it; "
                "give every view rows_behind below its size minus 1"
            )

    @classmethod
    def from_spec(cls, spec: GridSpec, observability: Observability) -> Perception:
        return cls(observability, spec.height, spec.width, spec.views, spec.collide)

    def initial_memory(self) -> MapMemory:
        """Nothing seen yet."""
        unseen = jnp.zeros((self.height, self.width), bool)
        return MapMemory(jnp.full((self.height, self.width), UNKNOWN, jnp.uint8), unseen, unseen)

    def observe(self, memory: MapMemory, state: GridState, slot: Int[Array, ""]) -> MapMemory:
        """Add what the agent in a slot sees now; an absent agent sees nothing.

        If a goal disappeared, it may be anywhere, so the whole map is to be explored again.
        """
        if self.observability == "full":
            everywhere = jnp.ones_like(memory.visible)
            return MapMemory(state.tiles, everywhere, everywhere)
        tiles, visible = memory.tiles, jnp.zeros_like(memory.visible)
        position, heading, is_present = state.position[slot], state.heading[slot], state.agent_mask[slot]
        hides_goals = jnp.array([view.can_hide_goals for view in self.views])[slot] & state.goals_masked
        geometry = [
            ViewConfig(size=v.size, rows_behind=v.rows_behind, see_through_walls=v.see_through_walls)
            for v in self.views
        ]
        for view in dict.fromkeys(geometry):
            is_own_view = jnp.array([other == view for other in geometry])[slot]
            view_tiles, view_visible = agent_view(state.tiles, position, heading, view)
            view_tiles = jnp.where(hides_goals & is_goal(view_tiles), FLOOR, view_tiles)
            row, col = view_cells(position, heading, view)
            # Unseen cells go beyond the edge, where they are dropped; a negative index would count from the end.
            inside = view_visible & is_present & is_own_view & (row >= 0) & (col >= 0)
            row, col = jnp.where(inside, row, self.height), jnp.where(inside, col, self.width)
            tiles = tiles.at[row, col].set(view_tiles, mode="drop")
            visible = visible.at[row, col].set(True, mode="drop")
        # An agent that does not see goals explores a cell only by walking over it.
        explored = jnp.where(hides_goals, visible & cell_mask(position, visible.shape), visible)
        updated = MapMemory(tiles, memory.fresh | explored, visible)
        goal_disappeared = (is_goal(memory.tiles) & ~is_goal(tiles)).any()
        return jax.tree.map(lambda new, old: jnp.where(goal_disappeared, new, old), updated.mark_stale(), updated)

    def blocked_cells(self, memory: MapMemory, state: GridState, slot: Int[Array, ""]) -> Bool[Array, "H W"]:
        """Cells where other agents are seen to stand, if agents block each other; else none."""
        blocked = jnp.zeros_like(memory.visible)
        if not self.collide:
            return blocked
        is_other = state.agent_mask & (jnp.arange(len(self.views)) != slot)
        row = jnp.where(is_other, state.position[:, 0], self.height)
        return blocked.at[row, state.position[:, 1]].set(True, mode="drop") & memory.visible


def is_goal(tile: Int[Array, "..."]) -> Bool[Array, "..."]:
    """Whether a tile is a goal of any kind."""
    return (tile[..., None] == jnp.array(GOAL_KINDS, jnp.uint8)).any(-1)


def cell_mask(position: Int[Array, "2"], shape: tuple[int, ...]) -> Bool[Array, "H W"]:
    """True at the cell of a position, False elsewhere."""
    row, col = jnp.arange(shape[0])[:, None], jnp.arange(shape[1])
    return (row == position[0]) & (col == position[1])


def broadcast_to_batch(tree: PyTree, batch_size: int) -> PyTree:
    """Every array repeated for B environments."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (batch_size, *jnp.shape(x))), tree)
