"""What learners from their own fresh episodes share: PPO and A2C differ in what one update makes of a batch.

The actions such a learner learns from are those its agents take: it explores by sampling from the policy it learns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import optax
from jaxtyping import Array, Float

from rookery.agents.recurrent import RecurrentPolicy
from rookery.learning.intrinsic import apply
from rookery.types import Key, PyTree, Trajectory


class Rates(NamedTuple):
    """Numbers that may change from update to update, f32[] each."""

    learning_rate: jax.Array
    entropy: jax.Array  # weight of the entropy bonus
    auxiliary: jax.Array  # factor on every auxiliary loss's own weight
    intrinsic: jax.Array | float = 1.0  # factor on every intrinsic reward's own weight
    steps: jax.Array | float = 0.0  # environment steps of the run so far
    teaching: jax.Array | float = 0.0  # weight of the teacher's advice, where there is a teacher

    @classmethod
    def of(cls, rates: dict[str, jax.Array]) -> Rates:
        """From the numbers by name, as a run gives them."""
        return cls(
            learning_rate=rates["learning_rate"],
            entropy=rates["entropy"],
            auxiliary=rates["auxiliary_scale"],
            intrinsic=rates.get("intrinsic_scale", 1.0),
            steps=rates.get("steps", 0.0),
            teaching=rates.get("teaching", 0.0),
        )


class Learner(NamedTuple):
    """All of one learner: {'policy', 'auxiliary'} parameters, with 'intrinsic' where an intrinsic reward has any; and
    the optimiser's state."""

    params: PyTree
    optimiser: PyTree


class OnPolicy:
    """What `types.Learner` asks for, but `check`; a subclass brings what is named here."""

    auxiliary: tuple[Any, ...]
    intrinsic: tuple[Any, ...]
    optimiser: Callable[[], optax.GradientTransformation]
    learn: Callable[..., tuple[Learner, dict[str, Float[Array, ""]]]]

    in_lanes: ClassVar[bool] = True
    """Its updates go in lanes (`learning.lanes`), so cores without a run of their own can share them. A learner that
    does not say so has one core: others would hold copies of all it remembers and do the same work."""

    def agent(self, policy: RecurrentPolicy) -> RecurrentPolicy:
        return policy

    def explorer(self, policy: RecurrentPolicy) -> RecurrentPolicy:
        return policy

    def init(self, policy: RecurrentPolicy, key: Key, steps: int) -> Learner:
        """Fresh parameters and optimiser state."""
        policy_key, auxiliary_key = jax.random.split(key)
        params = {
            "policy": policy.init(policy_key),
            "auxiliary": {
                loss.kind: loss.init(jax.random.fold_in(auxiliary_key, i), policy)
                for i, loss in enumerate(self.auxiliary)
            },
        }
        intrinsic = apply.init(self.intrinsic, jax.random.fold_in(auxiliary_key, 1_000), policy)
        if intrinsic:
            params["intrinsic"] = intrinsic
        return Learner(params, self.optimiser().init(params))

    def start(self, state: Learner, params: PyTree) -> Learner:
        return state._replace(params={**state.params, "policy": params})

    def acting(self, state: Learner, rates: dict[str, Float[Array, ""]]) -> PyTree:
        return state.params["policy"]

    def update(
        self,
        policy: RecurrentPolicy,
        state: Learner,
        trajectory: Trajectory,
        rates: dict[str, Float[Array, ""]],
        key: Key,
    ) -> tuple[Learner, dict[str, Float[Array, ""]]]:
        """Add what intrinsic rewards pay, and learn."""
        chosen = Rates.of(rates)
        trajectory, paid = apply.pay(
            self.intrinsic, policy, state.params, trajectory, chosen.intrinsic, chosen.steps
        )  # fmt: skip
        state, told = self.learn(policy, state, trajectory, chosen, key)
        return state, {**told, **paid, "learning_rate": chosen.learning_rate, "entropy_weight": chosen.entropy}
