"""What a machine lacks, or a terminal cannot show, ends a command in one line and never in a traceback."""

import ast
import dataclasses
import errno
import importlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import rookery
from rookery import cli
from rookery.commands.clone import CloneCommand
from rookery.commands.doctor import run_doctor
from rookery.commands.generations import GenerationsCommand
from rookery.commands.options import expand_home, gather_overrides
from rookery.commands.output import outlast_readers
from rookery.commands.play import PlayCommand
from rookery.commands.replay import ReplayCommand
from rookery.commands.resume import ResumeCommand
from rookery.commands.score import ScoreCommand
from rookery.commands.sweep import SweepCommand
from rookery.commands.train import TrainCommand, print_result
from rookery.errors import (
    ConfigError,
    CorruptFileError,
    IncompatibleError,
    MissingPackageError,
    OutOfMemoryError,
    StorageError,
    explain_failure,
    suggest,
)
from rookery.plugins import load_entry_points
from rookery.scorecard.agents import FunctionAgent, load_function
from rookery.studies.study_list import load_study
from rookery.viz import record_episode

JaxError = type("JaxRuntimeError", (RuntimeError,), {"__module__": "jaxlib._jax"})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), OutOfMemoryError),
        (JaxError("RESOURCE_EXHAUSTED: Out of memory allocating\n 17179869184 bytes."), OutOfMemoryError),
        (RuntimeError("Unable to initialize backend 'cuda': no GPU"), ConfigError),
        (JaxError("INTERNAL: a mistake"), None),
        (ValueError("a mistake"), None),
    ],
)
def test_failures_of_the_machine(error, kind):
    explained = explain_failure(error)
    assert type(explained) is (kind or type(None))
    assert explained is None or str(explained).isprintable()


@pytest.mark.parametrize(
    ("error", "code"),
    [(MemoryError("17 GB"), 9), (RuntimeError("Unable to initialize backend 'cuda': \x1b[31mno"), 2)],
)
def test_the_command_line_says_it_in_one_line(monkeypatch, capsys, error, code):
    @dataclasses.dataclass
    class Fails:
        def __call__(self):
            raise error

    monkeypatch.setattr(cli, "command_class", lambda name: Fails)
    assert cli.main(["doctor"]) == code
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert said.rstrip("\n").isprintable()


def test_doctor_explains_a_device_that_is_not_there(monkeypatch, capsys):
    errors = [RuntimeError("Unable to initialize backend 'cuda': no GPU was found"), AssertionError(), KeyError("gpu")]
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    for error in errors:
        monkeypatch.setattr(jax, "devices", lambda *_, error=error: raise_error(error))
        assert run_doctor() == 1
        said = capsys.readouterr().out
        reason = str(error) or "AssertionError"
        assert f"none: JAX cannot start with JAX_PLATFORMS=cuda: {reason}; set JAX_PLATFORMS=cpu, or install" in said


COMPUTING_COMMANDS = (
    "eval random --task goal-cycle-demo-v0 --episodes 2",
    "eval goal-cycle-demo-novice --episodes 2",
    "replay random --no-gif --png 0 --out replay",
    "cross-play random scripted --task goal-cycle-demo-v0 --episodes 2",
    "schelling coin-game-3x3-v0 --episodes 4",
    "score random --out score",
    "play --port 0",
    "envs show goal-cycle-demo-v0",
    "envs show goal-cycle-demo-v0 --json",
    "train smoke --out run --quiet",
    "train smoke --dry-run",
    "demo --preset smoke --out demo --quiet",
    "generations memory-sequence --out generations --quiet",
    "clone --task goal-cycle-demo-v0 --expert scripted --episodes 4 --out clone",
    "clone --task goal-cycle-demo-v0 --expert goal-cycle-demo-novice --episodes 4 --out clone",
    "reproduce ndousse2021/theory --budget smoke",
    "bench gridworld --num-envs 8 --seconds 0.01",
    "bench update --seconds 0.01",
)
RUN_COMMANDS = """
import sys
from rookery import cli

for command in sys.argv[1].split(";"):
    code = cli.main(command.split())
    print(f"{code} {command}", file=sys.stderr)
"""
MAKE_AND_RESET = """
import gymnasium
import rookery.interop.gymnasium
from rookery.errors import ConfigError
from rookery.interop.pettingzoo import parallel_env

for env in (
    gymnasium.make("rookery/goal-cycle-demo-v0"),
    gymnasium.make_vec("rookery/goal-cycle-demo-v0", num_envs=2, vectorization_mode="vector_entry_point"),
    parallel_env("goal-cycle-demo-v0"),
):
    try:
        env.reset(seed=1)
    except ConfigError as error:
        print(f"error: {error}")
"""


