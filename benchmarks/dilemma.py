"""Environment steps a second of the social dilemmas under random actions: `python benchmarks/dilemma.py --json`."""

from __future__ import annotations

import argparse
import json

from rookery.training.devices import machine_info, use_all_cores


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--task", action="append", help="an id; default: cleanup-v0 and harvest-v0")
    options.add_argument("--worlds", type=int, default=1024, help="side by side, over all devices")
    options.add_argument("--seconds", type=float, default=5.0, help="of measuring, for each task")
    options.add_argument("--json", action="store_true", help="one line for programs")
    chosen = options.parse_args()

    use_all_cores()
    from rookery.training.benchmark_env import measure_task  # only now may JAX start

    names = chosen.task or ("cleanup-v0", "harvest-v0")
    results = [measure_task(name, chosen.worlds, chosen.seconds) for name in names]
    facts = machine_info()
    if chosen.json:
        print(json.dumps({"machine": facts, "results": results}))
        return
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    for result in results:
        best, median = result["steps_per_second"], result["median_steps_per_second"]
        print(
            f"{result['task']}, {result['agents']} agents, {result['worlds']} worlds: {best:,.0f} environment steps/s, "
            f"median {median:,.0f} of {result['runs']}"
        )


if __name__ == "__main__":
    main()
