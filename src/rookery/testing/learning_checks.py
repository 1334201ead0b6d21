"""Conformance checks for auxiliary losses, intrinsic rewards and learners. Each takes seconds, mostly to compile."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.communication import CommunicationConfig
from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError, NotFoundError, RookeryError
from rookery.interfaces import (
    RESERVED_METRIC_NAMES,
    AuxiliaryLoss,
    IntrinsicReward,
    Learner,
    LossInputs,
    Policy,
    check_required_info,
)
from rookery.learning import actor_critic
from rookery.learning.a2c import A2C
from rookery.learning.actor_critic import ActorCritic, ScheduledHparams
from rookery.learning.intrinsic.combine import INFLUENCE_ON
from rookery.learning.rollout import learner_info
from rookery.plugins import AUXILIARY_LOSSES, INTRINSIC_REWARDS, LEARNERS, Registry
from rookery.storage.serialization import from_dict, to_dict
from rookery.testing.conformance import (
    TOLERANCE,
    ConformanceError,
    failures_named,
    require,
    require_equal_trees,
    require_equal_types,
    require_instance,
)
from rookery.types import MessageTrajectory, OthersInfo, PyTree, Trajectory

_STEPS, _EPISODES, _NUM_AGENTS = 12, 4, 3
_KEYS = jax.random.split(jax.random.PRNGKey(0), 8)


def check_auxiliary_loss(loss: AuxiliaryLoss, policy: RecurrentPolicy | None = None) -> None:
    """Check an auxiliary loss against the contract of `rookery.interfaces.AuxiliaryLoss`.

    Args:
      policy: the policy to check it with; None: a small one.
    Raises: ConformanceError, which names the method and what is wrong.
    """
    with failures_named(loss):
        _check_auxiliary_loss(loss, policy)


def _check_auxiliary_loss(loss: AuxiliaryLoss, policy: RecurrentPolicy | None) -> None:
    name = type(loss).__name__
    _check_configuration(loss, AuxiliaryLoss, AUXILIARY_LOSSES, name)
    require(loss.weight >= 0, f"{name}.weight", f"is {loss.weight}, must be at least 0")
    _check_required_info(loss)
    policy = policy or _policy()
    params = _check_init(loss, policy, name)
    learner = A2C(sequence_length=4, auxiliary=(loss,))
    state, trajectory = learner.init(policy, _KEYS[0], _STEPS), _trajectory(policy, loss.required_info)
    inputs = _loss_inputs(learner, policy, state.params, trajectory)
    mask = loss.loss_mask(inputs.batch)
    _check_mask(mask, inputs, f"{name}.loss_mask")
    _check_values(loss.loss(params, inputs), mask, f"{name}.loss")
    repeated = _loss_inputs(learner, policy, state.params, trajectory, repeat_first_half=True)
    _check_parts(loss, lambda i: loss.loss(params, i), inputs, repeated, name)
    own_grads, policy_grads = _check_gradient(lambda p, i: loss.loss(p, i), params, inputs, mask, f"{name}.loss")
    _check_own_gradient(own_grads, f"{name}.loss")
    trainable = loss.trains_encoder and jax.tree.leaves(policy_grads["encoder"])
    require(
        _any_nonzero(policy_grads["encoder"]) or not trainable,
        f"{name}.loss",
        "no gradient reaches the policy's encoder; compute it from `inputs.hidden` or `inputs.features` without "
        "stop_gradient, or, if it is meant to train only its own parameters, set `trains_encoder = False`",
    )
    metrics = loss.metrics(params, inputs)
    require(isinstance(metrics, dict), f"{name}.metrics", "must return a dictionary")
    for key, value in metrics.items():
        require(jnp.shape(value) == (), f"{name}.metrics", f"{key!r} has shape {jnp.shape(value)}, must be one number")
    metrics = _check_update(learner, policy, state, trajectory, name)
    require(f"aux_loss/{loss.kind}" in metrics, name, "is not among the metrics of an update")


def _check_required_info(part: AuxiliaryLoss | IntrinsicReward | Learner) -> None:
    try:
        check_required_info(part)
    except ConfigError as error:
        raise ConformanceError(str(error)) from None


def check_intrinsic_reward(reward: IntrinsicReward, policy: RecurrentPolicy | None = None) -> None:
    """Check an intrinsic reward against the contract of `rookery.interfaces.IntrinsicReward`.

    Args:
      policy: the policy to check it with; None: a small one among three agents, which sends messages if the reward
        pays messages.
    Raises: ConformanceError, which names the method and what is wrong.
    """
    with failures_named(reward):
        _check_intrinsic_reward(reward, policy)


def _check_intrinsic_reward(reward: IntrinsicReward, policy: RecurrentPolicy | None) -> None:
    name = type(reward).__name__
    _check_configuration(reward, IntrinsicReward, INTRINSIC_REWARDS, name)
    require(reward.weight >= 0, f"{name}.weight", f"is {reward.weight}, must be at least 0")
    _check_required_info(reward)
    policy = policy or _policy(vocab_size=2 if reward.pays_messages else 0)
    _check_init(reward, policy, name)
    learner = A2C(sequence_length=4, intrinsic=(reward,))
    state, trajectory = learner.init(policy, _KEYS[0], _STEPS), _trajectory(policy, reward.required_info, (reward,))
    params, own_state = state.params, reward.init_state(policy)
    again = reward.init_state(policy)
    require_equal_trees(own_state, again, f"{name}.init_state", "two calls must agree")
    require_equal_types(own_state, again, f"{name}.init_state", "two calls must agree")
    after = reward.update_state(own_state, params, policy, trajectory)
    require_equal_types(own_state, after, f"{name}.update_state", "must keep structure, shapes and types of the state")
    _check_rewards(reward, params, policy, trajectory, after, name)
    _check_intrinsic_loss(reward, learner, policy, params, trajectory, name)
    metrics = _check_update(learner, policy, state, trajectory, name)
    require(f"intrinsic_reward/{reward.kind}" in metrics, name, "is not among the metrics of an update")


def check_learner(learner: Learner, policy: RecurrentPolicy | None = None) -> None:
    """Check a learner against the contract of `rookery.interfaces.Learner`.

    Args:
      policy: the policy to check it with; None: a small one.
    Raises: ConformanceError, which names the method and what is wrong.
    """
    with failures_named(learner):
        _check_learner(learner, policy)


def _check_learner(learner: Learner, policy: RecurrentPolicy | None) -> None:
    name = type(learner).__name__
    _check_configuration(learner, Learner, LEARNERS, name)
    require(isinstance(learner.hparams, dict), f"{name}.hparams", "must be a dictionary of default schedules by name")
    if isinstance(learner, ActorCritic):
        _check_actor_critic(learner, name)
    _check_required_info(learner)
    policy = policy or _policy(vocab_size=2 if any(reward.pays_messages for reward in learner.intrinsic) else 0)
    learner.validate(_EPISODES, _STEPS)
    state = learner.init(policy, _KEYS[0], _STEPS)
    again = learner.init(policy, _KEYS[0], _STEPS)
    require_equal_trees(state, again, f"{name}.init", "two calls with one key must agree")
    require(
        isinstance(getattr(state, "params", None), dict) and "policy" in state.params,
        f"{name}.init",
        "the state must have a field `params`, a dictionary with the policy's parameters as 'policy'",
    )
    pretrained = policy.init(_KEYS[1])
    require_equal_types(state.params["policy"], pretrained, f"{name}.init", "params['policy'] must be as policy.init's")
    loaded = learner.load_pretrained(state, pretrained)
    require_equal_types(state, loaded, f"{name}.load_pretrained", "must keep structure, shapes and types of the state")
    require_equal_trees(loaded.params["policy"], pretrained, f"{name}.load_pretrained", "must take these parameters")
    eval_policy = learner.eval_policy(policy)
    require(isinstance(eval_policy, RecurrentPolicy), f"{name}.eval_policy", "must be a RecurrentPolicy")
    _check_behavior(learner, policy, state, name)
    trajectory = _trajectory(policy, learner_info(learner), learner.intrinsic)
    metrics = _check_update(learner, policy, state, trajectory, name, _with_other_masked_steps(trajectory, policy))
    taken = set(metrics).intersection(RESERVED_METRIC_NAMES)
    require(not taken, f"{name}.update", f"{sorted(taken)} are names of metrics that every agent has; rename them")
    missing = [metric for metric in learner.nan_guarded_metrics if metric not in metrics]
    require(not missing, f"{name}.nan_guarded_metrics", f"{missing} are not metrics of an update")


# ----------------------------------------------------------------------------------------------------------- parts


def _check_configuration(config: Any, base: type, registry: Registry, name: str) -> None:
    """It is a frozen dataclass that JSON can hold, and registered."""
    require_instance(config, base)
    is_frozen = dataclasses.is_dataclass(config) and type(config).__dataclass_params__.frozen  # type: ignore[attr-defined]
    require(is_frozen, name, "must be a dataclass with frozen=True")
    kind = getattr(config, "kind", None)
    require(isinstance(kind, str) and kind, f"{name}.kind", 'must be a field `kind: Literal["..."] = "..."`')
    try:
        registered = registry.get(str(kind))
    except NotFoundError:
        registered = None
    require(
        registered is type(config),
        f"{name}.kind",
        f"{kind!r} must be registered, with `register` of the registry in rookery.plugins or an entry point of the "
        f"group {registry.group}",
    )
    try:
        restored = from_dict(type(config), to_dict(config, name), name)
    except (RookeryError, TypeError) as error:
        require(False, name, f"cannot be saved as JSON and restored: {error}")
        raise
    require(restored == config, name, "restored from JSON, is not equal to itself")


def _policy(vocab_size: int = 0) -> RecurrentPolicy:
    network = MLPNetwork(encoder_size=8, hidden_size=8, head_size=8)
    communication = CommunicationConfig(vocab_size=vocab_size)
    return RecurrentPolicy(network, (4, 5, 3), 3, communication=communication, num_agents=_NUM_AGENTS)


def _trajectory(
    policy: RecurrentPolicy, requested: Sequence[str], rewards: Sequence[IntrinsicReward] = ()
) -> Trajectory:
    """Random episodes, one of which ends early, with the information that is requested, influence for these rewards."""
    rng = np.random.default_rng(0)
    size = (_STEPS, _EPISODES)

    def integers(high: int, *shape: int):
        return jnp.asarray(rng.integers(0, high, shape), jnp.int32)

    def floats(*shape: int):
        return jnp.asarray(rng.standard_normal(shape), jnp.float32)

    fields: dict[str, Any] = {}
    if "action" in requested:
        fields["action"] = integers(policy.num_actions, *size, policy.num_agents)
    if "reward" in requested:
        fields["reward"] = floats(*size, policy.num_agents)
    if "in_view" in requested:
        fields["in_view"] = floats(*size, policy.num_agents - 1) > 0
    if "relative_position" in requested:
        fields["relative_position"] = integers(5, *size, policy.num_agents - 1, 2) - 2
    if "agent_mask" in requested:
        fields["agent_mask"] = jnp.ones((*size, policy.num_agents), bool)
    if "influence" in requested:
        receivers = [reward.kind for reward in rewards if "influence" in reward.required_info]
        fields["influence"] = {kind: jnp.abs(floats(*size)) for kind in receivers}
    messages = None
    if policy.vocab_size:
        logits = floats(*size, policy.vocab_size)
        messages = MessageTrajectory(
            message=integers(policy.vocab_size, *size), log_prob=-jnp.ones(size), logits=logits, reward=floats(*size)
        )
    comms_obs = None
    if policy.comms_obs_size:
        comms_obs = integers(2, _STEPS + 1, _EPISODES, policy.comms_obs_size).astype(jnp.uint8)
    last = _STEPS // 2  # the first episode ends with this step
    return Trajectory(
        observation=integers(256, _STEPS + 1, _EPISODES, *policy.observation_shape).astype(jnp.uint8),
        action=integers(policy.num_actions, *size),
        reward=floats(*size),
        log_prob=jnp.full(size, -np.log(policy.num_actions), jnp.float32),
        is_first=jnp.zeros((_STEPS + 1, _EPISODES), bool).at[0].set(True),
        terminated=jnp.zeros(size, bool).at[last, 0].set(True),
        loss_mask=jnp.ones(size, bool).at[last + 1 :, 0].set(False),
        comms_obs=comms_obs,
        logits=floats(*size, policy.num_actions) if {"logits", "influence"} & set(requested) else None,
        messages=messages,
        others=OthersInfo(**fields) if fields else None,
    )


def _with_other_masked_steps(trajectory: Trajectory, policy: RecurrentPolicy) -> Trajectory:
    """The same episodes with other numbers in the steps that do not count."""
    masked = ~trajectory.loss_mask
    edge = jnp.ones((1, masked.shape[1]), bool)
    # The observation after the last step that counts still belongs to it.
    unread = jnp.concatenate([masked, edge]) & jnp.concatenate([~edge, masked])
    observation = trajectory.observation
    unread = unread.reshape(*unread.shape, *(1,) * (observation.ndim - 2))
    return trajectory.replace(
        observation=jnp.where(unread, 255 - observation, observation),
        action=jnp.where(masked, (trajectory.action + 1) % policy.num_actions, trajectory.action),
        reward=jnp.where(masked, trajectory.reward + 1, trajectory.reward),
        log_prob=jnp.where(masked, trajectory.log_prob - 1, trajectory.log_prob),
    )


def _check_init(part: AuxiliaryLoss | IntrinsicReward, policy: RecurrentPolicy, name: str) -> PyTree:
    params = part.init(_KEYS[2], policy)
    require_equal_trees(params, part.init(_KEYS[2], policy), f"{name}.init", "two calls with one key must agree")
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        is_float = isinstance(leaf, jax.Array) and leaf.dtype == jnp.float32
        require(is_float, f"{name}.init", f"{jax.tree_util.keystr(path)} must be an array of float32: it is trained")
    return params


def _loss_inputs(
    learner: A2C, policy: RecurrentPolicy, params: PyTree, trajectory: Trajectory, *, repeat_first_half: bool = False
) -> LossInputs:
    """All sequences as one minibatch; or the first half of them twice."""
    recomputed = actor_critic.recompute(learner, policy, params, trajectory)
    indices = jnp.arange(number := actor_critic.num_sequences(learner, trajectory))
    indices = indices % (number // 2) if repeat_first_half else indices
    batch = actor_critic.take_sequences(learner, trajectory, recomputed, indices)
    comms = () if batch.comms_obs is None else (batch.comms_obs,)
    hidden = policy.unroll(params["policy"], batch.carry, batch.observation[:-1], batch.is_first[:-1], *comms)[2]
    return LossInputs(policy, params["policy"], batch, hidden, _KEYS[3])


def _check_mask(mask: Any, inputs: LossInputs, method: str) -> None:
    size = inputs.batch.loss_mask.shape
    require(
        jnp.shape(mask)[:2] == size and jnp.asarray(mask).dtype == bool,
        method,
        f"must return bool[{size[0]}, {size[1]}] (steps, sequences) or with further axes; it is "
        f"{jnp.asarray(mask).dtype}{list(jnp.shape(mask))}",
    )
    require(jnp.any(mask), method, "is False everywhere for a minibatch in which nearly all steps count")


def _check_values(values: Any, mask: Any, method: str) -> None:
    require(
        jnp.shape(values) == jnp.shape(mask),
        method,
        f"must return one number for each entry of the mask, {list(jnp.shape(mask))}; it is {list(jnp.shape(values))}",
    )
    require(jnp.issubdtype(values.dtype, jnp.floating), method, f"must return floats, not {values.dtype}")
    require(jnp.isfinite(values).all(), method, "is not finite everywhere, which it must be even outside the mask")


def _check_parts(
    part: AuxiliaryLoss | IntrinsicReward, loss: Any, inputs: LossInputs, repeated: LossInputs, name: str
) -> None:
    """What a loss says of some sequences does not depend on the others of the minibatch, if it may be read in parts.

    Args:
      loss: the loss of some inputs, with parameters.
      repeated: inputs in which the first half of the sequences stands in place of the second, too.
    """
    if not part.splits_minibatch:
        return
    half = inputs.batch.action.shape[1] // 2
    masks: list[Any] = [part.loss_mask(each.batch) for each in (inputs, repeated)]
    values = [jnp.where(mask, loss(each), 0) for mask, each in zip(masks, (inputs, repeated), strict=True)]
    for method, (first, second) in (("loss_mask", masks), ("loss", values)):
        first, second = (jnp.asarray(x[:, :half], jnp.float32) for x in (first, second))
        require(
            jnp.abs(first - second).max() <= TOLERANCE * jnp.maximum(1.0, jnp.abs(first).max()),
            f"{name}.{method}",
            "depends on the other sequences of the minibatch, which is read in parts on a CPU; set "
            "`splits_minibatch = False`, and it gets the whole",
        )


def _check_gradient(loss: Any, params: PyTree, inputs: LossInputs, mask: Any, method: str) -> tuple[PyTree, PyTree]:
    """Returns the gradients of `params` and of the policy's parameters."""

    def mean(params, policy_params):
        hidden = inputs.policy.unroll(
            policy_params, inputs.batch.carry, inputs.batch.observation[:-1], inputs.batch.is_first[:-1],
            *(() if inputs.batch.comms_obs is None else (inputs.batch.comms_obs,)),
        )[2]  # fmt: skip
        values = loss(params, inputs._replace(policy_params=policy_params, hidden=hidden))
        return jnp.sum(values * mask) / mask.sum()

    grads = jax.jit(jax.grad(mean, (0, 1)))(params, inputs.policy_params)
    require(all(jnp.isfinite(g).all() for g in jax.tree.leaves(grads)), method, "has a gradient that is not finite")
    require(_any_nonzero(grads), method, "has no gradient: it trains neither the policy nor parameters of its own")
    return grads


