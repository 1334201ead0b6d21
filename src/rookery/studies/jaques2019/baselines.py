"""Agents rewarded for what others earn and agents rewarded for influence: prosocial, inequity-averse, influential.

The first two are separate runs, so that the runs of the other studies stay as they are.
Source: Jaques et al. 2019, Cleanup, and its comparison with Hughes et al. 2018.
"""

from __future__ import annotations

from rookery.studies import figures
from rookery.studies.claims import changed, mean_greater
from rookery.studies.jaques2019 import influence_budgets
from rookery.studies.jaques2019.influence_runs import (
    NOTES,
    a3c_condition,
    game_condition,
    influence_check,
    method_condition,
)
from rookery.studies.study import Study
from rookery.training.presets.social_dilemmas import SocialDilemmaName

_PUBLISHED_REWARDS = {"cleanup": (392, 275, 89), "harvest": (588, 750, 485)}
"""Final collective reward of influence through a model of others, of inequity-averse agents, and of A3C."""


def baselines_study(name: str, game: SocialDilemmaName) -> Study:
    """The study in one of the two games."""
    influence, plain = method_condition("MOA, influence", game, "moa", "influence"), a3c_condition(game)
    averse = method_condition("inequity aversion", game, "inequity")
    prosocial = method_condition("prosocial", game, "prosocial")
    published_influence, published_averse, published_a3c = _PUBLISHED_REWARDS[game]
    is_influence_first = published_influence > published_averse
    first, second = (influence, averse) if is_influence_first else (averse, influence)
    return Study(
        name=name,
        title=f"Influence and others' rewards in {game.capitalize()}",
        source="Jaques et al. 2019; Hughes et al. 2018",
        compares="agents rewarded for influence by their own model of the others, inequity-averse agents, prosocial "
        "agents that receive a fraction of the others' rewards, and A3C",
        conditions=(influence, averse, prosocial, plain),
        eval_conditions=(game_condition(game),),
        claims=(
            changed(mean_greater(f"'{first.label}' has a higher collective reward than '{second.label}' "
                         f"(published: {max(published_influence, published_averse)} and "
                         f"{min(published_influence, published_averse)}).",
                         first.label, second.label, "collective_reward"),
                    mechanisms=(influence_check("moa", influence.label, game),)),
            mean_greater("Inequity-averse agents have a higher collective reward than A3C "
                         f"(published: {published_averse} and {published_a3c}).",
                         averse.label, plain.label, "collective_reward"),
        ),
        figures=figures.team_figures_curve_first,
        steps_per_second=influence_budgets.DILEMMA_STEPS_PER_SECOND,
        num_seeds=10,
        notes=(
            *NOTES,
            "Inequity-averse and prosocial agents observe each other's rewards; agents with a model of others do not.",
        ),
    )  # fmt: skip


STUDY = baselines_study("jaques2019/baselines", "cleanup")
