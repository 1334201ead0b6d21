"""Do agents that are paid for what they cannot predict find each other sooner? An example: minutes, not an answer."""

from __future__ import annotations

from rookery.studies import figures
from rookery.studies.agent_sources import TrainedAgents
from rookery.studies.claims import mean_greater
from rookery.studies.frozen_evaluation import EvalCondition
from rookery.studies.study import Condition, Study
from rookery.studies.training_run import TrainingRun
from rookery.training.config import GroupConfig, RandomPolicyConfig, RecurrentPolicyConfig, RunConfig, Variant

from .intrinsic_reward import RandomNetworkDistillation
from .learner import AdvantageWeightedRegression
from .network import ResidualNetwork
from .task import MeetingPlace


def configure(budget: str) -> RunConfig:
    """One novice that learns, and two agents that move at random; variants with and without the reward."""
    learner = AdvantageWeightedRegression(intrinsic=(RandomNetworkDistillation(),))
    novice = GroupConfig(
        name="novice", slots=(0,), policy=RecurrentPolicyConfig(network=ResidualNetwork()), learner=learner
    )
    return RunConfig(
        name="rnd",
        task=MeetingPlace(),
        team=(novice, GroupConfig(name="random", slots=(1, 2), policy=RandomPolicyConfig())),
        variants=(Variant(name="rnd"), Variant(name="plain", hparams={"intrinsic_scale": 0.0})),
        total_timesteps=3_200 if budget == "smoke" else 1_000_000,
        num_envs=16,
    )


RUN = TrainingRun(name="extras-rnd", configure=configure)

STUDY = Study(
    name="extras/rnd",
    title="Random network distillation in Meeting Place",
    source="none: an example",
    compares="novices with and without a reward for observations that they cannot predict",
    conditions=(
        Condition(label="with the reward", agents=TrainedAgents(run=RUN, variant="rnd")),
        Condition(label="without", agents=TrainedAgents(run=RUN, variant="plain")),
    ),
    eval_conditions=(
        EvalCondition(name="home", task=lambda budget: MeetingPlace(), partners=lambda budget: (RandomPolicyConfig(),)),
    ),
    claims=(mean_greater("Novices with the reward earn more than those without.", "with the reward", "without"),),
    figures=figures.training_figures,
    num_seeds=5,
    budgets=("smoke", "desk"),
)
