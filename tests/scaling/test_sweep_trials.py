"""A sweep on a stand-in for training, whose metric is a plain function of the settings."""

import collections
import contextlib
import csv
import dataclasses
import itertools
import json
import math
import os
import re
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from rookery import cli
from rookery.errors import (
    STOPPED_EXIT_CODE,
    UNFINISHED_EXIT_CODE,
    ChangedAgentError,
    ConfigError,
    CorruptFileError,
    DivergedError,
    MissingPackageError,
    NotFoundError,
    StorageError,
    TrackerError,
)
from rookery.scaling import sweep_trials as module
from rookery.scaling.sweep_trials import Dimension, SweepOptions, Trial, best_trial, sweep
from rookery.storage.metrics import MetricsWriter
from rookery.storage.serialization import from_dict
from rookery.training import continue_run
from rookery.training.config import RunConfig
from rookery.training.stop_signal import StopSignal
from rookery.viz.plots import parallel_coordinates
from tests.optional import is_installed
from tests.tiny import CONFIG

RATE, ENTROPY = "team.0.learning_rate", "team.0.ent_coef"
KEY = "evaluation/social/novice/social/return"
needs_optuna = pytest.mark.skipif(
    not is_installed("optuna"), reason="Optuna is not installed: pip install 'rookery[sweep]'"
)


@pytest.fixture
def errors() -> list[Exception]:
    """What the next trials meet with, the last one first."""
    return []


@pytest.fixture
def trained(monkeypatch, errors) -> list[RunConfig]:
    """The configurations that were trained. Their metric is 1 minus the distance of the rate from 0.3; NaN for 0.5."""
    configs = []

    def stand_in(config, run_dir, *, quiet, stop_after, on_update):
        rate = config.team[0].learning_rate
        if rate > 0.9:
            raise DivergedError("policy_loss is not finite")
        if errors:
            raise errors.pop()
        configs.append(config)
        if not (run_dir / "metrics.jsonl").exists():
            with MetricsWriter(run_dir) as writer:
                for done in range(1, config.total_updates + 1):
                    value = math.nan if rate == 0.5 else (1 - abs(rate - 0.3)) * done / config.total_updates
                    writer.write(done, done, {KEY: [value] * 2})
                    on_update(done, config.has_checkpoint(done))
        return True

    monkeypatch.setattr(module, "train_or_resume", stand_in)
    return configs


def silent(text: str) -> None:
    pass


def options(*space: str, **changes) -> SweepOptions:
    return SweepOptions(space=tuple(map(Dimension.parse, space)), **changes)


def test_dimensions():
    assert Dimension.parse("a.b=1, 2,x") == Dimension("a.b", ("1", "2", "x"))
    assert Dimension.parse("a=log:1e-4..1e-2") == Dimension("a", low=1e-4, high=1e-2, log=True)
    assert Dimension.parse("a=-1..2") == Dimension("a", low=-1, high=2)
    schedules = Dimension.parse('a=[[0, 1],[1,2]], 0.5 ,{"x": [1,2]},"../b,c"')
    assert schedules.choices == ("[[0, 1],[1,2]]", "0.5", '{"x": [1,2]}', '"../b,c"')
    paths = Dimension.parse("team.0.policy.init_from=../a.safetensors,../b.safetensors")
    assert paths.choices == ("../a.safetensors", "../b.safetensors")
    assert Dimension.parse('a=runs/../b,"c..d",[[0, "1..2"]]').choices == ("runs/../b", '"c..d"', '[[0, "1..2"]]')
    assert Dimension.parse("a=../b").choices == ("../b",)
    with pytest.raises(ConfigError, match=r"a bracket or a quote that is not closed; write a list as JSON, such as"):
        Dimension.parse("a=[[0,1],[1,2]")


@pytest.mark.parametrize(
    "text", ["a", "a=", "=1", "a=2..1", "a=log:0..1", "a=1..b", "a=1..2..3", "a=0..inf", "a=1_0..20"]
)
def test_no_dimension(text):
    with pytest.raises(ConfigError, match=r"write team\.0\.learning_rate=1e-4,1e-3"):
        Dimension.parse(text)


