"""Metrics reach every tracker under the same names; a resumed run continues; a tracker that fails costs no run."""

import importlib.util
import json
import logging
import os
import struct
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import pytest
from tensorboardX.proto.event_pb2 import Event, SessionLog

from rookery.errors import ConfigError, CorruptFileError, MissingPackageError, NotFoundError, StorageError
from rookery.plugins import TRACKERS
from rookery.storage.metrics import MetricsWriter
from rookery.testing import ConformanceError, check_tracker
from rookery.tracking.mlflow import MLflowTracker
from rookery.tracking.tensorboard import TensorBoardTracker
from rookery.tracking.tracker import TrackedRun, Tracker, metric_curves
from rookery.tracking.trackers import RunTrackers, choose_trackers, save_trackers, saved_trackers
from rookery.tracking.wandb import WandbTracker
from tests.optional import is_installed


def events(run_dir):
    """The TensorBoard events of every file, oldest file first."""
    found = []
    for path in sorted((run_dir / "tb").iterdir(), key=lambda p: int(p.name.rsplit(".", 1)[1])):
        data = path.read_bytes()
        while data:
            (size,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + size]))
            data = data[16 + size :]
    return found


def record(run_dir, updates, resume_at=None, seeds=(3, 4)):
    sink = RunTrackers(run_dir, "tiny", {"seed": 3}, seeds)
    with MetricsWriter(run_dir, resume_at, sink) as writer:
        for update in updates:
            writer.write(update, 100 * update, {"loss": [float(update), 0.0], "time": {"seconds": 1.5}})


@pytest.fixture
def fake(monkeypatch):
    """A registered tracker that keeps what it receives; `fake.fail` makes `write` raise."""

    class Fake(Tracker):
        kind = "fake"
        sessions: list = []  # noqa: RUF012
        fail = False

        def start(self, run, run_id):
            self.sessions.append((run.name, run.seeds, run.first_step, run_id, {}))
            return run_id or "id-1"

        def write(self, steps, values):
            if Fake.fail:
                raise RuntimeError("no connection")
            self.sessions[-1][-1][steps] = values

    monkeypatch.setattr(TRACKERS, "_entries", dict(TRACKERS._entries))
    TRACKERS.register(Fake)
    return Fake


def test_the_names_of_curves():
    metrics = {
        "social/novice/return": [1.0, 3.0],
        "some bad": [None, 4.0],
        "by agent": [[1.0, 3.0], [5.0, 7.0]],
        "of another length": [1.0, 2.0, 3.0],
        "time/seconds": 7,
        "unknown": None,
        "nothing": [None, None],
    }
    assert metric_curves(metrics, (3, 4)) == {
        "social/novice/return/mean": 2.0,
        "social/novice/return/seed3": 1.0,
        "social/novice/return/seed4": 3.0,
        "some bad/mean": 4.0,
        "some bad/seed4": 4.0,
        "by agent/mean": 4.0,
        "by agent/seed3": 2.0,
        "by agent/seed4": 6.0,
        "of another length/mean": 2.0,
        "of another length/0": 1.0,
        "of another length/1": 2.0,
        "of another length/2": 3.0,
        "time/seconds": 7.0,
    }


def test_tensorboard_forgets_the_steps_that_are_written_again(tmp_path):
    record(tmp_path, [1, 2, 3, 4])
    record(tmp_path, [3], resume_at=2)
    record(tmp_path, [], resume_at=0)
    assert len(os.listdir(tmp_path / "tb")) == 3  # within one second, each its own file
    assert [e.step for e in events(tmp_path) if e.session_log.status == SessionLog.START] == [201, 0]
    scalars = {(e.step, v.tag): v.simple_value for e in events(tmp_path) for v in e.summary.value}
    assert scalars[300, "loss/mean"] == 1.5
    assert scalars[300, "loss/seed3"] == 3.0
    assert scalars[300, "time/seconds"] == 1.5
    assert not (tmp_path / "tracking.json").exists()  # the default needs no record


def test_event_files_are_read_in_the_order_of_sessions(tmp_path, monkeypatch):
    for now in (2e9, 2e9, 1.9e9):  # within one second, and after the clock was set back
        monkeypatch.setattr(time, "time", lambda now=now: now)
        record(tmp_path, [1], resume_at=0 if (tmp_path / "tb").exists() else None)
    assert [name.split(".")[3] for name in sorted(os.listdir(tmp_path / "tb"))] == [f"200000000{i}" for i in range(3)]