def _check_own_gradient(grads: PyTree, method: str) -> None:
    """Some may be zero: those of a network that is meant to stay as it is."""
    is_trained = _any_nonzero(grads) or not jax.tree.leaves(grads)
    require(is_trained, method, "no gradient reaches the parameters of its own, which `init` returned")


def _any_nonzero(grads: PyTree) -> bool:
    return any(bool(jnp.any(g != 0)) for g in jax.tree.leaves(grads))


def _check_rewards(
    reward: IntrinsicReward, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory, state: PyTree, name: str
) -> None:
    size = trajectory.reward.shape
    influence = reward.influence(params, policy, trajectory)
    if influence is not None:
        expected = (*size, policy.num_agents - 1)
        shape = jnp.shape(influence)
        require(shape == expected, f"{name}.influence", f"is {list(shape)}, not {list(expected)}")
        require(jnp.isfinite(influence).all(), f"{name}.influence", "is not finite everywhere")
        return
    values = reward.reward(params, policy, trajectory, state)
    shape = jnp.shape(values)
    require(shape == size, f"{name}.reward", f"must be one number per step, {list(size)}; it is {list(shape)}")
    finite = jnp.where(trajectory.loss_mask, jnp.isfinite(values), True).all()
    require(finite, f"{name}.reward", "is not finite at a step that counts")


