"""Recurrent proximal policy optimization (PPO) of one independent learner.

An update reads one batch of whole episodes in `num_minibatches` gradient steps. Episodes are cut into sequences; each
minibatch takes `minibatch_size` of them in shuffled order, in as many passes over the batch as that makes. Recurrent
states at the starts of the sequences, values and advantages are recomputed with the current parameters every
`recompute_every` minibatches.

With a teacher, scripted or trained, the loss has one more term: -log pi(the teacher's action) at every step of the
learner's own episodes, with the scheduled weight `distill_coef`. Alone it is DAgger: imitation in the states that the
learner itself reaches. A weight that falls to 0 gives reinforcement learning a start. A trained teacher's action is
sampled from its policy, so that the expected term is the cross-entropy of the two policies. With the scheduled
probability `teacher_action_prob` (DAgger's beta) the learner executes the teacher's action, so that at first it reaches
the states that the teacher would. The policy gradient uses the learner's own probabilities of those actions, too; let
the probability fall to 0 where the reward is to count.

Source: Ndousse et al. 2021, section 3.2 and appendix 7.8; Schulman et al. 2017, arXiv:1707.06347. Teachers: Ross et al.
2011, arXiv:1011.0686; Rusu et al. 2015, arXiv:1511.06295; Schmitt et al. 2018, arXiv:1803.03835.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from rookery import keys
from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError
from rookery.learning.actor_critic import (
    ActorCritic,
    LearnerState,
    RecomputedBatch,
    ScheduledHparams,
    actor_critic_loss,
    gradient,
    num_sequences,
    recompute,
    sequences_that_count,
    take_sequences,
)
from rookery.learning.advantage_alignment import ALIGNMENT_INFO, align_advantages
from rookery.learning.configs import AuxiliaryLossConfig, IntrinsicRewardConfig, check_range
from rookery.learning.extra_losses import loss_denominators
from rookery.learning.health import relative_state_error
from rookery.learning.masking import masked_mean
from rookery.learning.optimizers import apply_gradients, make_optimizer
from rookery.types import PRNGKey, Trajectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class PPO(ActorCritic):
    """Settings; `hparams` are those that a schedule may change. Defaults are the novice's of Ndousse et al. 2021."""

    kind: Literal["ppo"] = "ppo"
    sequence_length: int = 16  # steps
    num_minibatches: int = 20  # gradient steps per update, one after another
    minibatch_size: int = 512  # in sequences
    recompute_every: int | None = 2  # minibatches; None: only once, at the start
    gamma: float = 0.993  # discount per step
    gae_lambda: float = 0.97  # of the advantage estimate
    clip_eps: float = 0.2
    vf_coef: float = 0.1
    target_kl: float | None = 0.01  # once exceeded, the update takes no further gradient step
    rollback_kl: float | None = 0.03  # once exceeded, parameters and optimizer return to those before the update
    advantage: Literal["gae", "reference_code"] = "gae"
    alignment_coef: float = 0.0  # of Advantage Alignment; above 0 the learner receives the other agents' rewards
    max_grad_norm: float | None = None  # global
    adam_eps: float = 1e-8
    auxiliary: tuple[AuxiliaryLossConfig, ...] = ()
    intrinsic: tuple[IntrinsicRewardConfig, ...] = ()
    teacher: str | None = None
    """The task's scripted expert, 'scripted' (it observes the whole map) or 'scripted-partial' (it observes what its
    student does); or a trained agent, by its name in the zoo or the path of its .safetensors file. A trained teacher
    observes the cells that its student's view covers, in the form that it was trained with, and every goal."""

    supports_teacher: ClassVar[bool] = True
    normalize_advantages: ClassVar[bool] = True  # over the steps of a batch that count
    hparams: ClassVar[dict[str, Any]] = {
        "learning_rate": 1e-4,
        "ent_coef": 1e-5,
        "aux_loss_scale": 1.0,
        "intrinsic_scale": 1.0,
        "distill_coef": 1.0,
        "teacher_action_prob": 0.0,
    }
    nan_guarded_metrics: ClassVar[tuple[str, ...]] = ("policy_loss", "value_loss", "entropy", "approx_kl_max")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, ("minibatch_size",), low=1)
        if self.recompute_every is not None:
            minibatches = f"num_minibatches={self.num_minibatches}"
            if not 1 <= self.recompute_every <= self.num_minibatches:
                raise ConfigError(f"recompute_every={self.recompute_every} must lie in [1, {minibatches}]")
            if self.num_minibatches % self.recompute_every:
                raise ConfigError(f"recompute_every={self.recompute_every} must divide {minibatches}")
        # With a bound of 0 every update would stop at once, and with an epsilon of 0 a gradient of 0 is 0/0.
        check_range(self, ("target_kl", "rollback_kl", "adam_eps"), exclude_low=True)
        check_range(self, ("alignment_coef",))

    def validate(self, episodes: int, steps: int) -> None:
        if self.alignment_coef and episodes < 2:
            raise ConfigError(
                f"alignment_coef={self.alignment_coef} compares the episodes of an update with each other, and there "
                "is one; raise num_envs, or set alignment_coef to 0"
            )

    @property
    def required_info(self) -> tuple[str, ...]:
        return ALIGNMENT_INFO if self.alignment_coef else ()

    def shape_advantages(self, advantage: Float[Array, "T E"], trajectory: Trajectory) -> Float[Array, "T E"]:
        if not self.alignment_coef:
            return advantage
        return align_advantages(
            advantage, trajectory.others, trajectory.loss_mask, coef=self.alignment_coef, gamma=self.gamma
        )

    def surrogate(self, log_prob: Array, old_log_prob: Array, advantage: Array) -> Array:
        """The clipped objective. Source: Schulman et al. 2017, equation 7."""
        ratio = jnp.exp(log_prob - old_log_prob)
        clipped = jnp.clip(ratio, 1 - self.clip_eps, 1 + self.clip_eps)
        return jnp.minimum(ratio * advantage, clipped * advantage)

    def optimizer(self) -> optax.GradientTransformation:
        return make_optimizer(self.max_grad_norm, self.adam_eps)

    def learn(
        self,
        policy: RecurrentPolicy,
        state: LearnerState,
        trajectory: Trajectory,
        hparams: ScheduledHparams,
        key: PRNGKey,
    ) -> tuple[LearnerState, dict[str, Float[Array, ""]]]:
        return ppo_update(self, policy, state, trajectory, hparams, key)


