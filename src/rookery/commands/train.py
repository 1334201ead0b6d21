"""`rookery train`: train a team in a new folder."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from rookery.commands.options import (
    Coordinator,
    Cores,
    JoinTimeout,
    Json,
    NumProcesses,
    Overrides,
    PresetInt,
    ProcessId,
    TimeLimit,
    Track,
    check_cores,
    optional,
    time_limit_seconds,
    use_cores,
)
from rookery.commands.output import print_json
from rookery.commands.processes import check_join_timeout, train_together
from rookery.errors import STOPPED_EXIT_CODE, ConfigError, RookeryError
from rookery.scaling.launch import find_launch
from rookery.training.devices import request_deterministic_ops

if TYPE_CHECKING:
    from rookery.scaling.launch import Launch
    from rookery.training.config import RunConfig
    from rookery.training.process_group import ProcessGroup
    from rookery.training.trainer import TrainResult


@dataclasses.dataclass
class TrainCommand:
    """Train a team and save metrics, checkpoints and agents in a new folder."""

    preset: Annotated[
        Positional[str],
        arg(
            metavar="PRESET",
            help="The configuration to start from, or the path of a .json or .yaml file. Presets: demo, lite, paper, "
            "smoke, demo-expert-1 to 3, expert-1 to 8, four-goals-1 to 2, expert-paper, expert-four-rooms, "
            "expert-four-rooms-2, expert-maze, cleanup, harvest, cleanup-small-moa, harvest-small-moa, box-trapped.",
        ),
    ] = "demo"
    overrides: Overrides = ()
    out: Annotated[Path | None, optional("FOLDER", "runs/NAME")] = None
    """Folder of the run."""
    seeds: PresetInt = None
    """Number of seeds of each variant; they train at the same time in one program."""
    seed: PresetInt = None
    """The first seed; the others count up from it."""
    steps: Annotated[float | None, optional("STEPS", "the preset's")] = None
    """Environment steps of each seed, such as 5e6; rounded up to whole updates."""
    time_limit: TimeLimit = None
    """Save and stop after so many minutes; `rookery resume` continues the run."""
    cores: Cores = None
    """CPU cores to spread seeds over; extra cores share the updates of a seed."""
    deterministic_ops: bool = False
    """On a GPU: add up in a fixed order, so that a run repeats to the bit; slower."""
    coordinator: Coordinator = None
    num_processes: NumProcesses = None
    process_id: ProcessId = None
    join_timeout: JoinTimeout = 300.0
    track: Track = ()
    quiet: bool = False
    """Show no progress."""
    json: Json = False
    dry_run: bool = False
    """Print the complete configuration and do nothing."""

    def __call__(self) -> int:
        return run_train(self)


def run_train(options: TrainCommand) -> int:
    """Train, or print the configuration for a dry run. Returns 0, or STOPPED_EXIT_CODE before the end."""
    stop_after = time_limit_seconds(options.time_limit)
    if options.deterministic_ops:
        request_deterministic_ops()
    check_cores(options.cores)
    check_join_timeout(options.join_timeout)
    launch = find_launch(options.coordinator, options.num_processes, options.process_id, os.environ)
    if launch is None or options.dry_run:
        use_cores(options.cores)
    config = make_run_config(options)
    if options.dry_run:
        from rookery import __version__
        from rookery.storage.serialization import to_dict

        # The same form as config.json in a run's folder, so that it can be edited and trained.
        data = {"rookery": __version__, "config": to_dict(config)}
        if options.json:
            print_json(data)
        else:
            print(json.dumps(data, indent=2))
        print_needs(launch, config)
        return 0
    from rookery.training.presets import check_previous_stages

    check_previous_stages(config)
    quiet = options.quiet or options.json
    steps = config.total_updates * config.steps_per_update
    if steps != config.total_timesteps and not quiet and not (launch and launch.process_id):
        print(
            f"{config.total_timesteps:,} environment steps are rounded up to {steps:,}: {config.total_updates} whole "
            f"updates of {config.steps_per_update:,} steps"
        )

    def run(processes: ProcessGroup) -> int:
        from rookery.training.trainer import train

        track = options.track or None
        result = train(config, options.out, quiet=quiet, stop_after=stop_after, track=track, processes=processes)
        return print_result(result, quiet, options.json)

    if launch is None:
        from rookery.training.process_group import ONE_PROCESS

        return run(ONE_PROCESS)
    return train_together(launch, "train", config, options, run)


def print_needs(launch: Launch | None, config: RunConfig) -> None:
    """Say, on standard error, how much memory a run would need, on which devices and in how many processes.

    Of several processes it is this one, with the most replicas that it has where all have as many devices.
    Raises: ConfigError if it has too little memory.
    """
    from rookery.training.devices import describe_devices
    from rookery.training.memory import check_memory, check_process_memory, run_memory

    num_replicas = len(config.replicas)
    largest = num_replicas if launch is None else -(-num_replicas // launch.num_processes)
    if launch is None:
        check_memory(config)
    else:
        check_process_memory(config, None, largest, leads=launch.process_id == 0)
    print(run_memory(config, num_replicas=largest).describe(), file=sys.stderr)
    print(f"devices: {describe_devices(largest, config.supports_sharding)}", file=sys.stderr)
    if launch is not None:
        print(f"process {launch.description}; {num_replicas} replicas in all", file=sys.stderr)


def make_run_config(options: TrainCommand) -> RunConfig:
    """The configuration that a command line asks for. Raises ConfigError or NotFoundError."""
    from rookery.storage.run_files import CHECKPOINT_HASHES_KEY, THREADS_KEY
    from rookery.storage.serialization import apply_overrides, check_file_keys, from_dict
    from rookery.storage.yaml_files import CONFIG_SUFFIXES, load_config_data
    from rookery.training.agent_paths import STARTED_IN_KEY
    from rookery.training.config import RunConfig
    from rookery.training.presets import preset

    if options.preset.endswith(CONFIG_SUFFIXES):
        data = load_config_data(options.preset)
        if not isinstance(data, dict) or not isinstance(data.get("config"), dict):
            raise ConfigError(
                f"{options.preset} has no 'config'; start from what --dry-run prints, or from the config.json of a run"
            )
        check_file_keys(data, "config", ("rookery", THREADS_KEY, STARTED_IN_KEY, CHECKPOINT_HASHES_KEY), options.preset)
        config = from_dict(RunConfig, data["config"])
    else:
        config = preset(options.preset)
    config = apply_overrides(config, options.overrides)
    changes = {}
    if options.seeds is not None:
        changes["num_seeds"] = options.seeds
    if options.seed is not None:
        changes["seed"] = options.seed
    if options.steps is not None:
        if not math.isfinite(options.steps) or options.steps != int(options.steps):
            raise ConfigError(f"total_timesteps={options.steps} must be a whole number")
        changes["total_timesteps"] = int(options.steps)
    return dataclasses.replace(config, **changes)


def print_result(result: TrainResult, quiet: bool = False, as_json: bool = False) -> int:
    """How a call of `train` or `resume` ended, in a line. Returns 0, or STOPPED_EXIT_CODE before the end."""
    if as_json:
        print_json({
            "run": str(result.run_dir),
            "updates": result.num_updates,
            "total_updates": result.run.config.total_updates,
            "finished": result.finished,
            "seconds": round(result.seconds, 1),
        })  # fmt: skip
        return 0 if result.finished else STOPPED_EXIT_CODE
    folder = shlex.quote(str(result.run_dir))  # to be copied into a shell
    state = "finished" if result.finished else f"stopped; continue with: rookery resume {folder}"
    print(f"{result.run_dir}: {result.num_updates} of {result.run.config.total_updates} updates, {state}")
    if result.finished and not quiet:
        evaluation = f"rookery eval {folder}, or " if _can_evaluate(result) else ""
        print(f"next: {evaluation}rookery replay {folder}")
    return 0 if result.finished else STOPPED_EXIT_CODE


def _can_evaluate(result: TrainResult) -> bool:
    """Whether `eval` can play each agent of a run without more options.

    It cannot where the whole team learned and the task has no scripted expert to be everyone's partner.
    """
    from rookery.storage.run_files import AGENTS_DIR
    from rookery.training.make_team import make_team_setup
    from rookery.training.trainer import agent_file

    config = result.run.config
    for group in config.team:
        for slot in group.slots if group.learner is not None else ():
            path = result.run_dir / AGENTS_DIR / agent_file(*config.replicas[0], group.name, slot)
            try:
                setup = make_team_setup(str(path))
                setup.team.validate(setup.env)
            except RookeryError:
                return False
    return True