def _check_intrinsic_loss(
    reward: IntrinsicReward, learner: A2C, policy: RecurrentPolicy, params: PyTree, trajectory: Trajectory, name: str
) -> None:
    states = reward.pre_step_state(params, policy, trajectory)
    for path, leaf in jax.tree_util.tree_leaves_with_path(states):
        require(
            jnp.shape(leaf)[:2] == trajectory.reward.shape,
            f"{name}.pre_step_state",
            f"{jax.tree_util.keystr(path)} must lead with steps and episodes, {list(trajectory.reward.shape)}; it is "
            f"{list(jnp.shape(leaf))}",
        )
    inputs = _loss_inputs(learner, policy, params, trajectory)
    mask = reward.loss_mask(inputs.batch)
    has_params = bool(jax.tree.leaves(reward.init(_KEYS[2], policy)))
    if mask is None:
        return
    require(has_params, f"{name}.init", "must return parameters, as there is a loss to train them")
    _check_mask(mask, inputs, f"{name}.loss_mask")
    carry = inputs.batch.intrinsic_carry.get(reward.kind)
    _check_values(reward.loss(params, inputs, carry), mask, f"{name}.loss")
    repeated = _loss_inputs(learner, policy, params, trajectory, repeat_first_half=True)
    _check_parts(
        reward, lambda i: reward.loss(params, i, i.batch.intrinsic_carry.get(reward.kind)), inputs, repeated, name
    )
    grads, _ = _check_gradient(lambda p, i: reward.loss(p, i, carry), params, inputs, mask, f"{name}.loss")
    _check_own_gradient(reward.own_params(grads), f"{name}.loss")


