"""Basic influence: those who act first are paid for moving the true policies of those who are told what they do.

Source: Jaques et al. 2019, sections 3.2 and 6, Cleanup.
"""

from __future__ import annotations

from rookery.studies import figures
from rookery.studies.claims import mean_greater
from rookery.studies.jaques2019 import influence_budgets
from rookery.studies.jaques2019.influence_runs import NOTES, a3c_condition, game_condition, method_condition
from rookery.studies.study import Study
from rookery.training.presets_dilemma import SocialDilemmaName

_PUBLISHED_REWARDS = {"cleanup": (190, 89), "harvest": (1073, 485)}
"""Final collective reward with influence, and of A3C."""


def centralized_study(name: str, game: SocialDilemmaName) -> Study:
    """The study in one of the two games."""
    paid, unpaid = (
        method_condition("influence", game, "centralized", "influence"),
        method_condition("no influence", game, "centralized", "ablation"),
    )
    visible, plain = method_condition("visible actions", game, "visible"), a3c_condition(game)
    ours, theirs = _PUBLISHED_REWARDS[game]
    return Study(
        name=name,
        title=f"Basic influence in {game.capitalize()}",
        source="Jaques et al. 2019, sections 3.2 and 6",
        compares="agents that act first and are paid for moving those who follow; the same without that pay; agents "
        "that see what others did last; A3C",
        conditions=(paid, unpaid, visible, plain),
        eval_conditions=(game_condition(game),),
        claims=(
            mean_greater(f"Paid for influence, agents earn more together than A3C (published: {ours} against {theirs}).",
                 paid.label, plain.label, "collective_reward"),
            mean_greater("They earn more than agents that only see what others did.", paid.label, visible.label, "collective_reward"),
            mean_greater("It is the pay, not the order of acting: without it they earn less.",
                 paid.label, unpaid.label, "collective_reward"),
        ),
        figures=figures.team_figures_curve_first,
        steps_per_second=influence_budgets.DILEMMA_STEPS_PER_SECOND,
        notes=NOTES,
    )  # fmt: skip


STUDY = centralized_study("jaques2019/centralized", "cleanup")
