import os
import subprocess
import sys
import types

import pytest

from rookery.backend import cpu_devices
from rookery.training.devices import (
    COLLECTIVE_TIMEOUT_FLAG,
    DEVICE_COUNT_FLAG,
    THREADS_VARIABLE,
    available_cores,
    collective_timeout_flags,
    describe_devices,
    devices_per_replica,
    expected_threads,
    machine_info,
    request_deterministic_ops,
    thread_count,
    use_all_cores,
    without_own_flags,
)


@pytest.fixture
def flags(monkeypatch):
    """Set XLA_FLAGS for one test; what the test makes of them is undone too."""
    return lambda text: monkeypatch.setenv("XLA_FLAGS", text)


def test_one_device_a_core_unless_told_otherwise(flags):
    flags("--xla_x=1")
    assert use_all_cores() == available_cores()
    assert (
        os.environ["XLA_FLAGS"]
        == f"--xla_x=1 {DEVICE_COUNT_FLAG}={available_cores()} {collective_timeout_flags()}".strip()
    )
    flags("")
    assert use_all_cores(3) == 3
    assert os.environ["XLA_FLAGS"] == f"{DEVICE_COUNT_FLAG}=3 {collective_timeout_flags()}".strip()


def test_the_users_own_choice_stays(flags):
    flags(f"{DEVICE_COUNT_FLAG}=5 --xla_x=1")
    assert use_all_cores(3) == 5
    assert os.environ["XLA_FLAGS"] == f"{DEVICE_COUNT_FLAG}=5 --xla_x=1"


@pytest.mark.parametrize(("version", "waits"), [("0.7.2", False), ("0.9.2", False), ("0.10.0", True), ("1.0", True)])
def test_older_versions_are_not_told_flags_they_may_not_know(monkeypatch, version, waits):
    """XLA would end the process."""
    monkeypatch.setattr("importlib.metadata.version", {"jaxlib": version}.__getitem__)
    assert collective_timeout_flags().startswith(COLLECTIVE_TIMEOUT_FLAG) == waits
    assert bool(collective_timeout_flags()) == waits


def test_cores_share_a_learner_only_where_they_wait_for_each_other(flags):
    flags(f"{DEVICE_COUNT_FLAG}=4")
    cpus, gpus = ([types.SimpleNamespace(platform=platform)] * 7 for platform in ("cpu", "gpu"))
    assert devices_per_replica(cpus[:4], 1) == 1
    assert [devices_per_replica(gpus[:number], 2) for number in (1, 2, 3, 4, 7)] == [1, 1, 1, 2, 2]
    flags(f"{DEVICE_COUNT_FLAG}=4 {COLLECTIVE_TIMEOUT_FLAG}=604800")
    assert devices_per_replica(cpus[:4], 1) == 4
    assert devices_per_replica(cpus[:3], 1) == 2


def test_jax_obeys():
    script = (
        "from rookery.training.devices import use_all_cores; use_all_cores(3); import jax; print(jax.device_count())"
    )
    env = {**os.environ, "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env)
    assert (result.stdout, result.stderr) == ("3\n", "")


def test_cores_are_those_this_process_may_use():
    assert 1 <= available_cores() <= os.cpu_count()
    if not hasattr(os, "sched_setaffinity"):
        return
    mine = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(mine)})
        assert available_cores() == 1
    finally:
        os.sched_setaffinity(0, mine)


def test_threads_are_known_before_jax_starts(flags, monkeypatch):
    monkeypatch.delenv("NPROC", raising=False)
    flags("")
    assert expected_threads() == available_cores()
    assert expected_threads(64) == 64
    flags(f"{DEVICE_COUNT_FLAG}=96")
    assert expected_threads(3) == 96
    monkeypatch.setenv("NPROC", "128")
    assert expected_threads(3) == 128


def test_flags_on_which_numbers_depend(flags):
    flags(f"--xla_cpu_max_isa=AVX2 {DEVICE_COUNT_FLAG}=2 {collective_timeout_flags()} --xla_x=1")
    assert without_own_flags() == "--xla_cpu_max_isa=AVX2 --xla_x=1"
    use_all_cores(3)
    assert without_own_flags() == "--xla_cpu_max_isa=AVX2 --xla_x=1"
    flags("")
    assert without_own_flags() == ""
    assert machine_info()["xla_flags"] == "none"


