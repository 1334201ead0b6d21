"""A command that a signal stops says what it kept, leaves no half-written file, and has the exit code of a stop."""

import dataclasses
import os
import signal
import subprocess
import sys
import types

import pytest

from rookery import cli
from rookery.commands.command_classes import COMMANDS
from rookery.commands.score import ScoreCommand, run_score
from rookery.commands.stopping import KEPT, describe_stop
from rookery.errors import STOPPED_EXIT_CODE
from rookery.training.stop_signal import stop_signals

STOPPED_WHILE_WRITING = """
import dataclasses, os, signal, sys
from rookery import cli
from rookery.storage import atomic

@dataclasses.dataclass
class Writes:
    def __call__(self):
        os.replace = lambda *_: os.kill(os.getpid(), signal.{signal})
        atomic.write_text("card.json", "{{}}")

cli.command_class = lambda name: Writes
sys.argv = ["rookery", "score"]
sys.exit(cli.main())
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_while_a_file_is_written(tmp_path, signals_act, name):
    env = {**os.environ, "ROOKERY_XLA_MESSAGES": "all"}
    command = [sys.executable, "-c", STOPPED_WHILE_WRITING.format(signal=name)]
    ended = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (8, "", f"error: stopped; {KEPT['score']}\n")
    assert not list(tmp_path.iterdir())


STOPPED_AT_EXIT = """
import atexit, dataclasses, os, signal, sys
from rookery import cli

@dataclasses.dataclass
class Ends:
    def __call__(self):
        atexit.register(os.kill, os.getpid(), signal.{signal})
        print("done")
        return 0

cli.command_class = lambda name: Ends
sys.argv = ["rookery", "score"]
sys.exit(cli.main())
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_while_the_process_ends_is_no_traceback(signals_act, name):
    env = {**os.environ, "ROOKERY_XLA_MESSAGES": "all"}
    command = [sys.executable, "-c", STOPPED_AT_EXIT.format(signal=name)]
    ended = subprocess.run(command, env=env, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-getattr(signal, name), "done\n", "")


def test_what_each_command_keeps(monkeypatch, capsys):
    assert set(COMMANDS) > set(KEPT)
    assert describe_stop("envs") == describe_stop("") == "stopped"

    @dataclasses.dataclass
    class Stops:
        def __call__(self):
            raise KeyboardInterrupt

    monkeypatch.setattr(cli, "command_class", lambda name: Stops)
    monkeypatch.setattr(cli, "find_list", lambda *_: None)
    for name, kept in KEPT.items():
        assert cli.main([name]) == STOPPED_EXIT_CODE
        assert capsys.readouterr().err == f"error: stopped; {kept}\n"


def test_a_scorecard_is_written_together_with_its_page(tmp_path, monkeypatch):
    """A signal between the two waits until both are there; no further agent is scored then."""
    written = []

    class Card:
        numbers = {}  # noqa: RUF012 (never changed)

        def write_json(self, path):
            written.append("card")
            signal.raise_signal(signal.SIGINT)
            return path

    monkeypatch.setattr("rookery.scorecard.agents.load_scored_agent", lambda *_: types.SimpleNamespace(name="any"))
    monkeypatch.setattr("rookery.scorecard.card.find_protocol", lambda name: types.SimpleNamespace(name=name))
    monkeypatch.setattr("rookery.scorecard.card.score", lambda *_, **__: Card())
    monkeypatch.setattr(
        "rookery.scorecard.card_page.write_scorecard_page", lambda _, path: written.append("page") or path
    )
    assert run_score(ScoreCommand(("any",), out=tmp_path)) == 0
    assert written == ["card", "page"]
    with pytest.raises(KeyboardInterrupt):
        run_score(ScoreCommand(("one", "other"), group="both", out=tmp_path))
    assert written == ["card", "page"] * 2


def test_nohup_keeps_a_command_from_the_end_of_its_terminal(signals_act, monkeypatch):
    assert signal.SIGHUP in stop_signals()
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_IGN)
    assert stop_signals() == [signal.SIGINT, signal.SIGTERM]
