"""`rookery reproduce` and `rookery report`."""

from __future__ import annotations

from pathlib import Path

from rookery.errors import ConfigError

EVAL_EPISODES = {"smoke": 8, "desk": 1000, "paper": 1000}
SMOKE_SEEDS = 2
RESULTS_DIR = Path("results")
ALL_STUDIES = "all"  # studies, to `report`

DEFAULT_STEPS_PER_SECOND = {"desk": 31_000, "paper": 1_400}
"""Environment steps a second that all seeds of a program together make on two cores, as measured: the demo (README),
and `rookery train paper --seeds 1` on an AMD EPYC; for estimates."""


def run_reproduce(options) -> int:
    """Returns 0; prints the verdicts and where the report is."""
    from rookery.commands.train import time_limit_seconds, use_cores

    stop_after = time_limit_seconds(options.minutes)
    use_cores(options.cores)
    if options.list or options.study is None:
        return list_studies(options.results or RESULTS_DIR)
    from rookery.studies.registry import load_study
    from rookery.studies.reproduce import reproduce
    from rookery.studies.results_io import check_replaceable, write_results
    from rookery.studies.session import Session
    from rookery.studies.verdict_index import write_verdict_index

    study, budget = load_study(options.study), options.budget
    if budget not in study.budgets:
        raise ConfigError(f"{study.name} has no budget {budget!r}; it has: {', '.join(study.budgets)}")
    session = Session(
        budget=budget,
        runs_dir=options.runs,
        seed=options.seed,
        num_seeds=options.seeds if options.seeds is not None else SMOKE_SEEDS if budget == "smoke" else study.num_seeds,
        eval_episodes=options.episodes if options.episodes is not None else EVAL_EPISODES[budget],
        quiet=options.quiet,
        stop_after=stop_after,
    )
    # What proves nothing does not lie among the results by itself.
    folder = (options.results or (options.runs / "smoke-results" if budget == "smoke" else RESULTS_DIR)) / study.name
    check_replaceable(folder, budget)
    say = (lambda text: None) if options.quiet else lambda text: print(text, flush=True)
    data = reproduce(study, session, say)
    if data is None:
        print("stopped; the same command goes on from there")
        return 0
    report = write_results(study, data, folder)
    write_verdict_index(folder.parents[study.name.count("/")])
    print_verdicts(data)
    print(f"report: {report.resolve()}")
    return 0


def run_report(options) -> int:
    """Draw figures and pages again from each results.json, judge its claims again, and index all results."""
    from rookery.studies.verdict_index import studies_with_results, write_verdict_index

    every = options.study == ALL_STUDIES
    names = studies_with_results(options.results) if every else [options.study]
    for name in names:
        if every:
            print(name)
        _report(name, options.results / name)
    print(f"index: {write_verdict_index(options.results).resolve()}")
    return 0


def _report(name: str, folder: Path) -> None:
    from rookery.studies.registry import load_study
    from rookery.studies.reproduce import judge_claims, summarize_results
    from rookery.studies.results import Results
    from rookery.studies.results_io import read_results, write_results

    study, data = load_study(name), read_results(folder)
    data |= {"summary": summarize_results(Results(data)), "claims": judge_claims(study, data)}
    page = write_results(study, data, folder)
    print_verdicts(data)
    print(f"report: {page.resolve()}")


def print_verdicts(data: dict) -> None:
    """One line a claim."""
    from rookery.studies.results_io import format_evidence

    for claim in data["claims"]:
        print(f"{claim['verdict']:24} {claim['claim']} {format_evidence(claim)}")


def list_studies(results: Path) -> int:
    """Every study: what it compares, its budgets and their cost, and whether results exist."""
    from rookery.studies.registry import STUDIES, load_study
    from rookery.studies.reproduce import count_training_steps
    from rookery.studies.results_io import STUDY_RESULTS_FILE as FILE
    from rookery.studies.results_io import read_results

    for name in STUDIES:
        study = load_study(name)
        print(f"{name}\n  {study.compares}")
        if study.runs:
            print(f"  runs, shared with other studies: {', '.join(training.name for training in study.runs)}")
        there = read_results(results / name) if (results / name / FILE).exists() else None
        for budget in study.budgets:
            seeds = SMOKE_SEEDS if budget == "smoke" else study.num_seeds
            if there and there["budget"] == budget:
                state = f"results of {len(there['seeds'])} seeds in {results / name}"
            elif budget == "smoke":
                state = "claims nothing"
            else:
                state = "not yet run"
            said = _format_cost(count_training_steps(study, budget, seeds), budget, study.steps_per_second)
            print(f"  {budget:6} {said:42} {state}")
    return 0


def _format_cost(steps: int, budget: str, own: dict | None = None) -> str:
    if budget == "smoke":
        return "seconds"
    if not steps:
        return "no training of its own"
    hours = steps / (own or DEFAULT_STEPS_PER_SECOND)[budget] / 3600
    said = f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:,.0f} days"
    cores = "1 core" if own else "2 cores"
    return f"{steps / 1e6:,.0f}M steps, about {said} on {cores}"
