"""The fitted fraction of followers, and when an error counts as rising."""

import numpy as np

from rookery.studies.ndousse2021.dose_response import fit_logistic
from rookery.studies.ndousse2021.fig8 import rises


def test_a_logistic_curve_through_fractions():
    # One feature: 3 of 4 and 1 of 4. Without a penalty the log-odds would be ln 3 each way; Firth's adds half a hit and
    # half a miss to each where every row has a coefficient of its own: 3.5 of 5 and 1.5 of 5.
    fitted = fit_logistic(np.eye(2), np.array([3.0, 1.0]), np.array([4.0, 4.0]))
    np.testing.assert_allclose(1 / (1 + np.exp(-fitted)), [3.5 / 5, 1.5 / 5], rtol=1e-6)
    # All and none: still finite.
    separated = fit_logistic(np.eye(2), np.array([8.0, 0.0]), np.array([8.0, 8.0]))
    np.testing.assert_allclose(1 / (1 + np.exp(-separated)), [8.5 / 9, 0.5 / 9], rtol=1e-6)


def test_noise_is_not_a_rise():
    noise = np.random.default_rng(0).normal(0, 0.01, 200)
    assert not rises(1.0 + noise)
    assert not rises(np.linspace(1.0, 0.5, 200) + noise)
    bump = np.linspace(1.0, 0.5, 200)
    bump[100:120] += 0.3
    assert rises(bump + noise)
