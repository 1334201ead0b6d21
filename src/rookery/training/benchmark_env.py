"""How fast environments run: whole episodes of random actions, with every observation at every step."""

from __future__ import annotations

import statistics
import time
from typing import Any, Literal

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from rookery.backend import jax_devices
from rookery.errors import ConfigError
from rookery.gridworld.spec import ViewConfig
from rookery.limits import MAX_ENVS, check_at_most
from rookery.tasks.checks import start_backend
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.registry import make_env
from rookery.training.memory import check_fits, environment_bytes


def measure_goal_cycle(
    observation_type: Literal["pixels", "symbolic"] = "pixels",
    num_envs: int = 4096,
    num_agents: int = 3,
    height: int = 13,
    width: int = 13,
    seconds: float = 5.0,
) -> dict[str, Any]:
    """Speed of Goal Cycle with this many agents in worlds of this size: what `measure_task` returns, and the size."""
    task = GoalCycle(height=height, width=width, views=(ViewConfig(observation_type=observation_type),) * num_agents)
    size = {"height": height, "width": width}
    return {"task": f"Goal Cycle {height}×{width}", **size, **measure_task(task, num_envs, seconds)}


def measure_task(task: Any, num_envs: int = 4096, seconds: float = 5.0) -> dict[str, Any]:
    """Environment steps per second, resets included; a step moves all agents of one environment and observes.

    A measurement is one episode of every environment, divided over JAX's devices; on a CPU, make every core a device
    first (`rookery.training.devices.use_all_cores`). Measurements are repeated for `seconds`; the result has the best
    and the median, without compilation.

    Raises: ConfigError if the environments cannot be divided evenly, or cannot fit into memory.
    """
    start_backend()
    devices = jax.device_count()
    check_at_most("num_envs", num_envs, MAX_ENVS)
    if num_envs < 1 or num_envs % devices:
        raise ConfigError(f"num_envs={num_envs} must be a positive multiple of the {devices} devices")
    env = make_env(task)
    params, agents = env.default_params(), env.num_agents
    needed = num_envs * environment_bytes(env, range(agents))
    check_fits(f"{num_envs:,} environments", needed, "lower num_envs", jax_devices())

    def episodes(keys):
        """One episode in each of a device's environments. Returns the last observations and all reward, f32[1]."""
        state, first = jax.vmap(env.reset, (0, None))(keys, params)

        def advance(carry, key):
            state, _, total = carry
            action = jax.random.randint(key, (len(keys), agents), 0, env.num_actions)
            state, timestep = jax.vmap(env.step, (0, 0, None))(state, action, params)
            # Observations are part of the carry, so each must be written to memory.
            return (state, timestep.observation, total + timestep.reward.sum()), None

        start = state, first.observation, first.reward.sum()
        step_keys = jax.random.split(jax.random.fold_in(keys[0], 1), env.max_steps)
        _, observation, total = jax.lax.scan(advance, start, step_keys)[0]
        return observation, total[None]

    mesh = jax.make_mesh((devices,), ("envs",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("envs")
    run = jax.jit(jax.shard_map(episodes, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False))
    keys = jax.device_put(jax.random.split(jax.random.PRNGKey(0), num_envs), NamedSharding(mesh, spec))
    started = time.perf_counter()
    jax.block_until_ready(run(keys))
    first_seconds = time.perf_counter() - started  # compilation and one measurement
    durations = []
    while not durations or sum(durations) < seconds:
        started = time.perf_counter()
        jax.block_until_ready(run(keys))
        durations.append(time.perf_counter() - started)
    steps = num_envs * env.max_steps
    types = dict.fromkeys(view.observation_type for view in task.views)
    return {
        "observation_type": "/".join(types) or "own observations",
        "num_envs": num_envs,
        "num_agents": agents,
        "steps_per_second": steps / min(durations),
        "median_steps_per_second": steps / statistics.median(durations),
        "runs": len(durations),
        "compile_seconds": first_seconds - min(durations),
    }
