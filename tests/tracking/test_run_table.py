"""A run's folder as a table and as a summary, without JAX."""

import csv
import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rookery
from rookery.cli import main
from rookery.commands.runs import distinct_names
from rookery.errors import CorruptFileError, MissingPackageError, NotFoundError
from rookery.tracking.run_info import find_runs, read_run_info, training_process
from rookery.tracking.run_table import concatenate, load_run, write_csv, write_parquet
from tests.optional import is_installed
from tests.run_folder import write_run


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "mine")


def test_a_tidy_table(run_dir):
    table = rookery.load_run(run_dir)
    assert list(table) == ["run", "seed", "step", "metric", "value"]
    assert {column.dtype.kind for name, column in table.items() if name in ("run", "metric")} == {"U"}
    rows = list(zip(*(column.tolist() for column in table.values()), strict=True))
    assert len(rows) == 2 + 3 * 4 + 2
    assert [row[1:] for row in rows if row[3] == "social/novice/return"][0:1] == [(3, 100, "social/novice/return", 1.0)]
    novice = [row for row in rows if row[3] == "social/novice/return"]
    assert [row[:3] for row in novice] == [("mine", 3, 100), ("mine", 3, 200), ("mine", 4, 100), ("mine", 4, 200)]
    assert [row[4] for row in novice if row[1:3] != (4, 100)] == [1.0, 2.0, 2.0]
    assert np.isnan(novice[2][4])
    assert [row[1:] for row in rows if row[3] == "time/seconds"] == [
        (-1, 100, "time/seconds", 1.5),
        (-1, 200, "time/seconds", 3.0),
    ]
    assert [row[1:3] for row in rows if row[3].startswith("evaluation")] == [(3, 200), (4, 200)]


def test_the_same_table_as_csv(run_dir, tmp_path):
    table = concatenate([load_run(run_dir), load_run(run_dir)])
    write_csv(table, tmp_path / "table.csv")
    with open(tmp_path / "table.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["run", "seed", "step", "metric", "value"]
    assert len(rows) == 2 * 16
    assert ["mine", "3", "200", "social/novice/return", "2.0"] in rows
    assert ["mine", "4", "100", "social/novice/return", ""] in rows
    assert ["mine", "", "100", "time/seconds", "1.5"] in rows


def test_the_same_table_as_parquet(run_dir, tmp_path):
    if not is_installed("pyarrow"):
        with pytest.raises(
            MissingPackageError, match=r"needs the package pyarrow: \S+ -m pip install 'rookery\[track\]'; or write CSV"
        ):
            write_parquet(load_run(run_dir), tmp_path / "table.parquet")
        pytest.skip("pyarrow is not installed: pip install 'rookery[track]'")
    import pyarrow.parquet

    write_parquet(load_run(run_dir), tmp_path / "table.parquet")
    rows = pyarrow.parquet.read_table(tmp_path / "table.parquet").to_pylist()
    assert {"run": "mine", "seed": 4, "step": 100, "metric": "social/novice/return", "value": None} in rows
    assert {"run": "mine", "seed": None, "step": 100, "metric": "time/seconds", "value": 1.5} in rows


def test_a_run_without_metrics_has_no_table(tmp_path):
    with pytest.raises(NotFoundError, match=r"holds no run \(config.json is missing\); see rookery runs list"):
        load_run(tmp_path)
    run_dir = write_run(tmp_path / "run", updates=0)
    assert [len(column) for column in load_run(run_dir).values()] == [0] * 5
    (run_dir / "config.json").write_text('{"config": {"seed": "x"}}')
    with pytest.raises(CorruptFileError, match="is not a run's configuration"):
        load_run(run_dir)


def test_how_far_a_run_is_and_at_what_return(run_dir):
    info = read_run_info(run_dir)
    assert (info.task, info.seeds, info.variants, info.is_clone) == ("maze", (3, 4), ("social", "solo"), False)
    assert info.returns(info.last_metrics()) == {"social/novice": 2.0, "solo/novice": 0.5}  # the other does not learn
    assert info.state == "stopped"


def test_the_states_of_runs(tmp_path):
    run_dir = write_run(tmp_path / "run", updates=4)
    assert read_run_info(run_dir).state == "finished"
    (run_dir / "status.json").unlink()
    assert read_run_info(run_dir).state == "started"
    lock = run_dir / ".lock"
    lock.write_text(f"process {os.getpid()} on {socket.gethostname()}")
    assert read_run_info(run_dir).state == "training"
    if Path("/proc/self/stat").exists():
        os.utime(lock, (0, 0))  # it was locked before this process began, by one that had the same number
        assert read_run_info(run_dir).state == "started"
    lock.write_text("process 1 on another-machine")
    assert training_process(run_dir) == "process 1 on another-machine"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    lock.write_text(f"process {ended.pid} on {socket.gethostname()}")  # killed: its lock file stays behind
    assert training_process(run_dir) is None
    lock.write_text("")
    assert training_process(run_dir) is None


def test_a_run_whose_folder_is_not_utf_8_is_exported(tmp_path):
    run = write_run(tmp_path / os.fsdecode(b"caf\xe9"))
    assert set(load_run(run)["run"]) == {r"caf\udce9"}
    assert distinct_names([run, tmp_path / "b"]) == [r"caf\udce9", "b"]
    assert main(["runs", "export", str(run), "--csv", str(tmp_path / "table.csv")]) == 0
    assert r"caf\udce9" in (tmp_path / "table.csv").read_text()


def test_a_folder_without_permission_hides_no_other_run(tmp_path, monkeypatch, capsys):
    def is_file(path, real=Path.is_file):
        if "closed" in path.parts:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path)

    for name in ("a", "b"):
        write_run(tmp_path / name)
    (tmp_path / "ab" / "closed").mkdir(parents=True)
    monkeypatch.setattr(Path, "is_file", is_file)
    assert list(find_runs(tmp_path)) == [tmp_path / "a", tmp_path / "ab" / "closed", tmp_path / "b"]
    assert main(["runs", "list", str(tmp_path)]) == 0
    output = capsys.readouterr()
    assert [line.split()[0] for line in output.out.splitlines()[1:]] == [str(run) for run in find_runs(tmp_path)]
    assert "unreadable" in output.out.splitlines()[2]
    assert "no permission" in output.err


def test_runs_are_found_in_folders_of_folders(tmp_path):
    paths = [tmp_path / "a", tmp_path / "studies" / "b" / "c", tmp_path / "studies" / "d"]
    for path in paths:
        write_run(path)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "file").write_text("")
    assert list(find_runs(tmp_path)) == paths
    assert list(find_runs(paths[0])) == paths[:1]
    with pytest.raises(NotFoundError, match="there is no folder"):
        list(find_runs(tmp_path / "absent"))
