"""A run of several processes: the numbers and files of one process, and a sentence for what does not fit together."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from rookery.agents.networks import MLPNetwork
from rookery.errors import (
    UNFINISHED_EXIT_CODE,
    ConfigError,
    IncompatibleError,
    LostProcessError,
    NotFoundError,
)
from rookery.learning.a2c import A2C
from rookery.scaling import hosts
from rookery.scaling.hosts import LinkedGroup, Proposal, divide_replicas, joined
from rookery.scaling.launch import Launch
from rookery.scaling.links import Link, Message
from rookery.storage.serialization import to_dict
from rookery.tasks.matrix_games import MatrixGame
from rookery.training import memory
from rookery.training.build import build
from rookery.training.config import GroupConfig, RandomPolicyConfig, RecurrentPolicyConfig, RunConfig
from rookery.training.devices import DEVICE_COUNT_FLAG
from rookery.training.process_group import ProcessGroup
from rookery.training.replica_updates import ReplicaUpdates, follow_run
from rookery.training.trainer import resume, train
from tests.tiny import rows, trace_once

pytestmark = pytest.mark.usefixtures("quick")

NETWORK = MLPNetwork(encoder_size=4, hidden_size=4, head_size=4)
CONFIG = RunConfig(
    name="pair",
    task=MatrixGame(max_steps=4),
    team=(
        GroupConfig(name="novice", slots=(0,), policy=RecurrentPolicyConfig(network=NETWORK), learner=A2C()),
        GroupConfig(name="other", slots=(1,), policy=RandomPolicyConfig()),
    ),
    seed=3,
    num_seeds=2,
    total_timesteps=8 * 4 * 4,
    num_envs=4,
    checkpoint_interval=3,
    max_checkpoints=3,
    eval_episodes=2,
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def files(run_dir, *without) -> dict[str, bytes]:
    """Everything in a run's folder but times and machines, byte for byte."""
    content = {str(path.relative_to(run_dir)): path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    for name in (".lock", "status.json", "metrics.jsonl", *without):
        content.pop(name, None)
    return content


def lines(run_dir) -> list[str]:
    """Metrics without times, with their order in a line."""
    return [json.dumps(row) for row in rows(run_dir)]


def assert_same_folder(run_dir, other) -> None:
    assert lines(run_dir) == lines(other)
    assert files(run_dir) == files(other)
    one, two = (json.loads((folder / "status.json").read_text()) for folder in (run_dir, other))
    assert list(one) == list(two)
    for key in ("num_updates", "total_updates", "steps"):
        assert one[key] == two[key]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run in one process, on two devices."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        trace_once(patch)
        assert train(CONFIG, run_dir, quiet=True, track=["none"]).finished
    return run_dir


# One replica per device everywhere: the flag with which tests compile in haste makes last bits depend on that.

KILLED = """
import os, signal, sys
from rookery.training.replica_updates import ReplicaUpdates
step = ReplicaUpdates.step
def dying_step(self):
    if self.num_updates == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self)
ReplicaUpdates.step = dying_step
"""
MAIN = "import sys; from rookery.cli import main; sys.exit(main(sys.argv[1:]))"


def slurm_job() -> dict[str, str]:
    """What `srun` tells each of two tasks, of a job whose port is free."""
    for number in range(os.getpid() % 4096, 8192):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", 61440 + number % 4096)):
            break
    return {"SLURM_JOB_ID": str(number), "SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "127.0.0.1"}


def test_a_killed_process_ends_the_run_and_one_process_continues_it(whole, tmp_path):
    """The processes find each other by what SLURM says in the environment of each."""
    config, run_dir = tmp_path / "pair.json", tmp_path / "run"
    config.write_text(json.dumps({"config": to_dict(CONFIG)}))
    kept = [flag for flag in os.environ.get("XLA_FLAGS", "").split() if DEVICE_COUNT_FLAG not in flag]
    env = {**os.environ, **slurm_job(), "XLA_FLAGS": " ".join(kept)}
    command = ["train", str(config), "--out", str(run_dir), "--cores", "1", "--track", "none", "--quiet"]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, *command],
            env={**env, "SLURM_PROCID": str(number)}, stderr=subprocess.PIPE, text=True,
        )
        for number, script in enumerate((MAIN, KILLED + MAIN))
    ]  # fmt: skip
    said = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [UNFINISHED_EXIT_CODE, -signal.SIGKILL], said
    assert said[0].count("\n") == 1
    assert "error: process 1 of 2 (process" in said[0]
    assert "is lost (its connection was closed)" in said[0]
    assert lines(run_dir) == lines(whole)[:4]
    first = {name: data for name, data in files(whole).items() if "00000003" in name or name == "config.json"}
    assert first.items() <= files(run_dir).items()
    machines = json.loads((run_dir / "status.json").read_text())["machines"]
    assert [machine["replicas"] for machine in machines] == [[["main", 3]], [["main", 4]]]
    assert resume(run_dir, quiet=True).finished
    assert_same_folder(run_dir, whole)


