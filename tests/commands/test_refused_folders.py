"""A command that is refused leaves no folder behind, and says what a folder holds that is no run."""

import types

import pytest

from rookery.cli import main
from rookery.errors import IncompatibleError, NotFoundError
from rookery.storage.atomic import write_json
from rookery.storage.serialization import to_dict
from rookery.training import clone_trainer
from rookery.training.clone_trainer import CloneConfig, train_clones


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
