"""The command line: chooses the command, runs it, and turns its error into one line and an exit code.

Each command is a dataclass in `rookery.commands`; its fields are the options.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys

import tyro

from rookery.commands.bench import BenchCommand
from rookery.commands.clone import CloneCommand
from rookery.commands.demo import DemoCommand
from rookery.commands.doctor import DoctorCommand
from rookery.commands.envs import EnvsCommand
from rookery.commands.evaluate import EvalCommand
from rookery.commands.export import ExportCommand
from rookery.commands.options import Command
from rookery.commands.play import PlayCommand
from rookery.commands.replay import ReplayCommand
from rookery.commands.report import ReportCommand
from rookery.commands.reproduce import ReproduceCommand
from rookery.commands.resume import ResumeCommand
from rookery.commands.train import TrainCommand
from rookery.commands.zoo import ZooCommand
from rookery.errors import ConfigError, RookeryError, StorageError, suggest

COMMANDS: dict[str, type[Command]] = {
    "envs": EnvsCommand,
    "train": TrainCommand,
    "resume": ResumeCommand,
    "clone": CloneCommand,
    "eval": EvalCommand,
    "replay": ReplayCommand,
    "play": PlayCommand,
    "zoo": ZooCommand,
    "export": ExportCommand,
    "bench": BenchCommand,
    "doctor": DoctorCommand,
    "demo": DemoCommand,
    "reproduce": ReproduceCommand,
    "report": ReportCommand,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, else as in `rookery.errors` (2 for wrong arguments)."""
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()  # if the reader of a pipe has gone, find out here and not at exit
        return code
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


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("--help", "-h"):
        print(overview())
        return 0 if arguments else ConfigError.exit_code
    if arguments in (["--version"], ["-V"]):
        from rookery import __version__

        print(__version__)
        return 0
    name, *options = arguments
    if name not in COMMANDS:
        raise ConfigError(f"no command {name!r}; {suggest(name, COMMANDS)}; see rookery --help")
    try:
        command = tyro.cli(COMMANDS[name], args=options, prog=f"rookery {name}")
    except SystemExit as end:  # help was shown, or the arguments were wrong
        return end.code if isinstance(end.code, int) else 0
    return command()


def overview() -> str:
    """Every command with the first sentence of its help."""
    lines = [f"  {name:10} {(command.__doc__ or '').strip().splitlines()[0]}" for name, command in COMMANDS.items()]
    return "\n".join(
        (
            "Social learning in multi-agent reinforcement learning.",
            "",
            "usage: rookery COMMAND [OPTIONS]",
            "       rookery COMMAND --help",
            "",
            *lines,
        )
    )


def _fail(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
