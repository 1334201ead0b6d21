"""A command that is refused leaves no folder behind."""

import types

import pytest

from rookery.cli import main
from rookery.errors import NotFoundError
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
