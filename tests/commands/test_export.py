"""The card of an exported agent says what its returns are and how it was trained, stage by stage."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from rookery.agents.zoo import load_trained_agent
from rookery.cli import main
from rookery.commands.export import _provenance
from rookery.learning.cloning import BehaviorCloning
from rookery.training.clone_trainer import CloneConfig, train_clones
from rookery.training.config import RecurrentPolicyConfig, ScriptedPolicyConfig
from rookery.training.demonstrations import record_dataset
from rookery.training.trainer import train
from tests.tiny import NETWORK, NOVICE, OTHER, TASK, assert_same, save_novice, tiny

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


def test_stages_follow_each_other(straight, tmp_path, monkeypatch):
    """Also where a path is relative to another working directory, that of the run."""
    monkeypatch.chdir(straight.run_dir)
    policy = RecurrentPolicyConfig(network=NETWORK, init_from=FILE)
    second = tiny(
        name="second", team=(dataclasses.replace(NOVICE, policy=policy), OTHER), total_timesteps=64, eval_episodes=0
    )
    train(second, tmp_path / "run", quiet=True)
    monkeypatch.chdir(tmp_path)
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


def test_only_an_agent_that_a_run_wrote_has_its_stages(straight, tmp_path, monkeypatch, capsys):
    """Whatever the working directory is, and however the file is named from there."""
    run = tmp_path / "run"
    shutil.copytree(straight.run_dir, run)
    by_slot = {"1": "random"}
    foreign = save_novice(run / "foreign.safetensors", partners="random, scripted", partners_by_slot=by_slot)
    save_novice(run / "agents" / "foreign.safetensors")
    replaced = save_novice(run / "agents" / "solo-seed3-novice-0.safetensors")
    (tmp_path / "project" / "agents").mkdir(parents=True)
    (tmp_path / "project" / "config.json").write_text("{}")
    unrelated = save_novice(tmp_path / "project" / "agents" / "some.safetensors")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("not JSON")

    def stages(folder, agent):
        monkeypatch.chdir(folder)
        assert export(agent, tmp_path / "out.safetensors", "--episodes", "2") == 0, capsys.readouterr().err
        return [stage["preset"] for stage in card(tmp_path / "out.safetensors").get("training_stages", [])]

    for folder, agent in (
        (run, foreign.name),
        (run / "agents", "foreign.safetensors"),
        (run / "agents", replaced.name),
        (tmp_path / "other", foreign),
        (tmp_path / "project", unrelated),
    ):
        assert stages(folder, agent) == [], (folder, agent)
    for folder, agent in ((run / "agents", Path(FILE).name), (run, FILE), (tmp_path, f"run/{FILE}")):
        assert stages(folder, agent) == ["tiny"], (folder, agent)
    assert export(foreign, tmp_path / "out.safetensors", "--episodes", "2") == 0
    assert card(tmp_path / "out.safetensors")["partners_by_slot"] == by_slot


@pytest.mark.parametrize(
    ("trained", "options", "evaluated_with"),
    [
        ({}, (), {"1": "scripted"}),
        ({"partners": "random"}, (), {"1": "random"}),
        ({"partners": "random"}, ("--partners", "scripted"), {"1": "scripted"}),
        ({"partners": "random, scripted", "partners_by_slot": {"1": "random"}}, (), {"1": "random"}),
    ],
)
def test_the_card_says_with_whom_the_returns_are(tmp_path, monkeypatch, trained, options, evaluated_with):
    """Next to the partners of training, which `eval` plays with unless others are asked for."""
    for measure in ("_measured_returns", "_scripted_returns"):
        monkeypatch.setattr(f"rookery.commands.export.{measure}", lambda *_: {})
    assert export(save_novice(tmp_path / "a.safetensors", **trained), tmp_path / "b.safetensors", *options) == 0
    fields = card(tmp_path / "b.safetensors")
    assert fields["evaluated_with"] == evaluated_with
    assert {name: fields[name] for name in trained} == trained


def test_returns_alone_are_no_returns_with_partners(tmp_path, capsys):
    agent = save_novice(tmp_path / "a.safetensors")
    assert export(agent, tmp_path / "b.safetensors", "--partners", "none") == 2
    assert "leave out --partners none: the card has the return alone as well" in capsys.readouterr().err


def test_a_zoo_name_never_looks_at_the_working_directory(straight, tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("not JSON")
    for folder in (straight.run_dir, straight.run_dir / "agents", tmp_path):
        monkeypatch.chdir(folder)
        assert _provenance("goal-cycle-lite-expert") is None


def test_what_cannot_be_written_or_told_is_refused_before_evaluating(straight, tmp_path, monkeypatch, capsys):
    def never(*_):
        raise AssertionError("episodes were played")

    monkeypatch.setattr("rookery.training.evaluation.evaluate_team", never)
    (tmp_path / "file").touch()
    (tmp_path / "taken.json").mkdir()
    assert export(straight.run_dir / FILE, tmp_path / "file" / "x.safetensors") == 5
    assert "part of the path is a file" in capsys.readouterr().err
    assert export(straight.run_dir / FILE, tmp_path / "taken.safetensors") == 5
    assert "it is a folder" in capsys.readouterr().err
    shutil.copytree(straight.run_dir, tmp_path / "run")
    (tmp_path / "run" / "status.json").write_text("{}")
    assert export(tmp_path / "run" / FILE, tmp_path / "x.safetensors") == 4
    assert "status.json is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [("agent.bin", (), "must end in .safetensors"), ("agent.safetensors", ("--episodes", "1"), "must be at least 2")],
)
def test_refused_before_anything_is_written(straight, tmp_path, capsys, name, more, said):
    assert export(straight.run_dir / FILE, tmp_path / name, *more) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