@pytest.mark.parametrize("values", ["1e-4..", "..1", "a..b", "1..2,3", "3,1..2", "1..2/3"])
def test_a_malformed_range_is_named_as_one(values):
    said = r'a range is LOW\.\.HIGH with two numbers, and a text with \.\. in it stands in quotes, such as "a\.\.b"; '
    with pytest.raises(ConfigError, match=said):
        Dimension.parse(f"a={values}")


@needs_optuna
def test_a_grid_tries_everything_once_on_seeds_of_its_own(trained, tmp_path):
    grid = options(f"{RATE}=0.1,0.2,0.95", f"{ENTROPY}=0,0.5", method="grid", num_seeds=2)
    trials = sweep(CONFIG, grid, tmp_path, log=silent)
    settings = [(trial.settings[RATE], trial.settings[ENTROPY]) for trial in trials]
    assert sorted(settings) == [(rate, entropy) for rate in ("0.1", "0.2", "0.95") for entropy in ("0", "0.5")]
    assert {config.seed for config in trained} == {1_000_000}
    assert {config.num_seeds for config in trained} == {2}
    assert [trial.state for trial in trials if trial.settings[RATE] == "0.95"] == ["failed"] * 2
    assert best_trial(trials, False).value == pytest.approx(0.9)
    # The best setting, with the seeds that the configuration had.
    best = from_dict(RunConfig, json.loads((tmp_path / "best.json").read_text())["config"])
    assert (best.team[0].learning_rate, best.seed, best.num_seeds) == (0.2, CONFIG.seed, CONFIG.num_seeds)
    with open(tmp_path / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert {row["state"] for row in rows} == {"complete", "failed"}
    assert (tmp_path / "sweep.svg").read_text().startswith("<svg")
    # Again: nothing is left to try.
    trained.clear()
    assert len(sweep(CONFIG, grid, tmp_path, log=silent)) == 6
    assert trained == []


@needs_optuna
def test_random_settings_continue_after_a_stop(trained, tmp_path):
    few, many = (options(f"{RATE}=log:0.01..0.5", num_trials=n) for n in (2, 5))
    first = sweep(CONFIG, few, tmp_path, log=silent)
    trials = sweep(CONFIG, many, tmp_path, log=silent)
    assert [trial.settings for trial in trials[:2]] == [trial.settings for trial in first]
    values = [float(trial.settings[RATE]) for trial in trials]
    assert len(set(values)) == 5
    assert 0.01 <= min(values) <= max(values) <= 0.5
    assert len(sweep(CONFIG, options(f"{RATE}=1..2"), tmp_path / "no", stop_after=lambda: 0.0, log=silent)) == 0
    with pytest.raises(ConfigError, match="holds a sweep of other settings"):
        sweep(CONFIG, options(f"{ENTROPY}=0,1"), tmp_path, log=silent)


@needs_optuna
def test_a_range_over_a_whole_number(trained, tmp_path):
    space = (f"{RATE}=0..1", "num_envs=log:4..64", "team.0.learner.num_minibatches=1..4")
    trials = sweep(CONFIG, options(*space, num_trials=8), tmp_path, log=silent)
    assert {trial.state for trial in trials} == {"complete", "failed"}
    sizes = {config.num_envs for config in trained}
    assert len(sizes) > 2
    assert sizes <= {*range(4, 65)}
    assert all(isinstance(config.team[0].learning_rate, float) for config in trained)
    assert any(0.01 < config.team[0].learning_rate < 0.99 for config in trained)


@needs_optuna
def test_settings_that_do_not_fit_together_are_one_trial_s_failure(trained, tmp_path, monkeypatch):
    real = module.apply_overrides

    def refuse(config, overrides):
        if f"{RATE}=0.2" in overrides and f"{ENTROPY}=0.5" in overrides:
            raise ConfigError("these do not fit together")
        return real(config, overrides)

    monkeypatch.setattr(module, "apply_overrides", refuse)
    grid = options(f"{RATE}=0.1,0.2", f"{ENTROPY}=0,0.5", method="grid")
    trials = sweep(CONFIG, grid, tmp_path, log=silent)
    assert [trial.failure for trial in trials if trial.state == "failed"] == ["these do not fit together"]
    assert len(trained) == len(trials) - 1 == 3


@needs_optuna
@pytest.mark.parametrize(
    "error",
    [
        StorageError("the disk is full"),
        MissingPackageError("x is not installed"),
        TrackerError("the tracker 'wandb' cannot start: no network"),
        ChangedAgentError("the run was started with another agent"),
    ],
)
def test_what_is_no_fault_of_the_settings_ends_the_sweep_and_is_tried_again(trained, errors, tmp_path, error):
    errors.append(error)
    grid = options(f"{RATE}=0.1,0.2", method="grid")
    with pytest.raises(type(error), match=str(error)):
        sweep(CONFIG, grid, tmp_path, log=silent)
    trials = sweep(CONFIG, grid, tmp_path, log=silent)
    assert sorted((trial.settings[RATE], trial.state) for trial in trials) == [("0.1", "complete"), ("0.2", "complete")]


@needs_optuna
def test_too_little_memory_fails_a_trial(trained, errors, tmp_path):
    errors.append(MemoryError("17 GB"))
    trials = sweep(CONFIG, options(f"{RATE}=0.1,0.2", method="grid"), tmp_path, log=silent)
    assert [trial.state for trial in trials] == ["failed", "complete"]
    assert trials[0].failure.startswith("out of memory (17 GB)")


@needs_optuna
def test_a_metric_that_is_not_finite_at_the_end_fails_its_trial_alone(trained, tmp_path):
    trials = sweep(CONFIG, options(f"{RATE}=0.5,0.2", method="grid"), tmp_path, log=silent)
    assert [trial.state for trial in trials] == ["failed", "complete"]
    assert trials[0].failure == "social/return is not finite at its end"


@needs_optuna
def test_a_metric_that_a_trial_lacks(trained, tmp_path):
    """Where none has it, its name is wrong; where others have it, the settings do without."""
    unknown = options(f"{RATE}=0.1,0.2", method="grid", metric="sociable/return")
    for _ in range(2):
        with pytest.raises(NotFoundError, match="has no metric whose name ends in 'sociable/return'"):
            sweep(CONFIG, unknown, tmp_path / "unknown", log=silent)
    grid = options(f"{RATE}=0.1,0.2", method="grid")

    def stand_in(config, run_dir, *, on_update, **_):
        run_dir.mkdir(parents=True, exist_ok=True)
        key = KEY if config.team[0].learning_rate == 0.1 else "other"
        (run_dir / "metrics.jsonl").write_text(json.dumps({"update": 1, "steps": 1, key: [1.0]}) + "\n")
        return True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "train_or_resume", stand_in)
        trials = sweep(CONFIG, grid, tmp_path / "lacks", log=silent)
    assert [trial.failure for trial in trials] == ["", "social/return is not among the metrics of its run"]


