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
from rookery.learning.intrinsic import combine
from rookery.types import PRNGKey, PyTree, Trajectory


class ScheduledHparams(NamedTuple):
    """Numbers that may change from update to update, f32[] each."""

    learning_rate: jax.Array
    ent_coef: jax.Array  # weight of the entropy bonus
    aux_loss_scale: jax.Array  # factor on every auxiliary loss's own weight
    intrinsic_scale: jax.Array | float = 1.0  # factor on every intrinsic reward's own weight
    timesteps: jax.Array | float = 0.0  # environment steps of the run so far
    distill_coef: jax.Array | float = 0.0  # weight of the teacher's advice, where there is a teacher

    @classmethod
    def from_dict(cls, hparams: dict[str, jax.Array]) -> ScheduledHparams:
        """From the numbers by name, as a run gives them."""
        return cls(
            learning_rate=hparams["learning_rate"],
            ent_coef=hparams["ent_coef"],
            aux_loss_scale=hparams["aux_loss_scale"],
            intrinsic_scale=hparams.get("intrinsic_scale", 1.0),
            timesteps=hparams.get("timesteps", 0.0),
            distill_coef=hparams.get("distill_coef", 0.0),
        )


class LearnerState(NamedTuple):
    """All of one learner: {'policy', 'auxiliary'} parameters, with 'intrinsic' where an intrinsic reward has any; and
    the optimizer's state."""

    params: PyTree
    opt_state: PyTree


class ActorCritic:
    """What `types.Learner` asks for, but `check`; a subclass brings what is named here."""

    auxiliary: tuple[Any, ...]
    intrinsic: tuple[Any, ...]
    optimizer: Callable[[], optax.GradientTransformation]
    learn: Callable[..., tuple[LearnerState, dict[str, Float[Array, ""]]]]

    teacher: str | None = None
    supports_communication: ClassVar[bool] = True
    supports_teacher: ClassVar[bool] = False
    supports_sharding: ClassVar[bool] = True
    """Its updates go in lanes (`learning.lanes`), so cores without a run of their own can share them. A learner that
    does not say so has one core: others would hold copies of all it remembers and do the same work."""

    def eval_policy(self, policy: RecurrentPolicy) -> RecurrentPolicy:
        return policy

    def behavior_policy(self, policy: RecurrentPolicy) -> RecurrentPolicy:
        return policy

    def init(self, policy: RecurrentPolicy, key: PRNGKey, steps: int) -> LearnerState:
        """Fresh parameters and optimizer state."""
        policy_key, auxiliary_key = jax.random.split(key)
        params = {
            "policy": policy.init(policy_key),
            "auxiliary": {
                loss.kind: loss.init(jax.random.fold_in(auxiliary_key, i), policy)
                for i, loss in enumerate(self.auxiliary)
            },
        }
        intrinsic = combine.init_params(self.intrinsic, jax.random.fold_in(auxiliary_key, 1_000), policy)
        if intrinsic:
            params["intrinsic"] = intrinsic
        return LearnerState(params, self.optimizer().init(params))

    def load_pretrained(self, state: LearnerState, params: PyTree) -> LearnerState:
        return state._replace(params={**state.params, "policy": params})

    def behavior_params(self, state: LearnerState, hparams: dict[str, Float[Array, ""]]) -> PyTree:
        return state.params["policy"]

    def update(
        self,
        policy: RecurrentPolicy,
        state: LearnerState,
        trajectory: Trajectory,
        hparams: dict[str, Float[Array, ""]],
        key: PRNGKey,
    ) -> tuple[LearnerState, dict[str, Float[Array, ""]]]:
        """Add what intrinsic rewards pay, and learn."""
        chosen = ScheduledHparams.from_dict(hparams)
        trajectory, paid = combine.add_intrinsic_rewards(
            self.intrinsic, policy, state.params, trajectory, chosen.intrinsic_scale, chosen.timesteps
        )  # fmt: skip
        state, told = self.learn(policy, state, trajectory, chosen, key)
        return state, {**told, **paid, "learning_rate": chosen.learning_rate, "ent_coef": chosen.ent_coef}
