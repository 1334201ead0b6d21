"""A run that uses agents by path continues from every working directory, and after it was moved with them."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import pytest

from rookery import cli
from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, NotFoundError
from rookery.learning.cloning import BehaviorCloning
from rookery.storage.run_files import CONFIG_FILE
from rookery.training.agent_paths import STARTED_IN_KEY, AgentFinder
from rookery.training.clone_trainer import CloneConfig, train_clones
from rookery.training.config import FrozenPolicyConfig, RecurrentPolicyConfig
from rookery.training.continue_run import train_or_resume
from rookery.training.demonstrations import record_dataset
from rookery.training.trainer import load_learners, resume, train
from tests.tiny import CONFIG, NETWORK, NOVICE, OTHER, TASK, assert_same_run, params, save_novice, tiny

pytestmark = pytest.mark.usefixtures("quick")
EXPERT = "experts/expert.safetensors"
FROZEN = dataclasses.replace(OTHER, policy=FrozenPolicyConfig(checkpoint=EXPERT))
WITH_EXPERT = tiny(team=(NOVICE, FROZEN))


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """The working directory, with an expert in it."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    save_novice(folder / EXPERT)
    return folder


def test_resumed_from_another_working_directory_or_moved(project, tmp_path, monkeypatch, capsys):
    whole = train(WITH_EXPERT, "runs/whole", quiet=True)
    whole = dataclasses.replace(whole, run_dir=whole.run_dir.resolve(), state=jax.device_get(whole.state))
    train(WITH_EXPERT, "runs/a", quiet=True, stop_after=0)
    shutil.copytree("runs/a", "runs/b")
    shutil.copytree(project, tmp_path / "moved")
    shutil.move("runs/b", tmp_path / "alone")
    monkeypatch.chdir(tmp_path)
    assert_same_run(resume("project/runs/a", quiet=True), whole)
    assert_same_run(resume("alone", quiet=True), whole)  # the expert is where it was
    project.rename(tmp_path / "renamed")
    whole = dataclasses.replace(whole, run_dir=tmp_path / "renamed" / "runs" / "whole")
    assert_same_run(resume("moved/runs/a", quiet=True), whole)
    # So does what plays the run, or one of its agents next to the expert that its card names.
    assert load_learners("moved/runs/a")[0].config == WITH_EXPERT
    agent = "moved/runs/a/agents/social-seed3-novice-0.safetensors"
    assert cli.main(["eval", agent, "--episodes", "2"]) == 0
    shutil.rmtree("moved/experts")
    shutil.rmtree("renamed/experts")
    assert cli.main(["eval", agent, "--episodes", "2"]) == NotFoundError.exit_code
    assert "put it back there, or name others by --partners" in capsys.readouterr().err


def test_clones_are_evaluated_next_to_their_expert(project, tmp_path, monkeypatch):
    expert = FrozenPolicyConfig(checkpoint=EXPERT)
    data = record_dataset(project / "data", TASK, expert, num_episodes=4)
    config = CloneConfig(network=NETWORK, learner=BehaviorCloning(epochs=1))
    (agent,) = train_clones(config, data, "clone", quiet=True).agent_files
    agent = agent.resolve()
    monkeypatch.chdir(tmp_path)
    assert cli.main(["eval", str(agent), "--episodes", "2"]) == 0


def test_an_agent_that_is_gone_or_another_one_is_refused(project, tmp_path, monkeypatch):
    train(WITH_EXPERT, "run", quiet=True, stop_after=0)
    monkeypatch.chdir(tmp_path)
    save_novice(Path(EXPERT))  # the run's own comes first
    assert AgentFinder.of_run("project/run")(EXPERT) == str(project / EXPERT)
    shutil.rmtree("experts")
    shutil.move(project / "experts", tmp_path / "kept")
    with pytest.raises(NotFoundError) as caught:
        resume("project/run", quiet=True)
    where = f"is not at any of {project / EXPERT}, {tmp_path / EXPERT}; put it back there"
    assert str(caught.value) == f"project/run uses the agent {EXPERT}, which {where}"
    shutil.copytree("kept", "experts")
    assert resume("project/run", quiet=True, stop_after=0).num_updates == 2
    changed = jax.tree.map(lambda x: x + 1, params())
    monkeypatch.setattr("tests.tiny.params", lambda: changed)
    save_novice(project / EXPERT)
    with pytest.raises(IncompatibleError, match="put the old one back"):
        resume("project/run", quiet=True)


def test_the_same_agents_by_other_paths_are_the_same_configuration(project, tmp_path, monkeypatch):
    start = RecurrentPolicyConfig(network=NETWORK, init_from="runs/first/agents/agent-{seed}.safetensors")
    save_novice(Path("runs/first/agents/agent-3.safetensors"))
    save_novice(Path("runs/other/agents/agent-3.safetensors"))

    def config(init_from, expert=EXPERT):
        novice = dataclasses.replace(NOVICE, policy=dataclasses.replace(start, init_from=str(init_from)))
        frozen = dataclasses.replace(FROZEN, policy=FrozenPolicyConfig(checkpoint=str(expert)))
        return tiny(team=(novice, frozen))

    run_dir = project / "runs" / "second"
    assert not train_or_resume(config(start.init_from), Path("runs/second"), quiet=True, stop_after=0)
    monkeypatch.chdir(tmp_path)
    absolute = project / start.init_from
    assert not train_or_resume(config(absolute, project / EXPERT), run_dir, quiet=True, stop_after=0)
    assert not train_or_resume(config(f"project/{start.init_from}"), run_dir, quiet=True, stop_after=0)
    moved = tmp_path / "moved"
    project.rename(moved)
    again = config(moved / start.init_from, moved / EXPERT)
    assert train_or_resume(again, moved / "runs" / "second", quiet=True)
    other = moved / "runs/other/agents/agent-{seed}.safetensors"
    with pytest.raises(ConfigError, match=r"differs in team, with the agent \S+first\S+ and not \S+other\S+\); name"):
        train_or_resume(config(other, moved / EXPERT), moved / "runs" / "second", quiet=True)


def test_what_is_on_record(project):
    train(WITH_EXPERT, "run", quiet=True, stop_after=0)
    path = Path("run") / CONFIG_FILE
    data = json.loads(path.read_text())
    assert data["config"]["team"][1]["policy"]["checkpoint"] == EXPERT
    assert data[STARTED_IN_KEY] == {"working_directory": str(project), "run_dir": str(project / "run")}
    # A run without such a record, of an older version: its paths are relative to the working directory.
    path.write_text(json.dumps({key: value for key, value in data.items() if key != STARTED_IN_KEY}))
    assert resume("run", quiet=True, stop_after=0).num_updates == 2
    for damaged in ("x", {"run_dir": "x"}, {"run_dir": "x", "working_directory": 1}):
        path.write_text(json.dumps(data | {STARTED_IN_KEY: damaged}))
        with pytest.raises(CorruptFileError, match="'started_in' must have the paths"):
            resume("run", quiet=True)


def test_an_agent_of_the_zoo_is_found_by_its_name(straight):
    find = AgentFinder.of_run(straight.run_dir)
    assert find("goal-cycle-lite-expert") == "goal-cycle-lite-expert"
    assert STARTED_IN_KEY not in json.loads((straight.run_dir / CONFIG_FILE).read_text())
    assert train_or_resume(CONFIG, straight.run_dir, quiet=True)
