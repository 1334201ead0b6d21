"""Which agents learn from experts in the demo's setting: with the next-frame loss, with reconstruction, with neither.

Figure 4's question where following is easier to learn than in the paper: the same 13×13 world, but goals are hidden
from all novices at first, the penalty rises, there are three actions, and the experts are scripted.
"""

from __future__ import annotations

import dataclasses

from rookery.learning.auxiliary import NextFramePrediction, Reconstruction
from rookery.learning.ppo import PPO
from rookery.studies import budgets, figures
from rookery.studies.agent_sources import PretrainedAgent, TrainedAgents
from rookery.studies.claims import changed, mean_above, mean_greater
from rookery.studies.followers import more_followers, most_seeds_follow
from rookery.studies.frozen_evaluation import EvalCondition
from rookery.studies.mechanisms import FramePredictionCheck
from rookery.studies.ndousse2021.easy_setting import easy_partners, easy_task
from rookery.studies.ndousse2021.shared_runs import MAX_CONTROL_SEEDS, SOCIAL_VARIANT
from rookery.studies.results import Results
from rookery.studies.study import Claim, Condition, Figures, Study
from rookery.studies.time_to_follow import follows_sooner
from rookery.studies.training_run import Budget, TrainingRun
from rookery.tasks.goal_cycle import GoalCycle
from rookery.training import presets
from rookery.training.config import RunConfig, Variant

_CHECKPOINT_INTERVAL = 15  # updates: 60,000 steps
_CHECKPOINT_EPISODES = 32  # with experts and alone each
_WITHOUT_LOSS = Variant(name="vanilla", aux_loss_scale=0.0)


def _task(budget: Budget) -> GoalCycle:
    """The demo's: goals shown, penalty 1.5."""
    return easy_task(budget) if budget == "smoke" else presets.demo().task


def _config(
    budget: Budget,
    name: str,
    variants: tuple[Variant, ...],
    auxiliary: type[NextFramePrediction] | type[Reconstruction] = NextFramePrediction,
) -> RunConfig:
    """The preset `demo`, with other variants, more frequent checkpoints, and the loss in question."""
    demo = presets.demo()
    if budget == "smoke":
        partners = easy_partners(budget)
        return budgets.run_config(
            budget, name, variants, auxiliary=auxiliary, task=_task(budget), partners=partners,
            env_schedules=demo.env_schedules,
        )  # fmt: skip
    novice = demo.team[0]
    learner = novice.learner
    assert isinstance(learner, PPO), "the demo's learner is PPO"
    (loss,) = learner.auxiliary
    assert isinstance(loss, Reconstruction), "the demo's loss is reconstruction"
    losses = (auxiliary(weight=loss.weight, error=loss.error),)
    novice = dataclasses.replace(novice, learner=dataclasses.replace(learner, auxiliary=losses))
    return dataclasses.replace(
        demo,
        name=name,
        team=(novice, *demo.team[1:]),
        variants=variants,
        checkpoint_interval=_CHECKPOINT_INTERVAL,
        eval_episodes=_CHECKPOINT_EPISODES,
    )


_RUN = TrainingRun(
    name="demo-ablation", configure=lambda budget: _config(budget, "demo-ablation", (SOCIAL_VARIANT, _WITHOUT_LOSS))
)
_RECONSTRUCTION_RUN = TrainingRun(
    name="demo-ablation-reconstruction",
    configure=lambda budget: _config(budget, "demo-ablation-reconstruction", (SOCIAL_VARIANT,), Reconstruction),
    max_seeds=MAX_CONTROL_SEEDS,
)

_NEXT_FRAME = Condition(label="next frame", agents=TrainedAgents(run=_RUN, variant=SOCIAL_VARIANT.name))
_VANILLA = Condition(label="vanilla", agents=TrainedAgents(run=_RUN, variant=_WITHOUT_LOSS.name))
_RECONSTRUCTION = Condition(
    label="reconstruction", agents=TrainedAgents(run=_RECONSTRUCTION_RUN, variant=SOCIAL_VARIANT.name)
)
_EXPERTS = Condition(label="experts", agents=PretrainedAgent(policy=lambda budget: easy_partners(budget)[0]))
_TRAINED = (_NEXT_FRAME, _RECONSTRUCTION, _VANILLA)
_SETTING = EvalCondition(name="3-goal cycle, demo", task=_task, partners=easy_partners)


def _claims() -> tuple[Claim, ...]:
    loss, other, without = _NEXT_FRAME.label, _RECONSTRUCTION.label, _VANILLA.label
    predicts = FramePredictionCheck(condition=loss, like_figure_2=False)
    reconstructs = FramePredictionCheck(mechanism="reconstruction", condition=other, like_figure_2=False)
    tests_the_loss = (
        follows_sooner("Agents with the next-frame loss become followers sooner than agents without an auxiliary loss.",
                       loss, without),
        more_followers("The next-frame loss makes more seeds follow, at the end of training.", loss, without),
        most_seeds_follow("Most seeds with the next-frame loss follow.", loss),
        mean_greater("The next-frame loss increases social gain compared with no auxiliary loss.", loss, without,
                     "social_gain"),
        mean_above("Agents with the next-frame loss learn socially: frozen, they earn more with experts than alone.",
                   loss, 0.0, "social_gain"),
    )  # fmt: skip
    both_losses = follows_sooner("Agents with the next-frame loss become followers sooner than agents with the "
                                 "reconstruction loss.", loss, other)  # fmt: skip
    reconstruction = follows_sooner("Agents with the reconstruction loss become followers sooner than agents without "
                                    "an auxiliary loss.", other, without)  # fmt: skip
    return (
        *(changed(claim, mechanisms=(predicts,)) for claim in tests_the_loss),
        changed(both_losses, mechanisms=(predicts, reconstructs)),
        changed(reconstruction, mechanisms=(reconstructs,)),
        most_seeds_follow("Most seeds without an auxiliary loss follow, too.", without),
    )


def _figures(results: Results) -> Figures:
    trained = [condition.label for condition in _TRAINED]
    return figures.follower_figures(results, trained)


STUDY = Study(
    name="ndousse2021/demo-ablation",
    title="The demo with the next-frame loss, with reconstruction and with neither",
    source="after Ndousse et al. 2021, figure 4",
    compares="the demo's setting (13×13, goals hidden from novices at first, a penalty that rises, scripted experts): "
    "social + next frame, social + reconstruction, social vanilla",
    conditions=(*_TRAINED, _EXPERTS),
    eval_conditions=(_SETTING,),
    claims=_claims(),
    figures=_figures,
    num_seeds=12,
    budgets=("smoke", "desk"),
    notes=(
        "Written down before training: the first claim, its endpoint (the first of three checkpoints in a row, every "
        "60,000 steps, 32 episodes with experts and 32 alone, with a return with experts above 1.5, at least half of "
        "it gain) and the number of seeds.",
        "The setting was found with the next-frame loss, on seeds 150 to 157, and is not tuned for agents without it. "
        "Since this study the demo itself has the reconstruction loss.",
        "Agents with the reconstruction loss have six seeds, the others twelve.",
        "Whether a loss predicts is judged at the end of training, and not after a fifth of it as in figure 4.",
    ),
)
