"""How often a 95 % interval over a few seeds misses what it is an interval of: `python benchmarks/intervals.py`.

Values of seeds are drawn from a known distribution, and the intervals that studies use are asked for them again and
again. Exact ones would miss in 5 % of cases. Bimodal: 0 or 10, as likely, with a spread of 1.
"""

import argparse

import numpy as np

from rookery.studies import statistics


def missed(draw, truth: float, interval, times: int) -> float:
    """Share of intervals that do not hold the truth."""
    found = [interval(draw()) for _ in range(times)]
    return float(np.mean([not one.low <= truth <= one.high for one in found]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=400, help="intervals of each kind (default 400)")
    times = parser.parse_args().times
    random = np.random.default_rng(0)
    print("seeds   mean   bimodal mean   difference of two arms")
    for seeds in (3, 5, 10, 20):

        def normal(seeds=seeds):
            return random.normal(size=seeds)

        def bimodal(seeds=seeds):
            return 10.0 * random.integers(0, 2, seeds) + random.normal(size=seeds)

        mean = missed(normal, 0.0, statistics.mean_over_seeds, times)
        modes = missed(bimodal, 5.0, statistics.mean_over_seeds, times)
        pair = missed(lambda n=normal: (n(), n()), 0.0, lambda x: statistics.difference_of_means(*x), times)
        print(f"{seeds:5d} {mean:6.0%} {modes:14.0%} {pair:24.0%}")
