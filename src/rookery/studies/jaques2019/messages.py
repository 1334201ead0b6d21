"""Messages that are rewarded for influencing the agents that receive them.

Source: Jaques et al. 2019, influential communication, Cleanup.
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

_PUBLISHED_REWARDS = {"cleanup": (166, 89), "harvest": (951, 485)}
"""Final collective reward with influence, and of A3C."""


def messages_study(name: str, game: SocialDilemmaName) -> Study:
    """The study in one of the two games."""
    influence = method_condition("messages, influence", game, "messages")
    no_influence = method_condition("messages, no influence", game, "messages-baseline")
    plain = a3c_condition(game)
    is_felt = influence_check("messages", influence.label, game)
    published_influence, published_a3c = _PUBLISHED_REWARDS[game]
    return Study(
        name=name,
        title=f"Influential messages in {game.capitalize()}",
        source="Jaques et al. 2019",
        compares="agents whose messages are rewarded for influencing the others, agents whose messages get the same "
        "reward as their actions, and A3C",
        conditions=(influence, no_influence, plain),
        eval_conditions=(game_condition(game),),
        claims=tuple(changed(claim, mechanisms=(is_felt,)) for claim in (
                mean_greater("Agents with influential messages have a higher collective reward than A3C "
                             f"(published: {published_influence} and {published_a3c}).",
                             influence.label, plain.label, "collective_reward"),
                changed(mean_greater("Messages without the influence reward give a lower collective reward.",
                                     influence.label, no_influence.label, "collective_reward"), since=2),
        )),
        figures=figures.team_figures_curve_first,
        steps_per_second=influence_budgets.DILEMMA_STEPS_PER_SECOND,
        num_seeds=10,
        **definition(
            game,
            "without the influence reward, messages have the loss weight and the entropy bonus of influential ones; "
            "before: 1 and 0.001",
        ),
        notes=NOTES,
    )  # fmt: skip


STUDY = messages_study("jaques2019/messages", "cleanup")
