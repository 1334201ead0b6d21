"""Recurrent proximal policy optimisation of one independent learner.

An update reads one batch of whole episodes in `minibatches` steps. Episodes are cut into sequences; each
minibatch takes `sequences` of them in shuffled order, as many passes over the batch as that makes. Memories at
the sequences' starts, values and advantages are recomputed with the present parameters every `refresh_every`
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
from rookery.learning import lanes
from rookery.learning.advantage import authors_gae, gae
from rookery.learning.auxiliary import Auxiliary
from rookery.learning.auxiliary.frame import masked_mean
from rookery.learning.intrinsic import IntrinsicConfig, apply
from rookery.learning.on_policy import Learner, OnPolicy, Rates
from rookery.types import Key, PyTree, Trajectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class PPO(OnPolicy):
    """Configuration. Defaults are the paper's novice; what a schedule changes is in `Rates`."""

    kind: Literal["ppo"] = "ppo"
    sequence_length: int = 16  # steps
    minibatches: int = 20  # gradient steps an update, one after another
    sequences: int = 512  # in a minibatch
    refresh_every: int | None = 2  # minibatches; None: only once, at the start
    discount: float = 0.993  # per step
    decay: float = 0.97  # lambda of the advantage estimate
    clip: float = 0.2
    value_weight: float = 0.1
    kl_stop: float | None = 0.01  # no further minibatch in this update once exceeded
    kl_limit: float | None = 0.03  # once exceeded, parameters and optimiser go back to before the update
    advantage: Literal["gae", "authors"] = "gae"
    max_gradient_norm: float | None = None  # global
    adam_epsilon: float = 1e-8
    auxiliary: tuple[Auxiliary, ...] = ()
    intrinsic: tuple[IntrinsicConfig, ...] = ()
    teacher: str | None = None
    """The task's scripted expert of one sight, 'map' or 'own'; or a trained agent, by its name in the zoo or the path
    of its .safetensors file. It sees the cells that its pupil's view covers, as it was trained to, and every goal."""

    normalise: ClassVar[bool] = True  # advantages, over the steps of a batch that count
    rates: ClassVar[dict[str, Any]] = {
        "learning_rate": 1e-4,
        "entropy": 1e-5,
        "auxiliary_scale": 1.0,
        "intrinsic_scale": 1.0,
        "teaching": 1.0,
        "heeding": 0.0,
    }
    watched: ClassVar[tuple[str, ...]] = ("policy_loss", "value_loss", "entropy", "kl_max")

    def __post_init__(self):
        for field in ("sequence_length", "minibatches", "sequences"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field}={getattr(self, field)} must be at least 1")
        if self.refresh_every is not None and not 1 <= self.refresh_every <= self.minibatches:
            raise ConfigError(f"refresh_every={self.refresh_every} must lie in [1, minibatches={self.minibatches}]")
        if self.refresh_every is not None and self.minibatches % self.refresh_every:
            raise ConfigError(f"refresh_every={self.refresh_every} must divide minibatches={self.minibatches}")
        for field in ("discount", "decay"):
            if not 0 < getattr(self, field) <= 1:
                raise ConfigError(f"{field}={getattr(self, field)} must lie in (0, 1]")
        for field in ("clip", "value_weight", "kl_stop", "kl_limit", "max_gradient_norm", "adam_epsilon"):
            value = getattr(self, field)
            if value is not None and value < 0:
                raise ConfigError(f"{field}={value} must be at least 0")
        if self.advantage not in ("gae", "authors"):
            raise ConfigError(f"advantage={self.advantage!r} is not known; allowed: 'gae', 'authors'")
        kinds = [auxiliary.kind for auxiliary in self.auxiliary]
        if len(set(kinds)) != len(kinds):
            raise ConfigError(f"auxiliary losses {kinds} must differ from each other")
        apply.check(self.intrinsic)

    def surrogate(self, log_prob: Array, old_log_prob: Array, advantage: Array) -> Array:
        """What a step adds to the objective: Schulman et al. 2017, equation 7."""
        ratio = jnp.exp(log_prob - old_log_prob)
        clipped = jnp.clip(ratio, 1 - self.clip, 1 + self.clip)
        return jnp.minimum(ratio * advantage, clipped * advantage)

    def optimiser(self) -> optax.GradientTransformation:
        """Adam without its step size, which `Rates` brings."""
        clip = optax.clip_by_global_norm(self.max_gradient_norm) if self.max_gradient_norm else optax.identity()
        return optax.chain(clip, optax.scale_by_adam(eps=self.adam_epsilon))

    def check(self, episodes: int, steps: int) -> None:
        return None

    def learn(
        self, policy: RecurrentPolicy, state: Learner, trajectory: Trajectory, rates: Rates, key: Key
    ) -> tuple[Learner, dict[str, Float[Array, ""]]]:
        return update(self, policy, state, trajectory, rates, key)


