"""Options of `rookery clone` that say what is recorded, next to a dataset that is there."""

import os

import pytest

from rookery.cli import main
from rookery.storage.atomic import write_json

RECORDED = {"num_episodes": 3, "seed": 5, "solo": False, "expert": "scripted", "slots": [0], "return": {}}


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Run the command, which must fail with exit code 2; OUT/data holds a dataset. Returns what it prints."""
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # the command sets it
    monkeypatch.setattr("rookery.training.demonstrations.read_demonstrations_manifest", lambda path: RECORDED)
    monkeypatch.setattr("rookery.training.clone_trainer.train_clones", lambda *_, **__: pytest.fail("trained"))
    write_json(tmp_path / "data" / "manifest.json", RECORDED)

    def command(*arguments):
        assert main(["clone", "--out", str(tmp_path), "--quiet", *arguments]) == 2
        return capsys.readouterr().err

    return command


@pytest.mark.parametrize(("option", "entry"), [("--data-seed", "seed"), ("--episodes", "num_episodes")])
def test_zero_is_a_number_that_was_given(refused, tmp_path, option, entry):
    assert f"which differ from the options in: {entry}; name another --out" in refused(option, "0")
    assert f"already has a task and an expert; leave out {option}" in refused("--data", str(tmp_path), option, "0")


def test_control_characters_of_a_dataset_do_not_reach_the_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # the command sets it
    manifest = RECORDED | {"expert": "\x1b[31mred", "return": {"mean": 1.0, "std": 0.0}}
    monkeypatch.setattr("rookery.training.demonstrations.read_demonstrations_manifest", lambda path: manifest)
    write_json(tmp_path / "data" / "manifest.json", manifest)
    assert main(["clone", "--out", str(tmp_path), "--record-only"]) == 0
    assert r"3 episodes of \x1b[31mred, 1 slots each" in capsys.readouterr().out


def test_options_of_training_where_nothing_is_trained(refused):
    options = ("--seeds", "2", "--seed", "0", "--time-limit", "1", "--track", "none", "--restart")
    said = "--record-only trains nothing; leave out --seeds, --seed, --time-limit, --track, --restart, or leave out"
    assert said in refused("--record-only", *options)
    assert "leave out num_seeds=2, --restart, or" in refused("num_seeds=2", "--record-only", "--restart")


def test_a_dataset_that_is_recorded_is_not_recorded_again(refused, tmp_path):
    assert "--data is recorded already; leave out --record-only" in refused("--data", str(tmp_path), "--record-only")