def together(port, lead, follow=lambda group: follow_run(CONFIG, group, jax.devices()[:1]), heartbeat=60.0):
    """Process 0 in this thread and process 1 in another, with the same program. Returns what both returned."""
    results = {}

    def second():
        launch = Launch(f"127.0.0.1:{port}", 2, 1, "options")
        with joined(launch, PROPOSAL, heartbeat_timeout=heartbeat) as group:
            results["follow"] = follow(group)

    thread = threading.Thread(target=second, daemon=True)
    thread.start()
    with joined(Launch(f"127.0.0.1:{port}", 2, 0, "options"), PROPOSAL, heartbeat_timeout=heartbeat) as group:
        result = lead(group)
    thread.join(60)
    return result, results.get("follow")


PROPOSAL = Proposal(command="train", config=to_dict(CONFIG), num_replicas=2, cores=1)


def test_two_processes_stop_and_continue_to_the_files_of_one(whole, tmp_path):
    run_dir, first = tmp_path / "run", jax.devices()[:1]
    stopped, followed = together(
        free_port(),
        lambda group: train(CONFIG, run_dir, devices=first, quiet=True, track=["none"], processes=group, stop_after=0),
    )
    assert (stopped.num_updates, stopped.finished, followed) == (1, False, False)
    continued, followed = together(
        free_port(), lambda group: resume(run_dir, devices=first, quiet=True, processes=group)
    )
    assert (continued.num_updates, continued.finished, followed) == (8, True, True)
    shutil.rmtree(run_dir / "checkpoints" / "00000001", ignore_errors=True)  # where it stopped
    assert_same_folder(run_dir, whole)


def test_what_process_0_cannot_do_ends_the_others(tmp_path):
    said = []

    def follow(group):
        try:
            follow_run(CONFIG, group, jax.devices()[1:])
        except LostProcessError as error:
            said.append(str(error))
            raise

    def lead(group):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "config.json").write_text("{}")
        return train(CONFIG, tmp_path / "run", quiet=True, track=["none"], processes=group)

    def quiet_follow(group):
        with pytest.raises(LostProcessError):
            follow(group)

    with pytest.raises(ConfigError, match="already holds a run"):
        together(free_port(), lead, quiet_follow)
    for thread in threading.enumerate():
        if thread.name.endswith("(second)"):
            thread.join(30)
    assert "ended the run" in said[0]
    assert "already holds a run" in said[0]


class Halves(ProcessGroup):
    """Two processes that train one replica each, as one of them sees them."""

    num_processes = 2

    def __init__(self, process_id: int) -> None:
        self.process_id, self.facts = process_id, {}

    def assign(self, num_replicas, num_devices, facts):
        self.facts = facts
        return range(self.process_id, self.process_id + 1)


def test_memory_is_checked_for_a_process_s_own_replicas(monkeypatch):
    run, first = build(CONFIG), jax.devices()[:1]
    own = memory.run_memory(CONFIG, first, num_replicas=1).total
    monkeypatch.setattr(memory, "machine_memory", lambda: own)
    ReplicaUpdates(run, first, Halves(1), {})
    with pytest.raises(ConfigError, match="training needs at least"):
        memory.check_memory(CONFIG, first)
    monkeypatch.setattr(memory, "machine_memory", lambda: own - 1)
    with pytest.raises(ConfigError, match=r"1 of 2 replicas in one process: training needs .*: start more processes"):
        ReplicaUpdates(run, first, Halves(1), {})


