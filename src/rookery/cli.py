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


def _optional(metavar: str, default: str):
    """How help shows an option that is None unless given."""
    return arg(metavar=metavar, help_behavior_hint=f"(default: {default})")


PresetInt = Annotated[int | None, _optional("INT", "the recipe's")]
TimeLimit = Annotated[float | None, _optional("MINUTES", "no limit")]
Cores = Annotated[int | None, _optional("INT", "all")]
TaskId = Annotated[str | None, _optional("ID", "the one the agent was trained on")]
Partners = Annotated[str | None, _optional("AGENT", "as trained, else scripted")]


@dataclasses.dataclass
class EnvsCommand:
    """List the tasks, or show one: its rules, source, size and what each agent sees."""

    action: Positional[Literal["list", "show"]] = "list"
    task: Annotated[Positional[str | None], _optional("ID", "none")] = None
    """Id of the task to show."""
    png: Annotated[Path | None, _optional("FILE", "no picture")] = None
    """Write a picture of the task to this file."""

    def __call__(self) -> int:
        from rookery.commands import envs

        return envs.list_tasks() if self.action == "list" else envs.show_task(self.task, self.png)


@dataclasses.dataclass
class TrainCommand:
    """Train a team and save metrics, checkpoints and agents in a new folder."""

    preset: Positional[str] = "demo"
    """Where the configuration starts: demo, lite, paper, smoke, demo-expert-1 to 3, expert-1 to 8,
    four-goals-1 to 2, expert-paper, expert-four-rooms, expert-four-rooms-2, expert-maze, cleanup, harvest,
    cleanup-small-moa, harvest-small-moa, box-trapped;
    or the path of a config.json."""
    overrides: Overrides = ()
    out: Annotated[Path | None, _optional("FOLDER", "runs/NAME")] = None
    """Folder of the run."""
    seeds: PresetInt = None
    """Seeds of each arm, trained side by side in one program."""
    seed: PresetInt = None
    """The first seed; the others count up from it."""
    steps: Annotated[float | None, _optional("STEPS", "the recipe's")] = None
    """Environment steps of each seed, such as 5e6."""
    time_limit: TimeLimit = None
    """Save and stop in good order after so many minutes; `rookery resume` goes on."""
    cores: Cores = None
    """CPU cores to spread seeds over; cores left over share a seed's updates."""
    quiet: bool = False
    """No progress."""
    dry_run: bool = False
    """Print the resolved configuration and do nothing."""

    def __call__(self) -> int:
        from rookery.commands import train

        return train.run_train(self)


@dataclasses.dataclass
class ResumeCommand:
    """Continue a stopped or killed run, to the same numbers as if it had never stopped."""

    run: Positional[Path]
    """The run's folder."""
    time_limit: TimeLimit = None
    """Save and stop in good order after so many minutes."""
    cores: Cores = None
    """CPU cores to spread seeds over; cores left over share a seed's updates."""
    quiet: bool = False
    """No progress."""

    def __call__(self) -> int:
        from rookery.commands import train

        return train.run_resume(self)


@dataclasses.dataclass
class CloneCommand:
    """Record an expert's episodes and train clones of it by behavior cloning; goes on where it was stopped.

    For example: rookery clone --task goal-cycle-symbolic-v0 --expert goal-cycle-lite-expert --out runs/clone
    """

    overrides: Overrides = ()
    task: Annotated[str | None, _optional("ID", "the dataset's")] = None
    """Task to record the expert in."""
    task_overrides: tuple[str, ...] = ()
    """Changes to the task, such as penalty=0.5 or goals=4."""
    expert: Annotated[str | None, _optional("AGENT", "the dataset's")] = None
    """Who plays in every slot: a zoo entry, a .safetensors file, 'scripted', 'scripted-own' or 'random'."""
    episodes: Annotated[int | None, _optional("INT", "500")] = None
    """Worlds to record; each gives one episode of every slot."""
    solo: bool = False
    """Record the expert with nobody else in the world."""
    data: Annotated[Path | None, _optional("FOLDER", "recorded into OUT/data")] = None
    """A dataset recorded before."""
    data_seed: Annotated[int | None, _optional("INT", "0")] = None
    """Of the recorded worlds, which are neither training's nor evaluation's."""
    record_only: bool = False
    """Record and train nothing."""
    out: Path = Path("runs/clone")
    """Folder of metrics, checkpoints and agents."""
    seeds: Annotated[int | None, _optional("INT", "1")] = None
    """Clones trained side by side on the same data."""
    seed: Annotated[int | None, _optional("INT", "0")] = None
    """The first seed; the others count up from it."""
    time_limit: TimeLimit = None
    """Save and stop in good order after so many minutes."""
    quiet: bool = False
    """No progress."""

    def __call__(self) -> int:
        from rookery.commands import clone

        return clone.run_clone(self)


