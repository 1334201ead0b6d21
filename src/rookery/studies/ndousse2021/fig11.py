"""Learning curves of behavior cloning: loss and accuracy on training and on validation episodes.

Source: Ndousse et al. 2021, figure 11 and appendix 7.4.
"""

from __future__ import annotations

import numpy as np

from rookery.studies import figures
from rookery.studies.claims import judge_interval, mean_greater, mean_over_judged_seeds
from rookery.studies.ndousse2021.shared_runs import CLONED_EXPERTS, EXPERT_AGENTS, EXPERT_CLONES, GOAL_CYCLE_3
from rookery.studies.results import Results
from rookery.studies.study import Claim, Figures, Study, Verdict
from rookery.viz.plots import learning_curves


def _judge_accuracy_rises(results: Results) -> Verdict:
    accuracy = np.array(results.extra["validation_accuracy"], float)
    interval = mean_over_judged_seeds(accuracy[:, -1] - accuracy[:, 0])
    quantity = "accuracy on validation episodes, last epoch minus first; claimed > 0"
    return Verdict(judge_interval(interval, above=0.0), quantity, interval)


def _figures(results: Results) -> Figures:
    epochs = np.array(results.extra["epochs"], float)
    made: Figures = []
    for name, key, unit in (
        ("figure", "loss", "nats per action"),
        ("accuracy", "accuracy", "fraction of actions"),
    ):
        curves = {part: (epochs, np.array(results.extra[f"{part}_{key}"], float)) for part in ("train", "validation")}
        figure = learning_curves(curves, xlabel="epoch", ylabel=f"{key} ({unit})")
        made.append((name, figure, f"Behavior cloning: {key} on the training and the validation episodes."))
    return [*made, *figures.return_dots(results, "agents")]


STUDY = Study(
    name="ndousse2021/fig11",
    title="Cloning the experts",
    source="Ndousse et al. 2021, figure 11",
    compares="loss and accuracy of behavior cloning during training; returns of clones and experts",
    conditions=(CLONED_EXPERTS, EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        Claim(text="Cloning generalizes: accuracy on validation episodes rises.", judge=_judge_accuracy_rises),
        mean_greater("Clones earn less than the experts that they clone.", "experts", CLONED_EXPERTS.label),
    ),
    figures=_figures,
    num_seeds=5,
    measure_extra=EXPERT_CLONES.epoch_curves,
)
