"""Conformance check for tasks: what the rest of the package relies on, whatever a task pays."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rookery.errors import ConfigError
from rookery.gridworld.movement import FORWARD
from rookery.gridworld.spec import ViewConfig
from rookery.gridworld.state import GridState
from rookery.gridworld.tiles import NUM_TILE_KINDS, OBSTACLE, WALKABLE
from rookery.interfaces import RESERVED_METRIC_NAMES, Task
from rookery.tasks.grid_env import GridEnv
from rookery.testing.conformance import (
    ConformanceError,
    failures_named,
    require,
    require_equal_trees,
    require_equal_types,
    require_instance,
    require_same_when_compiled_again,
)
from rookery.testing.presence_checks import agent_mask_batches, check_presence
from rookery.testing.random_episodes import Episodes, Player
from rookery.testing.view_checks import check_view_types, check_views, differs_from_gridworld
from rookery.types import Env, PyTree, TimeStep

_CHEAP_VIEW = ViewConfig(size=3, observation_type="symbolic")


def check_task(task: Task, *, steps: int = 40, compare_without_jit: bool = False) -> None:
    """Check that a task and its environment do what the package relies on.

    Settings: a frozen dataclass, hashable, with a `kind`. Environment: shapes and types of states and time steps, which
    `reset` and `step` must agree on; metrics named as in `metric_names`; the time limit. Random episodes: compiled
    once, also if parameters change; the same key gives the same episode, also if it is compiled again; environments
    side by side do not affect each other; agents that leave within an episode are in `dropout_slots`. Each agent is
    absent, and each alone: those of `agent_mask` take part, absent agents always observe the same, are not paid, and
    have no effect. An environment of its own: `observe`, `in_view` and `relative_positions` agree with its time steps.
    On the gridworld: agents stay on the map and off obstacles, obstacles do not move, agents move one cell per step
    unless the task overrides `post_step`, which sets nothing that is undone in the same step, goals can be entered. If
    the grid is square and its size can be chosen, the episodes are played on one that is not square.

    Args:
      task: as it is registered.
      steps: length of the random episodes, at most `max_steps`.
      compare_without_jit: also compare one step with the same step outside of `jax.jit`, which takes seconds.
    Raises: ConformanceError, which names the method and what is wrong.
    """
    with failures_named(task):
        _check_task(task, steps, compare_without_jit)


def _check_task(task: Task, steps: int, compare_without_jit: bool) -> None:
    check_settings(task)
    env = task.make_env()
    check_shapes(task, env)
    small = _small_copy(task, steps)
    env = small.make_env()
    player = Player(env, min(steps, env.max_steps))
    episodes = player.play()
    _check_time_steps(small, env, episodes)
    _check_repeats(small, player, episodes)
    _check_default_mask(small, player, episodes)
    for agent_mask in agent_mask_batches(env.num_agents):
        _check_time_steps(small, env, check_presence(type(task).__name__, player, agent_mask, episodes))
    if small.grid_spec is not None:
        check_grid_episodes(small, episodes)
        if isinstance(env, GridEnv):
            _check_post_step(small, env, player.params, episodes)
    text = small.to_text(jax.tree.map(lambda x: x[0], episodes.first_state))
    require(isinstance(text, str), f"{type(task).__name__}.to_text", f"must return a string, not {type(text).__name__}")
    if compare_without_jit:
        check_without_jit(small)


def check_settings(task: Task) -> None:
    """The part of `check_task` about the task as a dataclass."""
    name = type(task).__name__
    require_instance(task, Task)
    params = getattr(type(task), "__dataclass_params__", None)
    require(
        params is not None and params.frozen, name, "must be a frozen dataclass: @dataclasses.dataclass(frozen=True)"
    )
    try:
        hash(task)
    except TypeError as error:
        raise ConformanceError(f"{name}: must be hashable ({error}); use tuples instead of lists and arrays") from None
    copy = dataclasses.replace(task)  # type: ignore[type-var]
    require(copy == task, name, "a copy by dataclasses.replace must be equal to the task")
    require(isinstance(task.kind, str) and task.kind, f"{name}.kind", 'add a field `kind: Literal["..."] = "..."`')
    names = task.metric_names
    valid = isinstance(names, tuple) and all(isinstance(metric, str) for metric in names)
    require(
        valid and len(set(names)) == len(names), f"{name}.metric_names", f"{names!r} must be a tuple of different names"
    )
    taken = set(names).intersection(RESERVED_METRIC_NAMES)
    require(
        not taken, f"{name}.metric_names", f"{sorted(taken)} are names of metrics that every agent has; rename them"
    )


def check_shapes(task: Task, env: Env) -> None:
    """The part of `check_task` about shapes and types; nothing is compiled."""
    name = type(task).__name__
    require(isinstance(env, Env), f"{name}.make_env", "the environment must derive from rookery.types.Env")
    missing = [field for field in ("task", "num_agents", "num_actions", "max_steps") if not hasattr(env, field)]
    require(not missing, f"{type(env).__name__}", f"needs a field or property {', '.join(map(repr, missing))}")
    require(env.task == task, f"{name}.make_env", "the environment's `task` must be the task")
    require(len(env.action_names) == env.num_actions, f"{name}.action_names", f"must be {env.num_actions} names")
    num_agents, params = env.num_agents, env.default_params()
    _check_params(task, params)
    same_params = "must be as the environment's, the same at every call"
    require_equal_types(task.default_params(), params, f"{name}.default_params", same_params)
    require_equal_trees(task.default_params(), params, f"{name}.default_params", same_params)
    key, agent_mask = jax.random.PRNGKey(0), jnp.ones(num_agents, bool)
    state, first = jax.eval_shape(env.reset, key, params)
    masked_state, masked = jax.eval_shape(env.reset, key, params, agent_mask)
    after, timestep = jax.eval_shape(env.step, state, jnp.zeros(num_agents, jnp.int32), params)
    for method, info in (("reset", first.info), ("step", timestep.info)):
        require(
            set(info) == set(task.metric_names),
            f"{name}: {method}",
            f"info has {sorted(info)}; metric_names are {sorted(task.metric_names)}",
        )
    require_equal_types(state, masked_state, f"{name}: reset", "the state depends on whether agent_mask is given")
    require_equal_types(first, masked, f"{name}: reset", "the time step depends on whether agent_mask is given")
    require_equal_types(state, after, f"{name}: step", "the state differs from that of reset")
    require_equal_types(first, timestep, f"{name}: step", "the time step differs from that of reset")
    _check_time_step_types(task, env, timestep)
    if differs_from_gridworld(env):
        check_view_types(env, state, timestep)


def _check_params(task: Task, params: PyTree) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        require(
            isinstance(leaf, jax.Array),
            f"{type(task).__name__}.default_params",
            f"{jax.tree_util.keystr(path)} is {type(leaf).__name__}; use an array such as jnp.float32(x), "
            "so that a schedule can change it without recompiling",
        )


def _check_time_step_types(task: Task, env: Env, timestep: TimeStep) -> None:
    name, num_agents = type(task).__name__, env.num_agents
    _require_type(timestep.reward, (num_agents,), jnp.float32, f"{name}: step", "reward")
    _require_type(timestep.agent_mask, (num_agents,), jnp.bool_, f"{name}: step", "agent_mask")
    for field in ("terminated", "truncated", "is_first"):
        _require_type(getattr(timestep, field), (), jnp.bool_, f"{name}: step", field)
    for metric, value in timestep.info.items():
        _require_type(value, (num_agents,), jnp.float32, f"{name}: step", f"info[{metric!r}]")
    views = timestep.observation
    for slot in range(num_agents):
        view = views[slot] if isinstance(views, tuple) else jax.ShapeDtypeStruct(views.shape[1:], views.dtype)
        what = f"the observation of slot {slot}"
        _require_type(view, env.observation_shape(slot), jnp.uint8, f"{name}: observation_shape", what)


def _require_type(value: Any, shape: tuple[int, ...], dtype: Any, method: str, what: str) -> None:
    is_right = (tuple(value.shape), value.dtype) == (tuple(shape), jnp.dtype(dtype))
    expected = f"{jnp.dtype(dtype).name}{list(shape)}"
    require(is_right, method, f"{what} is {value.dtype}{list(value.shape)}, not {expected}")


def _small_copy(task: Task, steps: int) -> Task:
    """A copy that compiles fast and can show more: small views, an oblong grid, episodes of `steps`.

    A change that the task does not allow is left out.
    """
    fields = {field.name for field in dataclasses.fields(task) if field.init}  # type: ignore[arg-type]
    changes: list[dict[str, Any]] = []
    if "max_steps" in fields:
        changes.append({"max_steps": min(steps, task.make_env().max_steps)})
    if task.grid_spec is not None:
        if "views" in fields:
            changes.append({"views": (_CHEAP_VIEW,) * len(task.views)})
        if "num_actions" in fields:
            changes.append({"num_actions": 7})
        if {"height", "width"} <= fields and task.grid_spec.height == task.grid_spec.width:
            changes.append({"width": task.grid_spec.width + 2})  # the parity stays, which mazes need
    for change in changes:
        try:
            task = dataclasses.replace(task, **change)  # type: ignore[type-var]
        except ConfigError:
            continue
    return task


def _check_time_steps(task: Task, env: Env, episodes: Episodes) -> None:
    name, first, timesteps = type(task).__name__, episodes.first, episodes.timesteps
    require(first.is_first.all() and not timesteps.is_first.any(), f"{name}: is_first", "must be true at reset alone")
    require(not first.reward.any(), f"{name}: reset", "the reward of the first time step must be 0")
    require(np.isfinite(timesteps.reward).all(), f"{name}.reward", "must be finite")
    require(not first.terminated.any(), f"{name}.is_terminal", "an episode must not be over before its first step")
    for metric in task.metric_names:
        require(not first.info[metric].any(), f"{name}: info", f"{metric!r} must be 0 at reset")
        require(np.isfinite(timesteps.info[metric]).all(), f"{name}: info", f"{metric!r} must be finite")
    if episodes.views is not None:
        check_views(env, episodes.views, np.asarray(timesteps.agent_mask))
    at_limit = np.arange(1, len(timesteps.reward) + 1) >= env.max_steps
    require(
        (timesteps.truncated == at_limit[:, None]).all(),
        f"{name}: truncated",
        f"must be true from step max_steps={env.max_steps} on and not before",
    )
    # An agent that leaves or enters in a step is paid as it was there before it.
    agent_mask = np.concatenate([first.agent_mask[None], timesteps.agent_mask[:-1]])
    absent = ~agent_mask
    require(not timesteps.reward[absent].any(), f"{name}.reward", "absent agents must get 0")
    for metric in task.metric_names:
        require(not timesteps.info[metric][absent].any(), f"{name}: info", f"{metric!r} must be 0 for absent agents")
    is_over = np.logical_or.accumulate(timesteps.terminated)[..., None]
    leaves = (agent_mask & ~timesteps.agent_mask & ~is_over).any((0, 1))
    unnamed = [slot for slot in np.flatnonzero(leaves).tolist() if slot not in env.dropout_slots]
    require(
        not unnamed,
        f"{name}: agent_mask",
        f"agents in slots {unnamed} leave within an episode, but dropout_slots is {tuple(env.dropout_slots)}: learners "
        "would bootstrap from what they observe while they are away; name them there, and make them return: "
        "agents that leave for good before the episode is over are not supported",
    )


def _check_default_mask(task: Task, player: Player, everyone: Episodes) -> None:
    """Without an agent_mask all agents take part."""
    env = player.env
    if not differs_from_gridworld(env):
        return
    agent_mask = jax.jit(lambda key, params: env.reset(key, params)[1].agent_mask)(player.keys[0], player.params)
    require(
        np.array_equal(agent_mask, everyone.first.agent_mask[0]),
        f"{type(task).__name__}: reset",
        f"without an agent_mask the agents {np.flatnonzero(agent_mask).tolist()} take part; all must, as with one that "
        "is True for all",
    )


def _check_repeats(task: Task, player: Player, episodes: Episodes) -> None:
    """Same key, same episode; environments are independent; nothing recompiles."""
    name = type(task).__name__
    same = "the same key and actions must give the same episode"
    require_equal_trees(player.play(), episodes, name, same)
    lowered = player.lower(), Player(task.make_env(), player.steps).lower()
    require_same_when_compiled_again(
        lowered, player.arguments(), (*episodes[:4], episodes.views), name, f"compiled twice, {same}"
    )
    reverse = player.play(keys=player.keys[::-1], action=player.actions()[:, ::-1])
    turned = Episodes(
        *(jax.tree.map(lambda x: x[::-1], part) for part in reverse[:2]),
        *(jax.tree.map(lambda x: x[:, ::-1], part) for part in reverse[2:]),
    )
    require_equal_trees(turned, episodes, name, "an episode must not depend on the environments next to it")
    player.play(params=jax.tree.map(lambda x: x + jnp.ones((), x.dtype) * 0, player.params))
    require(
        player.traces == 1,
        f"{name}.default_params",
        f"one program must do for all keys and parameters, but it was compiled {player.traces} times",
    )


def check_grid_episodes(task: Task, episodes: Episodes) -> None:
    """What must hold on the gridworld. Raises ConformanceError."""
    name, state = type(task).__name__, episodes.first_state
    height, width = state.tiles.shape[1:]
    require(state.tiles.dtype == np.uint8, f"{name}.generate", f"tiles are {state.tiles.dtype}, not uint8")
    start = jax.tree.map(lambda x: x[None], state)
    for frames, method in ((start, "generate"), (episodes.states, "post_step")):
        where = f"{name}.{method}"
        require((frames.tiles < NUM_TILE_KINDS).all(), where, f"tiles must be below {NUM_TILE_KINDS}")
        inside = (frames.position >= 0) & (frames.position < (height, width))
        require(inside.all(), where, "an agent is off the map; positions are (row, col)")
        cell = frames.position[..., 0] * width + frames.position[..., 1]
        kind = np.take_along_axis(frames.tiles.reshape(*frames.tiles.shape[:2], -1), cell, axis=2)
        require((kind != OBSTACLE).all(), where, "an agent is on an obstacle")
        require(((frames.heading >= 0) & (frames.heading < 4)).all(), where, "headings must lie in [0, 3]")
    walls = episodes.states.tiles == OBSTACLE
    require((walls == (state.tiles == OBSTACLE)).all(), f"{name}.post_step", "obstacles must stay where they are")
    if type(task).post_step is Task.post_step:
        before = np.concatenate([state.position[None], episodes.states.position[:-1]])
        distance = np.abs(episodes.states.position - before).sum(-1)
        require((distance <= (episodes.action == FORWARD)).all(), name, "agents must move one cell, and only forward")
    _check_goals(task, state, "at reset")
    for t in (0, len(episodes.action) - 1):
        _check_goals(task, jax.tree.map(lambda x, t=t: x[t], episodes.states), f"after {t + 1} steps")


_SET_BY_ENV = ("agent_mask", "prestige", "step", "invisible_agents")
"""Fields of a GridState that the environment computes after `post_step`, whatever that sets."""


def _check_post_step(task: Task, env: GridEnv, params: PyTree, episodes: Episodes) -> None:
    """`post_step` changes nothing that would be undone in the same step."""
    kept = True

    def fields(state, action):
        """Before and after `post_step`."""
        nonlocal kept
        moved, move_result, _, _ = env.move_and_pay(state, action, params)
        after = env.post_step(state, moved, move_result)
        pairs = {name: (getattr(moved, name), getattr(after, name)) for name in _SET_BY_ENV}
        kept = all(before is now for before, now in pairs.values())
        return pairs

    step = jax.vmap(jax.vmap(fields))
    states = jax.tree.map(
        lambda first, later: np.concatenate([first[None], later[:-1]]), episodes.first_state, episodes.states
    )
    jax.eval_shape(step, states, episodes.action)
    if kept:  # it returns the very same arrays: there is nothing to compute
        return
    for name, (before, after) in jax.device_get(jax.jit(step)(states, episodes.action)).items():
        require_equal_trees(
            before,
            after,
            f"{type(task).__name__}.post_step",
            f"what it sets as `{name}` is undone in the same step; an agent leaves by `away`, in a slot of "
            "`dropout_slots`, and returns by it",
        )


def _check_goals(task: Task, state: GridState, when: str) -> None:
    """Goals are on different cells, which agents can enter; those that an episode does not have are on an obstacle."""
    where, episode_range = f"{type(task).__name__}.goal_cells", task.episode_ranges.get("goals")
    for env in range(len(state.tiles)):
        goals = np.asarray(task.goal_cells(jax.tree.map(lambda x, env=env: x[env], state.task))).reshape(-1, 2)
        cells = [tuple(cell) for cell in goals.tolist()]
        if episode_range is not None:
            cells = [cell for cell in cells if state.tiles[env][cell] != OBSTACLE]
            fewest = f"{len(cells)} goals {when}, where episodes have at least {episode_range.least}"
            require(len(cells) >= episode_range.least, where, fewest)
        require(len(set(cells)) == len(cells), where, f"two goals share a cell {when}")
        for row, col in cells:
            walkable = WALKABLE[state.tiles[env, row, col]]
            require(walkable, where, f"the goal at {row, col} cannot be entered {when}")


def check_without_jit(task: Task, steps: int = 1) -> None:
    """Compiled steps, in two environments side by side, equal those of one environment outside of `jax.jit`."""
    env, name = task.make_env(), type(task).__name__
    params = env.default_params()
    keys = jax.random.split(jax.random.PRNGKey(3), 2)
    states, _ = jax.jit(jax.vmap(env.reset, (0, None)))(keys, params)
    state = jax.tree.map(lambda x: x[1], states)
    step = jax.jit(jax.vmap(env.step, (0, 0, None)))
    for t in range(steps):
        action = jnp.full((2, env.num_agents), (FORWARD + t) % env.num_actions, jnp.int32)
        states, timesteps = step(states, action, params)
        with jax.disable_jit():
            state, timestep = env.step(state, action[1], params)
        compiled = jax.tree.map(lambda x: x[1], (states, timesteps))
        require_equal_trees(compiled, (state, timestep), f"{name}: step", "with and without jax.jit the step differs")
