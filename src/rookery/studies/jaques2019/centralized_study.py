"""Basic influence: agents that act first are rewarded for changing the policies of agents that observe their actions.

Influence is computed from the others' true policies, in centralized training.
Source: Jaques et al. 2019, Cleanup.
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

_PUBLISHED_REWARDS = {"cleanup": (190, 89), "harvest": (1073, 485)}
"""Final collective reward with influence, and of A3C."""


def centralized_study(name: str, game: SocialDilemmaName) -> Study:
    """The study in one of the two games."""
    influence = method_condition("influence", game, "centralized", "influence")
    no_influence = method_condition("no influence", game, "centralized", "ablation")
    visible, plain = method_condition("visible actions", game, "visible"), a3c_condition(game)
    is_felt = influence_check("centralized", influence.label, game)
    published_influence, published_a3c = _PUBLISHED_REWARDS[game]
    return Study(
        name=name,
        title=f"Basic influence in {game.capitalize()}",
        source="Jaques et al. 2019",
        compares="agents that act first and are rewarded for influencing the others; the same without that reward; "
        "agents that observe the actions of those that act first, without any reward for it; A3C",
        conditions=(influence, no_influence, visible, plain),
        eval_conditions=(game_condition(game),),
        claims=tuple(changed(claim, mechanisms=(is_felt,)) for claim in (
                mean_greater("Agents rewarded for influence have a higher collective reward than A3C "
                             f"(published: {published_influence} and {published_a3c}).",
                             influence.label, plain.label, "collective_reward"),
                changed(mean_greater("They have a higher collective reward than agents that only observe the others' "
                                     "actions.", influence.label, visible.label, "collective_reward"), since=2),
                mean_greater("The reward matters, not only the order of acting: without the reward they earn less.",
                             influence.label, no_influence.label, "collective_reward"),
        )),
        figures=figures.team_figures_curve_first,
        steps_per_second=influence_budgets.DILEMMA_STEPS_PER_SECOND,
        num_seeds=10,
        **definition(
            game,
            "three agents act first in the visible-actions baseline, or all but one; before: all acted at once and "
            "observed all actions of the previous step",
        ),
        notes=NOTES,
    )  # fmt: skip


STUDY = centralized_study("jaques2019/centralized", "cleanup")
