"""What PPO and A2C share: recurrent states, advantages, minibatches of sequences, and the loss of a minibatch.

An update reads one batch of whole episodes. The agents' actions are those of the policy that learns. Losses are sums
divided by what they are sums over, so that losses and gradients of parts of a minibatch add up.

Source: Ndousse et al. 2021, section 3.2 and appendix 7.8.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from rookery import keys
from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError
from rookery.interfaces import Learner, LossInputs
from rookery.learning import batch_sharding, health
from rookery.learning.advantage import fill_absent_values, gae, reference_code_gae
from rookery.learning.configs import check_losses, check_range
from rookery.learning.extra_losses import add_extra_losses, init_auxiliary_params, loss_denominators
from rookery.learning.intrinsic import combine
from rookery.learning.masking import masked_mean
from rookery.learning.requested import only_requested
from rookery.types import MessageMinibatch, PRNGKey, PyTree, Sequences, Trajectory

MIN_EPISODES_PER_SHARD = 16
"""Episodes in a shard, at least: a matrix product with fewer rows takes a processor as long as with this many."""


class ScheduledHparams(NamedTuple):
    """Numbers that may change from update to update, f32[] each."""

    learning_rate: jax.Array
    ent_coef: jax.Array  # weight of the entropy bonus
    aux_loss_scale: jax.Array  # factor on every auxiliary loss's own weight
    intrinsic_scale: jax.Array | float = 1.0  # factor on every intrinsic reward's own weight
    timesteps: jax.Array | float = 0.0  # environment steps of the run so far
    distill_coef: jax.Array | float = 0.0  # weight of the loss of imitating the teacher

    @classmethod
    def from_dict(cls, hparams: dict[str, jax.Array]) -> ScheduledHparams:
        """From the numbers by name, as a run passes them."""
        return cls(
            learning_rate=hparams["learning_rate"],
            ent_coef=hparams["ent_coef"],
            aux_loss_scale=hparams["aux_loss_scale"],
            intrinsic_scale=hparams.get("intrinsic_scale", 1.0),
            timesteps=hparams.get("timesteps", 0.0),
            distill_coef=hparams.get("distill_coef", 0.0),
        )


class LearnerState(NamedTuple):
    """Everything one learner keeps between updates."""

    params: PyTree  # {'policy', 'auxiliary'}, and 'intrinsic' if an intrinsic reward has parameters
    opt_state: PyTree
    intrinsic_state: dict[str, PyTree] = {}  # noqa: RUF012 (never changed): by kind, of rewards that keep any


class ActorCritic(Learner):
    """Base class of PPO and A2C, which define `surrogate`, `optimizer`, `learn`, and settings.

    Fields: those without a default here are required; their ranges are checked. `auxiliary` and `intrinsic` are fields
    where a configuration can set them, and `max_grad_norm` where `optimizer` clips. `hparams` has at least
    `learning_rate`, `ent_coef` and `aux_loss_scale`, and `intrinsic_scale` where a schedule can change it.
    """

    sequence_length: int  # steps
    num_minibatches: int
    gamma: float  # discount per step
    gae_lambda: float
    vf_coef: float
    normalize_advantages: bool  # over the steps of a batch that count
    clip_eps: float | None = None
    """If there is one, the fraction of probability ratios outside 1 ± clip_eps is a metric."""
    advantage: Literal["gae", "reference_code"] = "gae"
    max_grad_norm: float | None = None  # global

    supports_communication: ClassVar[bool] = True
    supports_sharding: ClassVar[bool] = True

    def __post_init__(self) -> None:
        settings = {field.name for field in dataclasses.fields(self)}  # type: ignore[arg-type] (derived ones are)

        def check(*names: str, **limits: Any) -> None:
            check_range(self, [name for name in names if name in settings], **limits)

        check("sequence_length", "num_minibatches", low=1)
        check("gamma", high=1, exclude_low=True)
        check("gae_lambda", high=1)
        check("clip_eps", "vf_coef", "max_grad_norm")
        if self.advantage not in ("gae", "reference_code"):
            raise ConfigError(f"advantage={self.advantage!r} is not known; allowed: 'gae', 'reference_code'")
        check_losses(self.auxiliary, self.intrinsic)

    def shape_advantages(self, advantage: Float[Array, "T E"], trajectory: Trajectory) -> Float[Array, "T E"]:
        """The advantages that actions learn from, before they are normalized. Default: those of the rewards.

        Messages learn from those of their own rewards.
        """
        return advantage

    def surrogate(self, log_prob: Array, old_log_prob: Array, advantage: Array) -> Array:
        """What each step adds to the objective; its gradient is the policy gradient."""
        raise NotImplementedError(f"{type(self).__name__} needs a method surrogate(log_prob, old_log_prob, advantage)")

    def optimizer(self) -> optax.GradientTransformation:
        """The optimizer, without its learning rate."""
        raise NotImplementedError(f"{type(self).__name__} needs a method optimizer()")

    def learn(
        self,
        policy: RecurrentPolicy,
        state: LearnerState,
        trajectory: Trajectory,
        hparams: ScheduledHparams,
        key: PRNGKey,
    ) -> tuple[LearnerState, dict[str, Float[Array, ""]]]:
        """One update from episodes whose rewards include the intrinsic ones."""
        raise NotImplementedError(
            f"{type(self).__name__} needs a method learn(policy, state, trajectory, hparams, key)"
        )

    def init(self, policy: RecurrentPolicy, key: PRNGKey, steps: int) -> LearnerState:
        policy_key, auxiliary_key = jax.random.split(key)
        params = {
            "policy": policy.init(policy_key),
            "auxiliary": init_auxiliary_params(self.auxiliary, auxiliary_key, policy),
        }
        intrinsic_key = jax.random.fold_in(auxiliary_key, keys.INTRINSIC_REWARD_PARAMS)
        intrinsic = combine.init_params(self.intrinsic, intrinsic_key, policy)
        if intrinsic:
            params["intrinsic"] = intrinsic
        return LearnerState(params, self.optimizer().init(params), combine.init_states(self.intrinsic, policy))

    def update(
        self,
        policy: RecurrentPolicy,
        state: LearnerState,
        trajectory: Trajectory,
        hparams: dict[str, Float[Array, ""]],
        key: PRNGKey,
    ) -> tuple[LearnerState, dict[str, Float[Array, ""]]]:
        """Add intrinsic rewards, and learn."""
        scheduled = ScheduledHparams.from_dict(hparams)
        trajectory, intrinsic_state, intrinsic_metrics = combine.add_intrinsic_rewards(
            self.intrinsic, policy, state.params, state.intrinsic_state, trajectory, scheduled.intrinsic_scale,
            scheduled.timesteps,
        )  # fmt: skip
        state = state._replace(intrinsic_state=intrinsic_state)
        state, metrics = self.learn(policy, state, trajectory, scheduled, key)
        rates = {"learning_rate": scheduled.learning_rate, "ent_coef": scheduled.ent_coef}
        return state, {**metrics, **intrinsic_metrics, **rates}

    def health(
        self,
        policy: RecurrentPolicy,
        state: LearnerState,
        trajectory: Trajectory,
        agent_scores: Callable[[Array], Array | None],
    ) -> dict[str, Float[Array, ""]]:
        """What losses and rewards measure; and, with auxiliary losses, gradient norms of the losses on shared layers.

        Each norm is of the loss times its own weight, without what schedules multiply it by.
        """
        metrics = health.measure_losses(self.auxiliary, self.intrinsic, policy, state.params, trajectory, agent_scores)
        if not self.auxiliary:
            return metrics
        trajectory = trajectory.replace(messages=None)  # their reward is not computed on held-out episodes
        recomputed = recompute(self, policy, state.params, trajectory)
        batch = take_sequences(self, trajectory, recomputed, jnp.arange(num_sequences(self, trajectory)))
        denominators = loss_denominators(self.auxiliary, self.intrinsic, batch)
        unscaled = ScheduledHparams(*jnp.zeros(2), aux_loss_scale=jnp.float32(1.0))

        def losses(policy_params):
            params = {**state.params, "policy": policy_params}
            key = jax.random.PRNGKey(0)  # of losses that sample: the same numbers at every checkpoint
            terms = actor_critic_loss(self, policy, params, batch, unscaled, denominators, key)[1]
            weighted = {loss.kind: loss.weight * terms[f"aux_loss/{loss.kind}"] for loss in self.auxiliary}
            return {"policy": terms["policy_loss"], "value": self.vf_coef * terms["value_loss"], **weighted}

        return metrics | health.gradient_norms(losses, state.params["policy"])


class RecomputedBatch(NamedTuple):
    """What is recomputed with the current parameters. C sequences of each of E episodes."""

    carry: PyTree  # state of the recurrent cell before each sequence, f32[C, E, ...]
    advantage: Float[Array, "T E"]  # normalized over the steps that count, if the learner normalizes
    target: Float[Array, "T E"]  # of the value
    intrinsic_carry: dict[str, PyTree] = {}  # noqa: RUF012 (never changed): as `carry`, of intrinsic rewards by kind
    message_estimates: tuple[Array, Array] | None = None  # advantage and target of the messages, f32[T, E] each


def recompute(config: ActorCritic, policy: RecurrentPolicy, params: PyTree, trajectory: Trajectory) -> RecomputedBatch:
    """Read the whole batch with the current parameters: recurrent states, advantages and value targets."""
    steps, episodes = trajectory.action.shape
    if policy.cpu_chunk_size:
        num_shards = batch_sharding.num_shards(episodes, min_per_shard=MIN_EPISODES_PER_SHARD)
    else:
        num_shards = batch_sharding.shards_of_devices(episodes)

    def at_starts(pre_step_states):
        return jax.tree.map(lambda x: x[: steps : config.sequence_length], pre_step_states)

    def unroll(inputs):
        observation, is_first, comms_obs = inputs
        initial = policy.initial_carry(episodes // num_shards)
        _, value, hidden, pre_step_states = policy.unroll(
            params["policy"], initial, observation, is_first, *_comms_args(comms_obs)
        )
        message_value = None
        if trajectory.messages is not None:
            message_value = policy.message_logits_and_value(params["policy"], hidden)[1]
        return value, message_value, at_starts(pre_step_states)

    inputs = (trajectory.observation, trajectory.is_first, trajectory.comms_obs)
    value, message_value, carry = batch_sharding.join_shards(
        batch_sharding.map_shards(unroll, batch_sharding.split_shards(inputs, num_shards, 1)), 1
    )
    advantage, target = _advantages_and_targets(config, trajectory, trajectory.reward, value)
    advantage = _normalize(config, config.shape_advantages(advantage, trajectory), trajectory.loss_mask)
    intrinsic_carry = {}
    for reward in config.intrinsic:
        pre_step_states = reward.pre_step_state(params, policy, only_requested(reward, trajectory))
        if pre_step_states is not None:
            intrinsic_carry[reward.kind] = at_starts(pre_step_states)
    message_estimates = None
    if trajectory.messages is not None:
        message_advantage, message_target = _advantages_and_targets(
            config, trajectory, trajectory.messages.reward, message_value
        )
        message_estimates = _normalize(config, message_advantage, trajectory.loss_mask), message_target
    return RecomputedBatch(carry, advantage, target, intrinsic_carry, message_estimates)


def _comms_args(comms_obs: Array | None) -> tuple[Array, ...]:
    """Further arguments of a policy's `unroll`: its communication observation, if it has any."""
    return () if comms_obs is None else (comms_obs,)


