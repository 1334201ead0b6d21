"""The command line. Each command is a dataclass whose fields are its options; the work is done elsewhere."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional, arg

from rookery.errors import RookeryError, StorageError

Overrides = Annotated[
    Positional[tuple[str, ...]],
    arg(metavar="KEY=VALUE", help="changes to the configuration, such as steps=5e6 or team.0.learning_rate=3e-4"),
]


def _unset(metavar: str, default: str):
    """How help shows an option that is None unless given."""
    return arg(metavar=metavar, help_behavior_hint=f"(default: {default})")


Seeds = Annotated[int | None, _unset("INT", "the recipe's")]
Minutes = Annotated[float | None, _unset("MINUTES", "no limit")]
Cores = Annotated[int | None, _unset("INT", "all")]
TaskId = Annotated[str | None, _unset("ID", "the one the agent was trained on")]
Beside = Annotated[str | None, _unset("AGENT", "as trained, else scripted")]


@dataclasses.dataclass
class Envs:
    """List the tasks, or show one: its rules, source, size and what each agent sees."""

    action: Positional[Literal["list", "show"]] = "list"
    task: Annotated[Positional[str | None], _unset("ID", "none")] = None
    """Id of the task to show."""

    def __call__(self) -> int:
        from rookery.commands import envs

        return envs.list_tasks() if self.action == "list" else envs.show(self.task)


@dataclasses.dataclass
class Train:
    """Train a team and save metrics, checkpoints and agents in a new folder."""

    preset: Positional[str] = "demo"
    """Where the configuration starts: demo, lite, paper, smoke, demo-expert-1 to 3, expert-1 to 5;
    or the path of a config.json."""
    overrides: Overrides = ()
    out: Annotated[Path | None, _unset("FOLDER", "runs/NAME")] = None
    """Folder of the run."""
    seeds: Seeds = None
    """Seeds of each arm, trained side by side in one program."""
    seed: Seeds = None
    """The first seed; the others count up from it."""
    steps: Annotated[float | None, _unset("STEPS", "the recipe's")] = None
    """Environment steps of each seed, such as 5e6."""
    minutes: Minutes = None
    """Save and stop in good order after so many minutes; `rookery resume` goes on."""
    cores: Cores = None
    """CPU cores to spread seeds over."""
    quiet: bool = False
    """No progress."""
    dry_run: bool = False
    """Print the resolved configuration and do nothing."""

    def __call__(self) -> int:
        from rookery.commands import runs

        return runs.train(self)


@dataclasses.dataclass
class Resume:
    """Continue a stopped or killed run, to the same numbers as if it had never stopped."""

    run: Positional[Path]
    """The run's folder."""
    minutes: Minutes = None
    """Save and stop in good order after so many minutes."""
    cores: Cores = None
    """CPU cores to spread seeds over."""
    quiet: bool = False
    """No progress."""

    def __call__(self) -> int:
        from rookery.commands import runs

        return runs.resume(self)


@dataclasses.dataclass
class Eval:
    """Play agents on episodes never trained on; print one JSON line for each: return, interval, goals, mistakes."""

    agent: Positional[str]
    """A zoo entry, a .safetensors file, a run's folder (all its agents), 'scripted' or 'random'."""
    task: TaskId = None
    """Task to play."""
    set: tuple[str, ...] = ()
    """Changes to the task, such as penalty=0.5 or goals=4."""
    beside: Beside = None
    """Who fills the other slots: a zoo entry, a file, 'scripted', 'random' or 'nobody'."""
    episodes: int = 1000
    """Episodes for each agent and condition."""
    seed: int = 0
    """Of the evaluation episodes, which are never training's."""

    def __call__(self) -> int:
        from rookery.commands import play

        return play.evaluate(self)


