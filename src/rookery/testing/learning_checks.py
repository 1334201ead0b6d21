"""Conformance checks for auxiliary losses, intrinsic rewards and learners. Each takes seconds, mostly to compile."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rookery.agents.communication import CommunicationConfig
from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError, NotFoundError, RookeryError
from rookery.interfaces import (
    RESERVED_METRIC_NAMES,
    AuxiliaryLoss,
    HealthInputs,
    IntrinsicReward,
    Learner,
    LossInputs,
    Policy,
    check_required_info,
)
from rookery.learning.a2c import A2C
from rookery.learning.actor_critic import ActorCritic, ScheduledHparams
from rookery.learning.health import health_inputs
from rookery.learning.intrinsic.combine import INFLUENCE_ON
from rookery.learning.rollout import learner_info
from rookery.plugins import AUXILIARY_LOSSES, INTRINSIC_REWARDS, LEARNERS, Registry
from rookery.storage.metrics import check_metric_name
from rookery.storage.serialization import from_dict, to_dict
from rookery.testing.conformance import (
    ConformanceError,
    failures_named,
    require,
    require_close,
    require_equal_trees,
    require_equal_types,
    require_instance,
    require_same_when_compiled_again,
)
from rookery.testing.loss_checks import (
    MakeMinibatch,
    any_nonzero,
    arbitrary_variations,
    check_absent_actions,
    check_gradient,
    check_mask,
    check_masked_steps,
    check_own_gradient,
    check_parts,
    check_values,
    measure_by,
    minibatch_maker,
)
from rookery.testing.sample_episodes import EPISODES, NUM_AGENTS, STEPS, sample_trajectory
from rookery.training.config import TEACHER_HPARAMS
from rookery.types import PyTree, Trajectory

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
    state, trajectory = learner.init(policy, _KEYS[0], STEPS), sample_trajectory(policy, loss.required_info)
    make = minibatch_maker(learner, policy, state.params)
    inputs = make(trajectory)
    mask = loss.loss_mask(inputs.batch)
    check_mask(mask, inputs, f"{name}.loss_mask")
    check_values(loss.loss(params, inputs), mask, f"{name}.loss")
    _check_loss_numbers(loss, lambda i: loss.loss(params, i), make, trajectory, name)
    own_grads, policy_grads = check_gradient(lambda p, i: loss.loss(p, i), params, inputs, mask, f"{name}.loss")
    check_own_gradient(own_grads, f"{name}.loss")
    trainable = loss.trains_encoder and jax.tree.leaves(policy_grads["encoder"])
    require(
        any_nonzero(policy_grads["encoder"]) or not trainable,
        f"{name}.loss",
        "no gradient reaches the policy's encoder; compute it from `inputs.hidden` or `inputs.features` without "
        "stop_gradient, or, if it is meant to train only its own parameters, set `trains_encoder = False`",
    )
    metrics = loss.metrics(params, inputs)
    require(isinstance(metrics, dict), f"{name}.metrics", "must return a dictionary")
    for key, value in metrics.items():
        require(jnp.shape(value) == (), f"{name}.metrics", f"{key!r} has shape {jnp.shape(value)}, must be one number")
    for what, other in arbitrary_variations(trajectory, policy).items():
        require_equal_trees(metrics, loss.metrics(params, make(other)), f"{name}.metrics", f"{what} the metrics")
    _check_health(lambda i: loss.health(params, i), policy, state.params, trajectory, f"{name}.health")
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
    state = learner.init(policy, _KEYS[0], STEPS)
    trajectory = sample_trajectory(policy, reward.required_info, (reward,))
    params, own_state = state.params, reward.init_state(policy)
    again = reward.init_state(policy)
    require_equal_trees(own_state, again, f"{name}.init_state", "two calls must agree")
    require_equal_types(own_state, again, f"{name}.init_state", "two calls must agree")
    after = reward.update_state(own_state, params, policy, trajectory)
    require_equal_types(own_state, after, f"{name}.update_state", "must keep structure, shapes and types of the state")
    _check_rewards(reward, params, policy, trajectory, own_state, name)
    _check_intrinsic_loss(reward, learner, policy, params, trajectory, name)
    _check_health(lambda i: reward.health(params, i), policy, params, trajectory, f"{name}.health")
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
    _check_teacher(learner, name)
    _check_required_info(learner)
    policy = policy or _policy(vocab_size=2 if any(reward.pays_messages for reward in learner.intrinsic) else 0)
    learner.validate(EPISODES, STEPS)
    state = learner.init(policy, _KEYS[0], STEPS)
    again = learner.init(policy, _KEYS[0], STEPS)
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
    trajectory = sample_trajectory(policy, learner_info(learner), learner.intrinsic)
    if learner.teacher is not None:
        trajectory = trajectory.replace(teacher_action=trajectory.action[::-1])
    _check_numbers_of_health(lambda scores: learner.health(policy, state, trajectory, scores), f"{name}.health")
    metrics = _check_update(learner, policy, state, trajectory, name, arbitrary_variations(trajectory, policy))
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
    return RecurrentPolicy(network, (4, 5, 3), 3, communication=communication, num_agents=NUM_AGENTS)


def _check_init(part: AuxiliaryLoss | IntrinsicReward, policy: RecurrentPolicy, name: str) -> PyTree:
    params = part.init(_KEYS[2], policy)
    require_equal_trees(params, part.init(_KEYS[2], policy), f"{name}.init", "two calls with one key must agree")
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        is_float = isinstance(leaf, jax.Array) and leaf.dtype == jnp.float32
        require(is_float, f"{name}.init", f"{jax.tree_util.keystr(path)} must be an array of float32: it is trained")
    return params


def _check_loss_numbers(
    part: AuxiliaryLoss | IntrinsicReward,
    loss: Callable[[LossInputs], jax.Array],
    make: MakeMinibatch,
    trajectory: Trajectory,
    name: str,
) -> None:
    """What a loss says of a step depends on nothing that it may not depend on."""
    measure = measure_by(part, loss)
    check_masked_steps(measure, make, trajectory, name)
    check_parts(part, measure, make, trajectory, name)
    num_actions = make(trajectory).policy.num_actions
    check_absent_actions(lambda t: measure(make(t))["loss"], trajectory, num_actions, f"{name}.loss")


def _check_rewards(
    reward: IntrinsicReward, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory, state: PyTree, name: str
) -> None:
    """One finite number for every step that counts, which depends on none that does not. `state`: before the update."""
    compute = jax.jit(lambda trajectory: _state_and_rewards(reward, params, policy, trajectory, state))
    after, values = compute(trajectory)
    size, method = trajectory.reward.shape, f"{name}.reward"
    mask = trajectory.loss_mask
    if values.shape != size:  # they are influences
        method, mask = f"{name}.influence", mask[..., None]
        require(jnp.isfinite(values).all(), method, "is not finite everywhere")
    require(jnp.where(mask, jnp.isfinite(values), True).all(), method, "is not finite at a step that counts")
    for what, other in arbitrary_variations(trajectory, policy).items():
        other_state, others = compute(other)
        require_equal_trees(after, other_state, f"{name}.update_state", f"{what} the state")
        counted = jnp.where(mask, values, 0), jnp.where(mask, others, 0)
        require_close(*counted, method, f"{what} the rewards of the steps that do count")
    check_absent_actions(lambda t: jnp.where(mask, compute(t)[1], 0), trajectory, policy.num_actions, method)


def _state_and_rewards(
    reward: IntrinsicReward, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory, state: PyTree
) -> tuple[PyTree, jax.Array]:
    """The state after the episodes; and rewards f32[T, E], or, if it defines them, influences f32[T, E, N]."""
    name, size = type(reward).__name__, trajectory.reward.shape
    state = reward.update_state(state, params, policy, trajectory)
    influence = reward.influence(params, policy, trajectory)
    if influence is not None:
        expected, shape = (*size, policy.num_agents - 1), jnp.shape(influence)
        require(shape == expected, f"{name}.influence", f"is {list(shape)}, not {list(expected)}")
        return state, influence
    values = reward.reward(params, policy, trajectory, state)
    shape = jnp.shape(values)
    require(shape == size, f"{name}.reward", f"must be one number per step, {list(size)}; it is {list(shape)}")
    return state, values


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
    make = minibatch_maker(learner, policy, params)
    inputs = make(trajectory)
    mask = reward.loss_mask(inputs.batch)
    has_params = bool(jax.tree.leaves(reward.init(_KEYS[2], policy)))
    if mask is None:
        return
    require(has_params, f"{name}.init", "must return parameters, as there is a loss to train them")
    check_mask(mask, inputs, f"{name}.loss_mask")

    def loss(params: PyTree, inputs: LossInputs) -> jax.Array:
        return reward.loss(params, inputs, inputs.batch.intrinsic_carry.get(reward.kind))

    check_values(loss(params, inputs), mask, f"{name}.loss")
    _check_loss_numbers(reward, lambda i: loss(params, i), make, trajectory, name)
    grads, _ = check_gradient(loss, params, inputs, mask, f"{name}.loss")
    check_own_gradient(reward.own_params(grads), f"{name}.loss")


def _check_health(
    measure: Callable[[HealthInputs], dict[str, jax.Array]],
    policy: RecurrentPolicy,
    params: PyTree,
    trajectory: Trajectory,
    method: str,
) -> None:
    """What the health of a loss or reward is, from its inputs."""
    _check_numbers_of_health(lambda s: measure(health_inputs(policy, params["policy"], trajectory, s)), method)


def _check_numbers_of_health(
    measure: Callable[[Callable[[jax.Array], jax.Array | None]], dict[str, jax.Array]], method: str
) -> None:
    """Health is numbers by name, whether observations tell where other agents are or not. Nothing is computed.

    Args:
      measure: from what `HealthInputs.agent_scores` is to the health.
    """
    for agent_scores in (lambda observation: observation.reshape(len(observation), -1), lambda observation: None):
        measured = jax.eval_shape(lambda scores=agent_scores: measure(scores))
        require(isinstance(measured, dict), method, "must return a dictionary")
        for key, value in measured.items():
            _require_metric_name(key, method)
            require(value.shape == (), method, f"{key!r} has shape {value.shape}, must be one number")


def _check_actor_critic(learner: ActorCritic, name: str) -> None:
    """It has the settings and scheduled hyperparameters that ActorCritic computes with."""
    missing = [field for field in ActorCritic.__annotations__ if not hasattr(learner, field)]
    require(not missing, name, f"ActorCritic computes with its fields, too; add {', '.join(missing)}")
    needed = [field for field in ScheduledHparams._fields if field not in ScheduledHparams._field_defaults]
    missing = [field for field in needed if field not in learner.hparams]
    require(not missing, f"{name}.hparams", f"ActorCritic needs {', '.join(needed)}; add {', '.join(missing)}")


def _check_teacher(learner: Learner, name: str) -> None:
    """One that has a teacher says so, and has schedules for how much it follows it."""
    supported = learner.supports_teacher
    require(supported or learner.teacher is None, f"{name}.supports_teacher", "must be True where it has a teacher")
    missing = [hparam for hparam in TEACHER_HPARAMS if supported and hparam not in learner.hparams]
    require(not missing, f"{name}.hparams", f"a run with a teacher needs {', '.join(missing)}; add default schedules")


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
    needs_logits = learner.teacher is not None or "logits" in learner_info(learner)
    require(
        "logits" in extras or not needs_logits,
        f"{name}.behavior_policy",
        "must give the extra `logits`, which a teacher, and what requests them, needs",
    )


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
    variations: dict[str, Trajectory] | None = None,
) -> dict[str, jax.Array]:
    """One whole update, compiled as in a run; returns its metrics.

    Args:
      variations: episodes of which the same must come, by what a message about them begins with.
    """
    method = f"{name}.update"
    lowered = (
        _lower_update(learner, policy, state, trajectory, method),
        _lower_update(learner, policy, state, trajectory, method),
    )
    update, arguments = lowered[0].compile(), (state, trajectory, _KEYS[5])
    after, metrics = update(*arguments)
    require_equal_types(state, after, method, "must keep structure, shapes and types of the learner's state")
    require_equal_trees((after, metrics), update(*arguments), method, "two calls with one key must agree")
    require_same_when_compiled_again(lowered, arguments, (after, metrics), method, "compiled twice, must agree")
    for what, other in (variations or {}).items():
        _check_masked_steps_of_update(update, state, (trajectory, other), method, what)
    for metric, value in metrics.items():
        if metric != INFLUENCE_ON:
            require(value.shape == (), method, f"metric {metric!r} is {list(value.shape)}, not one number")
    for leaf in jax.tree.leaves(after.params):
        require(jnp.isfinite(leaf).all(), method, "parameters are not finite after one update")
    return metrics


def _lower_update(
    learner: Learner, policy: RecurrentPolicy, state: Any, trajectory: Trajectory, method: str
) -> jax.stages.Lowered:
    """An update, traced again but not yet compiled."""

    def update(state, trajectory, key):
        result = learner.update(policy, state, trajectory, _hparams(learner), key)
        is_pair = isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict)
        require(is_pair, method, "must return the next state, and a dictionary of metrics")
        for metric in result[1]:
            _require_metric_name(metric, method)
        return result

    return jax.jit(update).lower(state, trajectory, _KEYS[5])


def _require_metric_name(metric: Any, method: str) -> None:
    try:
        check_metric_name(metric)
    except ValueError as error:
        require(False, method, str(error))


def _check_masked_steps_of_update(
    update: Callable[..., tuple[Any, dict[str, jax.Array]]],
    state: Any,
    pair: tuple[Trajectory, Trajectory],
    method: str,
    what: str,
) -> None:
    """Neither parameters nor metrics depend on what differs between a pair, in the next update either.

    A state may hold such steps, in a replay buffer; what it does with them shows in the next update.
    """
    states = (state, state)
    for trajectories, key, when in ((pair, _KEYS[5], ""), (pair[:1] * 2, _KEYS[6], " of the next update, either")):
        first, second = (update(s, t, key) for s, t in zip(states, trajectories, strict=True))
        require_equal_trees(first[0].params, second[0].params, method, f"{what} the parameters{when}")
        require_equal_trees(first[1], second[1], method, f"{what} the metrics{when}")
        states = (first[0], second[0])
