"""Mistakes in classes from outside this package, found by tracing what a run will do: before anything is compiled.

`rookery.testing` checks more, with numbers; what is here is checked whenever a run starts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.team import AgentGroup
from rookery.errors import ConfigError, RookeryError, error_text, explain_failure
from rookery.extension_errors import EXTENSION_REMEDY, check_result_shape, check_same_types, describe_failure
from rookery.gridworld.shown_agents import channel_layout
from rookery.interfaces import Task
from rookery.learning.intrinsic.combine import INFLUENCE_ON
from rookery.storage.checkpoint import check_leaves
from rookery.storage.metrics import check_metric_name
from rookery.training.config import RunConfig
from rookery.types import Env, PyTree, TimeStep

if TYPE_CHECKING:
    from rookery.training.train_step import Run, TrainState


def check_extensions(run: Run, trace_evaluation: Callable[[TrainState], None] | None) -> None:
    """Trace what a run with classes from outside this package will do, so that mistakes in them are found early.

    It takes seconds, and compiles nothing.

    Args:
      trace_evaluation: traces the evaluation of a checkpoint, given the shapes of a run's state; None: there is none.
    Raises: ConfigError, which names the class, for results of wrong shapes and for whatever the classes raise.
    """
    groups = run.team.groups
    policies = [policy for group in groups for policy in (group.policy, group.teacher) if policy is not None]
    networks = [policy.network for policy in policies if isinstance(policy, RecurrentPolicy)]

    def trace() -> None:
        state = jax.eval_shape(run.init)
        _check_initial_states(run.team.learning_groups, state)
        jax.eval_shape(jax.vmap(run.train_step, (0, 0, None)), state, run.schedules, run.frozen_params)
        if trace_evaluation is not None:
            trace_evaluation(state)

    trace_extensions([*configured_parts(run.config), *policies, *networks], trace)


def _check_initial_states(groups: Iterable[AgentGroup], state: TrainState) -> None:
    """Raises ConfigError, which names the group, for a learner's state that no checkpoint could hold."""
    for group in groups:
        try:
            check_leaves(state.learners[group.name])
        except TypeError as error:
            what = f"group {group.name!r}: init() of the learner {group.learner.kind!r}"
            raise ConfigError(f"{what}: {error}; {EXTENSION_REMEDY}") from None


def trace_extensions(parts: Iterable[Any], trace: Callable[[], Any]) -> None:
    """Call `trace` if any of these parts is of a class from outside this package.

    Raises: ConfigError, which names the class, for whatever the classes raise.
    """
    if outside := _from_outside(parts):
        with extension_failures_named(outside):
            trace()


def configured_parts(config: RunConfig) -> list[Any]:
    """The task, and the learners with their networks, losses and rewards: what other packages may add."""
    parts: list[Any] = [config.task]
    for entry in config.team:
        if entry.learner is not None:
            parts.append(entry.policy.network)  # type: ignore[union-attr] (learners train no other)
            parts += [entry.learner, *entry.learner.auxiliary, *entry.learner.intrinsic]
    return parts


@contextlib.contextmanager
def extension_failures_named(parts: Iterable[Any]) -> Iterator[None]:
    """Whatever a method of these parts raises becomes a ConfigError that names it.

    Errors of this package, of other code, and what the machine lacks pass as they are.
    """
    try:
        yield
    except RookeryError:
        raise
    except Exception as error:
        message = describe_failure(_from_outside(parts), error)
        if message is None or explain_failure(error) is not None:
            raise
        raise ConfigError(f"{' '.join(message.split())}; {EXTENSION_REMEDY}") from error


def _from_outside(parts: Iterable[Any]) -> list[Any]:
    """Those whose class is not of this package."""
    return [part for part in parts if type(part).__module__.split(".")[0] != __name__.split(".")[0]]