def test_a_run_that_no_single_process_holds_begins_in_two(monkeypatch, tmp_path):
    class Assigned(Exception):
        pass

    class Stopping(Halves):
        def assign(self, *_):
            raise Assigned

    monkeypatch.setattr(memory, "machine_memory", lambda: 1)
    with pytest.raises(Assigned):
        train(CONFIG, tmp_path / "run", quiet=True, track=["none"], processes=Stopping(0))


def test_what_changes_numbers_is_compared():
    group = Halves(1)
    ReplicaUpdates(build(CONFIG), jax.devices()[:1], group, {})
    hosts._check_facts("process 1", group.facts, group.facts)
    name = "JAX_DEFAULT_MATMUL_PRECISION"
    with pytest.raises(IncompatibleError, match=f"process 1 has {name} highest, process 0 has default; numbers would"):
        hosts._check_facts("process 1", {**group.facts, name: "highest"}, group.facts)


def test_a_stop_that_another_process_was_asked_for_is_not_forgotten():
    """An evaluation is gathered after the update that says so, and before the stop."""
    sent = [Message({"stop": stop}, [np.zeros(1)]) for stop in (False, True, False)]
    link = SimpleNamespace(receive=lambda: sent.pop(0))
    group = LinkedGroup(Launch("node1:4000", 2, 0, "options"), [link], {}, 1)
    asked = []
    for _ in range(3):
        group.gather(np.zeros(1))
        asked.append(group.stop_requested)
    assert asked == [False, True, True]


@pytest.mark.parametrize(
    ("host", "address", "everywhere"),
    [
        ("node1", "127.0.1.1", True),  # Debian's /etc/hosts
        ("node1", "10.0.0.1", False),
        ("localhost", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", False),
        ("::1", None, False),
        ("service", None, False),
    ],
)
def test_process_0_listens_where_others_can_reach_it(monkeypatch, host, address, everywhere):
    def resolve(name):
        if address is None:
            raise socket.gaierror
        return address

    listened = []
    monkeypatch.setattr(socket, "gethostbyname", resolve)
    monkeypatch.setattr(socket, "create_server", lambda place, **_: listened.append(place[0]))
    hosts._listen(Launch(f"[{host}]:4000", 2, 0, "options"))
    assert listened == ["" if everywhere else host]


@pytest.mark.parametrize(
    ("num_replicas", "num_devices", "sizes"),
    [(4, [1, 1], [2, 2]), (3, [1, 1], [2, 1]), (9, [8, 1], [8, 1]), (5, [2, 2, 1], [2, 2, 1]), (2, [8, 8], [1, 1])],
)
def test_replicas_are_divided_by_devices(num_replicas, num_devices, sizes):
    parts = divide_replicas(num_replicas, num_devices)
    assert [len(part) for part in parts] == sizes
    assert [number for part in parts for number in part] == list(range(num_replicas))


# What does not fit together: no JAX program runs here.


def meet(*others, wait=20.0, **changes):
    """Process 0, and others with (process id, changes of its proposal). Returns the errors of all."""
    port, errors = free_port(), {}

    def start(place, number, values):
        values = dict(values)
        launch = Launch(f"127.0.0.1:{port}", values.pop("num_processes", 1 + len(others)), number, "options")
        try:
            with joined(launch, dataclasses.replace(PROPOSAL, **values), join_timeout=wait):
                pass
        except Exception as error:
            errors[place] = error

    places = enumerate([(0, changes), *others])
    threads = [threading.Thread(target=start, args=(place, *what), daemon=True) for place, what in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return [errors.get(place) for place in range(len(threads))]


def test_processes_that_fit_meet_in_any_order():
    assert meet((1, {})) == [None, None]


def test_another_configuration_is_named_on_both_sides():
    other = to_dict(dataclasses.replace(CONFIG, num_envs=8, seed=4))
    lead, follow = meet((1, {"config": other}))
    assert isinstance(lead, ConfigError)
    assert "process 1 of 2" in str(lead)
    assert "has another configuration: seed=4, num_envs=8; process 0 has seed=3, num_envs=4" in str(lead)
    assert isinstance(follow, LostProcessError)
    assert str(lead) in str(follow)


def test_other_versions_are_named(monkeypatch):
    real, calls = hosts.own_versions(), []
    monkeypatch.setattr(
        hosts, "own_versions", lambda: calls.append(1) or {**real, **({"jax": "0.1"} if len(calls) > 1 else {})}
    )
    lead, _ = meet((1, {}))
    assert isinstance(lead, IncompatibleError)
    assert f"{jax.__version__}" in str(lead)
    assert "jax 0.1" in str(lead)


def test_ids_that_overlap():
    more = {"num_replicas": 3}
    lead, *others = meet((1, more), (1, more), **more)
    assert "process id 1 is used twice: by process 1 of 3 (process" in str(lead)
    assert all(isinstance(error, LostProcessError) for error in others)


@pytest.mark.parametrize("again", [(1, 2), (2, 1)])
def test_a_process_killed_while_others_join_may_start_again(again):
    address, met = f"127.0.0.1:{free_port()}", []
    proposal = dataclasses.replace(PROPOSAL, num_replicas=3)

    def start(number):
        with joined(Launch(address, 3, number, "options"), proposal, join_timeout=20.0):
            met.append(number)

    threads = [threading.Thread(target=start, args=(number,), daemon=True) for number in range(3)]
    threads[0].start()
    killed = Launch(address, 3, 1, "options")
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            connection = socket.create_connection(killed.address)
            break
        time.sleep(0.05)
    link = Link(connection, "process 0")
    link.send(Message({"hello": hosts._hello(killed, proposal)}))
    connection.shutdown(socket.SHUT_RDWR)
    link.close()
    for number in again:
        threads[number].start()
        time.sleep(0.5)  # so that process 0 hears of them in this order
    for thread in threads:
        thread.join(60)
    assert sorted(met) == [0, 1, 2]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_processes": 3, "num_replicas": 3}, "expects 3 processes, process 0 expects 2"),
        ({"command": "resume", "config": None}, "was started with 'rookery resume', process 0 with 'rookery train'"),
    ],
)
def test_other_starts(changes, said):
    lead, follow = meet((1, changes))
    assert said in str(lead)
    assert said in str(follow)