def run_python(script, folder, **variables):
    """What a process prints, with other environment variables."""
    ended = subprocess.run(
        [sys.executable, "-c", script, ";".join(COMPUTING_COMMANDS)], capture_output=True, text=True, cwd=folder,
        env={**os.environ, **variables}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, ended.stderr


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"JAX_PLATFORMS": "cuda", "CUDA_VISIBLE_DEVICES": ""}, "error: JAX cannot start with JAX_PLATFORMS=cuda: "),
        ({"JAX_LEGACY_PRNG_KEY": "error"}, "error: jax_legacy_prng_key is 'error', under which tasks cannot compute"),
    ],
)
def test_a_jax_that_cannot_compute_is_one_line_of_every_command(variables, said, tmp_path):
    """A real process, as JAX says other things than expected, in places that no stand-in has."""
    _, errors = run_python(RUN_COMMANDS, tmp_path, **variables)
    lines = [line for line in errors.splitlines() if not line.startswith("slot ")]  # that of `play`, before it plays
    assert lines[1::2] == [f"2 {command}" for command in COMPUTING_COMMANDS]
    assert all(line.startswith(said) for line in lines[::2])


def test_adapters_say_in_one_line_that_jax_cannot_start(tmp_path):
    out, _ = run_python(MAKE_AND_RESET, tmp_path, JAX_PLATFORMS="cuda", CUDA_VISIBLE_DEVICES="")
    assert [line.partition(": ")[2].startswith("JAX cannot start") for line in out.splitlines()] == [True] * 3


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_process_without_standard_streams(closed, tmp_path):
    script = f'"$0" -m rookery --version {closed}; echo $?; "$0" -m rookery runs rm . {closed}; echo $?'
    config = {"task": {"kind": "maze"}, "team": [{"name": "a"}], "variants": [{"name": "b"}]}
    (tmp_path / "config.json").write_text(json.dumps({"rookery": "0.1.0", "config": config}))
    ended = subprocess.run(["sh", "-c", script, sys.executable], capture_output=True, text=True, cwd=tmp_path)
    assert ended.stdout.split() == ["0", "2"]  # removing a run asks
    assert "Traceback" not in ended.stderr


def test_the_exit_code_outlasts_the_terminal(monkeypatch):
    class Closed(io.StringIO):
        def flush(self):
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(cli, "_run", lambda *_: 8)
    monkeypatch.setattr("sys.stdout", Closed())
    monkeypatch.setattr("sys.stderr", Closed())
    assert cli.main(["train"]) == 8
    outlast_readers("eval")
    print("evaluating", file=sys.stderr, flush=True)
    with pytest.raises(OSError, match="Input/output error"):
        print("evaluated", flush=True)
    outlast_readers("train")
    print("trained", flush=True)


@pytest.mark.parametrize("encoding", ["ascii", "cp437"])
def test_output_that_is_not_utf8(encoding):
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    for command in (["--help"], ["zoo", "list"]):
        ended = subprocess.run([sys.executable, "-m", "rookery", *command], capture_output=True, env=env)
        assert (ended.returncode, ended.stderr) == (0, b"")
        assert ended.stdout.isascii() or encoding != "ascii"


@pytest.mark.parametrize("kind", [ConfigError, CorruptFileError, StorageError, OutOfMemoryError])
def test_control_characters_in_a_message_are_escaped(kind):
    assert str(kind("a\x1b]0;owned\x07\nb\u202e é\udc80")) == "a\\x1b]0;owned\\x07\\nb\\u202e é\\udc80"


def test_changes_may_stand_on_both_sides_of_an_option():
    words = "smoke total_timesteps=640 --seeds 1 num_envs=8 --quiet task.penalty=1 --out a=b --track wandb mlflow"
    ordered = "smoke total_timesteps=640 num_envs=8 task.penalty=1 --seeds 1 --quiet --out a=b --track wandb mlflow"
    assert " ".join(gather_overrides(TrainCommand, words.split(" "))) == ordered
    replay = ["a", "--out", "b", "c"]
    assert gather_overrides(ReplayCommand, replay) == replay  # it has no changes
    replay = ["runs/a=1", "--task-overrides", "penalty=1", "num_goals=4", "--out=x=1", "--seed", "1"]
    assert gather_overrides(ReplayCommand, replay) == replay
    for words in (["random", "penaltyy=3"], ["random", "--seed", "1", "penaltyy=3"]):
        with pytest.raises(ConfigError, match=r"penaltyy=3: .* --task-overrides penaltyy=3"):
            gather_overrides(ReplayCommand, words)


