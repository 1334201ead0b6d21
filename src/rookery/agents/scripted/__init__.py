"""Scripted experts: which tasks have one, by how much of the map it sees.

With "full" observability an expert sees the whole map, with "partial" only what its own view has shown it so far.
Neither knows anything that a task hides from all agents: hidden orders are found by trying.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rookery.agents.scripted.goal_cycle_expert import GoalCyclePlanner, GoalCycleScout
from rookery.agents.scripted.goal_seeker import GoalSeeker
from rookery.agents.scripted.goal_sequence_expert import OraclePolicy, make_goal_sequence_expert
from rookery.agents.scripted.key_door_expert import KeyDoorExpert
from rookery.agents.scripted.memory_sequence_expert import DigitOracle, MemorySequenceExpert
from rookery.agents.scripted.perception import OBSERVABILITIES, Observability, Perception
from rookery.errors import ConfigError, suggest
from rookery.interfaces import Policy
from rookery.limits import check_callable, check_identifier, is_redefined

OBSERVABILITY_BY_NAME: dict[str, Observability] = {"scripted": "full", "scripted-partial": "partial"}
"""What scripted experts are called on the command line and as teachers, and how much each sees."""

ExpertFactory = Callable[[Any], Policy]
"""From a task's configuration to the policy that plays it."""

EXPERT_FACTORIES: dict[tuple[str, str], ExpertFactory] = {}
"""By the task's kind and the expert's observability."""


def register_expert(kind: str, observability: Observability, factory: ExpertFactory) -> None:
    """Give tasks of a kind a scripted expert; the policy that `factory` makes must be `privileged` and hashable.

    Raises: ConfigError for a kind that is not a name, an unknown observability, a factory that cannot be called, and
      where the kind has an expert with this one already, of another function.
    """
    check_identifier("kind", kind)
    check_callable("factory", factory, "a function of the task that returns a policy")
    if observability not in OBSERVABILITIES:
        raise ConfigError(f"observability={observability!r} is not known; {suggest(observability, OBSERVABILITIES)}")
    if (kind, observability) in EXPERT_FACTORIES and not is_redefined(EXPERT_FACTORIES[kind, observability], factory):
        raise ConfigError(
            f"tasks of kind {kind!r} already have a scripted expert with {observability!r} observability; "
            "choose another kind"
        )
    EXPERT_FACTORIES[kind, observability] = factory


def make_expert(task: Any, observability: Observability = "full") -> Policy:
    """The scripted expert of a task. Raises ConfigError, naming the tasks or the observabilities that have one."""
    if (task.kind, observability) in EXPERT_FACTORIES:
        return EXPERT_FACTORIES[task.kind, observability](task)
    available = [option for kind, option in EXPERT_FACTORIES if kind == task.kind]
    if available:
        raise ConfigError(
            f"the task {task.kind!r} has no scripted expert with {observability!r} observability, only with "
            f"{', '.join(map(repr, available))}"
        )
    kinds = ", ".join(dict.fromkeys(kind for kind, _ in EXPERT_FACTORIES))
    raise ConfigError(
        f"the task {task.kind!r} has no scripted expert; these have: {kinds}; use a trained agent or 'random'"
    )


ORACLE_FACTORIES: dict[str, Callable[[Any, float], Policy]] = {
    "goal-sequence": lambda task, noise: OraclePolicy(task.num_goals, noise),
    "memory-sequence": DigitOracle,
}
"""From a task's kind to its oracle, which gets the task's configuration and its noise."""


def make_oracle(task: Any, noise: float = 0.2) -> Policy:
    """The oracle of a configured task. Raises ConfigError where the task has no sequence to know."""
    if task.kind not in ORACLE_FACTORIES:
        raise ConfigError(
            f"the task {task.kind!r} has no order that an oracle could know; these have: {', '.join(ORACLE_FACTORIES)}"
        )
    return ORACLE_FACTORIES[task.kind](task, noise)


_MIN_PRESTIGE_DECAY = 0.01
"""With less, prestige no longer rises, in 32 bits, with the second or third reward in a row."""


def _check_rewards_show(task: Any) -> None:
    """Raises ConfigError where prestige, from which experts read what was rewarded, does not rise with every reward."""
    if not task.goal_reward > 0:
        raise ConfigError(
            f"goal_reward={task.goal_reward}: the scripted expert of {task.kind!r} goes by what is rewarded; "
            "set goal_reward above 0, or use a trained agent or 'random'"
        )
    if task.prestige_decay < _MIN_PRESTIGE_DECAY:
        raise ConfigError(
            f"prestige_decay={task.prestige_decay}: the scripted expert of {task.kind!r} reads from its prestige what "
            f"was rewarded; set prestige_decay to at least {_MIN_PRESTIGE_DECAY}, or use a trained agent or 'random'"
        )


def _make_full_goal_cycle_expert(task: Any) -> Policy:
    """The planner is faster to compute, but plans as if no agent could stand in its way."""
    _check_rewards_show(task)
    if task.grid_spec.collide:
        return _make_scout(task, "full")
    return GoalCyclePlanner(task.num_goals, task.grid_spec.height, task.grid_spec.width)


def _make_scout(task: Any, observability: Observability) -> Policy:
    """Raises ConfigError where the number of goals changes between episodes: a scout has to know it."""
    _check_rewards_show(task)
    if "goals" in task.episode_ranges:
        raise ConfigError(
            f"min_goals={task.min_goals}: a scripted expert that does not see the whole map, or that can be blocked, "
            "has to know the number of goals; leave min_goals out, or use 'scripted' without collide"
        )
    return GoalCycleScout(Perception.from_spec(task.grid_spec, observability), task.num_goals)


def _make_goal_sequence_expert(task: Any, perception: Perception) -> Policy:
    _check_rewards_show(task)
    return make_goal_sequence_expert(task, perception)


def _register_experts() -> None:
    """The experts that come with the package."""
    register_expert("goal-cycle", "full", _make_full_goal_cycle_expert)
    register_expert("goal-cycle", "partial", lambda task: _make_scout(task, "partial"))
    for observability in OBSERVABILITIES:

        def perception(task: Any, observability: Observability = observability) -> Perception:
            return Perception.from_spec(task.grid_spec, observability)

        for kind in ("single-goal", "four-rooms", "maze", "sixteen-places"):
            register_expert(kind, observability, lambda task, see=perception: GoalSeeker(see(task)))
        register_expert("memory-sequence", observability, MemorySequenceExpert)  # it sees no more with either
        register_expert("key-door", observability, lambda task, see=perception: KeyDoorExpert(see(task)))
        register_expert(
            "goal-sequence", observability, lambda task, see=perception: _make_goal_sequence_expert(task, see(task))
        )


_register_experts()
