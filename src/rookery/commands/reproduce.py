"""`rookery reproduce`: run a published experiment."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from rookery.commands.lists import RESULTS_DIR, list_studies
from rookery.commands.options import (
    Cores,
    Json,
    TimeLimit,
    check_cores,
    flags,
    given,
    optional,
    time_limit_seconds,
    use_cores,
)
from rookery.commands.output import print_json
from rookery.errors import STOPPED_EXIT_CODE, ConfigError
from rookery.studies.summaries import SMOKE_SEEDS
from rookery.training.devices import request_deterministic_ops

if TYPE_CHECKING:
    from rookery.studies.session import Session
    from rookery.studies.study import Study


@dataclasses.dataclass
class ReproduceCommand:
    """Run a published experiment: train what is missing, evaluate, judge its claims, write results and a report."""

    study: Annotated[Positional[str | None], optional("STUDY", "list them all")] = None
    """Name of the study, such as ndousse2021/fig4."""
    list: bool = False
    """List every study: what it compares, its budgets with their cost, and whether results exist."""
    budget: Annotated[
        Literal["smoke", "desk", "paper"],
        arg(
            help="smoke: minutes, longer on a busy machine; only shows that everything runs. desk: one desktop "
            "computer. paper: exactly the published hyperparameters.",
        ),
    ] = "desk"
    runs: Path = Path("runs")
    """Folder of the runs; studies share them, and a stopped one is resumed."""
    results: Annotated[Path | None, optional("FOLDER", "results; RUNS/smoke-results for smoke")] = None
    """Folder of the results."""
    seeds: Annotated[int | None, optional("INT", "the study's")] = None
    """Number of seeds of each condition."""
    seed: int = 0
    """The first seed; the others count up from it."""
    episodes: Annotated[int | None, optional("INT", "1000; 8 for smoke")] = None
    """Evaluation episodes for each agent and condition."""
    time_limit: TimeLimit = None
    """Save and stop after so many minutes; run the same command to continue."""
    cores: Cores = None
    """CPU cores to spread seeds over; extra cores share the updates of a seed."""
    deterministic_ops: bool = False
    """On a GPU: add up in a fixed order, so that a study repeats to the bit; slower. Give it in every call."""
    shard: Annotated[str | None, optional("K/N", "the whole study")] = None
    """Train only the Kth of N shards, on any machine that sees the folder of runs. When all are trained, the command
    without --shard judges."""
    ray: Annotated[tuple[str, ...] | None, optional("[ADDRESS]", "this process")] = None
    """Train and measure on a Ray cluster; without an address, on one that is started here."""
    replicas_per_task: Annotated[int | None, optional("INT", "1; with GPUs, all seeds of a variant")] = None
    """Agents or teams that one task trains side by side, with --shard or --ray."""
    num_cpus: Annotated[int | None, optional("INT", "1")] = None
    """CPU cores of a task, with --ray."""
    num_gpus: Annotated[float | None, optional("FLOAT", "0")] = None
    """GPUs of a task, with --ray; 0.5 lets two tasks have the same one."""
    quiet: bool = False
    """Show no progress."""
    json: Json = False

    def __call__(self) -> int:
        return run_reproduce(self)


def run_reproduce(options: ReproduceCommand) -> int:
    """Run the study; print the verdicts and where the report is. Returns 0, or STOPPED_EXIT_CODE before the end."""
    stop_after = time_limit_seconds(options.time_limit)
    if options.deterministic_ops:
        request_deterministic_ops()
    divided = _check_divided(options)
    check_cores(options.cores)
    if options.list or options.study is None:
        _check_list_options(options)
        return list_studies(options.results or RESULTS_DIR, options.json)
    from rookery.scaling.tasks import split_threads
    from rookery.storage.atomic import check_writable
    from rookery.studies.results_io import check_replaceable, describe_replaced, write_results
    from rookery.studies.run_study import reproduce
    from rookery.studies.study_list import load_study
    from rookery.studies.verdict_index import VERDICTS_FILE, write_verdict_index
    from rookery.training.continue_run import is_finished
    from rookery.training.machine_notes import started_threads

    study = load_study(options.study)
    session = _session(study, options, stop_after)
    # The results of a smoke run prove nothing, so by default they are kept apart.
    smoke_results = options.runs / "smoke-results"
    results = options.results or (smoke_results if options.budget == "smoke" else RESULTS_DIR)
    check_replaceable(results / study.name, options.budget)
    check_writable(results / VERDICTS_FILE)
    log = _ignore if session.quiet else _print_now
    if note := describe_replaced(results / study.name, session.seed_range, session.eval_episodes):
        print(note, file=sys.stderr, flush=True)
    if divided:
        from rookery.commands.reproduce_divided import run_divided

        if (code := run_divided(study, session, options, log)) is not None:
            return code
    else:
        unfinished = (folder for folder in map(session.run_dir, study.runs) if not is_finished(folder))
        use_cores(options.cores, split_threads(study, session) or started_threads(unfinished))
        if options.budget != "smoke" and not session.quiet:
            from rookery.studies.cost import show_cost

            show_cost(study, session, log)
    data = reproduce(study, session, log)
    if data is None:
        if options.json:
            print_json({"study": study.name, "finished": False})
        else:
            print("stopped; run the same command to continue")
        return STOPPED_EXIT_CODE
    report = write_results(study, data, results / study.name)
    write_verdict_index(results)
    print_verdicts(data, report, options.json)
    return 0


def _check_divided(options: ReproduceCommand) -> bool:
    """Whether the study is done in tasks. Raises ConfigError for options that do not go together."""
    if options.ray is not None and len(options.ray) > 1:
        raise ConfigError(f"--ray takes one address, not {' '.join(options.ray)}; name the study before --ray")
    if options.ray and options.study is None:
        raise ConfigError("no study is named; name it before --ray, which takes what follows it for an address")
    if options.shard is not None and options.ray is not None:
        raise ConfigError("--shard and --ray exclude each other: Ray distributes the whole study itself")
    if options.ray is None:
        for name in ("num_cpus", "num_gpus", *(("replicas_per_task",) if options.shard is None else ())):
            if getattr(options, name) is not None:
                raise ConfigError(f"{flags([name])} needs --ray{' or --shard' if name == 'replicas_per_task' else ''}")
    return options.shard is not None or options.ray is not None


def _check_list_options(options: ReproduceCommand) -> None:
    """Raises ConfigError for options that the list of studies does not use."""
    used = ("list", "json", "results") if options.list else ("json",)
    unused = given(options, [field.name for field in dataclasses.fields(options) if field.name not in used])
    if "study" in unused:
        raise ConfigError(f"--list shows every study; leave out {options.study}, or --list to run it")
    if unused:
        raise ConfigError(
            f"{flags(unused)} cannot be used with --list; leave it out"
            if options.list
            else f"{flags(unused)} is for a study; name the study, such as ndousse2021/fig4"
        )


def _session(study: Study, options: ReproduceCommand, stop_after: float | None) -> Session:
    from rookery.studies.session import Session
    from rookery.studies.training_run import EVAL_EPISODES

    budget = options.budget
    if budget not in study.budgets:
        raise ConfigError(f"{study.name} has no budget {budget!r}; it has: {', '.join(study.budgets)}")
    num_seeds = SMOKE_SEEDS if budget == "smoke" else study.num_seeds
    return Session(
        budget=budget,
        runs_dir=options.runs,
        seed=options.seed,
        num_seeds=options.seeds if options.seeds is not None else num_seeds,
        eval_episodes=options.episodes if options.episodes is not None else EVAL_EPISODES[budget],
        quiet=options.quiet or options.json,
        stop_after=stop_after,
    )


def _print_now(text: str) -> None:
    print(text, flush=True)


def _ignore(text: str) -> None:
    pass


def print_verdicts(data: dict[str, Any], report: Path, as_json: bool = False) -> None:
    """One line per claim, and where the report is."""
    from rookery.studies.results_io import format_evidence
    from rookery.studies.study import UNJUDGED

    if as_json:
        claims = [{"claim": claim["claim"], "verdict": claim["verdict"]} for claim in data["claims"]]
        row = {"study": data["study"], "budget": data["budget"], "finished": True, "claims": claims}
        print_json(row | {"report": str(report.resolve())})
        return
    judged = [claim for claim in data["claims"] if claim["verdict"] != UNJUDGED]
    for claim in judged:
        print(f"{claim['verdict']:24} {claim['claim']} {format_evidence(claim)}")
    if unjudged := len(data["claims"]) - len(judged):
        print(f"{unjudged} {'claim is' if unjudged == 1 else 'claims are'} not judged at the budget {data['budget']}")
    print(f"report: {report.resolve()}")