def test_a_second_process_0_and_a_missing_process():
    errors = meet((0, {}), wait=1.0)
    taken = [error for error in errors if isinstance(error, ConfigError)]
    assert len(taken) == 1
    assert "process 0 cannot listen at 127.0.0.1:" in str(taken[0])
    missing = [error for error in errors if isinstance(error, NotFoundError)]
    assert len(missing) == 1
    assert "process 1 of 2 did not come to 127.0.0.1:" in str(missing[0])
    assert "within 1 s" in str(missing[0])


def test_no_process_0():
    port = free_port()
    launch = Launch(f"127.0.0.1:{port}", 2, 1, "options")
    said = rf"process 0 does not answer at 127.0.0.1:{port} within 0.5 s \(.*\); start it, or see why it ended, or"
    with pytest.raises(NotFoundError, match=said), joined(launch, PROPOSAL, join_timeout=0.5):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="others connect no socket to itself")
def test_a_process_that_waits_for_process_0_does_not_take_itself_for_it(monkeypatch):
    def connected_to_itself(address, timeout):
        connection = socket.socket()
        connection.bind(("127.0.0.1", 0))
        connection.connect(connection.getsockname())
        return connection

    monkeypatch.setattr(socket, "create_connection", connected_to_itself)
    launch = Launch(f"127.0.0.1:{free_port()}", 2, 1, "options")
    said = r"process 0 does not answer at .* \(Connection refused\)"
    with pytest.raises(NotFoundError, match=said), joined(launch, PROPOSAL, join_timeout=0.2):
        pass


def test_what_answers_otherwise_is_not_process_0():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            link = Link(server.accept()[0], "process 1")
            link.send(Message(link.receive().values))
            link.close()

        thread = threading.Thread(target=answer)
        thread.start()
        launch = Launch(f"127.0.0.1:{server.getsockname()[1]}", 2, 1, "options")
        with pytest.raises(NotFoundError, match="is not process 0 of a run"), joined(launch, PROPOSAL):
            pass
        thread.join()


@pytest.mark.parametrize("number", [0, 1])
def test_more_processes_than_replicas(number):
    """Every process of `train` knows it, and waits for no other."""
    launch = Launch(f"127.0.0.1:{free_port()}", 3, number, "options")
    said = r"3 processes for 2 replicas .* use --num-processes 2 or fewer"
    with pytest.raises(ConfigError, match=said), joined(launch, PROPOSAL):
        pass
