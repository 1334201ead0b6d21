import math

import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.viz import mean_interval
from rookery.viz.mean_intervals import mean_band


def test_two_values_by_hand():
    # Resampled means of {0, 1} are 0, 1/2, 1 with probability 1/4, 1/2, 1/4: the 2.5 % and 97.5 % points
    # are 0 and 1, the 30 % and 70 % points both 1/2.
    assert mean_interval([0, 1]) == (0.5, 0.0, 1.0)
    assert mean_interval([0, 1], confidence=0.4) == (0.5, 0.5, 0.5)


def test_many_values_come_near_the_normal_interval():
    values = np.random.default_rng(1).normal(3, 2, 400)
    mean, low, high = mean_interval(values)
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose([low, high], [mean - half, mean + half], atol=0.03)


def test_one_value_has_no_interval():
    mean, low, high = mean_interval([2.5])
    assert mean == 2.5
    assert math.isnan(low)
    assert math.isnan(high)


def test_equal_values_have_no_width():
    assert mean_interval([0.1] * 3)[1:] == (0.1, 0.1)


def test_the_seed_fixes_it():
    values = [1, 2, 4, 8, 16.5]
    assert mean_interval(values, num_resamples=200) == mean_interval(values, num_resamples=200)
    assert mean_interval(values, num_resamples=200) != mean_interval(values, num_resamples=200, seed=1)


def test_a_band_is_an_interval_a_column():
    values = np.array([[0, 5, 1.0], [1, 5, 4], [3, 5, 9]])
    low, high = mean_band(values)
    for column in range(3):
        assert mean_interval(values[:, column])[1:] == (low[column], high[column])


@pytest.mark.parametrize("bad", [[], [[1, 2]], [1, math.nan], [1, math.inf]])
def test_nonsense_is_refused(bad):
    with pytest.raises(ConfigError):
        mean_interval(bad)


@pytest.mark.parametrize("bad", [{"confidence": 0}, {"confidence": 1}, {"confidence": 95}, {"resamples": 0}])
def test_settings_out_of_range(bad):
    with pytest.raises(ConfigError):
        mean_interval([1, 2], **bad)
