"""The settings that all these worlds share."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import jax.numpy as jnp

from rookery.errors import ConfigError
from rookery.tasks.dilemma.beams import Beams, cast
from rookery.tasks.dilemma.env import DilemmaEnv
from rookery.tasks.dilemma.rooms import Room, draw_room, read_room
from rookery.tasks.dilemma.state import DilemmaState, DilemmaWorldParams
from rookery.tasks.dilemma.tiles import COMMON_ACTIONS
from rookery.world.spec import View

MOST_AGENTS = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dilemma:
    """Base of the tasks: a map, who is on it, what each sees, and what is paid."""

    map: str  # marks in rooms.LEGEND
    agents: int = 5
    view_radius: int = 7  # cells seen in each direction
    tile_pixels: int = 1  # a cell's side in the view
    max_steps: int = 1000
    apple_reward: float = 1.0

    counts: ClassVar[tuple[str, ...]] = ("apples", "apple_steps")
    """Apples eaten; the sum of the steps, from 1, at which they were."""

    def __post_init__(self):
        if not 1 <= self.agents <= MOST_AGENTS:
            raise ConfigError(f"agents={self.agents} must lie in [1, {MOST_AGENTS}]")
        if not 1 <= self.view_radius <= 14:
            raise ConfigError(f"view_radius={self.view_radius} must lie in [1, 14]")
        if self.max_steps < 1:
            raise ConfigError(f"max_steps={self.max_steps} must be at least 1")
        room = self.room
        own = len(room.own_starts)
        if max(own, len(room.starts)) < self.agents:
            raise ConfigError(
                f"the map has {max(own, len(room.starts))} start cells (A, or 0-9) for {self.agents} agents; "
                "add more, or take fewer agents"
            )
        _ = self.view  # checks its own part

    @property
    def room(self) -> Room:
        return read_room(self.map)

    @property
    def view(self) -> View:
        """Of every agent: it stands in the middle, and walls hide nothing."""
        return View(
            size=2 * self.view_radius + 1,
            offset=self.view_radius,
            tile_pixels=self.tile_pixels,
            see_through_walls=True,
        )

    @property
    def views(self) -> tuple[View, ...]:
        return (self.view,) * self.agents

    def environment(self) -> DilemmaEnv:
        """The task joined to its world."""
        return DilemmaEnv(self)  # type: ignore[arg-type]

    def picture(self, state: DilemmaState) -> str:
        """A state as text: the marks of maps, agents as ^ > v <."""
        return draw_room(state.tiles, self.room.orchard, state.position[state.active], state.heading[state.active])


@dataclasses.dataclass(frozen=True, kw_only=True)
class BeamDilemma(Dilemma):
    """Base of those in which agents fire at each other."""

    fire_cost: float = 1.0
    hit_cost: float = 50.0

    counts: ClassVar[tuple[str, ...]] = (*Dilemma.counts, "fires", "hits", "struck")
    """As every dilemma's; and beams fired; agents hit; times hit by others."""

    def __post_init__(self):
        super().__post_init__()
        for name in ("fire_cost", "hit_cost"):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"{name}={getattr(self, name)} must be at least 0; it is taken, so write it without a sign"
                )

    @property
    def action_names(self) -> tuple[str, ...]:
        return (*COMMON_ACTIONS, "fire")

    def world_params(self) -> DilemmaWorldParams:
        return DilemmaWorldParams(
            apple_reward=jnp.float32(self.apple_reward),
            fire_cost=jnp.float32(self.fire_cost),
            hit_cost=jnp.float32(self.hit_cost),
        )

    def special(self, state: DilemmaState, action, lot) -> tuple[Beams, dict]:
        """Beams of fire, and of cleaning where there is such an action."""
        place = state.position, state.heading, state.active
        return cast(state.tiles, *place, action, lot, cleaning="clean" in self.action_names), {}
