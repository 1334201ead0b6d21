"""Search over settings of a run: a grid or random settings, the poor ones stopped early, with Optuna on one machine.

Sweeps train on seeds of their own. What they choose is then trained on the seeds that are reported: a setting that was
chosen by the same seeds as it is judged by looks better than it is.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import itertools
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from rookery import __version__
from rookery.errors import (
    ChangedAgentError,
    ConfigError,
    CorruptFileError,
    DivergedError,
    IncompatibleError,
    MissingPackageError,
    NotFoundError,
    OutOfMemoryError,
    StorageError,
    TrackerError,
    explain_failure,
    suggest,
)
from rookery.optional_packages import import_optional, install_extra
from rookery.storage.atomic import check_writable, read_file, refuse_link, storage_error, write_json, write_text
from rookery.storage.metrics import read_metrics
from rookery.storage.run_files import METRICS_FILE, SWEEP_FILE
from rookery.storage.run_lock import RunLock
from rookery.storage.serialization import apply_overrides, load_json, to_dict
from rookery.storage.strict_json import NUMBER, is_whole_number_text
from rookery.tasks.checks import start_backend
from rookery.tracking.trackers import choose_trackers
from rookery.training.config import RunConfig
from rookery.training.continue_run import train_or_resume
from rookery.training.stop_signal import StopSignal
from rookery.viz.plots import figure_to_svg, parallel_coordinates

METHODS = ("grid", "random", "halving")
SWEEP_SEED = 1_000_000
"""First training seed of sweeps by default, far from those of reported runs."""
TABLE_FILE, BEST_FILE, FIGURE_FILE, TRIALS_FILE = "table.csv", "best.json", "sweep.svg", "trials.log"
TRIALS_FOLDER = "runs"
"""In the folder of a sweep: the runs of its trials."""
FAILURE = "failure"
"""User attribute of a trial that failed for good, because of its settings: the reason."""
OWN_FIELDS = {"seed": "--seed", "num_seeds": "--seeds"}
"""Fields of a run that a sweep sets itself in every trial, and the options that say to what."""
DEFAULT_METRIC = "social/return"
"""The end of a metric's name: mean return with the whole team, in the evaluation at checkpoints."""


@dataclasses.dataclass(frozen=True)
class Dimension:
    """One setting that a sweep changes."""

    field: str
    """Dotted path, as in an override: team.0.learning_rate."""
    choices: tuple[str, ...] = ()
    """The values, as texts of an override; empty for a range."""
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    @classmethod
    def parse(cls, text: str) -> Dimension:
        """From FIELD=A,B,C or FIELD=LOW..HIGH or FIELD=log:LOW..HIGH. Raises ConfigError.

        A comma inside brackets or quotes belongs to a value, and so does .. in quotes or as a folder of a path.
        """
        field, _, values = text.partition("=")
        field, values = field.strip(), values.strip()
        example = "write team.0.learning_rate=1e-4,1e-3 or team.0.learning_rate=log:1e-4..1e-2"
        if not field or not values:
            raise ConfigError(f"space {text!r} is not FIELD=VALUES; {example}")
        choices = _split_values(values)
        if not any(map(_is_meant_as_range, choices)):
            return cls(field, choices)
        log = values.startswith("log:")
        try:
            low, high = map(_read_bound, values.removeprefix("log:").split(".."))
        except ValueError:
            raise ConfigError(
                f"space {text!r}: a range is LOW..HIGH with two numbers, and a text with .. in it stands in quotes, "
                f'such as "a..b"; {example}'
            ) from None
        if not (math.isfinite(low) and math.isfinite(high) and low < high and (low > 0 or not log)):
            raise ConfigError(f"space {text!r}: LOW must be below HIGH, and above 0 with log:; {example}")
        return cls(field, low=low, high=high, log=log)

    def suggest(self, trial: Any, whole: bool) -> str:
        """The value that an Optuna trial takes, as the text of an override. `whole`: a range of whole numbers."""
        if self.choices:
            return trial.suggest_categorical(self.field, list(self.choices))
        if whole:
            return str(trial.suggest_int(self.field, int(self.low), int(self.high), log=self.log))
        return repr(trial.suggest_float(self.field, self.low, self.high, log=self.log))


