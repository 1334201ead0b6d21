"""Recurrent proximal policy optimization of one independent learner.

An update reads one batch of whole episodes in `minibatches` steps. Episodes are cut into sequences; each
minibatch takes `sequences` of them in shuffled order, as many passes over the batch as that makes. Memories at
the sequences' starts, values and advantages are recomputed with the present parameters every `recompute_every`
minibatches.

With a teacher, scripted or trained, that says at every step of the learner's own episodes what it would do there, the
loss has a term more: -log pi(the teacher's action), weighed by the rate `teaching`. Alone it is DAgger, imitation where
the learner itself gets to; falling to 0 it gives reinforcement learning a start. A trained teacher's action is drawn
from its policy, so that the term is, in the mean, the cross-entropy of the two policies. In a share of steps, the rate
`heeding`, the learner does as the teacher says, so that at first it meets what the teacher would. Of those steps, too,
the policy gradient knows only the learner's own probabilities; let the share fall to 0 where reward is to count.

Source: Ndousse et al. 2021, sections 4.2 and 7.2; Schulman et al. 2017, arXiv:1707.06347. Of teaching: Ross et al.
2011, arXiv:1011.0686; Rusu et al. 2015, arXiv:1511.06295; Schmitt et al. 2018, arXiv:1803.03835.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError
from rookery.learning import batch_sharding
from rookery.learning.actor_critic import ActorCritic, LearnerState, ScheduledHparams
from rookery.learning.advantage import gae, reference_code_gae
from rookery.learning.auxiliary import AuxiliaryConfig
from rookery.learning.auxiliary.frame_prediction import masked_mean
from rookery.learning.intrinsic import IntrinsicConfig, combine
from rookery.types import PRNGKey, PyTree, Trajectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class PPO(ActorCritic):
    """Configuration. Defaults are the paper's novice; what a schedule changes is in `Rates`."""

    kind: Literal["ppo"] = "ppo"
    sequence_length: int = 16  # steps
    num_minibatches: int = 20  # gradient steps an update, one after another
    minibatch_size: int = 512  # in a minibatch
    recompute_every: int | None = 2  # minibatches; None: only once, at the start
    gamma: float = 0.993  # per step
    gae_lambda: float = 0.97  # lambda of the advantage estimate
    clip_eps: float = 0.2
    vf_coef: float = 0.1
    target_kl: float | None = 0.01  # no further minibatch in this update once exceeded
    rollback_kl: float | None = 0.03  # once exceeded, parameters and optimizer go back to before the update
    advantage: Literal["gae", "reference_code"] = "gae"
    max_grad_norm: float | None = None  # global
    adam_eps: float = 1e-8
    auxiliary: tuple[AuxiliaryConfig, ...] = ()
    intrinsic: tuple[IntrinsicConfig, ...] = ()
    teacher: str | None = None
    """The task's scripted expert of one sight, 'map' or 'own'; or a trained agent, by its name in the zoo or the path
    of its .safetensors file. It sees the cells that its pupil's view covers, as it was trained to, and every goal."""

    supports_teacher: ClassVar[bool] = True
    normalize_advantages: ClassVar[bool] = True  # advantages, over the steps of a batch that count
    hparams: ClassVar[dict[str, Any]] = {
        "learning_rate": 1e-4,
        "ent_coef": 1e-5,
        "aux_loss_scale": 1.0,
        "intrinsic_scale": 1.0,
        "distill_coef": 1.0,
        "teacher_action_prob": 0.0,
    }
    nan_guarded_metrics: ClassVar[tuple[str, ...]] = ("policy_loss", "value_loss", "entropy", "approx_kl_max")

    def __post_init__(self):
        for field in ("sequence_length", "num_minibatches", "minibatch_size"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field}={getattr(self, field)} must be at least 1")
        if self.recompute_every is not None and not 1 <= self.recompute_every <= self.num_minibatches:
            raise ConfigError(
                f"recompute_every={self.recompute_every} must lie in [1, num_minibatches={self.num_minibatches}]"
            )
        if self.recompute_every is not None and self.num_minibatches % self.recompute_every:
            raise ConfigError(f"recompute_every={self.recompute_every} must divide num_minibatches={self.num_minibatches}")
        for field in ("gamma", "gae_lambda"):
            if not 0 < getattr(self, field) <= 1:
                raise ConfigError(f"{field}={getattr(self, field)} must lie in (0, 1]")
        for field in ("clip_eps", "vf_coef", "target_kl", "rollback_kl", "max_grad_norm", "adam_eps"):
            value = getattr(self, field)
            if value is not None and value < 0:
                raise ConfigError(f"{field}={value} must be at least 0")
        if self.advantage not in ("gae", "reference_code"):
            raise ConfigError(f"advantage={self.advantage!r} is not known; allowed: 'gae', 'reference_code'")
        kinds = [auxiliary.kind for auxiliary in self.auxiliary]
        if len(set(kinds)) != len(kinds):
            raise ConfigError(f"auxiliary losses {kinds} must differ from each other")
        combine.check_distinct_kinds(self.intrinsic)

    def surrogate(self, log_prob: Array, old_log_prob: Array, advantage: Array) -> Array:
        """What a step adds to the objective: Schulman et al. 2017, equation 7."""
        ratio = jnp.exp(log_prob - old_log_prob)
        clipped = jnp.clip(ratio, 1 - self.clip_eps, 1 + self.clip_eps)
        return jnp.minimum(ratio * advantage, clipped * advantage)

    def optimizer(self) -> optax.GradientTransformation:
        """Adam without its step size, which `Rates` brings."""
        clip = optax.clip_by_global_norm(self.max_grad_norm) if self.max_grad_norm else optax.identity()
        return optax.chain(clip, optax.scale_by_adam(eps=self.adam_eps))

    def validate(self, episodes: int, steps: int) -> None:
        return None

    def learn(
        self,
        policy: RecurrentPolicy,
        state: LearnerState,
        trajectory: Trajectory,
        hparams: ScheduledHparams,
        key: PRNGKey,
    ) -> tuple[LearnerState, dict[str, Float[Array, ""]]]:
        return ppo_update(self, policy, state, trajectory, hparams, key)


