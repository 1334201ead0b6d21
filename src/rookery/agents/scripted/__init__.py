"""Scripted experts: for each task the ones it has, by how much they see.

`map` sees the whole map, `own` what its own view has shown it. Neither is told anything a task hides from all
agents: hidden orders are found by trying.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rookery.agents.scripted.goal_cycle import GoalCyclePlanner, GoalCycleScout
from rookery.agents.scripted.goal_sequence import oracle as oracle
from rookery.agents.scripted.goal_sequence import sequencer
from rookery.agents.scripted.key_door import KeyBearer
from rookery.agents.scripted.memory import SIGHTS, Eyes, Sight
from rookery.agents.scripted.seeker import Seeker
from rookery.errors import ConfigError
from rookery.types import Policy

NAMES: dict[str, Sight] = {"scripted": "map", "scripted-own": "own"}
"""What the scripted experts are called on the command line, and what each sees."""

Factory = Callable[[Any], Policy]
"""From a task's configuration to the policy that plays it."""

EXPERTS: dict[tuple[str, str], Factory] = {}
"""By the task's kind and the expert's sight."""


def register(kind: str, sight: Sight, factory: Factory) -> None:
    """Give tasks of a kind a scripted expert; the policy made should be `privileged` and hashable.

    Raises: ConfigError for an unknown sight, and where the kind has one of that sight already.
    """
    if sight not in SIGHTS:
        raise ConfigError(f"sight={sight!r} is not known; allowed: {', '.join(map(repr, SIGHTS))}")
    if (kind, sight) in EXPERTS:
        raise ConfigError(f"tasks of kind {kind!r} have a scripted expert of sight {sight!r}; take another kind")
    EXPERTS[kind, sight] = factory


def make(task: Any, sight: Sight = "map") -> Policy:
    """The scripted expert of a task. Raises ConfigError naming the tasks, or the sights, that have one."""
    kind = getattr(task, "kind", type(task).__name__)
    if (kind, sight) in EXPERTS:
        return EXPERTS[kind, sight](task)
    others = [other for known, other in EXPERTS if known == kind]
    if others:
        raise ConfigError(
            f"the task {kind!r} has no scripted expert of sight {sight!r}, only of {', '.join(map(repr, others))}"
        )
    kinds = ", ".join(dict.fromkeys(known for known, _ in EXPERTS))
    raise ConfigError(f"the task {kind!r} has no scripted expert; these have: {kinds}; use a trained agent or 'random'")


def _sees_goals(task: Any) -> Policy:
    """The planner is the quicker to compute, but walks as if nobody could stand in its way."""
    if task.world.collide:
        return GoalCycleScout(Eyes.of(task.world, "map"), task.goals)
    return GoalCyclePlanner(task.goals, task.world.height, task.world.width)


register("goal-cycle", "map", _sees_goals)
register("goal-cycle", "own", lambda task: GoalCycleScout(Eyes.of(task.world, "own"), task.goals))
for _sight in SIGHTS:
    for _kind in ("single-goal", "four-rooms", "maze", "sixteen-places"):
        register(_kind, _sight, lambda task, sight=_sight: Seeker(Eyes.of(task.world, sight)))
    register("key-door", _sight, lambda task, sight=_sight: KeyBearer(Eyes.of(task.world, sight)))
    register("goal-sequence", _sight, lambda task, sight=_sight: sequencer(task, Eyes.of(task.world, sight)))
