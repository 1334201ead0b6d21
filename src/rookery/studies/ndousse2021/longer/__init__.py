"""Steps of the walk after which nobody had learned to follow, with three times the training, a study each.

After 3.2 million steps every seed that was shown goals at the full penalty, that took the paper's step size, or that
saw pixels (but for one) stops after one goal or before. That may be where it ends, or only where it is by then.
"""

from __future__ import annotations

import dataclasses

from rookery.runs.config import RunConfig
from rookery.studies.ndousse2021 import walk
from rookery.studies.ndousse2021.programs import EXPERTS
from rookery.studies.study import Budget, Scene, Study, Training

TIMES = 3


def longer(name: str, words: str, short: Training, arms: tuple[str, str], scene: Scene) -> Study:
    """One step of the walk taken further.

    Args:
      name: of the study. words: what is as in the paper. short: the walk's training.
      arms: of that training, with the loss and without. scene: where they train and are tested.
    """

    def configure(budget: Budget) -> RunConfig:
        run = short.configure(budget)
        # Schedules go by shares of the whole, and stretch with it.
        steps = run.steps if budget == "smoke" else TIMES * run.steps
        chosen = tuple(arm for arm in run.arms if arm.name in arms)
        return dataclasses.replace(run, name=f"longer-{name}", steps=steps, arms=chosen)

    training = Training(name=f"longer-{name}", configure=configure)
    pair = walk.pair(words, training, arms, scene)
    return Study(
        name=f"ndousse2021/longer/{name}",
        title=f"{words[0].upper()}{words[1:]}, three times as long",
        source="Ndousse et al. 2021, section 5, taken apart",
        compares=f"the desk recipe but for this: {words}; three times the steps of the walk, with and without the "
        "next-frame loss: who becomes a watcher, an explorer or neither",
        arms=(*pair, EXPERTS),
        scenes=(scene,),
        claims=tuple(walk.claims_of(words, pair)),
        figures=lambda results: walk.figures_of(results, {words: pair}),
        seeds=5,
        budgets=("smoke", "desk"),
    )
