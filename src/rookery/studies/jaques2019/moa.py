"""Influence by a model of other agents: nobody reads anybody else's parameters, memory or reward.

Source: Jaques et al. 2019, sections 5 and 6, Cleanup.
"""

from __future__ import annotations

from rookery.studies import figures
from rookery.studies.claims import mean_greater
from rookery.studies.jaques2019 import influence_budgets
from rookery.studies.jaques2019.influence_runs import NOTES, a3c_condition, game_condition, method_condition
from rookery.studies.study import Study
from rookery.training.presets_dilemma import SocialDilemmaName

_PUBLISHED_REWARDS = {"cleanup": (392, 89), "harvest": (588, 485)}
"""Final collective reward with influence, and of A3C."""


def moa_study(name: str, game: SocialDilemmaName) -> Study:
    """The study in one of the two games."""
    paid, unpaid = (
        method_condition("MOA, influence", game, "moa", "influence"),
        method_condition("MOA, no influence", game, "moa", "auxiliary"),
    )
    plain = a3c_condition(game)
    ours, theirs = _PUBLISHED_REWARDS[game]
    return Study(
        name=name,
        title=f"Influence by a model of others in {game.capitalize()}",
        source="Jaques et al. 2019, sections 5 and 6",
        compares="agents paid for influence by their own model of the others, the model as a mere auxiliary loss, "
        "and A3C",
        conditions=(paid, unpaid, plain),
        eval_conditions=(game_condition(game),),
        claims=(
            mean_greater(f"Paid for influence, agents earn more together than A3C (published: {ours} against {theirs}).",
                 paid.label, plain.label, "collective_reward"),
            mean_greater("It is the pay, not the model: as a mere auxiliary loss it is worth less.",
                 paid.label, unpaid.label, "collective_reward"),
        ),
        figures=figures.team_figures_curve_first,
        steps_per_second=influence_budgets.DILEMMA_STEPS_PER_SECOND,
        num_seeds=5,
        notes=(*NOTES, "The mere auxiliary model, too, learns from those in view alone."),
    )  # fmt: skip


STUDY = moa_study("jaques2019/moa", "cleanup")
