"""The game in a terminal, also over ssh: two columns per cell, redrawn at every tick with ANSI escape codes."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import textwrap
import time

import numpy as np

from rookery.errors import ConfigError
from rookery.play.game import Game, check_fps, ordered_goals
from rookery.training.stop_signal import stop_signals
from rookery.viz import colors
from rookery.viz.sprites import sprite_of

TERMINAL_PLAYER = "terminal"
ESCAPE_KEYS = {"\x1b[A": "up", "\x1b[B": "down", "\x1b[C": "right", "\x1b[D": "left"}
ESCAPE_KEYS |= {code.replace("[", "O"): name for code, name in ESCAPE_KEYS.items()}  # some terminals send these
ACTION_KEYS: dict[str, tuple[str, ...]] = {
    "left": ("left", "a"), "right": ("right", "d"), "forward": ("up", "w"), "up": ("up", "w"), "down": ("down", "s"),
    "turn left": ("q",), "turn right": ("e",), "pick up": ("e",), "drop": ("q",), "toggle": (" ",),
}  # fmt: skip
DIGITS = tuple("1234567890")
SPARE_KEYS = (*DIGITS, *"zcvbnm")
"""Keys of actions without keys of their own, in order; the letters have no other use."""
KEY_LABELS = {"left": "←", "right": "→", "up": "↑", "down": "↓", " ": "space"}
UNICODE_ARROWS, ASCII_ARROWS = "▲▶▼◀", "^>v<"
MIN_TERMINAL_SIZE = (24, 8)  # columns, rows

_KEY_PATTERN = re.compile(r"\x1b(?:[\[O][0-9;]*[A-Za-z~])?|[^\x1b]", re.DOTALL)


def key_bindings(game: Game) -> dict[str, str]:
    """Actions by key. One that is called by a digit has it; others without keys of their own get `SPARE_KEYS`."""
    actions = [action for number, action in enumerate(game.action_names) if number != game.idle_action]
    keys = {action: action for action in actions if action in DIGITS}
    spare = (key for key in SPARE_KEYS if key not in actions)
    for action in actions:
        if action not in DIGITS:
            action_keys = [key for key in ACTION_KEYS.get(action, ()) if key not in keys]
            keys |= dict.fromkeys(action_keys or [key for key in (next(spare, None),) if key], action)
    return keys


def read_keys(text: str) -> tuple[list[str], str]:
    """The keys in what a terminal sent, by name or letter, and the start of an escape code that is not complete yet."""
    rest = ""
    if cut := re.search(r"\x1b(?:[\[O][0-9;]*)?$", text):
        text, rest = text[: cut.start()], cut[0]
    return [ESCAPE_KEYS.get(code) or code.lower() for code in map(str, _KEY_PATTERN.findall(text))], rest


class Screen:
    """Draws a game as lines of text with ANSI colors."""

    def __init__(self, game: Game, *, color_depth: int = 24, unicode: bool = True) -> None:
        """`color_depth`: 24 for all colors, 8 for 256 colors, 0 for none. `unicode`: False for ASCII only."""
        self.game: Game
        self.color_depth: int
        self.arrows: str
        self.game, self.color_depth, self.arrows = game, color_depth, UNICODE_ARROWS if unicode else ASCII_ARROWS
        self.fog = False

    def lines(self, columns: int, rows: int) -> list[str]:
        """The picture as lines: at most `rows` lines, none wider than `columns`."""
        if columns < MIN_TERMINAL_SIZE[0] or rows < MIN_TERMINAL_SIZE[1]:
            return [f"make it {MIN_TERMINAL_SIZE[0]}×{MIN_TERMINAL_SIZE[1]} or larger"[:columns]]
        game = self.game
        side = self._side_lines()
        height, width = game.render_state.tiles.shape
        map_room = columns - 2 - max(map(len, side))
        fits_next_to_map = map_room >= 2 * min(width, 9)
        across = min(width, map_room // 2 if fits_next_to_map else columns // 2)
        down = min(height, rows - 4 if fits_next_to_map else max(3, rows - 4 - len(side)))
        map_lines = self._map_lines(down, across)
        title = f"{game.setup.task_id}  episode {game.episode + 1}, step {game.step} of {game.setup.env.max_steps}"
        lines = [title[:columns], ""]
        if fits_next_to_map:
            blank = " " * (2 * across)
            for i in range(max(len(map_lines), len(side))):
                words = side[i] if i < len(side) else ""
                lines.append(f"{map_lines[i] if i < len(map_lines) else blank}  {words}".rstrip())
        else:
            lines += [*map_lines, *(words[:columns] for words in side)]
        rules = [line for rule in game.setup.rules for line in textwrap.wrap(rule, columns)]
        if rules and len(lines) + 1 + len(rules) <= rows - 2:
            lines += ["", *rules]
        return [*lines[: rows - 2], "", self._help_line()[:columns]]

    def _side_lines(self) -> list[str]:
        game, setup = self.game, self.game.setup
        mine = game.seats.get(TERMINAL_PLAYER)
        words = []
        for i, name in enumerate(setup.agent_names):
            label = f"{name} (you)" if i == mine else name
            arrow = self.arrows[int(game.render_state.heading[i])] if game.render_state.agent_mask[i] else " "
            reward = f" {game.reward[i]:+.3g}" if game.reward[i] else ""
            words.append(f"{arrow}{colors.agent_letter(i)} {label}: {game.returns[i]:.4g}{reward}")
        words.append("")
        if game.done:
            words += ["The episode is over.", "R starts the next one."]
        elif game.paused:
            words += ["Paused; P continues."]
        keys: dict[str, list[str]] = {}
        for key, action in key_bindings(game).items():
            keys.setdefault(action, []).append(KEY_LABELS.get(key, key) if self.arrows == UNICODE_ARROWS else key)
        words += [f"{'/'.join(names):9} {action}" for action, names in keys.items()]
        return words

    def _help_line(self) -> str:
        return f"p pause  r restart  f fog {'off' if self.fog else 'on'}  x exit"

    def _map_lines(self, down: int, across: int) -> list[str]:
        """Rows of cells, those around the person's agent if not all fit."""
        game, state = self.game, self.game.render_state
        mine = game.seats.get(TERMINAL_PLAYER)
        height, width = state.tiles.shape
        row, col = state.position[mine if mine is not None else 0]
        top, left = int(np.clip(row - down // 2, 0, height - down)), int(np.clip(col - across // 2, 0, width - across))
        visible = state.visible[mine] if mine is not None else np.any(state.visible, axis=0)
        numbers = {tuple(cell): k + 1 for k, cell in enumerate(ordered_goals(state))}
        standing: dict[tuple, int] = {}
        for agent in reversed(range(len(state.agent_mask))):
            if state.agent_mask[agent]:
                standing[tuple(state.position[agent].tolist())] = agent
        if mine is not None and state.agent_mask[mine]:
            standing[tuple(state.position[mine].tolist())] = mine  # on top
        return [
            "".join(self._cell_text((r, c), visible[r, c], numbers, standing, mine) for c in range(left, left + across))
            + ("\x1b[0m" if self.color_depth else "")
            for r in range(top, top + down)
        ]

    def _cell_text(self, cell, visible, numbers, standing, mine) -> str:
        state = self.game.render_state
        if self.fog and not visible:
            return self._colorize("  ", colors.TEXT_COLOR, colors.UNSEEN_OVERLAY_COLOR)
        kind = int(state.tiles[cell])
        sprite = sprite_of(kind)
        background = sprite.label_background or sprite.background
        text, ink = "  ", colors.text_color_on(background)
        if not self.color_depth:
            text = {0: " .", 1: "##", 2: " G"}.get(kind, f" {sprite.name.removeprefix('goal, ')[0]}")
        if cell in numbers and kind > 1:
            text = f" {numbers[cell]}"
        if cell in standing:
            agent = standing[cell]
            text = (self.arrows[int(state.heading[agent])] + colors.agent_letter(agent))[:2]
            background = colors.prestige_color(float(state.prestige[agent]))
            ink = (
                colors.OUTLINE_COLOR
                if agent == mine and colors.luminance(background) < 0.3
                else colors.text_color_on(background)
            )
        if not visible:
            background, ink = (self._dim(color) for color in (background, ink))
        return self._colorize(text, ink, background, bold=standing.get(cell) == mine and mine is not None)

    @staticmethod
    def _dim(color):
        return tuple(round(c * colors.UNSEEN_BY_ALL_BRIGHTNESS) for c in color)

    def _colorize(self, text, ink, background, bold=False) -> str:
        if not self.color_depth:
            return text
        return f"\x1b[{'1;' if bold else '22;'}{self._color_code(38, ink)};{self._color_code(48, background)}m{text}"

    def _color_code(self, plane: int, color) -> str:
        if self.color_depth == 24:
            return f"{plane};2;{color[0]};{color[1]};{color[2]}"
        red, green, blue = (round(c / 255 * 5) for c in color)
        if max(color) - min(color) < 24:  # the terminal has finer steps for grays
            return f"{plane};5;{232 + round(sum(color) / 3 / 255 * 23)}"
        return f"{plane};5;{16 + 36 * red + 6 * green + blue}"


def check_terminal() -> None:
    """Raises ConfigError if input and output are no terminal."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError("--terminal needs a terminal for input and output; leave it out to play in a browser")


def play_in_terminal(game: Game, fps: float) -> int:
    """Play until x, Ctrl-C or the end of the terminal, whose settings are then restored. Returns the exit code.

    Raises: ConfigError if there is no terminal, or for an fps out of range.
    """
    import termios
    import tty

    check_fps(fps)
    check_terminal()
    input_file, output_file = sys.stdin.fileno(), sys.stdout.fileno()
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    screen = Screen(game, color_depth=_color_depth(), unicode=unicode)
    game.sit(TERMINAL_PLAYER)
    before = termios.tcgetattr(input_file)
    stopped: list[int] = []
    handlers = {number: signal.signal(number, lambda n, _: stopped.append(n)) for number in stop_signals()}
    try:
        tty.setcbreak(input_file)
        _write(output_file, "\x1b[?1049h\x1b[?25l")  # another screen, no cursor
        _run_loop(game, screen, fps, input_file, output_file, stopped)
    except OSError:
        pass  # the terminal is gone
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        with contextlib.suppress(OSError, termios.error):
            _write(output_file, "\x1b[0m\x1b[?25h\x1b[?1049l")
            termios.tcsetattr(input_file, termios.TCSADRAIN, before)
    return 0


def _run_loop(game, screen, fps, input_file, output_file, stopped) -> None:
    keys, rest = key_bindings(game), ""
    period, due = 1 / fps, time.monotonic()
    while not stopped:
        columns, rows = os.get_terminal_size(output_file)
        lines = screen.lines(columns, rows)
        _write(output_file, "\x1b[H" + "\r\n".join(f"{line}\x1b[0m\x1b[K" for line in lines) + "\x1b[J")
        due = max(due + period, time.monotonic())
        while not stopped and (left := due - time.monotonic()) > 0:
            if not select.select([input_file], [], [], left)[0]:
                continue
            sent = os.read(input_file, 1024)
            if not sent:
                return
            pressed, rest = read_keys(rest + sent.decode("utf-8", "replace"))
            for key in pressed:
                if key in keys:
                    game.paused = False
                    game.press(TERMINAL_PLAYER, keys[key])
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


def _color_depth() -> int:
    """The color depth that the environment variables of the terminal announce."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return 0
    return 24 if os.environ.get("COLORTERM") in ("truecolor", "24bit") else 8
