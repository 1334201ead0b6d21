"""`rookery reproduce`: run a published experiment."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from rookery.commands.options import Cores, TimeLimit, optional, time_limit_seconds, use_cores
from rookery.errors import ConfigError, CorruptFileError

if TYPE_CHECKING:
    from rookery.studies.session import Session
    from rookery.studies.study import Study

EVAL_EPISODES = {"smoke": 8, "desk": 1000, "paper": 1000}
SMOKE_SEEDS = 2
RESULTS_DIR = Path("results")

DEFAULT_STEPS_PER_SECOND = {"desk": 31_000, "paper": 1_400}
"""Environment steps per second of all seeds of a run together on two cores, for estimates. Measured: the demo (README),
and `rookery train paper --seeds 1` on an AMD EPYC."""


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
            help="smoke: minutes, only shows that everything runs. desk: one desktop computer. paper: exactly the "
            "published hyperparameters.",
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
    quiet: bool = False
    """Show no progress."""

    def __call__(self) -> int:
        return run_reproduce(self)


def run_reproduce(options: ReproduceCommand) -> int:
    """Run the study; print the verdicts and where the report is. Returns 0."""
    stop_after = time_limit_seconds(options.time_limit)
    use_cores(options.cores)
    if options.list or options.study is None:
        return list_studies(options.results or RESULTS_DIR)
    from rookery.studies.registry import load_study
    from rookery.studies.reproduce import reproduce
    from rookery.studies.results_io import check_replaceable, write_results
    from rookery.studies.verdict_index import write_verdict_index

    study = load_study(options.study)
    session = _session(study, options, stop_after)
    # The results of a smoke run prove nothing, so by default they are kept apart.
    smoke_results = options.runs / "smoke-results"
    results = options.results or (smoke_results if options.budget == "smoke" else RESULTS_DIR)
    check_replaceable(results / study.name, options.budget)
    data = reproduce(study, session, _ignore if options.quiet else _print_now)
    if data is None:
        print("stopped; run the same command to continue")
        return 0
    report = write_results(study, data, results / study.name)
    write_verdict_index(results)
    print_verdicts(data)
    print(f"report: {report.resolve()}")
    return 0


def _session(study: Study, options: ReproduceCommand, stop_after: float | None) -> Session:
    from rookery.studies.session import Session

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
        quiet=options.quiet,
        stop_after=stop_after,
    )


def _print_now(text: str) -> None:
    print(text, flush=True)


def _ignore(text: str) -> None:
    pass


def print_verdicts(data: dict[str, Any]) -> None:
    """One line per claim."""
    from rookery.studies.results_io import format_evidence

    for claim in data["claims"]:
        print(f"{claim['verdict']:24} {claim['claim']} {format_evidence(claim)}")


def list_studies(results: Path) -> int:
    """Every study: what it compares, its budgets and their cost, and whether results exist. Returns 0."""
    from rookery.studies.summaries import read_summaries

    for name, summary in read_summaries().items():
        print(f"{name}\n  {summary['compares']}")
        if summary["runs"]:
            print(f"  runs, shared with other studies: {', '.join(summary['runs'])}")
        existing = _existing_results(results / name)
        for budget, steps in summary["steps_per_seed"].items():
            num_seeds = SMOKE_SEEDS if budget == "smoke" else summary["num_seeds"]
            if existing and existing[0] == budget:
                state = f"results of {existing[1]} seeds in {results / name}"
            else:
                state = "judges no claims" if budget == "smoke" else "not yet run"
            cost = _format_cost(steps * num_seeds, budget, summary["steps_per_second"])
            print(f"  {budget:6} {cost:42} {state}")
    return 0


def _existing_results(folder: Path) -> tuple[str, int] | None:
    """Budget and number of seeds of the results in a folder; None if there are none."""
    from rookery.storage.serialization import load_json

    path = folder / "results.json"
    if not path.exists():
        return None
    data = load_json(path, CorruptFileError)
    try:
        return data["budget"], len(data["seeds"])
    except (KeyError, TypeError):
        raise CorruptFileError(f"{path} does not hold the results of a study; run `rookery reproduce` again") from None


def _format_cost(steps: int, budget: str, steps_per_second: dict[str, int] | None) -> str:
    """The estimated cost of a budget, in words; `steps_per_second` is on one core, its default on two."""
    if budget == "smoke":
        return "minutes"
    if not steps:
        return "no training of its own"
    hours = steps / (steps_per_second or DEFAULT_STEPS_PER_SECOND)[budget] / 3600
    duration = f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:,.0f} days"
    return f"{steps / 1e6:,.0f}M steps, about {duration} on {'1 core' if steps_per_second else '2 cores'}"
