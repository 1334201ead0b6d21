"""An exported agent's card tells what it earns and how it was made, stage by stage."""

import dataclasses
import json

import pytest

from rookery.agents.zoo import load_trained_agent
from rookery.cli import main
from rookery.learning.cloning import BehaviorCloning
from rookery.training.clone_trainer import CloneConfig, train_clones
from rookery.training.config import RecurrentPolicyConfig, ScriptedPolicyConfig
from rookery.training.demonstrations import record_dataset
from rookery.training.trainer import train
from tests.tiny import NETWORK, NOVICE, OTHER, TASK, assert_same, tiny

pytestmark = pytest.mark.usefixtures("quick")
FILE = "agents/social-seed3-novice-0.safetensors"


def export(source, out, *more):
    return main(["export", str(source), "--out", str(out), "--title", "a tiny one", "--episodes", "6", *more])


def card(path):
    return json.loads(path.with_suffix(".json").read_text())


def test_what_it_earns_and_its_recipe(straight, tmp_path, capsys):
    out = tmp_path / "small.safetensors"
    assert export(straight.run_dir / FILE, out) == 0
    assert capsys.readouterr().out == f"{out}\n"
    told = card(out)
    assert (told["name"], told["title"]) == ("small", "a tiny one")
    assert told["steps"] == straight.program.config.steps
    (stage,) = told["recipe"]
    assert (stage["preset"], stage["episodes"], stage["learner"]["sequences"]) == ("tiny", 4, 4)
    # The same agent in the same worlds by the other command.
    main(["eval", str(out), "--episodes", "6", "--seed", "2026"])
    rows = {row["condition"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert told["returns"]["mean"] == pytest.approx(rows["social"]["return"])
    assert told["alone"]["mean"] == pytest.approx(rows["solo"]["return"])
    assert told["social gain"]["mean"] == pytest.approx(rows["gain"]["return"])
    assert told["goals"] == pytest.approx(rows["social"]["goals"])
    assert told["scripted"]["episodes"] == 6
    assert_same(load_trained_agent(str(out)).params, load_trained_agent(str(straight.run_dir / FILE)).params)


def test_stages_follow_each_other(straight, tmp_path):
    start = RecurrentPolicyConfig(network=NETWORK, init_from=str(straight.run_dir / FILE))
    onward = tiny(name="onward", team=(dataclasses.replace(NOVICE, policy=start), OTHER), steps=64, eval_episodes=0)
    train(onward, tmp_path / "run", quiet=True)
    assert export(tmp_path / "run" / FILE, tmp_path / "far.safetensors") == 0
    told = card(tmp_path / "far.safetensors")
    assert [stage["preset"] for stage in told["recipe"]] == ["tiny", "onward"]
    assert told["steps"] == straight.program.config.steps + 64


def test_a_clone_may_be_the_first_stage(tmp_path):
    """And a teacher stands in the recipe with its weights."""
    data = record_dataset(tmp_path / "data", TASK, ScriptedPolicyConfig(), num_episodes=4)
    cloned = train_clones(
        CloneConfig(name="pupil", network=NETWORK, learner=BehaviorCloning(epochs=1)), data, tmp_path / "clone"
    )
    start = RecurrentPolicyConfig(network=NETWORK, init_from=str(cloned.agent_files[0]))
    learner = dataclasses.replace(NOVICE.learner, teacher="map")
    taught = dataclasses.replace(NOVICE, policy=start, learner=learner, rates={"teacher_action_prob": 0.5})
    train(tiny(name="teacher_action", team=(taught, OTHER), steps=64, eval_episodes=0), tmp_path / "run", quiet=True)
    assert export(tmp_path / "run" / FILE, tmp_path / "far.safetensors") == 0
    first, second = card(tmp_path / "far.safetensors")["recipe"]
    assert (first["clone"], first["expert"], first["worlds"]) == ("pupil", "scripted", 4)
    assert (second["preset"], second["learner"]["teacher"], second["rates"]) == (
        "teacher_action",
        "map",
        {"teacher_action_prob": 0.5},
    )


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [("agent.bin", (), "must end in .safetensors"), ("agent.safetensors", ("--episodes", "1"), "must be at least 2")],
)
def test_refused_before_anything_is_written(straight, tmp_path, capsys, name, more, said):
    assert export(straight.run_dir / FILE, tmp_path / name, *more) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