def _is_meant_as_range(value: str) -> bool:
    """Whether a value has .. that neither stands in quotes or brackets nor is the folder above in a path."""
    return ".." in value and value[0] not in '[{"' and ".." not in value.split("/")


def _read_bound(text: str) -> float:
    """Raises ValueError for what is not a number, or one in Python's notation alone."""
    if not re.fullmatch(NUMBER, text.strip()):
        raise ValueError
    return float(text)


def _split_values(text: str) -> tuple[str, ...]:
    """Split at commas outside of brackets, braces and quotes. Raises ConfigError if one of these is not closed."""
    values, depth, quoted = [""], 0, False
    for character in text:
        if character == '"':
            quoted = not quoted
        elif not quoted:
            depth += (character in "[{") - (character in "]}")
        if character == "," and not depth and not quoted:
            values.append("")
        else:
            values[-1] += character
    if depth or quoted:
        raise ConfigError(
            f"values {text!r} have a bracket or a quote that is not closed; write a list as JSON, such as "
            "team.0.learning_rate=[[0,1e-2],[1,1e-3]],1e-3, which are two values"
        )
    return tuple(value.strip() for value in values)


def _plain_path(field: str) -> str:
    """A dotted path with its indices as they are usually written: team.0 for team.00."""
    return ".".join(str(int(part)) if is_whole_number_text(part) else part for part in field.split("."))


