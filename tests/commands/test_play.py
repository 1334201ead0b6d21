"""What `rookery play` checks before it loads or compiles anything."""

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


def test_a_game_in_a_terminal_where_there_is_none(refused):
    assert "--terminal needs a terminal for input and output" in refused("--terminal")
