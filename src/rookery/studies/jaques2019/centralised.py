"""Basic influence: those who act first are paid for moving the true policies of those who are told what they do.

Source: Jaques et al. 2019, sections 3.2 and 6, Cleanup.
"""

from __future__ import annotations

from rookery.runs.presets_dilemma import Game
from rookery.studies import figures
from rookery.studies.claims import more
from rookery.studies.jaques2019 import recipe
from rookery.studies.jaques2019.programs import NOTES, arm, baseline, scene
from rookery.studies.study import Study

PUBLISHED = {"cleanup": (190, 89), "harvest": (1073, 485)}
"""Final collective reward with influence, and of A3C."""


def study(name: str, game: Game) -> Study:
    """The study in one of the two games."""
    paid, unpaid = (
        arm("influence", game, "centralised", "influence"),
        arm("no influence", game, "centralised", "ablation"),
    )
    visible, plain = arm("visible actions", game, "visible"), baseline(game)
    ours, theirs = PUBLISHED[game]
    return Study(
        name=name,
        title=f"Basic influence in {game.capitalize()}",
        source="Jaques et al. 2019, sections 3.2 and 6",
        compares="agents that act first and are paid for moving those who follow; the same without that pay; agents "
        "that see what others did last; A3C",
        arms=(paid, unpaid, visible, plain),
        scenes=(scene(game),),
        claims=(
            more(f"Paid for influence, agents earn more together than A3C (published: {ours} against {theirs}).",
                 paid.label, plain.label, "collective"),
            more("They earn more than agents that only see what others did.", paid.label, visible.label, "collective"),
            more("It is the pay, not the order of acting: without it they earn less.",
                 paid.label, unpaid.label, "collective"),
        ),
        figures=figures.society_first,
        steps_per_second=recipe.STEPS_PER_SECOND,
        notes=NOTES,
    )  # fmt: skip


STUDY = study("jaques2019/centralised", "cleanup")
