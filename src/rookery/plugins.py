"""One registry for each kind of extension, open to other packages through entry points.

A registry maps the `kind` of a configuration (the string that stands in JSON) to its class. The classes of this
package are named by import path, so that listing kinds imports nothing heavy. Another installed package adds its own by
an entry point of the registry's group that names either the class itself or a function without arguments that calls
`register`. In a script or notebook, call `register` directly.
"""

from __future__ import annotations

import dataclasses
import importlib
import warnings
from collections.abc import Callable, MutableMapping
from importlib import metadata
from typing import Any, TypeVar

from rookery.errors import ConfigError, NotFoundError, suggest, typed_text
from rookery.limits import check_identifier, shortened
from rookery.storage.serialization import check_field_types, kinds_of

C = TypeVar("C", bound=type)


class Registry:
    """Classes of one kind of extension, by the value of their field `kind`.

    Args:
      noun: what one entry is, for messages, such as "network".
      group: entry point group, such as "rookery.networks".
      base: "module:Class" of the class from which all of them derive.
      builtins: `kind` to "module:Class" of this package's own entries.
      hashable: whether programs are compiled once for all equal ones, so that they must have a hash.
    """

    def __init__(self, noun: str, group: str, base: str, builtins: dict[str, str], hashable: bool = False) -> None:
        self.noun: str = noun
        self.group: str = group
        self.base: str = base
        self.hashable: bool = hashable
        self._entries: dict[str, str | type] = dict(builtins)
        self._loaded = False

    def register(self, cls: C) -> C:
        """Add a class under the default of its field `kind`; usable as a decorator.

        Raises: ConfigError for anything but a class derived from `base` that can stand in a configuration, which only
          trackers need not, or if another class already has its `kind`.
        """
        kind = self._check_class(cls)
        present = self._entries.get(kind)
        path = f"{cls.__module__}:{cls.__qualname__}"
        same = present is cls or path in (present, _path(present))
        if present is not None and not same:
            raise ConfigError(f"the {self.noun} kind {kind!r} is taken by {_path(present)}; choose another kind")
        self._entries[kind] = cls
        return cls

    def _check_class(self, cls: Any) -> str:
        """The `kind` of a class. Raises ConfigError where it cannot be registered, saying what it must be."""
        base = self.base.replace(":", ".")
        if not isinstance(cls, type):
            raise ConfigError(f"{shortened(cls)} is not a class; register a class derived from {base}, not an instance")
        name, base_class = cls.__name__, _import(self.base)
        if not issubclass(cls, base_class):
            article = "an" if self.noun[0] in "aeiou" else "a"
            raise ConfigError(f"{name} is not {article} {self.noun}; derive it from {base}")
        kind = getattr(cls, "kind", None)
        is_setting = "kind" in base_class.__annotations__ and not hasattr(base_class, "kind")
        if not isinstance(kind, str) or not kind:
            wanted = 'a field `kind: Literal["..."] = "..."`' if is_setting else '`kind = "..."`'
            raise ConfigError(f"{name} needs {wanted} to be registered")
        check_identifier(f"{name}: kind", kind)
        if is_setting:
            check_dataclass(cls)
        if self.hashable:
            _check_hashable(cls)
        return kind

    def names(self) -> list[str]:
        """Every kind, including those of other packages."""
        self._load_entry_points()
        return list(self._entries)

    def get(self, kind: str) -> type:
        """The class of a kind. Raises NotFoundError with the nearest names."""
        if kind not in self._entries:
            self._load_entry_points()
        if kind not in self._entries:
            raise NotFoundError(f"no {self.noun} {kind!r}; {suggest(kind, self._entries)}")
        entry = self._entries[kind]
        if isinstance(entry, str):
            entry = self._entries[kind] = _import(entry)
        return entry

    def classes(self) -> tuple[type, ...]:
        """Every class; imports them all."""
        return tuple(self.get(kind) for kind in self.names())

    def _load_entry_points(self) -> None:
        if not self._loaded:
            self._loaded = True
            load_entry_points(self.group, self._entries, self.register)


def load_entry_points(group: str, entries: MutableMapping[str, Any], register: Callable[[Any], Any]) -> None:
    """Let other packages add their entries; a package that fails is named in a warning and adds nothing.

    Args:
      group: entry point group.
      entries: the registry's mapping; restored if a package fails halfway.
      register: called with what the entry point names if that is a class; a function is called instead.
    """
    for point in metadata.entry_points(group=group):
        before = dict(entries)
        try:
            found = point.load()
            if not callable(found):
                raise ConfigError(f"{shortened(found)} is neither a class nor a function that registers one")
            register(found) if isinstance(found, type) else found()
        except (Exception, SystemExit) as error:
            # Whatever is wrong in another package, the entries that are already here must stay usable.
            entries.clear()
            entries.update(before)
            owner = point.dist.name if point.dist else "unknown package"
            warnings.warn(
                f"{owner}: its entries of {group} are left out, because the entry point {point.name} = {point.value} "
                f"failed: {describe_foreign_error(error)}",
                stacklevel=3,
            )


def describe_foreign_error(error: BaseException) -> str:
    """What another package's or a user's code raised, as where its module is imported."""
    if isinstance(error, SystemExit):
        return "it ended the program (SystemExit); put that under `if __name__ == '__main__'`"
    return typed_text(error)


