"""A game in the terminal, over ssh too: two columns a cell, redrawn at every tick; no library but ANSI's codes."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import time

import numpy as np

from rookery.errors import ConfigError
from rookery.play.game import Game, check_rate
from rookery.show import colours
from rookery.show.sprites import sprite

PERSON = "terminal"
KEYS = {"\x1b[A": "up", "\x1b[B": "down", "\x1b[C": "right", "\x1b[D": "left"}
KEYS |= {code.replace("[", "O"): name for code, name in KEYS.items()}  # some terminals send these
BINDINGS = {
    "left": ("left", "a"), "right": ("right", "d"), "forward": ("up", "w"), "up": ("up", "w"), "down": ("down", "s"),
    "turn left": ("q",), "turn right": ("e",), "pick up": ("e",), "drop": ("q",), "toggle": (" ",),
}  # fmt: skip
SHOWN = {"left": "←", "right": "→", "up": "↑", "down": "↓", " ": "space"}
ARROWS, PLAIN = "▲▶▼◀", "^>v<"
SMALLEST = (24, 8)  # columns, rows

_CODE = re.compile(r"\x1b(?:[\[O][0-9;]*[A-Za-z~])?|[^\x1b]", re.DOTALL)


def bindings(game: Game) -> dict[str, str]:
    """Key to action. Actions without a key of their own get the digits, in order."""
    keys: dict[str, str] = {}
    digit = 1
    for number, action in enumerate(game.actions):
        if number == game.idle:
            continue
        own = [key for key in BINDINGS.get(action, ()) if key not in keys]
        if not own:
            own, digit = [str(digit)], digit + 1
        keys |= dict.fromkeys(own, action)
    return keys


def read_keys(text: str) -> tuple[list[str], str]:
    """The keys in what a terminal sent, by name or letter, and the beginning of one that is not all there yet."""
    rest = ""
    if cut := re.search(r"\x1b(?:[\[O][0-9;]*)?$", text):
        text, rest = text[: cut.start()], cut[0]
    return [KEYS.get(code) or code.lower() for code in map(str, _CODE.findall(text))], rest


class Screen:
    """Draws a game as lines of text with ANSI colours."""

    def __init__(self, game: Game, *, depth: int = 24, unicode: bool = True):
        """`depth`: 24 for all colours, 8 for 256 of them, 0 for none. `unicode`: False keeps to ASCII."""
        self.game, self.depth, self.arrows = game, depth, ARROWS if unicode else PLAIN
        self.fog = False

    def lines(self, columns: int, rows: int) -> list[str]:
        """The whole picture, at most so many lines, none wider."""
        if columns < SMALLEST[0] or rows < SMALLEST[1]:
            return [f"at least {SMALLEST[0]}×{SMALLEST[1]} please"[:columns]]
        game = self.game
        side = self._side()
        height, width = game.scene.tiles.shape
        room = columns - 2 - max(map(len, side))
        beside = room >= 2 * min(width, 9)
        across = min(width, room // 2 if beside else columns // 2)
        down = min(height, rows - 4 if beside else max(3, rows - 4 - len(side)))
        world = self._map(down, across)
        title = f"{game.troupe.task}  episode {game.episode + 1}, step {game.step} of {game.troupe.env.max_steps}"
        lines = [title[:columns], ""]
        if beside:
            blank = " " * (2 * across)
            for i in range(max(len(world), len(side))):
                words = side[i] if i < len(side) else ""
                lines.append(f"{world[i] if i < len(world) else blank}  {words}".rstrip())
        else:
            lines += [*world, *(words[:columns] for words in side)]
        return [*lines[: rows - 2], "", self._foot()[:columns]]

    def _side(self) -> list[str]:
        game, troupe = self.game, self.game.troupe
        mine = game.seats.get(PERSON)
        words = []
        for i, name in enumerate(troupe.names):
            who = f"{name} (you)" if i == mine else name
            arrow = self.arrows[int(game.scene.heading[i])] if game.scene.active[i] else " "
            reward = f" {game.reward[i]:+.3g}" if game.reward[i] else ""
            words.append(f"{arrow}{colours.mark(i)} {who}: {game.returns[i]:.4g}{reward}")
        words.append("")
        if game.over:
            words += ["The episode is over.", "R begins the next one."]
        elif game.paused:
            words += ["Paused; P goes on."]
        keys: dict[str, list[str]] = {}
        for key, action in bindings(game).items():
            keys.setdefault(action, []).append(SHOWN.get(key, key) if self.arrows == ARROWS else key)
        words += [f"{'/'.join(own):9} {action}" for action, own in keys.items()]
        return words

    def _foot(self) -> str:
        return f"p pause  r restart  f fog {'off' if self.fog else 'on'}  x end"

    def _map(self, down: int, across: int) -> list[str]:
        """Rows of cells around the person's agent, if not all fit."""
        game, scene = self.game, self.game.scene
        mine = game.seats.get(PERSON)
        height, width = scene.tiles.shape
        row, col = scene.position[mine if mine is not None else 0]
        top, left = int(np.clip(row - down // 2, 0, height - down)), int(np.clip(col - across // 2, 0, width - across))
        lit = scene.lit[mine] if mine is not None else np.any(scene.lit, axis=0)
        numbers = {tuple(cell): k + 1 for k, cell in enumerate(scene.goals.tolist())} if len(scene.goals) > 1 else {}
        standing: dict[tuple, int] = {}
        for agent in reversed(range(len(scene.active))):
            if scene.active[agent]:
                standing[tuple(scene.position[agent].tolist())] = agent
        if mine is not None and scene.active[mine]:
            standing[tuple(scene.position[mine].tolist())] = mine  # on top
        return [
            "".join(self._cell((r, c), lit[r, c], numbers, standing, mine) for c in range(left, left + across))
            + ("\x1b[0m" if self.depth else "")
            for r in range(top, top + down)
        ]

    def _cell(self, cell, lit, numbers, standing, mine) -> str:
        scene = self.game.scene
        if self.fog and not lit:
            return self._paint("  ", colours.TEXT, colours.NIGHT)
        kind = int(scene.tiles[cell])
        look = sprite(kind)
        ground = look.face or look.ground
        text, ink = "  ", colours.ink_on(ground)
        if not self.depth:
            text = {0: " .", 1: "##", 2: " G"}.get(kind, f" {look.name[0]}")
        if cell in numbers and kind > 1:
            text = f" {numbers[cell]}"
        if cell in standing:
            agent = standing[cell]
            text = (self.arrows[int(scene.heading[agent])] + colours.mark(agent))[:2]
            ground = colours.prestige_colour(float(scene.prestige[agent]))
            ink = colours.OUTLINE if agent == mine and colours.luminance(ground) < 0.3 else colours.ink_on(ground)
        if not lit:
            ground, ink = (self._dim(colour) for colour in (ground, ink))
        return self._paint(text, ink, ground, bold=standing.get(cell) == mine and mine is not None)

    @staticmethod
    def _dim(colour):
        return tuple(round(c * colours.GLIMMER) for c in colour)

    def _paint(self, text, ink, ground, bold=False) -> str:
        if not self.depth:
            return text
        return f"\x1b[{'1;' if bold else '22;'}{self._code(38, ink)};{self._code(48, ground)}m{text}"

    def _code(self, plane: int, colour) -> str:
        if self.depth == 24:
            return f"{plane};2;{colour[0]};{colour[1]};{colour[2]}"
        red, green, blue = (round(c / 255 * 5) for c in colour)
        if max(colour) - min(colour) < 24:  # the greys have finer steps of their own
            return f"{plane};5;{232 + round(sum(colour) / 3 / 255 * 23)}"
        return f"{plane};5;{16 + 36 * red + 6 * green + blue}"


def play_in_terminal(game: Game, rate: float) -> int:
    """Play until x, Ctrl-C, or the terminal is gone; it is left as it was found. Returns the exit code.

    Raises: ConfigError where there is no terminal, or for a rate out of range.
    """
    import termios
    import tty

    check_rate(rate)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError("--terminal needs a terminal for input and output; without it, open the page it serves")
    given, shown = sys.stdin.fileno(), sys.stdout.fileno()
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    screen = Screen(game, depth=_depth(), unicode=unicode)
    game.sit(PERSON)
    before = termios.tcgetattr(given)
    stopped: list[int] = []
    handlers = {number: signal.signal(number, lambda n, _: stopped.append(n)) for number in _ENDINGS}
    try:
        tty.setcbreak(given)
        _write(shown, "\x1b[?1049h\x1b[?25l")  # another screen, no cursor
        _loop(game, screen, rate, given, shown, stopped)
    except OSError:
        pass  # the terminal is gone
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        with contextlib.suppress(OSError, termios.error):
            _write(shown, "\x1b[0m\x1b[?25h\x1b[?1049l")
            termios.tcsetattr(given, termios.TCSADRAIN, before)
    return 0


_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _loop(game, screen, rate, given, shown, stopped) -> None:
    keys, rest = bindings(game), ""
    period, due = 1 / rate, time.monotonic()
    while not stopped:
        columns, rows = os.get_terminal_size(shown)
        lines = screen.lines(columns, rows)
        _write(shown, "\x1b[H" + "\r\n".join(f"{line}\x1b[0m\x1b[K" for line in lines) + "\x1b[J")
        due = max(due + period, time.monotonic())
        while not stopped and (left := due - time.monotonic()) > 0:
            if not select.select([given], [], [], left)[0]:
                continue
            sent = os.read(given, 1024)
            if not sent:
                return
            pressed, rest = read_keys(rest + sent.decode("utf-8", "replace"))
            for key in pressed:
                if key in keys:
                    game.paused = False
                    game.press(PERSON, keys[key])
                elif key == "p":
                    game.paused = not game.paused
                elif key == "r":
                    game.restart()
                elif key == "f":
                    screen.fog = not screen.fog
                elif key in ("x", "\x03", "\x04"):
                    return
        game.tick()


def _write(file: int, text: str) -> None:
    data = text.encode("utf-8", "replace")
    while data:
        data = data[os.write(file, data) :]


def _depth() -> int:
    """How many colours the terminal says it has."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return 0
    return 24 if os.environ.get("COLORTERM") in ("truecolor", "24bit") else 8
