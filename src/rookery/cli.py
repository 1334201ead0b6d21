"""The command line: chooses the command, runs it, and turns its error into one line and an exit code.

Each command is a dataclass in `rookery.commands`; its fields are the options. A command is imported only when it runs,
and lists are printed without parsing the command line, so that both are quick.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import sys
from typing import TYPE_CHECKING

from rookery.commands.lists import find_list
from rookery.environment import read_variable
from rookery.errors import ConfigError, NotFoundError, RookeryError, StorageError, printable, suggest

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


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, else as in `rookery.errors` (2 for wrong arguments).

    Args:
      arguments: the command line; None: the process's own, whose standard error is then filtered (see
        `rookery.commands.native_messages`).
    """
    is_process, arguments = arguments is None, sys.argv[1:] if arguments is None else arguments
    if is_process:
        _escape_unprintable()
    try:
        code = _run(arguments, is_process)
        sys.stdout.flush()  # if the reader of a pipe has gone, find out here and not at exit
        return code
    except (ConfigError, NotFoundError) as error:
        help_hint = f" (help: rookery {arguments[0]} --help)" if arguments and arguments[0] in COMMANDS else ""
        return _fail(f"{error}{help_hint}", error.exit_code)
    except RookeryError as error:
        return _fail(str(error), error.exit_code)
    except OSError as error:
        if error.errno == errno.EPIPE:
            # The reader has gone: there is nothing more to say, not even at exit.
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return _fail(f"{error.strerror or error}: {error.filename or 'no file named'}", StorageError.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except Exception as error:
        from rookery.commands.failures import explain_failure

        explained = explain_failure(error)
        if explained is None:
            raise
        return _fail(str(explained), explained.exit_code)


def _escape_unprintable() -> None:
    """Where the output is not UTF-8, characters that it lacks become escapes and not errors."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(arguments: list[str], is_process: bool) -> int:
    if not arguments or arguments[0] in ("--help", "-h"):
        print(overview())
        return 0 if arguments else ConfigError.exit_code
    if arguments in (["--version"], ["-V"]):
        from rookery import __version__

        print(__version__)
        return 0
    name, *options = arguments
    if name == "--install-completion":
        from rookery.commands.completion import install_completion

        classes = {command: (command_class(command), summary) for command, (_, summary) in COMMANDS.items()}
        return install_completion(classes, options)
    if name not in COMMANDS:
        raise ConfigError(f"no command {name!r}; {suggest(name, COMMANDS)}; see rookery --help")
    if print_list := find_list(name, options):
        return print_list()
    import tyro

    from rookery.commands.options import gather_overrides

    try:
        cls = command_class(name)
        command = tyro.cli(cls, args=gather_overrides(cls, options), prog=f"rookery {name}")
    except SystemExit as end:  # help was shown, or the arguments were wrong
        return end.code if isinstance(end.code, int) else 0
    if is_process and read_variable("ROOKERY_XLA_MESSAGES") == "filtered":
        from rookery.commands.native_messages import filter_native_messages

        filter_native_messages()
    if is_process:
        _configure_logging()
    return command()


def _configure_logging() -> None:
    """Print the library's messages on standard error, from the level of ROOKERY_LOG on."""
    import logging

    logger = logging.getLogger("rookery")
    logger.setLevel(read_variable("ROOKERY_LOG").upper())
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.propagate = False  # other libraries give the root logger handlers: every message would appear twice


def overview() -> str:
    """Every command with the first sentence of its help."""
    lines = [f"  {name:10} {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        (
            "Social learning in multi-agent reinforcement learning.",
            "",
            "usage: rookery COMMAND [OPTIONS]",
            "       rookery COMMAND --help",
            "       rookery --install-completion [bash|zsh|fish]",
            "",
            *lines,
        )
    )


def _fail(message: str, code: int) -> int:
    print(f"error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