def _check_actor_critic(learner: ActorCritic, name: str) -> None:
    """It has the settings and scheduled hyperparameters that ActorCritic computes with."""
    missing = [field for field in ActorCritic.__annotations__ if not hasattr(learner, field)]
    require(not missing, name, f"ActorCritic computes with its fields, too; add {', '.join(missing)}")
    needed = [field for field in ScheduledHparams._fields if field not in ScheduledHparams._field_defaults]
    missing = [field for field in needed if field not in learner.hparams]
    require(not missing, f"{name}.hparams", f"ActorCritic needs {', '.join(needed)}; add {', '.join(missing)}")


def _check_behavior(learner: Learner, policy: RecurrentPolicy, state: Any, name: str) -> None:
    behavior = learner.behavior_policy(policy)
    require(isinstance(behavior, Policy), f"{name}.behavior_policy", "must be a Policy")
    params = learner.behavior_params(state, _hparams(learner))
    observation = jnp.zeros((2, *policy.observation_shape), jnp.uint8)
    comms_obs = (jnp.zeros((2, policy.comms_obs_size), jnp.uint8),) if policy.comms_obs_size else ()
    arguments = (params, behavior.initial_carry(2), observation, jnp.ones(2, bool), _KEYS[4], *comms_obs)
    action, _, extras = behavior.act(*arguments)
    require(jnp.shape(action) == (2,), f"{name}.behavior_policy", "does not act with the parameters of behavior_params")
    require("log_prob" in extras, f"{name}.behavior_policy", "must give the extra `log_prob`")