@needs_optuna
@pytest.mark.parametrize(("episodes", "update"), [(4, CONFIG.checkpoint_interval), (0, 1)])
def test_a_misspelt_metric_is_found_as_soon_as_every_name_is_there(trained, tmp_path, episodes, update):
    """With the first evaluation, if there are any; another one is taken in its place, and its trials continue."""
    space = options(f"{RATE}=0.1", method="grid", metric="social/retrun")
    config = dataclasses.replace(CONFIG, eval_episodes=episodes)
    said = r"name ends in 'social/retrun'; did you mean 'social/return'\? allowed: social/return; the same command"
    for _ in range(2):  # the second call finds it before it trains
        with pytest.raises(NotFoundError, match=said):
            sweep(config, space, tmp_path, log=silent)
    (run,) = (tmp_path / "runs").iterdir()
    assert len((run / "metrics.jsonl").read_text().splitlines()) == update
    assert len(trained) == 1
    (run / "metrics.jsonl").unlink()  # the stand-in does not continue
    corrected = dataclasses.replace(space, metric="return")
    assert [trial.state for trial in sweep(config, corrected, tmp_path, log=silent)] == ["complete"]
    assert json.loads((tmp_path / "sweep.json").read_text())["metric"] == "return"
    with pytest.raises(ConfigError, match="holds a sweep of other settings"):
        sweep(config, space, tmp_path, log=silent)


