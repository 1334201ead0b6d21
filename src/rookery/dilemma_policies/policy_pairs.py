"""A scripted cooperator and a scripted defector for each kind of dilemma: the two policies of a Schelling diagram."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from rookery.dilemma_policies.apples import AppleEater, RiverCleaner, SustainableEater
from rookery.dilemma_policies.coins import CoinCollector
from rookery.errors import ConfigError
from rookery.interfaces import Policy, PolicyRole
from rookery.limits import check_callable, check_identifier, is_redefined
from rookery.tasks.matrix_games import COOPERATE, DEFECT
from rookery.types import PRNGKey, PyTree

DilemmaRole: TypeAlias = Literal["cooperator", "defector"]
DILEMMA_ROLES: tuple[DilemmaRole, ...] = ("cooperator", "defector")
"""What the command line calls them."""

DilemmaPolicyFactory: TypeAlias = Callable[[Any, DilemmaRole], Policy]
"""From a task's configuration and a role to the policy that plays it."""

DILEMMA_POLICY_FACTORIES: dict[str, DilemmaPolicyFactory] = {}
"""By the task's kind."""


@dataclasses.dataclass(frozen=True)
class ConstantAction(Policy):
    """The same action in every step."""

    action: int

    role: ClassVar[PolicyRole] = "scripted"

    def act(
        self, params: PyTree, carry: PyTree, obs: Any, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], PyTree, dict[str, jax.Array]]:
        return jnp.full(is_first.shape, self.action, jnp.int32), carry, {}


def register_dilemma_policies(kind: str, factory: DilemmaPolicyFactory) -> None:
    """Give tasks of a kind a scripted cooperator and defector; the policies must be hashable.

    Raises: ConfigError for a kind that is not a name, a factory that cannot be called, or where the kind has them
      already, of another function.
    """
    check_identifier("kind", kind)
    check_callable("factory", factory, "a function of the task and the role that returns a policy")
    if kind in DILEMMA_POLICY_FACTORIES and not is_redefined(DILEMMA_POLICY_FACTORIES[kind], factory):
        raise ConfigError(f"tasks of kind {kind!r} already have a scripted cooperator and defector")
    DILEMMA_POLICY_FACTORIES[kind] = factory


def make_dilemma_policy(task: Any, role: DilemmaRole) -> Policy:
    """The scripted cooperator or defector of a task. Raises ConfigError, naming the kinds of tasks that have them."""
    if task.kind not in DILEMMA_POLICY_FACTORIES:
        raise ConfigError(
            f"the task {task.kind!r} has no scripted {role}; these have: {', '.join(DILEMMA_POLICY_FACTORIES)}; "
            "use trained agents"
        )
    return DILEMMA_POLICY_FACTORIES[task.kind](task, role)


def _make_cleanup_policy(task: Any, role: DilemmaRole) -> Policy:
    if role == "defector":
        return AppleEater()
    return RiverCleaner(max_waste=task.depletion_threshold * float(task.parsed_map.river.sum()) / 2)


register_dilemma_policies("matrix", lambda task, role: ConstantAction(COOPERATE if role == "cooperator" else DEFECT))
register_dilemma_policies(
    "coin-game", lambda task, role: CoinCollector(task.height, task.width, takes_all=role == "defector")
)
register_dilemma_policies("harvest", lambda task, role: SustainableEater() if role == "cooperator" else AppleEater())
register_dilemma_policies("cleanup", _make_cleanup_policy)
