"""Environment steps per second through the adapters: `python benchmarks/adapters.py`.

Random actions, 13×13 cells, three agents. One environment through PettingZoo and through Gymnasium, many through
Gymnasium's vector form. Resets are included, compilation is not. Each is timed episode by episode: the fastest episode
shows the cost of the adapter, the median also what else the machine was doing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

MARLGRID_STEPS_PER_SECOND = 390
"""Environment steps per second of the reference environment: one environment, three agents, 13×13 cells, one core."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="goal-cycle-v0")
    parser.add_argument("--num-envs", type=int, default=1024, help="environments of the vector form")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each adapter")
    parser.add_argument("--synchronous", action="store_true", help="run JAX's CPU programs on the calling thread")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()

    import jax
    import numpy as np

    if options.synchronous:
        jax.config.update("jax_cpu_enable_async_dispatch", False)
    from rookery.interop.gymnasium import SingleAgentEnv, SingleAgentVectorEnv
    from rookery.interop.pettingzoo import parallel_env
    from rookery.training.devices import machine_info

    rng = np.random.default_rng(0)
    parallel, single = parallel_env(options.task), SingleAgentEnv(options.task, partners="random")
    vector = SingleAgentVectorEnv(options.task, options.num_envs, partners="random")
    max_steps, num_actions = parallel._env.max_steps, parallel._env.num_actions
    joint_actions = [
        dict(zip(parallel.possible_agents, row, strict=True)) for row in random_actions(rng, num_actions, max_steps, 3)
    ]
    vector_actions = list(rng.integers(num_actions, size=(max_steps, options.num_envs)))
    adapters = {
        "PettingZoo, one environment": (parallel, joint_actions, 1),
        "Gymnasium, one environment": (single, random_actions(rng, num_actions, max_steps), 1),
        f"Gymnasium, {options.num_envs:,} environments": (vector, vector_actions, options.num_envs),
    }
    results = {name: measure(*adapter, options.seconds) for name, adapter in adapters.items()}
    if options.json:
        print(json.dumps({"machine": machine_info(), "synchronous": options.synchronous, "results": results}))
        return
    print(", ".join(f"{name} {value}" for name, value in machine_info().items()))
    for name, (best, median, cpu) in results.items():
        text = f"{name:30} {best:10,.0f} environment steps/s, median {median:,.0f}, {cpu:,.0f} per second of CPU"
        print(f"{text}; {best / MARLGRID_STEPS_PER_SECOND:.0f}× marlgrid" if "PettingZoo" in name else text)


def random_actions(rng, num_actions: int, *size: int) -> list:
    """Random actions as Python's own integers."""
    return rng.integers(num_actions, size=size).tolist()


def measure(env, actions: list, num_envs: int, seconds: float) -> tuple[float, float, float]:
    """Environment steps per second of the fastest episode and of the median one, and the best per second of CPU."""
    env.reset(seed=0)
    env.step(actions[0])
    durations, cpu_durations = [], []
    while len(durations) < 3 or sum(durations) < seconds:
        start, cpu_start = time.perf_counter(), time.process_time()
        env.reset()
        for action in actions:
            env.step(action)
        durations.append(time.perf_counter() - start)
        cpu_durations.append(time.process_time() - cpu_start)
    steps = num_envs * len(actions)
    return steps / min(durations), steps / statistics.median(durations), steps / min(cpu_durations)


if __name__ == "__main__":
    main()
