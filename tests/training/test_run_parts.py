"""The parts of a run: their names, and the agents that they start from."""

import dataclasses
from pathlib import Path

import pytest

from rookery.errors import ConfigError, IncompatibleError, StorageError
from rookery.storage.atomic import write_json
from rookery.storage.serialization import to_dict
from rookery.training import run_parts
from rookery.training.config import Variant
from rookery.training.run_parts import (
    Split,
    agree_on_split,
    check_part_agents,
    check_part_config,
    copy_start_agents,
    part_config,
    split_run,
    train_part,
)
from tests.tiny import CONFIG, NOVICE, tiny


def with_variants(*names):
    return tiny(variants=tuple(Variant(name=name) for name in names))


def test_parts_of_different_variants_have_different_folders():
    """`a-to-b` is the name of a part of the variants a to b, and may be that of a variant."""
    config = with_variants("a", "b", "a-to-b")
    assert [part.name for part in split_run(config, 1)] == ["a-seed-3", "b-seed-3", "a-to-b-seed-3"]
    with pytest.raises(ConfigError, match="variants a, b and a-to-b would have one folder, a-to-b-seed-3; use another"):
        split_run(config, 2)
    with pytest.raises(ConfigError, match="variants a, b-to-c and a-to-b, c would have one folder, a-to-b-to-c-seed-3"):
        split_run(with_variants("a", "b-to-c", "a-to-b", "c"), 2)


def starting_from(*paths):
    """The run with a group of learners for each path of the agents that they start from."""
    policies = [dataclasses.replace(NOVICE.policy, init_from=str(path)) for path in paths]
    groups = [
        dataclasses.replace(NOVICE, name=f"group-{slot}", slots=(slot,), policy=policy)
        for slot, policy in enumerate(policies)
    ]
    return tiny(team=tuple(groups))


def train_agents(folder, *runs):
    """A finished run for each name, with an agent that says which one it is. Returns the pattern of their paths."""
    for run in runs:
        for suffix in ("safetensors", "json"):
            path = folder / run / "agents" / f"main-seed3-n-0.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{run} {suffix}")
        status = {"num_updates": 8, "total_updates": 8, "steps": 96, "seconds": 1.5, "machine": {"cores": 2}}
        write_json(folder / run / "status.json", status)
        write_json(folder / run / "config.json", {})
    return [folder / run / "agents" / "main-seed{seed}-n-0.safetensors" for run in runs]


def started_as(config, part, folder):
    """The configuration that a part in a folder trains with."""
    return run_parts._starting_from(part_config(config, part), folder / "start")


def test_groups_that_start_from_agents_of_one_name_each_get_their_own(tmp_path):
    config = starting_from(*train_agents(tmp_path, "x", "y"))
    part, folder = split_run(config, 1)[0], tmp_path / "part"
    copy_start_agents(config, part, folder / "start")
    started = started_as(config, part, folder)
    for group, run in zip(started.team, ("x", "y"), strict=True):
        weights = Path(group.policy.init_from.replace("{seed}", "3"))
        assert weights.read_text() == f"{run} safetensors"
        assert weights.with_suffix(".json").read_text() == f"{run} json"
    write_json(folder / "config.json", {"config": to_dict(started)})
    check_part_config(config, part, folder)


def test_an_agent_of_a_name_of_its_own_keeps_it(tmp_path):
    """As in parts that were begun before names were numbered; two groups may start from one agent, too."""
    (path,) = train_agents(tmp_path, "x")
    config = starting_from(path, path)
    part = split_run(config, 1)[0]
    copy_start_agents(config, part, tmp_path / "start")
    assert sorted(file.name for file in (tmp_path / "start").iterdir()) == [
        "main-seed3-n-0.json", "main-seed3-n-0.safetensors",
    ]  # fmt: skip


def test_the_agent_of_each_group_is_compared_with_its_own(tmp_path, monkeypatch):
    """And not with one that acts unchanged and has the same name."""
    paths = train_agents(tmp_path, "x", "y")
    config, folder = starting_from(*paths), tmp_path / "part"
    part = split_run(config, 1)[0]
    now = {str(path).replace("{seed}", "3"): f"digest of {path.parents[1].name}" for path in paths}
    hashes = {str(folder / "start" / f"{n}-main-seed3-n-0.safetensors"): d for n, d in enumerate(now.values())}
    monkeypatch.setattr(run_parts, "check_same_agents", lambda folder: None)
    monkeypatch.setattr(run_parts, "initial_hashes", lambda config: now)
    frozen = {str(tmp_path / "z" / "agents" / "0-main-seed3-n-0.safetensors"): "another"}
    write_json(folder / "config.json", {"checkpoint_hashes": hashes | frozen})
    check_part_agents(config, part, folder)
    now[next(reversed(now))] = "digest of another"
    with pytest.raises(IncompatibleError, match=r"started from an agent 1-main-seed3-n-0.*; put the old one back"):
        check_part_agents(config, part, folder)


def test_agents_to_start_from_are_not_written_through_a_link(tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / "start").symlink_to(tmp_path / "victim")
    with pytest.raises(StorageError, match="start is a symbolic link"):
        copy_start_agents(CONFIG, split_run(CONFIG, 1)[0], tmp_path / "start")


@pytest.mark.parametrize("link", ["run.parts", "run.parts/part"])
def test_a_part_is_not_trained_through_a_link(tmp_path, link):
    (tmp_path / "victim").mkdir()
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / "victim")
    with pytest.raises(StorageError, match=f"{link} is a symbolic link"):
        train_part(CONFIG, split_run(CONFIG, 1)[0], tmp_path / "run.parts" / "part")
    if link == "run.parts":
        with pytest.raises(StorageError, match="parts is a symbolic link"):
            agree_on_split(tmp_path / "run", Split(replicas_per_part=1, num_threads=1))
    assert not list((tmp_path / "victim").iterdir())
