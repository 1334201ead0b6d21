"""Options that several commands share, and what commands do with them. Imports nothing heavy, so `--help` is quick."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import sys
import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Protocol

from tyro.conf import Positional, arg

from rookery.errors import ConfigError
from rookery.storage.strict_json import NUMBER

_CHANGE = re.compile(r"[A-Za-z_][\w.]*=")
"""How KEY=VALUE begins."""


class Command(Protocol):
    """A command: a dataclass whose fields are its options, with help texts below them."""

    def __call__(self) -> int:
        """Run it. Returns the exit code."""
        ...


def optional(metavar: str, default: str) -> Any:
    """How help shows an option that is None unless given."""
    return arg(metavar=metavar, help_behavior_hint=f"(default: {default})")


Overrides = Annotated[
    Positional[tuple[str, ...]],
    arg(
        metavar="KEY=VALUE",
        help="Changes to the configuration by the path of a field: total_timesteps=5e6 or team.0.learning_rate=3e-4 in "
        "a run, run.total_timesteps=2e5 in generations, learner.learning_rate=1e-3 in clone.",
        help_behavior_hint="(default: none)",
    ),
]
TaskOverrides = Annotated[tuple[str, ...], arg(metavar="KEY=VALUE", help_behavior_hint="(default: none)")]
PresetInt = Annotated[int | None, optional("INT", "the preset's")]
TimeLimit = Annotated[float | None, optional("MINUTES", "no limit")]
Cores = Annotated[int | None, optional("INT", "all")]
TaskId = Annotated[str | None, optional("ID", "the one the agent was trained on")]
Track = Annotated[
    tuple[str, ...],
    arg(
        metavar="TRACKER",
        help="Where metrics go besides metrics.jsonl: tensorboard, wandb, mlflow or a tracker of another package, one "
        "or several; or none. A resumed run continues with the same.",
        help_behavior_hint="(default: $ROOKERY_TRACK, else tensorboard)",
    ),
]
Coordinator = Annotated[
    str | None,
    arg(
        metavar="HOST:PORT",
        help="Where process 0 of a run of several processes waits for the others.",
        help_behavior_hint="(default: of SLURM or Open MPI)",
    ),
]
NumProcesses = Annotated[
    int | None,
    arg(
        metavar="INT",
        help="Processes that train this run together; each is started with the same command. 1: this one alone.",
        help_behavior_hint="(default: of SLURM or Open MPI, else 1)",
    ),
]
ProcessId = Annotated[
    int | None,
    arg(
        metavar="INT",
        help="Number of this process, from 0; process 0 writes the run's folder.",
        help_behavior_hint="(default: of SLURM or Open MPI)",
    ),
]
JoinTimeout = Annotated[float, arg(metavar="SECONDS", help="Time in which all processes must have started.")]
Json = Annotated[bool, arg(help="Print JSON instead of text: one object per line.")]
PartnersOption = Annotated[str | None, optional("AGENT", "as in training, else scripted")]


def time_limit_seconds(time_limit: float | None) -> float | None:
    """Minutes, as the command line has them, in seconds. Raises ConfigError if negative or NaN."""
    if time_limit is not None and not time_limit >= 0:
        raise ConfigError(f"time_limit={time_limit} must be at least 0")
    return None if time_limit is None else 60 * time_limit


def use_cores(cores: int | None, num_threads: int | None = None) -> None:
    """Let JAX use so many CPU cores; None: all. Call before JAX starts. Raises ConfigError for fewer than one.

    num_threads: as for `rookery.training.devices.use_all_cores`.
    """
    from rookery.training.devices import use_all_cores

    check_cores(cores)
    use_all_cores(cores, num_threads)


def check_cores(cores: int | None) -> None:
    """Raises ConfigError for fewer than one core."""
    if cores is not None and cores < 1:
        raise ConfigError(f"cores={cores} must be at least 1")


def expand_home(word: str) -> str:
    """`--out=~/runs` with the home folder: shells expand `~` only at the beginning of a word, and a folder named
    `~` is never meant."""
    name, equals, value = word.partition("=")
    return f"{name}={os.path.expanduser(value)}" if equals and (value == "~" or value.startswith("~/")) else word


def gather_overrides(command: type, arguments: list[str]) -> list[str]:
    """The arguments with all KEY=VALUE changes in one place: `--seeds 1 num_envs=8` after `num_envs=4` is not an error.

    What follows an option that takes several values stays with it.

    Raises: ConfigError for a change without the option that takes it, where the command has one, and for a number that
      Python alone reads.
    """
    hints = typing.get_type_hints(command)
    fields = {field.name: field for field in dataclasses.fields(command)}
    first: list[str] = []
    rest: list[str] = []
    option, hint, values = "", None, 0  # the option before, its type, and how many values it still takes
    for word in arguments:
        if word.startswith("--"):
            option, equals, value = word[2:].partition("=")
            name = option.replace("-", "_")
            hint, default = hints.get(name), getattr(fields.get(name), "default", False)
            if equals:
                _check_number(option, hint, value)
            many, is_flag = isinstance(default, tuple), isinstance(default, bool)
            values = 0 if equals or is_flag else len(arguments) if many else 1
            rest.append(word)
        elif values:
            values -= 1
            _check_number(option, hint, word)
            rest.append(word)
        else:
            first.append(word)
    if "overrides" in fields:
        return _with_preset(next(iter(fields.values())), first) + rest
    changes = [word for word in first if _CHANGE.match(word) and not os.path.exists(word)]
    if changes and "task_overrides" in fields:
        raise ConfigError(
            f"{' '.join(changes)}: changes to the task follow their option: --task-overrides {' '.join(changes)}"
        )
    return arguments


def _check_number(option: str, hint: Any, text: str) -> None:
    """Raises ConfigError for the value of an option that takes numbers, in a notation of Python's: 1_0 and the like."""
    kinds = {hint, *typing.get_args(hint)}
    if not kinds & {int, float} or re.fullmatch(NUMBER, text) or not any(map(str.isdigit, text)):
        return
    try:
        float(text)
    except ValueError:  # no number at all, which the parser says
        return
    raise ConfigError(f"--{option} {text}: write a number with the digits 0 to 9 alone, such as 1000 or 5e6")


def _with_preset(preset: dataclasses.Field, words: list[str]) -> list[str]:
    """The words without an option's name, with the default preset in front where the first of them is a change.

    Raises: ConfigError if the command has no default one.
    """
    if preset.name == "overrides" or not words or not _CHANGE.match(words[0]) or os.path.exists(words[0]):
        return words
    if preset.default is dataclasses.MISSING:
        raise ConfigError(f"{words[0]} is a change; name what it changes before it, a preset or a file")
    return [preset.default, *words]


def flags(names: list[str]) -> str:
    """Fields of a command as they are typed: `--task, --partners`."""
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def given(options: Any, names: Iterable[str]) -> list[str]:
    """Those of these fields of a command that are not at their default. A seed of 0 counts as given."""
    defaults = {field.name: field.default for field in dataclasses.fields(options)}
    return [name for name in names if getattr(options, name) != defaults[name]]


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Show that a command is busy, and for how long, on a terminal only. `what`: such as "evaluating"."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as progress:
        progress.add_task(f"{what} …", total=None)
        yield
