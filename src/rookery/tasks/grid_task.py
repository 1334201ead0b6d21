"""Settings that all tasks on the gridworld share: size, views, time limit, prestige, and a map read from text."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from rookery.errors import ConfigError
from rookery.gridworld.layout import AsciiMap, empty_room, parse_map
from rookery.gridworld.presence import NEVER
from rookery.gridworld.spec import ACTION_NAMES, GridSpec, ViewConfig
from rookery.gridworld.state import GridParams, GridState
from rookery.gridworld.tiles import FLOOR, OBSTACLE, TILE_TO_CHAR
from rookery.interfaces import Task
from rookery.limits import MAX_EPISODE_STEPS, check_at_most, check_types
from rookery.tasks.checks import (
    check_finite,
    check_non_negative,
    check_probability,
    check_slots,
    normalize_settings,
)
from rookery.tasks.grid_env import GridEnv


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridTask(Task):
    """Base of tasks on the gridworld. A task adds its settings, `kind`, `metric_names`, `generate` and `reward`.

    `generate` and the other rules are described in `rookery.interfaces.Task`.

    Raises: ConfigError for a value out of range, or a world that has no room for what it must hold.
    """

    char_to_tile: ClassVar[dict[str, int]] = {}
    """Further characters that this task's maps may contain, besides # . G 1-9 A, and the tile kind of each."""
    has_objects: ClassVar[bool] = False
    """Whether the actions pick up, drop and toggle do something."""
    map = None
    """ASCII map. A task that can be given one declares the field `map: str | None = None`."""

    height: int = 13  # cells, border included
    width: int = 13
    views: tuple[ViewConfig, ...] = (ViewConfig(), ViewConfig(), ViewConfig())  # one per agent
    max_steps: int = 250
    num_actions: Literal[3, 7] = 7
    collide: bool = False
    goal_reward: float = 1.0
    prestige_rule: Literal["tanh", "sigmoid"] = "tanh"
    prestige_decay: float = 0.99  # per step
    spawn_delay: tuple[int, ...] = ()  # steps until each agent enters; empty: all start at once
    goal_hiding_prob: float = 1.0  # probability that goals are hidden in an episode, for views with can_hide_goals
    dropout_slots: tuple[int, ...] = ()  # slots of agents that leave within an episode and return; empty: no agent does
    leave_prob: float = 0.0  # of each of them, per step while it is there
    return_prob: float = 0.0  # per step while it is away
    leave_step: float | None = None  # they are away from this step; None: never
    return_step: float | None = None  # until this one; None: the end of the episode

    def __post_init__(self) -> None:
        normalize_settings(self)
        check_types("views", self.views, ViewConfig, "a ViewConfig")
        check_finite("goal_reward", self.goal_reward)
        check_probability("prestige_decay", self.prestige_decay)
        check_probability("goal_hiding_prob", self.goal_hiding_prob)
        if self.spawn_delay and len(self.spawn_delay) != len(self.views):
            raise ConfigError(f"spawn_delay has {len(self.spawn_delay)} entries for {len(self.views)} agents")
        if any(delay < 0 for delay in self.spawn_delay):
            raise ConfigError(f"spawn_delay={self.spawn_delay} must not be negative")
        check_at_most("spawn_delay", max(self.spawn_delay, default=0), MAX_EPISODE_STEPS)
        self._check_dropout()
        num_agents, ascii_map = self.grid_spec.num_agents, self.ascii_map  # both check their own settings
        if ascii_map is not None and ascii_map.spawn_cells and len(ascii_map.spawn_cells) < num_agents:
            raise ConfigError(
                f"the map has {len(ascii_map.spawn_cells)} start cells (A) for {num_agents} agents; add more, "
                "or remove all so that agents start anywhere"
            )

    def _check_dropout(self) -> None:
        """Raises ConfigError for settings of agents that leave and return that cannot be."""
        check_slots("dropout_slots", self.dropout_slots, len(self.views))
        for name in ("leave_prob", "return_prob"):
            check_probability(name, getattr(self, name))
        for name in ("leave_step", "return_step"):
            check_non_negative(name, getattr(self, name) or 0)
        if self.leave_step is not None and self.return_step is not None and self.return_step <= self.leave_step:
            raise ConfigError(
                f"return_step={self.return_step} must be later than leave_step={self.leave_step}; otherwise no agent "
                "is ever away"
            )
        unused = {"leave_prob": 0.0, "return_prob": 0.0, "leave_step": None, "return_step": None}
        given = [name for name, value in unused.items() if getattr(self, name) != value]
        if given and not self.dropout_slots:
            raise ConfigError(f"{given[0]} is for agents in dropout_slots, which is empty; add slots, or leave it out")

    @property
    def ascii_map(self) -> AsciiMap | None:
        """The map, for tasks that were given one."""
        text: Any = self.map
        return None if text is None else parse_map(text, self.char_to_tile)

    @property
    def grid_spec(self) -> GridSpec:
        ascii_map = self.ascii_map
        return GridSpec(
            height=ascii_map.height if ascii_map else self.height,
            width=ascii_map.width if ascii_map else self.width,
            views=self.views,
            max_steps=self.max_steps,
            num_actions=self.num_actions,
            collide=self.collide,
            prestige_rule=self.prestige_rule,
            has_objects=self.has_objects,
        )

    @property
    def action_names(self) -> tuple[str, ...]:
        return ACTION_NAMES[: self.num_actions]

    @property
    def base_tiles(self) -> np.ndarray:
        """The tiles of the map, or an empty room. u8[H, W]."""
        ascii_map = self.ascii_map
        return np.array(ascii_map.tiles, np.uint8) if ascii_map else empty_room(self.height, self.width)

    @property
    def free_cells(self) -> np.ndarray:
        """Cells (row, col) for random placement: floor, minus goals and start cells of the map. i32[N, 2]."""
        tiles, ascii_map = self.base_tiles.copy(), self.ascii_map
        if ascii_map:
            for cell in ascii_map.goals + ascii_map.spawn_cells:
                tiles[cell] = OBSTACLE
        return np.argwhere(tiles == FLOOR).astype(np.int32)

    def make_env(self) -> GridEnv:
        return GridEnv(self)

    def to_text(self, state: GridState) -> str:
        """A state as text.

        # obstacle, . floor, numbers from 1: goals in their order, or by kind where they look different, K key rack,
        k key, D locked door, / open door, ^ > v < agents.
        """
        rows = [[TILE_TO_CHAR.get(int(kind), "?") for kind in row] for row in np.asarray(state.tiles)]
        for number, (row, col) in enumerate(np.asarray(self.goal_cells(state.task)), 1):
            if state.tiles[row, col] not in (FLOOR, OBSTACLE):  # else the episode does not have this goal, or no longer
                rows[row][col] = str(number)
        slots = np.flatnonzero(state.agent_mask)
        for (row, col), heading in zip(
            np.asarray(state.position)[slots], np.asarray(state.heading)[slots], strict=True
        ):
            rows[row][col] = "^>v<"[heading]
        width = max(len(cell) for row in rows for cell in row)  # numbers may have two digits
        return "\n".join(" ".join(cell.rjust(width) for cell in row) for row in rows)

    def check_capacity(
        self, num_items: int, description: str = "goals, agents and obstacles", extra_cells: int = 0
    ) -> None:
        """Raises ConfigError if the items to be placed outnumber the free cells plus `extra_cells`."""
        free, spec = len(self.free_cells) + extra_cells, self.grid_spec
        if num_items > free:
            raise ConfigError(
                f"{num_items} {description} do not fit on the {free} free cells of a "
                f"{spec.height}×{spec.width} world; make it larger or remove some"
            )

    def world_params(self) -> GridParams:
        """The parameters that every task on the gridworld has."""
        delay = self.spawn_delay or (0,) * len(self.views)
        return GridParams(
            prestige_decay=jnp.float32(self.prestige_decay),
            spawn_delay=jnp.array(delay, jnp.int32),
            goal_hiding_prob=jnp.float32(self.goal_hiding_prob),
            leave_prob=jnp.float32(self.leave_prob),
            return_prob=jnp.float32(self.return_prob),
            leave_step=jnp.float32(NEVER if self.leave_step is None else self.leave_step),
            return_step=jnp.float32(NEVER if self.return_step is None else self.return_step),
        )


def as_cells(cells: Any) -> Int[Array, "N 2"]:
    """Cells as an array, also if there are none."""
    return jnp.asarray(np.array(cells, np.int32).reshape(-1, 2))
