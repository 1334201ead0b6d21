"""Everything that decides a run, typed; saved with it, fully resolved."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from rookery.agents.communication import CommunicationConfig
from rookery.agents.networks import MLPNetwork, NetworkConfig
from rookery.errors import ConfigError
from rookery.learning.learners import LearnerConfig
from rookery.storage.serialization import OneOf
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.registry import task_types
from rookery.training.schedules import Schedule, check_schedule

TaskConfig = Annotated[Any, OneOf(task_types)]
"""Any registered task's configuration."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecurrentPolicyConfig:
    """A network with memory, fresh from the seed, or starting from a trained agent's weights."""

    kind: Literal["recurrent"] = "recurrent"
    network: NetworkConfig = MLPNetwork()
    communication: CommunicationConfig | None = None  # what it is told beside its view
    init_from: str | None = None
    """Zoo entry or .safetensors file, '{seed}' in it standing for each member's own: how a curriculum goes on."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrozenPolicyConfig:
    """A trained agent that does not change: a zoo entry's name, or the path of a .safetensors file."""

    kind: Literal["frozen"] = "frozen"
    checkpoint: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScriptedPolicyConfig:
    """The task's scripted expert. What the task hides from all agents it finds by trying."""

    kind: Literal["scripted"] = "scripted"
    observability: Literal["full", "partial"] = "full"  # sees the whole map, or what its own view has shown it


