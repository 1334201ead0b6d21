"""On a GPU an update starts before the metrics of the one before are read: no number, file or stop changes."""

import os
import signal

import pytest

from rookery.errors import DivergedError
from rookery.storage import checkpoint, metrics
from rookery.training.config import Variant
from rookery.training.replica_updates import ReplicaUpdates
from rookery.training.trainer import resume, train
from tests.tiny import CONFIG, assert_same_run, rows, tiny

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def steps(monkeypatch):
    """Runs overlap as on a GPU. For every update that ended, whether the next one had been started."""
    started = []

    def step(self, next_too=False, was=ReplicaUpdates.step):
        started.append(next_too)
        return was(self, next_too)

    monkeypatch.setattr(ReplicaUpdates, "overlaps", True)
    monkeypatch.setattr(ReplicaUpdates, "step", step)
    return started


def test_the_same_run(straight, steps, tmp_path):
    assert not straight.run.config.has_checkpoint(7)
    assert_same_run(train(CONFIG, tmp_path / "run", quiet=True), straight)
    assert steps == [True, True, False, True, True, False, True, False]  # not past checkpoints


def test_the_same_stops(straight, steps, tmp_path, monkeypatch):
    """At once where there is no time, and after the update that runs when the signal comes."""
    run_dir = tmp_path / "run"
    assert train(CONFIG, run_dir, quiet=True, stop_after=0).num_updates == 1
    write = metrics.MetricsWriter.write

    def interrupted(self, update, *rest):
        if update == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        write(self, update, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(metrics.MetricsWriter, "write", interrupted)
        assert resume(run_dir, quiet=True).num_updates == 5
    assert steps == [False, True, False, True, False]
    assert checkpoint.saved_updates(run_dir / "checkpoints") == [3, 5]
    assert rows(run_dir) == rows(straight.run_dir)[:5]
    assert_same_run(resume(run_dir, quiet=True), straight)


def test_the_same_divergence(steps, tmp_path, monkeypatch):
    """What an update made of numbers that are not finite is never saved or written."""
    diverges = Variant(name="solo", social_episode_prob=0.0, learning_rate=((0.3, 1e-2), (0.4, 1e38)))
    config, messages, runs = tiny(variants=(CONFIG.variants[0], diverges)), [], [tmp_path / "ahead", tmp_path / "plain"]
    for run_dir in runs:
        with pytest.raises(DivergedError) as caught:
            train(config, run_dir, quiet=True)
        messages.append(str(caught.value))
        monkeypatch.setattr(ReplicaUpdates, "overlaps", False)
    assert steps[len(rows(runs[0]))]  # the next update had been started
    assert messages[0] == messages[1]
    assert rows(runs[0]) == rows(runs[1])
    for run_dir in runs:
        assert checkpoint.saved_updates(run_dir / "checkpoints") == [3]
