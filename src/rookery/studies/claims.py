"""Ways to judge a claim. Each holds, does not hold, or stays undecided; the interval says which.

A claim about arms is judged by an interval over seeds, and fewer than three seeds decide nothing. A claim about
these very agents ("every seed stops after one goal") is judged by each one's interval over its episodes.
"""

from __future__ import annotations

import math

import numpy as np

from rookery.studies import statistics
from rookery.studies.results import Results
from rookery.studies.statistics import Interval
from rookery.studies.study import FAILS, HOLDS, UNDECIDED, Claim, Judgement

LEAST_SEEDS = 3
SAYS = {
    "beside": "return beside others",
    "alone": "return alone",
    "gain": "social gain",
    "collective": "collective reward",
}


def verdict(interval: Interval, above: float = -math.inf, below: float = math.inf) -> str:
    """Whether the whole interval lies in (above, below), wholly outside, or neither. NaN decides nothing."""
    if interval.low > above and interval.high < below:
        return HOLDS
    if interval.high <= above or interval.low >= below:
        return FAILS
    return UNDECIDED


def exceeds(text: str, arm: str, threshold: float, measure: str = "gain", scene: str | None = None) -> Claim:
    """The arm's mean over seeds lies above a number."""

    def judge(results: Results) -> Judgement:
        found = _over_seeds(results, arm, measure, scene)
        named = f"{_named(measure, arm, scene)}, mean over seeds"
        return Judgement(verdict(found, above=threshold), f"{named}; claimed > {threshold:g}", found)

    return Claim(text=text, judge=judge)


def falls_below(text: str, arm: str, threshold: float, measure: str = "beside", scene: str | None = None) -> Claim:
    """The arm's mean lies below a number."""

    def judge(results: Results) -> Judgement:
        found = _over_seeds(results, arm, measure, scene)
        named = _named(measure, arm, scene)
        return Judgement(verdict(found, below=threshold), f"{named}; claimed < {threshold:g}", found)

    return Claim(text=text, judge=judge)


def more(
    text: str,
    arm: str,
    than: str,
    measure: str = "beside",
    scene: str | None = None,
    *,
    of_other: str | None = None,
    other_scene: str | None = None,
) -> Claim:
    """The arm's mean exceeds another's. The other's measure and scene are the same unless given."""

    def judge(results: Results) -> Judgement:
        found, named, detail = _compared(results, arm, than, (measure, of_other), (scene, other_scene))
        return Judgement(verdict(found, above=0.0), f"{named}; claimed > 0", found, detail)

    return Claim(text=text, judge=judge)


def no_more(text: str, arm: str, than: str, measure: str = "beside", scene: str | None = None) -> Claim:
    """The arm's mean does not exceed another's."""

    def judge(results: Results) -> Judgement:
        found, named, detail = _compared(results, arm, than, (measure, None), (scene, None))
        said = HOLDS if found.high <= 0 else verdict(found, below=0.0)
        return Judgement(said, f"{named}; claimed ≤ 0", found, detail)

    return Claim(text=text, judge=judge)


def _compared(results: Results, arm: str, than: str, measures, scenes) -> tuple[Interval, str, str]:
    """The arms' difference, what it is a difference of, and the probability of improvement."""
    measure, other = measures[0], measures[1] or measures[0]
    scene, there = scenes[0], scenes[1] or scenes[0]
    ours, theirs = results.values(arm, measure, scene), results.values(than, other, there)
    named = f"{_named(measure, arm, scene)} less {_named(other, than, there if there != scene else None)}"
    if arm == than:  # the same agents: what differs is compared agent by agent
        found = statistics.mean_over_seeds(ours - theirs)
        return enough(found, len(ours)), named, f"{int((ours > theirs).sum())} of {len(ours)} seeds"
    if not results.has_seeds(arm) and not results.has_seeds(than):
        pair = _of_one(results, arm, measure, scene), _of_one(results, than, other, there)
        return statistics.difference_of_agents(*pair), named, "two agents without seeds: over their episodes"
    found, detail = _difference(results, arm, than, ours, theirs), ""
    if len(ours) > 1 and len(theirs) > 1:
        chance = statistics.probability_of_improvement(ours, theirs)
        detail = f"probability of improvement {chance.value:.2f} [{chance.low:.2f}, {chance.high:.2f}]"
    return found, named, detail


def alike(text: str, arm: str, other: str, within: float, measure: str = "beside", scene: str | None = None) -> Claim:
    """The arms' means differ by less than a share of the other's."""

    def judge(results: Results) -> Judgement:
        ours, theirs = results.values(arm, measure, scene), results.values(other, measure, scene)
        found = _difference(results, arm, other, ours, theirs)
        bound = within * abs(float(theirs.mean()))
        named = f"{_named(measure, arm, scene)} less {_named(measure, other)}"
        return Judgement(
            verdict(found, above=-bound, below=bound), f"{named}; claimed within ±{bound:.2f} ({within:.0%})", found
        )

    return Claim(text=text, judge=judge)


