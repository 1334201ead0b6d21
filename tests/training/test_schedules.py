import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import ConfigError
from rookery.learning.ppo import PPO
from rookery.storage.serialization import from_dict, to_dict
from rookery.training.config import RunConfig, Variant
from rookery.training.schedules import as_tuples, check_schedule, padded_points, schedule_points, value_at
from rookery.training.train_step import replica_schedules
from tests.tiny import NOVICE, OTHER, tiny

NUMBER = st.floats(-1e6, 1e6, width=32)


@st.composite
def schedules(draw):
    fractions = sorted(draw(st.sets(st.integers(0, 64), min_size=1, max_size=5)))
    return tuple((fraction / 64, draw(NUMBER)) for fraction in fractions)


def at(schedule, fraction, count=None):
    return float(value_at(padded_points(schedule, count or len(schedule_points(schedule))), jnp.float32(fraction)))


def test_by_hand():
    ramp = ((0.2, 1.0), (0.6, 3.0), (1.0, 2.0))
    fractions = [0.0, 0.2, 0.3, 0.6, 0.8, 1.0, 1.2]
    assert [at(ramp, fraction) for fraction in fractions] == pytest.approx([1.0, 1.0, 1.5, 3.0, 2.5, 2.0, 2.0])
    assert [at(0.7, fraction) for fraction in (0, 0.5, 1)] == pytest.approx([0.7] * 3)
    assert at(3, 0.5) == 3.0
    assert (schedule_points(0.7), schedule_points(ramp)) == ([(0.0, 0.7)], list(ramp))


@given(schedules(), st.floats(0, 1), st.integers(0, 3))
def test_straight_between_points_flat_outside_however_long(schedule, fraction, more):
    xs, ys = np.array(schedule, np.float64).T
    expected = np.interp(np.float32(fraction), xs, ys)
    # Slopes of up to 64 amplify the rounding of a float32 fraction.
    assert at(schedule, fraction, len(schedule) + more) == pytest.approx(expected, rel=1e-5, abs=64e-6 * abs(ys).max())


def test_one_compilation_for_every_schedule_of_a_length():
    value = jax.jit(value_at)
    for schedule in (0.5, ((0.0, 1.0), (1.0, 2.0)), ((0.1, 1.0), (0.2, 5.0), (0.3, 1.0))):
        value(padded_points(schedule, 3), jnp.float32(0.25))
    assert value._cache_size() == 1


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ((), "x has no points"),
        (((0.5, 1.0), (0.2, 1.0)), "fractions of the run [0.5, 0.2] must increase"),
        (((0.5, 1.0), (0.5, 2.0)), "fractions of the run [0.5, 0.5] must increase"),
        (((0.0, 1.0), (1.5, 2.0)), "each within [0, 1]"),
        (((-0.1, 1.0),), "each within [0, 1]"),
        (((0.0, 1.0), (1.0, 2.5)), "value 2.5 must lie in [0.0, 2.0]"),
        (-1, "value -1.0 must lie in [0.0, 2.0]"),
        (float("inf"), "value inf must lie in [0.0, 2.0]"),
    ],
)
def test_what_is_malformed_is_refused(schedule, said):
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        check_schedule("x", schedule, high=2.0)
    assert str(caught.value).startswith("x")
    assert "\n" not in str(caught.value)


@given(schedules())
def test_what_is_well_formed_is_not(schedule):
    check_schedule("x", schedule, low=float("-inf"))


def test_no_schedule_goes_to_infinity():
    with pytest.raises(ConfigError, match="rate: value inf must be finite"):
        check_schedule("rate", ((0.0, 1.0), (1.0, float("inf"))))
    for schedule in (10**400, ((0.0, 1.0), (1.0, 10**400))):
        with pytest.raises(ConfigError, match=r"^rate=.* has a number that no float holds; it must be finite$"):
            check_schedule("rate", schedule)


def test_lists_of_points_become_tuples_and_nothing_else_changes():
    assert as_tuples([[0, 0.3], (1, 1.5)]) == ((0, 0.3), (1, 1.5))
    for other in (0.5, ((0.0, 1.0),), [[0, 1], 3], "0.5", None):
        assert as_tuples(other) is other or as_tuples(other) == other


def test_lists_of_points_are_schedules_wherever_one_is_set():
    """They are what messages recommend, and what files have."""
    points, tuples = [[0, 0.5], [1, 0.25]], ((0, 0.5), (1, 0.25))
    names = ("learning_rate", "ent_coef", "aux_loss_scale")
    by_name = dict.fromkeys(names, points)
    group = dataclasses.replace(NOVICE, hparams={"intrinsic_scale": points}, **by_name)
    variant = Variant(
        social_episode_prob=points, hparams={"intrinsic_scale": points}, env_schedules={"penalty": points}, **by_name
    )
    env_schedules = {"penalty": points}
    config = tiny(team=(group, OTHER), variants=(variant,), social_episode_prob=points, env_schedules=env_schedules)
    for settings in (group, variant):
        assert [getattr(settings, name) for name in names] == [tuples] * 3
        assert settings.hparams == {"intrinsic_scale": tuples}
    assert variant.env_schedules == config.env_schedules == {"penalty": tuples}
    assert variant.social_episode_prob == config.social_episode_prob == tuples
    assert env_schedules == {"penalty": points}, "what was given is not changed"
    assert from_dict(RunConfig, to_dict(config)) == config
    stacked = replica_schedules(config)
    np.testing.assert_array_equal(stacked.env_params["penalty"][0], tuples)
    np.testing.assert_array_equal(stacked.hparams["novice"]["learning_rate"][0], tuples)


def test_default_schedules_of_a_learner_may_be_lists(monkeypatch):
    monkeypatch.setattr(PPO, "hparams", {**PPO.hparams, "intrinsic_scale": [[0, 0.5], [1, 0.25]]})
    assert NOVICE.hparam_schedule("intrinsic_scale") == ((0, 0.5), (1, 0.25))
