"""A run's folder: links in it, what is damaged in it, what dead processes left in it."""

import json
import os
import subprocess
import sys

import pytest

from rookery.errors import CorruptFileError, StorageError
from rookery.storage.atomic import write_json, write_text
from rookery.storage.run_files import RUN_ENTRIES, read_status, recorded_threads, training_seconds
from rookery.storage.run_lock import RunLock

STATUS = {"num_updates": 3, "total_updates": 8, "steps": 96, "seconds": 1.5, "machine": {"cores": 2}, "machines": []}


@pytest.mark.parametrize(
    "name",
    [*RUN_ENTRIES, "agents/a.json", "checkpoints/00000003", "checkpoints/00000003/x", "tb/x", "handed-on/x", "data/x"],
)
def test_a_link_among_a_runs_own_files_is_refused(tmp_path, name):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    link = tmp_path / "run" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(victim)
    with pytest.raises(StorageError, match="symbolic link") as caught:
        RunLock(tmp_path / "run").acquire()
    assert str(link) in str(caught.value)
    assert victim.read_text() == "precious"
    assert link.is_symlink()


def test_a_folder_reached_through_a_link_is_no_link_in_it(tmp_path):
    (tmp_path / "run" / "notes").mkdir(parents=True)
    (tmp_path / "run" / "notes" / "mine").symlink_to("/nowhere")  # not a file of the run
    (tmp_path / "latest").symlink_to(tmp_path / "run")
    with RunLock(tmp_path / "latest") as lock:
        lock.check()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_folder_that_went_away_is_noticed_and_stays_away(tmp_path, replaced):
    run_dir = tmp_path / "run"
    with RunLock(run_dir) as lock:
        lock.check()
        run_dir.rename(tmp_path / "elsewhere")
        if replaced:
            run_dir.mkdir()
        with pytest.raises(StorageError, match="was removed, renamed or replaced"):
            lock.check()
    assert run_dir.exists() == replaced
    assert not replaced or not list(run_dir.iterdir())
    assert (tmp_path / "elsewhere" / ".lock").read_text() != ""  # not ours to write to any more


def test_leftovers_of_dead_processes_are_swept(tmp_path):
    """Those of the living stay: their rename is still to come."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead, own = tmp_path / "dead", tmp_path / "own"
    write_text(dead, "old")
    script = (
        "import os, sys, signal; from rookery.storage import atomic\n"
        "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL); atomic.write_text(sys.argv[1], 'new')"
    )
    subprocess.run([sys.executable, "-c", script, dead])
    assert len(list(tmp_path.iterdir())) == 2
    (left,) = (path.name for path in tmp_path.iterdir() if path.name.startswith(".dead.tmp-"))
    _, host, thread = left.removeprefix(".dead.tmp-").split("-")
    living = tmp_path / f".dead.tmp-{os.getppid()}-{host}-{thread}"
    abroad = tmp_path / f".dead.tmp-{gone.pid}-0a0a0a0a-{thread}"  # of a machine that shares the disk
    for path in (living, abroad):
        path.write_text("")
    write_text(own, "x")
    assert (tmp_path / left).exists()  # of another file
    write_text(dead, "newer")
    assert {path.name for path in tmp_path.iterdir()} == {"dead", "own", living.name, abroad.name}
    os.utime(abroad, (0, 0))
    write_text(dead, "newest")
    assert not abroad.exists()


@pytest.mark.parametrize("key", STATUS)
@pytest.mark.parametrize("value", [None, [1], "3", {}, True])
def test_a_damaged_status(tmp_path, key, value):
    write_json(tmp_path / "status.json", STATUS)
    assert read_status(tmp_path) == STATUS
    if (key, value) == ("machine", {}):
        return
    write_json(tmp_path / "status.json", {**STATUS, key: value})
    with pytest.raises(CorruptFileError, match=f"'{key}' is missing or not what it must be"):
        read_status(tmp_path)


MACHINE = {"replicas": [["social", 0]], "processor": "p", "cores": 2, "rookery_source": "0a1b"}
WRONG_MACHINES: list = [{}, {"replicas": 3}, {"cores": [2]}, {"cores": True}, {"processor": "\x1b[31m"}, {"\x07": 1}]
WRONG_REPLICAS: list = [3, [3], [["a"]], [[0, "a"]], [["a", -1]], [["a", True]], [["\x1b", 0]], {"a": 0}]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_updates", -1), ("num_updates", 9), ("total_updates", 0), ("total_updates", 2), ("total_updates", 10**18),
        ("steps", -5), ("steps", 10**18), ("seconds", -1), ("seconds", 1e12),
        *(("machine", machine) for machine in WRONG_MACHINES[2:]),
        *(("machines", [MACHINE, machine]) for machine in WRONG_MACHINES),
        *(("machines", [{**MACHINE, "replicas": replicas}]) for replicas in WRONG_REPLICAS),
    ],
)  # fmt: skip
def test_a_status_that_no_run_writes(tmp_path, key, value):
    """Runs show it, and cards keep it."""
    (tmp_path / "status.json").write_text(json.dumps({**STATUS, "machines": [MACHINE, {"cores": 2.5}]}))
    assert read_status(tmp_path)["machines"] == [MACHINE, {"cores": 2.5}]
    (tmp_path / "status.json").write_text(json.dumps({**STATUS, key: value}))
    with pytest.raises(CorruptFileError, match="' is missing or not what it must be"):
        read_status(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "[" * 100_000])
def test_a_status_that_is_none(tmp_path, text):
    (tmp_path / "status.json").write_text(text)
    with pytest.raises(CorruptFileError):
        read_status(tmp_path)


def test_the_seconds_of_damaged_metrics(tmp_path):
    assert training_seconds(tmp_path, []) == 0
    assert training_seconds(tmp_path, [{"time/seconds": 3}]) == 3.0
    for seconds in ([1.0], "3", None, True, -1, 1e300):
        with pytest.raises(CorruptFileError, match="'time/seconds' of its last line"):
            training_seconds(tmp_path, [{"time/seconds": seconds}])


@pytest.mark.parametrize("threads", ["2", 0, -1, 10**9, 2.0, True])
def test_a_number_of_threads_that_cannot_be(tmp_path, threads):
    write_json(tmp_path / "config.json", {"threads": threads})
    with pytest.raises(CorruptFileError, match="'threads' must be"):
        recorded_threads(tmp_path)