def check_environment(task: Task, env: Env) -> None:
    """Trace a reset and a step of a task from outside this package.

    Raises: ConfigError, which names the task, for time steps that training would misread: observations that are not
      u8[*observation_shape], rewards or metrics that are not one number per agent; and for what its methods raise.
    """
    if not _from_outside([task]):
        return
    what = f"task {task.kind!r}"
    try:
        with extension_failures_named([task]):
            timestep = jax.eval_shape(lambda: _first_time_step(env))
    except TypeError as error:  # of the loop, whose message names what differs
        message = " ".join(error_text(error).split())
        raise ConfigError(f"{what}: a step must return types as a reset does; {EXTENSION_REMEDY}. {message}") from error
    _check_observations(timestep.observation, env, what)
    check_result_shape(f"{what}: the reward, one number per agent,", timestep.reward, (env.num_agents,))
    expected = jax.ShapeDtypeStruct((env.num_agents,), jnp.float32)
    wanted = dict.fromkeys(timestep.info, expected)
    check_same_types(f"{what}: metrics, one number per agent,", timestep.info, wanted)
    _check_metric_names(what, timestep.info)


def _first_time_step(env: Env) -> TimeStep:
    """The time step of a reset, after a step in a loop, which refuses what changes its type."""
    params, agent_mask = env.default_params(), jnp.ones(env.num_agents, bool)
    first = env.reset(jax.random.PRNGKey(0), params, agent_mask)
    actions = jnp.zeros((1, env.num_agents), jnp.int32)
    jax.lax.scan(lambda state, action: (env.step(state[0], action, params), None), first, actions)
    return first[1]


def _check_observations(observation: Any, env: Env, what: str) -> None:
    """They are u8[A, ...], or a tuple with one u8 array per agent."""
    shapes = [tuple(env.observation_shape(slot)) for slot in range(env.num_agents)]
    expected: Any = tuple(jax.ShapeDtypeStruct(shape, jnp.uint8) for shape in shapes)
    if not isinstance(observation, tuple):
        expected = jax.ShapeDtypeStruct((env.num_agents, *shapes[0]), jnp.uint8)
    check_same_types(f"{what}: the observation of all agents", observation, expected)
    for slot, shape in enumerate(shapes):
        _check_observation_type(env.observation_type(slot), shape, what)


def _check_observation_type(observation_type: Any, shape: tuple[int, ...], what: str) -> None:
    """Raises ConfigError for a type of observations that is not known, or has another number of channels."""
    layout = channel_layout(observation_type) if isinstance(observation_type, str) else None
    channels = sum(map(len, layout)) if layout else 3
    if observation_type is None or ((layout or observation_type == "pixels") and shape[2:] == (channels,)):
        return
    raise ConfigError(
        f"{what}: observation_type returned {observation_type!r:.60} for observations of {list(shape)}; allowed: None, "
        "'pixels' of 3 channels, and 'symbolic' and 'objects' with the channels of the gridworld's views; "
        f"{EXTENSION_REMEDY}"
    )


def check_update(group: AgentGroup, before: PyTree, result: Any) -> None:
    """Check what the learner of a group returned for one agent; called while the update is traced.

    Args:
      before: the learner's state before the update.
    Raises: ConfigError, which names the group, for anything but a state of the same structure, shapes and types, and
      metrics that are one number each, those among them that must stay finite.
    """
    what = f"group {group.name!r}: update() of the learner {group.learner.kind!r}"
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
        raise ConfigError(f"{what} must return a pair, the next state and a dictionary of metrics; {EXTENSION_REMEDY}")
    state, metrics = result
    check_same_types(f"{what}: the next state", state, before)
    own = {name: value for name, value in metrics.items() if name != INFLUENCE_ON}  # it is one number per other agent
    check_metrics(what, own)
    if missing := [name for name in group.learner.nan_guarded_metrics if name not in own]:
        raise ConfigError(
            f"group {group.name!r}: nan_guarded_metrics of the learner {group.learner.kind!r} has {missing[0]!r}, "
            f"which is not a metric of its update; allowed: {', '.join(map(repr, sorted(own)))}; {EXTENSION_REMEDY}"
        )


def check_metrics(what: str, metrics: Mapping[Any, Any]) -> None:
    """Raises ConfigError for metrics that are not one number each, or have names that no file of metrics may have."""
    _check_metric_names(what, metrics)
    for name, value in metrics.items():
        check_result_shape(f"{what}: metric {name!r}", value, ())


def _check_metric_names(what: str, names: Iterable[Any]) -> None:
    for name in names:
        try:
            check_metric_name(name)
        except ValueError as error:
            raise ConfigError(f"{what}: {error}; {EXTENSION_REMEDY}") from None
