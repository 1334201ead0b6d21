"""How fast the worlds run: whole episodes of random actions, every view painted at every step."""

from __future__ import annotations

import statistics
import time
from typing import Any, Literal

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from rookery.errors import ConfigError
from rookery.gridworld.spec import ViewConfig
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.registry import make_env


def measure_goal_cycle(
    observation_type: Literal["pixels", "symbolic"] = "pixels",
    num_envs: int = 4096,
    num_agents: int = 3,
    height: int = 13,
    width: int = 13,
    seconds: float = 5.0,
) -> dict:
    """Speed of Goal Cycle with so many agents in worlds of this size: what `measure_task` tells, and these."""
    task = GoalCycle(height=height, width=width, views=(ViewConfig(observation_type=observation_type),) * num_agents)
    size = {"height": height, "width": width}
    return {"task": f"Goal Cycle {height}×{width}", **size, **measure_task(task, num_envs, seconds)}


def measure_task(task: Any, num_envs: int = 4096, seconds: float = 5.0) -> dict:
    """Environment steps a second, resets included; a step moves all agents of one world and paints their views.

    A run is one episode of every world, the worlds divided among JAX's devices; on a CPU, make every core one
    first (`rookery.training.devices.use_all_cores`). Runs are repeated for `seconds`; the best and the median are
    told, without compilation. Raises ConfigError if the worlds cannot be divided evenly.
    """
    devices = jax.device_count()
    if num_envs < 1 or num_envs % devices:
        raise ConfigError(f"num_envs={num_envs} must be a positive multiple of the {devices} devices")
    env = make_env(task)
    params, agents = env.default_params(), env.num_agents

    def episodes(keys):
        """One episode in each of a device's worlds. Returns the last views and the reward of all, f32[1]."""
        state, first = jax.vmap(env.reset, (0, None))(keys, params)

        def advance(carry, key):
            state, _, total = carry
            action = jax.random.randint(key, (len(keys), agents), 0, env.num_actions)
            state, told = jax.vmap(env.step, (0, 0, None))(state, action, params)
            # Views go into the carry, so each must be written to memory.
            return (state, told.observation, total + told.reward.sum()), None

        start = state, first.observation, first.reward.sum()
        step_keys = jax.random.split(jax.random.fold_in(keys[0], 1), env.max_steps)
        _, views, total = jax.lax.scan(advance, start, step_keys)[0]
        return views, total[None]

    mesh = jax.make_mesh((devices,), ("envs",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("envs")
    run = jax.jit(jax.shard_map(episodes, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False))
    keys = jax.device_put(jax.random.split(jax.random.PRNGKey(0), num_envs), NamedSharding(mesh, spec))
    started = time.perf_counter()
    jax.block_until_ready(run(keys))
    compiled = time.perf_counter() - started
    taken = []
    while not taken or sum(taken) < seconds:
        started = time.perf_counter()
        jax.block_until_ready(run(keys))
        taken.append(time.perf_counter() - started)
    steps = num_envs * env.max_steps
    kinds = dict.fromkeys(view.observation_type for view in task.views)
    return {
        "observation_type": "/".join(kinds) or "own views",
        "num_envs": num_envs,
        "num_agents": agents,
        "steps_per_second": steps / min(taken),
        "median_steps_per_second": steps / statistics.median(taken),
        "runs": len(taken),
        "compile_seconds": compiled - min(taken),
    }
