"""`rookery sweep`: search over settings of a run."""

from __future__ import annotations

import dataclasses
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from rookery.commands.options import Cores, Json, Overrides, TimeLimit, optional, time_limit_seconds, use_cores
from rookery.commands.output import print_json
from rookery.commands.train import TrainCommand, make_run_config
from rookery.errors import STOPPED_EXIT_CODE, UNFINISHED_EXIT_CODE, printable

if TYPE_CHECKING:
    from rookery.scaling.sweep_trials import Trial


@dataclasses.dataclass
class SweepCommand:
    """Try settings of a run on seeds of their own: a table, a figure and the best configuration as a file."""

    run: Annotated[
        Positional[str], arg(metavar="RUN", help="The configuration to start from: a .json or .yaml file, or a preset.")
    ]
    overrides: Overrides = ()
    space: Annotated[tuple[str, ...], optional("FIELD=VALUES", "required")] = ()
    """Settings to try: FIELD=A,B,C, or a range FIELD=LOW..HIGH or FIELD=log:LOW..HIGH, of whole numbers where the field
    holds one. A value with commas is JSON in brackets: FIELD=[[0,1e-2],[1,1e-3]],1e-3 are two values."""
    method: Literal["grid", "random", "halving"] = "random"
    """grid: every combination. random: --trials random ones. halving: random ones, the poor of which are stopped at
    checkpoints (asynchronous successive halving)."""
    trials: int = 20
    """Number of settings to try; a grid tries every combination."""
    metric: str = "social/return"
    """End of the metric's name in metrics.jsonl; the mean over variants, agents and seeds counts."""
    minimize: bool = False
    """Look for the smallest metric, not the largest."""
    seeds: int = 1
    """Training seeds of each setting."""
    seed: Annotated[int, arg(metavar="INT")] = 1_000_000
    """The first of the training seeds. The configuration's own seeds are not used, so that best.json can be trained on
    seeds that no setting has seen."""
    out: Path = Path("sweep")
    """Folder of the sweep; the same command continues one that was stopped."""
    time_limit: TimeLimit = None
    """Save and stop after so many minutes; run the same command to continue."""
    cores: Cores = None
    """CPU cores to spread seeds over; extra cores share the updates of a seed."""
    json: Json = False

    def __call__(self) -> int:
        return run_sweep(self)


def run_sweep(options: SweepCommand) -> int:
    """Sweep. Returns 0, STOPPED_EXIT_CODE before the end, or UNFINISHED_EXIT_CODE if no trial reached its end."""
    stop_after, start = time_limit_seconds(options.time_limit), time.monotonic()
    from rookery.scaling.sweep_trials import BEST_FILE, Dimension, SweepOptions, best_trial, sweep, trial_folders
    from rookery.training.machine_notes import started_threads
    from rookery.training.presets import check_previous_stages

    use_cores(options.cores, started_threads(trial_folders(options.out)))
    settings = SweepOptions(
        space=tuple(map(Dimension.parse, options.space)),
        method=options.method,
        num_trials=options.trials,
        metric=options.metric,
        minimize=options.minimize,
        seed=options.seed,
        num_seeds=options.seeds,
    )
    config = make_run_config(TrainCommand(preset=options.run, overrides=options.overrides))
    check_previous_stages(config)

    def seconds_left() -> float | None:
        return None if stop_after is None else max(0.0, stop_after - (time.monotonic() - start))

    log = (lambda line: None) if options.json else print
    trials = sweep(config, settings, options.out, stop_after=seconds_left, log=log)
    stopped = len(trials) < settings.num_settings
    best = best_trial(trials, settings.minimize)
    if options.json:
        row = {"finished": not stopped, "trials": len(trials)}
        found = best and {"settings": best.settings, "value": best.value, "config": str(options.out / BEST_FILE)}
        print_json(row if stopped else row | {"best": found})
        return _exit_code(stopped, best)
    if stopped:
        print(f"stopped after {len(trials)} trials; run the same command to continue")
    elif best is None:
        failure = next((trial.failure for trial in trials if trial.failure), "all were stopped early")
        why = printable(failure)
        print(f"none of {len(trials)} trials reached its end ({why}); try another space in another folder (--out)")
    else:
        settings_text = printable(", ".join(f"{k}={v}" for k, v in best.settings.items()))
        print(f"best of {len(trials)}: {settings_text} ({best.value:.4g})")
        file = shlex.quote(str(options.out / BEST_FILE))
        print(f"next: rookery train {file}, on the seeds that the sweep has not seen")
    return _exit_code(stopped, best)


def _exit_code(stopped: bool, best: Trial | None) -> int:
    if stopped:
        return STOPPED_EXIT_CODE
    return UNFINISHED_EXIT_CODE if best is None else 0
