"""The table without reward, compared with what follows by hand."""

import jax
import numpy as np
import pytest

from rookery.studies.ndousse2021.theory import GAMMA, NUM_SWEEPS, STUDY, tabular_example
from rookery.studies.results import Results
from rookery.studies.study import FAILS, HOLDS, UNDECIDED


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


ZERO = ("policy_gradient_max", "policy_head_grad_norm_without_aux", "encoder_grad_norm_without_aux",
        "encoder_change_without_aux")  # fmt: skip
POSITIVE = ("encoder_grad_norm_with_aux", "encoder_change_with_aux", "constant_error")


def verdicts(num_seeds, gradient=0.0, last_q=0.0):
    """What every claim says of so many seeds that agree but for noise, the last of which is as given."""
    noise = [1e-3 * number for number in range(num_seeds)]
    extra = {name: [1 + value for value in noise] for name in POSITIVE} | {"prediction_error": [0.5] * num_seeds}
    extra |= {name: [0.0] * (num_seeds - 1) + [gradient] for name in ZERO}
    extra["max_abs_q"] = [[1.0, 0.0]] * (num_seeds - 1) + [[1.0, last_q]]
    return [claim.judge(Results({"extra_measurements": extra})) for claim in STUDY.claims]


def test_fewer_than_five_seeds_decide_nothing():
    for num_seeds in (1, 4):
        for verdict in verdicts(num_seeds, gradient=1.0):
            assert verdict.outcome == UNDECIDED
            assert f"{num_seeds} seeds: fewer than 5 decide nothing" in verdict.detail
    assert [verdict.outcome for verdict in verdicts(5)] == [HOLDS] * len(STUDY.claims)
    assert [verdict.outcome for verdict in verdicts(5, gradient=1.0, last_q=1e-3)].count(FAILS) == 5
    assert [verdict.outcome for verdict in verdicts(5, last_q=9.9e-4)] == [HOLDS] * len(STUDY.claims)
