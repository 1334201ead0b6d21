"""Influence by a model of other agents: nobody reads anybody else's parameters, memory or reward.

Source: Jaques et al. 2019, sections 5 and 6, Cleanup.
"""

from __future__ import annotations

from rookery.runs.presets_dilemma import Game
from rookery.studies import figures
from rookery.studies.claims import more
from rookery.studies.jaques2019 import recipe
from rookery.studies.jaques2019.programs import NOTES, arm, baseline, scene
from rookery.studies.study import Study

PUBLISHED = {"cleanup": (392, 89), "harvest": (588, 485)}
"""Final collective reward with influence, and of A3C."""


def study(name: str, game: Game) -> Study:
    """The study in one of the two games."""
    paid, unpaid = arm("MOA, influence", game, "moa", "influence"), arm("MOA, no influence", game, "moa", "auxiliary")
    plain = baseline(game)
    ours, theirs = PUBLISHED[game]
    return Study(
        name=name,
        title=f"Influence by a model of others in {game.capitalize()}",
        source="Jaques et al. 2019, sections 5 and 6",
        compares="agents paid for influence by their own model of the others, the model as a mere auxiliary loss, "
        "and A3C",
        arms=(paid, unpaid, plain),
        scenes=(scene(game),),
        claims=(
            more(f"Paid for influence, agents earn more together than A3C (published: {ours} against {theirs}).",
                 paid.label, plain.label, "collective"),
            more("It is the pay, not the model: as a mere auxiliary loss it is worth less.",
                 paid.label, unpaid.label, "collective"),
        ),
        figures=figures.society_first,
        steps_per_second=recipe.STEPS_PER_SECOND,
        seeds=5,
        notes=(*NOTES, "The mere auxiliary model, too, learns from those in view alone."),
    )  # fmt: skip


STUDY = study("jaques2019/moa", "cleanup")
