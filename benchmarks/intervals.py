"""How often a 95 % interval over a few seeds misses the true value: `python benchmarks/intervals.py`.

The values of seeds are sampled from a known distribution, again and again, and studies' intervals are computed from
them. Exact intervals would miss in 5 % of cases. Bimodal: 0 or 10 with equal probability, plus noise of deviation 1.
"""

import argparse
from collections.abc import Callable

import numpy as np

from rookery import intervals


def miss_fraction(sample: Callable, true_value: float, interval: Callable, num_intervals: int) -> float:
    """Fraction of the intervals that do not contain the true value."""
    missed = []
    for _ in range(num_intervals):
        _, low, high = interval(sample())
        missed.append(not low <= true_value <= high)
    return float(np.mean(missed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-intervals", type=int, default=400, help="intervals of each kind (default 400)")
    count = parser.parse_args().num_intervals
    rng = np.random.default_rng(0)
    print("seeds   mean   bimodal mean   difference of two variants")
    for seeds in (3, 5, 10, 20):

        def normal(seeds=seeds):
            return rng.normal(size=seeds)

        def bimodal(seeds=seeds):
            return 10.0 * rng.integers(0, 2, seeds) + rng.normal(size=seeds)

        mean = miss_fraction(normal, 0.0, intervals.mean_interval, count)
        bimodal_mean = miss_fraction(bimodal, 5.0, intervals.mean_interval, count)
        difference = miss_fraction(
            lambda f=normal: (f(), f()), 0.0, lambda pair: intervals.difference_of_means(*pair), count
        )
        print(f"{seeds:5d} {mean:6.0%} {bimodal_mean:14.0%} {difference:29.0%}")


if __name__ == "__main__":
    main()
