"""What a protocol consists of: worlds, conditions in them, and the numbers that come of them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias

from rookery.agents.scripted.cycle_partner import PartnerBehavior
from rookery.gridworld.spec import ViewConfig
from rookery.intervals import CONFIDENCE, Interval
from rookery.scorecard.condition_episodes import NUM_EPISODE_RESAMPLES, ConditionEpisodes

ObservationType = Literal["pixels", "symbolic"]
OBSERVATION_SHAPES: dict[ObservationType, tuple[int, ...]] = {
    kind: ViewConfig(observation_type=kind).shape for kind in ("pixels", "symbolic")
}
"""What a scored agent may observe: 7×7 cells as an image u8[21, 21, 3] or as channels u8[7, 7, 8]."""
NUM_ACTIONS = 7
"""Of every world; an agent may use fewer. Only the first three move."""

Presence = Literal["always", "first half", "never"]
PartnerColors = Literal["true", "swapped", "frozen", "shuffled", "own order"]

NumbersByProbe: TypeAlias = dict[str, dict[str, Interval]]
"""Probe to number to value and interval; NaN where it is undefined."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Partner:
    """What one partner does in Goal Cycle. In the other worlds all partners are the task's scripted experts."""

    behavior: PartnerBehavior = "discovers"
    noise: float = 0.0  # probability of a random action, per step


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreWorld:
    """One world, with the scored agent in slot 0 and two partners."""

    name: str
    task: Any
    """A task on the gridworld; the scored agent's view is set to its own type."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreCondition:
    """One condition, played in every episode of its world."""

    name: str
    world: str
    partners: tuple[Partner, ...] = (Partner(), Partner())
    """One or two; with one, the other slot is empty."""
    presence: Presence = "always"
    colors: PartnerColors = "true"
    """The prestige that the partners show: their own; each other's; that of the start; their own of the same episode
    in a random order of steps; or, of partners in the reversed order, what that order would have paid them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """One question to the agent, and the numbers that answer it."""

    question: str
    numbers: Mapping[str, str]
    """Name to definition."""
    version: int = 1
    """Of the formulas behind the numbers: another one whenever one of them gives other values."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Protocol:
    """A version of the scorecard. It never changes: other worlds, seeds or formulas make another name."""

    name: str
    description: str
    num_episodes: int
    seed: int
    """Of the worlds: the same ones in all conditions."""
    follow_steps: int
    """Within how many steps an entry repeats another agent's."""
    worlds: tuple[ScoreWorld, ...]
    conditions: tuple[ScoreCondition, ...]
    probes: Mapping[str, Probe]
    numbers: Callable[[dict[str, ConditionEpisodes], int], NumbersByProbe]
    """(episodes by condition, follow_steps) to the numbers of all probes."""
    film_condition: str
    """The condition whose first episode is shown."""
    headline: tuple[str, str]
    """Probe and number that stand for the whole card."""

    def world(self, name: str) -> ScoreWorld:
        """A world by its name."""
        return next(world for world in self.worlds if world.name == name)

    @property
    def digest(self) -> str:
        """SHA-256 of worlds, partners, episodes, seed, definitions, versions of the formulas, and headline.

        Of a world's task it reads every setting, defaults included: a changed default changes scores. A setting that a
        task gets later changes the digest too; if its default changes no score, the digest in existing cards is
        replaced.
        """
        worlds = [(world.name, _all_settings(world.task)) for world in self.worlds]
        probes = [(name, probe.version, tuple(probe.numbers.items())) for name, probe in self.probes.items()]
        statistics = (self.numbers.__qualname__, NUM_EPISODE_RESAMPLES, CONFIDENCE)
        data = (self.name, self.num_episodes, self.seed, self.follow_steps, worlds, self.conditions)
        data = (*data, OBSERVATION_SHAPES, NUM_ACTIONS, probes, self.headline, statistics)
        return hashlib.sha256(repr(data).encode()).hexdigest()


def _all_settings(task: Any) -> list[tuple[str, Any]]:
    """All settings of a task, sorted by name."""
    return [(name, getattr(task, name)) for name in sorted(field.name for field in dataclasses.fields(task))]
