"""Mutated configurations, maps and command lines: one line and an exit code, never a traceback."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import random
from typing import Any

from benchmarks.torture.files import NASTY
from benchmarks.torture.record import TrialError

from rookery.cli import main
from rookery.errors import RookeryError
from rookery.storage.serialization import from_dict, to_dict
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.social_dilemmas.cleanup import Cleanup
from rookery.training.config import RunConfig
from rookery.training.memory import check_memory
from rookery.training.presets import preset

PRESETS = ("smoke", "demo", "lite", "cleanup", "harvest-small-moa", "box-trapped")
MAPS = ("#####\n#1A.#\n#2.3#\n#####", "#######\n#A..1.#\n#.G.A.#\n#######", "#####\n#A~o#\n#w,A#\n#####")
COMMANDS = (
    ["train", "smoke", "num_envs=8", "--dry-run"],
    ["train", "smoke", "team.0.learner.clip_eps=0.3", "--seeds", "2", "--dry-run", "--steps", "1e4"],
    ["envs", "show", "goal-cycle-v0"],
    ["zoo", "show", "goal-cycle-demo-expert"],
    ["eval", "nowhere.safetensors", "--episodes", "2", "--seed", "3"],
    ["replay", "nowhere", "--png", "3", "--no-gif"],
    ["resume", "nowhere", "--cores", "1", "--restart"],
    ["export", "nowhere.safetensors", "--out", "x.safetensors", "--title", "x"],
    ["clone", "--data", "nowhere", "--out", "nowhere", "learner.epochs=2"],
    ["reproduce", "ndousse2021/fig99", "--budget", "smoke"],
    ["report", "nowhere", "--results", "nowhere"],
)
WORDS = (
    "--",
    "-1",
    "=",
    "a=",
    "=b",
    "--seed",
    "--task",
    "nan",
    "1e999",
    "\x1b[31m",
    "é",
    "",
    "../..",
    "0x10",
    "[" * 50,
)


def trial(number: int) -> None:
    """A configuration, a map or a command line, in turn."""
    dice = random.Random(number)
    (_configuration, _map, _command_line)[number % 3](dice)


def _configuration(dice: random.Random) -> None:
    data = json.loads(json.dumps(to_dict(preset(dice.choice(PRESETS)))))
    for _ in range(dice.randint(1, 3)):
        _change(data, dice)
    with _refusals():
        config = from_dict(RunConfig, data)
        if dice.random() < 0.05:  # takes most of the time
            check_memory(config)


def _change(data: Any, dice: random.Random) -> None:
    node = data
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = dice.choice(keys)
        if isinstance(node[key], dict | list) and node[key] and dice.random() < 0.85:
            node = node[key]
        else:
            node[key] = copy.deepcopy(dice.choice(NASTY))  # a later change may go into it
            return


def _map(dice: random.Random) -> None:
    text = list(dice.choice(MAPS))
    for _ in range(dice.randint(1, 4)):
        position = dice.randrange(len(text))
        mark = dice.choice(list("#.A123G~ow,+=@HPB\n\r\t²٣\x1b\0 "))
        text[position : position + dice.randint(0, 2)] = mark
    with _refusals():
        Cleanup(map="".join(text), num_agents=2) if dice.random() < 0.5 else GoalCycle(map="".join(text))


def _command_line(dice: random.Random) -> None:
    arguments = list(dice.choice(COMMANDS))
    for _ in range(dice.randint(1, 3)):
        position = dice.randrange(1, len(arguments) + 1)
        if dice.random() < 0.3 and position < len(arguments):
            del arguments[position]
        else:
            arguments.insert(position, dice.choice(WORDS))
    if arguments[0] == "train" and "--dry-run" not in arguments:
        arguments.append("--dry-run")
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = main(arguments)
    said = errors.getvalue()
    if not isinstance(code, int) or "Traceback" in said or "\x1b]" in said:
        raise TrialError(f"{arguments}: exit code {code}: {said[-300:]!r}")


@contextlib.contextmanager
def _refusals():
    try:
        yield
    except RookeryError as error:
        if not str(error).isprintable() or len(str(error)) > 3000:
            raise TrialError(f"the message is not a printable line: {str(error)[:200]!r}") from None