EPISODES_A_LANE = 16
"""At least so many go into one lane: a product of fewer rows costs a processor as much as of so many."""

ActorCritic: TypeAlias = Any
"""PPO, or A2C, which shares what does not depend on the objective."""


class Refreshed(NamedTuple):
    """What is recomputed with the present parameters, padded in time to whole sequences."""

    carry: PyTree  # memory before each sequence's first observation, f32[C, E, M]
    advantage: Float[Array, "T E"]  # normalised over the steps that count
    target: Float[Array, "T E"]  # for the critic
    own: dict[str, PyTree] = {}  # noqa: RUF012 (never changed): memories of models of others likewise, by kind
    speech: tuple[Array, Array] | None = None  # advantage and target of what was said, f32[T, E] each


def refresh(config: ActorCritic, policy: RecurrentPolicy, params: PyTree, trajectory: Trajectory) -> Refreshed:
    """Unroll the whole batch with present parameters: memories, advantages and critic targets."""
    steps, episodes = trajectory.action.shape
    number = lanes.lanes(episodes, fewest=EPISODES_A_LANE) if policy.cache_batch else 1

    def starts(memory):
        return jax.tree.map(lambda x: x[: steps : config.sequence_length], memory)

    def unroll(read):
        observation, is_first, heard = read
        blank = policy.initial_carry(episodes // number)
        _, value, hidden, before = policy.unroll(params["policy"], blank, observation, is_first, *_told(heard))
        worth = None if trajectory.speech is None else policy.speak(params["policy"], hidden)[1]
        return value, worth, starts(before)

    read = (trajectory.observation, trajectory.is_first, trajectory.heard)
    value, worth, carry = lanes.join(lanes.in_lanes(unroll, lanes.split(read, number, 1)), 1)
    advantage, target = _estimate(config, trajectory, trajectory.reward, value)
    own = {plug.kind: starts(plug.before(params, policy, trajectory)) for plug in apply.models(config.intrinsic)}
    speech = None
    if trajectory.speech is not None:
        speech = _estimate(config, trajectory, trajectory.speech.reward, worth)  # type: ignore[arg-type]
    return Refreshed(carry, advantage, target, own, speech)


def _told(heard: Array | None) -> tuple[Array, ...]:
    """What a policy hears, as further arguments of its unroll: none where it hears nothing."""
    return () if heard is None else (heard,)


def _estimate(config: ActorCritic, trajectory: Trajectory, reward: Any, value: Array) -> tuple[Array, Array]:
    """Advantages, and targets for the critic, of one kind of reward and value (f32[T, E], f32[T+1, E])."""
    # An episode ends before the next opening and at the end of the batch.
    done = trajectory.terminated | trajectory.is_first[1:].at[-1].set(True)
    arguments = (reward, value[:-1], value[1:], trajectory.terminated, done)
    numbers = {"discount": config.discount, "decay": config.decay}
    if config.advantage == "authors":
        advantage, target = jax.vmap(lambda *a: authors_gae(*a, **numbers), 1, 1)(*arguments)
    else:
        advantage = jax.vmap(lambda *a: gae(*a, **numbers), 1, 1)(*arguments)
        target = advantage + value[:-1]
    if not config.normalise:
        return advantage, target
    mean = masked_mean(advantage, trajectory.mask)
    spread = jnp.sqrt(masked_mean((advantage - mean) ** 2, trajectory.mask))
    return (advantage - mean) / (spread + 1e-8), target


class Sequences(NamedTuple):
    """N sequences of L steps."""

    observation: jax.Array  # u8[L+1, N, ...]
    is_first: Bool[Array, "L+1 N"]
    action: Int[Array, "L N"]
    log_prob: Float[Array, "L N"]
    mask: Bool[Array, "L N"]
    advantage: Float[Array, "L N"]
    target: Float[Array, "L N"]
    carry: PyTree  # f32[N, M]
    own: dict[str, PyTree] = {}  # noqa: RUF012 (never changed): memories of models of others, by kind, f32[N, M]
    heard: Array | None = None  # u8[L, N, H]
    company: Any = None  # a `Company` of L+1 moments; beyond the end, the last again
    follows: Any = None  # bool[L, N]: the next moment is a step of the same episode
    said: tuple[Array, ...] | None = None  # message, its log-probability, advantage and target, [L, N] each
    taught: Array | None = None  # i32[L, N], the teacher's actions


def cut(config: ActorCritic, trajectory: Trajectory, fresh: Refreshed, chosen: Int[Array, "N"]) -> Sequences:
    """Take sequences by number: number n is chunk n // E of episode n % E. The last chunk is padded, masked."""
    steps, episodes = trajectory.action.shape
    chunk, episode = chosen // episodes, chosen % episodes
    time = chunk * config.sequence_length + jnp.arange(config.sequence_length + 1)[:, None]  # L+1, N
    within = time < steps
    now = jnp.minimum(time[:-1], steps - 1)
    with_next = jnp.minimum(time, steps)
    company, follows, said = trajectory.company, None, None
    if company is not None:
        moments = jnp.minimum(time, steps - 1)
        company = jax.tree.map(lambda x: x[moments, episode], company)
        opens = trajectory.is_first[with_next, episode][1:]
        counts = trajectory.mask[moments, episode]
        follows = counts[:-1] & counts[1:] & within[1:] & ~opens
    if trajectory.speech is not None and fresh.speech is not None:
        spoken = (trajectory.speech.message, trajectory.speech.log_prob, *fresh.speech)
        said = tuple(x[now, episode] for x in spoken)
    return Sequences(
        observation=trajectory.observation[with_next, episode],
        is_first=trajectory.is_first[with_next, episode],
        action=trajectory.action[now, episode],
        log_prob=trajectory.log_prob[now, episode],
        mask=trajectory.mask[now, episode] & within[:-1],
        advantage=fresh.advantage[now, episode],
        target=fresh.target[now, episode],
        carry=jax.tree.map(lambda x: x[chunk, episode], fresh.carry),
        own=jax.tree.map(lambda x: x[chunk, episode], fresh.own),
        heard=None if trajectory.heard is None else trajectory.heard[now, episode],
        company=company,
        follows=follows,
        said=said,
        taught=None if trajectory.taught is None else trajectory.taught[now, episode],
    )


def totals(config: ActorCritic, batch: Sequences) -> dict[str, Float[Array, ""]]:
    """How much counts: steps for the policy ('steps') and for each auxiliary loss, predictions for each model of
    others; at least 1."""
    found = {"steps": batch.mask.sum()}
    for auxiliary in config.auxiliary:
        found[auxiliary.kind] = auxiliary.counts(batch.mask, batch.is_first[1:]).sum()
    for model in apply.models(config.intrinsic):
        found[model.kind] = model.counts(batch.company, batch.follows).sum()
    return {name: jnp.maximum(count, 1).astype(jnp.float32) for name, count in found.items()}


def loss(
    config: ActorCritic,
    policy: RecurrentPolicy,
    params: PyTree,
    batch: Sequences,
    rates: Rates,
    total: dict[str, jax.Array],
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """A minibatch's loss and its parts: sums over `batch` divided by `total`.

    With the totals of a whole minibatch, the losses and gradients of its parts add up to the whole's.
    Source: Ndousse et al. 2021, section 4.2 and appendix 7.2.
    """

    def mean(x):
        return jnp.sum(x * batch.mask) / total["steps"]

    logits, value, hidden, _ = policy.unroll(
        params["policy"], batch.carry, batch.observation[:-1], batch.is_first[:-1], *_told(batch.heard)
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
        "kl": mean(ratio - 1 - difference),
    }
    if config.clip is not None:
        parts["clipped_share"] = mean(jnp.abs(ratio - 1) > config.clip)
    whole = parts["policy_loss"] + config.value_weight * parts["value_loss"] - rates.entropy * parts["entropy"]
    if batch.taught is not None:
        parts["teacher_loss"] = -mean(jnp.take_along_axis(log_probs, batch.taught[..., None], -1)[..., 0])
        parts["teacher_agreement"] = mean(logits.argmax(-1) == batch.taught)
        whole = whole + rates.teaching * parts["teacher_loss"]
    for auxiliary in config.auxiliary:
        counts = auxiliary.counts(batch.mask, batch.is_first[1:])
        own = params["auxiliary"][auxiliary.kind]
        error = auxiliary.loss(own, policy, hidden, batch.observation, batch.action, counts) / total[auxiliary.kind]
        parts[f"auxiliary_error/{auxiliary.kind}"] = error
        whole = whole + rates.auxiliary * auxiliary.weight * error
    for model in apply.models(config.intrinsic):
        counts = model.counts(batch.company, batch.follows)
        error = model.loss(params, policy, batch, counts) / total[model.kind]
        parts[f"model_error/{model.kind}"] = error
        whole = whole + rates.auxiliary * model.loss_weight * error
    if batch.said is not None:
        added, told = _speech_loss(config, policy, params, batch, hidden, mean)
        whole, parts = whole + added, parts | told
    return whole, parts


def _speech_loss(
    config: ActorCritic, policy: RecurrentPolicy, params: PyTree, batch: Sequences, hidden: Array, mean: Callable
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """The loss of what was said: as of what was done, with a policy, a value and rewards of its own."""
    message, old, advantage, target = batch.said  # type: ignore[misc]
    says, worth = policy.speak(params["policy"], hidden)
    log_probs = jax.nn.log_softmax(says)
    log_prob = jnp.take_along_axis(log_probs, message[..., None], -1)[..., 0]
    parts = {
        "speech_policy_loss": -mean(config.surrogate(log_prob, old, advantage)),
        "speech_value_loss": mean((worth - target) ** 2),
        "speech_entropy": mean(-jnp.sum(jnp.exp(log_probs) * log_probs, -1)),
    }
    plug = apply.speech(config.intrinsic)
    whole = parts["speech_policy_loss"] + config.value_weight * parts["speech_value_loss"]
    return plug.loss_weight * (whole - plug.entropy * parts["speech_entropy"]), parts


def gradient(
    config: ActorCritic, policy: RecurrentPolicy, params: PyTree, batch: Sequences, rates: Rates
) -> tuple[dict[str, Float[Array, ""]], PyTree]:
    """A minibatch's loss parts and gradient, summed over parts that fit the caches where that pays, in lanes."""
    total = totals(config, batch)
    differentiate = jax.grad(lambda p, b: loss(config, policy, p, b, rates, total), has_aux=True)
    length, sequences = batch.action.shape
    pieces = _pieces(sequences, length, policy.cache_batch)
    if pieces == 1:
        slope, parts = differentiate(params, batch)
        return parts, slope

    # Time leads everything but memories.
    memories = {"carry": batch.carry, "own": batch.own}
    small = lanes.split(batch._replace(**dict.fromkeys(memories)), pieces, 1)
    small = small._replace(**lanes.split(memories, pieces, 0))

    def add(so_far, piece):
        return jax.tree.map(jnp.add, so_far, differentiate(params, piece)), None

    nothing = jax.tree.map(
        lambda x: jnp.zeros(x.shape, x.dtype),
        jax.eval_shape(differentiate, params, jax.tree.map(lambda x: x[0], small)),
    )
    small = lanes.split(small, lanes.lanes(pieces), 0)
    sums = lanes.in_lanes(lambda own: jax.lax.scan(add, nothing, own)[0], small)
    slope, parts = lanes.add_up(sums)
    return parts, slope


def _pieces(sequences: int, length: int, cache_batch: int | None) -> int:
    """Into how many equal parts to cut a minibatch so that each holds about `cache_batch` observations."""
    if cache_batch is None:
        return 1
    wanted = max(1, sequences * length // cache_batch)
    return max(n for n in range(1, wanted + 1) if sequences % n == 0)


def update(
    config: PPO, policy: RecurrentPolicy, learner: Learner, trajectory: Trajectory, rates: Rates, key: Key
) -> tuple[Learner, dict[str, Float[Array, ""]]]:
    """One update from one batch. Returns the new learner and the means of what its minibatches measured."""
    steps, episodes = trajectory.action.shape
    total = -(-steps // config.sequence_length) * episodes
    wanted = config.minibatches * config.sequences
    passes = -(-wanted // total)
    shuffled = jax.vmap(lambda k: jax.random.permutation(k, total))(jax.random.split(key, passes))
    every = config.refresh_every or config.minibatches
    order = shuffled.reshape(-1)[:wanted].reshape(config.minibatches // every, every, config.sequences)
    optimiser = config.optimiser()

    def exceeds(kl, bound):
        return jnp.bool_(False) if bound is None else ~(kl <= bound)  # NaN exceeds every bound

    def apply(learner: Learner, slope) -> Learner:
        change, state = optimiser.update(slope, learner.optimiser, learner.params)
        change = jax.tree.map(lambda c: -rates.learning_rate * c, change)
        return Learner(optax.apply_updates(learner.params, change), state)

    def minibatch(loop, chosen):
        learner, fresh, _, worst = loop
        parts, slope = gradient(config, policy, learner.params, cut(config, trajectory, fresh, chosen), rates)
        worst = jnp.maximum(worst, parts["kl"])
        # The minibatch that trips the stop is measured but takes no step.
        trips = exceeds(parts["kl"], config.kl_stop) | exceeds(parts["kl"], config.kl_limit)
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
        fresh = jax.lax.cond(more, lambda: refresh(config, policy, learner.params, trajectory), lambda: fresh)
        return (learner, fresh, stopped, worst), told

    fresh = refresh(config, policy, learner.params, trajectory)
    start = (learner, fresh, jnp.bool_(False), jnp.float32(0))
    (after, fresh, _, worst), told = jax.lax.scan(group, start, (jnp.arange(len(order)), order))
    parts, measured, taken = told
    # A minibatch tells of the steps before it, so the last step has yet to be judged.
    last = cut(config, trajectory, fresh, order[-1, -1])
    _, closing = loss(config, policy, after.params, last, rates, totals(config, last))
    worst = jnp.maximum(worst, closing["kl"])
    reverted = exceeds(worst, config.kl_limit)
    after = jax.tree.map(lambda old, new: jnp.where(reverted, old, new), learner, after)
    metrics = {name: masked_mean(value, measured) for name, value in parts.items()}
    metrics |= {"kl_max": worst, "reverted": reverted.astype(jnp.float32), "gradient_steps": taken.sum() * 1.0}
    return after, metrics
