"""Everything that decides a run, typed; saved with it, fully resolved."""

from __future__ import annotations

import dataclasses
from typing import Literal

from rookery.agents.networks import LiteNetwork, Network
from rookery.errors import ConfigError
from rookery.learning.ppo import PPO
from rookery.runs.schedules import Schedule, check_schedule
from rookery.tasks.goal_cycle import GoalCycle

Task = GoalCycle
"""Union of all task configurations."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recurrent:
    """A network with memory, fresh from the seed, or starting from a trained agent's weights."""

    kind: Literal["recurrent"] = "recurrent"
    network: Network = LiteNetwork()
    start: str | None = None  # zoo entry or .safetensors file: how a curriculum goes from world to world


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frozen:
    """A trained agent that does not change: a zoo entry's name, or the path of a .safetensors file."""

    kind: Literal["frozen"] = "frozen"
    source: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scripted:
    """The task's scripted expert: sees the map, finds the order by trying."""

    kind: Literal["scripted"] = "scripted"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Random:
    """Acts at random."""

    kind: Literal["random"] = "random"


PolicyConfig = Recurrent | Frozen | Scripted | Random


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupConfig:
    """Which slots a policy fills, and how it learns there, if it does."""

    name: str
    slots: tuple[int, ...]
    policy: PolicyConfig = Recurrent()
    learner: PPO | None = None
    learning_rate: Schedule = 1e-4
    entropy: Schedule = 1e-5  # weight of the bonus, per nat
    auxiliary_scale: Schedule = 1.0  # factor on the auxiliary losses' own weights

    def __post_init__(self):
        if not self.name or not self.name.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"group name {self.name!r} must be letters, digits, - and _")
        if not self.slots or len(set(self.slots)) != len(self.slots) or min(self.slots) < 0:
            raise ConfigError(f"group {self.name!r}: slots {self.slots} must be one or more different slot numbers")
        if self.learner is not None and self.policy.kind != "recurrent":
            raise ConfigError(f"group {self.name!r}: a {self.policy.kind} policy cannot learn; use kind 'recurrent'")
        if self.learner is None and self.policy.kind == "recurrent":
            raise ConfigError(
                f"group {self.name!r}: a fresh network that does not learn is no use; give it a learner, "
                "or a frozen, scripted or random policy"
            )
        for field in ("learning_rate", "entropy", "auxiliary_scale"):
            check_schedule(f"{self.name}.{field}", getattr(self, field))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """One condition of a run. What is None is as in the run; all arms share one compiled program."""

    name: str = "main"
    social_share: Schedule | None = None
    learning_rate: Schedule | None = None
    entropy: Schedule | None = None
    auxiliary_scale: Schedule | None = None
    task_schedules: dict[str, Schedule] | None = None

    def __post_init__(self):
        if not self.name or not self.name.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"arm name {self.name!r} must be letters, digits, - and _")
        for field in ("social_share", "learning_rate", "entropy", "auxiliary_scale"):
            if getattr(self, field) is not None:
                high = 1.0 if field == "social_share" else float("inf")
                check_schedule(f"arm {self.name}.{field}", getattr(self, field), high=high)
        for name, schedule in (self.task_schedules or {}).items():
            check_schedule(f"arm {self.name}.task_schedules.{name}", schedule, low=float("-inf"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One training run: every arm with every seed, side by side in one program."""

    name: str = "run"
    task: Task = GoalCycle()
    team: tuple[GroupConfig, ...] = ()
    arms: tuple[Arm, ...] = (Arm(),)
    seed: int = 0  # the first; the others count up from it
    seeds: int = 1  # of each arm
    steps: int = 1_000_000  # environment steps of each seed
    episodes: int = 128  # per update and seed
    social_share: Schedule = 1.0  # of episodes with the whole team; the others are solo
    task_schedules: dict[str, Schedule] = dataclasses.field(default_factory=dict)  # such as {"penalty": ...}
    checkpoint_every: int = 20  # updates
    keep_checkpoints: int = 3
    evaluation_episodes: int = 64  # at every checkpoint, per arm and seed: social, and again solo

    def __post_init__(self):
        for field in ("seeds", "steps", "episodes", "checkpoint_every", "keep_checkpoints"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field}={getattr(self, field)} must be at least 1")
        if not 0 <= self.seed <= 2**31 - self.seeds:
            raise ConfigError(f"seed={self.seed} must lie in [0, 2^31 - seeds]")
        if self.evaluation_episodes < 0:
            raise ConfigError(f"evaluation_episodes={self.evaluation_episodes} must be at least 0")
        check_schedule("social_share", self.social_share, high=1.0)
        for name, schedule in self.task_schedules.items():
            check_schedule(f"task_schedules.{name}", schedule, low=float("-inf"))
        if not self.team:
            raise ConfigError("the team is empty; give at least one group")
        if not any(group.learner for group in self.team):
            raise ConfigError("nobody in the team learns; give a group a learner")
        if not self.arms or len({arm.name for arm in self.arms}) != len(self.arms):
            raise ConfigError("arms must have different names, and there must be at least one")

    @property
    def steps_per_update(self) -> int:
        """Environment steps of one seed."""
        return self.episodes * self.task.max_steps

    @property
    def updates(self) -> int:
        """Updates of the whole run: as many as reach `steps`."""
        return -(-self.steps // self.steps_per_update)

    @property
    def members(self) -> tuple[tuple[str, int], ...]:
        """(arm name, seed) of everything trained side by side, in order."""
        return tuple((arm.name, self.seed + i) for arm in self.arms for i in range(self.seeds))
