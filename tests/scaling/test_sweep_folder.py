"""The folder of a sweep: links in it, and when it is renamed meanwhile. Needs no Optuna."""

import pytest

from rookery.errors import ConfigError, StorageError
from rookery.scaling import sweep_trials as sweeps
from rookery.scaling.sweep_trials import TRIALS_FILE, Dimension, SweepOptions, sweep
from tests.tiny import CONFIG

OPTIONS = SweepOptions(space=(Dimension.parse("max_checkpoints=1,2"),), metric="return")


@pytest.fixture
def trials(monkeypatch):
    """What a sweep does where it would run its trials."""
    monkeypatch.setattr(sweeps, "_import_optuna", lambda: None)
    return lambda function: monkeypatch.setattr(sweeps, "_run_trials", function)


@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_renamed_folder_does_not_come_back(tmp_path, trials, at_the_end):
    out = tmp_path / "sweep"

    def rename(optuna, config, options, out, seconds_left, log):
        out.rename(tmp_path / "elsewhere")
        if not at_the_end:
            seconds_left()
        return []

    trials(rename)
    with pytest.raises(StorageError, match="was removed, renamed or replaced"):
        sweep(CONFIG, OPTIONS, out)
    assert not out.exists()


def test_a_jax_that_cannot_start_is_no_failure_of_a_trial(tmp_path, trials, monkeypatch):
    def refuse():
        raise AssertionError

    trials(lambda *_: pytest.fail("tried"))
    monkeypatch.setattr("jax.devices", refuse)
    with pytest.raises(ConfigError, match=r"JAX cannot start.*: AssertionError; set JAX_PLATFORMS=cpu"):
        sweep(CONFIG, OPTIONS, tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


def test_a_wrong_tracker_is_no_failure_of_a_trial(tmp_path, trials, monkeypatch):
    monkeypatch.setenv("ROOKERY_TRACK", "none,tensorboard")
    trials(lambda *_: pytest.fail("tried"))
    with pytest.raises(ConfigError, match="'none' excludes the others"):
        sweep(CONFIG, OPTIONS, tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    "name", [TRIALS_FILE, "table.csv", "sweep.svg", "best.json", "sweep.json", "runs", "runs/0123"]
)
def test_a_link_is_refused_before_the_trials(tmp_path, trials, name):
    out, victim = tmp_path / "sweep", tmp_path / "victim"
    trials(lambda *_: [] if name == "sweep.json" else pytest.fail("tried"))
    (out / name).parent.mkdir(parents=True)
    (out / name).symlink_to(victim)
    with pytest.raises(StorageError, match=f"{name} is a symbolic link"):
        sweep(CONFIG, OPTIONS, out)
    assert not victim.exists()
