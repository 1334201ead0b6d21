"""`rookery train` and `rookery resume`."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

from rookery.errors import ConfigError
from rookery.training.devices import use_all_cores

RUNS_DIR = Path("runs")


def run_train(options) -> int:
    stop_after = time_limit_seconds(options.minutes)
    use_cores(options.cores)
    config = make_run_config(options)
    if options.dry_run:
        from rookery import __version__
        from rookery.storage.serialization import to_dict

        # As in a run's config.json, so that it may be changed and trained.
        print(json.dumps({"rookery": __version__, "config": to_dict(config)}, indent=2))
        return 0
    from rookery.training.trainer import train

    run_dir = options.out or RUNS_DIR / config.name
    return _print_result(train(config, run_dir, quiet=options.quiet, stop_after=stop_after))


def run_resume(options) -> int:
    stop_after = time_limit_seconds(options.minutes)
    use_cores(options.cores)
    from rookery.training.trainer import resume

    return _print_result(resume(options.run, quiet=options.quiet, stop_after=stop_after))


def make_run_config(options):
    """The configuration a `train` command line asks for. Raises ConfigError or MissingError."""
    from rookery.storage.serialization import apply_overrides, from_dict, load_json
    from rookery.training.config import RunConfig
    from rookery.training.presets import preset

    if options.preset.endswith(".json"):
        data = load_json(options.preset)
        if not isinstance(data, dict) or not isinstance(data.get("config"), dict):
            raise ConfigError(
                f"{options.preset} has no 'config'; start from what --dry-run prints, or a run's config.json"
            )
        config = from_dict(RunConfig, data["config"])
    else:
        config = preset(options.preset)
    config = apply_overrides(config, options.overrides)
    given = {name: getattr(options, name) for name in ("seeds", "seed") if getattr(options, name) is not None}
    if options.steps is not None:
        if not math.isfinite(options.steps) or options.steps != int(options.steps):
            raise ConfigError(f"steps={options.steps} must be a whole number")
        given["steps"] = int(options.steps)
    return dataclasses.replace(config, **given)


def time_limit_seconds(time_limit: float | None) -> float | None:
    if time_limit is not None and not time_limit >= 0:
        raise ConfigError(f"minutes={time_limit} must be at least 0")
    return None if time_limit is None else 60 * time_limit


def use_cores(cores: int | None) -> None:
    if cores is not None and cores < 1:
        raise ConfigError(f"cores={cores} must be at least 1")
    use_all_cores(cores)


def _print_result(result) -> int:
    state = "finished" if result.finished else f"stopped; go on with: rookery resume {result.run_dir}"
    print(f"{result.run_dir}: {result.updates} of {result.program.config.updates} updates, {state}")
    return 0
