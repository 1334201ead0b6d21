"""The settings that all social dilemmas share."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from jaxtyping import Array, Float, Int, UInt32

from rookery.errors import ConfigError
from rookery.gridworld.spec import ViewConfig
from rookery.interfaces import Task
from rookery.limits import MAX_EPISODE_STEPS, MAX_WORLD_CELLS, check_at_most
from rookery.tasks.checks import check_cost, check_finite, normalize_settings
from rookery.tasks.float_params import float_params
from rookery.tasks.social_dilemmas.beams import Beams, fire_beams
from rookery.tasks.social_dilemmas.dilemma_state import DilemmaParams, DilemmaState
from rookery.tasks.social_dilemmas.dilemma_tiles import COMMON_ACTIONS
from rookery.tasks.social_dilemmas.env import DilemmaEnv
from rookery.tasks.social_dilemmas.map_parsing import DilemmaMap, map_to_text, parse_dilemma_map

MAX_AGENTS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dilemma(Task):
    """Base of social dilemmas: map, agents, views and rewards.

    Raises: ConfigError for a value out of range, or a malformed map.
    """

    map: str  # characters as in map_parsing.MAP_LEGEND
    num_agents: int = 5
    view_radius: int = 7  # cells seen in each direction
    tile_size: int = 1  # pixels per side of a cell
    max_steps: int = 1000
    apple_reward: float = 1.0

    metric_names: ClassVar[tuple[str, ...]] = ("apples", "apple_steps")
    """Apples eaten; the sum of the steps, from 1, at which they were eaten."""

    def __post_init__(self) -> None:
        normalize_settings(self)
        check_finite("apple_reward", self.apple_reward)
        if not 1 <= self.num_agents <= MAX_AGENTS:
            raise ConfigError(f"num_agents={self.num_agents} must lie in [1, {MAX_AGENTS}]")
        if not 1 <= self.view_radius <= 14:
            raise ConfigError(f"view_radius={self.view_radius} must lie in [1, 14]")
        if self.max_steps < 1:
            raise ConfigError(f"max_steps={self.max_steps} must be at least 1")
        check_at_most("max_steps", self.max_steps, MAX_EPISODE_STEPS)
        check_at_most("characters of the map", len(self.map), MAX_WORLD_CELLS)
        num_spawn_cells = max(len(self.parsed_map.assigned_spawn_cells), len(self.parsed_map.spawn_cells))
        if num_spawn_cells < self.num_agents:
            raise ConfigError(
                f"the map has {num_spawn_cells} start cells (A, or 0-9) for {self.num_agents} agents; "
                "add more, or use fewer agents"
            )
        _ = self.view  # checks its own settings

    @property
    def parsed_map(self) -> DilemmaMap:
        return parse_dilemma_map(self.map)

    @property
    def view(self) -> ViewConfig:
        """The view of every agent: the agent is in the middle, and walls hide nothing."""
        return ViewConfig(
            size=2 * self.view_radius + 1,
            rows_behind=self.view_radius,
            tile_size=self.tile_size,
            see_through_walls=True,
        )

    @property
    def views(self) -> tuple[ViewConfig, ...]:
        return (self.view,) * self.num_agents

    def make_env(self) -> DilemmaEnv:
        return DilemmaEnv(self)  # type: ignore[arg-type]

    def to_text(self, state: DilemmaState) -> str:
        """A state as text: the characters of maps, agents as ^ > v <."""
        return map_to_text(
            state.tiles, self.parsed_map.orchard, state.position[state.agent_mask], state.heading[state.agent_mask]
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class BeamDilemma(Dilemma):
    """Base of social dilemmas in which agents can zap each other."""

    fire_cost: float = 1.0
    hit_cost: float = 50.0

    metric_names: ClassVar[tuple[str, ...]] = (*Dilemma.metric_names, "zaps", "hits", "times_zapped")
    """In addition: beams fired; agents hit; times hit by others."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("fire_cost", "hit_cost"):
            check_cost(name, getattr(self, name))

    @property
    def action_names(self) -> tuple[str, ...]:
        return (*COMMON_ACTIONS, "fire")

    @property
    def rules_for_players(self) -> tuple[str, ...]:
        return (
            f"Each apple that you eat pays {self.apple_reward:g}. Firing costs {self.fire_cost:g}; "
            f"an agent that is hit loses {self.hit_cost:g}.",
        )

    def world_params(self) -> DilemmaParams:
        return float_params(DilemmaParams, self)

    def apply_special_actions(
        self, state: DilemmaState, action: Int[Array, "A"], priority: UInt32[Array, "A"]
    ) -> tuple[Beams, dict[str, Float[Array, "A"]]]:
        """Fire beams, and cleaning beams if the task has that action."""
        agents = state.position, state.heading, state.agent_mask
        return fire_beams(state.tiles, *agents, action, priority, can_clean="clean" in self.action_names), {}


def check_orchard(parsed_map: DilemmaMap) -> None:
    """Raises ConfigError for a map on which no apples can grow."""
    if not parsed_map.orchard.any():
        raise ConfigError(
            "the map has no apple cells; mark them with o or ',' (in maps of the sequential social dilemma games, "
            "A is an apple and P a start cell; here o is an apple and A a start cell)"
        )
