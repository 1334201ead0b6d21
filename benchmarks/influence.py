"""What a model of other agents costs: one update with the influence reward against the same update without.

`python benchmarks/influence.py` measures Cleanup with five agents, the published network and A2C. An update is what a
run repeats: a batch of episodes is played, then every agent learns from it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from typing import Any

import jax

from rookery.training.build import build
from rookery.training.devices import machine_info
from rookery.training.presets.social_dilemmas import published_run
from rookery.training.train_step import replica_schedules


def measure(method: str, max_steps: int, num_envs: int, num_updates: int) -> dict[str, Any]:
    """Seconds of the fastest of `num_updates` updates."""
    config = published_run("cleanup", method)
    task = dataclasses.replace(config.task, max_steps=max_steps)
    config = dataclasses.replace(config, task=task, num_envs=num_envs, total_timesteps=max_steps * num_envs)
    run = build(config)
    state, schedules = run.place_on_devices((run.init(), replica_schedules(config)))
    start = time.perf_counter()
    train_step = run.compile_train_step().lower(state, schedules).compile()
    compile_seconds, durations = time.perf_counter() - start, []
    for _ in range(num_updates):
        start = time.perf_counter()
        state, _ = jax.block_until_ready(train_step(state, schedules))
        durations.append(time.perf_counter() - start)
    best = min(durations)
    return {
        "method": method,
        "seconds": best,
        "steps_per_second": max_steps * num_envs / best,
        "compile_seconds": compile_seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-steps", type=int, default=200, help="steps per episode (default 200)")
    parser.add_argument("--num-envs", type=int, default=16, help="episodes per update (default 16)")
    parser.add_argument("--num-updates", type=int, default=5, help="updates, of which the fastest counts (default 5)")
    options = parser.parse_args()
    results = [measure(method, options.max_steps, options.num_envs, options.num_updates) for method in ("a3c", "moa")]
    ratio = results[1]["seconds"] / results[0]["seconds"]
    print(json.dumps({"machine": machine_info(), "results": results, "times_the_baseline": ratio}))


if __name__ == "__main__":
    main()
