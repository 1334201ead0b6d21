"""A study on a Ray cluster of two nodes, one of which dies in the middle; and what is refused without a cluster."""

import contextlib
import dataclasses
import errno
import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import types
from pathlib import Path
from typing import Any

import pytest

from rookery.commands.reproduce import ReproduceCommand
from rookery.commands.reproduce_divided import run_divided
from rookery.errors import (
    STOPPED_EXIT_CODE,
    ConfigError,
    DivergedError,
    IncompatibleError,
    InUseError,
    LostProcessError,
    MissingPackageError,
    NotFoundError,
    StorageError,
)
from rookery.scaling import ray_cluster, ray_study, ray_worker
from rookery.scaling.archives import pack, unpack
from rookery.scaling.ray_cluster import RayOptions, connected, import_ray
from rookery.scaling.ray_worker import check_versions, own_versions
from rookery.scaling.tasks import begin_split, split_threads, train_tasks
from rookery.storage.run_lock import RunLock
from rookery.storage.serialization import to_dict
from rookery.studies.agent_sources import PretrainedAgent
from rookery.training.run_parts import part_dir, parts_dir
from rookery.training.stop_signal import StopSignal
from tests.flags import KEPT
from tests.optional import is_installed
from tests.scaling.study import CONFIG, FIRST, NAME, SECOND, STUDY
from tests.scaling.test_shards import make_session

ROOT = Path(__file__).parents[2]
OPTIONS = ("--seeds", "2", "--seed", "4", "--episodes", "6")
needs_ray = pytest.mark.skipif(not is_installed("ray"), reason="Ray is not installed: pip install 'rookery[ray]'")


def start(folder: Path, *ray: str, before: tuple[str, ...] = (), **variables: str) -> subprocess.Popen:
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
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {"XLA_FLAGS": KEPT, "TEST_UPDATES": "40", "PYTHONPATH": path, **variables}
    return subprocess.Popen(
        [*before, *command, *ray],
        env={**os.environ, **environment}, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def reproduce(folder: Path, *ray: str, **options: Any) -> subprocess.CompletedProcess:
    """`start`, and its end."""
    process = start(folder, *ray, **options)
    try:
        out, err = process.communicate(timeout=900)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


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


@needs_ray
@pytest.mark.slow
def test_a_driver_that_is_asked_to_stop_saves_and_continues_to_the_same_numbers(one_process, tmp_path):
    driver = start(tmp_path, "--ray", "--cores", "2")
    logs = lambda: list((tmp_path / "studies").glob("first-*.parts/*/metrics.jsonl"))  # noqa: E731
    while driver.poll() is None and sum(len(path.read_bytes().splitlines()) > 2 for path in logs()) < 2:
        time.sleep(0.05)
    driver.send_signal(signal.SIGTERM)
    out, err = driver.communicate(timeout=300)
    assert driver.returncode == STOPPED_EXIT_CODE, out + err
    assert "stopped; run the same command to continue" in out
    for path in logs():
        status, rows = json.loads((path.parent / "status.json").read_text()), path.read_bytes().splitlines()
        assert 2 < status["num_updates"] == len(rows), "it saved after its last update"
    ended = reproduce(tmp_path, "--ray", "--cores", "2")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert results(tmp_path) == results(one_process)


def test_a_second_driver_is_refused_before_it_connects(tmp_path, monkeypatch):
    """`python -m benchmarks.torture` kills drivers and starts them again."""
    monkeypatch.setattr(ray_study, "connected", lambda options: pytest.fail("it must be refused before"))
    session = make_session(tmp_path)
    with RunLock(parts_dir(session.run_dir(SECOND))), pytest.raises(StorageError, match="is in use by process"):
        ray_study.run_on_ray(STUDY, session, RayOptions(), lambda: pytest.fail("begun"), print)
    with RunLock(parts_dir(session.run_dir(FIRST))):  # what it had locked before is free again
        pass


def test_a_working_directory_that_every_seed_would_change_is_refused(tmp_path, monkeypatch):
    """Workers are told the absolute paths of their folders, from which their runs start."""
    monkeypatch.setattr(ray_study, "connected", lambda options: pytest.fail("it must be refused before"))
    (tmp_path / "{seed}").mkdir()
    monkeypatch.chdir(tmp_path / "{seed}")
    with pytest.raises(ConfigError, match=r"must not have '\{seed\}' in it"):
        ray_study.run_on_ray(STUDY, make_session(Path("runs")), RayOptions(), lambda: pytest.fail("begun"), print)
    assert not list(Path().iterdir())


@pytest.mark.parametrize("of_a_part", [False, True])
def test_a_link_is_refused_before_workers_are_told_where_it_leads(tmp_path, monkeypatch, of_a_part):
    monkeypatch.setattr(ray_study, "connected", lambda options: pytest.fail("it must be refused before"))
    session = make_session(tmp_path)
    parts = parts_dir(session.run_dir(FIRST))
    link = part_dir(session.run_dir(FIRST), train_tasks(STUDY, session, 1)[0].part) if of_a_part else parts
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "victim")
    with pytest.raises(StorageError, match=f"{link.name} is a symbolic link"):
        ray_study.run_on_ray(STUDY, session, RayOptions(), lambda: pytest.fail("begun"), print)
    assert not (tmp_path / "victim").exists()


