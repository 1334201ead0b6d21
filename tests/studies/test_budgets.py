"""What the budgets of studies promise: `paper` is the published run, whatever `desk` is, and one update at `desk`
passes over its batch as often as it says."""

import dataclasses

import pytest

from rookery.learning.a2c import A2C
from rookery.learning.auxiliary import AttentionLoss, NextFramePrediction
from rookery.studies import budgets
from rookery.studies.jaques2019 import influence_budgets
from rookery.studies.ndousse2021.shared_runs import NEXT_FRAME_RUN
from rookery.studies.study_list import load_study
from rookery.training import presets
from rookery.training.config import Variant
from rookery.training.presets import social_dilemmas


def test_paper_trains_the_published_novice_on_published_batches():
    run, published = NEXT_FRAME_RUN.configure("paper"), presets.paper()
    assert (run.task, run.team[0]) == (published.task, published.team[0])
    for name in ("total_timesteps", "num_envs", "checkpoint_interval", "eval_episodes"):
        assert getattr(run, name) == getattr(published, name), name
    assert run.num_envs * run.task.max_steps == 32_000, "section 7.8: 128 episodes"


def test_paper_trains_experts_with_their_own_step_size():
    (run,) = (run for run in load_study("ndousse2021/fig12").runs if run.name == "curriculum")
    novice, expert = NEXT_FRAME_RUN.configure("paper").team[0], run.configure("paper").team[0]
    assert expert == dataclasses.replace(novice, learning_rate=1e-5), "section 7.8"


def test_visible_actions_are_basic_influence_without_a_reward():
    """Three influencers in both games (Jaques et al. 2019, table of hyperparameters); fewer where agents are fewer."""
    for game, num_agents, acting_first in (("cleanup", 5, 3), ("harvest", 5, 3), ("cleanup", 3, 2)):
        influencer, influencee = social_dilemmas.make_team(
            "visible", game, num_agents, social_dilemmas.SMALL_JAQUES, lambda rewards: A2C(intrinsic=rewards)
        )
        assert influencer.slots == influencee.policy.communication.influencers == tuple(range(acting_first))
        assert influencee.slots == tuple(range(acting_first, num_agents))
        assert influencer.learner.intrinsic == influencee.learner.intrinsic == ()


@pytest.mark.parametrize("method", sorted(social_dilemmas.PUBLISHED_HPARAMS))
@pytest.mark.parametrize("game", ["cleanup", "harvest"])
def test_paper_trains_published_methods(game, method):
    run = influence_budgets.method_run_config("paper", game, game, method)
    assert run == dataclasses.replace(social_dilemmas.published_run(game, method), eval_episodes=0)


@pytest.mark.parametrize(("num_envs", "max_steps"), [(128, 125), (64, 250)])
def test_an_update_passes_over_the_whole_batch(num_envs, max_steps):
    task = budgets.goal_cycle_task("desk", max_steps=max_steps)
    learner = budgets.run_config("desk", "run", (Variant(),), task=task, num_envs=num_envs).team[0].learner
    sequences = num_envs * max_steps // learner.sequence_length
    assert learner.num_minibatches * learner.minibatch_size == budgets.NUM_EPOCHS * sequences
    assert learner.recompute_every * learner.minibatch_size == sequences


def test_losses_of_desk():
    task = budgets.goal_cycle_task("desk")
    (loss,) = budgets.novice_ppo("desk", task).auxiliary
    assert loss == NextFramePrediction(weight=3.0, error="squared")
    (loss,) = budgets.novice_ppo("desk", task, AttentionLoss).auxiliary
    assert loss == AttentionLoss(weight=3.0)
    assert budgets.novice_ppo("desk", task, None).auxiliary == ()
