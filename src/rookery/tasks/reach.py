"""What tasks with one goal share: being paid for reaching it, and what happens then.

An agent that enters the goal is paid. Then, as `when_reached` says, it is set down elsewhere, facing anywhere, and
the episode goes on ("respawn", the authors' way); or the goal moves ("move goal"); or the episode ends for all
("end"). Only entering counts: a goal that appears under an agent, or an agent set down, earns nothing.

Source: Ndousse et al. 2021 and the authors' single-goal environment. Rewards and length of the
transfer tasks are not printed; these are the environment's.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float32, Int, Int32

from rookery.errors import ConfigError
from rookery.tasks.base import GridTask
from rookery.types import Key
from rookery.world.layout import shuffle_cells
from rookery.world.place import set_down, vacant
from rookery.world.state import Events, State, WorldParams
from rookery.world.tiles import FLOOR, GOAL, OBSTACLE


class ReachParams(struct.PyTreeNode):
    """What a schedule may change without recompiling."""

    world: WorldParams
    goal: Float32[Array, ""]  # paid for reaching the goal


class ReachState(struct.PyTreeNode):
    goals: Int32[Array, "1 2"]  # (row, col)
    reached: Bool[Array, "A"]  # has been there in this episode
    cells: Int32[Array, "N 2"]  # the first `count`: where agents, or the goal, may be set down anew
    count: Int32[Array, ""]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReachTask(GridTask):
    """Configuration and rules; a task adds its layout."""

    when_reached: Literal["respawn", "move goal", "end"] = "respawn"

    counts = ("goals", "success")
    """Entries that paid; and 1 at an agent's first of the episode, so that its sum tells whether it succeeded."""

    def __post_init__(self):
        super().__post_init__()
        if self.when_reached not in ("respawn", "move goal", "end"):
            raise ConfigError(
                f"when_reached={self.when_reached!r} is not known; allowed: 'respawn', 'move goal', 'end'"
            )

    def default_params(self) -> ReachParams:
        return ReachParams(world=self.world_params(), goal=jnp.float32(self.goal_reward))

    def arrange(
        self,
        key: Key,
        tiles,
        cells: Int[Array, "N 2"],
        places: Int[Array, "M"] | None = None,
        obstacles: int = 0,
        spawns: Int[Array, "S 2"] | None = None,
    ):
        """Put one goal, obstacles and agents on different cells: what `layout` returns.

        Args:
          tiles: u8[H, W] with walls alone. cells: floor where things may be put.
          places: of `cells`, by number, those the goal may be in; None: any.
          spawns: where agents start and are set down; None: any free cell.
        """
        goal_key, place_key, spawn_key, heading_key = jax.random.split(key, 4)
        agents = len(self.views)
        places = jnp.arange(len(cells)) if places is None else places
        chosen = places[jax.random.randint(goal_key, (), 0, len(places))]
        goal = cells[chosen]
        rest = cells.at[chosen].set(cells[0])[1:]
        rest = shuffle_cells(place_key, rest, obstacles + (agents if spawns is None else 0))
        blocks, free = rest[:obstacles], rest[obstacles:]
        if spawns is None:
            position = free[:agents]
        else:
            free = shuffle_cells(spawn_key, spawns, agents)
            position = free[:agents]
        if self.when_reached == "move goal":
            # All the goal's other places; where it may be anywhere, all that is free.
            free = rest[obstacles:] if len(places) == len(cells) else others(cells[places], goal)
        tiles = tiles.at[blocks[:, 0], blocks[:, 1]].set(OBSTACLE).at[goal[0], goal[1]].set(GOAL)
        heading = jax.random.randint(heading_key, (agents,), 0, 4)
        own = ReachState(goals=goal[None], reached=jnp.zeros(agents, bool), cells=free, count=jnp.int32(len(free)))
        return tiles, position, heading, own

    def pay(self, before: State, after: State, events: Events, params: ReachParams):
        """Pay whoever entered the goal."""
        own: ReachState = before.task
        entered = events.moved & (after.position == own.goals[0]).all(-1)
        reward = params.goal * entered
        counts = {"goals": entered.astype(jnp.float32), "success": (entered & ~own.reached).astype(jnp.float32)}
        return reward, own.replace(reached=own.reached | entered), counts

    def rearrange(self, key: Key, before: State, after: State, events: Events) -> State:
        """Set down elsewhere whoever entered the goal, or move the goal."""
        own: ReachState = after.task
        entered = events.moved & (after.position == own.goals[0]).all(-1)
        if self.when_reached == "respawn":
            return set_down(key, after, entered, own.cells, own.count, self.collide)
        if self.when_reached == "end":
            return after
        standing = (after.position[:, None] == own.cells).all(-1) & after.active[:, None]
        taken = standing.any(0) | (jnp.arange(len(own.cells)) >= own.count)
        chosen = vacant(jax.random.uniform(key), taken)
        old, new, move = own.goals[0], own.cells[chosen], entered.any() & ~taken.all()
        tiles = after.tiles.at[old[0], old[1]].set(FLOOR).at[new[0], new[1]].set(GOAL)
        own = own.replace(goals=new[None], cells=own.cells.at[chosen].set(old))
        moved = after.replace(tiles=tiles, task=own)
        return jax.tree.map(lambda new, old: jnp.where(move, new, old), moved, after)

    def ended(self, state: State) -> Bool[Array, ""]:
        """Whether the episode is over before its time."""
        return state.task.reached.any() if self.when_reached == "end" else jnp.bool_(False)


def others(places: Int[Array, "M 2"], goal: Int[Array, "2"]) -> Int[Array, "M-1 2"]:
    """All places but the goal's."""
    here = jnp.argmax((places == goal).all(-1))
    return places.at[here].set(places[0])[1:]
