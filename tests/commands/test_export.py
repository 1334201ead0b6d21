"""The card of an exported agent says what its returns are and how it was trained, stage by stage."""

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


def test_returns_and_training_stages(straight, tmp_path, capsys):
    out = tmp_path / "small.safetensors"
    assert export(straight.run_dir / FILE, out) == 0
    assert capsys.readouterr().out == f"{out}\n"
    fields = card(out)
    assert (fields["name"], fields["title"]) == ("small", "a tiny one")
    assert fields["steps"] == straight.run.config.total_timesteps
    (stage,) = fields["training_stages"]
    assert (stage["preset"], stage["num_envs"], stage["learner"]["minibatch_size"]) == ("tiny", 4, 4)
    # The same agent in the same episodes by the other command.
    main(["eval", str(out), "--episodes", "6", "--seed", "2026", "--json"])
    rows = {row["condition"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert fields["returns"]["mean"] == pytest.approx(rows["social"]["return"])
    assert fields["return_solo"]["mean"] == pytest.approx(rows["solo"]["return"])
    assert fields["social_gain"]["mean"] == pytest.approx(rows["social_gain"]["return"])
    assert fields["goals"] == pytest.approx(rows["social"]["goals"])
    assert fields["return_partners"] == pytest.approx(rows["social"]["return_partners"])
    assert fields["scripted"]["episodes"] == 6
    assert_same(load_trained_agent(str(out)).params, load_trained_agent(str(straight.run_dir / FILE)).params)


def test_stages_follow_each_other(straight, tmp_path):
    policy = RecurrentPolicyConfig(network=NETWORK, init_from=str(straight.run_dir / FILE))
    second = tiny(
        name="second", team=(dataclasses.replace(NOVICE, policy=policy), OTHER), total_timesteps=64, eval_episodes=0
    )
    train(second, tmp_path / "run", quiet=True)
    assert export(tmp_path / "run" / FILE, tmp_path / "far.safetensors") == 0
    fields = card(tmp_path / "far.safetensors")
    assert [stage["preset"] for stage in fields["training_stages"]] == ["tiny", "second"]
    assert fields["steps"] == straight.run.config.total_timesteps + 64


def test_a_clone_may_be_the_first_stage(tmp_path):
    """A stage with a teacher names the teacher and its hparams."""
    data = record_dataset(tmp_path / "data", TASK, ScriptedPolicyConfig(), num_episodes=4)
    cloned = train_clones(
        CloneConfig(name="student", network=NETWORK, learner=BehaviorCloning(epochs=1)), data, tmp_path / "clone"
    )
    policy = RecurrentPolicyConfig(network=NETWORK, init_from=str(cloned.agent_files[0]))
    learner = dataclasses.replace(NOVICE.learner, teacher="scripted")
    group = dataclasses.replace(NOVICE, policy=policy, learner=learner, hparams={"teacher_action_prob": 0.5})
    train(
        tiny(name="distilled", team=(group, OTHER), total_timesteps=64, eval_episodes=0), tmp_path / "run", quiet=True
    )
    assert export(tmp_path / "run" / FILE, tmp_path / "far.safetensors") == 0
    first, second = card(tmp_path / "far.safetensors")["training_stages"]
    assert (first["clone"], first["expert"], first["num_episodes"]) == ("student", "scripted", 4)
    assert (second["preset"], second["learner"]["teacher"], second["hparams"]) == (
        "distilled",
        "scripted",
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
