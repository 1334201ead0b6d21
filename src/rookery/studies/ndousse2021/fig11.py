"""How cloning goes: loss and accuracy on episodes learned from and on others.

Source: Ndousse et al. 2021, figure 11 and appendix 7.4.
"""

from __future__ import annotations

import numpy as np

from rookery.studies import figures, statistics
from rookery.studies.claims import judge_interval, mean_greater, withhold_if_few_seeds
from rookery.studies.ndousse2021.shared_runs import CLONED_EXPERTS, EXPERT_AGENTS, GOAL_CYCLE_3
from rookery.studies.results import Results
from rookery.studies.study import Claim, Study, Verdict
from rookery.viz.plots import learning_curves


def _judge_accuracy_rises(results: Results) -> Verdict:
    accuracy = np.array(results.data["extra_measurements"]["validation_accuracy"], float)
    rise = accuracy[:, -1] - accuracy[:, 0]
    found = withhold_if_few_seeds(statistics.mean_over_seeds(rise), len(rise))
    named = "accuracy on held-out episodes, last epoch less first; claimed > 0"
    return Verdict(judge_interval(found, above=0.0), named, found)


def _figures(results: Results) -> figures.Figures:
    told = results.data["extra_measurements"]
    epochs = np.array(told["epochs"], float)
    drawn = []
    for name, key, label in (("figure", "loss", "nats an action"), ("accuracy", "accuracy", "share of actions")):
        arms = {part: (epochs, np.array(told[f"{part}_{key}"], float)) for part in ("train", "validation")}
        figure = learning_curves(arms, xlabel="epoch", ylabel=f"{key} ({label})")
        drawn.append((name, figure, f"Cloning: {key} on the episodes learned from and on those held out."))
    return [*drawn, *figures.return_dots(results, "agents")]


STUDY = Study(
    name="ndousse2021/fig11",
    title="Cloning the experts",
    source="Ndousse et al. 2021, figure 11",
    compares="loss and accuracy of cloning over its course; returns of clones and experts",
    conditions=(CLONED_EXPERTS, EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        Claim(text="What is learned holds for episodes not learned from: accuracy rises.", judge=_judge_accuracy_rises),
        mean_greater("Clones earn less than the experts they were made of.", "experts", CLONED_EXPERTS.label),
    ),
    figures=_figures,
    num_seeds=5,
    measure_extra=lambda session: CLONED_EXPERTS.agents.learning_curve(session),
)
