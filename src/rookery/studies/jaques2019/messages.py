"""Messages that are paid for moving those who hear them.

Source: Jaques et al. 2019, sections 4 and 6, Cleanup.
"""

from __future__ import annotations

from rookery.studies import figures
from rookery.studies.claims import mean_greater
from rookery.studies.jaques2019 import influence_budgets
from rookery.studies.jaques2019.influence_runs import NOTES, a3c_condition, game_condition, method_condition
from rookery.studies.study import Study
from rookery.training.presets_dilemma import SocialDilemmaName

_PUBLISHED_REWARDS = {"cleanup": (166, 89), "harvest": (951, 485)}
"""Final collective reward with influence, and of A3C."""


def messages_study(name: str, game: SocialDilemmaName) -> Study:
    """The study in one of the two games."""
    paid = method_condition("messages, influence", game, "messages")
    unpaid, plain = method_condition("messages, no influence", game, "messages-baseline"), a3c_condition(game)
    ours, theirs = _PUBLISHED_REWARDS[game]
    return Study(
        name=name,
        title=f"Influential messages in {game.capitalize()}",
        source="Jaques et al. 2019, sections 4 and 6",
        compares="agents whose messages are paid for moving the others, agents whose messages are paid what actions "
        "are, and A3C",
        conditions=(paid, unpaid, plain),
        eval_conditions=(game_condition(game),),
        claims=(
            mean_greater(f"With influential messages agents earn more together than A3C (published: {ours} against {theirs}).",
                 paid.label, plain.label, "collective_reward"),
            mean_greater("Messages without influence are worth less.", paid.label, unpaid.label, "collective_reward"),
        ),
        figures=figures.team_figures_curve_first,
        steps_per_second=influence_budgets.DILEMMA_STEPS_PER_SECOND,
        notes=NOTES,
    )  # fmt: skip


STUDY = messages_study("jaques2019/messages", "cleanup")
