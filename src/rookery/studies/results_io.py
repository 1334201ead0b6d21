"""A study's folder of results: tables, figures, verdicts and report, all written at once or not at all."""

from __future__ import annotations

import contextlib
import csv
import io
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rookery.errors import (
    ConfigError,
    CorruptFileError,
    MissingPackageError,
    NotFoundError,
    StorageError,
    typed_text,
)
from rookery.intervals import Interval, format_interval
from rookery.storage.atomic import (
    check_writable,
    is_folder,
    path_exists,
    refuse_link,
    replacing_folder,
    restore_replaced,
    storage_error,
    temporary_path,
    write_bytes,
    write_json,
    write_text,
)
from rookery.storage.serialization import load_json
from rookery.studies.deviations import older_partner_rows
from rookery.studies.measures import AGENT_MEASURES, TEAM_MEASURES
from rookery.studies.results import Results
from rookery.studies.results_shape import check_results
from rookery.studies.study import FAILS, HOLDS, NOT_TESTED, Figures, Study
from rookery.studies.training_run import BUDGETS

if TYPE_CHECKING:
    from rookery.viz.report_page import Report

_REMEDY = "put the file back as it was, or remove it and run `rookery reproduce` again"
STUDY_RESULTS_FILE, STUDY_REPORT_FILE, TABLE_STEM = "results.json", "report.html", "table"
REPORTED_METRICS = ("goals", "mistakes", "steps_to_first_reward")
"""Task metrics that the report's table of agents shows."""


def check_replaceable(folder: Path, budget: str) -> None:
    """Whether results can be written there, asked before any training.

    Raises: ConfigError where results of a larger budget stand, which a smaller one must not replace; StorageError where
      a file or a symbolic link stands in place of a folder.
    """
    refuse_link(folder)
    existing = next(path for path in (folder, *folder.parents) if path_exists(path) or not path.name)
    if not is_folder(existing):
        raise StorageError(
            f"cannot write results to {folder}: {existing} is a file; name another folder with --results"
        )
    check_writable(temporary_path(folder) / STUDY_RESULTS_FILE)
    restore_replaced(folder)
    if path_exists(folder / STUDY_RESULTS_FILE):
        existing = _read_with_budget(folder)["budget"]
        if BUDGETS.index(existing) > BUDGETS.index(budget):
            raise ConfigError(
                f"{folder} holds results of budget {existing!r}, which {budget!r} may not replace; "
                "name another folder with --results"
            )


def describe_replaced(folder: Path, seeds: range, eval_episodes: int) -> str | None:
    """A note on results of other seeds or more episodes that these will replace; None where there are none.

    Raises: CorruptFileError for results whose budget cannot be read.
    """
    if not path_exists(folder / STUDY_RESULTS_FILE):
        return None
    stored = _read_with_budget(folder)
    before, episodes = stored.get("seeds"), stored.get("eval_episodes")
    if not isinstance(before, list) or not before or not all(type(seed) is int for seed in before):
        return None  # damaged, and replaced
    if not isinstance(episodes, int):
        return None
    if all(seed in seeds for seed in before) and episodes <= eval_episodes:
        return None
    return (
        f"note: at its end this replaces the results in {folder}, of {format_seeds(before)} and {episodes:,} episodes, "
        f"by some of {format_seeds(seeds)} and {eval_episodes:,}; to keep them, stop and name another folder with "
        "--results"
    )


def format_seeds(seeds: Sequence[int]) -> str:
    """Seeds by number: 'seed 3', or '12 seeds (5000 to 5011)'."""
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds ({min(seeds)} to {max(seeds)})"


def read_results(folder: Path) -> dict[str, Any]:
    """The content of a study's results.json, checked (`check_results`). Raises NotFoundError or CorruptFileError."""
    data = _read_with_budget(folder)
    try:
        check_results(data)
    except ConfigError as error:
        raise _damaged(folder, str(error)) from None
    return data


