"""The settings that all these worlds share."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import jax.numpy as jnp

from rookery.errors import ConfigError
from rookery.gridworld.spec import ViewConfig
from rookery.interfaces import Task
from rookery.tasks.social_dilemmas.beams import Beams, fire_beams
from rookery.tasks.social_dilemmas.env import DilemmaEnv
from rookery.tasks.social_dilemmas.map_parsing import DilemmaMap, map_to_text, parse_dilemma_map
from rookery.tasks.social_dilemmas.state import DilemmaParams, DilemmaState
from rookery.tasks.social_dilemmas.tiles import COMMON_ACTIONS

MAX_AGENTS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dilemma(Task):
    """Base of the tasks: a map, who is on it, what each sees, and what is paid."""

    map: str  # marks in rooms.LEGEND
    num_agents: int = 5
    view_radius: int = 7  # cells seen in each direction
    tile_size: int = 1  # a cell's side in the view
    max_steps: int = 1000
    apple_reward: float = 1.0

    metric_names: ClassVar[tuple[str, ...]] = ("apples", "apple_steps")
    """Apples eaten; the sum of the steps, from 1, at which they were."""

    def __post_init__(self):
        if not 1 <= self.num_agents <= MAX_AGENTS:
            raise ConfigError(f"num_agents={self.num_agents} must lie in [1, {MAX_AGENTS}]")
        if not 1 <= self.view_radius <= 14:
            raise ConfigError(f"view_radius={self.view_radius} must lie in [1, 14]")
        if self.max_steps < 1:
            raise ConfigError(f"max_steps={self.max_steps} must be at least 1")
        room = self.parsed_map
        own = len(room.assigned_spawn_cells)
        if max(own, len(room.spawn_cells)) < self.num_agents:
            raise ConfigError(
                f"the map has {max(own, len(room.spawn_cells))} start cells (A, or 0-9) for {self.num_agents} agents; "
                "add more, or take fewer agents"
            )
        _ = self.view  # checks its own part

    @property
    def parsed_map(self) -> DilemmaMap:
        return parse_dilemma_map(self.map)

    @property
    def view(self) -> ViewConfig:
        """Of every agent: it stands in the middle, and walls hide nothing."""
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
        """The task joined to its world."""
        return DilemmaEnv(self)  # type: ignore[arg-type]

    def to_text(self, state: DilemmaState) -> str:
        """A state as text: the marks of maps, agents as ^ > v <."""
        return map_to_text(
            state.tiles, self.parsed_map.orchard, state.position[state.agent_mask], state.heading[state.agent_mask]
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class BeamDilemma(Dilemma):
    """Base of those in which agents fire at each other."""

    fire_cost: float = 1.0
    hit_cost: float = 50.0

    metric_names: ClassVar[tuple[str, ...]] = (*Dilemma.metric_names, "zaps", "hits", "times_zapped")
    """As every dilemma's; and beams fired; agents hit; times hit by others."""

    def __post_init__(self):
        super().__post_init__()
        for name in ("fire_cost", "hit_cost"):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"{name}={getattr(self, name)} must be non-negative; it is subtracted from the reward"
                )

    @property
    def action_names(self) -> tuple[str, ...]:
        return (*COMMON_ACTIONS, "fire")

    def world_params(self) -> DilemmaParams:
        return DilemmaParams(
            apple_reward=jnp.float32(self.apple_reward),
            fire_cost=jnp.float32(self.fire_cost),
            hit_cost=jnp.float32(self.hit_cost),
        )

    def apply_special_actions(self, state: DilemmaState, action, priority) -> tuple[Beams, dict]:
        """Beams of fire, and of cleaning where there is such an action."""
        place = state.position, state.heading, state.agent_mask
        return fire_beams(state.tiles, *place, action, priority, can_clean="clean" in self.action_names), {}
