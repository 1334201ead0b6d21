"""The table without reward, against what can be said of it on paper."""

import jax
import numpy as np
import pytest

from rookery.studies.ndousse2021.theory import DISCOUNT, SWEEPS, tabular


@pytest.mark.parametrize("seed", range(3))
def test_values_shrink_at_least_as_fast_as_the_contraction_says(seed):
    told = tabular(jax.random.PRNGKey(seed))
    largest = np.array(told["largest Q"])
    assert len(largest) == SWEEPS + 1
    # Half a step towards at most DISCOUNT times the largest: a factor of 1 - (1 - DISCOUNT) / 2 a sweep.
    bound = largest[0] * (1 - (1 - DISCOUNT) / 2) ** np.arange(SWEEPS + 1)
    assert (largest <= bound * (1 + 1e-5)).all()
    assert largest[0] > 0.5


def test_without_reward_no_choice_is_better():
    assert tabular(jax.random.PRNGKey(3))["policy gradient"] == 0
