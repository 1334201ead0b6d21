"""What a scripted agent knows of the map: all of it, or what its own view has shown so far."""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt8

from rookery.errors import ConfigError
from rookery.world.motion import passable
from rookery.world.sight import look, view_cells
from rookery.world.spec import View, WorldSpec
from rookery.world.state import State
from rookery.world.tiles import FLOOR, GOALS

Sight = Literal["map", "own"]
SIGHTS: tuple[Sight, ...] = ("map", "own")

UNKNOWN = 255  # the kind of a cell never seen


class Memory(NamedTuple):
    """What is known of one world."""

    kind: UInt8[Array, "H W"]  # as last seen; UNKNOWN where never
    fresh: Bool[Array, "H W"]  # seen since it last may have changed; the rest is worth a look
    lit: Bool[Array, "H W"]  # seen now

    @property
    def goals(self) -> Bool[Array, "H W"]:
        """Cells known to hold a goal of any look."""
        return is_goal(self.kind)

    @property
    def walkable(self) -> Bool[Array, "H W"]:
        """Cells a way may lead over. What was never seen may turn out so."""
        return passable(self.kind)

    @property
    def frontier(self) -> Bool[Array, "H W"]:
        """Cells worth a look."""
        return ~self.fresh & self.walkable

    def stale(self) -> Memory:
        """What was seen may have changed, all but what is seen now."""
        return self._replace(fresh=self.lit)


@dataclasses.dataclass(frozen=True)
class Eyes:
    """How one agent of a world comes to know its map. Reads of a state what the agent may see, nothing more.

    `own` sees the cells its view shows, goals hidden where its view hides them; `map` sees every cell.
    Raises: ConfigError for an `own` view that does not show the cell ahead, so that one walks blindly.
    """

    sight: Sight
    height: int
    width: int
    views: tuple[View, ...]  # of all slots
    collide: bool = False  # agents block each other

    def __post_init__(self):
        if self.sight == "own" and any(view.row == 0 for view in self.views):
            raise ConfigError(
                "a scripted expert limited to its own view must see the cell ahead of it; "
                "give every view an offset below its size - 1"
            )

    @classmethod
    def of(cls, world: WorldSpec, sight: Sight) -> Eyes:
        return cls(sight, world.height, world.width, world.views, world.collide)

    def blank(self) -> Memory:
        """Nothing seen yet."""
        dark = jnp.zeros((self.height, self.width), bool)
        return Memory(jnp.full((self.height, self.width), UNKNOWN, jnp.uint8), dark, dark)

    def see(self, memory: Memory, state: State, slot: Int[Array, ""]) -> Memory:
        """Add what the agent in a slot sees now; before it enters the world that is nothing.

        Where a goal is gone from, it is anew to be looked for everywhere.
        """
        if self.sight == "map":
            everywhere = jnp.ones_like(memory.lit)
            return Memory(state.tiles, everywhere, everywhere)
        kind, lit = memory.kind, jnp.zeros_like(memory.lit)
        position, heading, active = state.position[slot], state.heading[slot], state.active[slot]
        hides = jnp.array([view.hide_goals for view in self.views])[slot] & state.goals_hidden
        geometry = [View(size=v.size, offset=v.offset, see_through_walls=v.see_through_walls) for v in self.views]
        for view in dict.fromkeys(geometry):
            mine = jnp.array([other == view for other in geometry])[slot]
            shown, seen = look(state.tiles, position, heading, view)
            shown = jnp.where(hides & is_goal(shown), FLOOR, shown)
            row, col = view_cells(position, heading, view)
            # Unseen cells go beyond the edge, where they are dropped; a negative index would count from the end.
            inside = seen & active & mine & (row >= 0) & (col >= 0)
            row, col = jnp.where(inside, row, self.height), jnp.where(inside, col, self.width)
            kind = kind.at[row, col].set(shown, mode="drop")
            lit = lit.at[row, col].set(True, mode="drop")
        # Who does not see goals must go there to find them.
        looked = jnp.where(hides, lit & cells_at(position, lit.shape), lit)
        seen = Memory(kind, memory.fresh | looked, lit)
        gone = (is_goal(memory.kind) & ~is_goal(kind)).any()
        return jax.tree.map(lambda new, old: jnp.where(gone, new, old), seen.stale(), seen)

    def blocking(self, memory: Memory, state: State, slot: Int[Array, ""]) -> Bool[Array, "H W"]:
        """Cells closed by other agents that are seen to stand there; none where agents walk through each other."""
        taken = jnp.zeros_like(memory.lit)
        if not self.collide:
            return taken
        standing = state.active & (jnp.arange(len(self.views)) != slot)
        row = jnp.where(standing, state.position[:, 0], self.height)
        return taken.at[row, state.position[:, 1]].set(True, mode="drop") & memory.lit


def is_goal(kind: Int[Array, "..."]) -> Bool[Array, "..."]:
    """Whether a tile is a goal of any look."""
    return (kind[..., None] == jnp.array(GOALS, jnp.uint8)).any(-1)


def cells_at(position: Int[Array, "2"], shape: tuple[int, ...]) -> Bool[Array, "H W"]:
    """The one cell at a position."""
    row, col = jnp.arange(shape[0])[:, None], jnp.arange(shape[1])
    return (row == position[0]) & (col == position[1])


def for_worlds(blank, batch: int):
    """A blank memory, whatever it holds, for B worlds."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (batch, *jnp.shape(x))), blank)