def _hparams(learner: Learner) -> dict[str, jax.Array]:
    """The scheduled hyperparameters at the start of a run."""
    starts = {
        name: schedule if isinstance(schedule, int | float) else schedule[0][1]
        for name, schedule in learner.hparams.items()
    }
    return {name: jnp.float32(value) for name, value in {**starts, "timesteps": 1000.0}.items()}


def _check_update(
    learner: Learner,
    policy: RecurrentPolicy,
    state: Any,
    trajectory: Trajectory,
    name: str,
    same_where_counted: Trajectory | None = None,
) -> dict[str, jax.Array]:
    """One whole update, compiled as in a run; returns its metrics.

    Args:
      same_where_counted: episodes that differ in steps that do not count; the same parameters must come of them.
    """

    @jax.jit
    def update(state, trajectory, key):
        result = learner.update(policy, state, trajectory, _hparams(learner), key)
        is_pair = isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)
        require(is_pair, f"{name}.update", "must return the next state, and a dictionary of metrics")
        return result

    after, metrics = update(state, trajectory, _KEYS[5])
    require_equal_types(state, after, f"{name}.update", "must keep structure, shapes and types of the learner's state")
    again = update(state, trajectory, _KEYS[5])
    require_equal_trees((after, metrics), again, f"{name}.update", "two calls with one key must agree")
    if same_where_counted is not None:
        others = update(state, same_where_counted, _KEYS[5])[0].params
        message = "steps that do not count (`loss_mask` False) must not change the parameters"
        require_equal_trees(after.params, others, f"{name}.update", message)
    for metric, value in metrics.items():
        if metric != INFLUENCE_ON:
            require(value.shape == (), f"{name}.update", f"metric {metric!r} is {list(value.shape)}, not one number")
    for leaf in jax.tree.leaves(after.params):
        require(jnp.isfinite(leaf).all(), f"{name}.update", "parameters are not finite after one update")
    return metrics
