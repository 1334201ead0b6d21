"""Recurrent deep Q-learning of one independent learner, from a prioritized replay buffer of sequences: R2D2.

An update adds the episodes just played to the replay buffer, then makes `gradient_steps` gradient steps. Each samples
sequences by priority. The recurrent state at the start of a sequence is the one stored when it was played; it is
warmed up over `burn_in` steps without gradient, and then `sequence_length` steps are learned from, with n-step double-Q
targets. The network's two heads form a dueling network: its logits are advantages, its value is the mean of the action
values.

Source: Kapturowski et al. 2019 (R2D2), sections 2.3 and 3; double Q: van Hasselt et al. 2016, arXiv:1509.06461;
dueling networks: Wang et al. 2016, arXiv:1511.06581. Ndousse et al. 2021 tried Q-learning, too (section 3.2).
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
from rookery.agents.recurrent import EpsilonGreedyPolicy, RecurrentPolicy
from rookery.errors import ConfigError
from rookery.interfaces import Learner, LossInputs
from rookery.learning import replay_buffer
from rookery.learning.advantage import fill_absent_values, n_step_returns
from rookery.learning.configs import AuxiliaryLossConfig, check_losses, check_range
from rookery.learning.extra_losses import add_extra_losses, init_auxiliary_params, loss_denominators
from rookery.learning.health import gradient_norms, measure_losses, relative_state_error
from rookery.learning.masking import masked_mean
from rookery.learning.optimizers import apply_gradients, make_optimizer
from rookery.learning.replay_buffer import ReplayBuffer
from rookery.types import PRNGKey, PyTree, Sequences, Trajectory

HEALTH_EPISODES = 8
"""Episodes of the replay buffer on which the errors of stored states are measured."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class R2D2(Learner):
    """Settings; `hparams` are those that a schedule may change. Defaults are those of R2D2, scaled down."""

    kind: Literal["r2d2"] = "r2d2"
    capacity: int = 512  # episodes in the replay buffer; every checkpoint holds all of it
    sequence_length: int = 40  # steps learned from
    burn_in: int = 20  # steps before them that only warm up the recurrent state
    n_step: int = 5  # n of the n-step targets
    gradient_steps: int = 16  # per update
    minibatch_size: int = 64  # sequences per gradient step
    target_update_period: int = 400  # gradient steps between copies to the target network
    gamma: float = 0.993  # discount per step
    double: bool = True  # the online network chooses the action, the target network evaluates it
    priority_exponent: float = 0.9
    priority_eta: float = 0.9  # weight of a sequence's largest error in its priority; the rest is the mean error
    value_rescaling: bool = True  # learn h(Q), h(x) = sign(x)(sqrt(|x| + 1) - 1) + x/1000, instead of Q
    max_grad_norm: float | None = 40.0  # global
    adam_eps: float = 1e-3
    eval_epsilon: float = 0.01  # probability of a random action in evaluation, so that agents do not get stuck
    auxiliary: tuple[AuxiliaryLossConfig, ...] = ()

    hparams: ClassVar[dict[str, Any]] = {
        "learning_rate": 1e-4,
        "aux_loss_scale": 1.0,
        "epsilon": ((0.0, 1.0), (0.3, 0.05)),  # probability of a random action during training
        "importance_exponent": 0.6,  # of the weights that correct for sampling by priority
    }
    nan_guarded_metrics: ClassVar[tuple[str, ...]] = ("loss", "q_value")
    supports_leaving: ClassVar[bool] = False  # a sequence ends before agents that are away for longer return

    def __post_init__(self) -> None:
        counts = ("capacity", "sequence_length", "n_step", "gradient_steps", "minibatch_size", "target_update_period")
        check_range(self, counts, low=1)
        check_range(self, ("burn_in", "priority_exponent", "max_grad_norm"))
        check_range(self, ("adam_eps",), exclude_low=True)
        check_range(self, ("gamma",), high=1, exclude_low=True)
        check_range(self, ("priority_eta", "eval_epsilon"), high=1)
        check_losses(self.auxiliary)
        for loss in self.auxiliary:
            if loss.required_info:
                raise ConfigError(
                    f"the auxiliary loss {loss.kind!r} needs to know of other agents ({', '.join(loss.required_info)}),"
                    " which R2D2 does not keep in its replay buffer; use kind 'ppo' or 'a2c'"
                )

    def optimizer(self) -> optax.GradientTransformation:
        """Adam, without its learning rate."""
        return make_optimizer(self.max_grad_norm, self.adam_eps)

    def validate(self, episodes: int, steps: int) -> None:
        if episodes > self.capacity:
            raise ConfigError(f"capacity={self.capacity} must be at least the episodes of an update, {episodes}")

    def eval_policy(self, policy: RecurrentPolicy) -> RecurrentPolicy:
        return dataclasses.replace(policy, epsilon=self.eval_epsilon)

    def behavior_policy(self, policy: RecurrentPolicy) -> EpsilonGreedyPolicy:
        return EpsilonGreedyPolicy(policy)

    def init(self, policy: RecurrentPolicy, key: PRNGKey, steps: int) -> R2D2State:
        params = {"policy": policy.init(key)}
        if self.auxiliary:
            auxiliary_key = jax.random.fold_in(key, keys.AUXILIARY_LOSS_PARAMS)
            params["auxiliary"] = init_auxiliary_params(self.auxiliary, auxiliary_key, policy)
        blank = jnp.zeros(policy.observation_shape, jnp.uint8)
        carry = jax.tree.map(lambda x: x[0], policy.initial_carry(1))
        return R2D2State(
            params=params,
            target_params=jax.tree.map(jnp.copy, params["policy"]),
            opt_state=self.optimizer().init(params),
            replay=replay_buffer.init(self.capacity, steps, num_chunks(self, steps), blank, carry),
            gradient_steps=jnp.int32(0),
        )

    def load_pretrained(self, state: R2D2State, params: PyTree) -> R2D2State:
        return state._replace(params={**state.params, "policy": params}, target_params=jax.tree.map(jnp.copy, params))

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
        state, measured = jax.lax.scan(
            lambda s, k: gradient_step(self, policy, s, hparams, k, may_leave=trajectory.agent_mask is not None),
            state,
            jax.random.split(key, self.gradient_steps),
        )
        metrics = {name: value.mean() for name, value in measured.items()}
        scheduled = {name: hparams[name] for name in ("learning_rate", "epsilon", "importance_exponent")}
        return state, {**metrics, **scheduled, "replay_episodes": replay_buffer.size(state.replay).astype(jnp.float32)}

    def health(
        self,
        policy: RecurrentPolicy,
        state: R2D2State,
        trajectory: Trajectory,
        agent_scores: Callable[[Array], Array | None],
    ) -> dict[str, Float[Array, ""]]:
        """What auxiliary losses measure, gradient norms on shared layers, and the errors of stored recurrent states.

        'stale_state_error' is the relative error of the states stored with a few episodes of the replay buffer,
        'stale_state_error_after_burn_in' what is left of it after the burn-in.
        """
        params, replay = state.params, state.replay
        metrics = measure_losses(self.auxiliary, (), policy, params, trajectory, agent_scores)
        chunks, capacity = replay.priority.shape
        episodes = min(capacity, HEALTH_EPISODES)
        chunk, episode = (x.reshape(-1) for x in jnp.indices((chunks, episodes)))
        batch = gather_sequences(self, replay, chunk, episode, may_leave=trajectory.agent_mask is not None)
        valid = replay.priority[chunk, episode] > 0
        observation, is_first = replay.observation[:-1, :episodes], replay.is_first[:-1, :episodes]
        fresh = policy.unroll(params["policy"], policy.initial_carry(episodes), observation, is_first)[3]
        warm = slice(self.burn_in + 1)
        warmed = policy.unroll(params["policy"], batch.carry, batch.observation[warm], batch.is_first[warm])[3]
        start = chunk * self.sequence_length
        for name, states, time in (
            ("stale_state_error", batch.carry, jnp.maximum(start - self.burn_in, 0)),
            ("stale_state_error_after_burn_in", jax.tree.map(lambda x: x[self.burn_in], warmed), start),
        ):
            fresh_states = jax.tree.map(lambda x, t=time: x[t, episode], fresh)
            metrics[name] = relative_state_error(states, fresh_states, valid)
        if not self.auxiliary:
            return metrics

        def losses(policy_params):
            all_params = {**params, "policy": policy_params}
            batch_only = batch._replace(loss_mask=batch.loss_mask & valid)
            ones, key = jnp.ones(len(valid)), jax.random.PRNGKey(0)  # of losses that sample: always the same numbers
            _, (_, terms) = q_loss(self, policy, all_params, state.target_params, batch_only, ones, jnp.float32(1), key)
            weighted = {loss.kind: loss.weight * terms[f"aux_loss/{loss.kind}"] for loss in self.auxiliary}
            return {"q": terms["loss"], **weighted}

        return metrics | gradient_norms(losses, params["policy"])


