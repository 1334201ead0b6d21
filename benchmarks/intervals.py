"""How often intervals over a few seeds miss the true value, and how often a verdict decides what is not so.

`python benchmarks/intervals.py`. The values of seeds are sampled again and again from a known distribution. Normal:
deviation 1. Bimodal: 0 or 10 with equal probability, plus noise of deviation 1, as where some seeds become followers.
*interval* is the 95 % interval of a mean or of a difference of two means; *verdict* is what studies decide by: the
interval's test, an exact permutation test that agrees, and at least five seeds. *followers*: Fisher's exact test of two
fractions, each one half; *times*: the exact log-rank test of two groups whose times are equally distributed, a third of
them beyond the end of observation; *pairs*: the interval of cross-play, where a pair earns the sum of its two agents'
skills; *teams*: that of a correlation over three agents of each team, whose team shifts both measures.
"""

import argparse
from collections.abc import Callable

import numpy as np

from rookery import intervals, significance


def fraction_of(judge: Callable[[], bool], count: int) -> float:
    """Fraction of `count` trials in which `judge` says yes."""
    return float(np.mean([judge() for _ in range(count)]))


def decides(test: significance.SignificanceTest, num_seeds: int) -> bool:
    """Whether a study would decide by this test, as its only claim."""
    return num_seeds >= significance.MIN_SEEDS and test.decides


def misses(interval: intervals.Interval, value: float) -> bool:
    """Whether an interval does not contain the true value."""
    return not interval.low <= value <= interval.high


def rates(sample: Callable[[], np.ndarray], true_mean: float, num_seeds: int, count: int) -> tuple[float, ...]:
    """Misses of the interval and wrong verdicts, of a mean and of a difference that is 0."""
    return (
        fraction_of(lambda: misses(intervals.mean_interval(sample()), true_mean), count),
        fraction_of(lambda: decides(significance.mean_test(sample(), true_mean), num_seeds), count),
        fraction_of(lambda: misses(intervals.difference_of_means(sample(), sample()), 0.0), count),
        fraction_of(lambda: decides(significance.difference_test(sample(), sample()), num_seeds), count),
    )


def follower_rate(rng: np.random.Generator, num_seeds: int, count: int) -> float:
    """Wrong verdicts on two fractions of followers, both one half."""

    def judge() -> bool:
        first, second = rng.binomial(num_seeds, 0.5, 2)
        return decides(significance.fractions_test(int(first), num_seeds, int(second), num_seeds), num_seeds)

    return fraction_of(judge, count)


def time_rate(rng: np.random.Generator, num_seeds: int, count: int) -> float:
    """Wrong verdicts on two groups whose times are equally distributed, on 15 checkpoints of which 10 are observed."""

    def judge() -> bool:
        time = np.ceil(rng.uniform(0, 15, (2, num_seeds)))
        first, second = zip(np.minimum(time, 10), time <= 10, strict=True)
        return decides(significance.time_test(*first, *second), num_seeds)

    return fraction_of(judge, count)


def pairs_rate(rng: np.random.Generator, num_agents: int, count: int) -> float:
    """Misses of the interval of the mean over pairs of agents."""

    def judge() -> bool:
        skill = rng.normal(size=num_agents)
        returns = skill[:, None] + skill + 0.1 * rng.normal(size=(num_agents, num_agents))
        return misses(intervals.pairs_interval(returns), 0.0)

    return fraction_of(judge, count)


def teams_rate(rng: np.random.Generator, num_teams: int, count: int) -> float:
    """Misses of the interval of a correlation that is 0."""

    def judge() -> bool:
        pair = (3 * rng.normal(size=(num_teams, 1)) + rng.normal(size=(num_teams, 3)) for _ in range(2))
        return misses(intervals.correlation_interval(*pair), 0.0)

    return fraction_of(judge, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=4000, help="trials of each kind (default 4000)")
    count = parser.parse_args().trials
    rng = np.random.default_rng(0)
    columns = ("mean, interval", "mean, verdict", "difference, interval", "difference, verdict")
    print("seeds  values   " + "  ".join(f"{name:>20}" for name in columns))
    for num_seeds in (3, 5, 10, 12):
        kinds: dict[str, tuple[Callable[[], np.ndarray], float]] = {
            "normal": (lambda n=num_seeds: rng.normal(size=n), 0.0),
            "bimodal": (lambda n=num_seeds: 10.0 * rng.integers(0, 2, n) + rng.normal(size=n), 5.0),
        }
        for name, (sample, true_mean) in kinds.items():
            row = "  ".join(f"{rate:20.1%}" for rate in rates(sample, true_mean, num_seeds, count))
            print(f"{num_seeds:5d}  {name:8} {row}", flush=True)
    print("\nseeds  followers, verdict   times, verdict")
    for num_seeds in (3, 5, 10, 12):
        row = f"{follower_rate(rng, num_seeds, count):18.1%}  {time_rate(rng, num_seeds, count):15.1%}"
        print(f"{num_seeds:5d}  {row}", flush=True)
    print("\nseeds  pairs, interval  teams, interval")
    for num_seeds in (3, 5, 10, 12):
        row = f"{pairs_rate(rng, num_seeds, count):15.1%}  {teams_rate(rng, num_seeds, count):15.1%}"
        print(f"{num_seeds:5d}  {row}", flush=True)


if __name__ == "__main__":
    main()
