"""How well the auxiliary losses are learned.

Source: Ndousse et al. 2021, figure 8 and appendix 7.1.
"""

from __future__ import annotations

import numpy as np

from rookery import intervals, significance
from rookery.significance import LEVEL, SignificanceTest
from rookery.studies import budgets, figures
from rookery.studies.claims import judge_mean, judge_test
from rookery.studies.mechanisms import FramePredictionCheck
from rookery.studies.ndousse2021.shared_runs import (
    EXPERT_AGENTS,
    GOAL_CYCLE_3,
    SOCIAL_NEXT_FRAME,
    SOCIAL_RECONSTRUCTION,
)
from rookery.studies.results import Results
from rookery.studies.study import FAILS, HOLDS, UNDECIDED, Claim, Study, Verdict

_NUM_PARTS = 10
_IS_ALIVE = (FramePredictionCheck(condition=SOCIAL_NEXT_FRAME.label),)  # at the end, which these claims are about


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
    tests = rise_tests(error)
    clearest = max(tests, key=lambda test: test.interval.low)  # of rises the clearest, of falls the least clear
    number = tests.index(clearest)
    outcome = UNDECIDED
    if clearest.interval.low > 0:
        outcome = HOLDS
    elif all(test.interval.high <= 0 for test in tests):
        outcome = FAILS
    quantity = "clearest rise of the error from a tenth of the run to the next, mean over seeds; claimed > 0"
    detail = f"from tenth {number + 1} to {number + 2}; interval and p are for {len(tests)} pairs together (Bonferroni)"
    return judge_test(clearest, outcome, quantity, len(error), detail)


def rise_tests(error: np.ndarray) -> list[SignificanceTest]:
    """Whether f[seeds, updates] rises from each tenth of the run to the next, each test corrected for their number.

    Seeds are the sample: an agent's successive updates are far from independent, so that noise which lasts longer than
    an update looks like a rise within one seed.
    """
    parts = np.array_split(error, min(_NUM_PARTS, error.shape[1]), axis=1)
    rise = np.diff([part.mean(1) for part in parts], axis=0)  # [pairs, seeds]
    tests = []
    for values in rise:
        test = significance.mean_test(values)
        tests.append(test._replace(
            interval=intervals.mean_interval(values, 1 - LEVEL / len(rise)),
            p_value=min(1.0, test.p_value * len(rise)),
            detectable=np.nan,
        ))  # fmt: skip
    return tests


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
    num_seeds=12,
    definition=3,
    changes={
        2: "the error is compared with the best constant and with a copy of the view, not with its start, which a "
        "constant picture improves on; " + budgets.DEFINITION_2,
        3: budgets.DEFINITION_3,
    },
)