def test_workers_know_which_trackers_were_asked_for(monkeypatch):
    monkeypatch.setenv("ROOKERY_TRACK", "none")
    assert ray_study._environment()["ROOKERY_TRACK"] == "none"
    monkeypatch.delenv("ROOKERY_TRACK")
    assert "ROOKERY_TRACK" not in ray_study._environment()


def test_a_run_that_is_lost_is_not_trained_again_here(tmp_path, monkeypatch):
    """Every task reports its end, and the driver finds no file of it."""
    monkeypatch.setattr(ray_study, "connected", lambda options: contextlib.nullcontext())
    monkeypatch.setattr(ray_study, "check_nodes", lambda ray, marker: 0)
    monkeypatch.setattr(ray_study._Training, "run", lambda self: None)
    with pytest.raises(StorageError, match=r"every task is trained, but .* lacks what they wrote of first, second; if"):
        ray_study.run_on_ray(STUDY, make_session(tmp_path), RayOptions(), lambda: 1, print)


def refuse_connection(options):
    raise ConfigError("no node of the cluster has so many")


@pytest.mark.parametrize(
    ("changes", "patches"),
    [
        ({"ray": (), "num_cpus": 8, "cores": 2}, {"import_ray": lambda: None}),
        ({"ray": ("127.0.0.1:1",)}, {"import_ray": lambda: None}),
        ({"ray": (), "cores": 2}, {}),
    ],
    ids=["too many cores", "no cluster there", "Ray is not installed"],
)
def test_a_call_that_is_refused_before_there_is_a_cluster_writes_nothing(tmp_path, monkeypatch, changes, patches):
    monkeypatch.setitem(sys.modules, "ray", None)
    for name, value in patches.items():
        monkeypatch.setattr(ray_cluster, name, value)
    command = ReproduceCommand(study=NAME, **changes)
    with pytest.raises((ConfigError, NotFoundError)):
        run_divided(STUDY, make_session(tmp_path), command, print)
    assert not list(tmp_path.iterdir())


def test_a_cluster_that_is_too_small_does_not_decide_how_a_study_is_divided(tmp_path, monkeypatch):
    monkeypatch.setattr("rookery.scaling.ray_cluster.check_cluster", lambda options: None)
    monkeypatch.setattr(ray_study, "connected", refuse_connection)
    session = make_session(tmp_path)
    with pytest.raises(ConfigError, match="has so many"):
        run_divided(STUDY, session, ReproduceCommand(study=NAME, ray=(), num_cpus=8), print)
    assert split_threads(STUDY, session) is None


def test_a_study_that_was_divided_otherwise_is_refused_before_a_cluster_is_started(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_study, "connected", lambda options: pytest.fail("it must be refused before"))
    session = make_session(tmp_path)
    begin_split(STUDY, session, 2)
    with pytest.raises(ConfigError, match="was divided into tasks of 2 replicas, not of 1"):
        ray_study.run_on_ray(STUDY, session, RayOptions(), lambda: pytest.fail("begun"), print)


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
    with pytest.raises(
        MissingPackageError, match=r"not installed: \S+ -m pip install 'rookery\[ray\]', or use --shard"
    ):
        import_ray()


