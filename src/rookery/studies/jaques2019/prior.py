"""Agents paid for what others earn, against those paid for moving others: prosocial, inequity-averse, influential.

The first two are programs of their own, so that the runs of the other studies stay as they are.
Source: Jaques et al. 2019, section 6, and its comparison with Hughes et al. 2018, Cleanup.
"""

from __future__ import annotations

from rookery.runs.presets_dilemma import Game
from rookery.studies import figures
from rookery.studies.claims import more
from rookery.studies.jaques2019 import recipe
from rookery.studies.jaques2019.programs import NOTES, arm, baseline, scene
from rookery.studies.study import Study

PUBLISHED = {"cleanup": (392, 275, 89), "harvest": (588, 750, 485)}
"""Final collective reward with influence by a model of others, of inequity-averse agents, and of A3C."""


def study(name: str, game: Game) -> Study:
    """The study in one of the two games."""
    paid, plain = arm("MOA, influence", game, "moa", "influence"), baseline(game)
    averse, kind = arm("inequity aversion", game, "inequity"), arm("prosocial", game, "prosocial")
    ours, theirs, least = PUBLISHED[game]
    first, second = (paid, averse) if ours > theirs else (averse, paid)
    return Study(
        name=name,
        title=f"Influence and others' rewards in {game.capitalize()}",
        source="Jaques et al. 2019, section 6; Hughes et al. 2018",
        compares="agents paid for influence by their own model of the others, averse to inequity, paid a share of what "
        "others earn, and A3C",
        arms=(paid, averse, kind, plain),
        scenes=(scene(game),),
        claims=(
            more(f"{first.label} earns more together than {second.label} "
                 f"(published: {max(ours, theirs)} against {min(ours, theirs)}).",
                 first.label, second.label, "collective"),
            more(f"Averse to inequity, agents earn more together than A3C (published: {theirs} against {least}).",
                 averse.label, plain.label, "collective"),
        ),
        figures=figures.society_first,
        steps_per_second=recipe.STEPS_PER_SECOND,
        seeds=5,
        notes=(
            *NOTES,
            "Inequity-averse agents are told each other's rewards, prosocial ones too; those with a model are not.",
        ),
    )  # fmt: skip


STUDY = study("jaques2019/prior", "cleanup")
