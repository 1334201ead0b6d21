"""Agents paid for what others earn, against those paid for moving others: prosocial, inequity-averse, influential.

The first two are programs of their own, so that the runs of the other studies stay as they are.
Source: Jaques et al. 2019, section 6, and its comparison with Hughes et al. 2018, Cleanup.
"""

from __future__ import annotations

from rookery.studies import figures
from rookery.studies.claims import mean_greater
from rookery.studies.jaques2019 import influence_budgets
from rookery.studies.jaques2019.influence_runs import NOTES, a3c_condition, game_condition, method_condition
from rookery.studies.study import Study
from rookery.training.presets_dilemma import SocialDilemmaName

_PUBLISHED_REWARDS = {"cleanup": (392, 275, 89), "harvest": (588, 750, 485)}
"""Final collective reward with influence by a model of others, of inequity-averse agents, and of A3C."""


def baselines_study(name: str, game: SocialDilemmaName) -> Study:
    """The study in one of the two games."""
    paid, plain = method_condition("MOA, influence", game, "moa", "influence"), a3c_condition(game)
    averse, kind = (
        method_condition("inequity aversion", game, "inequity"),
        method_condition("prosocial", game, "prosocial"),
    )
    ours, theirs, least = _PUBLISHED_REWARDS[game]
    first, second = (paid, averse) if ours > theirs else (averse, paid)
    return Study(
        name=name,
        title=f"Influence and others' rewards in {game.capitalize()}",
        source="Jaques et al. 2019, section 6; Hughes et al. 2018",
        compares="agents paid for influence by their own model of the others, averse to inequity, paid a share of what "
        "others earn, and A3C",
        conditions=(paid, averse, kind, plain),
        eval_conditions=(game_condition(game),),
        claims=(
            mean_greater(f"{first.label} earns more together than {second.label} "
                 f"(published: {max(ours, theirs)} against {min(ours, theirs)}).",
                 first.label, second.label, "collective_reward"),
            mean_greater(f"Averse to inequity, agents earn more together than A3C (published: {theirs} against {least}).",
                 averse.label, plain.label, "collective_reward"),
        ),
        figures=figures.team_figures_curve_first,
        steps_per_second=influence_budgets.DILEMMA_STEPS_PER_SECOND,
        num_seeds=5,
        notes=(
            *NOTES,
            "Inequity-averse agents are told each other's rewards, prosocial ones too; those with a model are not.",
        ),
    )  # fmt: skip


STUDY = baselines_study("jaques2019/baselines", "cleanup")
