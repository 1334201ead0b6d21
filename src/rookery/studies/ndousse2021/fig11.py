"""How cloning goes: loss and accuracy on episodes learned from and on others.

Source: Ndousse et al. 2021, figure 11 and appendix 7.4.
"""

from __future__ import annotations

import numpy as np

from rookery.show.plots import learning_curves
from rookery.studies import figures, statistics
from rookery.studies.claims import enough, more, verdict
from rookery.studies.ndousse2021.programs import CLONES, EXPERTS, HOME
from rookery.studies.results import Results
from rookery.studies.study import Claim, Judgement, Study


def _rises(results: Results) -> Judgement:
    accuracy = np.array(results.data["measured"]["held out accuracy"], float)
    rise = accuracy[:, -1] - accuracy[:, 0]
    found = enough(statistics.mean_over_seeds(rise), len(rise))
    named = "accuracy on held-out episodes, last epoch less first; claimed > 0"
    return Judgement(verdict(found, above=0.0), named, found)


def _figures(results: Results) -> figures.Figures:
    told = results.data["measured"]
    epochs = np.array(told["epochs"], float)
    drawn = []
    for name, key, label in (("figure", "loss", "nats an action"), ("accuracy", "accuracy", "share of actions")):
        arms = {part: (epochs, np.array(told[f"{part} {key}"], float)) for part in ("train", "held out")}
        figure = learning_curves(arms, xlabel="epoch", ylabel=f"{key} ({label})")
        drawn.append((name, figure, f"Cloning: {key} on the episodes learned from and on those held out."))
    return [*drawn, *figures.everyone(results, "agents")]


STUDY = Study(
    name="ndousse2021/fig11",
    title="Cloning the experts",
    source="Ndousse et al. 2021, figure 11",
    compares="loss and accuracy of cloning over its course; returns of clones and experts",
    arms=(CLONES, EXPERTS),
    scenes=(HOME,),
    claims=(
        Claim(text="What is learned holds for episodes not learned from: accuracy rises.", judge=_rises),
        more("Clones earn less than the experts they were made of.", "experts", CLONES.label),
    ),
    figures=_figures,
    seeds=5,
    measure=lambda session: CLONES.agents.curve(session),
)