@needs_optuna
def test_another_metric_is_refused_when_a_trial_was_judged_at_a_checkpoint(trained, tmp_path, monkeypatch):
    space = options(f"{RATE}=0.1,0.2", method="grid")

    def killed(config, run_dir, *, on_update, **_):
        with MetricsWriter(run_dir) as writer:
            writer.write(config.checkpoint_interval, 1, {KEY: [1.0]})
            on_update(config.checkpoint_interval, True)
        raise StorageError("killed")

    monkeypatch.setattr(module, "train_or_resume", killed)
    with pytest.raises(StorageError, match="killed"):
        sweep(CONFIG, space, tmp_path, log=silent)
    with pytest.raises(ConfigError, match="holds a sweep of other settings"):
        sweep(CONFIG, dataclasses.replace(space, metric="return"), tmp_path, log=silent)


@needs_optuna
def test_a_trial_that_diverged_has_no_value(trained, tmp_path, monkeypatch):
    def stand_in(config, run_dir, *, on_update, **_):
        with MetricsWriter(run_dir) as writer:
            writer.write(3, 3, {KEY: [5.0]})
        on_update(3, True)
        raise DivergedError("policy_loss is not finite")

    monkeypatch.setattr(module, "train_or_resume", stand_in)
    (trial,) = sweep(CONFIG, options(f"{RATE}=0.1", method="grid"), tmp_path, log=silent)
    assert (trial.state, trial.value, trial.num_updates) == ("failed", None, 3)


def killing(real, at: int, is_after: bool):
    """A function in which the process is killed in the call of number `at`, before or after it has done its work."""
    calls = itertools.count()

    def function(*arguments, **named):
        ends = next(calls) == at
        result = None if ends and not is_after else real(*arguments, **named)
        if ends:
            raise KeyboardInterrupt
        return result

    return function


def stopping_once(real):
    """Training that is stopped the first time."""
    calls = itertools.count()
    return lambda *arguments, **named: next(calls) > 0 and real(*arguments, **named)


@needs_optuna
@pytest.mark.parametrize("is_after", [False, True])
@pytest.mark.parametrize("call", ["tell", "enqueue_trial", "set_user_attr"])
def test_a_process_killed_at_any_call_loses_and_repeats_no_setting(trained, tmp_path, monkeypatch, call, is_after):
    """Of the calls with which a trial that was stopped, failed or ended is recorded."""
    import optuna

    grid = options(f"{RATE}=0.1,0.95", method="grid")
    owner = optuna.Trial if call == "set_user_attr" else optuna.Study
    for number in range(4):
        with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            patch.setattr(owner, call, killing(vars(owner)[call], number, is_after))
            patch.setattr(module, "train_or_resume", stopping_once(module.train_or_resume))
            for _ in range(2):
                sweep(CONFIG, grid, tmp_path / str(number), log=silent)
        trials = sweep(CONFIG, grid, tmp_path / str(number), log=silent)
        assert sorted(trial.settings[RATE] for trial in trials) == ["0.1", "0.95"]


@needs_optuna
def test_a_setting_that_was_lost_is_tried(trained, tmp_path):
    """As by a version that ended a trial before it had it tried again."""
    import optuna

    few, grid = (options(f"{RATE}=0.1,0.2", method="grid") for _ in range(2))
    sweep(CONFIG, few, tmp_path, stop_after=lambda: 0.0, log=silent)
    study, _ = module._read_trials(optuna, grid, tmp_path)
    trial = study.ask()
    Dimension.parse(f"{RATE}=0.1,0.2").suggest(trial, whole=False)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    assert len(sweep(CONFIG, grid, tmp_path, log=silent)) == 2
    assert {config.team[0].learning_rate for config in trained} == {0.1, 0.2}


@needs_optuna
def test_a_lock_of_optuna_that_was_left_behind_is_removed(trained, tmp_path, monkeypatch):
    """With a relative folder the lock is a link that leads nowhere, for which Optuna waits for ever."""
    monkeypatch.chdir(tmp_path)
    Path("sweep").mkdir()
    Path("sweep/trials.log.lock").symlink_to("sweep/trials.log")
    made, symlink = [], os.symlink
    monkeypatch.setattr(os, "symlink", lambda target, path: made.append(target) or symlink(target, path))
    assert len(sweep(CONFIG, options(f"{RATE}=0.1", method="grid"), Path("sweep"), log=silent)) == 1
    assert {*made} == {str(tmp_path.resolve() / "sweep" / "trials.log")}


