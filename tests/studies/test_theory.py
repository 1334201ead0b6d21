"""The table without reward, compared with what follows by hand."""

import jax
import numpy as np
import pytest

from rookery.studies.ndousse2021.theory import GAMMA, NUM_SWEEPS, tabular_example


@pytest.mark.parametrize("seed", range(3))
def test_values_shrink_at_least_as_fast_as_the_contraction_says(seed):
    measured = tabular_example(jax.random.PRNGKey(seed))
    largest = np.array(measured["max_abs_q"])
    assert len(largest) == NUM_SWEEPS + 1
    # Half a step towards at most GAMMA times the largest: a factor of 1 - (1 - GAMMA) / 2 per sweep.
    bound = largest[0] * (1 - (1 - GAMMA) / 2) ** np.arange(NUM_SWEEPS + 1)
    assert (largest <= bound * (1 + 1e-5)).all()
    assert largest[0] > 0.5


def test_without_reward_no_choice_is_better():
    assert tabular_example(jax.random.PRNGKey(3))["policy_gradient_max"] == 0
