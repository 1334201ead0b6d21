"""`rookery train` and `rookery resume`."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

from rookery.errors import ConfigError
from rookery.runs.devices import use_all_cores

RUNS = Path("runs")


def train(options) -> int:
    stop_after = _seconds(options.minutes)
    _use_cores(options.cores)
    config = configure(options)
    if options.dry_run:
        from rookery import __version__
        from rookery.runs.codec import to_dict

        # As in a run's config.json, so that it may be changed and trained.
        print(json.dumps({"rookery": __version__, "config": to_dict(config)}, indent=2))
        return 0
    from rookery.runs.trainer import train

    run_dir = options.out or RUNS / config.name
    return _report(train(config, run_dir, quiet=options.quiet, stop_after=stop_after))


def resume(options) -> int:
    stop_after = _seconds(options.minutes)
    _use_cores(options.cores)
    from rookery.runs.trainer import resume

    return _report(resume(options.run, quiet=options.quiet, stop_after=stop_after))


def configure(options):
    """The configuration a `train` command line asks for. Raises ConfigError or MissingError."""
    from rookery.runs.codec import apply_overrides, from_dict, load_json
    from rookery.runs.config import RunConfig
    from rookery.runs.presets import preset

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


def _seconds(minutes: float | None) -> float | None:
    if minutes is not None and not minutes >= 0:
        raise ConfigError(f"minutes={minutes} must be at least 0")
    return None if minutes is None else 60 * minutes


def _use_cores(cores: int | None) -> None:
    if cores is not None and cores < 1:
        raise ConfigError(f"cores={cores} must be at least 1")
    use_all_cores(cores)


def _report(result) -> int:
    state = "finished" if result.finished else f"stopped; go on with: rookery resume {result.run_dir}"
    print(f"{result.run_dir}: {result.updates} of {result.program.config.updates} updates, {state}")
    return 0
