"""Options of a divided study, and of a sweep, that do not go together."""

import os

import pytest

from rookery import cli
from rookery.training.devices import DETERMINISTIC_FLAG

STUDY = "ndousse2021/fig4"


def test_a_study_may_ask_for_deterministic_ops(monkeypatch, tmp_path):
    monkeypatch.setenv("XLA_FLAGS", "--xla_x=1")
    monkeypatch.chdir(tmp_path)
    assert cli.main(["reproduce", STUDY, "--deterministic-ops", "--num-cpus", "2"]) == 2  # refused, but later
    assert os.environ["XLA_FLAGS"] == f"--xla_x=1 {DETERMINISTIC_FLAG}=true"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("reproduce", STUDY, "--shard", "1/2", "--ray"), "--shard and --ray exclude each other"),
        (("reproduce", STUDY, "--ray", "a:1", "b:2"), "--ray takes one address, not a:1 b:2"),
        (("reproduce", "--ray", STUDY), "no study is named; name it before --ray"),
        (("reproduce", STUDY, "--num-cpus", "2"), "--num-cpus needs --ray"),
        (("reproduce", STUDY, "--shard", "1/2", "--num-gpus", "1"), "--num-gpus needs --ray"),
        (("reproduce", STUDY, "--replicas-per-task", "2"), "--replicas-per-task needs --ray or --shard"),
        (("reproduce", STUDY, "--shard", "21/20"), "shard='21/20' must be K/N with K from 1 to N, such as 3/20"),
        (("reproduce", STUDY, "--ray", "--num-cpus", "0"), "num_cpus=0 must be at least 1"),
        (("reproduce", "--list", "--seeds", "0", "--shard", "x"), "--seeds, --shard cannot be used with --list; leave"),
        (("reproduce", "--list", STUDY), f"--list shows every study; leave out {STUDY}, or --list to run it"),
        (("reproduce", "--results", "nowhere"), "--results is for a study; name the study, such as ndousse2021/fig4"),
        (("sweep", "demo"), "space is empty; name a setting"),
        (("sweep", "demo", "--space", "a=1..0"), "LOW must be below HIGH"),
    ],
)
def test_refused_in_one_sentence(capsys, monkeypatch, tmp_path, arguments, said):
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # undone after the test
    monkeypatch.chdir(tmp_path)
    assert cli.main(list(arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