class NoCluster:
    """Stands for the module ray where nothing answers, or where the cluster is small."""

    exceptions = types.SimpleNamespace(RayError=ArithmeticError)

    def __init__(self, cpus: int = 0) -> None:
        self.cpus = cpus
        self.options: dict = {}

    def init(self, **options):
        self.options = options
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray does
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


@pytest.mark.parametrize("address", ["127.0.0.1:1", "no-such-host.invalid:6379"])
def test_a_dead_address_is_named_before_ray_tries_it_for_minutes(monkeypatch, address):
    monkeypatch.setattr(ray_cluster, "import_ray", lambda: None)
    for options, variable in ((RayOptions(address=address), ""), (RayOptions(address="auto"), address)):
        monkeypatch.setenv("RAY_ADDRESS", variable)
        with pytest.raises(NotFoundError, match=rf"no Ray cluster answers at {address} \(.*\); start one with `ray"):
            ray_cluster.check_cluster(options)


def test_a_cluster_that_answers_or_that_ray_finds_itself(monkeypatch):
    monkeypatch.setattr(ray_cluster, "import_ray", lambda: None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for address in (None, "auto", "local"):
        ray_cluster.check_cluster(RayOptions(address=address))
    with socket.create_server(("127.0.0.1", 0)) as server:
        ray_cluster.check_cluster(RayOptions(address=f"127.0.0.1:{server.getsockname()[1]}"))


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "127.0.0.1:0", "10.0.0.1", ":6379", "a..b:6379", "atuo"])
def test_what_is_no_address(address, monkeypatch):
    said = f"{re.escape(address)}' must be HOST:PORT, such as .*, with a port from 1 to 65535"
    with pytest.raises(ConfigError, match=f"address '{said}"):
        RayOptions(address=address)
    monkeypatch.setattr(ray_cluster, "import_ray", lambda: None)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(ConfigError, match=f"RAY_ADDRESS '{said}"):
        ray_cluster.check_cluster(RayOptions(address="auto"))


def test_a_task_larger_than_every_node(monkeypatch):
    monkeypatch.setattr(ray_cluster, "import_ray", lambda: NoCluster(cpus=4))
    with pytest.raises(ConfigError, match="--num-cpus 8: no node of the cluster has so many; the largest has 4"):
        connect(num_cpus=8)
    with pytest.raises(ConfigError, match="--num-gpus 1: no node of the cluster has so many; the largest has 0"):
        connect(num_gpus=1)


