"""A study on a Ray cluster of two nodes, one of which dies in the middle; and what is refused without a cluster."""

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest

from rookery.errors import (
    ConfigError,
    DivergedError,
    IncompatibleError,
    MissingPackageError,
    NotFoundError,
    StorageError,
)
from rookery.scaling import ray_cluster, ray_study, ray_worker
from rookery.scaling.archives import pack, unpack
from rookery.scaling.ray_cluster import RayOptions, connected, import_ray
from rookery.scaling.ray_worker import check_versions, own_versions
from rookery.storage.run_lock import RunLock
from rookery.storage.serialization import to_dict
from rookery.training.run_parts import parts_dir
from tests.flags import KEPT
from tests.optional import is_installed
from tests.scaling.study import CONFIG, FIRST, NAME, SECOND, STUDY
from tests.scaling.test_shards import make_session

ROOT = Path(__file__).parents[2]
OPTIONS = ("--seeds", "2", "--seed", "4", "--episodes", "6")
needs_ray = pytest.mark.skipif(not is_installed("ray"), reason="Ray is not installed: pip install 'rookery[ray]'")


def reproduce(folder: Path, *ray: str, before: tuple[str, ...] = (), **variables: str) -> subprocess.CompletedProcess:
    """The study in a process of its own, compiled without haste: numbers are exact."""
    command = [
        sys.executable,
        "-m",
        "tests.scaling.study",
        "reproduce",
        NAME,
        *OPTIONS,
        "--runs",
        str(folder),
        "--results",
        str(folder / "results"),
    ]
    environment = {"XLA_FLAGS": KEPT, "TEST_UPDATES": "40", "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(
        [*before, *command, *ray],
        env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True, timeout=900,
    )  # fmt: skip


def results(folder: Path) -> str:
    """The results without times and machines."""
    data = json.loads((folder / "results" / NAME / "results.json").read_text())
    timed = {"seconds", "machine", "machines"}
    runs = [{name: value for name, value in run.items() if name not in timed} for run in data["runs"]]
    return json.dumps({name: value for name, value in data.items() if name not in timed} | {"runs": runs})


