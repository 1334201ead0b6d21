"""Everything that determines a run, typed; saved with the run, fully resolved."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, TypeAlias

from rookery.errors import ConfigError
from rookery.interfaces import Learner, Task
from rookery.keys import FIRST_GROUP_PARAMS
from rookery.learning.configs import LearnerConfig
from rookery.limits import (
    MAX_ENVS,
    MAX_SEEDS_PER_VARIANT,
    NumericFields,
    check_32_bits,
    check_at_most,
    check_identifier,
    check_names,
    check_sizes,
    check_type,
    check_types,
)
from rookery.storage.serialization import OneOf
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.registry import task_types
from rookery.training.policy_config import (
    BasePolicyConfig,
    FrozenPolicyConfig,
    OraclePolicyConfig,
    PolicyConfig,
    RandomPolicyConfig,
    RecurrentPolicyConfig,
    ScriptedPolicyConfig,
)
from rookery.training.schedules import Schedule, as_tuples, check_schedule, set_tuples
from rookery.training.widening import Widening, check_widening

__all__ = [
    "FrozenPolicyConfig",
    "GroupConfig",
    "OraclePolicyConfig",
    "PolicyConfig",
    "RandomPolicyConfig",
    "RecurrentPolicyConfig",
    "RunConfig",
    "ScriptedPolicyConfig",
    "TaskConfig",
    "Variant",
    "slot_names",
]

TaskConfig: TypeAlias = Annotated[Any, OneOf(task_types)]
"""The configuration of any registered task."""

RESERVED_GROUP_NAMES = ("agents", "env_params", "social_episode_prob", "widening")
"""Names next to the groups' in a run's metrics."""
RESERVED_VARIANT_NAMES = ("evaluation", "time", "update", "steps")
"""Names next to the variants' in a run's metrics."""

MAX_LABEL = 200  # characters
MAX_AGENT_NAME = 180
"""Bytes of the names of a variant and a group together. A file's name has at most 255, and that of an agent needs 75
more while it is written."""
MAX_TIMESTEPS = 10**15

COMMON_HPARAMS = ("learning_rate", "ent_coef", "aux_loss_scale")
"""Scheduled hyperparameters with a field in `GroupConfig` and `Variant`; a learner without one ignores the field."""

TEACHER_HPARAMS = ("distill_coef", "teacher_action_prob")
"""Scheduled hyperparameters that exist only for a learner with a teacher."""

PROBABILITY_HPARAMS = ("teacher_action_prob", "epsilon", "importance_exponent")
"""Scheduled hyperparameters that must lie in [0, 1]."""


def check_label(name: str) -> None:
    """Raises ConfigError for a run's name that a terminal could not show on one line."""
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= MAX_LABEL:
        raise ConfigError(f"name {str(name)[:MAX_LABEL]!r} must be printable text of 1 to {MAX_LABEL} characters")


