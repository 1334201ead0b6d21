"""What became of whom, and that each step of the walk is one change."""

import dataclasses

import numpy as np
import pytest

from rookery.storage.serialization import to_dict
from rookery.studies import budgets
from rookery.studies.ndousse2021 import paper_gap
from rookery.studies.results import Results
from rookery.training.config import Variant


@pytest.mark.parametrize(
    ("return_social", "return_solo", "became"),
    [
        (5.7, 0.3, "follower"),
        (2.0, 1.0, "follower"),  # half of it is gain
        (2.0, 1.1, "explorer"),
        (5.7, 5.3, "explorer"),
        (0.9, 1.2, "explorer"),  # the others are in its way
        (1.4, -2.0, "follower"),  # lost without them
        (1.05, 1.05, "neither"),
        (1.0, -3.0, "neither"),
        (-2.0, 0.0, "neither"),
    ],
)
def test_kinds_by_hand(beside, alone, became):
    assert paper_gap.classify_strategy(beside, alone) == became


def row(arm, seed, beside, alone):
    values = {"return_social": beside, "return_solo": alone, "social_gain": beside - alone}
    return {"condition": arm, "seed": seed, "eval_condition": "s", **{name: {"mean": x} for name, x in values.items()}}


def test_kinds_are_counted_over_seeds():
    results = Results({"rows": [row("a", 0, 5, 0), row("a", 1, 5, 4), row("a", 2, 6, 1), row("b", 0, 1, 1)]})
    assert paper_gap.count_strategies(results, "a") == {"follower": 2, "explorer": 1, "neither": 0}
    assert paper_gap.count_strategies(results, "b") == {"follower": 0, "explorer": 0, "neither": 1}


def test_a_third_of_training_and_its_end():
    curve = {"checkpoints": {"steps": [10, 20, 30, 40, 60], "social_gain": [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]}}
    early, late = paper_gap.gain_early_and_late(curve)
    np.testing.assert_array_equal(early, [1, 6])
    np.testing.assert_array_equal(late, [4, 9])


@pytest.mark.parametrize(
    ("early", "late", "share"),
    [
        ([1, 2, 3], [4, 5, 6], 1),
        ([1, 2, 3], [6, 5, 4], 0),
        ([1, 2, 3], [4, 6, 5], 2 / 3),
        ([1, 1], [1, 2], 1 / 2),
        ([3], [4], 1 / 2),
    ],
)
def test_pairs_that_keep_their_order(early, late, share):
    assert paper_gap.rank_agreement(np.array(early), np.array(late)) == pytest.approx(share)


def flat(value, place=""):
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for name, part in pairs for k, v in flat(part, f"{place}.{name}").items()}
    return {place: value}


def differences(config, other) -> set[str]:
    one, two = flat(to_dict(config)), flat(to_dict(other))
    changed = {place for place in one.keys() | two.keys() if one.get(place) != two.get(place)}
    return {place for place in changed if not place.startswith((".name", ".arms"))}


def test_each_step_is_one_change():
    base = budgets.run_config("desk", "base", (Variant(),))
    courses, pixels, large = (
        t.configure("desk") for t in (paper_gap.SCHEDULE_CHANGES_RUN, paper_gap.PIXELS_RUN, paper_gap.LARGE_GRID_RUN)
    )
    assert differences(courses, base) == set()
    assert differences(pixels, base) == {".task.views.0.kind"}
    assert differences(large, base) == {
        ".episodes", ".task.height", ".task.width", ".task.max_steps", ".task.obstacles",
    }  # fmt: skip
    assert {config.steps_per_update for config in (base, courses, pixels, large)} == {base.steps_per_update}
    for config in (courses, pixels, large):
        for with_loss, without in zip(config.variants[::2], config.variants[1::2], strict=True):
            assert without == dataclasses.replace(with_loss, name=without.name, aux_loss_scale=0.0)
    fields = ("social_episode_prob", "learning_rate", "entropy", "rates", "env_schedules", "aux_loss_scale")
    changed = [{f: v for f in fields if (v := getattr(arm, f)) is not None} for arm in courses.variants[::2]]
    assert changed == [
        {"env_schedules": {"goal_hiding_prob": 0.0}},
        {"env_schedules": {"penalty": 1.5}},
        {"env_schedules": {"goal_hiding_prob": 0.0, "penalty": 1.5}},
        {"entropy": 1e-5},
        {"learning_rate": 1e-4},
    ]


def test_every_agent_is_tested_where_it_trained():
    for arms in paper_gap.CONDITION_PAIRS.values():
        for arm in arms:
            (scene,) = arm.eval_conditions
            trained = arm.agents.training.configure("desk").task
            assert dataclasses.replace(trained, penalty=1.5, goal_hiding_prob=0.0) == scene.task("desk")
