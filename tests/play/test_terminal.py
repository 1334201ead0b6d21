"""The terminal: what it draws, which keys it knows, and a whole game through a pseudo-terminal."""

import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import ConfigError
from rookery.play.terminal import TERMINAL_PLAYER, Screen, key_bindings, play_in_terminal, read_keys

PLAIN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def screen(game):
    game.sit(TERMINAL_PLAYER)
    return Screen(game, color_depth=0)


def test_the_whole_picture(screen):
    assert "\n".join(line.rstrip() for line in screen.lines(60, 20)) == textwrap.dedent(
        """\
        a-task-v0  episode 1, step 0 of 8

        ##################  ▶A turner (you): 0
        ##▶A . 1 . . 2 .##  ◀B walker: 0
        ## . . . . . . .##
        ## . . . . . .◀B##  ←/a       left
        ##################  →/d       right
                            ↑/w       forward

        Enter the goals in the order of their numbers, again and
        again; start with any. Each next goal pays 1.
        Any other goal costs 0.5, also the last one again. Each
        agent is paid for its own goals alone, and no agent sees the
        numbers.

        p pause  r restart  f fog on  x exit"""
    )


def test_ascii_where_the_terminal_has_no_more(game):
    game.sit(TERMINAL_PLAYER)
    text = "\n".join(Screen(game, color_depth=0, unicode=False).lines(60, 20))
    assert ">A" in text
    assert text.isascii()


def test_fog_leaves_what_the_agent_sees(screen):
    screen.fog = True
    rows = screen.lines(60, 20)[2:7]
    assert "##  . ." not in rows[1]
    assert "▶A ." in rows[1]
    assert "◀B##" not in rows[3]
    assert rows[3].startswith(" " * 18)


@pytest.mark.parametrize("depth", [0, 8, 24])
@pytest.mark.parametrize("size", [(24, 8), (30, 10), (40, 30), (80, 24), (300, 100)])
def test_it_keeps_to_the_terminals_size(game, depth, size):
    game.sit(TERMINAL_PLAYER)
    columns, rows = size
    lines = [PLAIN.sub("", line) for line in Screen(game, color_depth=depth).lines(columns, rows)]
    assert len(lines) <= rows
    assert max(map(len, lines)) <= columns
    assert any("▶A" in line for line in lines)  # the person's agent is always in the picture


def test_too_small(screen):
    assert screen.lines(23, 30) == ["make it 24×8 or larger"]
    assert screen.lines(3, 1) == ["mak"]


def test_colors(game):
    game.sit(TERMINAL_PLAYER)
    assert "\x1b[1;38;2;" in "\n".join(Screen(game, color_depth=24).lines(80, 24))
    assert "48;2;" not in "\n".join(Screen(game, color_depth=8).lines(80, 24))
    assert "48;5;" in "\n".join(Screen(game, color_depth=8).lines(80, 24))


def test_keys_and_their_actions(game):
    assert key_bindings(game) == {
        "left": "left", "a": "left", "right": "right", "d": "right", "up": "forward", "w": "forward",
    }  # fmt: skip


def test_an_action_that_is_called_by_a_digit_has_its_key():
    def bindings(*names, idle=None):
        return key_bindings(SimpleNamespace(action_names=names, idle_action=idle))

    digits = [str(digit) for digit in range(10)]
    assert bindings(*digits) == dict(zip(digits, digits, strict=True))
    assert bindings("0", "1", "b", "2", "stay", idle=4) == {"0": "0", "1": "1", "2": "2", "3": "b"}
    many = [f"action {number}" for number in range(20)]
    assert list(bindings(*many)) == list("1234567890zcvbnm")


def test_keys_come_in_pieces():
    assert read_keys("\x1b[Aw\x1bOD") == (["up", "w", "left"], "")
    assert read_keys("a\x1b[") == (["a"], "\x1b[")
    assert read_keys("\x1b[" + "C") == (["right"], "")
    assert read_keys("\x1b[15~X") == (["\x1b[15~", "x"], "")


@given(st.text(alphabet="\x1b[OABCD;0~aé", max_size=12), st.integers(0, 12))
def test_wherever_the_pieces_are_cut(text, cut):
    whole, left = read_keys(text)
    first, rest = read_keys(text[:cut])
    second, end = read_keys(rest + text[cut:])
    assert (first + second, end) == (whole, left)


def test_without_a_terminal(game, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(ConfigError, match="--terminal needs a terminal"):
        play_in_terminal(game, 5)
    with pytest.raises(ConfigError, match="fps=99"):
        play_in_terminal(game, 99)


PROGRAM = """
from rookery.play.terminal import play_in_terminal
from tests.play.conftest import start
raise SystemExit(play_in_terminal(start(), 20))
"""


class Terminal:
    """A program behind a pseudo-terminal of 24 rows and 80 columns."""

    def __init__(self):
        self.own, theirs = pty.openpty()
        import fcntl
        import struct
        import termios

        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(theirs)
        root = Path(__file__).parents[2]
        path = os.pathsep.join([str(root), str(root / "src"), os.environ.get("PYTHONPATH", "")])
        env = os.environ | {"TERM": "xterm", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8", "PYTHONPATH": path}
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=env,
            start_new_session=True,
        )  # fmt: skip
        self.theirs, self.text = theirs, ""

    def until(self, wanted, seconds=300):
        """Read until the text since the last call holds a pattern."""
        end = time.monotonic() + seconds
        while not (result := re.search(wanted, PLAIN.sub("", self.text), re.DOTALL)):
            assert time.monotonic() < end, self.text[-2000:]
            if select.select([self.own], [], [], 0.2)[0]:
                self.text += os.read(self.own, 1 << 16).decode("utf-8", "replace")
        self.text = ""
        return result

    def finish(self):
        """The exit code, and what came last."""
        end = time.monotonic() + 300
        while self.process.poll() is None:
            assert time.monotonic() < end
            if select.select([self.own], [], [], 0.1)[0]:
                self.text += os.read(self.own, 1 << 16).decode("utf-8", "replace")
        while select.select([self.own], [], [], 0)[0]:
            self.text += os.read(self.own, 1 << 16).decode("utf-8", "replace")
        return self.process.returncode, self.text

    def is_as_before(self):
        import termios

        return termios.tcgetattr(self.theirs) == self.before

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        os.close(self.own)
        os.close(self.theirs)


@pytest.fixture
def terminal():
    terminal = Terminal()
    yield terminal
    terminal.close()


def test_a_game_through_a_terminal(terminal):
    terminal.until(r"turner \(you\)")
    os.write(terminal.own, b"p")
    terminal.until("Paused")
    os.write(terminal.own, b"r")
    heading = terminal.until(r"step 0 of 8.*?(.)A turner")[1]
    os.write(terminal.own, b"\x1b[C")  # to the right; which goes on, too
    after = terminal.until(r"step [1-7] of 8.*?(.)A turner")[1]
    assert "▲▶▼◀".index(after) == ("▲▶▼◀".index(heading) + 1) % 4
    os.write(terminal.own, b"x")
    code, text = terminal.finish()
    assert (code, text.endswith("\x1b[0m\x1b[?25h\x1b[?1049l")) == (0, True)
    assert terminal.is_as_before()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_terminal_is_left_in_order_when_stopped(terminal, number):
    terminal.until(r"turner \(you\)")
    terminal.process.send_signal(number)
    code, text = terminal.finish()
    assert code == 0
    assert text.endswith("\x1b[?25h\x1b[?1049l")
    assert terminal.is_as_before()
