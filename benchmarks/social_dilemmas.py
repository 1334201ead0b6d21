"""Environment steps per second of social dilemmas, random actions: `python benchmarks/social_dilemmas.py --json`."""

from __future__ import annotations

import argparse
import json

from rookery.training.devices import machine_info, use_all_cores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", action="append", help="a task id; default: cleanup-v0 and harvest-v0")
    parser.add_argument("--num-envs", type=int, default=1024, help="environments in one batch, over all devices")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each measurement")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()

    use_all_cores()
    from rookery.tasks import registry  # JAX must not start before the line above
    from rookery.training.benchmark_env import measure_task

    results = [
        {"task": task_id, **measure_task(registry.get_task(task_id), options.num_envs, options.seconds)}
        for task_id in options.task or ("cleanup-v0", "harvest-v0")
    ]
    machine = machine_info()
    if options.json:
        print(json.dumps({"machine": machine, "results": results}))
        return
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    for row in results:
        print(
            f"{row['task']}, {row['num_agents']} agents, {row['num_envs']} environments: "
            f"{row['steps_per_second']:,.0f} environment steps/s, median {row['median_steps_per_second']:,.0f} of "
            f"{row['runs']}"
        )


if __name__ == "__main__":
    main()
