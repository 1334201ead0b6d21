"""Learning curves of behavior cloning: loss and accuracy on training and on validation episodes.

Source: Ndousse et al. 2021, figure 11 and appendix 7.4.
"""

from __future__ import annotations

import numpy as np

from rookery.studies import figures
from rookery.studies.claims import changed, judge_mean, mean_greater
from rookery.studies.ndousse2021.shared_runs import CLONED_EXPERTS, EXPERT_AGENTS, EXPERT_CLONES, GOAL_CYCLE_3
from rookery.studies.results import Results
from rookery.studies.study import Claim, Figures, Study, Verdict
from rookery.viz.plots import learning_curves

_MIN_EPOCHS, _PLATEAU = 20, 0.01
"""Clones count as trained to a plateau if validation accuracy rises by no more than this in the last third."""


def _judge_accuracy_rises(results: Results) -> Verdict:
    accuracy = np.array(results.extra["validation_accuracy"], float)
    quantity = "accuracy on validation episodes, last epoch minus first; claimed > 0"
    return judge_mean(accuracy[:, -1] - accuracy[:, 0], quantity, above=0.0)


def _is_short(results: Results) -> str | None:
    """Why the clones do not stand for cloning: they were not trained to a plateau."""
    accuracy = np.array(results.extra["validation_accuracy"], float)
    num_epochs = accuracy.shape[1]
    rise = float((accuracy[:, -1] - accuracy[:, -1 - num_epochs // 3]).mean())
    if num_epochs >= _MIN_EPOCHS and rise <= _PLATEAU:
        return None
    return (
        f"the clones were not trained to a plateau: {num_epochs} epochs, in the last third of which accuracy still "
        f"rose by {rise:.3f}; needed: {_MIN_EPOCHS} epochs and at most {_PLATEAU:g}"
    )


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
        changed(
            mean_greater("Clones earn less than the experts that they clone.", "experts", CLONED_EXPERTS.label),
            withheld=_is_short,
        ),
    ),
    figures=_figures,
    num_seeds=6,
    definition=2,
    changes={2: "clones of trained experts, 2,000 episodes and 30 epochs in place of 400 and 6"},
    measure_extra=EXPERT_CLONES.epoch_curves,
    notes=(
        "The paper's figure shows returns over the training of clones; here loss and accuracy stand over epochs, and "
        "returns are those of the clones at the end.",
        "At `desk` clones and experts are in the world of figure 4 at this budget, with its small network: 9×9 cells, "
        "125 steps, symbolic views. Clones learn from 2,000 recorded episodes; the paper does not say how many it has.",
    ),
)
