"""What a registry refuses: it says what a class must be, where the class is registered and not where it is used."""

import dataclasses
from typing import Literal

import pytest

from rookery import plugins
from rookery.agents.networks import MLPNetwork
from rookery.agents.scripted import register_expert
from rookery.dilemma_policies.policy_pairs import register_dilemma_policies
from rookery.errors import ConfigError, explain_failure
from rookery.interfaces import Network
from rookery.learning.ppo import PPO
from rookery.tracking.tracker import Tracker

REGISTRIES = {
    plugins.register_network: ("network", "rookery.interfaces.Network"),
    plugins.register_auxiliary_loss: ("auxiliary loss", "rookery.interfaces.AuxiliaryLoss"),
    plugins.register_intrinsic_reward: ("intrinsic reward", "rookery.interfaces.IntrinsicReward"),
    plugins.register_learner: ("learner", "rookery.interfaces.Learner"),
    plugins.register_tracker: ("tracker", "rookery.tracking.tracker.Tracker"),
}


@pytest.mark.parametrize("register", REGISTRIES, ids=lambda register: register.__name__)
def test_what_is_no_class_of_the_kind_is_refused(register):
    noun, base = REGISTRIES[register]
    for value in (5, None, "mlp", MLPNetwork(), lambda: None):
        with pytest.raises(ConfigError, match=f"is not a class; register a class derived from {base}, not an instance"):
            register(value)
    with pytest.raises(ConfigError, match=f"^int is not an? {noun}; derive it from {base}$"):
        register(int)


class Plain(Network):
    kind = "test-plain"


@dataclasses.dataclass
class Changeable(Network):
    kind: Literal["test-changeable"] = "test-changeable"


class Undecorated(MLPNetwork):
    kind: Literal["test-undecorated"] = "test-undecorated"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnyKind(Network):
    kind: str = "test-any"


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoKind(Network):
    hidden_size: int = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spaced(Network):
    kind: Literal["test, spaced"] = "test, spaced"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unresolved(Network):
    kind: Literal["test-unresolved"] = "test-unresolved"
    sizes: "NoSuchName | None" = None  # noqa: F821


@dataclasses.dataclass(frozen=True, kw_only=True)
class OtherDefault(Network):
    kind: Literal["test-name"] = "test-default"  # type: ignore[assignment]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoKinds(Network):
    kind: Literal["test-one", "test-two"] = "test-one"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tabular(Network):
    kind: Literal["test-tabular"] = "test-tabular"
    table: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mapping(Network):
    kind: Literal["test-mapping"] = "test-mapping"
    sizes: dict[str, int] = dataclasses.field(default_factory=dict)


class Nameless(Tracker):
    pass


class Odd(Tracker):
    kind = "a,b"


@pytest.mark.parametrize(
    ("register", "cls", "message"),
    [
        (plugins.register_network, Plain, "must be a frozen dataclass itself"),
        (plugins.register_network, Changeable, "must be a frozen dataclass itself"),
        (plugins.register_network, Undecorated, "must be a frozen dataclass itself"),
        (plugins.register_network, AnyKind, 'needs a field `kind: Literal["..."] = "..."`'),
        (plugins.register_network, NoKind, 'needs a field `kind: Literal["..."] = "..."`'),
        (plugins.register_network, Spaced, "kind 'test, spaced' must be letters, digits, - and _"),
        (plugins.register_network, Unresolved, ".sizes: the annotation 'NoSuchName | None' cannot be resolved"),
        (
            plugins.register_network,
            OtherDefault,
            ".kind allows 'test-name', and its default is 'test-default'; it",
        ),
        (plugins.register_network, TwoKinds, ".kind allows 'test-one', 'test-two', and its default is 'test-one'; it"),
        (plugins.register_network, Tabular, ".table: a field of type dict cannot be kept in JSON; allowed: bool, int"),
        (plugins.register_network, Mapping, ".sizes={} has no hash; use a tuple, of pairs instead of a dictionary"),
        (plugins.register_tracker, Nameless, 'needs `kind = "..."` to be registered'),
        (plugins.register_tracker, Odd, "kind 'a,b' must be letters, digits, - and _"),
        (plugins.register_learner, MLPNetwork, "is not a learner; derive it from rookery.interfaces.Learner"),
        (plugins.register_network, PPO, "is not a network; derive it from rookery.interfaces.Network"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_class_that_no_configuration_could_name_is_refused(register, cls, message):
    with pytest.raises(ConfigError) as error:
        register(cls)
    assert str(error.value).startswith(cls.__name__)
    assert message in str(error.value)


def test_policies_are_made_by_functions():
    for kind in (5, "two words"):
        with pytest.raises(ConfigError, match=f"^kind {kind!r} must be letters, digits, - and _$"):
            register_expert(kind, "full", lambda task: task)
        with pytest.raises(ConfigError, match=f"^kind {kind!r} must be letters, digits, - and _$"):
            register_dilemma_policies(kind, lambda task, role: task)
    with pytest.raises(ConfigError, match=r"^factory=3 must be a function of the task that returns a policy$"):
        register_expert("test-kind", "full", 3)
    with pytest.raises(ConfigError, match=r"^factory=None must be a function of the task and the role"):
        register_dilemma_policies("test-kind", None)


class MuteError(Exception):
    def __str__(self):
        raise RuntimeError

    __repr__ = __str__


def test_what_cannot_be_shown_is_named_by_its_type():
    described = plugins.describe_foreign_error(MuteError())
    assert described == "MuteError: MuteError, whose __str__ fails"
    assert explain_failure(MuteError()) is None
    with pytest.raises(ConfigError, match=r"^MuteError, whose __repr__ fails is not a class"):
        plugins.register_network(MuteError())  # type: ignore[type-var]
