"""Scripted experts: for each task the ones it has, by how much they see.

`map` sees the whole map, `own` what its own view has shown it. Neither is told anything a task hides from all
agents: hidden orders are found by trying.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rookery.agents.scripted.goal_cycle_expert import GoalCyclePlanner, GoalCycleScout
from rookery.agents.scripted.goal_seeker import GoalSeeker
from rookery.agents.scripted.goal_sequence_expert import make_goal_sequence_expert
from rookery.agents.scripted.goal_sequence_expert import make_oracle as make_oracle
from rookery.agents.scripted.key_door_expert import KeyDoorExpert
from rookery.agents.scripted.perception import OBSERVABILITIES, Observability, Perception
from rookery.errors import ConfigError
from rookery.types import Policy

OBSERVABILITY_BY_NAME: dict[str, Observability] = {"scripted": "full", "scripted-partial": "partial"}
"""What the scripted experts are called on the command line, and what each sees."""

ExpertFactory = Callable[[Any], Policy]
"""From a task's configuration to the policy that plays it."""

EXPERT_FACTORIES: dict[tuple[str, str], ExpertFactory] = {}
"""By the task's kind and the expert's sight."""


def register_expert(kind: str, observability: Observability, factory: ExpertFactory) -> None:
    """Give tasks of a kind a scripted expert; the policy made should be `privileged` and hashable.

    Raises: ConfigError for an unknown sight, and where the kind has one of that sight already.
    """
    if observability not in OBSERVABILITIES:
        raise ConfigError(f"observability={observability!r} is not known; allowed: {', '.join(map(repr, OBSERVABILITIES))}")
    if (kind, observability) in EXPERT_FACTORIES:
        raise ConfigError(
            f"tasks of kind {kind!r} have a scripted expert of sight {observability!r}; take another kind"
        )
    EXPERT_FACTORIES[kind, observability] = factory


def make_expert(task: Any, observability: Observability = "full") -> Policy:
    """The scripted expert of a task. Raises ConfigError naming the tasks, or the sights, that have one."""
    kind = getattr(task, "kind", type(task).__name__)
    if (kind, observability) in EXPERT_FACTORIES:
        return EXPERT_FACTORIES[kind, observability](task)
    others = [other for known, other in EXPERT_FACTORIES if known == kind]
    if others:
        raise ConfigError(
            f"the task {kind!r} has no scripted expert of sight {observability!r}, only of {', '.join(map(repr, others))}"
        )
    kinds = ", ".join(dict.fromkeys(known for known, _ in EXPERT_FACTORIES))
    raise ConfigError(f"the task {kind!r} has no scripted expert; these have: {kinds}; use a trained agent or 'random'")


def _full_goal_cycle_expert(task: Any) -> Policy:
    """The planner is the quicker to compute, but walks as if nobody could stand in its way."""
    if task.grid_spec.collide:
        return GoalCycleScout(Perception.from_spec(task.grid_spec, "full"), task.num_goals)
    return GoalCyclePlanner(task.num_goals, task.grid_spec.height, task.grid_spec.width)


register_expert("goal-cycle", "full", _full_goal_cycle_expert)
register_expert(
    "goal-cycle", "partial", lambda task: GoalCycleScout(Perception.from_spec(task.grid_spec, "partial"), task.num_goals)
)
for _sight in OBSERVABILITIES:
    for _kind in ("single-goal", "four-rooms", "maze", "sixteen-places"):
        register_expert(
            _kind, _sight, lambda task, sight=_sight: GoalSeeker(Perception.from_spec(task.grid_spec, sight))
        )
    register_expert(
        "key-door", _sight, lambda task, sight=_sight: KeyDoorExpert(Perception.from_spec(task.grid_spec, sight))
    )
    register_expert(
        "goal-sequence",
        _sight,
        lambda task, sight=_sight: make_goal_sequence_expert(task, Perception.from_spec(task.grid_spec, sight)),
    )