def _read_with_budget(folder: Path) -> dict[str, Any]:
    """The content of results.json, of which the budget alone is checked: other damage may be replaced."""
    try:
        data = load_json(folder / STUDY_RESULTS_FILE, CorruptFileError)
    except NotFoundError:
        raise NotFoundError(
            f"{folder} holds no results ({STUDY_RESULTS_FILE} is missing); run `rookery reproduce`"
        ) from None
    if not isinstance(data, dict) or data.get("budget") not in BUDGETS:
        raise _damaged(folder, f"its budget is none of {', '.join(BUDGETS)}")
    return data


@contextlib.contextmanager
def judging_stored(folder: Path) -> Iterator[None]:
    """While results that were read are judged and drawn: a measurement that only the study knows may be damaged, too.

    Raises: CorruptFileError, naming the file and the line of code, where a claim or a figure of the study fails: for
      measurements that are missing or of another shape, or for a fault of its own.
    """
    try:
        yield
    except MissingPackageError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(typed_text(error).split())[:200]
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise CorruptFileError(
            f"the study cannot be judged or drawn by {folder / STUDY_RESULTS_FILE} ({reason}, at {place.filename}:"
            f"{place.lineno}): the file may be damaged, or a claim or figure of the study wrong; {_REMEDY}, or "
            "correct the study's code"
        ) from error


def _damaged(folder: Path, problem: str) -> CorruptFileError:
    return CorruptFileError(f"{folder / STUDY_RESULTS_FILE} is damaged: {problem}; {_REMEDY}")


def write_results(study: Study, data: dict[str, Any], folder: Path) -> Path:
    """Put a study's results in its folder, in place of older ones. Returns the report's path.

    Raises: StorageError if the disk refuses, or for a symbolic link in the folder's place; the older results then stay.
    """
    try:
        with replacing_folder(folder) as new_folder:
            write_result_files(study, data, new_folder)
    except OSError as error:
        if isinstance(error, StorageError):
            raise
        raise storage_error("write", folder, error) from error
    return folder / STUDY_REPORT_FILE


def write_result_files(study: Study, data: dict[str, Any], folder: Path) -> None:
    """Write every file of the results into a folder."""
    from rookery.viz.plots import figure_to_svg

    write_json(folder / STUDY_RESULTS_FILE, data, indent=1)
    rows = [flatten_row(row) for row in data["rows"]]
    write_json(folder / f"{TABLE_STEM}.json", rows)
    write_text(folder / f"{TABLE_STEM}.csv", _to_csv(rows))
    figures = study.figures(Results(data))
    for name, figure, _ in figures:
        write_text(folder / f"{name}.svg", figure_to_svg(figure) + "\n")
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=150, facecolor="white", metadata={"Software": None})
        write_bytes(folder / f"{name}.png", file.getvalue())
    build_report(study, data, figures).write(folder / STUDY_REPORT_FILE)


