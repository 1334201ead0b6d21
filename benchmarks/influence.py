"""What a model of other agents costs: one update with influence against the same without.

`python benchmarks/influence.py` measures Cleanup with five agents, the published network and A2C. An update is what a
run repeats: a batch of episodes played, then every agent learns from it.
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
from rookery.training.presets_dilemma import published_run
from rookery.training.train_step import replica_schedules


def measure(method: str, steps: int, episodes: int, rounds: int) -> dict[str, Any]:
    """Seconds of the best of so many updates."""
    config = published_run("cleanup", method)
    task = dataclasses.replace(config.task, max_steps=steps)
    config = dataclasses.replace(config, task=task, episodes=episodes, steps=steps * episodes)
    program = build(config)
    state, schedules = program.place_on_devices((program.init(), replica_schedules(config)))
    began = time.perf_counter()
    update = program.compile_train_step().lower(state, schedules).compile()
    compiled, taken = time.perf_counter() - began, []
    for _ in range(rounds):
        began = time.perf_counter()
        state, _ = jax.block_until_ready(update(state, schedules))
        taken.append(time.perf_counter() - began)
    best = min(taken)
    return {
        "method": method,
        "seconds": best,
        "steps_per_second": steps * episodes / best,
        "compile_seconds": compiled,
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=200, help="of an episode")
    options.add_argument("--episodes", type=int, default=16, help="side by side")
    options.add_argument("--rounds", type=int, default=5, help="updates to take the best of")
    chosen = options.parse_args()
    results = [measure(m, chosen.steps, chosen.episodes, chosen.rounds) for m in ("a3c", "moa")]
    ratio = results[1]["seconds"] / results[0]["seconds"]
    print(json.dumps({"machine": machine_info(), "results": results, "times_the_baseline": ratio}))


if __name__ == "__main__":
    main()
