"""A command that is refused leaves no folder behind, and says what a folder holds that is not a run."""

import os
import types

import pytest

from rookery.cli import main
from rookery.errors import IncompatibleError, NotFoundError, StorageError
from rookery.storage.atomic import write_json
from rookery.storage.serialization import to_dict
from rookery.tasks.goal_cycle import GoalCycle
from rookery.training import clone_trainer
from rookery.training.clone_trainer import CloneConfig, train_clones
from rookery.training.config import ScriptedPolicyConfig
from rookery.training.demonstrations import record_dataset


def test_an_agent_that_cannot_be_scored(tmp_path, capsys):
    assert main(["score", "nothing", "--out", str(tmp_path / "cards")]) == 6
    assert "the zoo has no 'nothing'" in capsys.readouterr().err
    assert not (tmp_path / "cards").exists()


def test_clones_with_an_unknown_tracker(tmp_path, monkeypatch):
    manifest = {"observation_shape": [3, 3, 8], "num_actions": 3}
    data = types.SimpleNamespace(manifest=manifest, digest="0", split=lambda fraction: (None, None))
    monkeypatch.setattr(clone_trainer, "read_dataset", lambda path: data)
    with pytest.raises(NotFoundError):
        train_clones(CloneConfig(), tmp_path, tmp_path / "clones", track=["nothing"])
    assert not (tmp_path / "clones").exists()


@pytest.mark.parametrize(
    ("command", "place", "work"),
    [
        (["demo", "--preset", "smoke"], "results.json", "rookery.training.trainer.train"),
        (["demo", "--preset", "smoke"], "report.html", "rookery.training.trainer.train"),
        (["generations"], "returns.json", "rookery.training.generation_chain.train_generations"),
        (["generations"], "generations.png", "rookery.training.generation_chain.train_generations"),
    ],
)
def test_what_a_command_writes_at_its_end_is_checked_at_its_start(tmp_path, monkeypatch, capsys, command, place, work):
    monkeypatch.setattr(work, lambda *_, **__: pytest.fail("trained"))
    (tmp_path / place).mkdir()
    assert main([*command, "--out", str(tmp_path)]) == StorageError.exit_code
    assert f"{place}: it is a folder, not a file" in capsys.readouterr().err


def test_a_picture_that_cannot_be_written_is_refused_before_the_task_is_shown(tmp_path, capsys):
    (tmp_path / "x.png").mkdir()
    assert main(["envs", "show", "goal-cycle-v0", "--png", str(tmp_path / "x.png")]) == StorageError.exit_code
    printed = capsys.readouterr()
    assert ("x.png: it is a folder, not a file" in printed.err, printed.out) == (True, "")


def test_a_folder_that_cannot_be_written_is_found_out_before_the_recording(tmp_path, monkeypatch):
    monkeypatch.setattr("rookery.training.demonstrations.check_environment", lambda *_: pytest.fail("began"))
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="part of the path is a file"):
        record_dataset(tmp_path / "file" / "data", GoalCycle(), ScriptedPolicyConfig(), num_episodes=2)


def test_the_index_of_a_study_s_results_is_checked_at_its_start(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rookery.studies.run_study.reproduce", lambda *_: pytest.fail("trained"))
    (tmp_path / "verdicts.md").mkdir()
    folders = ["--results", str(tmp_path), "--runs", str(tmp_path / "runs")]
    assert main(["reproduce", "ndousse2021/fig4", "--budget", "smoke", *folders]) == StorageError.exit_code
    assert "verdicts.md: it is a folder, not a file" in capsys.readouterr().err


def test_nothing_is_recorded_into_the_folder_of_a_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rookery.training.demonstrations.record_dataset", lambda *_, **__: pytest.fail("recorded"))
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # the command sets it
    write_json(tmp_path / "config.json", {"config": {}})
    command = ["clone", "--task", "goal-cycle-symbolic-v0", "--expert", "scripted", "--out", str(tmp_path)]
    assert main(command) == IncompatibleError.exit_code
    assert f"{tmp_path} holds another kind of run; name another folder with --out" in capsys.readouterr().err


def test_nothing_is_recorded_through_a_link(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rookery.training.demonstrations.record_dataset", lambda *_, **__: pytest.fail("recorded"))
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # the command sets it
    (tmp_path / "victim").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "victim")
    command = ["clone", "--task", "goal-cycle-symbolic-v0", "--expert", "scripted", "--out", str(tmp_path)]
    assert main(command) == StorageError.exit_code
    assert f"{tmp_path / 'data'} is a symbolic link" in capsys.readouterr().err


COMMANDS = (["resume"], ["replay"], ["cross-play"])


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_of_clones_is_not_damaged(command, tmp_path, capsys):
    write_json(tmp_path / "config.json", {"clone": to_dict(CloneConfig()), "dataset": "0"})
    assert main([*command, str(tmp_path)]) == IncompatibleError.exit_code
    said = capsys.readouterr().err
    assert f"{tmp_path} holds clones and not the run of a team: 'rookery clone' with the same options continues" in said
    assert str(tmp_path / "agents") in said


@pytest.mark.parametrize("command", [*COMMANDS, ["eval"], ["runs", "show"]])
@pytest.mark.parametrize(
    ("file", "inner", "expected"),
    [
        ("generations.json", "generation-1", "it holds generations: 'rookery generations' with the same options"),
        ("sweep.json", "runs/0123", "it holds a sweep: 'rookery sweep' with the same options"),
        ("", "fig4-seeds-0-to-2", ""),
        ("", "studies/fig4-seeds-0-to-2", ""),
    ],
)
def test_a_folder_of_runs(command, file, inner, expected, tmp_path, capsys):
    if file:
        write_json(tmp_path / file, {})
    write_json(tmp_path / inner / "config.json", {})
    assert main([*command, str(tmp_path)]) == NotFoundError.exit_code
    said = capsys.readouterr().err
    assert expected in said
    assert f"; for the run in it, name {tmp_path / inner}" in said
