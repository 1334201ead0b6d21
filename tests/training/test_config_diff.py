"""What a report lists as differences from the paper."""

import dataclasses

from rookery.training.config import FrozenPolicyConfig, Variant
from rookery.training.config_diff import config_diff
from rookery.training.presets import preset


def test_the_paper_s_own_run_has_none():
    assert config_diff(preset("paper")) == []


def test_each_setting_is_named_once_and_nothing_else():
    changed = config_diff(preset("demo"))
    names = [row["setting"] for row in changed]
    assert len(set(names)) == len(names)
    assert {"task.num_actions", "num_envs", "total_timesteps"} <= set(names)


def test_what_variants_change_is_listed_as_it_is_in_them():
    """And not as in the run, where all of them override it."""
    solo = Variant(name="solo", social_episode_prob=0.0, aux_loss_scale=0.0, env_schedules={"penalty": 1.5})
    social = Variant(name="social", hparams={"intrinsic_scale": 0.5}, env_schedules={"penalty": 1.5})
    run = dataclasses.replace(preset("paper"), env_schedules={"penalty": ((0.0, 0.3), (1.0, 1.5))})
    rows = {row["setting"]: row for row in config_diff(dataclasses.replace(run, variants=(solo, social)))}
    assert "env_schedules.penalty" not in rows  # it is 1.5 throughout in both, as in the paper
    assert rows.pop("social_episode_prob") == {
        "setting": "social_episode_prob", "paper": 1.0, "here": {"solo": 0.0, "social": 1.0}
    }  # fmt: skip
    assert rows.pop("team.novice.aux_loss_scale")["here"] == {"solo": 0.0, "social": 1.0}
    assert rows.pop("team.novice.hparams.intrinsic_scale")["here"] == {"solo": "not there", "social": 0.5}
    assert rows == {}


def test_settings_without_effect_are_left_out():
    """Goals that no view can hide, and what the preset says of experts that do not learn."""
    paper = preset("paper")
    run = dataclasses.replace(paper, env_schedules={"goal_hiding_prob": ((0.0, 0.5), (1.0, 0.0))})
    assert config_diff(run) == []
    views = tuple(dataclasses.replace(view, can_hide_goals=True) for view in paper.task.views)
    hidden = dataclasses.replace(run, task=dataclasses.replace(paper.task, views=views))
    assert "env_schedules.goal_hiding_prob" in {row["setting"] for row in config_diff(hidden)}
    frozen = dataclasses.replace(paper.team[1], policy=FrozenPolicyConfig(checkpoint="goal-cycle-paper-expert"))
    assert config_diff(dataclasses.replace(paper, team=(paper.team[0], frozen))) == []


def test_experts_that_learn_are_compared_with_the_paper_s():
    """They learn as the novice does, at 1e-5."""
    paper = preset("paper")
    expert = dataclasses.replace(paper.team[0], name="expert", slots=paper.team[1].slots, learning_rate=1e-5)
    run = dataclasses.replace(paper, team=(paper.team[0], expert))
    assert config_diff(run) == []
    faster = dataclasses.replace(run, team=(paper.team[0], dataclasses.replace(expert, learning_rate=1e-3)))
    assert config_diff(faster) == [{"setting": "team.expert.learning_rate", "paper": 1e-5, "here": 1e-3}]


def test_obstacles_are_those_of_the_published_environment():
    paper = preset("paper")
    fewer, same = (dataclasses.replace(paper, task=dataclasses.replace(paper.task, num_obstacles=n)) for n in (2, 18))
    assert config_diff(fewer) == [{"setting": "task.num_obstacles", "paper": 18, "here": 2}]
    assert config_diff(same) == []


def test_a_changed_setting_and_one_the_paper_lacks():
    paper = preset("paper")
    other = dataclasses.replace(
        paper, num_envs=64, num_seeds=9, seed=3, env_schedules={"penalty": ((0.0, 0.3), (1.0, 1.5))}
    )
    assert config_diff(other) == [
        {"setting": "num_envs", "paper": 128, "here": 64},
        {"setting": "env_schedules.penalty", "paper": "not there", "here": [[0.0, 0.3], [1.0, 1.5]]},
    ]
