"""`rookery reproduce` and `rookery report`."""

from __future__ import annotations

from pathlib import Path

from rookery.errors import ConfigError

EPISODES = {"smoke": 8, "desk": 1000, "paper": 1000}
SMOKE_SEEDS = 2
RESULTS = Path("results")
ALL = "all"  # studies, to `report`

STEPS_PER_SECOND = {"desk": 31_000, "paper": 1_400}
"""Environment steps a second that all seeds of a program together make on two cores, as measured: the demo (README),
and `rookery train paper --seeds 1` on an AMD EPYC; for estimates."""


def main(options) -> int:
    """Returns 0; prints the verdicts and where the report is."""
    from rookery.commands.runs import _seconds, _use_cores

    stop_after = _seconds(options.minutes)
    _use_cores(options.cores)
    if options.list or options.study is None:
        return list_studies(options.results or RESULTS)
    from rookery.studies.catalogue import load
    from rookery.studies.index import write_index
    from rookery.studies.reproduce import reproduce
    from rookery.studies.session import Session
    from rookery.studies.writing import check_replaceable, write

    study, budget = load(options.study), options.budget
    if budget not in study.budgets:
        raise ConfigError(f"{study.name} has no budget {budget!r}; it has: {', '.join(study.budgets)}")
    session = Session(
        budget=budget,
        runs=options.runs,
        seed=options.seed,
        seeds=options.seeds if options.seeds is not None else SMOKE_SEEDS if budget == "smoke" else study.seeds,
        episodes=options.episodes if options.episodes is not None else EPISODES[budget],
        quiet=options.quiet,
        stop_after=stop_after,
    )
    # What proves nothing does not lie among the results by itself.
    folder = (options.results or (options.runs / "smoke-results" if budget == "smoke" else RESULTS)) / study.name
    check_replaceable(folder, budget)
    say = (lambda text: None) if options.quiet else lambda text: print(text, flush=True)
    data = reproduce(study, session, say)
    if data is None:
        print("stopped; the same command goes on from there")
        return 0
    report = write(study, data, folder)
    write_index(folder.parents[study.name.count("/")])
    tell(data)
    print(f"report: {report.resolve()}")
    return 0


def report(options) -> int:
    """Draw figures and pages again from each results.json, judge its claims again, and index all results."""
    from rookery.studies.index import with_results, write_index

    every = options.study == ALL
    names = with_results(options.results) if every else [options.study]
    for name in names:
        if every:
            print(name)
        _report(name, options.results / name)
    print(f"index: {write_index(options.results).resolve()}")
    return 0


def _report(name: str, folder: Path) -> None:
    from rookery.studies.catalogue import load
    from rookery.studies.reproduce import judged, summary
    from rookery.studies.results import Results
    from rookery.studies.writing import read, write

    study, data = load(name), read(folder)
    data |= {"summary": summary(Results(data)), "claims": judged(study, data)}
    page = write(study, data, folder)
    tell(data)
    print(f"report: {page.resolve()}")


def tell(data: dict) -> None:
    """One line a claim."""
    from rookery.studies.writing import said

    for claim in data["claims"]:
        print(f"{claim['verdict']:24} {claim['claim']} {said(claim)}")


def list_studies(results: Path) -> int:
    """Every study: what it compares, its budgets and their cost, and whether results exist."""
    from rookery.studies.catalogue import STUDIES, load
    from rookery.studies.reproduce import cost
    from rookery.studies.writing import RESULTS as FILE
    from rookery.studies.writing import read

    for name in STUDIES:
        study = load(name)
        print(f"{name}\n  {study.compares}")
        if study.trainings:
            print(f"  runs, shared with other studies: {', '.join(training.name for training in study.trainings)}")
        there = read(results / name) if (results / name / FILE).exists() else None
        for budget in study.budgets:
            seeds = SMOKE_SEEDS if budget == "smoke" else study.seeds
            if there and there["budget"] == budget:
                state = f"results of {len(there['seeds'])} seeds in {results / name}"
            elif budget == "smoke":
                state = "claims nothing"
            else:
                state = "not yet run"
            said = _cost(cost(study, budget, seeds), budget, study.steps_per_second)
            print(f"  {budget:6} {said:42} {state}")
    return 0


def _cost(steps: int, budget: str, own: dict | None = None) -> str:
    if budget == "smoke":
        return "seconds"
    if not steps:
        return "no training of its own"
    hours = steps / (own or STEPS_PER_SECOND)[budget] / 3600
    said = f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:,.0f} days"
    cores = "1 core" if own else "2 cores"
    return f"{steps / 1e6:,.0f}M steps, about {said} on {cores}"