def test_a_change_in_the_place_of_the_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert gather_overrides(TrainCommand, ["num_envs=8", "--quiet"]) == ["demo", "num_envs=8", "--quiet"]
    assert gather_overrides(TrainCommand, ["--seeds", "1", "a.0=8"]) == ["demo", "a.0=8", "--seeds", "1"]
    assert gather_overrides(GenerationsCommand, ["population=2"]) == ["memory-sequence", "population=2"]
    assert gather_overrides(CloneCommand, ["num_seeds=2"]) == ["num_seeds=2"]  # it has no preset
    with pytest.raises(ConfigError, match="num_envs=8 is a change; name what it changes before it"):
        gather_overrides(SweepCommand, ["num_envs=8", "--space", "a=1"])
    long = f"variants=[{'1,' * 3000}1]"  # no system has such a name
    assert gather_overrides(TrainCommand, [long]) == ["demo", long]
    with pytest.raises(ConfigError, match="changes to the task follow their option"):
        gather_overrides(ReplayCommand, ["random", long])
    (tmp_path / "a=1.json").touch()
    assert gather_overrides(TrainCommand, ["a=1.json"]) == ["a=1.json"]


@pytest.mark.parametrize(
    "words", [["--seed", "1_0"], ["--steps=1_0"], ["--time-limit", "٣"], ["--cores", "1_0"], ["--join-timeout", "1_0"]]
)
def test_numbers_in_python_s_notation(words):
    with pytest.raises(ConfigError, match=r"^--[a-z-]+ (1_0|٣): write a number with the digits 0 to 9 alone"):
        gather_overrides(TrainCommand, words)
    with pytest.raises(ConfigError, match=r"--human-slots 1_0: write a number"):
        gather_overrides(PlayCommand, ["--human-slots", "1", "1_0"])
    others = ["--name", "1_0", "--group", "x_1"]
    assert gather_overrides(ScoreCommand, others) == others


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 1e300])
def test_a_time_to_join_that_no_system_waits(seconds, tmp_path):
    """Also where there is nobody to wait for."""
    for command in (TrainCommand(join_timeout=seconds), ResumeCommand(run=tmp_path, join_timeout=seconds)):
        with pytest.raises(ConfigError, match=r"^join_timeout=.* must be above 0 and at most 1,000,000 seconds"):
            command()


