"""How well the auxiliary losses are learned.

Source: Ndousse et al. 2021, figure 8.
"""

from __future__ import annotations

import numpy as np

from rookery.studies import figures, statistics
from rookery.studies.claims import enough, verdict
from rookery.studies.ndousse2021.programs import EXPERTS, HOME, SOCIAL_NEXT, SOCIAL_THIS
from rookery.studies.results import Results
from rookery.studies.study import FAILS, HOLDS, Claim, Judgement, Study

NEXT = SOCIAL_NEXT.label
LOW = 0.5  # of its error at the start: the paper says "low" and no number


def _errors(results: Results) -> np.ndarray:
    """Mean absolute error of the predicted next frame, f[seeds, updates kept]."""
    return np.array(results.data["curves"][NEXT]["learning"]["auxiliary error"], float)


def _low(results: Results) -> Judgement:
    error = _errors(results)
    share = error[:, -1] / error[:, 0]
    found = enough(statistics.mean_over_seeds(share), len(share))
    return Judgement(
        verdict(found, below=LOW), f"error at the end as a share of that at the start; claimed < {LOW}", found
    )


def _not_monotone(results: Results) -> Judgement:
    error = _errors(results)
    # Ten parts of the run, so that the noise of single updates is no rise.
    parts = np.stack([part.mean(1) for part in np.array_split(error, min(10, error.shape[1]), axis=1)], 1)
    rising = int((np.diff(parts, axis=1) > 0).any(1).sum())
    interval = statistics.share(rising, len(parts))
    found = HOLDS if rising * 2 > len(parts) else FAILS
    return Judgement(found, "share of seeds whose error rises between two tenths of the run; claimed most", interval)


STUDY = Study(
    name="ndousse2021/fig8",
    title="Learning to predict",
    source="Ndousse et al. 2021, figure 8",
    compares="mean absolute error of the auxiliary losses while learning: next frame, this frame",
    arms=(SOCIAL_NEXT, SOCIAL_THIS, EXPERTS),
    scenes=(HOME,),
    claims=(
        Claim(text="The error of the predicted next frame becomes low.", judge=_low),
        Claim(text="It does not fall steadily: it rises again in between.", judge=_not_monotone),
    ),
    figures=figures.auxiliary,
    seeds=5,
)