def check_dataclass(cls: type) -> None:
    """Raises ConfigError unless a class is a frozen dataclass whose field `kind` tells it apart in a configuration, and
    the types of all its fields are known."""
    params = vars(cls).get("__dataclass_params__")
    if params is None or not params.frozen:
        raise ConfigError(
            f"{cls.__name__} must be a frozen dataclass itself; decorate it with @dataclasses.dataclass(frozen=True, "
            "kw_only=True)"
        )
    kind = next((field for field in dataclasses.fields(cls) if field.name == "kind"), None)
    if kind is None or "Literal[" not in str(kind.type):
        raise ConfigError(f'{cls.__name__} needs a field `kind: Literal["..."] = "..."` to be registered')
    check_field_types(cls)
    if kinds_of(cls) != (kind.default,):
        default = "missing" if kind.default is dataclasses.MISSING else repr(kind.default)
        raise ConfigError(
            f"{cls.__name__}.kind allows {', '.join(map(repr, kinds_of(cls)))}, and its default is {default}; it must "
            'allow one name, which is the default: `kind: Literal["..."] = "..."`'
        )


def unhashable_field(config: Any) -> str | None:
    """The name of the first field of a dataclass whose value has no hash, such as a dictionary or a list."""
    for field in dataclasses.fields(config):
        try:
            hash(getattr(config, field.name))
        except TypeError:
            return field.name
    return None


def _check_hashable(cls: type) -> None:
    """Raises ConfigError for a class whose default has no hash. One without a default is checked when it is used."""
    try:
        default = cls()
    except Exception:  # it needs arguments, or refuses its own defaults, which is said where it is used
        return
    if name := unhashable_field(default):
        raise ConfigError(
            f"{cls.__name__}.{name}={shortened(getattr(default, name))} has no hash; use a tuple, of pairs instead of "
            "a dictionary: agents of a configuration without a hash cannot be loaded"
        )


def _import(path: str) -> Any:
    """What "module:attribute" names."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def _path(entry: str | type | None) -> str | None:
    return entry if entry is None or isinstance(entry, str) else f"{entry.__module__}:{entry.__qualname__}"


NETWORKS = Registry(
    "network",
    "rookery.networks",
    "rookery.interfaces:Network",
    {
        "ndousse2021": "rookery.agents.networks:NdousseNetwork",
        "mlp": "rookery.agents.networks:MLPNetwork",
        "jaques2019": "rookery.agents.networks:JaquesNetwork",
    },
    hashable=True,
)
AUXILIARY_LOSSES = Registry(
    "auxiliary loss",
    "rookery.auxiliary_losses",
    "rookery.interfaces:AuxiliaryLoss",
    {
        "next-frame": "rookery.learning.auxiliary.frame_prediction:NextFramePrediction",
        "reconstruction": "rookery.learning.auxiliary.frame_prediction:Reconstruction",
        "attention": "rookery.learning.auxiliary.attention:AttentionLoss",
    },
)
INTRINSIC_REWARDS = Registry(
    "intrinsic reward",
    "rookery.intrinsic_rewards",
    "rookery.interfaces:IntrinsicReward",
    {
        "influence-centralized": "rookery.learning.intrinsic.centralized:CentralizedInfluence",
        "influence-messages": "rookery.learning.intrinsic.message_influence:MessageInfluence",
        "influence-moa": "rookery.learning.intrinsic.moa:MOAInfluence",
        "prosocial": "rookery.learning.intrinsic.prosocial:Prosocial",
        "inequity": "rookery.learning.intrinsic.inequity:InequityAversion",
        "reward-sharing": "rookery.learning.intrinsic.reward_sharing:RewardSharing",
        "reciprocity": "rookery.learning.intrinsic.reciprocity:Reciprocity",
        "svo": "rookery.learning.intrinsic.value_orientation:SocialValueOrientation",
    },
)
LEARNERS = Registry(
    "learner",
    "rookery.learners",
    "rookery.interfaces:Learner",
    {
        "ppo": "rookery.learning.ppo:PPO",
        "a2c": "rookery.learning.a2c:A2C",
        "r2d2": "rookery.learning.r2d2:R2D2",
    },
)
TRACKERS = Registry(
    "tracker",
    "rookery.trackers",
    "rookery.tracking.tracker:Tracker",
    {
        "tensorboard": "rookery.tracking.tensorboard:TensorBoardTracker",
        "wandb": "rookery.tracking.wandb:WandbTracker",
        "mlflow": "rookery.tracking.mlflow:MLflowTracker",
    },
)


def register_network(cls: C) -> C:
    """Add a `rookery.interfaces.Network` class under its `kind`; usable as a decorator. Raises ConfigError."""
    return NETWORKS.register(cls)


def register_auxiliary_loss(cls: C) -> C:
    """Add a `rookery.interfaces.AuxiliaryLoss` class under its `kind`; usable as a decorator. Raises ConfigError."""
    return AUXILIARY_LOSSES.register(cls)


def register_intrinsic_reward(cls: C) -> C:
    """Add a `rookery.interfaces.IntrinsicReward` class under its `kind`; usable as a decorator. Raises ConfigError."""
    return INTRINSIC_REWARDS.register(cls)


def register_learner(cls: C) -> C:
    """Add a `rookery.interfaces.Learner` class under its `kind`; usable as a decorator. Raises ConfigError."""
    return LEARNERS.register(cls)


def register_tracker(cls: C) -> C:
    """Add a `rookery.tracking.tracker.Tracker` class under its `kind`; usable as a decorator. Raises ConfigError."""
    return TRACKERS.register(cls)
