"""The demo from end to end, with the preset that only shows that everything runs."""

import json
import os
import re
import signal

import numpy as np
import pytest

from rookery import cli
from rookery.commands.demo import VERDICT_WORDS, _judge
from rookery.commands.demo_report import followed_steps, summary_sentence
from rookery.errors import STOPPED_EXIT_CODE
from rookery.storage import metrics
from rookery.training import trainer
from rookery.training.presets import preset
from rookery.training.trainer import load_config
from rookery.viz.recording import Recording

pytestmark = [pytest.mark.usefixtures("quick"), pytest.mark.slow]


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))

    def command(*arguments):
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        output = capsys.readouterr()
        return code, output.out, output.err

    return command


def test_from_end_to_end(run, tmp_path, monkeypatch):
    out = tmp_path / "demo"
    command = ["demo", "--preset", "smoke", "--episodes", "10", "--seeds", "1", "--out", out, "--quiet"]
    write = metrics.MetricsWriter.write

    def interrupt(self, update, *rest):
        if update == 3:
            os.kill(os.getpid(), signal.SIGINT)
        write(self, update, *rest)

    # Interrupted, it saves, stops and says how to continue.
    with monkeypatch.context() as patch:
        patch.setattr(metrics.MetricsWriter, "write", interrupt)
        code, said, err = run(*command)
    assert (code, err) == (STOPPED_EXIT_CODE, "")
    assert said == f"stopped; run the same command to continue {out / 'run'}\n"
    assert not (out / "report.html").exists()

    # The same command continues to the end.
    code, said, err = run(*command)
    assert (code, err) == (0, "")
    assert said.splitlines()[-1] == f"report: {(out / 'report.html').resolve()}"
    lines = (out / "run" / "metrics.jsonl").read_bytes()
    assert [json.loads(line)["update"] for line in lines.splitlines()] == [1, 2, 3, 4, 5, 6]
    check_results(json.loads((out / "results.json").read_text()))
    check_report((out / "report.html").read_text())

    # Run again, it uses the agents and, without --seeds, the seeds that it has.
    monkeypatch.setattr(trainer, "train", lambda *_, **__: pytest.fail("trained again"))
    first = json.loads((out / "results.json").read_text())
    command.remove("--seeds")
    command.remove("1")
    code, _, err = run(*command)
    assert (code, err) == (0, "")
    assert (out / "run" / "metrics.jsonl").read_bytes() == lines
    again = json.loads((out / "results.json").read_text())
    assert again["seconds"]["training"] == first["seconds"]["training"] > 0
    assert {**again, "seconds": 0} == {**first, "seconds": 0}

    # Another demo does not fit in its folder.
    code, _, err = run(*command, "--seeds", "2")
    assert code == 2
    assert "holds another run" in err
    assert load_config(out / "run") == preset("smoke")


def check_results(results):
    assert {row["variant"] for row in results["replicas"]} == {"social", "solo"}
    assert results["judged"] is False
    assert len(results["claims"]) == 3
    assert all(claim["holds"] in (True, False, None) for claim in results["claims"])
    for row in results["replicas"]:
        social, solo, gain = (row[name]["mean"] for name in ("return_social", "return_solo", "social_gain"))
        assert gain == pytest.approx(social - solo, abs=1e-6)
        assert row["return_social"]["low"] <= social <= row["return_social"]["high"]
    for interval in results["intervals"].values():
        assert interval["low"] <= interval["mean"] <= interval["high"]
    assert results["episodes"] == 10
    assert results["steps"] == {"per_seed": 1920, "seeds_per_variant": 1}
    changed = {row["setting"]: row for row in results["config_diff"]}
    assert changed["task.height"] == {"setting": "task.height", "paper": 13, "here": 7}
    assert "num_seeds" not in changed
    assert "task.penalty" not in changed


def check_report(page):
    assert not re.findall(r"""(?:src|href)=["']https?:""", page)
    assert "Social learning was " not in page  # smoke judges nothing
    assert "its claims are not judged" in page
    assert "Every setting that differs from the published experiment." in page
    assert len(page) > 50_000  # the figures and films are in it
    assert "most often a goal that an expert entered last, at most 10 steps before" in page


