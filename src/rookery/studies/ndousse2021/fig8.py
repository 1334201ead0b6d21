"""How well the auxiliary losses are learned.

Source: Ndousse et al. 2021, figure 8 and appendix 7.1.
"""

from __future__ import annotations

import numpy as np

from rookery import intervals
from rookery.studies import budgets, figures
from rookery.studies.claims import judge_count, judge_mean
from rookery.studies.mechanisms import FramePredictionCheck
from rookery.studies.ndousse2021.shared_runs import (
    EXPERT_AGENTS,
    GOAL_CYCLE_3,
    SOCIAL_NEXT_FRAME,
    SOCIAL_RECONSTRUCTION,
)
from rookery.studies.results import Results
from rookery.studies.study import Claim, Study, Verdict

_NUM_PARTS = 10
_MIN_RISE = 3.0
"""Standard errors by which the error of a tenth of the run must exceed that of the tenth before to count as a rise: a
constant with noise does not rise."""
_IS_ALIVE = (FramePredictionCheck(condition=SOCIAL_NEXT_FRAME.label),)


def _judge_low_error(results: Results) -> Verdict:
    """Compared with what needs no learning: at the start the error says how wrong an untrained decoder is."""
    health = results.curves[SOCIAL_NEXT_FRAME.label]["health"]["next-frame"]
    error, constant, copy = (np.array(health[name], float)[:, -1] for name in ("error", "error_constant", "error_copy"))
    quantity = (
        "held-out error at the end as a fraction of the better of the best constant prediction and a copy of the "
        "present view; claimed < 1"
    )
    return judge_mean(error / np.minimum(constant, copy), quantity, below=1.0)


def _judge_not_monotone(results: Results) -> Verdict:
    error = np.array(results.curves[SOCIAL_NEXT_FRAME.label]["learning"]["aux_loss"], float)
    num_rising = int(sum(rises(seed) for seed in error))
    outcome, reason = judge_count(num_rising, num_rising, len(error), len(error) // 2 + 1)
    interval = intervals.binomial_fraction(num_rising, len(error))
    quantity = "fraction of seeds whose error rises by more than its noise between tenths of the run; claimed most"
    return Verdict(outcome, quantity, interval, reason)


def rises(error: np.ndarray) -> bool:
    """Whether f[updates] rises from one tenth to the next by more than chance explains."""
    parts = np.array_split(error, min(_NUM_PARTS, len(error)))
    mean = np.array([part.mean() for part in parts])
    variance = np.array([part.var(ddof=1) / len(part) if len(part) > 1 else 0.0 for part in parts])
    return bool((np.diff(mean) > _MIN_RISE * np.sqrt(variance[1:] + variance[:-1])).any())


STUDY = Study(
    name="ndousse2021/fig8",
    title="Learning to predict",
    source="Ndousse et al. 2021, figure 8",
    compares="error of the auxiliary losses during training: next frame, reconstruction",
    conditions=(SOCIAL_NEXT_FRAME, SOCIAL_RECONSTRUCTION, EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        Claim(
            text="The error of the predicted next frame becomes low: lower than without learning.",
            judge=_judge_low_error,
            mechanisms=_IS_ALIVE,
            since=2,
        ),
        Claim(text="It does not fall steadily: it rises in between.", judge=_judge_not_monotone, mechanisms=_IS_ALIVE),
    ),
    figures=figures.auxiliary_loss_figures,
    num_seeds=6,
    definition=2,
    changes={
        2: "the error is compared with the best constant and with a copy of the view, not with its start, which a "
        "constant picture improves on; " + budgets.PAPER_WORLD
    },
)