def test_the_home_folder_after_an_equals_sign(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    words = ["--out=~/runs", "team.0.policy.checkpoint=~/a=~/b", "--out=~", "--out=~me/x", "~/x", "x=a~/b"]
    assert list(map(expand_home, words)) == [
        "--out=/home/me/runs", "team.0.policy.checkpoint=/home/me/a=~/b", "--out=/home/me", *words[3:]
    ]  # fmt: skip


def test_no_home_folder_for_the_completion(monkeypatch, capsys):
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as for a user without an entry, in a container
    assert cli.main(["--install-completion", "bash"]) == 2
    assert "there is no home folder" in capsys.readouterr().err


def test_a_function_that_is_scored_hides_no_module(monkeypatch, tmp_path):
    (tmp_path / "mine_act.py").write_text("import mine_helper\n\ndef act(*_):\n    import mine_later\n")
    for name, text in (("mine_helper", ""), ("mine_later", ""), ("colorsys", "raise RuntimeError")):
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    load_function("mine_act:act")()
    importlib.import_module("colorsys")


EXITS = r"ended the program \(SystemExit\); put that under `if __name__ == '__main__'`"


def test_a_function_s_module_that_ends_the_program(monkeypatch, tmp_path, capsys):
    (tmp_path / "mine_exits.py").write_text("import sys\ndef act(*_): ...\nsys.exit()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert cli.main(["score", "mine_exits:act"]) == 2
    assert re.match(f"error: importing mine_exits failed: it {EXITS} ", capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".py"] in ([], ["__pycache__"])


def test_a_function_that_ends_the_program():
    agent = FunctionAgent(name="mine:act", kind="function", observation_type="pixels", function=lambda *_: sys.exit())
    with pytest.raises(IncompatibleError, match=f"failed: it {EXITS}"):
        agent.player(None, 1, None)(np.zeros((1, 2)), None, 0)


def test_another_package_that_ends_the_program(monkeypatch, tmp_path):
    (tmp_path / "other_exits.py").write_text("raise SystemExit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    point = metadata.EntryPoint("mine/study", "other_exits:STUDY", "any")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point])
    with pytest.warns(UserWarning, match=f"other_exits:STUDY failed: it {EXITS}"):
        load_entry_points("any", {}, pytest.fail)
    with pytest.raises(ConfigError, match=f"from other_exits:STUDY: it {EXITS}"):
        load_study("mine/study")


def test_the_next_command_can_be_copied_into_a_shell(capsys):
    result = SimpleNamespace(run_dir=Path("my runs/$x"), num_updates=1, finished=False)
    result.run = SimpleNamespace(config=SimpleNamespace(total_updates=2))
    assert print_result(result) == 8
    assert shlex.split(capsys.readouterr().out)[-3:] == ["rookery", "resume", "my runs/$x"]


def test_names_are_near_by_their_last_part_alone():
    names = ["ndousse2021/fig4", "ndousse2021/fig9", "ndousse2021/fig10", "jaques2019/baselines"]
    for name, nearest in (("fig44", "fig4"), ("fig99", "fig9"), ("fig10", "fig10")):
        assert suggest(name, names).startswith(f"did you mean 'ndousse2021/{nearest}'? allowed: ")
    assert suggest("jaques/baselins", names).startswith("did you mean 'jaques2019/baselines'")
    assert suggest("fig777", names).startswith("allowed: ")


def test_a_replay_that_cannot_be_written_is_refused_before_it_is_played(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(record_episode, "record_episode", lambda *_, **__: pytest.fail("played"))
    (tmp_path / "file").touch()
    (tmp_path / "x.gif").mkdir()
    for name, said in (("file/x", "part of the path is a file"), ("x", "x.gif: it is a folder")):
        assert cli.main(["replay", "random", "--out", str(tmp_path / name)]) == 5
        assert said in capsys.readouterr().err
    monkeypatch.setattr("rookery.viz.video.find_ffmpeg", lambda: raise_error(MissingPackageError("no ffmpeg")))
    assert cli.main(["replay", "random", "--mp4", "--out", str(tmp_path / "y")]) == 2
    assert "no ffmpeg" in capsys.readouterr().err


def raise_error(error):
    raise error


def test_a_picture_of_a_step_that_no_episode_has_is_refused_before_it_is_played(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(record_episode, "record_episode", lambda *_, **__: pytest.fail("played"))
    for step in ("100000", "251", "-2", "-252"):
        assert cli.main(["replay", "random", "--png", step, "--out", str(tmp_path / "x")]) == 2
        assert "an episode has at most 250 steps" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_nothing_is_decided_by_an_assertion():
    """`python -O` leaves assertions out."""
    for path in Path(rookery.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            where = f"{path}:{getattr(node, 'lineno', '')}"
            named: list[ast.AST] = []
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, where  # it would catch assertions, too
                named = [node.type]
            elif isinstance(node, ast.Call):  # such as suppress(AssertionError)
                named = [*node.args]
            elif isinstance(node, ast.Assert):  # what it does besides would be left out, too
                effects = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)
                assert not any(isinstance(part, effects) for part in ast.walk(node)), where
            assert all(getattr(part, "id", "") != "AssertionError" for n in named for part in ast.walk(n)), where


@pytest.mark.parametrize("command", [["eval"], ["replay", "--no-gif"], ["export", "--title", "x", "--out"]])
@pytest.mark.parametrize("text", ["[" * 100_000, '{"name": "\\u001b]0;owned\\u0007"}', "\x1b]0;owned\x07"])
def test_a_damaged_card_is_one_line_in_every_command(tmp_path, capsys, command, text):
    (tmp_path / "a\x1b[31m.safetensors").write_bytes(b"")
    (tmp_path / "a\x1b[31m.json").write_text(text)
    out = [str(tmp_path / "b.safetensors")] if command[0] == "export" else []
    assert cli.main([command[0], str(tmp_path / "a\x1b[31m.safetensors"), *command[1:], *out]) == 4
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.rstrip("\n").isprintable()
    assert "damaged" in said