@pytest.fixture
def keeps_sigterm():
    """SIGTERM does after the test what it did before."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    assert signal.getsignal(signal.SIGTERM) == handler
    signal.signal(signal.SIGTERM, handler)


def test_a_cluster_is_started_here_whatever_others_there_are(monkeypatch, keeps_sigterm):
    monkeypatch.setattr(ray_cluster, "import_ray", lambda: NoCluster(cpus=4))
    with connected(RayOptions()) as ray:
        assert ray.options["address"] == "local"
    with connected(RayOptions(address="auto")) as ray:
        assert ray.options["address"] == "auto"


def test_a_cluster_that_is_lost_is_one_sentence(monkeypatch, keeps_sigterm):
    monkeypatch.setattr(ray_cluster, "import_ray", lambda: NoCluster(cpus=4))
    with (
        pytest.raises(LostProcessError, match=r"\(the actor died\); what was saved is kept: run the same command"),
        connected(RayOptions()),
    ):
        raise ArithmeticError("the actor died\nand more")


def test_gpus_of_a_task_are_whole_or_a_part_of_one():
    for number in (0, 0.5, 1, 2.0):
        assert RayOptions(num_gpus=number).num_gpus == number
    with pytest.raises(ConfigError, match=r"num_gpus=1.5 must be a whole number, or less than 1 for tasks that"):
        RayOptions(num_gpus=1.5)


def test_markers_of_killed_drivers_go(tmp_path):
    own = ray_cluster.driver_marker(tmp_path)
    living, elsewhere = (tmp_path / f".driver-{name}" for name in (f"{os.uname().nodename}-1", "elsewhere-999999999"))
    dead = own.with_name(f".driver-{os.uname().nodename}-999999999")
    for path in (living, elsewhere, dead):
        path.write_text("")
    ray_cluster._remove_markers_of_the_dead(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([living, elsewhere])


def test_folders_of_killed_workers_go(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    host = socket.gethostname()
    for name in (f"999999999-{host}", f"1-{host}", "999999999-elsewhere"):
        (tmp_path / f"rookery-task-{name}-x1_").mkdir()
    with ray_worker._scratch_folder() as folder:
        assert folder.parent == tmp_path
        assert folder.name.startswith(f"rookery-task-{os.getpid()}-{host}-")
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {folder.name, f"rookery-task-1-{host}-x1_", "rookery-task-999999999-elsewhere-x1_"}
    assert not folder.exists()


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


def ended(finished: bool, num_updates: int = 1) -> ray_worker.TaskReport:
    return ray_worker.TaskReport(finished=finished, node="10.0.0.2", seconds=1.0, started=0.0, num_updates=num_updates)


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


def test_a_task_that_stops_before_every_first_update_is_given_up(ends):
    reports, outcome, _ = ends(*[ended(False, num_updates=0)] * 3)
    assert (reports, outcome.missing) == ([], {"task": "stopped 3 times before its first update"})


def test_a_folder_in_use_is_waited_for(ends, monkeypatch):
    """A node that lost power holds its locks on a network disk until the server notices."""
    held = TaskError(InUseError("part is in use by process 7 on node1; wait for it to end"))
    reports, outcome, notes = ends(*[held] * 20, ended(True))
    assert reports == [("task", ended(True))]
    assert (outcome.deaths, outcome.missing) == (0, {})
    assert notes == ["task waits: part is in use by process 7 on node1; wait for it to end"]
    monkeypatch.setattr(ray_study, "ARRIVAL_SECONDS", 0.0)
    _, outcome, _ = ends(held, held)
    assert outcome.missing == {"task": "part is in use by process 7 on node1; wait for it to end"}


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


def test_a_log_is_no_link(tmp_path):
    (tmp_path / "log.txt").symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(StorageError, match=r"log\.txt is a symbolic link"),
        ray_worker._printing_to(tmp_path / "log.txt"),
    ):
        pass
    assert not (tmp_path / "elsewhere").exists()


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


RAY = types.SimpleNamespace(
    get=lambda value: value,
    wait=lambda refs, timeout: (refs, []),
    exceptions=types.SimpleNamespace(RayError=ArithmeticError),
    util=types.SimpleNamespace(get_node_ip_address=lambda: "10.0.0.2"),
)
"""Stands for the module ray with that handle."""
SETUP = ray_worker.WorkerSetup(
    num_cpus=1, num_gpus=0, num_threads=1, environment={}, marker="", marker_text="x", versions={},
    matmul_precision=None,
)  # fmt: skip
ORDER = ray_worker.TrainOrder(
    label="task", config=to_dict(CONFIG), variants=("social",), seed=4, num_seeds=1, folder="/elsewhere/part",
    start_agents={},
)  # fmt: skip


def test_a_task_that_comes_too_late_starts_nothing(tmp_path, monkeypatch):
    """It was queued when the time was up, or the driver had been asked to stop."""
    monkeypatch.setitem(sys.modules, "ray", RAY)
    monkeypatch.setattr(ray_worker, "start_jax", lambda setup: pytest.fail("nothing may start"))
    hub = ray_study.Hub({"task": str(tmp_path / "part")})
    late = ray_study.Hub({"task": str(tmp_path / "part")}, stop_at=time.time())
    assert not ray_worker.train_on_worker(ORDER, SETUP, HubHandle(late)).finished
    hub.stop()
    assert not ray_worker.train_on_worker(ORDER, SETUP, HubHandle(hub)).finished
    assert not list(tmp_path.iterdir())


def test_the_time_limit_goes_by_the_driver_s_clock(tmp_path, monkeypatch):
    """A worker whose clock is a day ahead would take every task for late."""
    monkeypatch.setitem(sys.modules, "ray", RAY)
    monkeypatch.setattr(ray_worker, "start_jax", lambda setup: None)
    monkeypatch.setattr(
        ray_worker, "time", types.SimpleNamespace(**{**vars(time), "time": lambda: time.time() + 86400})
    )
    limits = []

    def train(*arguments, stop_after, on_update):
        limits.append(stop_after)
        on_update(1, False)
        return False

    monkeypatch.setattr("rookery.training.run_parts.train_part", train)
    hub = ray_study.Hub({"task": str(tmp_path / "part")}, stop_at=time.time() + 1000)
    report = ray_worker.train_on_worker(ORDER, SETUP, HubHandle(hub))
    assert (report.finished, report.num_updates) == (False, 1)
    assert limits == [pytest.approx(1000, abs=60)]
    assert ray_study.Hub({}).seconds_left() is None


def test_a_driver_that_stops_makes_its_tasks_save():
    hub = ray_study.Hub({})
    reports = ray_worker._Reports(RAY, HubHandle(hub), "task")
    with StopSignal() as stop_signal:
        reports.send(1, at_once=True)
        reports.send(2, at_once=True)
        assert not stop_signal.requested
        assert hub.updates() == {"task": 2}
        hub.stop()
        for update in (3, 4, 5, 6):  # the answer to the third; a second signal would end the task without saving
            reports.send(update, at_once=True)
        assert stop_signal.requested


def test_a_driver_that_stops_starts_nothing_again(ends):
    """It is asked to by a signal, or the time is up."""
    outcome = ray_study.RayOutcome(stopped=True)
    tasks = ray_study._Tasks(Cluster(), RayOptions(), outcome)
    left = [(ended(False),)]
    tasks.waiting.append((0.0, "dead", lambda: pytest.fail("it must not start")))
    tasks.start("task", left.pop)
    assert tasks.wait(pytest.fail) == [("task", ended(False))]
    assert not tasks.busy


def training(tmp_path) -> ray_study._Training:
    """The study's training, on no cluster."""
    session = make_session(tmp_path)
    tasks = train_tasks(STUDY, session, 1)
    return ray_study._Training(Cluster(), STUDY, session, RayOptions(), SETUP, tasks, ray_study.RayOutcome())


