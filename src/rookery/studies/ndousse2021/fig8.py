"""How well the auxiliary losses are learned.

Source: Ndousse et al. 2021, figure 8 and appendix 7.1.
"""

from __future__ import annotations

import numpy as np

from rookery import intervals
from rookery.studies import figures
from rookery.studies.claims import judge_interval, mean_over_judged_seeds
from rookery.studies.ndousse2021.shared_runs import (
    EXPERT_AGENTS,
    GOAL_CYCLE_3,
    SOCIAL_NEXT_FRAME,
    SOCIAL_RECONSTRUCTION,
)
from rookery.studies.results import Results
from rookery.studies.study import FAILS, HOLDS, Claim, Study, Verdict

_LOW_FRACTION = 0.5  # of the error at the start: the paper says "low" without a number
_NUM_PARTS = 10


def _errors(results: Results) -> np.ndarray:
    """Mean absolute error of the predicted next frame, f[seeds, stored updates]."""
    return np.array(results.curves[SOCIAL_NEXT_FRAME.label]["learning"]["aux_loss"], float)


def _judge_low_error(results: Results) -> Verdict:
    error = _errors(results)
    interval = mean_over_judged_seeds(error[:, -1] / error[:, 0])
    quantity = f"error at the end as a fraction of the error at the start; claimed < {_LOW_FRACTION}"
    return Verdict(judge_interval(interval, below=_LOW_FRACTION), quantity, interval)


def _judge_not_monotone(results: Results) -> Verdict:
    error = _errors(results)
    # Means over tenths of the run, so that the noise of single updates does not count as a rise.
    parts = np.stack([part.mean(1) for part in np.array_split(error, min(_NUM_PARTS, error.shape[1]), axis=1)], 1)
    num_rising = int((np.diff(parts, axis=1) > 0).any(1).sum())
    interval = intervals.binomial_fraction(num_rising, len(parts))
    outcome = HOLDS if num_rising * 2 > len(parts) else FAILS
    return Verdict(outcome, "fraction of seeds whose error rises between two tenths of the run; claimed most", interval)


STUDY = Study(
    name="ndousse2021/fig8",
    title="Learning to predict",
    source="Ndousse et al. 2021, figure 8",
    compares="mean absolute error of the auxiliary losses during training: next frame, reconstruction",
    conditions=(SOCIAL_NEXT_FRAME, SOCIAL_RECONSTRUCTION, EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        Claim(text="The error of the predicted next frame becomes low.", judge=_judge_low_error),
        Claim(text="It does not fall steadily: it rises in between.", judge=_judge_not_monotone),
    ),
    figures=figures.auxiliary_loss_figures,
    num_seeds=5,
)