@dataclasses.dataclass
class EvalCommand:
    """Play agents on episodes never trained on; print one JSON line for each: return, interval, goals, mistakes."""

    agent: Positional[str]
    """A zoo entry, a .safetensors file, a run's folder (all its agents), 'scripted', 'scripted-own' or 'random'."""
    task: TaskId = None
    """Task to play."""
    task_overrides: tuple[str, ...] = ()
    """Changes to the task, such as penalty=0.5 or goals=4."""
    partners: Partners = None
    """Who fills the other slots: a zoo entry, a file, 'scripted', 'scripted-own', 'random' or 'nobody'."""
    episodes: int = 1000
    """Episodes for each agent and condition."""
    seed: int = 0
    """Of the evaluation episodes, which are never training's."""

    def __call__(self) -> int:
        from rookery.commands import evaluate

        return evaluate.run_eval(self)


@dataclasses.dataclass
class ReplayCommand:
    """Film one episode: a GIF and a self-contained HTML player (map, every agent's view, rewards), or a video."""

    agent: Positional[str]
    """A zoo entry, a .safetensors file, 'scripted', 'scripted-own' or 'random'; or a run's folder: all its team, with
    influence between agents as arrows where they learned by it."""
    out: Path = Path("replay")
    """Path of the films without ending."""
    task: TaskId = None
    """Task to play."""
    task_overrides: tuple[str, ...] = ()
    """Changes to the task, such as penalty=0.5 or goals=4."""
    partners: Partners = None
    """Who fills the other slots, as for `eval`; 'nobody' films it alone."""
    variant: Annotated[str | None, _optional("NAME", "the first")] = None
    """Of a run's folder: the arm to film."""
    train_seed: Annotated[int | None, _optional("SEED", "the first")] = None
    """Of a run's folder: the seed the team was trained with."""
    seed: int = 0
    """Of the episode."""
    gif: bool = True
    """Write the GIF too."""
    mp4: bool = False
    """Write a video too; needs ffmpeg, which `pip install 'rookery[video]'` brings."""
    png: Annotated[int | None, _optional("STEP", "no picture")] = None
    """Write a picture of this step too; -1 is the end."""

    def __call__(self) -> int:
        from rookery.commands import evaluate

        return evaluate.run_replay(self)


@dataclasses.dataclass
class PlayCommand:
    """Move one agent yourself, in a browser page or in the terminal, while the others move theirs.

    Be the expert: play Goal Cycle, and watch a trained social learner follow you. Several browsers may join; each
    takes a free slot, or watches. Until a person sits in a slot, and after, one of the cast moves it.
    """

    task: Positional[str] = "goal-cycle-demo-v0"
    """Task to play."""
    task_overrides: tuple[str, ...] = ()
    """Changes to the task, such as penalty=0.5 or goals=4."""
    human_slots: Annotated[tuple[int, ...], _optional("SLOT", "all but 0, where the novice is")] = ()
    """Slots that persons may take, in this order."""
    policies: Annotated[tuple[str, ...], _optional("AGENT", "the zoo's novice for the task, then scripted")] = ()
    """Who moves each slot while no person does, in slot order: a zoo entry, a .safetensors file,
    'scripted', 'scripted-own' or 'random'; the last is for the rest."""
    fps: float = 5.0
    """Steps a second."""
    seed: int = 0
    """Of the episodes."""
    terminal: bool = False
    """Play here, in the terminal, without a server."""
    host: str = "127.0.0.1"
    """Address to serve at; the default is reached from this machine alone."""
    port: int = 8765
    """Port to serve at; 0 for any free one."""
    browser: bool = False
    """Open the page in this machine's browser."""

    def __call__(self) -> int:
        from rookery.commands import play

        return play.run_play(self)


@dataclasses.dataclass
class ZooCommand:
    """The trained agents that come with the package: list them, show a card, or verify the files."""

    action: Positional[Literal["list", "show", "verify"]] = "list"
    name: Annotated[Positional[str | None], _optional("NAME", "every entry")] = None
    """Which entry."""

    def __call__(self) -> int:
        from rookery.commands import zoo

        return zoo.run_zoo(self.action, self.name)