@needs_optuna
@pytest.mark.parametrize("left", ['{"op_code":', '{"op_code":4,"worker'])
def test_the_half_of_a_last_line_costs_nothing(trained, tmp_path, left):
    few, more = (options(f"{RATE}=0.1..0.2", num_trials=n) for n in (1, 2))
    sweep(CONFIG, few, tmp_path, log=silent)
    with open(tmp_path / "trials.log", "a") as file:
        file.write(left)
    for _ in range(2):
        assert len(sweep(CONFIG, more, tmp_path, log=silent)) == 2


@needs_optuna
def test_json_alone_is_printed(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # undone after the test
    space = ("--space", f"{RATE}=0.1,0.2", "--method", "grid", "--out", str(tmp_path))
    assert cli.main(["sweep", "demo", *space, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best"]["settings"] == {RATE: "0.2"}


@needs_optuna
def test_a_sweep_of_failures_says_so(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # undone after the test
    space = ("--space", f"{RATE}=0.95,0.99", "--method", "grid", "--out", str(tmp_path))
    assert cli.main(["sweep", "demo", *space]) == UNFINISHED_EXIT_CODE
    assert "none of 2 trials reached its end (policy_loss is not finite); try another space" in capsys.readouterr().out


@needs_optuna
def test_a_signal_ends_the_sweep_and_the_trial_is_continued(trained, tmp_path, monkeypatch, capsys):
    """Between two trials and, where training takes it and does not finish, within one."""
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # undone after the test
    grid = options(f"{RATE}=0.1,0.2,0.3", method="grid")

    def stop_after_the_first(text):
        if text.startswith("trial 0: social"):
            signal.raise_signal(signal.SIGTERM)

    assert [trial.state for trial in sweep(CONFIG, grid, tmp_path, log=stop_after_the_first)] == ["complete"]
    with monkeypatch.context() as patch:
        patch.setattr(module, "train_or_resume", lambda config, *_, **__: trained.append(config))
        assert len(sweep(CONFIG, grid, tmp_path, log=silent)) == 1
        space = ("--space", f"{RATE}=0.1,0.2", "--method", "grid", "--out", str(tmp_path / "other"))
        assert cli.main(["sweep", "demo", *space]) == STOPPED_EXIT_CODE
        assert capsys.readouterr().out.endswith("stopped after 0 trials; run the same command to continue\n")
    assert len(trained) == 3
    assert len(sweep(CONFIG, grid, tmp_path, log=silent)) == 3
    assert trained[1] in trained[3:]


@needs_optuna
def test_a_signal_in_the_last_update_of_a_trial_ends_the_sweep(trained, tmp_path, monkeypatch):
    """The trial's run takes it, and is finished: the next call finds that."""
    full, grid = module.train_or_resume, options(f"{RATE}=0.1,0.2", method="grid")

    def train(config, run_dir, *, devices=None, track=None, **named):
        with StopSignal():
            signal.raise_signal(signal.SIGTERM)
            return SimpleNamespace(finished=full(config, run_dir, **named))

    with monkeypatch.context() as patch:
        patch.setattr(continue_run, "train", train)
        patch.setattr(module, "train_or_resume", continue_run.train_or_resume)
        assert sweep(CONFIG, grid, tmp_path, log=silent) == []
    assert len(trained) == 1
    assert len(sweep(CONFIG, grid, tmp_path, log=silent)) == 2


@needs_optuna
def test_halving_stops_poor_settings_at_checkpoints(trained, tmp_path):
    trials = sweep(CONFIG, options(f"{RATE}=0.01..0.6", method="halving", num_trials=8), tmp_path, log=silent)
    stopped = [trial for trial in trials if trial.state == "stopped early"]
    assert stopped
    assert all(0 < trial.num_updates < CONFIG.total_updates for trial in stopped)
    assert best_trial(trials, False).state == "complete"


@needs_optuna
@pytest.mark.parametrize("method", ["random", "halving"])
def test_a_sweep_that_is_stopped_again_and_again_tries_the_settings_of_one_that_is_not(
    trained, tmp_path, monkeypatch, method
):
    """Every trial that comes to its last checkpoint is stopped there three times; halving compares none with its own
    earlier values."""
    many = options(f"{RATE}=0.01..0.6", f"{ENTROPY}=0..1", method=method, num_trials=12)
    whole = sweep(CONFIG, many, tmp_path / "whole", log=silent)
    train, stops = module.train_or_resume, collections.Counter()

    def often_stopped(config, run_dir, **named):
        finished = train(config, run_dir, **named)
        stops[run_dir] += 1
        return finished and stops[run_dir] > 3

    monkeypatch.setattr(module, "train_or_resume", often_stopped)
    stopped = []
    while len(stopped) < 12:
        stopped = sweep(CONFIG, many, tmp_path / "stopped", log=silent)
    assert max(stops.values()) == 4
    assert {trial.state for trial in whole} == {"complete"} | ({"stopped early"} if method == "halving" else set())

    def told(trials):
        return [(trial.settings, trial.state, trial.value, trial.num_updates) for trial in trials]

    assert told(stopped) == told(whole)


@needs_optuna
def test_halving_counts_a_trial_that_was_stopped_once():
    """The best setting was stopped four times; the second best of eight is in the best quarter all the same."""
    import optuna

    study = optuna.create_study(direction="maximize", pruner=module._halving_pruner(optuna))

    def poor(value: float, state: str, failure: str | None = None) -> bool:
        trial = study.ask()
        trial.report(value, 1)
        poor = trial.should_prune()
        if failure is not None:
            trial.set_user_attr(module.FAILURE, failure)
        study.tell(trial, value if state == "COMPLETE" else None, state=optuna.trial.TrialState[state])
        return poor

    assert not any(poor(value, "COMPLETE") for value in (0.1, 0.2))
    for value in (0.3, 0.4, 0.5, 0.6, 0.7):
        poor(value, "PRUNED")
    assert [poor(0.9, state) for state in ["FAIL"] * 4 + ["COMPLETE"]] == [False] * 5
    assert not poor(0.8, "COMPLETE")
    assert not poor(0.95, "FAIL", failure="diverged")  # it will not come again: it is one of those compared
    assert poor(0.75, "PRUNED")


@needs_optuna
def test_a_continued_sweep_halves_at_the_steps_of_one_that_was_not_stopped():
    """The space may change how many updates a trial does: the first complete one says, not the longest so far."""
    import optuna

    study = optuna.create_study(direction="maximize", pruner=module._halving_pruner(optuna))
    for steps in (300, 1000):
        study.add_trial(optuna.trial.create_trial(value=1.0, intermediate_values={steps: 1.0}))
        trial = study.ask()
        trial.report(1.0, 3)
        assert not trial.should_prune()
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    study.pruner = module._halving_pruner(optuna)  # of another process
    trial = study.ask()
    trial.report(0.0, 3)
    assert trial.should_prune()


@needs_optuna
def test_settings_that_a_kill_left_half_sampled_are_sampled_again(trained, tmp_path, monkeypatch):
    many = options(f"{RATE}=0.01..0.6", f"{ENTROPY}=0..1", num_trials=3)
    whole = sweep(CONFIG, many, tmp_path / "whole", log=silent)
    with monkeypatch.context() as patch:
        patch.setattr(Dimension, "suggest", killing(Dimension.suggest, 3, False))
        with pytest.raises(KeyboardInterrupt):
            sweep(CONFIG, many, tmp_path / "killed", log=silent)
    killed = sweep(CONFIG, many, tmp_path / "killed", log=silent)
    assert [trial.settings for trial in killed] == [trial.settings for trial in whole]


@needs_optuna
def test_a_trial_that_continues_is_compared_by_all_its_checkpoints(trained, tmp_path, monkeypatch):
    """And not, at its first one, with the first of others."""
    import optuna

    halving, reported = options(f"{RATE}=0.1..0.2", method="halving", num_trials=1), []
    monkeypatch.setattr(optuna.Trial, "report", lambda self, _, step: reported.append((self.number, step)))

    def stopped(config, run_dir, *, on_update, **_):
        with MetricsWriter(run_dir) as writer:
            for done in range(1, 5):
                writer.write(done, done, {KEY: [1.0]})
        return False

    with monkeypatch.context() as patch:
        patch.setattr(module, "train_or_resume", stopped)
        assert sweep(CONFIG, halving, tmp_path, log=silent) == []
    assert len(sweep(CONFIG, halving, tmp_path, log=silent)) == 1
    assert reported == [(1, CONFIG.checkpoint_interval)]


@needs_optuna
def test_a_stop_between_checkpoints_reports_nothing(trained, tmp_path, monkeypatch):
    """What was evaluated last is of an earlier update, and would be compared with later ones of others."""
    import optuna

    halving, reported = options(f"{RATE}=0.1..0.2", method="halving", num_trials=1), []
    monkeypatch.setattr(optuna.Trial, "report", lambda self, _, step: reported.append(step))

    def stopped(config, run_dir, *, on_update, **_):
        interval = config.checkpoint_interval
        with MetricsWriter(run_dir) as writer:
            for done in range(1, interval + 2):
                writer.write(done, done, {KEY: [1.0]} if done == interval else {})
                on_update(done, done >= interval)
        return False

    monkeypatch.setattr(module, "train_or_resume", stopped)
    assert CONFIG.checkpoint_interval + 1 < CONFIG.total_updates
    assert sweep(CONFIG, halving, tmp_path, log=silent) == []
    assert reported == [CONFIG.checkpoint_interval]


@needs_optuna
def test_a_checkpoint_that_is_trained_again_is_reported_once(trained, tmp_path, monkeypatch):
    """As after a kill between its line of metrics and the checkpoint itself."""
    import optuna

    halving, reported = options(f"{RATE}=0.1..0.2", method="halving", num_trials=1), []
    monkeypatch.setattr(optuna.Trial, "report", lambda self, _, step: reported.append((self.number, step)))

    def killed(config, run_dir, *, on_update, **_):
        with MetricsWriter(run_dir) as writer:
            writer.write(config.checkpoint_interval, 1, {KEY: [1.0]})
        raise StorageError("killed")

    def resumed(config, run_dir, *, on_update, **_):
        on_update(config.checkpoint_interval, True)
        return True

    monkeypatch.setattr(module, "train_or_resume", killed)
    with pytest.raises(StorageError):
        sweep(CONFIG, halving, tmp_path, log=silent)
    monkeypatch.setattr(module, "train_or_resume", resumed)
    assert len(sweep(CONFIG, halving, tmp_path, log=silent)) == 1
    assert reported == [(1, CONFIG.checkpoint_interval)]


def test_the_smallest_may_be_the_best():
    trials = [Trial(n, {}, value, "complete", 0) for n, value in enumerate((2.0, 1.0, 3.0))]
    assert (best_trial(trials, True).number, best_trial(trials, False).number) == (1, 2)
    assert best_trial([Trial(0, {}, 1.0, "stopped early", 1)], False) is None


@needs_optuna
@pytest.mark.parametrize(
    ("space", "changes", "message"),
    [
        ((), {}, "space is empty"),
        ((f"{RATE}=1", f"{RATE}=2"), {}, "names a setting twice"),
        ((f"{RATE}=1,2,1",), {}, "space has a value of 'team.0.learning_rate' twice: 1, 2, 1; name each once"),
        ((f"{RATE}=1", "team.00.learning_rate=2"), {}, "names a setting twice: team.0.learning_rate, team.00.learn"),
        (("team.00.policy.network=x", "team.0.policy=y"), {}, "which is a part of it; leave one of them out"),
        ((f"{RATE}=1e-3,1,0.0010",), {}, "'team.0.learning_rate' twice: 1e-3, 1, 0.0010; name each once"),
        (("num_envs=4,4.0",), {"method": "grid"}, "space has a value of 'num_envs' twice: 4, 4.0; name each once"),
        ((f"{RATE}=[[0,1],[1,2]],[[0, 1.0], [1, 2]]",), {}, "twice: "),
        ((f"{RATE}=0..1",), {"method": "grid"}, "a grid needs values, not a range, for team.0.learning_rate"),
        ((f"{RATE}=1",), {"method": "guess"}, "method='guess'"),
        ((f"{RATE}=1",), {"num_trials": 0}, "num_trials=0"),
        ((f"{RATE}=1",), {"seed": CONFIG.seed}, "overlap with the configuration's own, 3 to 3"),
        (("team.0.rate=1",), {}, "rate"),
        (("eval_episodes=4,0",), {}, "eval_episodes=0: checkpoints are not evaluated; name another metric"),
        (("seed=1,2",), {}, "space has 'seed', which is the same in all trials of a sweep; set it by --seed"),
        ((f"{RATE}=1", "num_seeds=1..3"), {}, "space has 'num_seeds', .* set it by --seeds"),
        (("team.0.learner.gamma=0.5", 'team.0.learner={"kind": "ppo"}'), {}, "'team.0.learner.gamma', which is a part"),
        ((f"{RATE}=1",), {"seed": -5}, "seed=-5 must lie in"),
        ((f"{RATE}=1",), {"seed": 5_000_000_000}, "seed=5000000000 must be at most"),
        ((f"{RATE}=1",), {"num_seeds": 10**12}, "num_seeds=1000000000000 must be at most"),
    ],
)
def test_refused_before_anything_is_trained(trained, tmp_path, space, changes, message):
    with pytest.raises(ConfigError, match=message):
        sweep(CONFIG, options(*space, **changes), tmp_path, log=silent)
    assert trained == []
    assert not list(tmp_path.iterdir())


@needs_optuna
@pytest.mark.parametrize("line", ["[]", "5", '{"op_code": 99}', '{"op_code":0}', "not JSON", None])
def test_a_damaged_file_of_trials_is_said_to_be_damaged(trained, tmp_path, line):
    """A line was added, or that of a trial's setting lost."""
    few, more = (options(f"{RATE}=0.1..0.2", num_trials=n) for n in (1, 2))
    sweep(CONFIG, few, tmp_path, log=silent)
    path = tmp_path / "trials.log"
    lines = path.read_text().splitlines()
    lines = [kept for kept in lines if '"param_name"' not in kept] if line is None else [*lines, line]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(CorruptFileError, match=r"trials\.log is damaged \(.*remove it: the same command"):
        sweep(CONFIG, more, tmp_path, log=silent)
    path.unlink()
    assert len(sweep(CONFIG, more, tmp_path, log=silent)) == 2


@needs_optuna
def test_the_settings_of_a_trial_that_are_no_object(trained, tmp_path):
    """Of one that was still running, as after a kill."""
    sweep(CONFIG, options(f"{RATE}=1e-4,1e-3", method="grid"), tmp_path, log=silent)
    path = tmp_path / "trials.log"
    lines = [line for line in path.read_text().splitlines() if '"fixed_params"' in line or '"study_name"' in line]
    assert len(lines) == 3
    lines[1] = re.sub(r'"fixed_params": ?\{[^}]*\}', '"fixed_params": []', lines[1])
    assert '"fixed_params": []' in lines[1]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(CorruptFileError, match=r"trials\.log is damaged \(TypeError: the settings of trial 0"):
        sweep(CONFIG, options(f"{RATE}=1e-4,1e-3", method="grid"), tmp_path, log=silent)


def test_without_optuna(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(MissingPackageError, match=r"Optuna is not installed: \S+ -m pip install 'rookery\[sweep\]'"):
        sweep(CONFIG, options(f"{RATE}=1"), tmp_path, log=silent)


def test_the_figure_has_a_line_per_configuration():
    figure = parallel_coordinates(
        {"a.rate": ["0.001", "0.01", "1"], "kind": ["x", "y", "x"]}, [1.0, 2.0, 0.0], "return"
    )
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 2 and line.get_marker() == "o"]
    assert [list(line.get_ydata()) for line in lines] == [[1.0, 0.0], [0.0, 0.0], [pytest.approx(1 / 3), 1.0]]
    with pytest.raises(ConfigError, match="at least one setting"):
        parallel_coordinates({}, [], "return")


def test_metrics_that_are_no_numbers_are_named_as_damaged(tmp_path):
    row = {"update": 1, "steps": 8, "evaluation/a/social/return": [1.0, 2.0]}
    (tmp_path / "metrics.jsonl").write_text(json.dumps({**row, "evaluation/b/social/return": [[1.0]]}) + "\n")
    with pytest.raises(CorruptFileError, match=r"'social/return' of update 1 is not numbers"):
        module._metric(tmp_path, "social/return")
    (tmp_path / "metrics.jsonl").write_text(json.dumps(row) + "\n")
    assert module._metric(tmp_path, "social/return") == 1.5
    assert module._metric(tmp_path, "solo/return") is None
    (tmp_path / "metrics.jsonl").write_text(json.dumps({**row, "evaluation/a/social/return": [None]}) + "\n")
    assert math.isnan(module._metric(tmp_path, "social/return"))
