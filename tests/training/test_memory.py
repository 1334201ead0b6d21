"""Many environments and long recordings are refused before anything of that size is made."""

import resource

import pytest

from rookery.agents.random_policy import RandomPolicy
from rookery.agents.team import AgentGroup, Team
from rookery.cli import main
from rookery.errors import ConfigError
from rookery.gridworld.spec import ViewConfig
from rookery.interop.gymnasium import SingleAgentVectorEnv
from rookery.limits import MAX_ENVS
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.registry import make_env
from rookery.training import memory
from rookery.training.benchmark_env import measure_task
from rookery.training.config import RandomPolicyConfig
from rookery.training.demonstrations import record_dataset
from rookery.viz.record_episode import record_episode

VIEW = ViewConfig(size=3, observation_type="symbolic")
TASK = GoalCycle(height=5, width=6, num_obstacles=0, max_steps=8, num_actions=3, views=(VIEW,))
ENVIRONMENT_BYTES = 5 * 6 + 3 * 3 * 8


def test_an_environment_is_counted_exactly():
    assert memory.environment_bytes(make_env(TASK), [0]) == ENVIRONMENT_BYTES


@pytest.mark.parametrize(
    ("own", "file", "limit"),
    [
        ("0::/", "memory.max", 7),  # a container
        ("0::/slurm/job_3/step_0", "slurm/job_3/memory.max", 7),  # the job's, around the step's
        ("12:cpu,memory:/slurm/job_3\n0::/init", "memory/slurm/job_3/memory.limit_in_bytes", 7),  # version 1
        ("0::/../../other", "memory.max", 7),
        ("0::/job", "job/memory.max", "max"),
        ("nonsense", "memory.max", 7),
    ],
)
def test_the_memory_of_a_job_is_that_of_its_control_group(tmp_path, monkeypatch, own, file, limit):
    (tmp_path / "own").write_text(own + "\n")
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(f"{limit}\n")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    monkeypatch.setattr(memory, "_OWN_CGROUPS", tmp_path / "own")
    assert (memory.machine_memory() == 7) == (limit == 7)


def test_too_many_environments(monkeypatch, capsys):
    for make in (SingleAgentVectorEnv, measure_task):
        with pytest.raises(ConfigError, match="num_envs=1000000000 must be at most 1,000,000"):
            make(TASK, 10**9)
    assert main(["bench", "--num-envs", str(MAX_ENVS + 1)]) == 2
    assert "num_envs=1000001 must be at most 1,000,000" in capsys.readouterr().err
    monkeypatch.setattr(memory, "machine_memory", lambda: MAX_ENVS * ENVIRONMENT_BYTES - 1)
    for make in (SingleAgentVectorEnv, measure_task):
        with pytest.raises(
            ConfigError, match=r"1,000,000 environments need at least 102.0 MB; this machine has .*MB: lo"
        ):
            make(TASK, MAX_ENVS)


def test_the_memory_of_a_shell_is_that_of_its_limit(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (7, -1))
    assert memory.machine_memory() == 7
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY, -1))
    assert memory.machine_memory() != 7


def test_recordings_that_memory_cannot_hold(monkeypatch, tmp_path):
    team = Team((AgentGroup("agent", (0,), RandomPolicy(3)),))
    monkeypatch.setattr(memory, "machine_memory", lambda: 9 * 5 * 6)  # of the tiles alone
    with pytest.raises(ConfigError, match=r"recordings of 2 episodes need at least .*: record fewer or shorter"):
        record_episode(make_env(TASK), team, {"agent": ()}, episodes=2)
    with pytest.raises(ConfigError, match=r"50 recorded episodes need at least .*: record fewer or shorter ones"):
        record_dataset(tmp_path / "data", TASK, RandomPolicyConfig(), num_episodes=2)
    # One shard fits, all together do not.
    monkeypatch.setattr(memory, "machine_memory", lambda: 10**9)
    with pytest.raises(ConfigError, match=r"10,000,000 recorded episodes need at least .*: record fewer or shorter"):
        record_dataset(tmp_path / "data", TASK, RandomPolicyConfig(), num_episodes=10**7)
    assert not (tmp_path / "data").exists()
