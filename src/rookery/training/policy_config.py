"""What may fill the slots of a group: each kind of policy, and how it is made for an environment."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal, TypeAlias

from rookery.agents import scripted
from rookery.agents.communication import CommunicationConfig
from rookery.agents.networks import MLPNetwork, NetworkConfig
from rookery.agents.random_policy import RandomPolicy
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.zoo import load_trained_agent
from rookery.errors import ConfigError, IncompatibleError
from rookery.interfaces import Policy
from rookery.limits import NumericFields
from rookery.types import Env, PyTree


class BasePolicyConfig(NumericFields):
    """Defaults of every kind of policy. A subclass is a frozen dataclass with a field `kind`."""

    kind: Any
    learnable: ClassVar[bool] = False
    """Whether a learner can train it."""
    communication: CommunicationConfig | None = None
    """What the policy observes in addition to its view."""
    init_from: str | None = None
    """The trained agent whose weights training starts from."""
    checkpoint: str = ""
    """The trained agent that acts unchanged; empty where there is none."""

    @property
    def label(self) -> str:
        """What cards and datasets call the policy, as the command line does: the trained agent's name or path, else the
        kind."""
        return self.checkpoint or self.kind

    def make_policy(self, env: Env, slot: int, group: str) -> tuple[Policy, PyTree]:
        """Required: the policy, and its parameters (None where they are learned).

        Args:
          slot: the first slot that it fills. group: the group's name, for messages.
        Raises: ConfigError, NotFoundError, CorruptFileError or IncompatibleError if it does not fit the environment.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method make_policy(env, slot, group)")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecurrentPolicyConfig(BasePolicyConfig):
    """A recurrent network, initialized from the seed or from a trained agent's weights."""

    learnable: ClassVar[bool] = True

    kind: Literal["recurrent"] = "recurrent"
    network: NetworkConfig = MLPNetwork()
    communication: CommunicationConfig | None = None
    init_from: str | None = None
    """Zoo entry or .safetensors file; '{seed}' in it is replaced by each replica's own seed."""

    def make_policy(self, env: Env, slot: int, group: str) -> tuple[RecurrentPolicy, None]:
        policy = RecurrentPolicy(
            self.network,
            env.observation_shape(slot),
            env.num_actions,
            observation_type=env.observation_type(slot),
        )
        if self.communication is not None:
            policy = dataclasses.replace(policy, communication=self.communication, num_agents=env.num_agents)
        return policy, None


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrozenPolicyConfig(BasePolicyConfig):
    """A trained agent that does not change: a zoo entry's name, or the path of a .safetensors file."""

    kind: Literal["frozen"] = "frozen"
    checkpoint: str = dataclasses.field()  # required: the base class's "" is not its default
    """In a run, '{seed}' in it is replaced by each replica's own seed."""

    def make_policy(self, env: Env, slot: int, group: str) -> tuple[RecurrentPolicy, PyTree]:
        agent = load_trained_agent(self.checkpoint)
        check_compatible(
            agent.policy, env.observation_shape(slot), env.num_actions, f"group {group!r}: {self.checkpoint}"
        )
        # Its file does not say what its observations mean.
        return dataclasses.replace(agent.policy, observation_type=env.observation_type(slot)), agent.params


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScriptedPolicyConfig(BasePolicyConfig):
    """The task's scripted expert. It has to find out by trial what the task hides from all agents."""

    kind: Literal["scripted"] = "scripted"
    observability: Literal["full", "partial"] = "full"  # sees the whole map, or only what its own view has shown

    @property
    def label(self) -> str:
        return next(name for name, seen in scripted.OBSERVABILITY_BY_NAME.items() if seen == self.observability)

    def make_policy(self, env: Env, slot: int, group: str) -> tuple[Policy, PyTree]:
        return scripted_policy(env, self.observability), ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class OraclePolicyConfig(BasePolicyConfig):
    """An expert that knows the order of a goal sequence, and makes mistakes with some probability."""

    kind: Literal["oracle"] = "oracle"
    error_prob: float = 0.2  # probability of heading for a wrong goal, sampled after each goal

    def __post_init__(self) -> None:
        if not 0 <= self.error_prob <= 1:
            raise ConfigError(f"error_prob={self.error_prob} must lie in [0, 1]")

    def make_policy(self, env: Env, slot: int, group: str) -> tuple[Policy, PyTree]:
        return scripted.make_oracle(env.task, self.error_prob), ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomPolicyConfig(BasePolicyConfig):
    """Uniformly random actions."""

    kind: Literal["random"] = "random"

    def make_policy(self, env: Env, slot: int, group: str) -> tuple[Policy, PyTree]:
        return RandomPolicy(env.num_actions), ()


PolicyConfig: TypeAlias = (
    RecurrentPolicyConfig | FrozenPolicyConfig | ScriptedPolicyConfig | OraclePolicyConfig | RandomPolicyConfig
)


def scripted_policy(env: Env, observability: Literal["full", "partial"] = "full") -> Policy:
    """The scripted expert of an environment's task. Raises ConfigError if it has none, naming the tasks that have."""
    return scripted.make_expert(env.task, observability)


def check_compatible(policy: RecurrentPolicy, observation_shape: tuple[int, ...], num_actions: int, label: str) -> None:
    """Raises IncompatibleError if a trained agent cannot read these observations, or has actions the task lacks."""
    if policy.observation_shape != observation_shape:
        raise IncompatibleError(
            f"{label} was trained on observations of {policy.observation_shape}, here it would see {observation_shape}"
            "; set its view's size, observation_type and tile_size as in its card"
        )
    if policy.num_actions > num_actions:
        raise IncompatibleError(
            f"{label} has {policy.num_actions} actions, this task only {num_actions}; set num_actions=7"
        )