def _advantages_and_targets(
    config: ActorCritic, trajectory: Trajectory, reward: Any, value: Any
) -> tuple[Array, Array]:
    """Advantages and value targets, f32[T, E] each, for these rewards f32[T, E] and values f32[T+1, E]."""
    if trajectory.agent_mask is not None:
        value = _fill_absent(config, trajectory, value)
    # An episode ends before the next one opens, and at the end of the batch.
    done = trajectory.terminated | trajectory.is_first[1:].at[-1].set(True)
    arguments = (reward, value[:-1], value[1:], trajectory.terminated, done)
    discounts = {"gamma": config.gamma, "gae_lambda": config.gae_lambda}
    if config.advantage == "reference_code":
        advantage, target = jax.vmap(lambda *a: reference_code_gae(*a, **discounts), 1, 1)(*arguments)
    else:
        advantage = jax.vmap(lambda *a: gae(*a, **discounts), 1, 1)(*arguments)
        target = advantage + value[:-1]
    return advantage, target


def _fill_absent(config: ActorCritic, trajectory: Trajectory, value: Array) -> Array:
    """Values f32[T+1, E] without those of observations that the agent missed."""
    discount = 1.0 if config.advantage == "reference_code" else config.gamma
    final = jnp.zeros((1, value.shape[1]), bool)
    terminated, opens_next = (jnp.concatenate([x, final]) for x in (trajectory.terminated, trajectory.is_first[1:]))
    return jax.vmap(lambda *a: fill_absent_values(*a, discount=discount), 1, 1)(
        value, terminated, opens_next & ~terminated, trajectory.agent_mask
    )


