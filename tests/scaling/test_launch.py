import subprocess
from pathlib import Path

import pytest

from rookery.errors import ConfigError
from rookery.scaling.launch import find_launch

SLURM = {"SLURM_JOB_ID": "70000", "SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "2", "SLURM_STEP_NODELIST": "n[07-9,11]"}
OPEN_MPI = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}
URI = {"OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1,10.148.0.1:34911"}


def found(environ, coordinator=None, num_processes=None, process_id=None):
    launch = find_launch(coordinator, num_processes, process_id, environ)
    return launch and (launch.coordinator, launch.num_processes, launch.process_id)


def test_alone_unless_something_says_otherwise():
    assert found({}) is None
    assert found({}, num_processes=1) is None
    assert found(SLURM, num_processes=1) is None
    assert found({**SLURM, "SLURM_STEP_NUM_TASKS": "1"}) is None
    assert found({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}) is None  # the batch script itself
    assert found({**SLURM, "SLURM_PROCID": "9" * 5000}) is None  # no number of the scheduler's


def test_options():
    assert found({}, "node1:4000", 3, 2) == ("node1:4000", 3, 2)
    assert find_launch("[fe80::1]:4000", 2, 0, {}).address == ("fe80::1", 4000)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node1", "node1"),
        ("a1,b2", "a1"),
        ("n[007-015]", "n007"),
        ("n[3,7-9],x", "n3"),
        ("gpu-[1,3]-r,x", "gpu-1-r"),
        ("rack[1-2]n[3-4],x", "rack1n3"),
        ("[a,b]1,c", "a1"),
    ],
)
def test_slurm(nodes, first):
    """As JAX chooses the address."""
    port = 70000 % 4096 + 65535 - 4096 + 1
    assert found({**SLURM, "SLURM_STEP_NODELIST": nodes}) == (f"{first}:{port}", 4, 2)
    assert found(SLURM, coordinator="n07:99") == ("n07:99", 4, 2)


def test_steps_of_one_slurm_job_have_ports_of_their_own():
    steps = [found({**SLURM, "SLURM_STEP_ID": str(number)}) for number in range(8)]
    assert steps[0] == found(SLURM)
    assert len({*steps}) == 8


def test_open_mpi():
    assert found(OPEN_MPI | URI) == (f"10.96.0.1:{1531576320 // 4096 % 4096 + 61440}", 2, 1)
    assert found(OPEN_MPI, coordinator="n:99") == ("n:99", 2, 1)
    with pytest.raises(ConfigError, match="Open MPI does not say where process 0 is: add --coordinator HOST:PORT"):
        found(OPEN_MPI)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("node1:4000", None, None), "--coordinator without --num-processes and --process-id: give all three"),
        ((None, 2, 0), "--num-processes and --process-id without --coordinator"),
        (("node1", 2, 0), "coordinator 'node1' must be HOST:PORT"),
        (("node1:x", 2, 0), "must be HOST:PORT"),
        (("node1:65536", 2, 0), "with a port from 1 to 65535"),
        (("node1..cluster:4000", 2, 0), "coordinator 'node1..cluster:4000' must be HOST:PORT"),
        (("node1:4000", 0, 0), "num_processes=0 must be at least 1"),
        (("node1:4000", 2, 2), "process_id=2 must lie in 0 to 1, for 2 processes"),
        (("node1:4000", 2, -1), "process_id=-1 must lie in 0 to 1"),
    ],
)
def test_bad_options(options, said):
    with pytest.raises(ConfigError, match=said):
        found({}, *options)


def test_the_job_of_slurm(tmp_path):
    """With a stand-in for srun."""
    srun, run_dir = tmp_path / "srun", tmp_path / "run"
    srun.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    srun.chmod(0o755)
    script = Path(__file__).parents[2] / "examples" / "slurm" / "run.sbatch"

    def submit(*options: str) -> list[str]:
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SLURM_CPUS_PER_TASK": "8"}
        call = ["bash", str(script), str(run_dir), "lite", "name=two words", *options]
        ended = subprocess.run(call, env=environment, capture_output=True, text=True, check=True)
        return ended.stdout.split("|")[2:-1]

    end = ["--cores", "8", "--quiet"]
    assert submit() == ["rookery", "train", "lite", "name=two words", "--out", str(run_dir), *end]
    run_dir.mkdir()
    (run_dir / "config.json").write_text("{}")
    assert submit() == ["rookery", "resume", str(run_dir), *end]
    again = ["--deterministic-ops", "--time-limit", "60", "--join-timeout=900"]
    assert submit("--seeds", "8", *again) == ["rookery", "resume", str(run_dir), *again, *end]
