"""Key and door: fetch a key, unlock the door, pass, reach the goal; the door locks again behind each agent.

Rules. A wall with one locked door, both drawn anew each episode, parts the room. On the near side agents start and
a rack gives keys without end; on the far side is the goal. An agent facing the rack picks up a key; facing the door
with a key in hand it toggles it open, which uses the key up; the doorway lets one agent through and locks behind it.
Only the goal pays: 1, and the agent is set down on the near side, facing anywhere, so each visit needs a key and
an unlocking of its own (or the goal moves, or ends the episode: `when_reached`). Drop lays a key in hand on the floor
ahead. With `endless_keys=False` there lie as many loose keys as agents instead. With `map`: K a rack, k a loose
key, D a locked door.

Source: the example of Ndousse et al. 2021, section 3.1, of a task with a sparse reward that others can show the way to.
Sizes are not printed; these are our own.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp

from rookery.errors import ConfigError
from rookery.gridworld.interactions import TOGGLE
from rookery.gridworld.layout import empty_room, shuffle_cells
from rookery.gridworld.state import GridState, MoveResult
from rookery.gridworld.tiles import DOOR, FLOOR, GOAL, KEY, KEY_RACK, OBSTACLE
from rookery.tasks.base import as_cells
from rookery.tasks.goal_reaching import GoalReachingParams, GoalReachingState, GoalReachingTask
from rookery.types import PRNGKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyDoor(GoalReachingTask):
    """Configuration and rules; one view an agent."""

    char_to_tile: ClassVar[dict[str, int]] = {"K": KEY_RACK, "k": KEY, "D": DOOR}
    has_objects = True
    metric_names = (*GoalReachingTask.metric_names, "keys", "doors")
    """Also keys picked up and doors opened."""

    kind: Literal["key-door"] = "key-door"
    height: int = 9
    width: int = 9
    endless_keys: bool = True
    map: str | None = None  # ASCII, see world/layout.py; replaces height, width and endless_keys

    def __post_init__(self):
        super().__post_init__()
        if self.num_actions != 7:
            raise ConfigError(f"num_actions={self.num_actions}: keys and doors need all 7")
        plan, agents = self.ascii_map, len(self.views)
        if plan:
            goals = plan.goals
            if not goals or len(plan.numbered_goals) > 1:
                raise ConfigError("the map needs one goal: a 1, or several G of which one is chosen")
            if not plan.spawn_cells:
                raise ConfigError(f"the map has no start cells; mark at least {agents} with A, on the keys' side")
            if self.when_reached == "move goal" and len(goals) == 1:
                raise ConfigError("a goal that has one place cannot move; draw several G")
            return
        if self.width < 5:
            raise ConfigError(f"width={self.width} has no room for two sides and a wall; at least 5")
        things, near = agents + self._num_keys, self.height - 2
        if things > near:
            raise ConfigError(
                f"{things} agents and keys may not fit on the near side, which may have only {near} cells; raise height"
            )
        if self.when_reached == "move goal" and near < 2:
            raise ConfigError("a goal that has one place cannot move; raise height")

    @property
    def _num_keys(self) -> int:
        return 1 if self.endless_keys else len(self.views)

    def generate(self, key: PRNGKey):
        """Build wall and door; place keys and agents on the near side, the goal on the far one."""
        plan = self.ascii_map
        if plan:
            places = as_cells(plan.goals)
            return self.place_goal_and_agents(
                key, jnp.asarray(self.base_tiles), places, jnp.arange(len(places)), 0, as_cells(plan.spawn_cells)
            )
        wall_key, door_key, near_key, far_key, heading_key = jax.random.split(key, 5)
        agents, keys, tall = len(self.views), self._num_keys, self.height - 2
        wall = jax.random.randint(wall_key, (), 2, self.width - 2)
        door = jax.random.randint(door_key, (), 1, self.height - 1)
        # Column by column, so that the near side comes first, then the wall, then the far side.
        cells = as_cells([(r, c) for c in range(1, self.width - 1) for r in range(1, self.height - 1)])
        near, far = (wall - 1) * tall, (self.width - 2 - wall) * tall
        close = shuffle_cells(near_key, cells, keys + agents, near)
        distant = shuffle_cells(far_key, jnp.roll(cells, far, 0), 1, far)
        goal, position = distant[0], close[keys : keys + agents]
        tiles = jnp.asarray(empty_room(self.height, self.width))
        tiles = jnp.where(jnp.arange(self.width) == wall, jnp.uint8(OBSTACLE), tiles).at[door, wall].set(DOOR)
        tiles = tiles.at[close[:keys, 0], close[:keys, 1]].set(KEY_RACK if self.endless_keys else KEY)
        tiles = tiles.at[goal[0], goal[1]].set(GOAL)
        free, count = (distant[1:], far - 1) if self.when_reached == "move goal" else (close[keys:], near - keys)
        own = GoalReachingState(
            goals=goal[None], reached=jnp.zeros(agents, bool), respawn_cells=free, num_respawn_cells=count
        )
        return tiles, position, jax.random.randint(heading_key, (agents,), 0, 4), own

    def reward(self, before: GridState, after: GridState, move_result: MoveResult, params: GoalReachingParams):
        """Pay whoever entered the goal; count keys and doors."""
        reward, own, counts = super().reward(before, after, move_result, params)
        had, has = before.carrying != FLOOR, after.carrying != FLOOR
        counts["keys"] = (has & ~had).astype(jnp.float32)
        counts["doors"] = (had & ~has & (move_result.action == TOGGLE)).astype(jnp.float32)
        return reward, own, counts
