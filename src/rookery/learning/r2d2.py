"""Recurrent deep Q-learning of one independent learner, from a prioritized memory of sequences: R2D2.

An update puts the episodes just played into the memory, then takes `gradient_steps` steps. Each draws sequences by
priority; a sequence's memory starts from the state stored when it was played, is warmed up over `burn_in` steps that
teach nothing, and learns `sequence_length` steps towards n-step double-Q targets. The network's two heads make a
dueling one: its logits are advantages, its value the mean of the action values.

Source: Kapturowski et al. 2019 (R2D2), sections 2.3 and 3; double Q: van Hasselt et al. 2016, arXiv:1509.06461;
dueling: Wang et al. 2016, arXiv:1511.06581. Ndousse et al. tried it beside PPO in their talk.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from rookery.agents.recurrent import EpsilonGreedyPolicy, RecurrentPolicy
from rookery.errors import ConfigError
from rookery.learning import replay_buffer as memory
from rookery.learning.advantage import n_step_returns
from rookery.learning.auxiliary.frame_prediction import masked_mean
from rookery.learning.replay_buffer import ReplayBuffer
from rookery.types import PRNGKey, PyTree, Trajectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class R2D2:
    """Configuration. Defaults are R2D2's, made smaller; what a schedule changes is in `rates`."""

    kind: Literal["r2d2"] = "r2d2"
    capacity: int = 512  # episodes in the memory; all of it is in every checkpoint
    sequence_length: int = 40  # steps learned from
    burn_in: int = 20  # steps before them that only warm up the memory
    n_step: int = 5  # n of the n-step targets
    gradient_steps: int = 16  # an update
    minibatch_size: int = 64  # in a gradient step
    target_update_period: int = 400  # gradient steps between copies to the target network
    gamma: float = 0.993  # per step
    double: bool = True  # the online network chooses, the target network judges
    priority_exponent: float = 0.9
    priority_eta: float = 0.9  # of a sequence's largest error; the rest is its mean
    value_rescaling: bool = True  # learn h(Q), h(x) = sign(x)(sqrt(|x| + 1) - 1) + x/1000, instead of Q
    max_grad_norm: float | None = 40.0  # global
    adam_eps: float = 1e-3
    eval_epsilon: float = 0.01  # share of random actions when not learning, which keeps it from running in circles

    auxiliary: ClassVar[tuple] = ()
    intrinsic: ClassVar[tuple] = ()
    teacher: ClassVar[None] = None
    supports_sharding: ClassVar[bool] = False
    supports_communication: ClassVar[bool] = False
    supports_teacher: ClassVar[bool] = False
    hparams: ClassVar[dict[str, Any]] = {
        "learning_rate": 1e-4,
        "epsilon": ((0.0, 1.0), (0.3, 0.05)),  # share of random actions while learning
        "importance_exponent": 0.6,  # exponent of the weights that make up for drawing by priority
    }
    nan_guarded_metrics: ClassVar[tuple[str, ...]] = ("loss", "q_value")

    def __post_init__(self):
        for field in (
            "capacity",
            "sequence_length",
            "n_step",
            "gradient_steps",
            "minibatch_size",
            "target_update_period",
        ):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field}={getattr(self, field)} must be at least 1")
        for field in ("burn_in", "priority_exponent", "max_grad_norm", "adam_eps"):
            value = getattr(self, field)
            if value is not None and value < 0:
                raise ConfigError(f"{field}={value} must be at least 0")
        if not 0 < self.gamma <= 1:
            raise ConfigError(f"gamma={self.gamma} must lie in (0, 1]")
        for field in ("priority_eta", "eval_epsilon"):
            if not 0 <= getattr(self, field) <= 1:
                raise ConfigError(f"{field}={getattr(self, field)} must lie in [0, 1]")

    def optimizer(self) -> optax.GradientTransformation:
        """Adam without its step size, which the rates bring."""
        clip = optax.clip_by_global_norm(self.max_grad_norm) if self.max_grad_norm else optax.identity()
        return optax.chain(clip, optax.scale_by_adam(eps=self.adam_eps))

    def validate(self, episodes: int, steps: int) -> None:
        if episodes > self.capacity:
            raise ConfigError(f"capacity={self.capacity} must be at least the episodes of an update, {episodes}")

    def eval_policy(self, policy: RecurrentPolicy) -> RecurrentPolicy:
        return dataclasses.replace(policy, epsilon=self.eval_epsilon)

    def behavior_policy(self, policy: RecurrentPolicy) -> EpsilonGreedyPolicy:
        return EpsilonGreedyPolicy(policy)

    def init(self, policy: RecurrentPolicy, key: PRNGKey, steps: int) -> R2D2State:
        params = {"policy": policy.init(key)}
        blank = jnp.zeros(policy.observation_shape, jnp.uint8)
        carry = jax.tree.map(lambda x: x[0], policy.initial_carry(1))
        return R2D2State(
            params=params,
            target_params=jax.tree.map(jnp.copy, params["policy"]),
            opt_state=self.optimizer().init(params),
            replay=memory.init(self.capacity, steps, num_chunks(self, steps), blank, carry),
            gradient_steps=jnp.int32(0),
        )

    def load_pretrained(self, state: R2D2State, params: PyTree) -> R2D2State:
        return state._replace(params={"policy": params}, target_params=jax.tree.map(jnp.copy, params))

    def behavior_params(self, state: R2D2State, hparams: dict[str, Float[Array, ""]]) -> PyTree:
        return {"policy": state.params["policy"], "epsilon": hparams["epsilon"]}

    def update(
        self,
        policy: RecurrentPolicy,
        state: R2D2State,
        trajectory: Trajectory,
        hparams: dict[str, Float[Array, ""]],
        key: PRNGKey,
    ) -> tuple[R2D2State, dict[str, Float[Array, ""]]]:
        state = state._replace(replay=add_episodes(self, policy, state, trajectory))
        state, told = jax.lax.scan(
            lambda s, k: gradient_step(self, policy, s, hparams, k), state, jax.random.split(key, self.gradient_steps)
        )
        metrics = {name: value.mean() for name, value in told.items()}
        return state, {**metrics, **hparams, "replay_episodes": memory.size(state.replay).astype(jnp.float32)}


