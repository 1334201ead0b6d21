"""Steps a second through the adapters, random actions, 13×13 and three agents: `python benchmarks/adapters.py`.

One world through PettingZoo and Gymnasium, many through Gymnasium's vector form; resets are included, compilation is
not. Each is timed episode by episode: the best tells what the adapter costs, the median what else the machine did.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

MARLGRID = 390
"""Environment steps a second of the reference environment in one world, three agents, 13×13, on one core."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--task", default="goal-cycle-v0")
    options.add_argument("--worlds", type=int, default=1024, help="of the vector form")
    options.add_argument("--seconds", type=float, default=10.0, help="of measuring, for each adapter")
    options.add_argument("--synchronous", action="store_true", help="run JAX's CPU programs on the calling thread")
    options.add_argument("--json", action="store_true", help="one line for programs")
    chosen = options.parse_args()

    import jax
    import numpy as np

    if chosen.synchronous:
        jax.config.update("jax_cpu_enable_async_dispatch", False)
    from rookery.interop.gymnasium import SingleAgentEnv, SingleAgentVectorEnv
    from rookery.interop.pettingzoo import parallel_env
    from rookery.training.devices import machine_info

    random = np.random.default_rng(0)
    together, alone = parallel_env(chosen.task), SingleAgentEnv(chosen.task, partners="random")
    many = SingleAgentVectorEnv(chosen.task, chosen.worlds, partners="random")
    limit, actions = together._env.max_steps, together._env.num_actions
    joint = [dict(zip(together.possible_agents, row, strict=True)) for row in drawn(random, actions, limit, 3)]
    single, batch = drawn(random, actions, limit), random.integers(actions, size=(limit, chosen.worlds))
    timed = {
        "PettingZoo, one world": (together, joint, 1),
        "Gymnasium, one world": (alone, single, 1),
        f"Gymnasium, {chosen.worlds:,} worlds": (many, list(batch), chosen.worlds),
    }
    results = {name: measure(*how, chosen.seconds) for name, how in timed.items()}
    if chosen.json:
        print(json.dumps({"machine": machine_info(), "synchronous": chosen.synchronous, "results": results}))
        return
    print(", ".join(f"{name} {value}" for name, value in machine_info().items()))
    for name, (best, median, cpu) in results.items():
        print(f"{name:24} {best:10,.0f} environment steps/s, median {median:,.0f}, {cpu:,.0f} per CPU second", end="")
        print(f"; {best / MARLGRID:.0f}× marlgrid" if "PettingZoo" in name else "")


def drawn(random, actions: int, *size: int) -> list:
    """Random actions as Python's own numbers."""
    return random.integers(actions, size=size).tolist()


def measure(env, actions: list, worlds: int, seconds: float) -> tuple[float, float, float]:
    """Environment steps a second of the best episode, the median one, and the best for each second of CPU."""
    env.reset(seed=0)
    env.step(actions[0])
    taken, used = [], []
    while len(taken) < 3 or sum(taken) < seconds:
        started, busy = time.perf_counter(), time.process_time()
        env.reset()
        for action in actions:
            env.step(action)
        taken.append(time.perf_counter() - started)
        used.append(time.process_time() - busy)
    steps = worlds * len(actions)
    return steps / min(taken), steps / statistics.median(taken), steps / min(used)


if __name__ == "__main__":
    main()
