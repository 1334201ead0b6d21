"""`rookery train` and `rookery resume`."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from rookery.errors import ConfigError
from rookery.runs.devices import use_all_cores

RUNS = Path("runs")


def train(options) -> int:
    use_all_cores(options.cores)
    config = configure(options)
    if options.dry_run:
        from rookery.runs.codec import to_dict

        print(json.dumps(to_dict(config), indent=2))
        return 0
    from rookery.runs.trainer import train

    run_dir = options.out or RUNS / config.name
    return _report(train(config, run_dir, quiet=options.quiet, stop_after=_seconds(options.minutes)))


def resume(options) -> int:
    use_all_cores(options.cores)
    from rookery.runs.trainer import resume

    return _report(resume(options.run, quiet=options.quiet, stop_after=_seconds(options.minutes)))


def configure(options):
    """The configuration a `train` command line asks for. Raises ConfigError or MissingError."""
    from rookery.runs.codec import apply_overrides
    from rookery.runs.presets import preset
    from rookery.runs.trainer import load_config

    if options.preset.endswith(".json"):
        config = load_config(Path(options.preset).parent, Path(options.preset).name)
    else:
        config = preset(options.preset)
    config = apply_overrides(config, options.overrides)
    given = {name: getattr(options, name) for name in ("seeds", "seed") if getattr(options, name) is not None}
    if options.steps is not None:
        if options.steps != int(options.steps):
            raise ConfigError(f"steps={options.steps} must be a whole number")
        given["steps"] = int(options.steps)
    return dataclasses.replace(config, **given)


def _seconds(minutes: float | None) -> float | None:
    if minutes is not None and minutes < 0:
        raise ConfigError(f"minutes={minutes} must be at least 0")
    return None if minutes is None else 60 * minutes


def _report(result) -> int:
    state = "finished" if result.finished else f"stopped; go on with: rookery resume {result.run_dir}"
    print(f"{result.run_dir}: {result.updates} of {result.program.config.updates} updates, {state}")
    return 0