def _value_twice(dimension: Dimension) -> ConfigError:
    return ConfigError(
        f"space has a value of {dimension.field!r} twice: {', '.join(dimension.choices)}; name each once"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepOptions:
    """How a sweep searches."""

    space: tuple[Dimension, ...]
    method: str = "random"
    num_trials: int = 20
    metric: str = DEFAULT_METRIC
    minimize: bool = False
    seed: int = SWEEP_SEED
    """First training seed, and the seed of the random settings."""
    num_seeds: int = 1
    """Training seeds of each setting; the metric is their mean."""

    def __post_init__(self) -> None:
        if not self.space:
            raise ConfigError("space is empty; name a setting, such as team.0.learning_rate=1e-4,1e-3")
        fields = [_plain_path(dimension.field) for dimension in self.space]
        if len(set(fields)) != len(fields):
            named = ", ".join(dimension.field for dimension in self.space)
            raise ConfigError(f"space names a setting twice: {named}; name each once")
        for dimension in self.space:
            if len(set(dimension.choices)) != len(dimension.choices):
                raise _value_twice(dimension)
        for field in fields:
            if field in OWN_FIELDS:
                raise ConfigError(
                    f"space has {field!r}, which is the same in all trials of a sweep; set it by {OWN_FIELDS[field]}"
                )
            if part := next((other for other in fields if other.startswith(f"{field}.")), None):
                raise ConfigError(
                    f"space has both {field!r} and {part!r}, which is a part of it; leave one of them out"
                )
        if self.method not in METHODS:
            raise ConfigError(f"method={self.method!r}: {suggest(self.method, METHODS)}")
        if self.method == "grid" and (ranges := [d.field for d in self.space if not d.choices]):
            raise ConfigError(f"a grid needs values, not a range, for {', '.join(ranges)}; or use the method random")
        if self.num_trials < 1 or self.num_seeds < 1:
            raise ConfigError(f"num_trials={self.num_trials} and num_seeds={self.num_seeds} must be at least 1")

    @property
    def num_settings(self) -> int:
        """How many settings are tried in all."""
        return math.prod(len(d.choices) for d in self.space) if self.method == "grid" else self.num_trials


@dataclasses.dataclass(frozen=True)
class Trial:
    """One setting that was tried."""

    number: int
    settings: dict[str, str]
    """Override text by field."""
    value: float | None
    """The metric at the end, or at the last checkpoint of one that was stopped early; None: it failed."""
    state: str
    """'complete', 'stopped early' or 'failed'."""
    num_updates: int
    failure: str = ""
    """Why it failed."""


def sweep(
    config: RunConfig,
    options: SweepOptions,
    out: Path,
    *,
    stop_after: Callable[[], float | None] = lambda: None,
    log: Callable[[str], None] = print,
) -> list[Trial]:
    """Try settings, from wherever an earlier call stopped, and write table, figure and best configuration to `out`.

    Args:
      config: what all settings start from; its own seeds are the ones to report, and no setting is trained on them.
      stop_after: seconds left; None: no limit.
    Returns: every trial so far; fewer than `num_settings` if the time was up or a signal asked to stop. A trial whose
      settings do not fit together, whose numbers are not finite, its metric at the end among them, or that needs more
      memory than there is has failed, and is not tried again.
    Raises: NotFoundError without Optuna, or if no metric has such a name; ConfigError for settings that no run has,
      seeds that overlap with the reported ones, a folder of another sweep, or as `choose_trackers` and
      `start_backend`; StorageError if the disk refuses, and whatever else ends a run but is not a fault of its
      settings: the next call tries that trial again.
    """
    optuna = _import_optuna()
    _check_settings(config, options)
    choose_trackers()  # as JAX, they would fail in every trial, whatever the settings
    start_backend()
    with RunLock(out) as lock:

        def seconds_left() -> float | None:
            lock.check()  # before every trial
            return stop_after()

        try:
            _check_same_sweep(optuna, config, options, out)
            for name in (TRIALS_FILE, TABLE_FILE, FIGURE_FILE, BEST_FILE):  # found out now, not after the trials
                check_writable(out / name)
            for folder in (out / TRIALS_FOLDER, *trial_folders(out)):
                refuse_link(folder)
            done = _run_trials(optuna, config, options, out, seconds_left, log)
        except StorageError:
            raise
        except OSError as error:  # Optuna's, of its own file
            raise storage_error("write", out / TRIALS_FILE, error) from error
        trials = [_to_trial(trial, options) for trial in done]
        lock.check()
        _write_results(config, options, trials, out)
    return trials


def _run_trials(
    optuna: Any, config: RunConfig, options: SweepOptions, out: Path, stop_after: Callable[[], float | None],
    log: Callable[[str], None],
) -> list[Any]:  # fmt: skip
    """Run the trials that are left. Returns Optuna's of all that ended."""
    study = _open_study(optuna, options, out)
    whole = _whole_numbers(config, options)
    with StopSignal() as stop_signal:  # while a trial trains, its own takes the signal, and the trial does not finish
        stopped = False
        while len(done := _ended(study)) < options.num_settings and not stopped:
            left = stop_after()
            stopped = left == 0.0 or stop_signal.requested
            if not stopped:
                stopped = not _run_trial(optuna, study, config, options, whole, out, left, log)
    return done


def trial_folders(out: Path) -> list[Path]:
    """The folders of a sweep's runs, as far as it got."""
    return sorted((out / TRIALS_FOLDER).glob("*"))


def _import_optuna() -> Any:
    optuna = import_optional("optuna", f"Optuna is not installed: {install_extra('sweep')}")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _check_settings(config: RunConfig, options: SweepOptions) -> None:
    """Raises ConfigError for what would fail in the first trial, before anything is trained."""
    dataclasses.replace(config, seed=options.seed, num_seeds=options.num_seeds)  # refuses seeds that no run has
    reported = range(config.seed, config.seed + config.num_seeds)
    if set(reported) & {*range(options.seed, options.seed + options.num_seeds)}:
        raise ConfigError(
            f"the sweep's seeds from {options.seed} on overlap with the configuration's own, {reported[0]} to "
            f"{reported[-1]}, which are to be reported; choose others with --seed"
        )
    for dimension in options.space:
        known: list[dict[str, Any]] = []
        for value in dimension.choices or (repr(dimension.low), repr(dimension.high)):
            tried = apply_overrides(config, [f"{dimension.field}={value}"])
            content = to_dict(tried)
            if dimension.choices and content in known:  # in other words, such as 1e-3 and 0.001
                raise _value_twice(dimension)
            known.append(content)
            if options.metric == DEFAULT_METRIC and not tried.eval_episodes:
                raise ConfigError("eval_episodes=0: checkpoints are not evaluated; name another metric with --metric")


def _whole_numbers(config: RunConfig, options: SweepOptions) -> set[str]:
    """The fields with a range of whole numbers: those that hold an int where they are given one."""
    found = set()
    for dimension in options.space:
        if not dimension.choices and dimension.low.is_integer() and dimension.high.is_integer():
            node: Any = to_dict(apply_overrides(config, [f"{dimension.field}={dimension.low:.0f}"]))
            for part in dimension.field.split("."):
                node = node[int(part)] if isinstance(node, list) else node[part]
            if type(node) is int:
                found.add(dimension.field)
    return found


def _check_same_sweep(optuna: Any, config: RunConfig, options: SweepOptions, out: Path) -> None:
    """Record what the sweep in a folder is. Another metric, as after a misspelt one, is recorded in its place while no
    trial was judged by it.

    Raises: ConfigError if the folder is another sweep's.
    """
    own = {"config": to_dict(config), **dataclasses.asdict(dataclasses.replace(options, num_trials=1))}
    own = json.loads(json.dumps(own))
    path = out / SWEEP_FILE
    recorded = load_json(path, CorruptFileError) if path.exists() else None
    if recorded is not None and recorded != own:
        same = isinstance(recorded, dict) and {**recorded, "metric": options.metric} == own
        if not same or _has_judged(optuna, options, out):
            raise ConfigError(f"{out} holds a sweep of other settings; name another folder with --out")
    if recorded != own:
        write_json(path, own)


def _has_judged(optuna: Any, options: SweepOptions, out: Path) -> bool:
    """Whether a trial of an earlier call has ended, or its metric was read."""
    if not (out / TRIALS_FILE).exists():
        return False
    study, trials = _read_trials(optuna, options, out)
    return bool(_ended(study)) or any(map(_has_value, trials))


def _open_study(optuna: Any, options: SweepOptions, out: Path) -> Any:
    study, earlier = _read_trials(optuna, options, out)
    fields = {dimension.field for dimension in options.space}
    for trial in earlier:
        if trial.state == optuna.trial.TrialState.RUNNING:  # of a process that was killed; its run is continued
            settings = _fixed_params(trial) | trial.params
            if FAILURE in trial.user_attrs or fields - settings.keys():  # incomplete ones are sampled again
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
            else:
                _try_again(optuna, study, trial.number, settings)
    if options.method == "grid":
        known = [trial.params for trial in _ended(study)] + _waiting(study)
        for values in itertools.product(*(dimension.choices for dimension in options.space)):
            settings = dict(zip((dimension.field for dimension in options.space), values, strict=True))
            if settings not in known:
                study.enqueue_trial(settings)
    return study


def _try_again(optuna: Any, study: Any, number: int, settings: dict[str, Any]) -> None:
    """Have a setting tried after those that wait, in place of the trial that began with it.

    In this order, with this check, a process that is killed in between loses no setting and repeats none.
    """
    if settings not in _waiting(study):
        study.enqueue_trial(settings)
    study.tell(number, state=optuna.trial.TrialState.FAIL)


def _random_sampler(optuna: Any, study: Any, options: SweepOptions) -> Any:
    """Samples the next settings. They depend on the sweep's seed and on how many were sampled before, so that a
    sweep that was stopped tries the same ones as if it had not been."""
    fields = {dimension.field for dimension in options.space}
    sampled = [t for t in study.get_trials(deepcopy=False) if not _fixed_params(t) and fields <= t.params.keys()]
    return optuna.samplers.RandomSampler(seed=options.seed + len(sampled))


def _halving_pruner(optuna: Any) -> Any:
    """Successive halving that does not compare a trial that was stopped and continues with its own earlier values.

    The first complete trial says how long the others are left alone, as with Optuna's "auto" in a sweep that is never
    stopped; each process of one that is stopped and continued would estimate that anew, from all trials complete by
    then.
    """

    class HalvingPruner(optuna.pruners.BasePruner):
        def prune(self, study: Any, trial: Any) -> bool:
            complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
            last = next((other.last_step for other in complete if other.last_step is not None), None)
            if last is None:
                return False
            halving = optuna.pruners.SuccessiveHalvingPruner(min_resource=max(last // 100, 1))
            return halving.prune(_WithoutTriedAgain(study), trial)

    return HalvingPruner()


class _WithoutTriedAgain:
    """A study without the trials that another one of the same settings continues."""

    def __init__(self, study: Any) -> None:
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, **options: Any) -> list[Any]:
        trials = self._study.get_trials(**options)
        return [trial for trial in trials if trial.state.name != "FAIL" or FAILURE in trial.user_attrs]


def _waiting(study: Any) -> list[dict[str, Any]]:
    """The settings that are still to be tried, as far as they are known."""
    return [_fixed_params(trial) for trial in study.get_trials(deepcopy=False) if trial.state.name == "WAITING"]


def _fixed_params(trial: Any) -> dict[str, Any]:
    """The settings that were chosen for a trial before it began."""
    return trial.system_attrs.get("fixed_params", {})


def _read_trials(optuna: Any, options: SweepOptions, out: Path) -> tuple[Any, list[Any]]:
    """Optuna's study in a folder, and its trials so far. Raises OSError, or CorruptFileError for a damaged file."""
    halving, path = options.method == "halving", (out / TRIALS_FILE).resolve()
    _clean_journal(path)
    try:
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
        study = optuna.create_study(
            study_name="sweep",
            storage=storage,
            pruner=_halving_pruner(optuna) if halving else optuna.pruners.NopPruner(),
            direction="minimize" if options.minimize else "maximize",
            load_if_exists=True,
        )
        fields = {dimension.field for dimension in options.space}
        for trial in _ended(study):
            if missing := fields - trial.params.keys():
                raise KeyError(f"trial {trial.number} lacks {min(missing)}")
        trials = study.get_trials(deepcopy=False)
        for trial in trials:
            if not isinstance(_fixed_params(trial), dict):
                raise TypeError(f"the settings of trial {trial.number} are not an object")
        return study, trials
    except OSError:
        raise
    except Exception as error:  # Optuna takes its lines as they are: a wrong one may be any error
        raise CorruptFileError(
            f"{out / TRIALS_FILE} is damaged ({type(error).__name__}: {str(error)[:100]}); put a copy of it back, or "
            "remove it: the same command then tries settings from the beginning, and continues the runs it meets again"
        ) from error


def _clean_journal(path: Path) -> None:
    """Remove what a killed process or a full disk leaves of Optuna's file: its lock, and the half of a last line.

    Optuna waits for its lock, for ever where the path in it leads nowhere any more, and would append its next line to
    that half. No other process uses the file: the sweep's folder is locked. Raises OSError.
    """
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)
    content = read_file(path) if path.exists() else b""
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(path, whole)


def _ended(study: Any) -> list[Any]:
    """The trials that are not to be tried again."""
    trials = study.get_trials(deepcopy=False)
    return [t for t in trials if t.state.name in ("COMPLETE", "PRUNED") or FAILURE in t.user_attrs]


def _run_trial(
    optuna: Any, study: Any, config: RunConfig, options: SweepOptions, whole: set[str], out: Path,
    stop_after: float | None, log: Callable[[str], None],
) -> bool:  # fmt: skip
    """Run one trial. Returns whether it ended; if not, the next call continues its run."""
    study.sampler = _random_sampler(optuna, study, options)
    trial = study.ask()
    overrides = [f"{d.field}={d.suggest(trial, d.field in whole)}" for d in options.space]
    run_dir = out / TRIALS_FOLDER / hashlib.sha256("\n".join(overrides).encode()).hexdigest()[:12]

    reported: set[int] = set()

    def report(value: float, done: int) -> None:
        if done in reported:  # of a run that was killed between a line of metrics and its checkpoint
            return
        reported.add(done)
        trial.report(value, done)
        if trial.should_prune():
            raise optuna.TrialPruned

    def found_metric() -> float | None:
        return _found_metric(study, run_dir, options.metric)

    def train() -> bool:
        tried = dataclasses.replace(apply_overrides(config, overrides), seed=options.seed, num_seeds=options.num_seeds)
        if any(_has_every_metric(tried, row["update"]) for row in _earlier_rows(run_dir)):
            found_metric()
        for done, value in _earlier_values(tried, run_dir, options.metric):
            report(value, done)

        def on_update(done: int, saves: bool) -> None:
            # A stop saves, too, but evaluates nothing: the last evaluation is that of an earlier update.
            due = tried.has_checkpoint(done) and done < tried.total_updates
            if not due and not (done == 1 and _has_every_metric(tried, done)):
                return
            value = found_metric()
            if due and _is_finite(value):
                report(value, done)

        return train_or_resume(tried, run_dir, quiet=True, stop_after=stop_after, on_update=on_update)

    log(f"trial {trial.number}: {', '.join(overrides)}, in {run_dir}")
    try:
        finished = train()
    except optuna.TrialPruned:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        return True
    except Exception as error:
        if (reason := _lasting_failure(error)) is None:
            raise  # the trial stays a running one, which the next call tries again
        _fail(optuna, study, trial, reason, log)
        return True
    if not finished:
        _try_again(optuna, study, trial.number, trial.params)
        return False
    value = found_metric()
    if not _is_finite(value):
        problem = "is not among the metrics of its run" if value is None else "is not finite at its end"
        _fail(optuna, study, trial, f"{options.metric} {problem}", log)
        return True
    study.tell(trial, value)
    log(f"trial {trial.number}: {options.metric} {value:.4g}")
    return True


def _fail(optuna: Any, study: Any, trial: Any, reason: str, log: Callable[[str], None]) -> None:
    """End a trial that would fail again with the same settings."""
    log(f"trial {trial.number} failed: {reason}")
    trial.set_user_attr(FAILURE, reason)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _lasting_failure(error: Exception) -> str | None:
    """Why a trial would fail again with the same settings; None if that is not so, as when the disk is full."""
    if isinstance(error, DivergedError | ConfigError | IncompatibleError):
        return None if isinstance(error, MissingPackageError | TrackerError | ChangedAgentError) else str(error)
    explained = explain_failure(error)
    return str(explained) if isinstance(explained, OutOfMemoryError) else None


def _is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _earlier_values(config: RunConfig, run_dir: Path, name: str) -> Iterator[tuple[int, float]]:
    """(updates done, metric) at the checkpoints of a run that an earlier trial of the same settings began.

    Without them a trial that continues would be compared, at its first checkpoint, with the first of others.
    Raises: as `_metric`.
    """
    for row in _earlier_rows(run_dir):
        if config.has_checkpoint(row["update"]) and row["update"] < config.total_updates:
            value = _row_metric(run_dir, row, name)
            if _is_finite(value):
                yield row["update"], value


def _earlier_rows(run_dir: Path) -> list[dict[str, Any]]:
    """The metrics of a run that may not have begun."""
    return read_metrics(run_dir) if (run_dir / METRICS_FILE).exists() else []


def _has_every_metric(config: RunConfig, update: int) -> bool:
    """Whether the metrics of an update have every name that there is in the run: those of evaluations, too."""
    return not config.eval_episodes or config.has_checkpoint(update)


def _found_metric(study: Any, run_dir: Path, name: str) -> float | None:
    """`_metric`; None only where another trial has one of this name.

    Raises: NotFoundError, with the nearest names, if none has.
    """
    value = _metric(run_dir, name)
    if value is None and not any(map(_has_value, study.get_trials(deepcopy=False))):
        names = dict.fromkeys(key for row in read_metrics(run_dir) for key in row if key not in ("update", "steps"))
        ends = sorted({"/".join(key.split("/")[-2:]) for key in names})  # with which a metric can be named
        raise NotFoundError(
            f"{run_dir} has no metric whose name ends in {name!r}; {suggest(name, ends)}; the same command with "
            "another --metric continues"
        )
    return value


def _has_value(trial: Any) -> bool:
    """Whether a trial's metric was read, at a checkpoint or at its end."""
    return trial.state.name == "COMPLETE" or bool(trial.intermediate_values)


def _metric(run_dir: Path, name: str) -> float | None:
    """Mean over variants, agents and seeds of the metrics whose names end in `name`, in the last line that has one.

    Returns: NaN if none of them is finite there; None if no line has one.
    Raises: CorruptFileError for metrics that are not numbers.
    """
    values = (_row_metric(run_dir, row, name) for row in reversed(read_metrics(run_dir)))
    return next((value for value in values if value is not None), None)


def _row_metric(run_dir: Path, row: dict[str, Any], name: str) -> float | None:
    """`_metric` of one line."""
    values = [value for key, value in row.items() if key == name or key.endswith(f"/{name}")]
    try:
        numbers = [number for number in np.ravel(np.array(values, float)) if np.isfinite(number)]
    except (TypeError, ValueError):
        raise CorruptFileError(
            f"the metrics in {run_dir} are damaged: {name!r} of update {row['update']} is not numbers, as many for "
            "each variant and agent; remove the folder to train this trial again"
        ) from None
    if not values:
        return None
    return float(np.mean(numbers)) if numbers else math.nan


def _to_trial(trial: Any, options: SweepOptions) -> Trial:
    steps = trial.intermediate_values
    words = {"COMPLETE": "complete", "PRUNED": "stopped early"}
    settings = {d.field: str(trial.params[d.field]) for d in options.space if d.field in trial.params}
    state, failure = words.get(trial.state.name, "failed"), trial.user_attrs.get(FAILURE, "")
    value = trial.value if trial.value is not None else (steps[max(steps)] if steps else None)
    if state == "failed":
        value = None
    return Trial(trial.number, settings, value, state, max(steps, default=0), failure)


def best_trial(trials: list[Trial], minimize: bool) -> Trial | None:
    """The best of the trials that were trained to their end; None if there is none."""
    complete = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
    sign = 1 if minimize else -1
    return min(complete, key=lambda trial: sign * trial.value, default=None)  # type: ignore[operator] (not None)


def _write_results(config: RunConfig, options: SweepOptions, trials: list[Trial], out: Path) -> None:
    """The table, the best setting with the seeds that the configuration had, and, last, the figure of them."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    fields = [dimension.field for dimension in options.space]
    writer.writerow(["trial", *fields, options.metric, "state", "failure"])
    for trial in trials:
        values = [trial.settings.get(field, "") for field in fields]
        writer.writerow([trial.number, *values, trial.value, trial.state, trial.failure])
    write_text(out / TABLE_FILE, file.getvalue())
    if (best := best_trial(trials, options.minimize)) is not None:
        chosen = apply_overrides(config, [f"{field}={value}" for field, value in best.settings.items()])
        write_json(out / BEST_FILE, {"rookery": __version__, "config": to_dict(chosen)})
    shown = [trial for trial in trials if trial.value is not None]
    if shown:
        columns = {field: [trial.settings[field] for trial in shown] for field in fields}
        figure = parallel_coordinates(columns, [trial.value for trial in shown], options.metric)  # type: ignore[misc]
        write_text(out / FIGURE_FILE, figure_to_svg(figure) + "\n")
