"""`rookery train`: train a team in a new folder."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from rookery.commands.options import Cores, Overrides, PresetInt, TimeLimit, optional, time_limit_seconds, use_cores
from rookery.errors import ConfigError

if TYPE_CHECKING:
    from rookery.training.config import RunConfig
    from rookery.training.trainer import TrainResult


@dataclasses.dataclass
class TrainCommand:
    """Train a team and save metrics, checkpoints and agents in a new folder."""

    preset: Annotated[
        Positional[str],
        arg(
            metavar="PRESET",
            help="The configuration to start from, or the path of a config.json. Presets: demo, lite, paper, smoke, "
            "demo-expert-1 to 3, expert-1 to 8, four-goals-1 to 2, expert-paper, expert-four-rooms, "
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
    quiet: bool = False
    """Show no progress."""
    dry_run: bool = False
    """Print the complete configuration and do nothing."""

    def __call__(self) -> int:
        return run_train(self)


def run_train(options: TrainCommand) -> int:
    """Train, or print the configuration for a dry run. Returns 0."""
    stop_after = time_limit_seconds(options.time_limit)
    use_cores(options.cores)
    config = make_run_config(options)
    if options.dry_run:
        from rookery import __version__
        from rookery.storage.serialization import to_dict

        # The same form as config.json in a run's folder, so that it can be edited and trained.
        print(json.dumps({"rookery": __version__, "config": to_dict(config)}, indent=2))
        return 0
    from rookery.training.trainer import train

    if not options.quiet and (steps := config.total_updates * config.steps_per_update) != config.total_timesteps:
        print(
            f"{config.total_timesteps:,} environment steps are rounded up to {steps:,}: {config.total_updates} whole "
            f"updates of {config.steps_per_update:,} steps"
        )
    return print_result(train(config, options.out, quiet=options.quiet, stop_after=stop_after), options.quiet)


def make_run_config(options: TrainCommand) -> RunConfig:
    """The configuration that a command line asks for. Raises ConfigError or NotFoundError."""
    from rookery.storage.serialization import apply_overrides, from_dict, load_json
    from rookery.training.config import RunConfig
    from rookery.training.presets import preset

    if options.preset.endswith(".json"):
        data = load_json(options.preset)
        if not isinstance(data, dict) or not isinstance(data.get("config"), dict):
            raise ConfigError(
                f"{options.preset} has no 'config'; start from what --dry-run prints, or from the config.json of a run"
            )
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


def print_result(result: TrainResult, quiet: bool = False) -> int:
    """How a call of `train` or `resume` ended, in a line. Returns 0."""
    state = "finished" if result.finished else f"stopped; continue with: rookery resume {result.run_dir}"
    print(f"{result.run_dir}: {result.num_updates} of {result.run.config.total_updates} updates, {state}")
    if result.finished and not quiet:
        print(f"next: rookery eval {result.run_dir}, or rookery replay {result.run_dir}")
    return 0