def test_goals_entered_behind_an_expert_are_counted_in_a_film():
    """Agent 0 stands next to goals 1 and 2, at (0, 1) and (2, 1), and enters them behind agents 1 and 2."""
    away, first, second = (1, 0), (0, 1), (2, 1)
    positions = [
        (away, away, away),
        (away, first, away),  # step 1: an expert enters goal 1
        (first, first, second),  # step 2: so does agent 0, while the other expert enters goal 2
        (second, away, second),  # step 3: and that one
        (first, away, away),  # step 4: goal 1 was entered three steps ago
        (second, away, second),  # step 5: in the same step as an expert; the last time before was three steps ago
    ]
    position = np.array(positions, np.int16)
    moved = (position[1:] != position[:-1]).any(-1)
    reward = (moved & (position[1:] != away).any(-1)).astype(np.float32)
    still, steps = np.zeros((6, 3)), len(reward)
    film = Recording(
        task="three cells", agent_names=("A", "B", "C"), roles=("frozen",) * 3, tiles=np.zeros((6, 3, 2)),
        position=position, heading=still, agent_mask=still == 0, prestige=still, reward=reward,
        action=np.zeros((steps, 3)), action_names=("move",), goals=np.array([first, second]),
        views=(np.zeros((6, 1, 1, 3)),) * 3,
    )  # fmt: skip
    assert followed_steps(film, 2) == [2, 3]
    assert followed_steps(film, 3) == [2, 3, 4, 5]
    assert followed_steps(film, 1) == [2, 3]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--episodes", "1"], 2, "episodes=1 must be at least 2"),
        (["--seeds", "0"], 2, "num_seeds=0 must be at least 1"),
        (["--seeds", "-3"], 2, "num_seeds=-3 must be at least 1"),
        (["--preset", "demmo"], 6, "no preset 'demmo'; did you mean 'demo'?"),
        (["--preset", "paper"], 2, "preset 'paper' does not have the variants 'social' and 'solo'"),
    ],
)
def test_refused_before_anything_is_written(run, tmp_path, arguments, code, said):
    actual, _, err = run("demo", "--out", tmp_path / "demo", *arguments)
    assert actual == code
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "demo").exists()


def test_the_sentence_says_what_was_seen():
    names = ("social: return_social", "social: return_solo", "social: social_gain", "solo: return_solo")
    intervals = {name: {"mean": 2.0, "low": 1.5, "high": 2.5} for name in names}
    replicas = [{"variant": "social", "social_gain": {"low": low}} for low in (0.5, -0.1)]
    replicas.append({"variant": "solo", "social_gain": {"low": 1.0}})
    results = {"intervals": intervals, "replicas": replicas, "intervals_over": "2 seeds"}
    sentence = summary_sentence({**results, "claims": [{"holds": True}, {"holds": True}]})
    assert sentence.startswith("Social learning was seen: ")
    assert "1 of 2 social seeds" in sentence
    assert "over 2 seeds" in sentence
    sentence = summary_sentence({**results, "claims": [{"holds": True}, {"holds": None}]})
    assert sentence.startswith("Social learning was not clearly seen: ")
    sentence = summary_sentence({**results, "claims": [{"holds": None}, {"holds": False}]})
    assert sentence.startswith("Social learning was not seen: ")


def judged(social, solo, episodes=200):
    """What the demo says of the three claims, for novices whose mean returns with experts are these; alone, 0.5."""
    random = np.random.default_rng(0)

    def play(means):
        return [(random.normal(m, 1, episodes), random.normal(0.5, 1, episodes)) for m in means]

    return [claim["holds"] for claim in _judge({"social": play(social), "solo": play(solo)})["claims"]]


@pytest.mark.parametrize(
    ("social", "claims"),
    [
        ([9, 9.2, 8.8, 9.1, 9], [True, True, True]),
        ([9, 8, 1, 1, 1], [None, None, None]),  # two of five seeds learned
        ([-3, -3.1, -2.9, -3, -3.2], [False, False, False]),
        ([9, 9.2], [True, True, True]),  # of these novices, over their episodes
        ([1, 1], [None, True, True]),
    ],
)
def test_claims_of_the_demo_hold_fail_or_are_undecided(social, claims):
    assert judged(social, [0.5] * len(social)) == claims
    assert {True, False, None} == set(VERDICT_WORDS)


def test_the_demo_compares_means_by_their_difference():
    """Intervals that overlap may belong to means that differ."""
    first, second = ([m + 0.5 * k for k in (-2, -1, 0, 1, 2)] for m in (2.8, 1.5))
    novices = {
        "social": [(np.full(10, m), np.zeros(10)) for m in first],
        "solo": [(np.zeros(10), np.full(10, m)) for m in second],
    }
    results = _judge(novices)
    social, solo = (results["intervals"][name] for name in ("social: return_social", "solo: return_solo"))
    assert social["low"] < solo["high"]
    assert results["claims"][1]["holds"]
