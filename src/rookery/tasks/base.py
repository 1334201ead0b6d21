"""What every task on the grid has: size, agents and their views, time limit, prestige, and a map read from text."""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from rookery.errors import ConfigError
from rookery.world.layout import AsciiMap, border, parse_map
from rookery.world.spec import View, WorldSpec
from rookery.world.state import WorldParams
from rookery.world.tiles import FLOOR, OBSTACLE


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridTask:
    """Settings common to all tasks; a task adds its own, `kind`, `counts`, `layout` and `pay`."""

    marks: ClassVar[dict[str, int]] = {}
    """Letters this task's maps may hold beside # . G 1-9 A, each with the tile kind it stands for."""
    objects: ClassVar[bool] = False
    """Pick up, drop and toggle do something here."""

    height: int = 13  # cells, border included
    width: int = 13
    views: tuple[View, ...] = (View(), View(), View())  # one an agent
    max_steps: int = 250
    actions: Literal[3, 7] = 7
    collide: bool = False
    goal_reward: float = 1.0
    prestige_rule: Literal["tanh", "sigmoid"] = "tanh"
    prestige_decay: float = 0.99  # per step
    spawn_delay: tuple[int, ...] = ()  # steps of absence an agent; empty: nobody waits
    hide_share: float = 1.0  # of episodes in which views with hide_goals do hide them

    def __post_init__(self):
        if not 0 <= self.prestige_decay <= 1:
            raise ConfigError(f"prestige_decay={self.prestige_decay} must lie in [0, 1]")
        if not 0 <= self.hide_share <= 1:
            raise ConfigError(f"hide_share={self.hide_share} must lie in [0, 1]")
        if self.spawn_delay and len(self.spawn_delay) != len(self.views):
            raise ConfigError(f"spawn_delay has {len(self.spawn_delay)} entries for {len(self.views)} agents")
        if any(delay < 0 for delay in self.spawn_delay):
            raise ConfigError(f"spawn_delay={self.spawn_delay} must not be negative")
        agents, plan = self.world.agents, self.plan  # each checks its own part
        if plan is not None and plan.spawns and len(plan.spawns) < agents:
            raise ConfigError(
                f"the map has {len(plan.spawns)} start cells (A) for {agents} agents; add more, or none at all"
            )

    @property
    def plan(self) -> AsciiMap | None:
        """The map, in tasks that have one and where it is given."""
        text = getattr(self, "map", None)
        return None if text is None else parse_map(text, self.marks)

    @property
    def world(self) -> WorldSpec:
        plan = self.plan
        return WorldSpec(
            height=plan.height if plan else self.height,
            width=plan.width if plan else self.width,
            views=self.views,
            max_steps=self.max_steps,
            actions=self.actions,
            collide=self.collide,
            prestige_rule=self.prestige_rule,
            objects=self.objects,
        )

    @property
    def room(self) -> np.ndarray:
        """The map's tiles, or an empty room. u8[H, W]."""
        plan = self.plan
        return np.array(plan.tiles, np.uint8) if plan else border(self.height, self.width)

    @property
    def floor(self) -> np.ndarray:
        """Cells where something may be drawn: floor, less what the map has fixed. i32[N, 2]."""
        tiles, plan = self.room.copy(), self.plan
        if plan:
            for cell in plan.goals + plan.spawns:
                tiles[cell] = OBSTACLE
        return np.argwhere(tiles == FLOOR).astype(np.int32)

    def fit(self, things: int, what: str = "goals, agents and obstacles", more: int = 0) -> None:
        """Raises ConfigError where `things` to be drawn outnumber the free cells and `more`."""
        free, world = len(self.floor) + more, self.world
        if things > free:
            raise ConfigError(
                f"{things} {what} do not fit on the {free} free cells of a "
                f"{world.height}×{world.width} world; make it larger or take some away"
            )

    def world_params(self) -> WorldParams:
        delay = self.spawn_delay or (0,) * len(self.views)
        return WorldParams(
            prestige_decay=jnp.float32(self.prestige_decay),
            spawn_delay=jnp.array(delay, jnp.int32),
            hide_share=jnp.float32(self.hide_share),
        )


def check_count(name: str, value: int) -> None:
    if value < 0:
        raise ConfigError(f"{name}={value} must be at least 0")


def as_cells(cells) -> Int[Array, "N 2"]:
    """Cells as an array, also where there are none."""
    return jnp.asarray(np.array(cells, np.int32).reshape(-1, 2))
