"""The static settings of a gridworld: size, agents and views. They are hashable, so they can be static arguments."""

from __future__ import annotations

import dataclasses
from typing import Literal

from rookery.errors import ConfigError
from rookery.limits import (
    MAX_CELLS_TIMES_AGENTS,
    MAX_EPISODE_STEPS,
    MAX_TILE_SIZE,
    MAX_WORLD_AGENTS,
    MAX_WORLD_CELLS,
    MAX_WORLD_SIDE,
    NumericFields,
    check_at_most,
    check_types,
)

ACTION_NAMES = ("left", "right", "forward", "pick up", "drop", "toggle", "done")
CHANNELS = ("unseen", "obstacle", "goal", "agent ahead", "agent right", "agent back", "agent left", "prestige")
"""Channels of `symbolic` views. Another agent is in one of four, by its heading relative to that of the viewer."""

OBJECT_CHANNELS = (*CHANNELS, "key", "door", "open door", "goal 2", "goal 3", "goal 4", "goal 5", "carrying")
"""Channels of `objects` views. A locked door is also an obstacle, and goals 2 to 5 are also goals."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ViewConfig(NumericFields):
    """What one agent observes: a square of cells in front of it, rotated so that its heading is up.

    Source: Ndousse et al. 2021, section 7.6; `rows_behind` and hidden goals are those of the reference code.
    """

    size: int = 7  # cells per side; odd
    rows_behind: int = 1  # rows visible behind the agent
    observation_type: Literal["pixels", "symbolic", "objects"] = "pixels"
    """`symbolic`: one channel for each of CHANNELS; `objects`: one for each of OBJECT_CHANNELS, for tasks with keys,
    doors or goals that look different."""
    tile_size: int = 3  # pixels per side of a cell
    see_through_walls: bool = False
    can_hide_goals: bool = False
    """Goals look like floor to this agent in a fraction of episodes, the task's `goal_hiding_prob` (default: all).
    Agents on them remain visible."""

    def __post_init__(self) -> None:
        if not 3 <= self.size <= 29 or self.size % 2 == 0:
            raise ConfigError(f"view size={self.size} must be odd and lie in [3, 29]")
        if not 0 <= self.rows_behind < self.size:
            raise ConfigError(f"view rows_behind={self.rows_behind} must lie in [0, {self.size})")
        if self.observation_type not in ("pixels", "symbolic", "objects"):
            raise ConfigError(
                f"view observation_type={self.observation_type!r} is not known; "
                "allowed: 'pixels', 'symbolic', 'objects'"
            )
        if self.tile_size < 1:
            raise ConfigError(f"tile_size={self.tile_size} must be at least 1")
        check_at_most("tile_size", self.tile_size, MAX_TILE_SIZE)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one observation, which is uint8."""
        if self.observation_type == "symbolic":
            return (self.size, self.size, len(CHANNELS))
        if self.observation_type == "objects":
            return (self.size, self.size, len(OBJECT_CHANNELS))
        side = self.size * self.tile_size
        return (side, side, 3)

    @property
    def agent_row(self) -> int:
        """The agent's own row in its view; its column is `size // 2`."""
        return self.size - 1 - self.rows_behind


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridSpec(NumericFields):
    """A gridworld of height×width cells, border included, and the agents in it."""

    height: int = 13
    width: int = 13
    views: tuple[ViewConfig, ...] = (ViewConfig(), ViewConfig(), ViewConfig())  # one per agent
    max_steps: int = 250
    num_actions: Literal[3, 7] = 7  # all of ACTION_NAMES, or only the three that move
    collide: bool = False  # agents block each other; otherwise they can share a cell
    prestige_rule: Literal["tanh", "sigmoid"] = "tanh"
    has_objects: bool = False  # the actions pick up, drop and toggle have an effect

    def __post_init__(self) -> None:
        check_types("views", self.views, ViewConfig, "a ViewConfig")
        if self.height < 3 or self.width < 3:
            raise ConfigError(f"a world of {self.height}×{self.width} has no room inside its border; use at least 3×3")
        if not self.views:
            raise ConfigError("a world needs at least one agent")
        check_at_most("height", self.height, MAX_WORLD_SIDE)
        check_at_most("width", self.width, MAX_WORLD_SIDE)
        check_at_most("height × width", self.height * self.width, MAX_WORLD_CELLS)
        check_at_most("number of views", self.num_agents, MAX_WORLD_AGENTS)
        check_at_most("cells × agents", self.height * self.width * self.num_agents, MAX_CELLS_TIMES_AGENTS)
        check_at_most("max_steps", self.max_steps, MAX_EPISODE_STEPS)
        if self.max_steps < 1:
            raise ConfigError(f"max_steps={self.max_steps} must be at least 1")
        if self.num_actions not in (3, 7):
            raise ConfigError(f"num_actions={self.num_actions} must be 3 (left, right, forward) or 7")
        if self.prestige_rule not in ("tanh", "sigmoid"):
            raise ConfigError(f"prestige_rule={self.prestige_rule!r} is not known; allowed: 'tanh', 'sigmoid'")

    @property
    def num_agents(self) -> int:
        return len(self.views)