def test_a_signal_stops_every_task(tmp_path):
    notes, hub = [], ray_study.Hub({})
    running = training(tmp_path)
    for _ in range(2):  # a hub that was started again is told again
        running._stop(HubHandle(hub), types.SimpleNamespace(note=notes.append))
    assert hub.is_stopping()
    assert notes == ["stopping: every task saves after its next update; a second signal ends them at once"]
    running._start_ready(None, None)
    assert (running.queue, running.outcome.stopped) == ([], True)


def test_agents_that_arrive_late_are_waited_for(tmp_path, monkeypatch):
    """The task that trained them has ended, and this disk does not show its files yet."""
    running = training(tmp_path)
    running.queue = ["second/social-seed-4"]
    running.done = {"first/social-seed-4"}
    running._start_ready(None, None)
    assert running.queue == ["second/social-seed-4"]
    monkeypatch.setattr(ray_study, "ARRIVAL_SECONDS", 0.0)
    running._start_ready(None, None)
    assert running.queue == []
    assert "is not trained yet" in running.outcome.missing["second/social-seed-4"]


def test_an_archive_that_was_being_replaced_is_not_lost(tmp_path):
    """Its driver was killed between two renames."""
    task = train_tasks(STUDY, make_session(tmp_path), 1)[0]
    folder = part_dir(make_session(tmp_path).run_dir(FIRST), task.part)
    backup = folder.with_name(f".{folder.name}.backup")
    (backup / "checkpoints" / "00000002").mkdir(parents=True)
    assert pack_names(ray_study.Hub({"task": str(folder)}).load("task")) == ["checkpoints/00000002"]
    folder.rename(backup)
    training(tmp_path)
    assert folder.exists()
    assert not backup.exists()