def _upper_bound(name: str) -> float:
    """The largest value of a scheduled hyperparameter."""
    return 1.0 if name in PROBABILITY_HPARAMS else float("inf")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GroupConfig(NumericFields):
    """Agents that share a policy configuration: the slots they fill, and the learner that trains them, if any."""

    name: str
    slots: tuple[int, ...]
    policy: PolicyConfig = RecurrentPolicyConfig()
    learner: LearnerConfig | None = None
    learning_rate: Schedule = 1e-4
    ent_coef: Schedule = 1e-5  # weight of the entropy bonus, per nat
    aux_loss_scale: Schedule = 1.0  # factor on the auxiliary losses' own weights
    hparams: dict[str, Schedule] = dataclasses.field(
        default_factory=dict
    )  # the learner's other scheduled ones, by name

    def __post_init__(self) -> None:
        set_tuples(self, *COMMON_HPARAMS, "hparams")
        check_identifier("group name", self.name)
        if self.name in RESERVED_GROUP_NAMES:
            raise ConfigError(f"group name {self.name!r} is a metric of every run; choose another")
        if not self.slots or len(set(self.slots)) != len(self.slots) or min(self.slots) < 0:
            raise ConfigError(f"group {self.name!r}: slots {self.slots} must be one or more different slot numbers")
        check_type(f"group {self.name!r}: policy", self.policy, BasePolicyConfig, "a policy's configuration")
        check_type(f"group {self.name!r}: learner", self.learner, (Learner, type(None)), "a Learner or None")
        check_names(f"group {self.name!r}: hparams", self.hparams, "schedules")
        if self.learner is not None and not self.policy.learnable:
            raise ConfigError(f"group {self.name!r}: a {self.policy.kind} policy cannot learn; use kind 'recurrent'")
        if self.learner is None and self.policy.learnable:
            raise ConfigError(
                f"group {self.name!r}: an untrained network needs a learner; give the group one, or a frozen, scripted "
                "or random policy"
            )
        communicates = self.policy.communication is not None
        if self.learner is not None and communicates and not self.learner.supports_communication:
            raise ConfigError(
                f"group {self.name!r}: learner kind {self.learner.kind!r} does not support communication; use kind "
                "'ppo' or 'a2c', or leave communication out"
            )
        for field in COMMON_HPARAMS:
            check_schedule(f"{self.name}.{field}", getattr(self, field))
        self._check_learner_hparams()
        self._check_teacher()
        for name, schedule in self.hparams.items():
            _check_hparam(f"{self.name}.hparams.{name}", name, "its learner", (self,))
            check_schedule(f"{self.name}.hparams.{name}", schedule, high=_upper_bound(name))

    def _check_learner_hparams(self) -> None:
        """Raises ConfigError for defaults of the learner's class that are not schedules by name."""
        if self.learner is not None:
            what = f"{type(self.learner).__name__}.hparams"
            check_names(what, self.learner.hparams, "default schedules")
            for name, schedule in self.learner.hparams.items():
                if name not in COMMON_HPARAMS:  # whose defaults are never used
                    check_schedule(f"{what}.{name}", schedule, low=float("-inf"))

    def _check_teacher(self) -> None:
        """Raises ConfigError for a teacher that the learner would not learn from as its schedules say."""
        if self.learner is None or self.learner.teacher is None:
            return
        what = f"group {self.name!r}: teacher={self.learner.teacher!r}"
        if not self.learner.supports_teacher:
            raise ConfigError(
                f"{what}: learner kind {self.learner.kind!r} does not learn from a teacher; use kind 'ppo', or, if its "
                "update does, set supports_teacher = True in its class"
            )
        if missing := [name for name in TEACHER_HPARAMS if name not in self.learner.hparams]:
            raise ConfigError(
                f"{what}: {type(self.learner).__name__}.hparams has no {', '.join(map(repr, missing))}, which a run "
                "with a teacher needs; add default schedules"
            )

    @property
    def extra_hparams(self) -> frozenset[str]:
        """Names of the learner's hyperparameters that `hparams` may schedule; none if the group does not learn."""
        if self.learner is None:
            return frozenset()
        names = frozenset(self.learner.hparams) - set(COMMON_HPARAMS)
        return names - set(TEACHER_HPARAMS) if self.learner.teacher is None else names

    def hparam_schedule(self, name: str) -> Schedule:
        """The schedule of one of the learner's hyperparameters."""
        assert self.learner is not None, "only a group with a learner has hyperparameters"
        default: Schedule = as_tuples(self.learner.hparams[name])
        return getattr(self, name) if name in COMMON_HPARAMS else self.hparams.get(name, default)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant(NumericFields):
    """One condition of a run. A field that is None is as in the run; all variants share one compiled program."""

    name: str = "main"
    social_episode_prob: Schedule | None = None
    learning_rate: Schedule | None = None
    ent_coef: Schedule | None = None
    aux_loss_scale: Schedule | None = None
    hparams: dict[str, Schedule] | None = None  # as `GroupConfig.hparams`, for every group whose learner has them
    env_schedules: dict[str, Schedule] | None = None

    def __post_init__(self) -> None:
        set_tuples(self, "social_episode_prob", *COMMON_HPARAMS, "hparams", "env_schedules")
        check_identifier("variant name", self.name)
        if self.name in RESERVED_VARIANT_NAMES:
            raise ConfigError(
                f"variant name {self.name!r} is reserved in metrics, like {', '.join(RESERVED_VARIANT_NAMES)}; "
                "choose another"
            )
        for field in ("hparams", "env_schedules"):
            if getattr(self, field) is not None:
                check_names(f"variant {self.name}.{field}", getattr(self, field), "schedules")
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
        """The variant's schedule of a learner's hyperparameter; None: as in the group."""
        return getattr(self, name) if name in COMMON_HPARAMS else (self.hparams or {}).get(name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(NumericFields):
    """One training run: every variant with every seed, trained side by side in one compiled program."""

    name: str = "run"
    task: TaskConfig = GoalCycle()
    team: tuple[GroupConfig, ...] = ()
    variants: tuple[Variant, ...] = (Variant(),)
    seed: int = 0  # the first; the others count up from it
    num_seeds: int = 1  # of each variant
    total_timesteps: int = 1_000_000  # environment steps of each seed
    num_envs: int = 128  # episodes per update and seed, in as many environments
    social_episode_prob: Schedule = 1.0  # probability that an episode has the whole team; the others are solo
    env_schedules: dict[str, Schedule] = dataclasses.field(default_factory=dict)  # task parameters: {"penalty": ...}
    widening: Widening | None = None  # numbers of the task that grow while the learner keeps up; None: nothing grows
    checkpoint_interval: int = 20  # updates
    max_checkpoints: int = 3
    eval_episodes: int = 64  # at every checkpoint, per variant and seed: with the whole team, and as many solo

    def __post_init__(self) -> None:
        set_tuples(self, "social_episode_prob", "env_schedules")
        check_label(self.name)
        check_type("task", self.task, Task, "a Task, such as GoalCycle()")
        check_types("team", self.team, GroupConfig, "a GroupConfig")
        check_types("variants", self.variants, Variant, "a Variant")
        check_names("env_schedules", self.env_schedules, "schedules")
        check_type("widening", self.widening, (Widening, type(None)), "a Widening or None")
        for field in ("num_seeds", "total_timesteps", "num_envs", "checkpoint_interval", "max_checkpoints"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field}={getattr(self, field)} must be at least 1")
        self._check_sizes()
        if not 0 <= self.seed <= 2**31 - self.num_seeds:
            raise ConfigError(f"seed={self.seed} must lie in [0, 2^31 - num_seeds]")
        if self.eval_episodes < 0:
            raise ConfigError(f"eval_episodes={self.eval_episodes} must be at least 0")
        check_schedule("social_episode_prob", self.social_episode_prob, high=1.0)
        for name, schedule in self.env_schedules.items():
            check_schedule(f"env_schedules.{name}", schedule, low=float("-inf"))
        self._check_team()
        self._check_variants()
        if self.widening is not None:
            check_widening(self)

    def _check_sizes(self) -> None:
        """Raises ConfigError for numbers beyond any run, and for those that do not fit 32 bits."""
        check_at_most("total_timesteps", self.total_timesteps, MAX_TIMESTEPS)
        check_at_most("num_seeds", self.num_seeds, MAX_SEEDS_PER_VARIANT)
        check_sizes(self, ("num_envs", "eval_episodes"), MAX_ENVS)
        for field in dataclasses.fields(self):
            if field.name != "total_timesteps":
                check_32_bits(getattr(self, field.name), field.name)

    def _check_team(self) -> None:
        if not self.team:
            raise ConfigError("the team is empty; give at least one group")
        if self.total_updates > FIRST_GROUP_PARAMS:  # more would repeat the key of the first group's parameters
            raise ConfigError(
                f"total_timesteps={self.total_timesteps} are {self.total_updates:,} updates of num_envs × max_steps = "
                f"{self.steps_per_update:,} steps; at most {FIRST_GROUP_PARAMS:,} are allowed: lower total_timesteps, "
                "or raise num_envs"
            )
        learners = [group.learner for group in self.team if group.learner is not None]
        if not learners:
            raise ConfigError("no group of the team learns; give a group a learner")
        for learner in learners:
            learner.validate(self.num_envs, self.max_steps)
        names = slot_names(self)
        if len(set(names)) != len(names):
            raise ConfigError(f"the agents' names {', '.join(names)} must differ; rename a group")

    def _check_variants(self) -> None:
        if not self.variants or len({variant.name for variant in self.variants}) != len(self.variants):
            raise ConfigError("variants must have different names, and there must be at least one")
        longest = [
            max((entry.name for entry in entries), key=lambda name: len(name.encode()))
            for entries in (self.variants, [group for group in self.team if group.learner is not None])
        ]
        if len("".join(longest).encode()) > MAX_AGENT_NAME:
            raise ConfigError(
                f"variant {longest[0]!r} and group {longest[1]!r} have names too long for the file of an agent: at "
                f"most {MAX_AGENT_NAME} bytes together; shorten one"
            )
        for variant in self.variants:
            for name in variant.hparams or {}:
                _check_hparam(f"variant {variant.name}.hparams.{name}", name, "any learner", self.team)

    @property
    def max_steps(self) -> int:
        """Steps of an episode: the environment's, for a task need not know them."""
        return self.task.make_env().max_steps

    @property
    def steps_per_update(self) -> int:
        """Environment steps of one seed."""
        return self.num_envs * self.max_steps

    @property
    def total_updates(self) -> int:
        """Updates of the whole run: the fewest that reach `total_timesteps`."""
        return -(-self.total_timesteps // self.steps_per_update)

    @property
    def supports_sharding(self) -> bool:
        """Whether devices can share one replica: every learner's updates can be split."""
        return all(group.learner is None or group.learner.supports_sharding for group in self.team)

    def has_checkpoint(self, update: int) -> bool:
        """Whether the state is saved and evaluated after so many updates, if nothing stops the run."""
        return update % self.checkpoint_interval == 0 or update == self.total_updates

    @property
    def seeds(self) -> range:
        """Of each variant."""
        return range(self.seed, self.seed + self.num_seeds)

    @property
    def replicas(self) -> tuple[tuple[str, int], ...]:
        """(variant name, seed) of everything trained side by side, in order."""
        return tuple((variant.name, seed) for variant in self.variants for seed in self.seeds)


def slot_names(config: RunConfig) -> list[str]:
    """A name for the agent in every slot: its group's, with the slot if the group fills several."""
    names = {}
    for group in config.team:
        for slot in group.slots:
            names[slot] = group.name if len(group.slots) == 1 else f"{group.name}-{slot}"
    return [names[slot] for slot in sorted(names)]


def variant_prefixes(config: RunConfig) -> tuple[str, ...]:
    """What the names of a run's metrics begin with that have a value per seed."""
    return tuple(f"{kind}{variant.name}/" for kind in ("", "evaluation/") for variant in config.variants)


def _check_hparam(field: str, name: str, owner: str, groups: tuple[GroupConfig, ...]) -> None:
    """Raises ConfigError if none of the groups' learners has an extra hyperparameter of this name."""
    allowed = frozenset().union(*(group.extra_hparams for group in groups))
    if name in allowed:
        return
    if name in TEACHER_HPARAMS and any(group.learner and group.learner.supports_teacher for group in groups):
        raise ConfigError(
            f"{field}: there is no teacher; set the learner's teacher to 'scripted', 'scripted-partial' or a zoo entry"
        )
    raise ConfigError(f"{field} is not a hyperparameter of {owner}; allowed: {', '.join(sorted(allowed)) or 'none'}")