def every_seed_at_most(text: str, arm: str, limit: float, measure: str = "beside", scene: str | None = None) -> Claim:
    """Each of these agents stays at or below a number."""

    def judge(results: Results) -> Judgement:
        each = results.intervals(arm, measure, scene)
        largest = max(each, key=lambda interval: interval.value)
        if any(interval.low > limit for interval in each):
            found = FAILS
        else:
            found = HOLDS if all(interval.high <= limit for interval in each) else UNDECIDED
        over = sum(interval.value > limit for interval in each)
        named = f"{_named(measure, arm, scene)}, largest of {len(each)} seeds; claimed ≤ {limit:g} in every seed"
        return Judgement(found, named, largest, f"{over} of {len(each)} seeds above")

    return Claim(text=text, judge=judge)


def most_seeds_exceed(
    text: str, arm: str, level: str, least: float = 0.6, measure: str = "beside", scene: str | None = None
) -> Claim:
    """At least a share of these agents earn more than another arm's mean."""

    def judge(results: Results) -> Judgement:
        surely, perhaps, total, share = _above(results, arm, level, measure, scene)
        needed = math.ceil(least * total - 1e-9)
        found = HOLDS if surely >= needed else FAILS if perhaps < needed else UNDECIDED
        return Judgement(found, f"{share[0]}; claimed at least {needed} of these {total}", *share[1:])

    return Claim(text=text, judge=judge)


def few_seeds_exceed(
    text: str, arm: str, level: str, most: float = 0.4, measure: str = "beside", scene: str | None = None
) -> Claim:
    """At most a share of these agents earn more than another arm's mean."""

    def judge(results: Results) -> Judgement:
        surely, perhaps, total, share = _above(results, arm, level, measure, scene)
        allowed = math.floor(most * total + 1e-9)
        found = HOLDS if perhaps <= allowed else FAILS if surely > allowed else UNDECIDED
        return Judgement(found, f"{share[0]}; claimed at most {allowed} of these {total}", *share[1:])

    return Claim(text=text, judge=judge)


def _above(results: Results, arm: str, level: str, measure: str, scene: str | None):
    """How many agents lie surely and perhaps above a level, of how many; and (words, share, detail)."""
    bound = results.level(level, measure, scene)
    each = results.intervals(arm, measure, scene)
    surely, perhaps = sum(i.low > bound for i in each), sum(not i.high <= bound for i in each)
    share = statistics.share(sum(i.value > bound for i in each), len(each))
    named = f"share of seeds of {arm} above {level} ({bound:.2f})"
    detail = f"{surely} surely above, {len(each) - perhaps} surely not; the interval is of the share of all seeds"
    return surely, perhaps, len(each), (named, share, detail)


def _over_seeds(results: Results, arm: str, measure: str, scene: str | None) -> Interval:
    values = results.values(arm, measure, scene)
    if not results.has_seeds(arm):
        return _of_one(results, arm, measure, scene)
    return enough(statistics.mean_over_seeds(values), len(values))


def _of_one(results: Results, arm: str, measure: str, scene: str | None) -> Interval:
    """An arm without seeds is one agent: what is known of it is its interval over episodes."""
    if measure.endswith(": success"):
        episodes = results.data["episodes"]
        return statistics.share(round(results.level(arm, measure, scene) * episodes), episodes)
    if ": " in measure:  # a count, of which the mean alone was kept
        return Interval(results.level(arm, measure, scene), math.nan, math.nan)
    return results.intervals(arm, measure, scene)[0]


def _difference(results: Results, arm: str, other: str, ours: np.ndarray, theirs: np.ndarray) -> Interval:
    """An agent without seeds is a fixed level: it adds no spread."""
    seeded = [len(values) for name, values in ((arm, ours), (other, theirs)) if results.has_seeds(name)]
    sides = []
    for name, values in ((arm, ours), (other, theirs)):
        sides.append(values if results.has_seeds(name) else np.repeat(values, 2))
    found = statistics.difference(*sides)
    return enough(found, min(seeded)) if seeded else found


def enough(interval: Interval, seeds: int) -> Interval:
    """An interval over seeds, withheld where they are too few."""
    return interval if seeds >= LEAST_SEEDS else Interval(interval.value, math.nan, math.nan)


def _named(measure: str, arm: str, scene: str | None = None) -> str:
    return f"{SAYS.get(measure, measure)} of {arm}" + (f" in {scene}" if scene else "")