def pack_names(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getnames()


def test_an_archive_is_on_the_disk_before_it_replaces_another(straight, tmp_path, monkeypatch):
    events, fsync, rename = [], os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda descriptor: (events.append("sync"), fsync(descriptor))[1])
    monkeypatch.setattr(os, "rename", lambda *paths: (events.append("rename"), rename(*paths))[1])
    unpack(pack(straight.run_dir), tmp_path / "part")
    files = [path for path in (tmp_path / "part").rglob("*")]
    assert events == ["sync"] * (len(files) + 1) + ["rename", "sync"]


def test_a_full_disk_refuses_an_archive(straight, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StorageError, match=r"cannot write .*part: the disk is full"):
        unpack(pack(straight.run_dir), tmp_path / "part")
    assert not list(tmp_path.iterdir())


def test_agents_that_cannot_be_prepared_in_time_stop_the_study(tmp_path, monkeypatch):
    """Clones and generations are trained by the driver, which is asked to stop meanwhile."""
    monkeypatch.setattr(ray_study, "connected", lambda options: contextlib.nullcontext())
    monkeypatch.setattr(ray_study, "check_nodes", lambda ray, marker: 0)
    monkeypatch.setattr(ray_study._Training, "run", lambda self: None)
    monkeypatch.setattr(ray_study, "join_finished", lambda *_: [])
    monkeypatch.setattr(PretrainedAgent, "prepare", lambda self, session: False)
    assert ray_study.run_on_ray(STUDY, make_session(tmp_path), RayOptions(), lambda: 1, print).stopped


def test_the_log_of_a_task_that_fails_elsewhere_comes_to_the_driver(tmp_path, monkeypatch):
    """Its part has no checkpoint that would bring it along."""

    def fail(config, part, folder, *, stop_after, on_update):
        print("begins")
        raise DivergedError("policy_loss is not finite")

    monkeypatch.setitem(sys.modules, "ray", RAY)
    monkeypatch.setattr(ray_worker, "start_jax", lambda setup: None)
    monkeypatch.setattr("rookery.training.run_parts.train_part", fail)
    with pytest.raises(DivergedError):
        ray_worker.train_on_worker(ORDER, SETUP, HubHandle(ray_study.Hub({"task": str(tmp_path / "part")})))
    lines = (tmp_path / "part" / "log.txt").read_text().splitlines()
    assert lines[1:] == ["begins", "error: policy_loss is not finite"]


def test_a_worker_does_not_write_agents_through_a_link(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", RAY)
    monkeypatch.setattr(ray_worker, "start_jax", lambda setup: None)
    marker = tmp_path / "marker"
    marker.write_text("x")
    (tmp_path / "victim").mkdir()
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "start").symlink_to(tmp_path / "victim")
    order = dataclasses.replace(ORDER, folder=str(tmp_path / "part"), start_agents={"agent.safetensors": b"weights"})
    with pytest.raises(StorageError, match="start is a symbolic link"):
        ray_worker.train_on_worker(order, dataclasses.replace(SETUP, marker=str(marker)), HubHandle(ray_study.Hub({})))
    assert not list((tmp_path / "victim").iterdir())


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
        num_cpus=1, num_gpus=0, num_threads=1, environment={}, marker="", marker_text="", versions={"jax": "0.0.1"},
        matmul_precision=None,
    )  # fmt: skip
    with pytest.raises(IncompatibleError, match=r"node .* has jax .*, the driver has 0\.0\.1"):
        ray_worker.start_jax(setup)


def test_a_worker_has_the_driver_s_precision(monkeypatch):
    """JAX may have read its environment variable before, when an order was unpickled."""
    import jax

    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setattr("rookery.training.devices.use_all_cores", lambda cores, threads: cores)
    before = jax.config.jax_default_matmul_precision
    try:
        ray_worker.start_jax(dataclasses.replace(SETUP, matmul_precision="bfloat16"))
        assert jax.config.jax_default_matmul_precision == "bfloat16"
    finally:
        jax.config.update("jax_default_matmul_precision", before)