class R2D2State(NamedTuple):
    """Everything one learner keeps between updates, its replay buffer included."""

    params: PyTree  # {'policy': of the online network}, and 'auxiliary' if there are auxiliary losses
    target_params: PyTree  # of the target network
    opt_state: PyTree
    replay: ReplayBuffer
    gradient_steps: Int[Array, ""]  # done so far


class ReplaySample(NamedTuple):
    """N sequences of W = burn_in + sequence_length + n_step observations; L = sequence_length."""

    observation: jax.Array  # u8[W, N, ...]
    is_first: Bool[Array, "W N"]
    action: Int[Array, "W N"]
    reward: Float[Array, "W N"]
    terminated: Bool[Array, "W N"]
    is_boundary: Bool[Array, "W N"]  # the successor is unknown: the time limit, or another episode opens
    loss_mask: Bool[Array, "L N"]  # the steps learned from that count
    next_in_episode: Bool[Array, "L N"]  # and are followed by another step of their episode
    carry: PyTree  # stored recurrent state before the first observation, f32[N, ...]
    agent_mask: Bool[Array, "W N"] | None = None  # the agent is there, if it may leave; else None


def signed_hyperbolic(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """h(x) = sign(x)(sqrt(|x| + 1) - 1) + x/1000. Source: Pohlen et al. 2018, arXiv:1805.11593."""
    return jnp.sign(x) * (jnp.sqrt(jnp.abs(x) + 1) - 1) + 1e-3 * x


def signed_parabolic(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The inverse of `signed_hyperbolic`, written so that no nearly equal numbers are subtracted."""
    inner = 2 * (jnp.abs(x) + 1 + 1e-3) / (jnp.sqrt(1 + 4e-3 * (jnp.abs(x) + 1 + 1e-3)) + 1)
    return jnp.sign(x) * (inner**2 - 1)


def action_values(advantage: Float[Array, "... A"], value: Float[Array, "..."]) -> Float[Array, "... A"]:
    """Action values of a dueling network."""
    return value[..., None] + advantage - advantage.mean(-1, keepdims=True)


def n_step_targets(
    config: R2D2,
    online_q: Float[Array, "W N A"],
    target_q: Float[Array, "W N A"],
    reward: Float[Array, "W N"],
    terminated: Bool[Array, "W N"],
    is_boundary: Bool[Array, "W N"],
    agent_mask: Bool[Array, "W N"] | None = None,
) -> Float[Array, "W N"]:
    """n-step targets of the network's outputs, without gradient.

    The best action is that of the online network (`double`) or of the target network itself; its value is the target
    network's. Source: Kapturowski et al. 2019, section 2.3.

    Args:
      agent_mask: the agent is there, of agents that may leave: what they miss has the value of their return.
    """
    choice_q = online_q if config.double else target_q
    value = jnp.take_along_axis(target_q, choice_q.argmax(-1)[..., None], -1)[..., 0]
    value = signed_parabolic(value) if config.value_rescaling else value
    if agent_mask is not None:
        value = jax.vmap(lambda *a: fill_absent_values(*a, discount=config.gamma), 1, 1)(
            value, terminated, is_boundary, agent_mask
        )
    returns = jax.vmap(
        lambda *a: n_step_returns(*a, gamma=config.gamma, n=config.n_step), 1, 1
    )(reward, value, terminated, is_boundary)  # fmt: skip
    return jax.lax.stop_gradient(signed_hyperbolic(returns) if config.value_rescaling else returns)


def num_chunks(config: R2D2, steps: int) -> int:
    """How many sequences an episode is cut into: each step is learned from in exactly one."""
    return -(-steps // config.sequence_length)


def add_episodes(config: R2D2, policy: RecurrentPolicy, state: R2D2State, trajectory: Trajectory) -> ReplayBuffer:
    """The replay buffer with the episodes just played: their recurrent states, and priorities by their errors."""
    steps, episodes = trajectory.action.shape
    inputs = (policy.initial_carry(episodes), trajectory.observation, trajectory.is_first)
    online, value, _, pre_step_states = policy.unroll(state.params["policy"], *inputs)
    online = action_values(online, value)
    target = action_values(*policy.unroll(state.target_params, *inputs)[:2])
    ends = trajectory.is_first[1:] & ~trajectory.terminated

    def extend(x, filler):
        return jnp.concatenate([x, jnp.full((1, episodes), filler, x.dtype)])

    returns = n_step_targets(
        config, online, target, extend(trajectory.reward, 0.0), extend(trajectory.terminated, False),
        extend(ends, True), trajectory.agent_mask,
    )  # fmt: skip
    if trajectory.agent_mask is not None:
        trajectory = _without_last_departure(trajectory)
    error = returns[:-1] - _action_values_taken(online[:-1], trajectory.action)
    count = num_chunks(config, steps)
    padding = ((0, count * config.sequence_length - steps), (0, 0))
    chunks = [jnp.pad(x, padding).reshape(count, -1, episodes) for x in (error, trajectory.loss_mask & ~ends)]
    priority = jax.vmap(lambda e, m: replay_buffer.mixed_priority(e, m, config.priority_eta))(*chunks)
    first = jnp.maximum(jnp.arange(count) * config.sequence_length - config.burn_in, 0)
    return replay_buffer.add(state.replay, trajectory, jax.tree.map(lambda x: x[first], pre_step_states), priority)


def _without_last_departure(trajectory: Trajectory) -> Trajectory:
    """The last step does not count if the agent left in it and the episode goes on.

    The replay buffer keeps no mask of the final observation, which is taken to be that of the last step.
    """
    assert trajectory.agent_mask is not None
    last_mask = trajectory.loss_mask[-1] & (trajectory.agent_mask[-1] | trajectory.terminated[-1])
    return trajectory.replace(loss_mask=trajectory.loss_mask.at[-1].set(last_mask))


def gather_sequences(
    config: R2D2, replay: ReplayBuffer, chunk: Int[Array, "N"], episode: Int[Array, "N"], *, may_leave: bool = False
) -> ReplaySample:
    """Sequences from the replay buffer, each with the burn-in steps before it and the n-step targets' steps after it.

    Where the burn-in would reach back before the episode it repeats the first observation, which resets the recurrent
    state every time: only the last repetition, the first observation itself, has an effect.

    Args:
      may_leave: the agents may leave within an episode and return.
    """
    steps = replay.action.shape[0]
    length = config.burn_in + config.sequence_length + config.n_step
    time = chunk * config.sequence_length - config.burn_in + jnp.arange(length)[:, None]  # [W, N]
    after, now = jnp.clip(time, 0, steps), jnp.clip(time, 0, steps - 1)
    terminated = replay.terminated[now, episode]
    cut_off = replay.is_first[now + 1, episode] & ~terminated
    learned = slice(config.burn_in, config.burn_in + config.sequence_length)
    loss_mask = (replay.loss_mask[now, episode] & (time < steps) & ~cut_off)[learned]
    next_counts = replay.loss_mask[jnp.minimum(now + 1, steps - 1), episode] & (time + 1 < steps)
    return ReplaySample(
        observation=replay.observation[after, episode],
        is_first=replay.is_first[after, episode],
        action=replay.action[now, episode],
        reward=replay.reward[now, episode],
        terminated=terminated,
        is_boundary=(time >= steps) | cut_off,
        loss_mask=loss_mask,
        next_in_episode=loss_mask & (next_counts & ~replay.is_first[now + 1, episode])[learned],
        carry=jax.tree.map(lambda x: x[chunk, episode], replay.carry),
        agent_mask=replay.loss_mask[now, episode] if may_leave else None,
    )


class TDErrors(NamedTuple):
    """What the online network says about the steps learned from."""

    error: Float[Array, "L N"]  # target minus output
    taken: Float[Array, "L N"]  # outputs for the actions taken
    hidden: Float[Array, "L N M"]  # outputs of the recurrent cell
    carry: PyTree  # recurrent state before the first step learned from, without gradient


def td_errors(
    config: R2D2, policy: RecurrentPolicy, params: PyTree, target_params: PyTree, batch: ReplaySample
) -> TDErrors:
    """Temporal-difference errors. Gradients reach the online network through `taken` and `hidden` alone.

    They flow back in time no further than to the end of the burn-in.
    """
    carry, start, length = batch.carry, config.burn_in, config.sequence_length
    if start:
        states = policy.unroll(params, carry, batch.observation[: start + 1], batch.is_first[: start + 1])[3]
        carry = jax.lax.stop_gradient(jax.tree.map(lambda x: x[start], states))
    logits, value, hidden, _ = policy.unroll(params, carry, batch.observation[start:], batch.is_first[start:])
    online_q = action_values(logits, value)
    target_q = action_values(*policy.unroll(target_params, batch.carry, batch.observation, batch.is_first)[:2])[start:]
    agent_mask = None if batch.agent_mask is None else batch.agent_mask[start:]
    targets = n_step_targets(
        config,
        online_q,
        target_q,
        batch.reward[start:],
        batch.terminated[start:],
        batch.is_boundary[start:],
        agent_mask,
    )
    taken = _action_values_taken(online_q[:length], batch.action[start : start + length])
    return TDErrors(targets[:length] - taken, taken, hidden[:length], carry)


def q_loss(
    config: R2D2,
    policy: RecurrentPolicy,
    params: PyTree,
    target_params: PyTree,
    batch: ReplaySample,
    importance_weight: Float[Array, "N"],
    aux_loss_scale: Float[Array, ""],
    key: PRNGKey,
) -> tuple[Float[Array, ""], tuple[Float[Array, "L N"], dict[str, Float[Array, ""]]]]:
    """Half the weighted squared error, averaged over the steps that count, plus the auxiliary losses.

    Returns: the sum; and the errors f32[L, N] and metrics, among them 'loss', which is without the auxiliary losses.
    """
    td = td_errors(config, policy, params["policy"], target_params, batch)
    loss = masked_mean(0.5 * importance_weight * td.error**2, batch.loss_mask)
    q_value = signed_parabolic(td.taken) if config.value_rescaling else td.taken
    metrics = {
        "loss": loss,
        "q_value": masked_mean(q_value, batch.loss_mask),
        "abs_td_error": masked_mean(jnp.abs(td.error), batch.loss_mask),
    }
    if not config.auxiliary:
        return loss, (td.error, metrics)
    inputs = LossInputs(policy, params["policy"], _as_sequences(config, batch, td.carry), td.hidden, key)
    denominators = loss_denominators(config.auxiliary, (), inputs.batch)
    total, extra = add_extra_losses(loss, config.auxiliary, (), params, inputs, denominators, aux_loss_scale)
    return total, (td.error, metrics | extra)


def _as_sequences(config: R2D2, batch: ReplaySample, carry: PyTree) -> Sequences:
    """The steps learned from, as auxiliary losses get them."""
    steps = slice(config.burn_in, config.burn_in + config.sequence_length)
    steps_and_next = slice(config.burn_in, config.burn_in + config.sequence_length + 1)
    return Sequences(
        observation=batch.observation[steps_and_next],
        is_first=batch.is_first[steps_and_next],
        action=batch.action[steps],
        reward=batch.reward[steps],
        terminated=batch.terminated[steps],
        loss_mask=batch.loss_mask,
        next_in_episode=batch.next_in_episode,
        carry=carry,
    )


def gradient_step(
    config: R2D2,
    policy: RecurrentPolicy,
    state: R2D2State,
    hparams: dict[str, Float[Array, ""]],
    key: PRNGKey,
    *,
    may_leave: bool = False,
) -> tuple[R2D2State, dict[str, Float[Array, ""]]]:
    """One gradient step on sequences sampled by priority; their priorities are updated.

    Args:
      may_leave: as for `gather_sequences`.
    """
    replay, capacity = state.replay, config.capacity
    priority = replay.priority.reshape(-1)
    probability = replay_buffer.probabilities(priority, config.priority_exponent)
    index = replay_buffer.sample(probability, key, config.minibatch_size)
    chunk, episode = index // capacity, index % capacity
    batch = gather_sequences(config, replay, chunk, episode, may_leave=may_leave)
    weight = replay_buffer.importance_weights(probability[index], jnp.sum(priority > 0), hparams["importance_exponent"])
    scale, loss_key = hparams["aux_loss_scale"], jax.random.fold_in(key, keys.LOSSES)
    grads, (error, metrics) = jax.grad(
        lambda p: q_loss(config, policy, p, state.target_params, batch, weight, scale, loss_key), has_aux=True
    )(state.params)
    params, opt_state = apply_gradients(
        config.optimizer(), state.params, state.opt_state, grads, hparams["learning_rate"]
    )
    gradient_steps = state.gradient_steps + 1
    copy = gradient_steps % config.target_update_period == 0
    state = R2D2State(
        params=params,
        target_params=jax.tree.map(lambda new, old: jnp.where(copy, new, old), params["policy"], state.target_params),
        opt_state=opt_state,
        replay=replay_buffer.set_priorities(
            replay, chunk, episode, replay_buffer.mixed_priority(error, batch.loss_mask, config.priority_eta)
        ),
        gradient_steps=gradient_steps,
    )
    return state, metrics


def _action_values_taken(values: Float[Array, "L N A"], action: Int[Array, "L N"]) -> Float[Array, "L N"]:
    return jnp.take_along_axis(values, action[..., None], -1)[..., 0]