class _Loop(NamedTuple):
    """What changes from minibatch to minibatch."""

    state: LearnerState
    recomputed: RecomputedBatch
    stopped: Bool[Array, ""]  # the divergence was too large: nothing more is learned in this update
    max_kl: Float[Array, ""]


def ppo_update(
    config: PPO,
    policy: RecurrentPolicy,
    learner_state: LearnerState,
    trajectory: Trajectory,
    hparams: ScheduledHparams,
    key: PRNGKey,
) -> tuple[LearnerState, dict[str, Float[Array, ""]]]:
    """One update from one batch. Returns the next state, and the means of the minibatches' metrics.

    Where states are recomputed, 'stale_state_error' is the relative error that the first ones would have at the end.
    """
    every = config.recompute_every or config.num_minibatches
    order = _minibatch_order(config, num_sequences(config, trajectory), every, key)
    loss_keys = jax.random.split(jax.random.fold_in(key, keys.LOSSES), config.num_minibatches)
    loss_keys = loss_keys.reshape(*order.shape[:2], *loss_keys.shape[1:])
    optimizer = config.optimizer()

    def minibatch(loop: _Loop, inputs):
        indices, loss_key = inputs
        state, batch = loop.state, take_sequences(config, trajectory, loop.recomputed, indices)
        terms, grads = gradient(config, policy, state.params, batch, hparams, loss_key)
        kl = terms["approx_kl"]
        # The minibatch that exceeds a bound is measured, but its gradients are not applied.
        stopped = _exceeds(kl, config.target_kl) | _exceeds(kl, config.rollback_kl)
        params, opt_state = apply_gradients(optimizer, state.params, state.opt_state, grads, hparams.learning_rate)
        after = state._replace(params=params, opt_state=opt_state)
        state = jax.tree.map(lambda old, new: jnp.where(stopped, old, new), state, after)
        loop = _Loop(state, loop.recomputed, stopped, jnp.maximum(loop.max_kl, kl))
        return loop, (terms, jnp.bool_(True), ~stopped)

    def skip(loop: _Loop, inputs):
        outputs = jax.eval_shape(minibatch, loop, inputs)[1]
        return loop, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), outputs)

    def group(loop: _Loop, inputs):
        """The minibatches between two recomputations."""
        number, *minibatches = inputs
        loop, outputs = jax.lax.scan(
            lambda l, m: jax.lax.cond(l.stopped, skip, minibatch, l, m), loop, tuple(minibatches)
        )
        continues = (number + 1 < len(order)) & ~loop.stopped
        recomputed = jax.lax.cond(
            continues,
            lambda: recompute(config, policy, loop.state.params, trajectory),
            lambda: loop.recomputed,
        )
        return loop._replace(recomputed=recomputed), outputs

    recomputed = recompute(config, policy, learner_state.params, trajectory)
    loop = _Loop(learner_state, recomputed, jnp.bool_(False), jnp.float32(0))
    loop, outputs = jax.lax.scan(group, loop, (jnp.arange(len(order)), order, loss_keys))
    terms, measured, applied = outputs
    # A minibatch measures the divergence before its gradient step, so that of the last step is still to be measured.
    last = take_sequences(config, trajectory, loop.recomputed, order[-1, -1])
    denominators = loss_denominators(config.auxiliary, config.intrinsic, last)
    final = actor_critic_loss(config, policy, loop.state.params, last, hparams, denominators, loss_keys[-1, -1])[1]
    max_kl = jnp.maximum(loop.max_kl, final["approx_kl"])
    rolled_back = _exceeds(max_kl, config.rollback_kl)
    state = jax.tree.map(lambda old, new: jnp.where(rolled_back, old, new), learner_state, loop.state)
    metrics = {name: masked_mean(value, measured) for name, value in terms.items()}
    metrics |= {
        "approx_kl_max": max_kl,
        "rolled_back": rolled_back.astype(jnp.float32),
        "gradient_steps": applied.sum() * 1.0,
    }
    if len(order) > 1:
        counted = sequences_that_count(config, trajectory)
        metrics["stale_state_error"] = relative_state_error(recomputed.carry, loop.recomputed.carry, counted)
    return state, metrics


def _minibatch_order(config: PPO, total: int, every: int, key: PRNGKey) -> Int[Array, "G M N"]:
    """Numbers of the sequences in each minibatch: G groups of M = `every` minibatches of N sequences."""
    size = config.num_minibatches * config.minibatch_size
    passes = -(-size // total)
    shuffled = jax.vmap(lambda k: jax.random.permutation(k, total))(jax.random.split(key, passes))
    return shuffled.reshape(-1)[:size].reshape(config.num_minibatches // every, every, config.minibatch_size)


def _exceeds(kl: Float[Array, ""], bound: float | None) -> Bool[Array, ""]:
    """Whether the divergence is too large; NaN exceeds every bound."""
    return jnp.bool_(False) if bound is None else ~(kl <= bound)