@dataclasses.dataclass(frozen=True, kw_only=True)
class OraclePolicyConfig:
    """An expert that is told the order of a goal sequence, and errs at times."""

    kind: Literal["oracle"] = "oracle"
    error_prob: float = 0.2  # probability to take another goal for the next one, after each goal

    def __post_init__(self):
        if not 0 <= self.error_prob <= 1:
            raise ConfigError(f"error_prob={self.error_prob} must lie in [0, 1]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomPolicyConfig:
    """Acts at random."""

    kind: Literal["random"] = "random"


PolicyConfig = (
    RecurrentPolicyConfig | FrozenPolicyConfig | ScriptedPolicyConfig | OraclePolicyConfig | RandomPolicyConfig
)

RESERVED_GROUP_NAMES = ("agents", "env_params", "social_episode_prob")
RESERVED_VARIANT_NAMES = ("evaluation", "time", "update", "steps")

COMMON_HPARAMS = ("learning_rate", "ent_coef", "aux_loss_scale")
"""Rates with a field of their own in `GroupConfig` and `Arm`; a learner that has no such rate passes it over."""


TEACHER_HPARAMS = ("distill_coef", "teacher_action_prob")
"""Rates that mean something only where there is a teacher."""

FRACTION_HPARAMS = ("teacher_action_prob", "epsilon", "importance_exponent")
"""Rates between 0 and 1: of steps, or how much of a bias is made good."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupConfig:
    """Which slots a policy fills, and how it learns there, if it does."""

    name: str
    slots: tuple[int, ...]
    policy: PolicyConfig = RecurrentPolicyConfig()
    learner: LearnerConfig | None = None
    learning_rate: Schedule = 1e-4
    ent_coef: Schedule = 1e-5  # weight of the bonus, per nat
    aux_loss_scale: Schedule = 1.0  # factor on the auxiliary losses' own weights
    hparams: dict[str, Schedule] = dataclasses.field(default_factory=dict)  # further ones of its learner, by name

    def __post_init__(self):
        if not self.name or not self.name.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"group name {self.name!r} must be letters, digits, - and _")
        if self.name in RESERVED_GROUP_NAMES:
            raise ConfigError(f"group name {self.name!r} is taken by a metric of every run; choose another")
        if not self.slots or len(set(self.slots)) != len(self.slots) or min(self.slots) < 0:
            raise ConfigError(f"group {self.name!r}: slots {self.slots} must be one or more different slot numbers")
        if self.learner is not None and self.policy.kind != "recurrent":
            raise ConfigError(f"group {self.name!r}: a {self.policy.kind} policy cannot learn; use kind 'recurrent'")
        if self.learner is None and self.policy.kind == "recurrent":
            raise ConfigError(
                f"group {self.name!r}: a fresh network that does not learn is no use; give it a learner, "
                "or a frozen, scripted or random policy"
            )
        communication = self.policy.communication if isinstance(self.policy, RecurrentPolicyConfig) else None
        if communication is not None and not hasattr(self.learner, "intrinsic"):
            raise ConfigError(
                f"group {self.name!r}: its learner does not support communication; use kind 'ppo' or 'a2c', or leave communication out"
            )
        for field in COMMON_HPARAMS:
            check_schedule(f"{self.name}.{field}", getattr(self, field))
        for name, schedule in self.hparams.items():
            _check_hparam(f"{self.name}.hparams.{name}", name, "its learner", (self,))
            check_schedule(f"{self.name}.hparams.{name}", schedule, high=_upper_bound(name))

    @property
    def extra_hparams(self) -> frozenset[str]:
        """Names of its learner's rates that `rates` may set; none if it does not learn."""
        names = frozenset(self.learner.hparams if self.learner else ()) - set(COMMON_HPARAMS)
        return names - set(TEACHER_HPARAMS) if getattr(self.learner, "teacher", None) is None else names

    def hparam_schedule(self, name: str) -> Schedule:
        """The schedule of one of its learner's rates."""
        assert self.learner is not None, "a group that does not learn has no rates"
        default: Schedule = self.learner.hparams[name]
        return getattr(self, name) if name in COMMON_HPARAMS else self.hparams.get(name, default)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One condition of a run. What is None is as in the run; all arms share one compiled program."""

    name: str = "main"
    social_episode_prob: Schedule | None = None
    learning_rate: Schedule | None = None
    ent_coef: Schedule | None = None
    aux_loss_scale: Schedule | None = None
    hparams: dict[str, Schedule] | None = None  # as `GroupConfig.rates`, of every group whose learner has them
    env_schedules: dict[str, Schedule] | None = None

    def __post_init__(self):
        if not self.name or not self.name.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"variant name {self.name!r} must be letters, digits, - and _")
        if self.name in RESERVED_VARIANT_NAMES:
            raise ConfigError(
                f"variant name {self.name!r} is taken in metrics; others than {', '.join(RESERVED_VARIANT_NAMES)} are free"
            )
        for field in ("social_episode_prob", *COMMON_HPARAMS):
            if getattr(self, field) is not None:
                high = 1.0 if field == "social_episode_prob" else float("inf")
                check_schedule(f"variant {self.name}.{field}", getattr(self, field), high=high)
        for name, schedule in (self.hparams or {}).items():
            if name in COMMON_HPARAMS:
                raise ConfigError(f"variant {self.name}.hparams.{name}: set the variant's own field {name}")
            check_schedule(f"variant {self.name}.hparams.{name}", schedule, high=_upper_bound(name))
        for name, schedule in (self.env_schedules or {}).items():
            check_schedule(f"variant {self.name}.env_schedules.{name}", schedule, low=float("-inf"))

    def hparam_schedule(self, name: str) -> Schedule | None:
        """The schedule of a learner's rate in this arm; None: as in its group."""
        return getattr(self, name) if name in COMMON_HPARAMS else (self.hparams or {}).get(name)


def _upper_bound(name: str) -> float:
    """The largest value of a rate: some are shares."""
    return 1.0 if name in FRACTION_HPARAMS else float("inf")


def _check_hparam(place: str, name: str, whose: str, groups: tuple[GroupConfig, ...]) -> None:
    """Raises ConfigError if none of the groups has a rate of this name beside the shared ones."""
    allowed = frozenset().union(*(group.extra_hparams for group in groups))
    if name in allowed:
        return
    if name in TEACHER_HPARAMS and any(hasattr(group.learner, "teacher") for group in groups):
        raise ConfigError(f"{place}: there is no teacher; set the learner's teacher to 'scripted', 'scripted-partial' or a trained agent")
    raise ConfigError(f"{place} is not a rate of {whose}; allowed: {', '.join(sorted(allowed)) or 'none'}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One training run: every arm with every seed, side by side in one program."""

    name: str = "run"
    task: TaskConfig = GoalCycle()
    team: tuple[GroupConfig, ...] = ()
    variants: tuple[Variant, ...] = (Variant(),)
    seed: int = 0  # the first; the others count up from it
    num_seeds: int = 1  # of each arm
    total_timesteps: int = 1_000_000  # environment steps of each seed
    num_envs: int = 128  # per update and seed
    social_episode_prob: Schedule = 1.0  # of episodes with the whole team; the others are solo
    env_schedules: dict[str, Schedule] = dataclasses.field(default_factory=dict)  # such as {"penalty": ...}
    checkpoint_interval: int = 20  # updates
    max_checkpoints: int = 3
    eval_episodes: int = 64  # at every checkpoint, per arm and seed: social, and again solo

    def __post_init__(self):
        for field in ("num_seeds", "total_timesteps", "num_envs", "checkpoint_interval", "max_checkpoints"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field}={getattr(self, field)} must be at least 1")
        if not 0 <= self.seed <= 2**31 - self.num_seeds:
            raise ConfigError(f"seed={self.seed} must lie in [0, 2^31 - num_seeds]")
        if self.eval_episodes < 0:
            raise ConfigError(f"eval_episodes={self.eval_episodes} must be at least 0")
        check_schedule("social_episode_prob", self.social_episode_prob, high=1.0)
        for name, schedule in self.env_schedules.items():
            check_schedule(f"env_schedules.{name}", schedule, low=float("-inf"))
        if not self.team:
            raise ConfigError("the team is empty; give at least one group")
        if not any(group.learner for group in self.team):
            raise ConfigError("nobody in the team learns; give a group a learner")
        learners = [group.learner for group in self.team if group.learner is not None]
        for variant in self.variants:
            for name in variant.hparams or {}:
                _check_hparam(f"variant {variant.name}.hparams.{name}", name, "any learner", self.team)
        for learner in learners:
            learner.validate(self.num_envs, self.task.max_steps)
        names = slot_names(self)
        if len(set(names)) != len(names):
            raise ConfigError(f"the agents would be called {', '.join(names)}, which must differ: rename a group")
        if not self.variants or len({variant.name for variant in self.variants}) != len(self.variants):
            raise ConfigError("variants must have different names, and there must be at least one")

    @property
    def steps_per_update(self) -> int:
        """Environment steps of one seed."""
        return self.num_envs * self.task.max_steps

    @property
    def total_updates(self) -> int:
        """Updates of the whole run: as many as reach `steps`."""
        return -(-self.total_timesteps // self.steps_per_update)

    @property
    def replicas(self) -> tuple[tuple[str, int], ...]:
        """(arm name, seed) of everything trained side by side, in order."""
        return tuple((variant.name, self.seed + i) for variant in self.variants for i in range(self.num_seeds))


def slot_names(config: RunConfig) -> list[str]:
    """A name for every slot: the group's, numbered where it fills several."""
    names = {}
    for group in config.team:
        for number, slot in enumerate(group.slots):
            names[slot] = group.name if len(group.slots) == 1 else f"{group.name}-{number + 1}"
    return [names[slot] for slot in sorted(names)]