def test_how_replicas_lie_on_the_devices(flags, monkeypatch):
    monkeypatch.setattr("jax.devices", lambda: [types.SimpleNamespace(platform="cpu")] * 4)
    flags(f"{DEVICE_COUNT_FLAG}=4 {COLLECTIVE_TIMEOUT_FLAG}=604800")
    assert describe_devices(9) == "4 CPU devices for 9 replicas: at most 3 on each"
    assert describe_devices(1) == "4 CPU devices for 1 replica: up to 4 share the batch of one"
    assert describe_devices(3) == "4 CPU devices for 3 replicas: 1 without work"
    monkeypatch.setattr("jax.devices", lambda: [types.SimpleNamespace(platform="gpu", device_kind="H100")] * 4)
    assert describe_devices(1) == "4 H100 devices for 1 replica: up to 4 share the batch of one"
    why = "because a learner's updates cannot be divided among devices"
    assert describe_devices(1, divisible=False) == f"4 H100 devices for 1 replica: 3 without work, {why}"


def test_deterministic_ops_are_asked_for_once(flags):
    flags("--xla_x=1")
    request_deterministic_ops()
    request_deterministic_ops()
    assert os.environ["XLA_FLAGS"] == "--xla_x=1 --xla_gpu_deterministic_ops=true"
    assert without_own_flags() == os.environ["XLA_FLAGS"]  # it is recorded


def test_machine():
    info = machine_info()
    assert set(info) == {
        "processor", "cores", "threads", "device", "system", "python", "jax", "jaxlib", "xla_flags", "matmul_precision",
        "rookery", "rookery_source",
    }  # fmt: skip
    assert all(isinstance(value, str | int) and value for value in info.values())
    assert "\n" not in " ".join(map(str, info.values()))
    devices = [types.SimpleNamespace(platform="gpu", device_kind=kind) for kind in ("NVIDIA H200", "another")]
    assert machine_info(devices) == info | {"device": "NVIDIA H200"}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (f'{DEVICE_COUNT_FLAG}="4"', 4),
        (f"{DEVICE_COUNT_FLAG}='4' --xla_x=1", 4),
        (DEVICE_COUNT_FLAG, 1),
        (f"{DEVICE_COUNT_FLAG}=four", 1),
        ("/etc/xla/flags", 1),
        ('--xla_x="unfinished', 1),
    ],
)
def test_flags_as_xla_takes_them_are_left_alone(flags, text, count):
    """Quoted values, a file of flags, and what XLA itself will refuse."""
    flags(text)
    assert use_all_cores(3) == count
    assert os.environ["XLA_FLAGS"] == text


def test_a_run_is_continued_with_as_many_threads_as_it_was_started_with(flags, monkeypatch):
    monkeypatch.setenv(THREADS_VARIABLE, "")
    flags("")
    assert use_all_cores(None, available_cores()) == available_cores()
    assert os.environ[THREADS_VARIABLE] == ""
    flags("")
    assert use_all_cores(8, 3) == 3
    assert os.environ[THREADS_VARIABLE] == "3"
    flags("")
    assert use_all_cores(1, 3) == 1
    monkeypatch.setenv(THREADS_VARIABLE, "16")
    assert thread_count() == 16


def test_threads_where_jax_may_use_no_cpu(monkeypatch):
    """As with JAX_PLATFORMS=cuda: JAX then knows of no platform of that name."""

    def devices(platform=None):
        if platform == "cpu":
            raise RuntimeError("Unknown backend cpu. Available backends are ['cuda']")
        return ["cuda"]

    monkeypatch.setattr("jax.devices", devices)
    monkeypatch.setenv(THREADS_VARIABLE, "5")
    assert thread_count() == 5
    assert cpu_devices() == []


SUM = """
import hashlib, os, jax, numpy as np
from rookery.training.devices import use_all_cores
if {held}:
    os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})
use_all_cores(1, 2)
x = np.random.default_rng(0).normal(size=(16384, 32)).astype("f")
print(hashlib.sha256(np.asarray(jax.jit(lambda x: x.T @ x)(x)).tobytes()).hexdigest())
"""


def test_sums_depend_on_the_recorded_threads_alone():
    """Not on how many cores the process may use."""
    if not hasattr(os, "sched_setaffinity") or available_cores() < 2:
        pytest.skip("needs two cores, of which a process can be held to one")
    env = {**os.environ, "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu", THREADS_VARIABLE: ""}
    scripts = [SUM.format(held=held) for held in (False, True)]
    one, other = (subprocess.run([sys.executable, "-c", s], capture_output=True, env=env).stdout for s in scripts)
    assert one == other != b""
