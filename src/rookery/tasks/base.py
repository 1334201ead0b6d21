"""What every task on the grid has: size, agents and their views, time limit, prestige, and a map read from text."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from rookery.errors import ConfigError
from rookery.gridworld.layout import AsciiMap, empty_room, parse_map
from rookery.gridworld.spec import GridSpec, ViewConfig
from rookery.gridworld.state import GridParams
from rookery.gridworld.tiles import FLOOR, OBSTACLE


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridTask:
    """Settings common to all tasks; a task adds its own, `kind`, `counts`, `layout` and `pay`."""

    char_to_tile: ClassVar[dict[str, int]] = {}
    """Letters this task's maps may hold beside # . G 1-9 A, each with the tile kind it stands for."""
    has_objects: ClassVar[bool] = False
    """Pick up, drop and toggle do something here."""

    height: int = 13  # cells, border included
    width: int = 13
    views: tuple[ViewConfig, ...] = (ViewConfig(), ViewConfig(), ViewConfig())  # one an agent
    max_steps: int = 250
    num_actions: Literal[3, 7] = 7
    collide: bool = False
    goal_reward: float = 1.0
    prestige_rule: Literal["tanh", "sigmoid"] = "tanh"
    prestige_decay: float = 0.99  # per step
    spawn_delay: tuple[int, ...] = ()  # steps of absence an agent; empty: nobody waits
    goal_hiding_prob: float = 1.0  # of episodes in which views with can_hide_goals do hide them

    def __post_init__(self):
        if not 0 <= self.prestige_decay <= 1:
            raise ConfigError(f"prestige_decay={self.prestige_decay} must lie in [0, 1]")
        if not 0 <= self.goal_hiding_prob <= 1:
            raise ConfigError(f"goal_hiding_prob={self.goal_hiding_prob} must lie in [0, 1]")
        if self.spawn_delay and len(self.spawn_delay) != len(self.views):
            raise ConfigError(f"spawn_delay has {len(self.spawn_delay)} entries for {len(self.views)} agents")
        if any(delay < 0 for delay in self.spawn_delay):
            raise ConfigError(f"spawn_delay={self.spawn_delay} must not be negative")
        agents, plan = self.grid_spec.num_agents, self.ascii_map  # each checks its own part
        if plan is not None and plan.spawn_cells and len(plan.spawn_cells) < agents:
            raise ConfigError(
                f"the map has {len(plan.spawn_cells)} start cells (A) for {agents} agents; add more, or none at all"
            )

    @property
    def ascii_map(self) -> AsciiMap | None:
        """The map, in tasks that have one and where it is given."""
        text = getattr(self, "map", None)
        return None if text is None else parse_map(text, self.char_to_tile)

    @property
    def grid_spec(self) -> GridSpec:
        plan = self.ascii_map
        return GridSpec(
            height=plan.height if plan else self.height,
            width=plan.width if plan else self.width,
            views=self.views,
            max_steps=self.max_steps,
            num_actions=self.num_actions,
            collide=self.collide,
            prestige_rule=self.prestige_rule,
            has_objects=self.has_objects,
        )

    @property
    def base_tiles(self) -> np.ndarray:
        """The map's tiles, or an empty room. u8[H, W]."""
        plan = self.ascii_map
        return np.array(plan.tiles, np.uint8) if plan else empty_room(self.height, self.width)

    @property
    def free_cells(self) -> np.ndarray:
        """Cells where something may be drawn: floor, less what the map has fixed. i32[N, 2]."""
        tiles, plan = self.base_tiles.copy(), self.ascii_map
        if plan:
            for cell in plan.goals + plan.spawn_cells:
                tiles[cell] = OBSTACLE
        return np.argwhere(tiles == FLOOR).astype(np.int32)

    def check_capacity(
        self, num_items: int, description: str = "goals, agents and obstacles", extra_cells: int = 0
    ) -> None:
        """Raises ConfigError where `things` to be drawn outnumber the free cells and `more`."""
        free, world = len(self.free_cells) + extra_cells, self.grid_spec
        if num_items > free:
            raise ConfigError(
                f"{num_items} {description} do not fit on the {free} free cells of a "
                f"{world.height}×{world.width} world; make it larger or take some away"
            )

    def world_params(self) -> GridParams:
        delay = self.spawn_delay or (0,) * len(self.views)
        return GridParams(
            prestige_decay=jnp.float32(self.prestige_decay),
            spawn_delay=jnp.array(delay, jnp.int32),
            goal_hiding_prob=jnp.float32(self.goal_hiding_prob),
        )


def check_non_negative(name: str, value: int) -> None:
    if value < 0:
        raise ConfigError(f"{name}={value} must be at least 0")


def as_cells(cells) -> Int[Array, "N 2"]:
    """Cells as an array, also where there are none."""
    return jnp.asarray(np.array(cells, np.int32).reshape(-1, 2))
