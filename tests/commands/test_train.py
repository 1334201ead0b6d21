"""What `rookery train` says at the end of a run."""

import dataclasses
from types import SimpleNamespace

import jax
import pytest

from rookery.agents.weights import save_agent
from rookery.commands.train import print_result
from rookery.storage.serialization import to_dict
from rookery.tasks.matrix_games import MatrixGame
from rookery.training.build import build
from rookery.training.config import Variant
from rookery.training.make_team import make_team_setup
from rookery.training.trainer import agent_file
from tests.tiny import NOVICE, OTHER, TASK, tiny

LEARNER = dataclasses.replace(NOVICE.learner, auxiliary=())


@pytest.mark.parametrize(
    ("task", "learns", "expected"),
    [
        (TASK, False, "next: rookery eval {run}, or rookery replay {run}"),
        (TASK, True, "next: rookery eval {run}, or rookery replay {run}"),  # partners are scripted
        (MatrixGame(max_steps=8), False, "next: rookery eval {run}, or rookery replay {run}"),
        (MatrixGame(max_steps=8), True, "next: rookery replay {run}"),  # there is no scripted expert
    ],
)
def test_the_command_that_it_names_works(task, learns, expected, tmp_path, capsys):
    groups = dataclasses.replace(NOVICE, learner=LEARNER), OTHER
    if learns:
        groups = (dataclasses.replace(groups[0], slots=(0, 1)),)
    penalty = {"penalty": 0.5} if task is TASK else {}
    config = tiny(task=task, team=groups, variants=(Variant(),), env_schedules=penalty)
    run = build(config)
    policy = run.team.groups[0].policy
    params = jax.device_get(policy.init(jax.random.PRNGKey(0)))
    for slot in groups[0].slots:
        path = tmp_path / "agents" / agent_file("main", config.seed, "novice", slot)
        save_agent(path, policy, params, {"task": to_dict(task), "partners": None if learns else "random"})
    result = SimpleNamespace(run_dir=tmp_path, num_updates=config.total_updates, finished=True, run=run)
    assert print_result(result) == 0
    assert capsys.readouterr().out.splitlines()[-1] == expected.format(run=tmp_path)
    if "eval" in expected:
        make_team_setup(str(path))
