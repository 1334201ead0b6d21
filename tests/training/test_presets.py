import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from rookery.agents.networks import NdousseNetwork
from rookery.commands.train import TrainCommand
from rookery.errors import NotFoundError
from rookery.learning.ppo import PPO
from rookery.storage.serialization import from_dict, to_dict
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.registry import make_env
from rookery.training.config import RunConfig, ScriptedPolicyConfig
from rookery.training.presets import PRESETS, check_previous_stages, curricula, preset
from rookery.training.presets.social_dilemmas import published_intrinsic_rewards
from rookery.training.train_step import replica_schedules


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid(name):
    config = preset(name)
    assert config.name == name
    assert from_dict(RunConfig, to_dict(config)) == config
    assert preset(name) == config
    assert config.total_updates >= 5
    replica_schedules(config)  # the task has all that is scheduled
    for group in config.team:
        assert max(group.slots) < make_env(config.task).num_agents
        if isinstance(group.learner, PPO):
            # A minibatch is never larger than the batch.
            sequences = -(-config.task.max_steps // group.learner.sequence_length) * config.num_envs
            assert group.learner.minibatch_size <= sequences


def test_every_curriculum_is_listed_and_continues_an_agent_that_a_preset_trains():
    files = {path.stem for path in Path(curricula.__file__).parent.glob("*.json")}
    assert files == set(curricula.CURRICULA)
    for curriculum in map(curricula.load_curriculum, curricula.CURRICULA):
        for stage in curriculum.stages:
            assert stage.previous_stage is None or stage.previous_stage in PRESETS
            assert preset(stage.preset).team[0].policy.init_from == stage.initial_agent


def test_a_stage_whose_agent_is_not_here_says_what_makes_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, command in (("expert-2", "rookery train expert-1"), ("four-goals-1", "rookery clone --task goal-cycle-")):
        config = preset(name)
        with pytest.raises(NotFoundError, match=f"not in this folder; first run '{command}"):
            check_previous_stages(config)
        agent = Path(config.team[0].policy.init_from)
        agent.parent.mkdir(parents=True)
        agent.touch()
        check_previous_stages(config)
    check_previous_stages(preset("expert-1"))
    with pytest.raises(NotFoundError, match="first run 'rookery train expert-2' here"):
        TrainCommand(preset="expert-3", out=tmp_path / "out", quiet=True)()
    assert not (tmp_path / "out").exists()


def test_unknown_names_get_the_nearest():
    with pytest.raises(NotFoundError, match="no preset 'dmo'; did you mean 'demo'") as caught:
        preset("dmo")
    assert all(name in str(caught.value) for name in PRESETS)
    with pytest.raises(NotFoundError, match="no preset 'zzz'; allowed: demo"):
        preset("zzz")


def test_the_command_line_names_them_all():
    """Stages of one curriculum are named together: expert-1 to 4."""
    source = inspect.getsource(TrainCommand)
    for name in PRESETS:
        stem, _, number = name.rpartition("-")
        listed = re.search(rf"(?<![\w-]){stem}-1 to (\d+)", source) if number.isdigit() else None
        assert name in source or (listed and int(number) <= int(listed[1])), name


def test_the_published_hyperparameters():
    """Ndousse et al. 2021, appendix 7.8."""
    config = preset("paper")
    novice, expert = config.team
    learner = novice.learner
    assert config.task == GoalCycle()
    assert (config.task.max_steps, config.task.penalty, config.task.num_goals, config.task.height) == (250, 1.5, 3, 13)
    assert (config.num_envs, config.steps_per_update, config.total_timesteps) == (128, 32_000, 375_000_000)
    assert (learner.num_minibatches, learner.minibatch_size, learner.sequence_length, learner.recompute_every) == (
        20,
        512,
        16,
        2,
    )
    assert (learner.gamma, learner.gae_lambda, learner.clip_eps, learner.vf_coef) == (0.993, 0.97, 0.2, 0.1)
    assert (learner.target_kl, learner.rollback_kl, learner.max_grad_norm) == (0.01, 0.03, None)
    assert (novice.learning_rate, novice.ent_coef) == (1e-4, 1e-5)
    assert [(a.kind, a.weight) for a in learner.auxiliary] == [("next-frame", 3.0)]
    assert novice.policy.network == NdousseNetwork()
    assert expert.policy == ScriptedPolicyConfig()
    assert config.social_episode_prob == 1.0


@pytest.mark.parametrize("game", ["cleanup", "harvest"])
def test_messages_with_and_without_influence_differ_in_their_reward_alone(game):
    (influential,), (plain,) = (published_intrinsic_rewards(name, game) for name in ("messages", "messages-baseline"))
    reward_of = {"weight": 0.0, "warmup_steps": 0.0, "extrinsic_coef": 1.0}
    assert plain == dataclasses.replace(influential, **reward_of) != influential


def test_the_demo_compares_by_one_algorithm():
    """Novices with experts and novices alone differ in nothing else."""
    for name in ("demo", "smoke"):
        social, solo = preset(name).variants
        assert (social.name, solo.name) == ("social", "solo")
        assert dataclasses.replace(solo, name="social", social_episode_prob=None) == social
        assert solo.social_episode_prob == 0.0
