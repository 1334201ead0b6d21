"""Which seeds are ahead early, by hand; and that each setting is one change."""

import dataclasses

import numpy as np
import pytest

from rookery.storage.serialization import to_dict
from rookery.studies.ndousse2021 import paper_gap
from rookery.studies.ndousse2021.easy_setting import easy_run_config
from rookery.studies.results import Results
from rookery.studies.study import HOLDS, UNDECIDED
from rookery.training.config import Variant


def test_a_third_of_training_and_its_end():
    curve = {"checkpoints": {"steps": [10, 20, 30, 40, 60], "social_gain": [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]}}
    early, late = paper_gap.gain_early_and_late(curve)
    np.testing.assert_array_equal(early, [1, 6])
    np.testing.assert_array_equal(late, [4, 9])


@pytest.mark.parametrize(
    ("early", "late", "fraction"),
    [
        ([1, 2, 3], [4, 5, 6], 1),
        ([1, 2, 3], [6, 5, 4], 0),
        ([1, 2, 3], [4, 6, 5], 2 / 3),
        ([1, 1], [1, 2], 1 / 2),
        ([3], [4], 1 / 2),
    ],
)
def test_pairs_that_keep_their_order(early, late, fraction):
    assert paper_gap.rank_agreement(np.array(early), np.array(late)) == pytest.approx(fraction)


def results_of_gains(sample) -> Results:
    """Of `sample()`, the social gain f[seeds, 3 checkpoints] of a condition."""
    labels = [condition.label for pair in paper_gap.CONDITION_PAIRS.values() for condition in pair]
    curves = {label: {"checkpoints": {"steps": [10, 20, 30], "social_gain": sample().tolist()}} for label in labels}
    return Results({"curves": curves, "rows": [], "budget": "desk", "seeds": list(range(5))})


def test_a_third_of_training_that_tells_nothing_decides_seldom():
    """Pairs of seeds are dependent: an interval over seeds misses one half in a fourth of cases."""
    random = np.random.default_rng(0)
    judge = paper_gap._judge_shows_early
    outcomes = [judge(results_of_gains(lambda: random.normal(size=(5, 3)))).outcome for _ in range(200)]
    assert outcomes.count(UNDECIDED) > 0.9 * 200


def test_a_third_of_training_that_tells_all_holds():
    random = np.random.default_rng(0)
    assert (
        paper_gap._judge_shows_early(results_of_gains(lambda: random.normal(size=(5, 1)) + np.arange(3))).outcome
        == HOLDS
    )


def test_gains_in_longer_episodes_are_compared_as_fractions():
    """Twice the gain in episodes that are twice as long is no difference."""
    large, small = (
        pair[1].label
        for pair in (paper_gap.CONDITION_PAIRS["13×13, 250 steps"], paper_gap.CONDITION_PAIRS[paper_gap.BASE_LABEL])
    )
    rows = [
        {"condition": label, "eval_condition": "x", "seed": seed, "social_gain": {"mean": size * (10.0 + seed)},
         "return_partners": size * 20.0}
        for label, size in ((large, 2), (small, 1)) for seed in range(5)
    ]  # fmt: skip
    (claim,) = (c for c in paper_gap.STUDY.claims if c.text.startswith("13×13") and "fraction of their" in c.text)
    assert claim.judge(Results({"rows": rows})).interval.value == 0.0


def test_two_seeds_do_not_show_what_a_third_of_training_tells():
    gains = {"steps": [10, 20, 30], "social_gain": [[1, 2, 3], [2, 3, 4]]}
    labels = [condition.label for pair in paper_gap.CONDITION_PAIRS.values() for condition in pair]
    data = {"curves": {label: {"checkpoints": gains} for label in labels}, "rows": [], "budget": "desk"}
    verdict = paper_gap._judge_shows_early(Results(data | {"seeds": [0, 1]}))
    assert (verdict.outcome, verdict.detail) == (UNDECIDED, "2 seeds: fewer than 5 decide nothing")


def flat(value, place=""):
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for name, part in pairs for k, v in flat(part, f"{place}.{name}").items()}
    return {place: value}


def differences(config, other) -> set[str]:
    one, two = flat(to_dict(config)), flat(to_dict(other))
    changed = {place for place in one.keys() | two.keys() if one.get(place) != two.get(place)}
    return {place for place in changed if not place.startswith((".name", ".variants"))}


def test_each_setting_is_one_change():
    base = easy_run_config("desk", "base", (Variant(),))
    schedules, pixels, large = (
        run.configure("desk")
        for run in (paper_gap.SCHEDULE_CHANGES_RUN, paper_gap.PIXELS_RUN, paper_gap.LARGE_GRID_RUN)
    )
    assert differences(schedules, base) == set()
    assert differences(pixels, base) == {".task.views.0.observation_type"}
    assert differences(large, base) == {
        ".num_envs", ".task.height", ".task.width", ".task.max_steps", ".task.num_obstacles",
    }  # fmt: skip
    assert {config.steps_per_update for config in (base, schedules, pixels, large)} == {base.steps_per_update}
    for config in (schedules, pixels, large):
        for with_loss, without in zip(config.variants[::2], config.variants[1::2], strict=True):
            assert without == dataclasses.replace(with_loss, name=without.name, aux_loss_scale=0.0)
    fields = ("social_episode_prob", "learning_rate", "ent_coef", "hparams", "env_schedules", "aux_loss_scale")
    changed = [{f: v for f in fields if (v := getattr(variant, f)) is not None} for variant in schedules.variants[::2]]
    assert changed == [
        {"env_schedules": {"goal_hiding_prob": 0.0}},
        {"env_schedules": {"penalty": 1.5}},
        {"env_schedules": {"goal_hiding_prob": 0.0, "penalty": 1.5}},
        {"ent_coef": 1e-5},
        {"learning_rate": 1e-4},
    ]


def test_every_agent_is_evaluated_where_it_trained():
    for pair in paper_gap.CONDITION_PAIRS.values():
        for condition in pair:
            (eval_condition,) = condition.eval_conditions
            trained = condition.agents.run.configure("desk").task
            assert dataclasses.replace(trained, penalty=1.5, goal_hiding_prob=0.0) == eval_condition.task("desk")
