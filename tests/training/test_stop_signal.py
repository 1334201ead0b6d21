"""A signal that asks to stop is heeded by whoever would go on, also where what it came in had just ended."""

import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from rookery import cli
from rookery.errors import STOPPED_EXIT_CODE
from rookery.studies import cloned_agents, cost
from rookery.studies.ndousse2021.shared_runs import EXPERT_CLONES
from rookery.studies.session import Session
from rookery.training import continue_run, trainer
from rookery.training.continue_run import train_or_resume
from rookery.training.stop_signal import StopSignal
from rookery.training.trainer import load_config
from tests.studies.tiny import RUN
from tests.tiny import CONFIG

pytestmark = pytest.mark.usefixtures("signals_act")


def ends_with_a_signal(*_, **__):
    """Something that trains to its end, and is asked to stop just before."""
    with StopSignal() as stop_signal:
        signal.raise_signal(signal.SIGTERM)
    assert stop_signal.requested
    return SimpleNamespace(finished=True)


def test_one_within_another_shares_what_was_requested():
    before = signal.getsignal(signal.SIGTERM)
    with StopSignal() as outer:
        with StopSignal() as ended:
            pass
        assert (ended.requested, outer.requested) == (False, False)
        ends_with_a_signal()
        assert outer.requested
        with StopSignal() as later:
            assert later.requested
            with pytest.raises(KeyboardInterrupt):  # the second
                signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before
    with StopSignal() as next_one:
        assert not next_one.requested


def test_a_signal_in_the_last_update_stops_what_follows(straight, tmp_path, monkeypatch):
    """The caller learns of it; the same call again finds the run finished."""
    monkeypatch.setattr(continue_run, "train", ends_with_a_signal)
    assert not train_or_resume(CONFIG, tmp_path / "new")
    assert train_or_resume(load_config(straight.run_dir), straight.run_dir)
    monkeypatch.setattr(continue_run, "is_finished", lambda _: False)
    monkeypatch.setattr(continue_run, "resume", lambda *_, **__: ends_with_a_signal())
    assert not train_or_resume(load_config(straight.run_dir), straight.run_dir)


def some_session(runs_dir: Path) -> Session:
    return Session(budget="smoke", runs_dir=runs_dir, seed=0, num_seeds=1, eval_episodes=2, quiet=True)


def test_clones_of_a_study(tmp_path, monkeypatch):
    monkeypatch.setattr(cloned_agents, "record_dataset", lambda *_, **__: None)
    monkeypatch.setattr(cloned_agents, "train_clones", ends_with_a_signal)
    assert not EXPERT_CLONES.prepare(some_session(tmp_path))


def test_the_measurement_of_a_study_s_cost(tmp_path, monkeypatch):
    monkeypatch.setattr(continue_run, "train", ends_with_a_signal)
    with pytest.raises(KeyboardInterrupt):
        cost.measure_cost(some_session(tmp_path), RUN)


def test_the_demo_is_not_evaluated(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XLA_FLAGS", "")  # undone after the test
    monkeypatch.setattr(trainer, "train", ends_with_a_signal)
    code = cli.main(["demo", "--preset", "smoke", "--out", str(tmp_path / "demo"), "--quiet"])
    assert code == STOPPED_EXIT_CODE
    assert capsys.readouterr().out.startswith("stopped; run the same command to continue ")
