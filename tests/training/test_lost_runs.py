"""Runs whose folder, files or checkpoints disappear, before or while they train."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from rookery.cli import main
from rookery.errors import (
    STOPPED_EXIT_CODE,
    ConfigError,
    CorruptFileError,
    DivergedError,
    IncompatibleError,
    NotFoundError,
    StorageError,
)
from rookery.storage import checkpoint, metrics
from rookery.training import machine_notes, trainer
from rookery.training.config import GroupConfig, ScriptedPolicyConfig
from rookery.training.trainer import resume, train
from tests.tiny import CONFIG, NOVICE, OTHER, TASK, assert_same_run, rows, tiny

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def at_update(monkeypatch):
    """Do something just before the metrics of an update are written, or its checkpoint is saved."""

    def set_up(update, action, owner=metrics.MetricsWriter, name="write", position=1):
        real = getattr(owner, name)

        def with_action(*args, **kwargs):
            if args[position] == update:
                action()
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, with_action)

    return set_up


@pytest.mark.parametrize("update", [4, 5])
def test_a_folder_renamed_while_it_trains(straight, tmp_path, at_update, update):
    run_dir, moved = tmp_path / "run", tmp_path / "moved"
    at_update(update, lambda: run_dir.exists() and run_dir.rename(moved))
    with pytest.raises(StorageError, match="removed"):
        train(CONFIG, run_dir, quiet=True)
    assert not run_dir.exists()
    assert len(rows(moved)) == update - 1
    assert checkpoint.saved_updates(moved / "checkpoints") == [3]
    assert_same_run(resume(moved, quiet=True), straight)


def test_a_folder_removed_between_metrics_and_checkpoint(tmp_path, at_update):
    run_dir = tmp_path / "run"
    at_update(6, lambda: shutil.rmtree(run_dir), trainer, "check_finite_params", 2)
    with pytest.raises(StorageError, match="was removed, renamed or replaced"):
        train(CONFIG, run_dir, quiet=True)
    assert not run_dir.exists()


def test_metrics_removed_while_it_trains(tmp_path, at_update):
    run_dir = tmp_path / "run"
    at_update(5, (run_dir / "metrics.jsonl").unlink)
    with pytest.raises(StorageError, match=r"metrics.jsonl was removed or replaced"):
        train(CONFIG, run_dir, quiet=True)
    assert not (run_dir / "metrics.jsonl").exists()


@pytest.mark.parametrize("loss", ["removed", "damaged"])
def test_lost_checkpoints_are_never_trained_over_unasked(straight, tmp_path, loss, capsys):
    run_dir = shutil.copytree(straight.run_dir, tmp_path / "run")
    for folder in (run_dir / "checkpoints").iterdir():
        if loss == "removed":
            shutil.rmtree(folder)
        else:
            (folder / "manifest.json").write_text("{}")
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file() and path.name != ".lock"}
    with pytest.raises(NotFoundError, match="with --restart, which keeps what is there as before-restart-1"):
        resume(run_dir, quiet=True)
    assert {path: path.read_bytes() for path in before} == before
    assert main(["resume", str(run_dir), "--restart", "--quiet"]) == 0
    assert rows(run_dir / "before-restart-1") == rows(straight.run_dir) == rows(run_dir)
    assert len(list((run_dir / "before-restart-1" / "agents").iterdir())) == 4
    with pytest.raises(ConfigError, match="has a valid checkpoint of update 8"):
        resume(run_dir, quiet=True, restart=True)


@pytest.mark.parametrize("kept", [(), (1, 2, 6, 7, 8)], ids=str)
def test_lost_metrics_are_named_before_anything_is_written(straight, tmp_path, kept):
    run_dir = shutil.copytree(straight.run_dir, tmp_path / "run")
    lines = (run_dir / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run_dir / "metrics.jsonl").write_text("".join(lines[update - 1] for update in kept))
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file() and path.name != ".lock"}
    missing = ", ".join(str(update) for update in range(1, 9) if update not in kept)
    with pytest.raises(CorruptFileError, match=f"it lacks updates {missing}, of 8 .* as before-restart-1"):
        resume(run_dir, quiet=True)
    assert {path: path.read_bytes() for path in before} == before


def test_a_line_without_numbers_takes_no_seconds_away(straight, tmp_path):
    run_dir = shutil.copytree(straight.run_dir, tmp_path / "run")
    *lines, last = (run_dir / "metrics.jsonl").read_text().splitlines()
    row = {name: json.loads(last)[name] for name in ("update", "steps")}
    (run_dir / "metrics.jsonl").write_text("\n".join([*lines, json.dumps(row)]) + "\n")
    assert resume(run_dir, quiet=True).seconds == json.loads(lines[-1])["time/seconds"]


def test_damaged_seconds_are_named(straight, tmp_path):
    run_dir = shutil.copytree(straight.run_dir, tmp_path / "run")
    *lines, last = (run_dir / "metrics.jsonl").read_text().splitlines()
    row = {**json.loads(last), "time/seconds": [1.0]}
    (run_dir / "metrics.jsonl").write_text("\n".join([*lines, json.dumps(row)]) + "\n")
    with pytest.raises(CorruptFileError, match="'time/seconds' of its last line"):
        resume(run_dir, quiet=True)


def test_exporting_from_a_run_with_a_damaged_status(straight, tmp_path, capsys):
    run_dir = shutil.copytree(straight.run_dir, tmp_path / "run")
    agent = next((run_dir / "agents").glob("*.safetensors"))
    for text in ("", "{}", "[]", '{"steps": "many"}', "\x1b]0;owned\x07"):
        (run_dir / "status.json").write_text(text)
        command = ["export", str(agent), "--out", str(tmp_path / "a.safetensors"), "--title", "x", "--episodes", "2"]
        assert main(command) == 4
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert said.rstrip("\n").isprintable()
        assert not (tmp_path / "a.safetensors").exists()


def test_other_threads_are_noted(straight, tmp_path, monkeypatch, capsys):
    run_dir = shutil.copytree(straight.run_dir, tmp_path / "run")
    config = json.loads((run_dir / "config.json").read_text())
    assert config["threads"] == trainer.thread_count()
    monkeypatch.setattr(machine_notes, "thread_count", lambda: config["threads"] + 1)
    resume(run_dir)
    assert f"sums were split over {config['threads']} threads when the run was started" in capsys.readouterr().out


def test_a_run_stopped_early_has_an_exit_code_of_its_own(straight, tmp_path):
    run_dir = tmp_path / "run"
    train(CONFIG, run_dir, quiet=True, stop_after=0)
    assert main(["resume", str(run_dir), "--time-limit", "0", "--quiet"]) == STOPPED_EXIT_CODE
    assert main(["resume", str(run_dir), "--quiet"]) == 0


def test_parameters_that_are_not_finite_are_never_saved(tmp_path, monkeypatch):
    """The loss of the update that spoiled them may still be finite."""
    get, run_dir = jax.device_get, tmp_path / "run"

    def spoiled(tree):
        tree = get(tree)
        if hasattr(tree, "num_updates") and int(tree.num_updates[0]) == 6:
            leaf = np.array(jax.tree.leaves(tree.learners["novice"].params["policy"])[0])
            leaf[1] = np.nan
            first = iter([leaf])
            params = jax.tree.map(lambda x: next(first, x), tree.learners["novice"].params)
            learner = tree.learners["novice"]._replace(params=params)
            tree = tree.replace(learners={**tree.learners, "novice": learner})
        return tree

    monkeypatch.setattr(trainer.jax, "device_get", spoiled)
    with pytest.raises(DivergedError, match=r"parameter .* of 'novice' is not finite after update 6 \(variant 'solo'"):
        train(CONFIG, run_dir, quiet=True)
    assert checkpoint.saved_updates(run_dir / "checkpoints") == [3]


def test_the_weights_that_a_run_starts_from_must_not_change_before_its_first_checkpoint(straight, tmp_path):
    first = tmp_path / "first.safetensors"

    def copy(name):
        source = straight.run_dir / "agents" / name
        first.write_bytes(source.read_bytes())
        first.with_suffix(".json").write_bytes(source.with_suffix(".json").read_bytes())

    copy("social-seed3-novice-0.safetensors")
    policy = dataclasses.replace(NOVICE.policy, init_from=str(first))
    config = tiny(team=(dataclasses.replace(NOVICE, policy=policy), OTHER), eval_episodes=0)
    run_dir = tmp_path / "run"
    train(config, run_dir, quiet=True, stop_after=0)
    copy("solo-seed3-novice-0.safetensors")
    resume(run_dir, quiet=True, stop_after=0)  # from its checkpoint: the file is not needed any more
    shutil.rmtree(run_dir / "checkpoints")
    with pytest.raises(IncompatibleError, match="put the old one back"):
        resume(run_dir, quiet=True, restart=True)
    copy("social-seed3-novice-0.safetensors")
    assert resume(run_dir, quiet=True, restart=True, stop_after=0).num_updates >= 1


def test_agents_say_what_they_trained_with(tmp_path):
    """Of one kind by its name on the command line; of several, all of them."""
    three = dataclasses.replace(TASK, views=(TASK.views[0],) * 3)
    partial = ScriptedPolicyConfig(observability="partial")
    expert = GroupConfig(name="expert", slots=(2,), policy=partial)
    for team, task, partners in (
        ((NOVICE, dataclasses.replace(OTHER, policy=partial)), TASK, "scripted-partial"),
        ((NOVICE, OTHER, expert), three, "random, scripted-partial"),
    ):
        run_dir = tmp_path / partners
        train(
            tiny(task=task, team=team, variants=CONFIG.variants[:1], eval_episodes=0), run_dir, quiet=True, stop_after=0
        )
        card = json.loads((run_dir / "agents" / "social-seed3-novice-0.json").read_text())
        assert card["partners"] == partners
        by_slot = {"1": "random", "2": "scripted-partial"} if len(team) == 3 else None
        assert card.get("partners_by_slot") == by_slot
