"""Messages that are paid for moving those who hear them.

Source: Jaques et al. 2019, sections 4 and 6, Cleanup.
"""

from __future__ import annotations

from rookery.runs.presets_dilemma import Game
from rookery.studies import figures
from rookery.studies.claims import more
from rookery.studies.jaques2019 import recipe
from rookery.studies.jaques2019.programs import NOTES, arm, baseline, scene
from rookery.studies.study import Study

PUBLISHED = {"cleanup": (166, 89), "harvest": (951, 485)}
"""Final collective reward with influence, and of A3C."""


def study(name: str, game: Game) -> Study:
    """The study in one of the two games."""
    paid = arm("messages, influence", game, "messages")
    unpaid, plain = arm("messages, no influence", game, "messages-baseline"), baseline(game)
    ours, theirs = PUBLISHED[game]
    return Study(
        name=name,
        title=f"Influential messages in {game.capitalize()}",
        source="Jaques et al. 2019, sections 4 and 6",
        compares="agents whose messages are paid for moving the others, agents whose messages are paid what actions "
        "are, and A3C",
        arms=(paid, unpaid, plain),
        scenes=(scene(game),),
        claims=(
            more(f"With influential messages agents earn more together than A3C (published: {ours} against {theirs}).",
                 paid.label, plain.label, "collective"),
            more("Messages without influence are worth less.", paid.label, unpaid.label, "collective"),
        ),
        figures=figures.society_first,
        steps_per_second=recipe.STEPS_PER_SECOND,
        notes=NOTES,
    )  # fmt: skip


STUDY = study("jaques2019/messages", "cleanup")