@dataclasses.dataclass
class Replay:
    """Film one episode: a GIF and a self-contained HTML player (map, every agent's view, rewards)."""

    agent: Positional[str]
    """A zoo entry, a .safetensors file, 'scripted' or 'random'."""
    out: Path = Path("replay")
    """Path of the films without ending."""
    task: TaskId = None
    """Task to play."""
    set: tuple[str, ...] = ()
    """Changes to the task, such as penalty=0.5 or goals=4."""
    beside: Beside = None
    """Who fills the other slots, as for `eval`; 'nobody' films it alone."""
    seed: int = 0
    """Of the episode."""
    gif: bool = True
    """Write the GIF too."""

    def __call__(self) -> int:
        from rookery.commands import play

        return play.replay(self)


@dataclasses.dataclass
class Zoo:
    """The trained agents that come with the package: list them, show a card, or verify the files."""

    action: Positional[Literal["list", "show", "verify"]] = "list"
    name: Annotated[Positional[str | None], _unset("NAME", "every entry")] = None
    """Which entry."""

    def __call__(self) -> int:
        from rookery.commands import zoo

        return zoo.main(self.action, self.name)


@dataclasses.dataclass
class Bench:
    """Measure speed on this machine; prints machine, versions and environment steps per second."""

    what: Positional[Literal["world", "update", "all"]] = "world"
    """The world alone with random actions, or the paper network's update against a matrix product."""
    seconds: float = 5.0
    """Seconds for each measurement."""
    worlds: int = 2048
    """Worlds side by side."""
    json: bool = False
    """One JSON object instead of lines."""

    def __call__(self) -> int:
        from rookery.commands import bench

        return bench.main(self.what, self.seconds, self.worlds, self.json)


@dataclasses.dataclass
class Doctor:
    """Versions, devices, and what is missing."""

    def __call__(self) -> int:
        from rookery.commands import doctor

        return doctor.main()


@dataclasses.dataclass
class Demo:
    """Train novices beside experts and alone, evaluate both, and write report.html. Goes on where it was stopped."""

    out: Path = Path("demo")
    """Folder of the report and its run."""
    seeds: Annotated[int | None, _unset("INT", "as many as the cores carry in the time, 2 to 5")] = None
    """Seeds of each arm."""
    episodes: int = 1000
    """Evaluation episodes for each agent and condition."""
    preset: str = "demo"
    """The recipe; 'smoke' only proves that everything connects."""
    quiet: bool = False
    """No progress."""

    def __call__(self) -> int:
        from rookery.commands import demo

        return demo.main(self.out, self.seeds, self.episodes, self.preset, self.quiet)


COMMANDS = {
    "envs": Envs,
    "train": Train,
    "resume": Resume,
    "eval": Eval,
    "replay": Replay,
    "zoo": Zoo,
    "bench": Bench,
    "doctor": Doctor,
    "demo": Demo,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, else as in `rookery.errors` (2 bad arguments)."""
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()  # who reads us may have gone: better found here than at exit
        return code
    except RookeryError as error:
        return _fail(str(error), error.exit_code)
    except OSError as error:
        if error.errno == errno.EPIPE:
            # Whoever read us has gone; nothing more to say, not even at exit.
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return _fail(f"{error.strerror or error}: {error.filename or 'no file named'}", StorageError.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)


def _run(given: list[str]) -> int:
    if given in (["--version"], ["-V"]):
        from rookery import __version__

        print(__version__)
        return 0
    try:
        command = tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            args=given,
            prog="rookery",
            description="Social learning in multi-agent reinforcement learning. Each command has its own --help.",
        )
    except SystemExit as done:  # help was shown, or what is wrong with the arguments
        return done.code if isinstance(done.code, int) else 0
    return command()


def _fail(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


def parse_task_changes(task, changes: tuple[str, ...]):
    """A task configuration with KEY=VALUE changes. Raises ConfigError."""
    from rookery.runs.codec import apply_overrides

    return apply_overrides(task, changes) if changes else task


def print_json(row: dict) -> None:
    """One line of JSON."""
    print(json.dumps(row, allow_nan=False), flush=True)


if __name__ == "__main__":
    sys.exit(main())