def _normalize(config: ActorCritic, advantage: Array, loss_mask: Array) -> Array:
    """Advantages f32[T, E], normalized over the steps that count, if the learner normalizes."""
    if not config.normalize_advantages:
        return advantage
    mean = masked_mean(advantage, loss_mask)
    std = jnp.sqrt(masked_mean((advantage - mean) ** 2, loss_mask))
    return (advantage - mean) / (std + 1e-8)


def num_sequences(config: ActorCritic, trajectory: Trajectory) -> int:
    """How many sequences the episodes of an update are cut into."""
    steps, episodes = trajectory.action.shape
    return -(-steps // config.sequence_length) * episodes


def sequences_that_count(config: ActorCritic, trajectory: Trajectory) -> Bool[Array, "C E"]:
    """Which of the C sequences of each episode have steps that count."""
    steps, episodes = trajectory.action.shape
    padding = -steps % config.sequence_length
    loss_mask = jnp.pad(trajectory.loss_mask, ((0, padding), (0, 0)))
    return loss_mask.reshape(-1, config.sequence_length, episodes).any(1)


def take_sequences(
    config: ActorCritic, trajectory: Trajectory, recomputed: RecomputedBatch, indices: Int[Array, "N"]
) -> Sequences:
    """Take sequences by number: n is chunk n // E of episode n % E. The last chunk is padded with masked steps."""
    steps, episodes = trajectory.action.shape
    chunk, episode = indices // episodes, indices % episodes
    time = chunk * config.sequence_length + jnp.arange(config.sequence_length + 1)[:, None]  # L+1, N
    valid = time < steps
    now, now_and_next, after = jnp.minimum(time[:-1], steps - 1), jnp.minimum(time, steps - 1), jnp.minimum(time, steps)
    is_first, loss_mask = trajectory.is_first[after, episode], trajectory.loss_mask[now_and_next, episode]
    messages = None
    if trajectory.messages is not None and recomputed.message_estimates is not None:
        sent = (trajectory.messages.message, trajectory.messages.log_prob, *recomputed.message_estimates)
        messages = MessageMinibatch(*(x[now, episode] for x in sent))
    return Sequences(
        observation=trajectory.observation[after, episode],
        is_first=is_first,
        action=trajectory.action[now, episode],
        reward=trajectory.reward[now, episode],
        terminated=trajectory.terminated[now, episode],
        loss_mask=trajectory.loss_mask[now, episode] & valid[:-1],
        next_in_episode=loss_mask[:-1] & loss_mask[1:] & valid[1:] & ~is_first[1:],
        carry=jax.tree.map(lambda x: x[chunk, episode], recomputed.carry),
        log_prob=trajectory.log_prob[now, episode],
        advantage=recomputed.advantage[now, episode],
        target=recomputed.target[now, episode],
        intrinsic_carry=jax.tree.map(lambda x: x[chunk, episode], recomputed.intrinsic_carry),
        comms_obs=None if trajectory.comms_obs is None else trajectory.comms_obs[now, episode],
        others=jax.tree.map(lambda x: x[now_and_next, episode], trajectory.others),
        messages=messages,
        teacher_action=None if trajectory.teacher_action is None else trajectory.teacher_action[now, episode],
    )


def actor_critic_loss(
    config: ActorCritic,
    policy: RecurrentPolicy,
    params: PyTree,
    batch: Any,
    hparams: ScheduledHparams,
    denominators: dict[str, Float[Array, ""]],
    key: PRNGKey,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """The loss of a minibatch, or of a part of one, and its terms as metrics.

    Args:
      batch: `Sequences` with `log_prob`, `advantage` and `target`.
      denominators: from `loss_denominators`, of the whole minibatch: losses and gradients of its parts then add up.
      key: for auxiliary losses and losses of intrinsic rewards.
    Source: Ndousse et al. 2021, section 3.2 and appendix 7.8.
    """

    def mean(x):
        return jnp.sum(x * batch.loss_mask) / denominators["steps"]

    logits, value, hidden, _ = policy.unroll(
        params["policy"], batch.carry, batch.observation[:-1], batch.is_first[:-1], *_comms_args(batch.comms_obs)
    )
    log_probs = jax.nn.log_softmax(logits)
    log_prob = jnp.take_along_axis(log_probs, batch.action[..., None], -1)[..., 0]
    log_ratio = log_prob - batch.log_prob
    ratio = jnp.exp(log_ratio)
    terms = {
        "policy_loss": -mean(config.surrogate(log_prob, batch.log_prob, batch.advantage)),
        "value_loss": mean((value - batch.target) ** 2),
        "entropy": mean(-jnp.sum(jnp.exp(log_probs) * log_probs, -1)),
        # Non-negative and unbiased: KL(old || new) = E_old[(ratio - 1) - log ratio].
        "approx_kl": mean(ratio - 1 - log_ratio),
    }
    if config.clip_eps is not None:
        terms["clip_fraction"] = mean(jnp.abs(ratio - 1) > config.clip_eps)
    total = terms["policy_loss"] + config.vf_coef * terms["value_loss"] - hparams.ent_coef * terms["entropy"]
    if batch.teacher_action is not None:
        terms["distill_loss"] = -mean(jnp.take_along_axis(log_probs, batch.teacher_action[..., None], -1)[..., 0])
        terms["teacher_agreement"] = mean(logits.argmax(-1) == batch.teacher_action)
        total = total + hparams.distill_coef * terms["distill_loss"]
    inputs = LossInputs(policy, params["policy"], batch, hidden, key)
    total, extra = add_extra_losses(
        total, config.auxiliary, config.intrinsic, params, inputs, denominators, hparams.aux_loss_scale
    )
    terms |= extra
    if batch.messages is not None:
        message_loss, message_terms = _message_loss(config, policy, params, batch.messages, hidden, mean)
        total, terms = total + message_loss, terms | message_terms
    return total, terms


def _message_loss(
    config: ActorCritic,
    policy: RecurrentPolicy,
    params: PyTree,
    messages: MessageMinibatch,
    hidden: Float[Array, "L N M"],
    mean: Callable,
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """The loss of the message policy and its value, like that of actions, but from the messages' own rewards."""
    logits, value = policy.message_logits_and_value(params["policy"], hidden)
    log_probs = jax.nn.log_softmax(logits)
    log_prob = jnp.take_along_axis(log_probs, messages.message[..., None], -1)[..., 0]
    terms = {
        "message_policy_loss": -mean(config.surrogate(log_prob, messages.log_prob, messages.advantage)),
        "message_value_loss": mean((value - messages.target) ** 2),
        "message_entropy": mean(-jnp.sum(jnp.exp(log_probs) * log_probs, -1)),
    }
    reward = combine.message_reward(config.intrinsic)
    total = terms["message_policy_loss"] + config.vf_coef * terms["message_value_loss"]
    return reward.loss_weight * (total - reward.ent_coef * terms["message_entropy"]), terms


def gradient(
    config: ActorCritic,
    policy: RecurrentPolicy,
    params: PyTree,
    batch: Sequences,
    hparams: ScheduledHparams,
    key: PRNGKey,
) -> tuple[dict[str, Float[Array, ""]], PyTree]:
    """The loss terms of a minibatch, and the gradients of its loss.

    Where the policy reads observations in chunks, the minibatch is split into parts that fit the caches of a CPU; else
    into one for each device that shares it. The parts are shared by the devices of `batch_sharding`, and added up in a
    fixed order. It stays whole for losses that compare sequences (`splits_minibatch`).
    """
    denominators = loss_denominators(config.auxiliary, config.intrinsic, batch)
    grad_and_terms = jax.grad(
        lambda p, b, k: actor_critic_loss(config, policy, p, b, hparams, denominators, k), has_aux=True
    )
    length, count = batch.action.shape
    can_split = all(part.splits_minibatch for part in (*config.auxiliary, *config.intrinsic))
    num_parts = _num_parts(count, length, policy.cpu_chunk_size) if can_split else 1
    if num_parts == 1:
        grads, terms = grad_and_terms(params, batch, key)
        return terms, grads

    # Time is the leading axis of everything but recurrent states.
    states = {"carry": batch.carry, "intrinsic_carry": batch.intrinsic_carry}
    parts = batch_sharding.split_shards(batch._replace(**dict.fromkeys(states)), num_parts, 1)
    parts = parts._replace(**batch_sharding.split_shards(states, num_parts, 0))
    parts = (parts, jax.random.split(key, num_parts))

    def add(sums, part):
        return jax.tree.map(jnp.add, sums, grad_and_terms(params, *part)), None

    shapes = jax.eval_shape(grad_and_terms, params, *jax.tree.map(lambda x: x[0], parts))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    parts = batch_sharding.split_shards(parts, batch_sharding.num_shards(num_parts), 0)
    sums = batch_sharding.map_shards(lambda shard: jax.lax.scan(add, zeros, shard)[0], parts)
    grads, terms = batch_sharding.ordered_sum(sums)
    return terms, grads


def _num_parts(num_sequences: int, length: int, cpu_chunk_size: int | None) -> int:
    """How many equal parts to split a minibatch into so that each holds about `cpu_chunk_size` observations."""
    if cpu_chunk_size is None:
        return batch_sharding.shards_of_devices(num_sequences)
    wanted = max(1, num_sequences * length // cpu_chunk_size)
    return max(n for n in range(1, wanted + 1) if num_sequences % n == 0)