class R2D2State(NamedTuple):
    """All of one learner, its memory of episodes included."""

    params: PyTree  # {'policy': of the online network}
    target_params: PyTree  # of the target network
    opt_state: PyTree
    replay: ReplayBuffer
    gradient_steps: Int[Array, ""]  # gradient steps taken


class ReplaySample(NamedTuple):
    """N sequences of W = burn_in + sequence_length + lookahead observations."""

    observation: jax.Array  # u8[W, N, ...]
    is_first: Bool[Array, "W N"]
    action: Int[Array, "W N"]
    reward: Float[Array, "W N"]
    terminated: Bool[Array, "W N"]
    is_boundary: Bool[Array, "W N"]  # no successor is known: the time limit, or another episode opens
    loss_mask: Bool[Array, "L N"]  # the steps learned from that count
    carry: PyTree  # stored memory before the first observation, f32[N, M]


def signed_hyperbolic(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """h(x) = sign(x)(sqrt(|x| + 1) - 1) + x/1000. Source: Pohlen et al. 2018, arXiv:1805.11593."""
    return jnp.sign(x) * (jnp.sqrt(jnp.abs(x) + 1) - 1) + 1e-3 * x


def signed_parabolic(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The inverse of `rescale`, written so that nothing nearly equal is subtracted."""
    inner = 2 * (jnp.abs(x) + 1 + 1e-3) / (jnp.sqrt(1 + 4e-3 * (jnp.abs(x) + 1 + 1e-3)) + 1)
    return jnp.sign(x) * (inner**2 - 1)


def action_values(advantage: Float[Array, "... A"], value: Float[Array, "..."]) -> Float[Array, "... A"]:
    """The dueling network's sum."""
    return value[..., None] + advantage - advantage.mean(-1, keepdims=True)


def n_step_targets(
    config: R2D2,
    online_q: Float[Array, "W N A"],
    target_q: Float[Array, "W N A"],
    reward: Float[Array, "W N"],
    terminated: Bool[Array, "W N"],
    is_boundary: Bool[Array, "W N"],
) -> Float[Array, "W N"]:
    """n-step targets of the network's outputs, carrying no gradient.

    The best action is the online network's (`double`) or the target network's own; the target network says what
    it is worth. Source: Kapturowski et al. 2019, section 2.3.
    """
    chooser = online_q if config.double else target_q
    value = jnp.take_along_axis(target_q, chooser.argmax(-1)[..., None], -1)[..., 0]
    value = signed_parabolic(value) if config.value_rescaling else value
    sums = jax.vmap(
        lambda *own: n_step_returns(*own, gamma=config.gamma, n=config.n_step), 1, 1
    )(reward, value, terminated, is_boundary)  # fmt: skip
    return jax.lax.stop_gradient(signed_hyperbolic(sums) if config.value_rescaling else sums)


def num_chunks(config: R2D2, steps: int) -> int:
    """How many sequences an episode is cut into: each step is learned from in exactly one."""
    return -(-steps // config.sequence_length)


def add_episodes(config: R2D2, policy: RecurrentPolicy, state: R2D2State, trajectory: Trajectory) -> ReplayBuffer:
    """The memory with the episodes just played: with their states as played, and priorities by their errors."""
    steps, episodes = trajectory.action.shape
    blank = policy.initial_carry(episodes)
    seen = (blank, trajectory.observation, trajectory.is_first)
    online, value, _, before = policy.unroll(state.params["policy"], *seen)
    online = action_values(online, value)
    target = action_values(*policy.unroll(state.target_params, *seen)[:2])
    ends = trajectory.is_first[1:] & ~trajectory.terminated

    def longer(x, filler):
        return jnp.concatenate([x, jnp.full((1, episodes), filler, x.dtype)])

    goal = n_step_targets(
        config, online, target, longer(trajectory.reward, 0.0), longer(trajectory.terminated, False), longer(ends, True)
    )
    error = goal[:-1] - _action_values_taken(online[:-1], trajectory.action)
    count = num_chunks(config, steps)
    padding = ((0, count * config.sequence_length - steps), (0, 0))
    cut = [jnp.pad(x, padding).reshape(count, -1, episodes) for x in (error, trajectory.loss_mask & ~ends)]
    priority = jax.vmap(lambda e, m: memory.mixed_priority(e, m, config.priority_eta))(*cut)
    opening = jnp.maximum(jnp.arange(count) * config.sequence_length - config.burn_in, 0)
    return memory.add(state.replay, trajectory, jax.tree.map(lambda x: x[opening], before), priority)


def gather_sequences(
    config: R2D2, replay: ReplayBuffer, chunk: Int[Array, "N"], episode: Int[Array, "N"]
) -> ReplaySample:
    """Sequences from the memory, each with its burn-in before and its lookahead after.

    Where the burn-in would reach back before the episode it repeats the opening observation, and the memory begins
    anew with each: only the last one, the opening itself, leaves a trace.
    """
    steps = replay.action.shape[0]
    length = config.burn_in + config.sequence_length + config.n_step
    time = chunk * config.sequence_length - config.burn_in + jnp.arange(length)[:, None]  # [W, N]
    seen, now = jnp.clip(time, 0, steps), jnp.clip(time, 0, steps - 1)
    terminated = replay.terminated[now, episode]
    cut_off = replay.is_first[now + 1, episode] & ~terminated
    learned = slice(config.burn_in, config.burn_in + config.sequence_length)
    return ReplaySample(
        observation=replay.observation[seen, episode],
        is_first=replay.is_first[seen, episode],
        action=replay.action[now, episode],
        reward=replay.reward[now, episode],
        terminated=terminated,
        is_boundary=(time >= steps) | cut_off,
        loss_mask=(replay.loss_mask[now, episode] & (time < steps) & ~cut_off)[learned],
        carry=jax.tree.map(lambda x: x[chunk, episode], replay.carry),
    )


def td_errors(
    config: R2D2, policy: RecurrentPolicy, params: PyTree, target_params: PyTree, batch: ReplaySample
) -> tuple[Float[Array, "L N"], Float[Array, "L N"]]:
    """Target minus output for the steps learned from, and the outputs for the actions taken.

    Gradients reach the online network through those outputs alone, and back in time no further than the burn-in.
    """
    carry, start = batch.carry, config.burn_in
    if start:
        warm = policy.unroll(params, carry, batch.observation[: start + 1], batch.is_first[: start + 1])[3]
        carry = jax.lax.stop_gradient(jax.tree.map(lambda x: x[start], warm))
    online = action_values(*policy.unroll(params, carry, batch.observation[start:], batch.is_first[start:])[:2])
    judge = action_values(*policy.unroll(target_params, batch.carry, batch.observation, batch.is_first)[:2])[start:]
    goal = n_step_targets(
        config, online, judge, batch.reward[start:], batch.terminated[start:], batch.is_boundary[start:]
    )
    length = config.sequence_length
    taken = _action_values_taken(online[:length], batch.action[start : start + length])
    return goal[:length] - taken, taken


def q_loss(
    config: R2D2,
    policy: RecurrentPolicy,
    params: PyTree,
    target_params: PyTree,
    batch: ReplaySample,
    importance_weight: Float[Array, "N"],
) -> tuple[Float[Array, ""], tuple[Float[Array, "L N"], dict[str, Float[Array, ""]]]]:
    """Half the squared error, weighted, over the steps that count; the errors; and what to tell."""
    error, taken = td_errors(config, policy, params["policy"], target_params, batch)
    total = masked_mean(0.5 * importance_weight * error**2, batch.loss_mask)
    q = signed_parabolic(taken) if config.value_rescaling else taken
    return total, (error, {"q_value": masked_mean(q, batch.loss_mask), "abs_td_error": masked_mean(jnp.abs(error), batch.loss_mask)})


def gradient_step(
    config: R2D2, policy: RecurrentPolicy, state: R2D2State, hparams: dict[str, Float[Array, ""]], key: PRNGKey
) -> tuple[R2D2State, dict[str, Float[Array, ""]]]:
    """One gradient step on sequences drawn by priority, whose priorities it renews."""
    replay, capacity = state.replay, config.capacity
    priority = replay.priority.reshape(-1)
    chance = memory.probabilities(priority, config.priority_exponent)
    drawn = memory.sample(chance, key, config.minibatch_size)
    chunk, episode = drawn // capacity, drawn % capacity
    batch = gather_sequences(config, replay, chunk, episode)
    weight = memory.importance_weights(chance[drawn], jnp.sum(priority > 0), hparams["importance_exponent"])
    differentiate = jax.value_and_grad(
        lambda p: q_loss(config, policy, p, state.target_params, batch, weight), has_aux=True
    )  # fmt: skip
    (total, (error, told)), slope = differentiate(state.params)
    change, optimizer = config.optimizer().update(slope, state.opt_state, state.params)
    params: Any = optax.apply_updates(state.params, jax.tree.map(lambda c: -hparams["learning_rate"] * c, change))
    steps = state.gradient_steps + 1
    copy = steps % config.target_update_period == 0
    after = R2D2State(
        params=params,
        target_params=jax.tree.map(lambda new, old: jnp.where(copy, new, old), params["policy"], state.target_params),
        opt_state=optimizer,
        replay=memory.set_priorities(
            replay, chunk, episode, memory.mixed_priority(error, batch.loss_mask, config.priority_eta)
        ),
        gradient_steps=steps,
    )
    return after, {"loss": total, **told}


def _action_values_taken(values: Float[Array, "L N A"], action: Int[Array, "L N"]) -> Float[Array, "L N"]:
    return jnp.take_along_axis(values, action[..., None], -1)[..., 0]