def flatten_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row with one number per column: 'return_social', 'return_social_low', ..., 'goals_social', ..."""
    flat: dict = {}
    for name, value in row.items():
        if name in (*AGENT_MEASURES, *TEAM_MEASURES):
            flat |= {name: value["mean"], f"{name}_low": value["low"], f"{name}_high": value["high"]}
        elif isinstance(value, dict):  # task metrics, or a team's returns by agent
            group = name.removeprefix("metrics_")
            flat |= {part if group == name else f"{part}_{group}": number for part, number in value.items()}
        else:
            flat[name] = value
    return flat


def _to_csv(rows: list[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def build_report(study: Study, data: dict[str, Any], figures: Figures) -> Report:
    """The study's page."""
    from rookery.viz.report_page import Report

    page = Report(study.title, f"{study.name}, budget {data['budget']}; {study.source}")
    page.paragraph(f"Compared: {study.compares}.")
    if data["budget"] == "smoke":
        page.paragraph("This budget only shows that every part works together: no claim is judged.")
    if older := describe_older_definition(study, data):
        page.paragraph(older)
    page.heading("Claims")
    for claim in data["claims"]:
        holds = {HOLDS: True, FAILS: False}.get(claim["verdict"])
        page.verdict(f"{claim['claim']} {format_evidence(claim)}", holds, claim["verdict"] != NOT_TESTED)
    _add_tests(page, data)
    page.heading("Figures")
    for _, figure, caption in figures:
        page.figure(figure, caption)
    if Results(data).has_teams:
        _add_team_tables(page, data)
    else:
        _add_agent_tables(page, data)
    page.heading("How it was run")
    if data["notes"]:
        page.paragraph("\n".join(data["notes"]))
    page.table(
        ["setting", "paper", "here", "runs"],
        [[d["setting"], str(d["paper"]), str(d["here"]), ", ".join(d["runs"])] for d in _all_differences(study, data)],
        "Every setting that differs from the paper's, and what was chosen where the paper is silent.",
    )
    if not data["config_diff"]:
        page.paragraph("No settings are compared with the paper's: what differs is in the notes.")
    trained = {f"run {run['run']}": _describe_seconds(run) for run in data["runs"]}
    seconds = {f"seconds, {name}": trained.get(name, value) for name, value in data["seconds"].items()}
    page.key_values(seconds, "Wall-clock time")
    page.key_values(data["machine"], "Machine of the evaluation")
    page.table(
        ["run", "seeds", "steps per seed", "seconds", "trained on"],
        [
            [run["run"], run.get("num_seeds", len(data["seeds"])), run["steps_per_seed"], _describe_seconds(run),
             "; ".join(dict.fromkeys(map(_describe_machine, run.get("machines", [run["machine"]]))))]
            for run in data["runs"]
        ],
        "Where each run was trained; a run that was stopped and continued may name several machines.",
    )  # fmt: skip
    return page


def describe_older_definition(study: Study, data: dict[str, Any]) -> str | None:
    """What a reader must know of results that were made before the study was changed; None for those of today."""
    definition = data.get("definition", 1)
    if definition >= study.definition:
        return None
    changes = "; ".join(text for number, text in study.changes.items() if number > definition)
    return (
        f"These results were measured under an older definition of this study ({definition} of {study.definition}), "
        f"and stand until it is run again. Changed since: {changes}."
    )


def _all_differences(study: Study, data: dict[str, Any]) -> list[dict[str, Any]]:
    """The stored differences from the paper, and for older results of Ndousse et al. what they did not list."""
    rows = data["config_diff"]
    of_this_paper = all(run.published_config is None for run in study.runs)
    return [*rows, *older_partner_rows(rows)] if of_this_paper and study.runs else rows


def _describe_seconds(run: dict[str, Any]) -> float | str:
    """How long a run trained, and which seeds if it has others than the study."""
    seeds = run.get("trained_seeds")
    return run["seconds"] if seeds is None else f"{run['seconds']}, of {format_seeds(seeds)}"


def _describe_machine(machine: dict[str, Any]) -> str:
    return f"{machine['processor']}, {machine['cores']} cores, JAX {machine['jax']}"


def _add_tests(page: Report, data: dict[str, Any]) -> None:
    """What decided each claim, and how small an effect would have been seen."""
    rows = [
        [claim["claim"], "primary" if claim.get("primary") else "", claim.get("p_value"), claim.get("exact_p_value"),
         claim.get("corrected_p_value"), claim.get("detectable")]
        for claim in data["claims"]
    ]  # fmt: skip
    page.table(
        ["claim", "", "p", "exact p", "p, corrected", "detectable"],
        rows,
        "Two-sided p-values: of the test that the interval belongs to; of the exact permutation test that must agree; "
        "and corrected for the number of claims besides the primary one (Holm). Detectable: the effect that so many "
        "seeds with this spread show in 80 % of cases, by the first test alone and uncorrected, in the claim's own "
        "unit; for fractions and times, the larger fraction of seeds that must follow, given the fraction of the other "
        "condition that did (of times, without regard to when). None: no larger fraction would be shown in 80 % of "
        "cases, not even if every seed followed. In fewer cases it still may be, and so may a smaller fraction.",
    )