MIN_EPISODES_PER_SHARD = 16
"""At least so many go into one lane: a product of fewer rows costs a processor as much as of so many."""

ActorCriticConfig: TypeAlias = Any
"""PPO, or A2C, which shares what does not depend on the objective."""


class RecomputedBatch(NamedTuple):
    """What is recomputed with the present parameters, padded in time to whole sequences."""

    carry: PyTree  # memory before each sequence's first observation, f32[C, E, M]
    advantage: Float[Array, "T E"]  # normalized over the steps that count
    target: Float[Array, "T E"]  # for the critic
    moa_carry: dict[str, PyTree] = {}  # noqa: RUF012 (never changed): memories of models of others likewise, by kind
    message_estimates: tuple[Array, Array] | None = None  # advantage and target of what was said, f32[T, E] each


def recompute(
    config: ActorCriticConfig, policy: RecurrentPolicy, params: PyTree, trajectory: Trajectory
) -> RecomputedBatch:
    """Unroll the whole batch with present parameters: memories, advantages and critic targets."""
    steps, episodes = trajectory.action.shape
    number = batch_sharding.num_shards(episodes, min_per_shard=MIN_EPISODES_PER_SHARD) if policy.cpu_chunk_size else 1

    def starts(memory):
        return jax.tree.map(lambda x: x[: steps : config.sequence_length], memory)

    def unroll(read):
        observation, is_first, heard = read
        blank = policy.initial_carry(episodes // number)
        _, value, hidden, before = policy.unroll(params["policy"], blank, observation, is_first, *_comms_args(heard))
        worth = None if trajectory.messages is None else policy.message_logits_and_value(params["policy"], hidden)[1]
        return value, worth, starts(before)

    read = (trajectory.observation, trajectory.is_first, trajectory.comms_obs)
    value, worth, carry = batch_sharding.join_shards(
        batch_sharding.map_shards(unroll, batch_sharding.split_shards(read, number, 1)), 1
    )
    advantage, target = _advantages_and_targets(config, trajectory, trajectory.reward, value)
    own = {
        plug.kind: starts(plug.pre_step_state(params, policy, trajectory))
        for plug in combine.trainable(config.intrinsic)
    }
    speech = None
    if trajectory.messages is not None:
        speech = _advantages_and_targets(config, trajectory, trajectory.messages.reward, worth)  # type: ignore[arg-type]
    return RecomputedBatch(carry, advantage, target, own, speech)


def _comms_args(comms_obs: Array | None) -> tuple[Array, ...]:
    """What a policy hears, as further arguments of its unroll: none where it hears nothing."""
    return () if comms_obs is None else (comms_obs,)


def _advantages_and_targets(
    config: ActorCriticConfig, trajectory: Trajectory, reward: Any, value: Array
) -> tuple[Array, Array]:
    """Advantages, and targets for the critic, of one kind of reward and value (f32[T, E], f32[T+1, E])."""
    # An episode ends before the next opening and at the end of the batch.
    done = trajectory.terminated | trajectory.is_first[1:].at[-1].set(True)
    arguments = (reward, value[:-1], value[1:], trajectory.terminated, done)
    numbers = {"gamma": config.gamma, "gae_lambda": config.gae_lambda}
    if config.advantage == "reference_code":
        advantage, target = jax.vmap(lambda *a: reference_code_gae(*a, **numbers), 1, 1)(*arguments)
    else:
        advantage = jax.vmap(lambda *a: gae(*a, **numbers), 1, 1)(*arguments)
        target = advantage + value[:-1]
    if not config.normalize_advantages:
        return advantage, target
    mean = masked_mean(advantage, trajectory.loss_mask)
    spread = jnp.sqrt(masked_mean((advantage - mean) ** 2, trajectory.loss_mask))
    return (advantage - mean) / (spread + 1e-8), target


class Sequences(NamedTuple):
    """N sequences of L steps."""

    observation: jax.Array  # u8[L+1, N, ...]
    is_first: Bool[Array, "L+1 N"]
    action: Int[Array, "L N"]
    log_prob: Float[Array, "L N"]
    loss_mask: Bool[Array, "L N"]
    advantage: Float[Array, "L N"]
    target: Float[Array, "L N"]
    carry: PyTree  # f32[N, M]
    moa_carry: dict[str, PyTree] = {}  # noqa: RUF012 (never changed): memories of models of others, by kind, f32[N, M]
    comms_obs: Array | None = None  # u8[L, N, H]
    others: Any = None  # a `Company` of L+1 moments; beyond the end, the last again
    next_in_episode: Any = None  # bool[L, N]: the next moment is a step of the same episode
    messages: tuple[Array, ...] | None = None  # message, its log-probability, advantage and target, [L, N] each
    teacher_action: Array | None = None  # i32[L, N], the teacher's actions


def take_sequences(
    config: ActorCriticConfig, trajectory: Trajectory, recomputed: RecomputedBatch, indices: Int[Array, "N"]
) -> Sequences:
    """Take sequences by number: number n is chunk n // E of episode n % E. The last chunk is padded, masked."""
    steps, episodes = trajectory.action.shape
    chunk, episode = indices // episodes, indices % episodes
    time = chunk * config.sequence_length + jnp.arange(config.sequence_length + 1)[:, None]  # L+1, N
    within = time < steps
    now = jnp.minimum(time[:-1], steps - 1)
    with_next = jnp.minimum(time, steps)
    company, follows, said = trajectory.others, None, None
    if company is not None:
        moments = jnp.minimum(time, steps - 1)
        company = jax.tree.map(lambda x: x[moments, episode], company)
        opens = trajectory.is_first[with_next, episode][1:]
        counts = trajectory.loss_mask[moments, episode]
        follows = counts[:-1] & counts[1:] & within[1:] & ~opens
    if trajectory.messages is not None and recomputed.message_estimates is not None:
        spoken = (trajectory.messages.message, trajectory.messages.log_prob, *recomputed.message_estimates)
        said = tuple(x[now, episode] for x in spoken)
    return Sequences(
        observation=trajectory.observation[with_next, episode],
        is_first=trajectory.is_first[with_next, episode],
        action=trajectory.action[now, episode],
        log_prob=trajectory.log_prob[now, episode],
        loss_mask=trajectory.loss_mask[now, episode] & within[:-1],
        advantage=recomputed.advantage[now, episode],
        target=recomputed.target[now, episode],
        carry=jax.tree.map(lambda x: x[chunk, episode], recomputed.carry),
        moa_carry=jax.tree.map(lambda x: x[chunk, episode], recomputed.moa_carry),
        comms_obs=None if trajectory.comms_obs is None else trajectory.comms_obs[now, episode],
        others=company,
        next_in_episode=follows,
        messages=said,
        teacher_action=None if trajectory.teacher_action is None else trajectory.teacher_action[now, episode],
    )


def loss_denominators(config: ActorCriticConfig, batch: Sequences) -> dict[str, Float[Array, ""]]:
    """How much counts: steps for the policy ('steps') and for each auxiliary loss, predictions for each model of
    others; at least 1."""
    found = {"steps": batch.loss_mask.sum()}
    for auxiliary in config.auxiliary:
        found[auxiliary.kind] = auxiliary.loss_mask(batch.loss_mask, batch.is_first[1:]).sum()
    for model in combine.trainable(config.intrinsic):
        found[model.kind] = model.loss_mask(batch.others, batch.next_in_episode).sum()
    return {name: jnp.maximum(count, 1).astype(jnp.float32) for name, count in found.items()}


def actor_critic_loss(
    config: ActorCriticConfig,
    policy: RecurrentPolicy,
    params: PyTree,
    batch: Sequences,
    hparams: ScheduledHparams,
    denominators: dict[str, jax.Array],
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """A minibatch's loss and its parts: sums over `batch` divided by `total`.

    With the totals of a whole minibatch, the losses and gradients of its parts add up to the whole's.
    Source: Ndousse et al. 2021, section 4.2 and appendix 7.2.
    """

    def mean(x):
        return jnp.sum(x * batch.loss_mask) / denominators["steps"]

    logits, value, hidden, _ = policy.unroll(
        params["policy"], batch.carry, batch.observation[:-1], batch.is_first[:-1], *_comms_args(batch.comms_obs)
    )
    log_probs = jax.nn.log_softmax(logits)
    log_prob = jnp.take_along_axis(log_probs, batch.action[..., None], -1)[..., 0]
    difference = log_prob - batch.log_prob
    ratio = jnp.exp(difference)
    parts = {
        "policy_loss": -mean(config.surrogate(log_prob, batch.log_prob, batch.advantage)),
        "value_loss": mean((value - batch.target) ** 2),
        "entropy": mean(-jnp.sum(jnp.exp(log_probs) * log_probs, -1)),
        # Non-negative and unbiased: KL(old || new) = E_old[(ratio - 1) - log ratio].
        "approx_kl": mean(ratio - 1 - difference),
    }
    if config.clip_eps is not None:
        parts["clip_fraction"] = mean(jnp.abs(ratio - 1) > config.clip_eps)
    whole = parts["policy_loss"] + config.vf_coef * parts["value_loss"] - hparams.ent_coef * parts["entropy"]
    if batch.teacher_action is not None:
        parts["distill_loss"] = -mean(jnp.take_along_axis(log_probs, batch.teacher_action[..., None], -1)[..., 0])
        parts["teacher_agreement"] = mean(logits.argmax(-1) == batch.teacher_action)
        whole = whole + hparams.distill_coef * parts["distill_loss"]
    for auxiliary in config.auxiliary:
        counts = auxiliary.loss_mask(batch.loss_mask, batch.is_first[1:])
        own = params["auxiliary"][auxiliary.kind]
        error = (
            auxiliary.loss(own, policy, hidden, batch.observation, batch.action, counts) / denominators[auxiliary.kind]
        )
        parts[f"aux_loss/{auxiliary.kind}"] = error
        whole = whole + hparams.aux_loss_scale * auxiliary.weight * error
    for model in combine.trainable(config.intrinsic):
        counts = model.loss_mask(batch.others, batch.next_in_episode)
        error = model.loss(params, policy, batch, counts) / denominators[model.kind]
        parts[f"moa_loss/{model.kind}"] = error
        whole = whole + hparams.aux_loss_scale * model.loss_weight * error
    if batch.messages is not None:
        added, told = _message_loss(config, policy, params, batch, hidden, mean)
        whole, parts = whole + added, parts | told
    return whole, parts


def _message_loss(
    config: ActorCriticConfig, policy: RecurrentPolicy, params: PyTree, batch: Sequences, hidden: Array, mean: Callable
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """The loss of what was said: as of what was done, with a policy, a value and rewards of its own."""
    message, old, advantage, target = batch.messages  # type: ignore[misc]
    says, worth = policy.message_logits_and_value(params["policy"], hidden)
    log_probs = jax.nn.log_softmax(says)
    log_prob = jnp.take_along_axis(log_probs, message[..., None], -1)[..., 0]
    parts = {
        "message_policy_loss": -mean(config.surrogate(log_prob, old, advantage)),
        "message_value_loss": mean((worth - target) ** 2),
        "message_entropy": mean(-jnp.sum(jnp.exp(log_probs) * log_probs, -1)),
    }
    plug = combine.message_influence(config.intrinsic)
    whole = parts["message_policy_loss"] + config.vf_coef * parts["message_value_loss"]
    return plug.loss_weight * (whole - plug.ent_coef * parts["message_entropy"]), parts


def gradient(
    config: ActorCriticConfig, policy: RecurrentPolicy, params: PyTree, batch: Sequences, hparams: ScheduledHparams
) -> tuple[dict[str, Float[Array, ""]], PyTree]:
    """A minibatch's loss parts and gradient, summed over parts that fit the caches where that pays, in lanes."""
    total = loss_denominators(config, batch)
    differentiate = jax.grad(lambda p, b: actor_critic_loss(config, policy, p, b, hparams, total), has_aux=True)
    length, sequences = batch.action.shape
    pieces = _num_pieces(sequences, length, policy.cpu_chunk_size)
    if pieces == 1:
        slope, parts = differentiate(params, batch)
        return parts, slope

    # Time leads everything but memories.
    memories = {"carry": batch.carry, "moa_carry": batch.moa_carry}
    small = batch_sharding.split_shards(batch._replace(**dict.fromkeys(memories)), pieces, 1)
    small = small._replace(**batch_sharding.split_shards(memories, pieces, 0))

    def add(so_far, piece):
        return jax.tree.map(jnp.add, so_far, differentiate(params, piece)), None

    nothing = jax.tree.map(
        lambda x: jnp.zeros(x.shape, x.dtype),
        jax.eval_shape(differentiate, params, jax.tree.map(lambda x: x[0], small)),
    )
    small = batch_sharding.split_shards(small, batch_sharding.num_shards(pieces), 0)
    sums = batch_sharding.map_shards(lambda own: jax.lax.scan(add, nothing, own)[0], small)
    slope, parts = batch_sharding.ordered_sum(sums)
    return parts, slope


def _num_pieces(num_sequences: int, length: int, cpu_chunk_size: int | None) -> int:
    """Into how many equal parts to cut a minibatch so that each holds about `cpu_chunk_size` observations."""
    if cpu_chunk_size is None:
        return 1
    wanted = max(1, num_sequences * length // cpu_chunk_size)
    return max(n for n in range(1, wanted + 1) if num_sequences % n == 0)


def ppo_update(
    config: PPO,
    policy: RecurrentPolicy,
    learner_state: LearnerState,
    trajectory: Trajectory,
    hparams: ScheduledHparams,
    key: PRNGKey,
) -> tuple[LearnerState, dict[str, Float[Array, ""]]]:
    """One update from one batch. Returns the new learner and the means of what its minibatches measured."""
    steps, episodes = trajectory.action.shape
    total = -(-steps // config.sequence_length) * episodes
    wanted = config.num_minibatches * config.minibatch_size
    passes = -(-wanted // total)
    shuffled = jax.vmap(lambda k: jax.random.permutation(k, total))(jax.random.split(key, passes))
    every = config.recompute_every or config.num_minibatches
    order = shuffled.reshape(-1)[:wanted].reshape(config.num_minibatches // every, every, config.minibatch_size)
    optimizer = config.optimizer()

    def exceeds(kl, bound):
        return jnp.bool_(False) if bound is None else ~(kl <= bound)  # NaN exceeds every bound

    def apply(learner: LearnerState, slope) -> LearnerState:
        change, state = optimizer.update(slope, learner.opt_state, learner.params)
        change = jax.tree.map(lambda c: -hparams.learning_rate * c, change)
        return LearnerState(optax.apply_updates(learner.params, change), state)

    def minibatch(loop, chosen):
        learner, fresh, _, worst = loop
        parts, slope = gradient(
            config, policy, learner.params, take_sequences(config, trajectory, fresh, chosen), hparams
        )
        worst = jnp.maximum(worst, parts["approx_kl"])
        # The minibatch that trips the stop is measured but takes no step.
        trips = exceeds(parts["approx_kl"], config.target_kl) | exceeds(parts["approx_kl"], config.rollback_kl)
        learner = jax.tree.map(lambda old, new: jnp.where(trips, old, new), learner, apply(learner, slope))
        return (learner, fresh, trips, worst), (parts, jnp.bool_(True), ~trips)

    def skip(loop, chosen):
        told = jax.eval_shape(minibatch, loop, chosen)[1]
        return loop, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), told)

    def group(loop, numbered):
        number, chosen = numbered
        loop, told = jax.lax.scan(lambda l, c: jax.lax.cond(l[2], skip, minibatch, l, c), loop, chosen)
        learner, fresh, stopped, worst = loop
        more = (number + 1 < len(order)) & ~stopped
        fresh = jax.lax.cond(more, lambda: recompute(config, policy, learner.params, trajectory), lambda: fresh)
        return (learner, fresh, stopped, worst), told

    fresh = recompute(config, policy, learner_state.params, trajectory)
    start = (learner_state, fresh, jnp.bool_(False), jnp.float32(0))
    (after, fresh, _, worst), told = jax.lax.scan(group, start, (jnp.arange(len(order)), order))
    parts, measured, taken = told
    # A minibatch tells of the steps before it, so the last step has yet to be judged.
    last = take_sequences(config, trajectory, fresh, order[-1, -1])
    _, closing = actor_critic_loss(config, policy, after.params, last, hparams, loss_denominators(config, last))
    worst = jnp.maximum(worst, closing["approx_kl"])
    reverted = exceeds(worst, config.rollback_kl)
    after = jax.tree.map(lambda old, new: jnp.where(reverted, old, new), learner_state, after)
    metrics = {name: masked_mean(value, measured) for name, value in parts.items()}
    metrics |= {
        "approx_kl_max": worst,
        "rolled_back": reverted.astype(jnp.float32),
        "gradient_steps": taken.sum() * 1.0,
    }
    return after, metrics