@dataclasses.dataclass
class ExportCommand:
    """Save a run's agent as a file of its own, with a card: what it earns, alone and beside others, and its recipe."""

    agent: Positional[str]
    """A .safetensors file, of a run's folder `agents` if the card is to tell the recipe, or a zoo entry."""
    out: Path
    """The file to write, ending in .safetensors; its name is the agent's."""
    title: str
    """One line on the agent."""
    partners: Partners = None
    """Who fills the other slots, as for `eval`."""
    episodes: int = 1000
    """Episodes for each condition."""
    seed: int = 2026
    """Of the evaluation episodes, which are never training's."""

    def __call__(self) -> int:
        from rookery.commands import export

        return export.run_export(self)


@dataclasses.dataclass
class BenchCommand:
    """Measure speed on this machine; prints machine, versions and environment steps per second."""

    target: Positional[Literal["world", "dilemma", "update", "all"]] = "world"
    """Goal Cycle alone with random actions, Cleanup and Harvest alike, or the paper network's update against a
    matrix product."""
    seconds: float = 5.0
    """Seconds for each measurement."""
    task: Annotated[str | None, _optional("ID", "Goal Cycle, as pixels and as channels")] = None
    """Task whose world is measured, as it is registered."""
    num_envs: int = 2048
    """Worlds side by side."""
    json: bool = False
    """One JSON object instead of lines."""

    def __call__(self) -> int:
        from rookery.commands import bench

        return bench.run_bench(self.target, self.seconds, self.num_envs, self.json, self.task)


@dataclasses.dataclass
class DoctorCommand:
    """Versions, devices, and what is missing."""

    def __call__(self) -> int:
        from rookery.commands import doctor

        return doctor.run_doctor()


@dataclasses.dataclass
class DemoCommand:
    """Train novices beside experts and alone, evaluate both, and write report.html. Goes on where it was stopped."""

    out: Path = Path("demo")
    """Folder of the report and its run."""
    seeds: Annotated[int | None, _optional("INT", "as many as the cores carry in the time, 2 to 5")] = None
    """Seeds of each arm."""
    episodes: int = 1000
    """Evaluation episodes for each agent and condition."""
    preset: str = "demo"
    """The recipe; 'smoke' only proves that everything connects."""
    quiet: bool = False
    """No progress."""

    def __call__(self) -> int:
        from rookery.commands import demo

        return demo.run_demo(self.out, self.seeds, self.episodes, self.preset, self.quiet)


@dataclasses.dataclass
class ReproduceCommand:
    """Run a published experiment again: train what is missing, evaluate, judge its claims, write results and report."""

    study: Annotated[Positional[str | None], _optional("STUDY", "list them all")] = None
    """Such as ndousse2021/fig4."""
    list: bool = False
    """List every study: what it compares, its budgets with their cost, and whether results exist."""
    budget: Literal["smoke", "desk", "paper"] = "desk"
    """smoke: seconds, claims nothing. desk: one desktop. paper: the published hyperparameters to the letter."""
    runs: Path = Path("runs")
    """Folder of the runs; studies share them, and a stopped one is resumed."""
    results: Annotated[Path | None, _optional("FOLDER", "results; RUNS/smoke-results for smoke")] = None
    """Folder of the results."""
    seeds: Annotated[int | None, _optional("INT", "the study's")] = None
    """Seeds of each arm."""
    seed: int = 0
    """The first seed; the others count up from it."""
    episodes: Annotated[int | None, _optional("INT", "1000; 8 for smoke")] = None
    """Evaluation episodes for each agent and condition."""
    time_limit: TimeLimit = None
    """Save and stop in good order after so many minutes; the same command goes on."""
    cores: Cores = None
    """CPU cores to spread seeds over; cores left over share a seed's updates."""
    quiet: bool = False
    """No progress."""

    def __call__(self) -> int:
        from rookery.commands import reproduce

        return reproduce.run_reproduce(self)


@dataclasses.dataclass
class ReportCommand:
    """Draw a study's figures and page again from its results, judge its claims again, and index all results."""

    study: Positional[str]
    """Such as ndousse2021/fig4; 'all': every study that has results."""
    results: Path = Path("results")
    """Folder of the results."""

    def __call__(self) -> int:
        from rookery.commands import reproduce

        return reproduce.run_report(self)


COMMANDS = {
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


def apply_task_overrides(task, task_overrides: tuple[str, ...]):
    """A task configuration with KEY=VALUE changes. Raises ConfigError."""
    from rookery.storage.serialization import apply_overrides

    return apply_overrides(task, task_overrides) if task_overrides else task


def print_json(row: dict) -> None:
    """One line of JSON."""
    print(json.dumps(row, allow_nan=False), flush=True)


if __name__ == "__main__":
    sys.exit(main())
