"""One PPO update at the paper's schedule against a float32 matrix product: `python benchmarks/update.py paper`."""

import argparse
import json

from rookery.training.benchmark_update import measure_update
from rookery.training.devices import machine_info

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", nargs="?", choices=("paper", "lite"), default="paper")
    parser.add_argument("--episodes", type=int, default=128, help="of 250 steps, in the batch (default 128)")
    options = parser.parse_args()
    result = measure_update(options.network, seconds=1.0, num_envs=options.episodes)
    print(json.dumps({"machine": machine_info(), **result}, indent=2))
