"""What `rookery play` checks before it loads or compiles anything."""

import io
from types import SimpleNamespace

import pytest

from rookery.cli import main


@pytest.fixture
def refused(monkeypatch, capsys):
    """Run the command, which must fail with exit code 2 before it makes a game. Returns what it prints."""
    monkeypatch.setattr("rookery.commands.play.make_game_setup", lambda *_: pytest.fail("made a game"))

    def command(*arguments):
        assert main(["play", *arguments]) == 2
        return capsys.readouterr().err

    return command


def test_a_game_in_a_terminal_where_there_is_none(refused, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert "--terminal needs a terminal for input and output" in refused("--terminal")


def test_options_of_the_page_next_to_terminal(refused):
    page = ("--browser", "--port", "1", "--host", "::")
    assert "--host, --port, --browser cannot be used with --terminal" in refused("--terminal", *page)


def test_one_person_in_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("rookery.play.terminal.check_terminal", lambda: None)
    monkeypatch.setattr("rookery.play.game.Game", lambda *_, **__: pytest.fail("made a game"))
    setup = SimpleNamespace(env=SimpleNamespace(num_agents=3), agent_names=(), roles=())
    monkeypatch.setattr("rookery.commands.play.make_game_setup", lambda *_: setup)
    assert main(["play", "--terminal", "--human-slots", "1", "2"]) == 2
    assert "--terminal has one keyboard: name one slot after --human-slots" in capsys.readouterr().err


def test_every_slot_for_people_is_checked(monkeypatch, capsys):
    monkeypatch.setattr("rookery.play.terminal.check_terminal", lambda: None)
    monkeypatch.setattr("rookery.play.game.Game", lambda *_, **__: pytest.fail("made a game"))
    setup = SimpleNamespace(env=SimpleNamespace(num_agents=3), agent_names=(), roles=())
    monkeypatch.setattr("rookery.commands.play.make_game_setup", lambda *_: setup)
    assert main(["play", "--terminal", "--human-slots", "1", "99"]) == 2
    assert "persons cannot take the slots [1, 99]; allowed: each of 0 to 2" in capsys.readouterr().err
