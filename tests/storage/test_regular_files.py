"""A pipe in the place of a file is refused and not waited for."""

import os
import signal

import pytest

from rookery.agents.weights import load_agent
from rookery.agents.zoo import ZOO_DIR
from rookery.cli import main
from rookery.errors import StorageError
from rookery.storage.atomic import create_once
from rookery.storage.checkpoint import save, verify
from rookery.storage.datasets import read_manifest
from rookery.storage.metrics import read_metrics
from rookery.storage.run_lock import RunLock
from rookery.storage.serialization import load_json
from rookery.storage.yaml_files import load_yaml
from rookery.tracking.run_info import training_process
from rookery.training.run_parts import read_split
from rookery.viz.recording import Recording
from tests.run_folder import write_run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes have names on POSIX alone")


@pytest.fixture(autouse=True)
def no_waiting():
    """Opening a pipe without another end never returns."""

    def stop(*_):
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _agent(path):
    card = ZOO_DIR / "goal-cycle-demo-novice.json"
    path.with_suffix(".json").write_bytes(card.read_bytes())
    load_agent(path)


USES = {
    "config.json": load_json,
    "config.yaml": load_yaml,
    "metrics.jsonl": lambda path: read_metrics(path.parent),
    "data/manifest.json": lambda path: read_manifest(path.parent),
    "agent.safetensors": _agent,
    "a.recording": Recording.load,
    "run.parts/split.json": lambda path: read_split(path.parents[1] / "run"),
    "first.txt": lambda path: create_once(path, "x"),
    ".lock": lambda path: RunLock(path.parent).acquire(),
    "agents/agent.json": lambda path: RunLock(path.parents[1]).acquire(),
}


@pytest.mark.parametrize("name", USES)
def test_a_pipe_is_no_file(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    with pytest.raises(StorageError, match="it is not a regular file") as caught:
        USES[name](path)
    assert str(path) in str(caught.value)


def test_a_pipe_in_a_checkpoint(tmp_path):
    saved = save(tmp_path, 1, {})
    (saved / "arrays.npz").unlink()
    os.mkfifo(saved / "arrays.npz")
    with pytest.raises(StorageError, match=r"cannot read arrays\.npz of checkpoint .*: it is not a regular file"):
        verify(saved)


def test_a_run_with_pipes_does_not_hide_the_others(tmp_path, capsys):
    for name in ("metrics.jsonl", ".lock"):
        run_dir = write_run(tmp_path / name)
        (run_dir / name).unlink(missing_ok=True)
        os.mkfifo(run_dir / name)
    assert main(["runs", "list", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert [line.split()[2] for line in said.out.splitlines()[1:]] == ["stopped", "unreadable"]
    assert "metrics.jsonl: it is not a regular file but a pipe" in said.err
    assert training_process(tmp_path / ".lock") is None


@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_a_configuration_that_is_a_pipe(tmp_path, capsys, name):
    os.mkfifo(tmp_path / name)
    assert main(["train", str(tmp_path / name), "--dry-run"]) == StorageError.exit_code
    assert f"cannot read {tmp_path / name}: it is not a regular file" in capsys.readouterr().err
