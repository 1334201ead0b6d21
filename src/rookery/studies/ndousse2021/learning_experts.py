"""Whether it matters to novices that their experts keep learning, as in the paper, or stay as they are.

Figure 4's agents have frozen experts. Here the same experts keep learning, with the paper's step size for experts.

Source: after Ndousse et al. 2021, appendix 7.8.
"""

from __future__ import annotations

import dataclasses

from rookery.agents.networks import MLPNetwork
from rookery.studies import budgets, figures
from rookery.studies.agent_sources import TrainedAgents
from rookery.studies.claims import changed, equivalent_within, mean_above
from rookery.studies.mechanisms import FramePredictionCheck
from rookery.studies.ndousse2021.fig4 import LOSS_GATE
from rookery.studies.ndousse2021.shared_runs import GOAL_CYCLE_3, SOCIAL_NEXT_FRAME, SOCIAL_VARIANT
from rookery.studies.results import Results
from rookery.studies.study import Claim, Condition, Figures, Study
from rookery.studies.time_to_follow import follows_sooner
from rookery.studies.training_run import Budget, TrainingRun
from rookery.training.config import GroupConfig, RecurrentPolicyConfig, RunConfig

_EXPERT_NETWORK = MLPNetwork(encoder_size=128, hidden_size=128, head_size=64)  # of `budgets.EXPERT`
_EXPERT_ENT_COEF = 1e-5
_TOLERANCE = 0.2
"""Of the return next to frozen experts; a smaller difference does not matter."""


def learning_experts_config(budget: Budget) -> RunConfig:
    """Each expert starts from the shipped one and learns by itself.

    It has the next-frame loss, as the paper's experts do (caption of figure 6), with a decoder that starts untrained.
    At `smoke` experts move at random and do not learn, as in the other runs, whose programs it shares: a second group
    of learners takes minutes to compile.
    """
    config = budgets.run_config(budget, "learning-experts", (SOCIAL_VARIANT,))
    if budget == "smoke":
        return config
    experts = GroupConfig(
        name="expert",
        slots=(1, 2),
        policy=RecurrentPolicyConfig(network=_EXPERT_NETWORK, init_from=budgets.EXPERT),
        learner=budgets.novice_ppo(budget, config.task),
        learning_rate=budgets.PAPER_EXPERT_LEARNING_RATE,
        ent_coef=_EXPERT_ENT_COEF,
    )
    return dataclasses.replace(config, team=(config.team[0], experts))


_FROZEN = Condition(label="experts stay as they are", agents=SOCIAL_NEXT_FRAME.agents)
_LEARNING = Condition(
    label="experts keep learning",
    agents=TrainedAgents(
        run=TrainingRun(name="learning-experts", configure=learning_experts_config), variant=SOCIAL_VARIANT.name
    ),
)
_TRAINED = (_LEARNING, _FROZEN)


def _claims() -> tuple[Claim, ...]:
    frozen, learning = _FROZEN.label, _LEARNING.label
    predicts = {
        label: FramePredictionCheck(condition=label, by=LOSS_GATE, like_figure_2=False) for label in (learning, frozen)
    }
    both = tuple(predicts.values())
    return (
        changed(equivalent_within("It does not matter to novices' return with experts whether the experts that they "
                                  "train with keep learning.", learning, frozen, _TOLERANCE), mechanisms=both),
        changed(equivalent_within("Nor to their social gain.", learning, frozen, _TOLERANCE, "social_gain"),
                mechanisms=both),
        changed(follows_sooner("Novices become followers sooner next to experts that stay as they are.", frozen,
                               learning), mechanisms=both),
        changed(mean_above("Novices next to experts that keep learning learn socially: frozen, they earn more with "
                           "experts than alone.", learning, 0.0, "social_gain"), mechanisms=(predicts[learning],)),
    )  # fmt: skip


def _figures(results: Results) -> Figures:
    trained = [condition.label for condition in _TRAINED]
    return figures.follower_figures(results, trained)


STUDY = Study(
    name="ndousse2021/learning-experts",
    title="Experts that keep learning",
    source="after Ndousse et al. 2021, figure 4",
    compares="3-goal cycle, penalty 1.5, social + next frame: next to experts that keep learning at 1e-5, and next to "
    "the same experts frozen",
    conditions=_TRAINED,
    eval_conditions=(GOAL_CYCLE_3,),
    claims=_claims(),
    figures=_figures,
    num_seeds=6,
    budgets=("smoke", "desk"),
    notes=(
        "In the paper's main experiment experts keep learning; in figure 4 of this package they are frozen, and its "
        "agents are this study's other condition.",
        "All novices are evaluated with the experts as they were before training. At the checkpoints of a run with "
        "learning experts, which give its curves and times, the experts are those of that checkpoint.",
    ),
)
