"""The fitted fraction of followers, and when an error counts as rising."""

import numpy as np
import pytest

from rookery.studies.ndousse2021 import dose_response, fig8
from rookery.studies.ndousse2021.dose_response import fit_logistic
from rookery.studies.ndousse2021.shared_runs import SOCIAL_NEXT_FRAME
from rookery.studies.results import Results
from rookery.studies.study import FAILS, HOLDS, UNDECIDED


def test_a_logistic_curve_through_fractions():
    # One feature: 3 of 4 and 1 of 4. Without a penalty the log-odds would be ln 3 each way; Firth's adds half a hit and
    # half a miss to each where every row has a coefficient of its own: 3.5 of 5 and 1.5 of 5.
    fitted = fit_logistic(np.eye(2), np.array([3.0, 1.0]), np.array([4.0, 4.0]))
    np.testing.assert_allclose(1 / (1 + np.exp(-fitted)), [3.5 / 5, 1.5 / 5], rtol=1e-6)
    # All and none: still finite.
    separated = fit_logistic(np.eye(2), np.array([8.0, 0.0]), np.array([8.0, 8.0]))
    np.testing.assert_allclose(1 / (1 + np.exp(-separated)), [8.5 / 9, 0.5 / 9], rtol=1e-6)


def test_each_condition_has_a_curve_of_its_own(monkeypatch):
    # With the loss 2 of 6 at every penalty; without it the more, the lower the penalty.
    counts = {0.75: (2, 6, 6, 6), 1.0: (2, 6, 4, 6), 1.25: (2, 6, 1, 6), 1.5: (2, 6, 1, 6)}
    monkeypatch.setattr(dose_response, "follower_counts", lambda results: counts)
    fitted = dose_response.fitted_fractions(Results({}), np.array([0.75, 1.5]))
    flat, falling = fitted["next frame"], fitted["no loss"]
    assert flat[0] == pytest.approx(flat[1], abs=1e-6)
    assert 1 / 3 < flat[0] < 0.36  # Firth's penalty moves it towards a half
    assert falling[0] > 0.8
    assert falling[1] < 0.2


def verdict_on(error):
    curves = {SOCIAL_NEXT_FRAME.label: {"learning": {"aux_loss": error.tolist()}}}
    return fig8.STUDY.claims[1].judge(Results({"rows": [], "curves": curves})).outcome


def slow_noise(rng, num_seeds=6, num_updates=200):
    """Noise of deviation 0.01 that lasts for about 20 updates: f[seeds, updates]."""
    steps = rng.normal(0, 0.01 * (1 - 0.95**2) ** 0.5, (num_updates, num_seeds))
    noise = [rng.normal(0, 0.01, num_seeds)]
    for step in steps[1:]:
        noise.append(0.95 * noise[-1] + step)
    return np.array(noise).T


def test_noise_is_not_a_rise_however_long_it_lasts():
    rng = np.random.default_rng(1)
    decided = [verdict_on(1.0 + slow_noise(rng)) for _ in range(20)]
    assert decided.count(HOLDS) <= 2  # 2.8 % of 2,000
    assert FAILS not in decided
    falling = np.linspace(1.0, 0.5, 200)
    assert verdict_on(falling + slow_noise(rng)) in (FAILS, UNDECIDED)
    assert verdict_on(falling + 1e-4 * slow_noise(rng)) == FAILS
    bump = falling.copy()
    bump[100:120] += 0.3
    assert verdict_on(bump + slow_noise(rng)) == HOLDS
    assert verdict_on((bump + slow_noise(rng))[:4]) == UNDECIDED  # four seeds
