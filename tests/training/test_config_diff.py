"""What a report lists as differences from the paper."""

import dataclasses

from rookery.training.config_diff import config_diff
from rookery.training.presets import preset


def test_the_paper_s_own_run_has_none():
    assert config_diff(preset("paper")) == []


def test_each_setting_is_named_once_and_nothing_else():
    changed = config_diff(preset("demo"))
    names = [row["setting"] for row in changed]
    assert len(set(names)) == len(names)
    assert {"task.num_actions", "num_envs", "total_timesteps"} <= set(names)


def test_a_changed_setting_and_one_the_paper_lacks():
    paper = preset("paper")
    other = dataclasses.replace(
        paper, num_envs=64, num_seeds=9, seed=3, env_schedules={"penalty": ((0.0, 0.3), (1.0, 1.5))}
    )
    assert config_diff(other) == [
        {"setting": "num_envs", "paper": 128, "here": 64},
        {"setting": "env_schedules.penalty", "paper": "not there", "here": [[0.0, 0.3], [1.0, 1.5]]},
    ]