@pytest.fixture(scope="module")
def one_process(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    ended = reproduce(folder, "--quiet")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize("disk", ["shared", "unshared"])
def test_a_node_dies_and_no_number_changes(one_process, tmp_path, disk):
    before = (sys.executable, "-m", "tests.scaling.lose_a_node", str(tmp_path))
    variables = {"TEST_UNSHARED": "1"} if disk == "unshared" else {}
    ended = reproduce(tmp_path, "--ray", before=before, **variables)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    killed = next(line.split()[1:] for line in ended.stdout.splitlines() if line.startswith("killed"))
    assert killed, said
    assert f"{killed[0]} died (" in said
    assert results(tmp_path) == results(one_process)
    logs = {log.parent: log.read_text() for log in (tmp_path / "studies").glob("*.parts/*/log.txt")}
    again = {part: text for part, text in logs.items() if text.count("process ") == 2}
    assert {part.name for part in again} == set(killed), "one attempt died, one continued"
    assert all(part.parent.name.startswith("first-") for part in again), "the other run starts when the first has ended"
    assert all("beginning" not in text for text in again.values()), "it continued from its last checkpoint"
    assert all(text.count("process ") == 1 for part, text in logs.items() if part not in again)


def test_a_second_driver_is_refused_before_it_connects(tmp_path, monkeypatch):
    """`python -m benchmarks.torture` kills drivers and starts them again."""
    monkeypatch.setattr(ray_study, "connected", lambda options: pytest.fail("it must be refused before"))
    session = make_session(tmp_path)
    with RunLock(parts_dir(session.run_dir(SECOND))), pytest.raises(StorageError, match="is in use by process"):
        ray_study.run_on_ray(STUDY, session, RayOptions(), 1, print)
    with RunLock(parts_dir(session.run_dir(FIRST))):  # what it had locked before is free again
        pass


def test_a_run_that_is_lost_is_not_trained_again_here(tmp_path, monkeypatch):
    """Every task reports its end, and the driver finds no file of it."""
    monkeypatch.setattr(ray_study, "connected", lambda options: contextlib.nullcontext())
    monkeypatch.setattr(ray_study, "check_nodes", lambda ray, marker: 0)
    monkeypatch.setattr(ray_study._Training, "run", lambda self: None)
    with pytest.raises(StorageError, match=r"every task is trained, but .* lacks what they wrote of first, second; if"):
        ray_study.run_on_ray(STUDY, make_session(tmp_path), RayOptions(), 1, print)


@pytest.mark.parametrize("address", ["ray://10.0.0.1:10001", "http://10.0.0.1:8265"])
def test_a_cluster_whose_disk_is_not_the_driver_s(address):
    with pytest.raises(ConfigError, match="run this command on a machine of the cluster, with --ray auto or --ray HO"):
        RayOptions(address=address)


def test_drivers_have_markers_of_their_own(tmp_path, monkeypatch):
    """Two studies at once in one folder of runs; with one marker, workers of the first would not know its disk."""
    own = ray_cluster.driver_marker(tmp_path), ray_cluster.marker_text()
    monkeypatch.setattr("os.getpid", lambda: 1)
    other = ray_cluster.driver_marker(tmp_path), ray_cluster.marker_text()
    assert own[0] != other[0]
    assert own[1] != other[1]


def test_a_part_travels_as_it_is(straight, tmp_path):
    folder = tmp_path / "part"
    assert pack(tmp_path / "nothing") == b""
    unpack(pack(straight.run_dir), folder)
    unpack(pack(straight.run_dir), folder)  # in place of the first
    for path in (file for file in folder.rglob("*") if file.is_file()):
        assert path.read_bytes() == (straight.run_dir / path.relative_to(folder)).read_bytes()
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["00000008"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part"]


def test_versions_that_differ_are_both_named():
    own = own_versions()
    assert [*own] == ["rookery", "jax", "jaxlib", "flax", "optax", "numpy"]
    check_versions("node 10.0.0.2", own, "this process", own)
    with pytest.raises(IncompatibleError, match=r"node 10.0.0.2 has jax 0.0.1, this process has \d.*; numbers would"):
        check_versions("node 10.0.0.2", {**own, "jax": "0.0.1"}, "this process", own)
    with pytest.raises(IncompatibleError, match="has rookery of no version"):
        check_versions("node 10.0.0.2", {}, "this process", own)


def test_without_ray(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r"not installed: pip install 'rookery\[ray\]', or use --shard"):
        import_ray()


class NoCluster:
    """Stands for the module ray where nothing answers, or where the cluster is small."""

    def __init__(self, cpus: int = 0) -> None:
        self.cpus = cpus

    def init(self, **options):
        if not self.cpus:
            raise ConnectionError("Ray is trying to start at 10.0.0.1:6379\nand more")

    def nodes(self):
        return [{"Alive": True, "Resources": {"CPU": self.cpus}}]

    def shutdown(self):
        pass


def connect(**options) -> None:
    with connected(RayOptions(**options)):
        pass


def test_no_cluster_at_the_address(monkeypatch):
    monkeypatch.setattr(ray_cluster, "import_ray", NoCluster)
    with pytest.raises(NotFoundError, match=r"no Ray cluster answers at 10.0.0.1:6379 \(.*\); start one with `ray"):
        connect(address="10.0.0.1:6379")


def test_a_task_larger_than_every_node(monkeypatch):
    monkeypatch.setattr(ray_cluster, "import_ray", lambda: NoCluster(cpus=4))
    with pytest.raises(ConfigError, match="--num-cpus 8: no node of the cluster has so many; the largest has 4"):
        connect(num_cpus=8)
    with pytest.raises(ConfigError, match="--num-gpus 1: no node of the cluster has so many; the largest has 0"):
        connect(num_gpus=1)


@pytest.mark.parametrize(
    ("name", "value"), [("num_cpus", 0), ("num_gpus", -1.0), ("num_gpus", float("nan")), ("replicas_per_task", 0)]
)
def test_refused(name, value):
    with pytest.raises(ConfigError, match=f"{name}={value} must be at least"):
        RayOptions(**{name: value})


class TaskError(Exception):
    """Stands for RayTaskError: the task itself raised an error."""

    def __init__(self, cause):
        self.cause = cause


class Cluster:
    """Stands for the module ray: a task is the list of how its attempts end."""

    exceptions = types.SimpleNamespace(RayTaskError=TaskError, RayError=ArithmeticError)

    def wait(self, running, num_returns, timeout):
        return running[:1], running[1:]

    def get(self, ref):
        (end,) = ref
        if isinstance(end, Exception):
            raise end
        return end


@pytest.fixture
def ends(monkeypatch):
    """Run one task whose attempts end like this. Returns what it reported, the outcome, and the notes."""
    monkeypatch.setattr(ray_study, "RETRY_SECONDS", 0.0)

    def run(*attempts, stop_at=None):
        outcome, notes, left = ray_study.RayOutcome(), [], list(attempts)
        tasks = ray_study._Tasks(Cluster(), RayOptions(), outcome, stop_at)
        tasks.start("task", lambda: (left.pop(0),))
        reports = []
        while tasks.busy:
            reports += tasks.wait(notes.append)
        assert not left
        return reports, outcome, notes

    return run


def ended(finished: bool) -> ray_worker.TaskReport:
    return ray_worker.TaskReport(finished=finished, node="10.0.0.2", seconds=1.0, started=0.0)


def test_a_dead_worker_is_replaced(ends):
    reports, outcome, notes = ends(*[ArithmeticError("node died")] * 2, ended(True))
    assert reports == [("task", ended(True))]
    assert (outcome.deaths, outcome.missing) == (2, {})
    assert notes[0] == "task died (ArithmeticError: node died); it continues from its last checkpoint"
    reports, outcome, _ = ends(TaskError(StorageError("in use by process 7")), ended(True))
    assert (len(reports), outcome.deaths) == (1, 1)


def test_a_worker_that_is_asked_to_stop_does_not_stop_the_study(ends):
    """The time limit does, which is over when the last second of it is."""
    reports, outcome, notes = ends(*[ended(False)] * 5, ended(True), stop_at=time.time() + 1000)
    assert reports == [("task", ended(True))]
    assert (outcome.deaths, outcome.missing) == (0, {})
    assert notes[0] == "task was asked to stop on 10.0.0.2; it continues from its last checkpoint"
    reports, _, notes = ends(ended(False), stop_at=time.time() - 1)
    assert (reports, notes) == ([("task", ended(False))], [])


def test_after_three_deaths_a_task_is_given_up(ends):
    reports, outcome, notes = ends(*[ArithmeticError("no memory")] * 3)
    assert reports == []
    assert outcome.missing == {"task": "died 3 times, the last time with: ArithmeticError: no memory"}
    assert notes[-1].startswith("task is given up: died 3 times")


@pytest.mark.parametrize(
    ("error", "reason"),
    [(DivergedError("policy_loss is not finite"), "policy_loss is not finite"), (KeyError("x"), "KeyError: 'x'")],
)
def test_what_would_fail_again_is_not_tried_again(ends, error, reason):
    _, outcome, _ = ends(TaskError(error))
    assert (outcome.missing, outcome.deaths) == ({"task": reason}, 0)


def test_what_tasks_took_is_one_line():
    report = dataclasses.replace(ended(True), bytes_moved=1500)
    reports = {"one": report, "two": dataclasses.replace(report, node="10.0.0.3")}
    outcome = ray_study.RayOutcome(reports=reports, deaths=1)
    assert outcome.describe() == (
        "2 tasks on 2 nodes took 2 s in all and moved 3.0 kB between machines; 1 died and continued"
    )


def test_a_log_has_what_a_task_prints_and_the_error_that_ends_it(tmp_path):
    path = tmp_path / "part" / "log.txt"

    def fail(error):
        with ray_worker._printing_to(path):
            print("a warning", file=sys.stderr)
            raise error

    for error in (DivergedError("policy_loss is not finite"), KeyError("x")):
        with pytest.raises(type(error)):
            fail(error)
    lines = path.read_text().splitlines()
    assert lines[:4] == [
        "a warning", "error: policy_loss is not finite", "a warning", "Traceback (most recent call last):",
    ]  # fmt: skip
    assert lines[-1] == "KeyError: 'x'"
    ray_study.Hub({"task": str(tmp_path / "other")}).keep_log("task", path.read_bytes())
    assert (tmp_path / "other" / "log.txt").read_bytes() == path.read_bytes()


class HubHandle:
    """Stands for the handle of an actor: every call is done at once."""

    def __init__(self, hub):
        self.hub = hub

    def __getattr__(self, name):
        return types.SimpleNamespace(remote=getattr(self.hub, name))


def test_the_log_of_a_task_that_fails_elsewhere_comes_to_the_driver(tmp_path, monkeypatch):
    """Its part has no checkpoint that would bring it along."""

    def fail(config, part, folder, *, stop_after, on_update):
        print("begins")
        raise DivergedError("policy_loss is not finite")

    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(get=lambda value: value))
    monkeypatch.setattr(ray_worker, "start_jax", lambda setup: None)
    monkeypatch.setattr("rookery.training.run_parts.train_part", fail)
    setup = ray_worker.WorkerSetup(
        num_cpus=1, num_gpus=0, num_threads=1, environment={}, marker="", marker_text="x", versions={}
    )
    order = ray_worker.TrainOrder(
        label="task", config=to_dict(CONFIG), variants=("social",), seed=4, num_seeds=1, folder="/elsewhere/part",
        start_agents={}, stop_at=None,
    )  # fmt: skip
    with pytest.raises(DivergedError):
        ray_worker.train_on_worker(order, setup, HubHandle(ray_study.Hub({"task": str(tmp_path / "part")})))
    lines = (tmp_path / "part" / "log.txt").read_text().splitlines()
    assert lines[1:] == ["begins", "error: policy_loss is not finite"]


def test_a_worker_that_dies_leaves_no_half_agent(tmp_path, monkeypatch):
    path = tmp_path / "start" / "agent.safetensors"

    def die(*names):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", die)
        with pytest.raises(KeyboardInterrupt):
            ray_worker._write_if_absent(path, b"weights")
    assert not path.exists()
    ray_worker._write_if_absent(path, b"weights")
    ray_worker._write_if_absent(path, b"others")
    assert path.read_bytes() == b"weights"


def test_a_worker_with_other_versions_refuses():
    setup = ray_worker.WorkerSetup(
        num_cpus=1, num_gpus=0, num_threads=1, environment={}, marker="", marker_text="", versions={"jax": "0.0.1"}
    )
    with pytest.raises(IncompatibleError, match=r"node .* has jax .*, the driver has 0\.0\.1"):
        ray_worker.start_jax(setup)