def test_several_trackers_continue_with_their_ids(tmp_path, fake):
    save_trackers(tmp_path, {"fake": None, "tensorboard": None})
    record(tmp_path, [1, 2, 3])
    record(tmp_path, [3, 4], resume_at=2)
    first, second = fake.sessions
    assert first[:4] == ("tiny", (3, 4), None, None)
    assert second[:4] == ("tiny", (3, 4), 201, "id-1")
    assert list(second[-1]) == [300, 400]
    assert second[-1][300] == {"loss/mean": 1.5, "loss/seed3": 3.0, "loss/seed4": 0.0, "time/seconds": 1.5}
    assert saved_trackers(tmp_path) == {"fake": "id-1", "tensorboard": None}
    assert (tmp_path / "tb").exists()


def test_a_tracker_that_fails_is_left_out(tmp_path, fake, caplog):
    save_trackers(tmp_path, {"fake": None, "tensorboard": None})
    fake.fail = True
    with caplog.at_level(logging.WARNING, "rookery"):
        record(tmp_path, [1, 2])
    (message,) = caplog.messages
    assert message == "tiny: the tracker fake failed and is left out from step 100 on: no connection"
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2
    assert {e.step for e in events(tmp_path) if e.summary.value} == {100, 200}


def test_a_tracker_that_cannot_start_ends_the_run(tmp_path, fake, monkeypatch):
    def refuse(self, run, run_id):
        raise RuntimeError("no account")

    monkeypatch.setattr(fake, "start", refuse)
    save_trackers(tmp_path, {"tensorboard": None, "fake": None})
    message = (
        r"'fake' cannot start: no account; correct that, or remove it from .*tracking.json, then .*'rookery resume"
    )
    with pytest.raises(ConfigError, match=message):
        record(tmp_path, [1])
    (tmp_path / "metrics.jsonl").write_text('{"update":1,"steps":100}\n')
    with pytest.raises(ConfigError, match=message):
        record(
            tmp_path, [2], resume_at=1
        )  # neither has `rookery resume` an option --track, nor takes `train` the folder


def test_a_new_run_does_not_have_the_trackers_of_what_was_there(tmp_path):
    for earlier in ({}, {"fake": "id-1"}):
        save_trackers(tmp_path, earlier)
        save_trackers(tmp_path, {"tensorboard": None})
        assert saved_trackers(tmp_path) == {"tensorboard": None}


def test_the_default_tracker_that_cannot_start_is_recorded_so_that_it_can_be_removed(tmp_path, monkeypatch):
    class MuteError(Exception):
        def __str__(self):
            raise RuntimeError

    def refuse(self, run, run_id):
        raise error

    error: Exception = MuteError()

    monkeypatch.setattr(TensorBoardTracker, "start", refuse)
    with pytest.raises(ConfigError, match=r"'tensorboard' cannot start: MuteError, whose __str__ fails; "):
        record(tmp_path, [1])
    error = RuntimeError("no")
    with pytest.raises(ConfigError, match=r"'tensorboard' cannot start: no; .* remove it from"):
        record(tmp_path, [1])
    assert saved_trackers(tmp_path) == {"tensorboard": None}
    assert (tmp_path / "tracking.json").exists()


def test_an_id_that_is_no_text_is_refused(tmp_path, fake, monkeypatch):
    monkeypatch.setattr(fake, "start", lambda self, run, run_id: 5)
    save_trackers(tmp_path, {"fake": None})
    with pytest.raises(ConfigError, match=r"'fake' cannot start: start\(\) returned 5, which must be a text or None"):
        record(tmp_path, [1])
    assert saved_trackers(tmp_path) == {"fake": None}


def test_a_full_disk_ends_the_run(tmp_path, monkeypatch):
    def full(self, event):
        raise OSError(28, "No space left on device")

    sink = RunTrackers(tmp_path, "tiny", {}, (0,))
    with MetricsWriter(tmp_path, None, sink) as writer:
        monkeypatch.setattr(TensorBoardTracker, "_put", full)
        with pytest.raises(StorageError, match="the disk is full"):
            writer.write(1, 100, {"loss": 1.0})


def test_choosing(monkeypatch):
    monkeypatch.delenv("ROOKERY_TRACK", raising=False)
    assert choose_trackers() == ("tensorboard",)
    assert choose_trackers(["tensorboard", "tensorboard"]) == ("tensorboard",)
    assert choose_trackers(["none"]) == ()
    monkeypatch.setenv("ROOKERY_TRACK", "none")
    assert choose_trackers() == ()
    with pytest.raises(NotFoundError, match="no tracker 'tensorbord'; did you mean 'tensorboard'"):
        choose_trackers(["tensorbord"])
    with pytest.raises(ConfigError, match="'none' excludes the others"):
        choose_trackers(["none", "tensorboard"])
    monkeypatch.setattr(WandbTracker, "package", "nosuch_package.inner")
    with pytest.raises(MissingPackageError, match=r"needs the package nosuch_package.inner; "):
        choose_trackers(["wandb"])
    monkeypatch.undo()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"needs the package wandb; \S+ -m pip install 'rookery\[track\]'"):
        choose_trackers(["wandb"])


