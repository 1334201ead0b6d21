"""One PPO update at the published schedule against a float32 matrix product.

`python benchmarks/update.py ndousse2021`
"""

import argparse
import json

from rookery.training.benchmark_update import measure_update
from rookery.training.devices import machine_info

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", nargs="?", choices=("ndousse2021", "mlp"), default="ndousse2021")
    parser.add_argument("--num-envs", type=int, default=128, help="episodes of 250 steps in the batch (default 128)")
    options = parser.parse_args()
    result = measure_update(options.network, seconds=1.0, num_envs=options.num_envs)
    print(json.dumps({"machine": machine_info(), **result}, indent=2))
