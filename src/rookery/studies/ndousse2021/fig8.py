"""How well the auxiliary losses are learned.

Source: Ndousse et al. 2021, figure 8.
"""

from __future__ import annotations

import numpy as np

from rookery.studies import figures, statistics
from rookery.studies.claims import judge_interval, withhold_if_few_seeds
from rookery.studies.ndousse2021.shared_runs import (
    EXPERT_AGENTS,
    GOAL_CYCLE_3,
    SOCIAL_NEXT_FRAME,
    SOCIAL_RECONSTRUCTION,
)
from rookery.studies.results import Results
from rookery.studies.study import FAILS, HOLDS, Claim, Study, Verdict

_NEXT_FRAME = SOCIAL_NEXT_FRAME.label
_LOW_FRACTION = 0.5  # of its error at the start: the paper says "low" and no number


def _errors(results: Results) -> np.ndarray:
    """Mean absolute error of the predicted next frame, f[seeds, updates kept]."""
    return np.array(results.data["curves"][_NEXT_FRAME]["learning"]["aux_loss"], float)


def _judge_low_error(results: Results) -> Verdict:
    error = _errors(results)
    share = error[:, -1] / error[:, 0]
    found = withhold_if_few_seeds(statistics.mean_over_seeds(share), len(share))
    return Verdict(
        judge_interval(found, below=_LOW_FRACTION),
        f"error at the end as a share of that at the start; claimed < {_LOW_FRACTION}",
        found,
    )


def _judge_not_monotone(results: Results) -> Verdict:
    error = _errors(results)
    # Ten parts of the run, so that the noise of single updates is no rise.
    parts = np.stack([part.mean(1) for part in np.array_split(error, min(10, error.shape[1]), axis=1)], 1)
    rising = int((np.diff(parts, axis=1) > 0).any(1).sum())
    interval = statistics.binomial_fraction(rising, len(parts))
    found = HOLDS if rising * 2 > len(parts) else FAILS
    return Verdict(found, "share of seeds whose error rises between two tenths of the run; claimed most", interval)


STUDY = Study(
    name="ndousse2021/fig8",
    title="Learning to predict",
    source="Ndousse et al. 2021, figure 8",
    compares="mean absolute error of the auxiliary losses while learning: next frame, this frame",
    conditions=(SOCIAL_NEXT_FRAME, SOCIAL_RECONSTRUCTION, EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        Claim(text="The error of the predicted next frame becomes low.", judge=_judge_low_error),
        Claim(text="It does not fall steadily: it rises again in between.", judge=_judge_not_monotone),
    ),
    figures=figures.auxiliary_loss_figures,
    num_seeds=5,
)
