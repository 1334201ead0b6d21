"""Environment steps a second of Goal Cycle under random actions: `python benchmarks/world.py --json`."""

from __future__ import annotations

import argparse
import json

from rookery.training.devices import machine_info, use_all_cores


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kind", choices=("pixels", "symbolic"), action="append", help="default: both")
    options.add_argument("--worlds", type=int, default=4096, help="side by side, over all devices")
    options.add_argument("--agents", type=int, default=3)
    options.add_argument("--height", type=int, default=13)
    options.add_argument("--width", type=int, default=13)
    options.add_argument("--seconds", type=float, default=5.0, help="of measuring, for each kind")
    options.add_argument("--json", action="store_true", help="one line for programs")
    chosen = options.parse_args()

    use_all_cores()
    from rookery.training.benchmark_env import measure_goal_cycle  # only now may JAX start

    size = (chosen.worlds, chosen.agents, chosen.height, chosen.width)
    results = [measure_goal_cycle(kind, *size, chosen.seconds) for kind in chosen.kind or ("pixels", "symbolic")]
    facts = machine_info()
    if chosen.json:
        print(json.dumps({"machine": facts, "results": results}))
        return
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    print(f"{chosen.worlds} worlds of {chosen.height}×{chosen.width}, {chosen.agents} agents")
    for result in results:
        best, median = result["steps_per_second"], result["median_steps_per_second"]
        print(f"{result['kind']:8} {best:12,.0f} environment steps/s, median {median:,.0f} of {result['runs']}")


if __name__ == "__main__":
    main()
