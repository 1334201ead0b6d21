"""Arguments of another type: what a call refuses, it names, with what is allowed, before anything else is done."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import rookery
from rookery.errors import ConfigError, NotFoundError
from rookery.interop.gymnasium import SingleAgentEnv, SingleAgentVectorEnv
from rookery.interop.jaxmarl import DictEnv
from rookery.interop.pettingzoo import parallel_env
from rookery.limits import as_texts
from rookery.scorecard.card import score
from rookery.tasks import registry
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tracking.trackers import choose_trackers
from rookery.training.clone_trainer import CloneConfig, train_clones
from rookery.training.demonstrations import record_dataset
from rookery.training.policy_config import RandomPolicyConfig
from tests.tiny import TASK, tiny

A_CONFIG = "must be a RunConfig, or the name of a preset, such as 'smoke'"
A_PATH = "must be a path, as text or a Path"
A_TASK = "must be the id of a task, such as 'goal-cycle-v0', or a task, such as GoalCycle()"
AN_AGENT = "must be the name of an agent or the path of a .safetensors file"
TEXTS = "must be a text, such as"
WHOLE = "must be a whole number"

REFUSED = [
    (lambda: rookery.train(5), f"config=5 {A_CONFIG}"),
    (lambda: rookery.train(None), f"config=None {A_CONFIG}"),
    (lambda: rookery.train(Path("smoke")), f"config=PosixPath('smoke') {A_CONFIG}"),
    (lambda: rookery.train(GoalCycle()), "config=GoalCycle(height=13, width=13, views=(ViewConfig(size=7, ... must"),
    (lambda: rookery.train("smoke", 5), f"out=5 {A_PATH}"),
    (lambda: rookery.train("smoke", b"x"), f"out=b'x' {A_PATH}"),
    (lambda: rookery.train("smoke", track=5), f"track=5 {TEXTS} 'tensorboard'"),
    (lambda: rookery.train("smoke", track=[5]), f"track=[5] {TEXTS} 'tensorboard'"),
    (lambda: rookery.train("smoke", stop_after="60"), "stop_after='60' must be a number of seconds or None"),
    (lambda: rookery.train("smoke", stop_after=float("nan")), "stop_after=nan must be at least 0"),
    (lambda: rookery.train("smoke", devices=1), "devices=1 must be a list of JAX devices"),
    (lambda: rookery.train("smoke", devices=("a",)), "devices[0]='a' must be a JAX device"),
    (lambda: rookery.train("smoke", on_update=1), "on_update=1 must be a function of (num_updates, saved) or None"),
    (lambda: rookery.resume(None), f"run=None {A_PATH}"),
    (lambda: rookery.load(None), f"agent=None {AN_AGENT}"),
    (lambda: rookery.load_run(5), f"run=5 {A_PATH}"),
    (lambda: rookery.make(["a"]), f"task=['a'] {A_TASK}"),
    (lambda: rookery.make(GoalCycle), f"task=<class 'rookery.tasks.goal_cycle.GoalCycle'> {A_TASK}"),
    (lambda: registry.describe(5), f"task=5 {A_TASK}"),
    (lambda: registry.make_env("goal-cycle-v0"), "task='goal-cycle-v0' must be a task, such as GoalCycle()"),
    (lambda: rookery.preset(["smoke"]), "preset=['smoke'] must be the name of a preset, such as 'smoke'"),
    (lambda: rookery.evaluate(5), f"agent=5 {AN_AGENT}"),
    (lambda: rookery.evaluate("random", task=5), f"task=5 {A_TASK}"),
    (lambda: rookery.evaluate("random", task_overrides=5), f"task_overrides=5 {TEXTS} 'penalty=0.5'"),
    (lambda: rookery.evaluate("random", task_overrides={"penalty": 1}), f"task_overrides={{'penalty': 1}} {TEXTS}"),
    (lambda: rookery.evaluate("random", partners=["random"]), f"partners=['random'] {AN_AGENT}"),
    (lambda: rookery.evaluate("random", partners=5), f"partners=5 {AN_AGENT}"),
    (lambda: rookery.evaluate("random", episodes="10"), f"episodes='10' {WHOLE}"),
    (lambda: rookery.evaluate("random", episodes=1.5), f"episodes=1.5 {WHOLE}"),
    (lambda: rookery.evaluate("random", episodes=float("nan")), f"episodes=nan {WHOLE}"),
    (lambda: rookery.evaluate("random", episodes=None), f"episodes=None {WHOLE}"),
    (lambda: rookery.evaluate("random", episodes=True), f"episodes=True {WHOLE}"),
    (lambda: rookery.evaluate("random", seed=1.5), f"seed=1.5 {WHOLE}"),
    (lambda: rookery.evaluate("random", seed="1"), f"seed='1' {WHOLE}"),
    (lambda: rookery.evaluate("random", seed=None), f"seed=None {WHOLE}"),
    (lambda: rookery.make_team_setup(None), f"agent=None {AN_AGENT}"),
    (lambda: SingleAgentEnv(5), f"task=5 {A_TASK}"),
    (lambda: SingleAgentVectorEnv(None), f"task=None {A_TASK}"),
    (lambda: parallel_env(None), f"task=None {A_TASK}"),
    (lambda: parallel_env(5), f"task=5 {A_TASK}"),
    (lambda: DictEnv(5), f"task=5 {A_TASK}"),
    (lambda: SingleAgentEnv(agent="one"), f"agent='one' {WHOLE}"),
    (lambda: record_dataset(5, TASK, RandomPolicyConfig(), num_episodes=4), f"folder=5 {A_PATH}"),
    (lambda: record_dataset("x", TASK, RandomPolicyConfig(), num_episodes=None), f"num_episodes=None {WHOLE}"),
    (lambda: train_clones(CloneConfig(), None, "x"), f"dataset=None {A_PATH}"),
    (lambda: train_clones(CloneConfig(), "x", 5), f"run_dir=5 {A_PATH}"),
    (lambda: score(5), "agent=5 must be the name of an agent, the path of one or a ScoredAgent"),
    (lambda: score("random", 5), "protocol=5 must be the name of a protocol or a Protocol"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message[:30] for _, message in REFUSED])
def test_arguments_of_another_type(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        call()
    assert str(error.value).startswith(message)
    assert len(str(error.value)) < 200
    assert list(tmp_path.iterdir()) == []


def test_a_task_stands_where_its_id_does():
    assert rookery.make(GoalCycle(num_goals=4)).task == GoalCycle(num_goals=4)
    assert rookery.make(GoalCycle(), num_goals=4).task == GoalCycle(num_goals=4)
    with pytest.raises(ConfigError, match="goal-cycle has no setting 'num_gaols'; did you mean 'num_goals'"):
        rookery.make(GoalCycle(), num_gaols=4)
    assert rookery.make_team_setup("random", "random", TASK).env.task == TASK
    setup = rookery.make_team_setup("random", Path("random"), TASK, "penalty=0.5")
    assert setup.env.task.penalty == 0.5


def test_a_task_whose_partners_leave_is_reduced_to_one_agent():
    task = dataclasses.replace(TASK, dropout_slots=(1,), leave_prob=0.1, return_prob=0.1, leave_step=2, return_step=4)
    assert rookery.make_team_setup("random", "none", task).env.num_agents == 1


def test_one_text_is_as_good_as_a_list_of_one():
    assert as_texts("x", "abc", "abc") == as_texts("x", ["abc"], "abc") == as_texts("x", (t for t in ("abc",)), "abc")
    assert choose_trackers("tensorboard") == ("tensorboard",)
    assert choose_trackers("none") == ()
    with pytest.raises(NotFoundError, match="no tracker 'tensorbord'; did you mean 'tensorboard'"):
        rookery.train(tiny(), track="tensorbord")


def test_an_agent_may_be_text_or_a_number_of_numpy():
    for env in (SingleAgentEnv(TASK, agent="1"), SingleAgentEnv(TASK, agent=np.int64(1))):
        env.reset(seed=0)
        assert env.step(0)[1] == 0.0
    vector = SingleAgentVectorEnv(TASK, 2, agent="1")
    vector.reset(seed=0)
    assert vector.step(np.zeros(2, int))[1].tolist() == [0.0, 0.0]
