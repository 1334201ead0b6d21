"""With --json, every line of standard output is one JSON object, however a command ends."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from rookery.cli import COMMANDS, main
from rookery.commands.command_classes import command_class
from rookery.errors import STOPPED_EXIT_CODE, UNFINISHED_EXIT_CODE
from rookery.scaling.tasks import Outcome
from tests.run_folder import write_run

STUDY = "ndousse2021/fig4"
SHARD = ("reproduce", STUDY, "--budget", "smoke", "--shard", "1/2", "--cores", "1")

CHEAP = [
    ("envs",), ("envs", "show", "goal-cycle-demo-v0"), ("envs", "show", "coin-game-3x3-v0", "--png", "task.png"),
    ("zoo",), ("zoo", "show", "goal-cycle-demo-novice"), ("zoo", "verify", "goal-cycle-demo-novice"), ("reproduce",),
    ("runs",), ("runs", "show", "runs/mine"), ("runs", "export", "runs/mine", "--csv", "mine.csv"),
    ("runs", "compare", "runs/mine"), ("runs", "rm", "runs/mine", "--yes"), ("train", "smoke", "--dry-run"),
    ("generations", "--dry-run"),
]  # fmt: skip
ELSEWHERE = {
    "resume", "clone", "eval", "schelling", "cross-play", "replay", "demo", "report", "export", "bench", "doctor",
}  # fmt: skip
"""Commands that compute; tests of their own read what they print."""


@pytest.fixture
def printed(capsys, monkeypatch, tmp_path):
    """Run a command with --json in a folder of its own. Returns the exit code and the objects that it printed."""
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # undone after the test
    monkeypatch.chdir(tmp_path)
    write_run(Path("runs/mine"))

    def command(*arguments):
        capsys.readouterr()
        code = main([*arguments, "--json"])
        rows = list(map(json.loads, capsys.readouterr().out.splitlines()))
        assert all(isinstance(row, dict) for row in rows)
        return code, rows

    return command


@pytest.mark.parametrize("arguments", CHEAP, ids=" ".join)
def test_lists_and_facts(printed, arguments):
    code, rows = printed(*arguments)
    assert code == 0
    assert rows


def test_every_command_with_json_has_a_test():
    tested = {arguments[0] for arguments in CHEAP} | {"sweep", "score"} | ELSEWHERE
    has_json = {name for name in COMMANDS if "json" in {f.name for f in dataclasses.fields(command_class(name))}}
    assert tested == has_json


@pytest.mark.parametrize(
    ("outcome", "code", "row"),
    [
        (Outcome(), 0, {"finished": True}),
        (Outcome(stopped=True), STOPPED_EXIT_CODE, {"finished": False, "missing": {}}),
        (Outcome(missing={"a": "why"}), UNFINISHED_EXIT_CODE, {"finished": False, "missing": {"a": "why"}}),
    ],
)
def test_a_shard(printed, monkeypatch, outcome, code, row):
    def run_shard(study, session, shard, replicas_per_task, log):
        log("progress")
        return outcome

    monkeypatch.setattr("rookery.scaling.shards.run_shard", run_shard)
    assert printed(*SHARD) == (code, [{"study": STUDY, "shard": "1/2", **row}])


def test_a_sweep_that_was_stopped(printed, monkeypatch):
    def sweep(config, options, out, *, stop_after, log):
        log("trial 0")
        return []

    monkeypatch.setattr("rookery.scaling.sweep_trials.sweep", sweep)
    command = ("sweep", "smoke", "--space", "num_envs=4,8", "--out", "tried")
    assert printed(*command) == (STOPPED_EXIT_CODE, [{"finished": False, "trials": 0}])


def test_generations_that_were_stopped(printed, monkeypatch):
    def train_generations(config, out, *, quiet, stop_after, log):
        log("generation 1")
        return False

    monkeypatch.setattr("rookery.training.generation_chain.train_generations", train_generations)
    row = {"finished": False, "generations": "chain"}
    assert printed("generations", "--out", "chain") == (STOPPED_EXIT_CODE, [row])


class Card:
    """In place of a ScoreCard."""

    def to_dict(self):
        return {"headline": 1.0}


def test_each_card_is_printed_when_its_agent_is_done(printed, monkeypatch):
    def score_one(options, agent, file_name, label, folder, *, is_last):
        if file_name == "both-scripted":
            raise KeyboardInterrupt
        return Card(), [folder / f"{file_name}.json"]

    monkeypatch.setattr("rookery.commands.score._score_one", score_one)
    row = {"headline": 1.0, "files": ["scorecards/social-v1/both-random.json"]}
    assert printed("score", "random", "scripted", "--group", "both") == (STOPPED_EXIT_CODE, [row])
