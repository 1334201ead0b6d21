"""Every command by name; a command's module is imported only when it runs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rookery.commands.options import Command

COMMANDS: dict[str, tuple[str, str]] = {
    "envs": ("envs:EnvsCommand", "List the tasks, or show one: its rules, source, size and what each agent sees."),
    "train": ("train:TrainCommand", "Train a team and save metrics, checkpoints and agents in a new folder."),
    "resume": (
        "resume:ResumeCommand",
        "Continue a stopped or killed run, with the same numbers as if it had never stopped.",
    ),
    "runs": ("runs:RunsCommand", "List runs, show or compare them, export their metrics as a table, or remove them."),
    "generations": (
        "generations:GenerationsCommand",
        "Train generation after generation, each from scratch next to the best agent of the one before, and evaluate "
        "all.",
    ),
    "clone": (
        "clone:CloneCommand",
        "Record an expert's episodes and train clones of it by behavior cloning. Run it again to continue.",
    ),
    "eval": (
        "evaluate:EvalCommand",
        "Evaluate agents on episodes never trained on: return with its 95 % interval, goals, mistakes, social gain.",
    ),
    "score": (
        "score:ScoreCommand",
        "Score how far an agent learns from others, by a fixed protocol: numbers as JSON, and a page with pictures.",
    ),
    "schelling": (
        "schelling:SchellingCommand",
        "Draw a task's Schelling diagram, and say whether it is a social dilemma, by greed or by fear.",
    ),
    "cross-play": (
        "cross_play:CrossPlayCommand",
        "Play every agent with every other, such as the teams of all seeds of a run, and print the matrix of returns.",
    ),
    "replay": (
        "replay:ReplayCommand",
        "Record one episode: a GIF and a self-contained HTML player (map, each agent's view, rewards), or a video.",
    ),
    "play": (
        "play:PlayCommand",
        "Move one agent yourself, in a browser page or in the terminal, while policies move the others.",
    ),
    "zoo": (
        "zoo:ZooCommand",
        "The trained agents that come with the package: list them, show a card, or verify the files.",
    ),
    "export": (
        "export:ExportCommand",
        "Save an agent as a file of its own, with a card: its returns, alone and with partners, and how it was "
        "trained.",
    ),
    "bench": (
        "bench:BenchCommand",
        "Measure speed on this machine; print the machine, versions and environment steps per second.",
    ),
    "doctor": (
        "doctor:DoctorCommand",
        "Show versions and devices, and check that everything needed is installed and works.",
    ),
    "demo": (
        "demo:DemoCommand",
        "Train novices with experts and alone, evaluate both, and write report.html. Run it again to continue.",
    ),
    "reproduce": (
        "reproduce:ReproduceCommand",
        "Run a published experiment: train what is missing, evaluate, judge its claims, write results and a report.",
    ),
    "sweep": (
        "sweep:SweepCommand",
        "Try settings of a run on seeds of their own: a table, a figure and the best configuration as a file.",
    ),
    "report": (
        "report:ReportCommand",
        "Draw a study's figures and page again from its results, judge its claims again, and index all results.",
    ),
}
"""Name to "module:class" in `rookery.commands` and the first line of the class's docstring."""


def command_class(name: str) -> type[Command]:
    """The dataclass of a command; imports it."""
    module, _, cls = COMMANDS[name][0].partition(":")
    return getattr(importlib.import_module(f"rookery.commands.{module}"), cls)