def test_no_tracker_is_recorded_as_well(tmp_path):
    save_trackers(tmp_path, {})
    record(tmp_path, [1])
    assert sorted(os.listdir(tmp_path)) == ["metrics.jsonl", "tracking.json"]
    (tmp_path / "tracking.json").write_text('{"trackers": ["wandb"]}')
    with pytest.raises(CorruptFileError, match=r"tracking.json is damaged"):
        saved_trackers(tmp_path)


def test_what_the_conformance_check_finds(fake, monkeypatch):
    check_tracker(TensorBoardTracker)
    check_tracker(fake)
    with pytest.raises(ConformanceError, match=r"is an instance; pass the class"):
        check_tracker(fake())
    monkeypatch.setattr(
        fake, "start", lambda self, run, run_id: fake.sessions.append((0, {})) or str(len(fake.sessions))
    )
    with pytest.raises(ConformanceError, match="must continue the tracked run"):
        check_tracker(fake)


# -------------------------------------------------------------------------------- the real packages, without a network

SESSIONS = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    from rookery.storage.metrics import MetricsWriter
    from rookery.tracking.trackers import RunTrackers, save_trackers, saved_trackers
    run_dir, kind = Path(sys.argv[1]), sys.argv[2]
    save_trackers(run_dir, {kind: None})
    for resume_at, updates in ((None, (1, 2)), (2, (3,))):
        sink = RunTrackers(run_dir, "tiny", {"task": {"kind": "maze"}}, (3, 4))
        with MetricsWriter(run_dir, resume_at, sink) as writer:
            for update in updates:
                writer.write(update, 100 * update, {"main/a/return": [1.0 * update, 0.0], "time/seconds": 1.5})
        os.chdir(run_dir)  # the second session starts elsewhere
    print(saved_trackers(run_dir)[kind].partition(" in ")[0])
""")


def two_sessions(tmp_path, kind, **environment):
    """Two sessions of one run in a process of its own, because these packages change the process. Returns the id."""
    if not is_installed(kind):
        pytest.skip(f"{kind} is not installed: pip install 'rookery[track]'")
    process = subprocess.run(
        [sys.executable, "-c", SESSIONS, tmp_path / "run", kind],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), **environment},
    )
    assert process.returncode == 0, process.stderr
    assert "WARNING" not in process.stderr, process.stderr
    return process.stdout.split()[-1]


def test_wandb_offline(tmp_path):
    run_id = two_sessions(tmp_path, "wandb", WANDB_MODE="offline")
    folders = sorted((tmp_path / "run" / "wandb").glob(f"offline-run-*-{run_id}*"))  # W&B numbers those of one second
    assert len(folders) == 2  # one per session, of one W&B run
    logs = b"".join((folder / f"run-{run_id}.wandb").read_bytes() for folder in folders)
    for name in (b"main/a/return/mean", b"main/a/return/seed4", b"time/seconds", b'"maze"'):
        assert name in logs


def test_mlflow_continues_in_the_folder_of_the_first_session(tmp_path, monkeypatch):
    places = []

    class MlflowClient:
        def __init__(self, tracking_uri):
            places.append(tracking_uri)

        def __getattr__(self, name):
            return lambda *_, **__: SimpleNamespace(experiment_id="0", info=SimpleNamespace(run_id="id-1"))

    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(MlflowClient=MlflowClient))
    run = TrackedRun("tiny", tmp_path, {}, (0,))
    run_id = None
    for folder in ("my runs", "elsewhere"):
        (tmp_path / folder).mkdir()
        monkeypatch.chdir(tmp_path / folder)
        run_id = MLflowTracker().start(run, run_id)
    assert places == [(tmp_path / "my runs" / "mlruns").as_uri()] * 2
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@host")
    assert MLflowTracker().start(run, run_id) == MLflowTracker().start(run, None) == "id-1"


def test_mlflow_file_store(tmp_path):
    run_id = two_sessions(tmp_path, "mlflow")
    (run,) = (path for path in (tmp_path / "mlruns").glob("*/*") if path.is_dir())
    assert run.name == run_id
    curve = [line.split() for line in (run / "metrics" / "main/a/return/seed3").read_text().splitlines()]
    assert [(float(value), int(step)) for _, value, step in curve] == [(1.0, 100), (2.0, 200), (3.0, 300)]
    assert (run / "metrics" / "main/a/return/mean").exists()
    assert json.loads(next(run.glob("artifacts/config.json")).read_text()) == {"task": {"kind": "maze"}}