def _add_agent_tables(page, data: dict[str, Any]) -> None:
    page.heading("Every agent")
    page.table(
        ["evaluated in", "condition", "seed", *AGENT_MEASURES, *REPORTED_METRICS, "return_partners"],
        [
            [row["eval_condition"], row["condition"], None if row["seed"] is None else str(row["seed"]),
             *(_format_measured(row[name], "mean") for name in AGENT_MEASURES),
             *(row["metrics_social"].get(name) for name in REPORTED_METRICS), row["return_partners"]]
            for row in data["rows"]
        ],
        f"Mean over {data['eval_episodes']} episodes [95 % interval over episodes]. return_social: with the partners; "
        "return_solo: alone; social_gain: the first minus the second. Goals, mistakes and steps to the first reward: "
        "with the partners.",
    )  # fmt: skip
    _add_summary_table(
        page, data, AGENT_MEASURES, "mean [95 % by Student's t] and interquartile mean [percentile bootstrap], and the "
        "number of seeds above the experts", {"above experts": "seeds_above_experts"},
    )  # fmt: skip


def _add_team_tables(page, data: dict[str, Any]) -> None:
    page.heading("Every team")
    metrics = list(dict.fromkeys(name for row in data["rows"] for name in row["metrics"]))
    page.table(
        ["evaluated in", "condition", "seed", *TEAM_MEASURES, *metrics],
        [
            [row["eval_condition"], row["condition"], str(row["seed"]),
             *(_format_measured(row.get(name), "mean") for name in TEAM_MEASURES),
             *(row["metrics"].get(name) for name in metrics)]
            for row in data["rows"]
        ],
        f"Mean over {data['eval_episodes']} episodes [95 % interval over episodes]; the other columns: per episode, "
        "summed over agents.",
    )  # fmt: skip
    _add_summary_table(
        page, data, TEAM_MEASURES, "mean [95 % by Student's t] and interquartile mean [percentile bootstrap]", {}
    )


def _add_summary_table(
    page, data: dict[str, Any], measures: tuple[str, ...], caption: str, more: dict[str, str]
) -> None:
    """Every condition over its seeds. `more`: further columns, by their key in the summary."""
    kinds = {"mean": "mean", "IQM": "iqm"}
    page.table(
        ["evaluated in", "condition", "seeds", *(f"{m}, {label}" for m in measures for label in kinds), *more],
        [
            [entry["eval_condition"], entry["condition"], entry["num_seeds"],
             *(_format_measured(entry.get(m, {}).get(kind), "value") for m in measures for kind in kinds.values()),
             *(entry.get(key) for key in more.values())]
            for entry in data["summary"]
        ],
        f"Over seeds: {caption}.",
    )  # fmt: skip


def format_evidence(claim: dict[str, Any]) -> str:
    """What a verdict rests on, in one line."""
    if claim["value"] is None:
        return f"({'; '.join(filter(None, (claim['quantity'], claim['detail'])))})"
    measured = format_interval(Interval.from_dict(claim)) + (" no interval" if claim["low"] is None else "")
    parts = [f"{claim['quantity']}: {measured}"]
    if (detectable := claim.get("detectable")) is not None:
        parts.append(f"detectable: {detectable if isinstance(detectable, str) else format(detectable, '.2g')}")
    return f"({'; '.join([*parts, claim['detail']] if claim['detail'] else parts)})"


def _format_measured(interval: dict[str, Any] | None, value_key: str) -> str | None:
    if interval is None or interval[value_key] is None:
        return None
    return format_interval(Interval.from_dict(interval, value_key))
