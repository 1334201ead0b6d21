"""Key and Door: fetch a key, unlock the door, pass, reach the goal; the door locks again behind each agent.

Rules. A wall with one locked door, both placed at random in each episode, divides the room. On the near side are the
agents' start cells and a rack with unlimited keys; on the far side is the goal. An agent that faces the rack picks up a
key. If it faces the door with a key in hand, toggle opens the door and uses up the key; the doorway lets one agent
through and locks behind it. Only the goal pays: 1, and the agent is placed on the near side with a random heading, so
each visit needs another key (or the goal moves, or ends the episode: `when_reached`). Drop puts a key in hand on the
floor ahead. With `endless_keys=False` there are as many loose keys as agents instead of the rack. On a `map`: K a rack,
k a loose key, D a locked door.

Source: the example in Ndousse et al. 2021, section 3.1, of a task with a sparse reward in which others can show the
way. Sizes are not stated; these are our own.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from rookery.errors import ConfigError
from rookery.gridworld.interactions import TOGGLE
from rookery.gridworld.layout import empty_room, shuffle_cells
from rookery.gridworld.state import GridState, MoveResult
from rookery.gridworld.tiles import DOOR, FLOOR, GOAL, KEY, KEY_RACK, OBSTACLE
from rookery.tasks.goal_reaching import GoalReachingParams, GoalReachingState, GoalReachingTask
from rookery.tasks.grid_task import as_cells
from rookery.types import PRNGKey


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyDoor(GoalReachingTask):
    """Settings and rules."""

    char_to_tile: ClassVar[dict[str, int]] = {"K": KEY_RACK, "k": KEY, "D": DOOR}
    has_objects = True
    metric_names: ClassVar[tuple[str, ...]] = (*GoalReachingTask.metric_names, "keys", "doors")
    """In addition, keys picked up and doors opened."""

    kind: Literal["key-door"] = "key-door"
    height: int = 9
    width: int = 9
    endless_keys: bool = True
    map: str | None = None  # ASCII, see gridworld/layout.py; replaces height, width and endless_keys

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_actions != 7:
            raise ConfigError(f"num_actions={self.num_actions}: keys and doors need all 7")
        ascii_map, num_agents = self.ascii_map, len(self.views)
        if ascii_map:
            goals = ascii_map.goals
            if not goals or len(ascii_map.numbered_goals) > 1:
                raise ConfigError("the map needs one goal: a 1, or several G of which one is chosen")
            if not ascii_map.spawn_cells:
                raise ConfigError(f"the map has no start cells; mark at least {num_agents} with A, on the keys' side")
            if self.when_reached == "move goal" and len(goals) == 1:
                raise ConfigError("a goal with one possible cell cannot move; put several G on the map")
            return
        if self.width < 5:
            raise ConfigError(f"width={self.width} has no room for two sides and a wall; at least 5")
        num_items, num_near = num_agents + self._num_keys, self.height - 2
        if num_items > num_near:
            raise ConfigError(
                f"{num_items} agents and keys may not fit on the near side, which may have only {num_near} cells; "
                "raise height"
            )
        if self.when_reached == "move goal" and num_near < 2:
            raise ConfigError("a goal with one possible cell cannot move; raise height")

    @property
    def _search_rule(self) -> str:
        return (
            "Nothing else pays or costs anything. Face a key and pick it up; face the door and toggle: it opens, uses "
            "up the key, and locks behind you."
        )

    @property
    def _num_keys(self) -> int:
        return 1 if self.endless_keys else len(self.views)

    def generate(
        self, key: PRNGKey
    ) -> tuple[UInt8[Array, "H W"], Int[Array, "A 2"], Int[Array, "A"], GoalReachingState]:
        """Build wall and door; place keys and agents on the near side, the goal on the far one."""
        ascii_map = self.ascii_map
        if ascii_map:
            candidates = as_cells(ascii_map.goals)
            return self.place_goal_and_agents(
                key,
                jnp.asarray(self.base_tiles),
                candidates,
                jnp.arange(len(candidates)),
                spawn_cells=as_cells(ascii_map.spawn_cells),
            )
        wall_key, door_key, near_key, far_key, heading_key = jax.random.split(key, 5)
        num_agents, num_keys, column_size = len(self.views), self._num_keys, self.height - 2
        wall = jax.random.randint(wall_key, (), 2, self.width - 2)
        door = jax.random.randint(door_key, (), 1, self.height - 1)
        # Column by column, so that the near side comes first, then the wall, then the far side.
        cells = as_cells([(r, c) for c in range(1, self.width - 1) for r in range(1, self.height - 1)])
        num_near, num_far = (wall - 1) * column_size, (self.width - 2 - wall) * column_size
        near = shuffle_cells(near_key, cells, num_keys + num_agents, num_near)
        far = shuffle_cells(far_key, jnp.roll(cells, num_far, 0), 1, num_far)
        goal, position = far[0], near[num_keys : num_keys + num_agents]
        tiles = jnp.asarray(empty_room(self.height, self.width))
        tiles = jnp.where(jnp.arange(self.width) == wall, jnp.uint8(OBSTACLE), tiles).at[door, wall].set(DOOR)
        tiles = tiles.at[near[:num_keys, 0], near[:num_keys, 1]].set(KEY_RACK if self.endless_keys else KEY)
        tiles = tiles.at[goal[0], goal[1]].set(GOAL)
        if self.when_reached == "move goal":
            respawn_cells, num_respawn_cells = far[1:], num_far - 1
        else:
            respawn_cells, num_respawn_cells = near[num_keys:], num_near - num_keys
        task_state = GoalReachingState(
            goals=goal[None],
            reached=jnp.zeros(num_agents, bool),
            respawn_cells=respawn_cells,
            num_respawn_cells=num_respawn_cells,
        )
        return tiles, position, jax.random.randint(heading_key, (num_agents,), 0, 4), task_state

    def reward(
        self, before: GridState, after: GridState, move_result: MoveResult, params: GoalReachingParams
    ) -> tuple[Float[Array, "A"], GoalReachingState, dict[str, Float[Array, "A"]]]:
        """Pay each agent that entered the goal; count keys and doors."""
        reward, task_state, info = super().reward(before, after, move_result, params)
        had_key, has_key = before.carrying != FLOOR, after.carrying != FLOOR
        info["keys"] = (has_key & ~had_key).astype(jnp.float32)
        info["doors"] = (had_key & ~has_key & (move_result.action == TOGGLE)).astype(jnp.float32)
        return reward, task_state, info
