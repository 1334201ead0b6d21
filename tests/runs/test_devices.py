import os
import subprocess
import sys

import pytest

from rookery.runs.devices import FLAG, PATIENCE, available_cores, can_share, machine, patience, use_all_cores


@pytest.fixture
def flags(monkeypatch):
    """Set XLA_FLAGS for one test; what the test makes of them is undone too."""
    return lambda text: monkeypatch.setenv("XLA_FLAGS", text)


def test_one_device_a_core_unless_told_otherwise(flags):
    flags("--xla_x=1")
    assert use_all_cores() == available_cores()
    assert os.environ["XLA_FLAGS"] == f"--xla_x=1 {FLAG}={available_cores()} {patience()}".strip()
    flags("")
    assert use_all_cores(3) == 3
    assert os.environ["XLA_FLAGS"] == f"{FLAG}=3 {patience()}".strip()


def test_the_users_own_choice_stays(flags):
    flags(f"{FLAG}=5 --xla_x=1")
    assert use_all_cores(3) == 5
    assert os.environ["XLA_FLAGS"] == f"{FLAG}=5 --xla_x=1"


@pytest.mark.parametrize(("version", "waits"), [("0.7.2", False), ("0.9.2", False), ("0.10.0", True), ("1.0", True)])
def test_older_versions_are_not_told_flags_they_may_not_know(monkeypatch, version, waits):
    """XLA would end the process."""
    monkeypatch.setattr("importlib.metadata.version", {"jaxlib": version}.__getitem__)
    assert patience().startswith(PATIENCE) == waits
    assert bool(patience()) == waits


def test_cores_share_a_learner_only_where_they_wait_for_each_other(flags):
    flags(f"{FLAG}=4")
    assert can_share(4) == 1
    flags(f"{FLAG}=4 {PATIENCE}=604800")
    assert can_share(4) == 4
    assert can_share(3) == 2


def test_jax_obeys():
    script = "from rookery.runs.devices import use_all_cores; use_all_cores(3); import jax; print(jax.device_count())"
    env = {**os.environ, "XLA_FLAGS": "", "JAX_PLATFORMS": "cpu"}
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env)
    assert (told.stdout, told.stderr) == ("3\n", "")


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


def test_machine():
    told = machine()
    assert set(told) == {"processor", "cores", "device", "system", "python", "jax", "rookery"}
    assert all(isinstance(value, str | int) and value for value in told.values())
    assert "\n" not in " ".join(map(str, told.values()))
