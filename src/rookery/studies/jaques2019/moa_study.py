"""Influence through a model of other agents: no agent reads another's parameters, recurrent state or reward.

Source: Jaques et al. 2019, modeling other agents, Cleanup.
"""

from __future__ import annotations

from rookery.studies import figures
from rookery.studies.claims import changed, mean_greater
from rookery.studies.jaques2019 import influence_budgets
from rookery.studies.jaques2019.influence_runs import (
    NOTES,
    a3c_condition,
    definition,
    game_condition,
    influence_check,
    method_condition,
)
from rookery.studies.study import Study
from rookery.training.presets.social_dilemmas import SocialDilemmaName

_PUBLISHED_REWARDS = {"cleanup": (392, 89), "harvest": (588, 485)}
"""Final collective reward with influence, and of A3C."""


def moa_study(name: str, game: SocialDilemmaName) -> Study:
    """The study in one of the two games."""
    influence = method_condition("MOA, influence", game, "moa", "influence")
    no_influence = method_condition("MOA, no influence", game, "moa", "auxiliary")
    plain = a3c_condition(game)
    is_felt = influence_check("moa", influence.label, game)
    published_influence, published_a3c = _PUBLISHED_REWARDS[game]
    return Study(
        name=name,
        title=f"Influence through a model of others in {game.capitalize()}",
        source="Jaques et al. 2019",
        compares="agents rewarded for influence by their own model of the others, the model as an auxiliary loss "
        "alone, and A3C",
        conditions=(influence, no_influence, plain),
        eval_conditions=(game_condition(game),),
        claims=tuple(changed(claim, mechanisms=(is_felt,)) for claim in (
                mean_greater("Agents rewarded for influence have a higher collective reward than A3C "
                             f"(published: {published_influence} and {published_a3c}).",
                             influence.label, plain.label, "collective_reward"),
                mean_greater("The reward matters, not only the model: as an auxiliary loss alone it gives less.",
                             influence.label, no_influence.label, "collective_reward"),
        )),
        figures=figures.team_figures_curve_first,
        steps_per_second=influence_budgets.DILEMMA_STEPS_PER_SECOND,
        num_seeds=10,
        **definition(game),
        notes=(*NOTES, "The model as an auxiliary loss alone also learns only from the agents in view."),
    )  # fmt: skip


STUDY = moa_study("jaques2019/moa", "cleanup")
