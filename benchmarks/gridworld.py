"""Environment steps per second of Goal Cycle with random actions: `python benchmarks/gridworld.py --json`."""

from __future__ import annotations

import argparse
import json

from rookery.training.devices import machine_info, use_all_cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--observation-type", choices=("pixels", "symbolic"), action="append", help="default: both")
    parser.add_argument("--num-envs", type=int, default=4096, help="environments in one batch, over all devices")
    parser.add_argument("--num-agents", type=int, default=3)
    parser.add_argument("--height", type=int, default=13)
    parser.add_argument("--width", type=int, default=13)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each measurement")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()

    use_all_cores()
    from rookery.training.benchmark_env import measure_goal_cycle  # JAX must not start before the line above

    size = (options.num_envs, options.num_agents, options.height, options.width)
    results = [
        measure_goal_cycle(observation_type, *size, options.seconds)
        for observation_type in options.observation_type or ("pixels", "symbolic")
    ]
    machine = machine_info()
    if options.json:
        print(json.dumps({"machine": machine, "results": results}))
        return
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(f"{options.num_envs} environments of {options.height}×{options.width} cells, {options.num_agents} agents")
    for row in results:
        print(
            f"{row['observation_type']:8} {row['steps_per_second']:12,.0f} environment steps/s, "
            f"median {row['median_steps_per_second']:,.0f} of {row['runs']}"
        )


if __name__ == "__main__":
    main()
