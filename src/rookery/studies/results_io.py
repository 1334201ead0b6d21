"""A study's folder of results: table, figures, verdicts and report, all there at once or not at all."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path

from rookery.errors import ConfigError, CorruptFileError, NotFoundError
from rookery.storage.atomic import storage_error, sync_directory, write_bytes, write_json, write_text
from rookery.studies.evaluate import MEASURES
from rookery.studies.results import Results
from rookery.studies.study import BUDGETS, FAILS, HOLDS, Study
from rookery.studies.trained_teams import TEAM_MEASURES

STUDY_RESULTS_FILE, STUDY_REPORT_FILE, TABLE_STEM = "results.json", "report.html", "table"


def check_replaceable(folder: Path, budget: str) -> None:
    """Raises ConfigError where results of a larger budget stand: a try must not replace them."""
    _restore_backup(folder)
    if (folder / STUDY_RESULTS_FILE).exists():
        there = read_results(folder)["budget"]
        if BUDGETS.index(there) > BUDGETS.index(budget):
            raise ConfigError(
                f"{folder} holds results of budget {there!r}, which {budget!r} may not replace; "
                "name another folder with --results"
            )


def read_results(folder: Path) -> dict:
    """The content of a study's results.json. Raises MissingError or CorruptError."""
    path = folder / STUDY_RESULTS_FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {**data, "rows": list(data["rows"]), "budget": data["budget"]}
    except FileNotFoundError:
        raise NotFoundError(
            f"{folder} holds no results ({STUDY_RESULTS_FILE} is missing); run `rookery reproduce`"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptFileError(f"{path} is not a study's results ({error}); run `rookery reproduce` again") from None


def write_results(study: Study, data: dict, folder: Path) -> Path:
    """Put a study's results in its folder, in place of older ones. Returns the report's path.

    Raises: StorageError if the disk refuses; the older ones then stay.
    """
    draft = folder.with_name(f".{folder.name}.tmp-{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        write_result_files(study, data, draft)
        _replace_folder(draft, folder)
    except OSError as error:
        raise storage_error("write", folder, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder / STUDY_REPORT_FILE


def write_result_files(study: Study, data: dict, folder: Path) -> None:
    """Write every file of the results into a folder."""
    from rookery.viz.plots import figure_to_svg

    write_json(folder / STUDY_RESULTS_FILE, data, indent=1)
    rows = [flatten_row(row) for row in data["rows"]]
    write_json(folder / f"{TABLE_STEM}.json", rows)
    write_text(folder / f"{TABLE_STEM}.csv", _to_csv(rows))
    drawn = study.figures(Results(data))
    for name, figure, _ in drawn:
        write_text(folder / f"{name}.svg", figure_to_svg(figure) + "\n")
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=150, facecolor="white", metadata={"Software": None})
        write_bytes(folder / f"{name}.png", file.getvalue())
    build_report(study, data, drawn).write(folder / STUDY_REPORT_FILE)


def flatten_row(row: dict) -> dict:
    """A row with one number a column: 'beside', 'beside low', ..., 'goals beside', ..."""
    found: dict = {}
    for name, value in row.items():
        if name in (*MEASURES, *TEAM_MEASURES):
            found |= {name: value["mean"], f"{name}_low": value["low"], f"{name}_high": value["high"]}
        elif isinstance(value, dict):
            found |= {_column(part, name): number for part, number in value.items()}
        else:
            found[name] = value
    return found


def _column(part: str, name: str) -> str:
    """A column of the table: 'goals_social' for metrics_social; for a team's metrics and returns the plain part."""
    return f"{part}_{name.removeprefix('metrics_')}" if name.startswith("metrics_") else part


def _to_csv(rows: list[dict]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def build_report(study: Study, data: dict, drawn: list):
    """The page a person opens."""
    from rookery.viz.report import Report

    page = Report(study.title, f"{study.name}, budget {data['budget']}; {study.source}")
    page.paragraph(f"Compared: {study.compares}.")
    if data["budget"] == "smoke":
        page.paragraph("This budget only proves that everything connects: nothing is judged.")
    page.heading("Claims")
    for claim in data["claims"]:
        holds = {HOLDS: True, FAILS: False}.get(claim["verdict"])
        page.verdict(f"{claim['claim']} {format_evidence(claim)}", holds)
    page.heading("Figures")
    for _, figure, caption in drawn:
        page.figure(figure, caption)
    _add_agent_tables(page, data)
    page.heading("How it was run")
    if data["notes"]:
        page.paragraph("\n".join(data["notes"]))
    page.table(
        ["setting", "paper", "here", "in"],
        [[d["setting"], str(d["paper"]), str(d["here"]), ", ".join(d["runs"])] for d in data["config_diff"]],
        "Every setting that differs from the paper's.",
    )
    page.key_values({f"seconds, {name}": value for name, value in data["seconds"].items()}, "Wall-clock")
    page.key_values(data["machine"], "Machine")
    return page


def _add_agent_tables(page, data: dict) -> None:
    """Every agent, or every team, and what they come to over seeds."""
    if any("collective_reward" in row for row in data["rows"]):
        return _add_team_tables(page, data)
    page.heading("Every agent")
    page.table(
        ["eval_condition", "condition", "seed", *MEASURES, "goals", "mistakes", "steps_to_first_reward", "others earn"],
        [
            [row["eval_condition"], row["condition"], None if row["seed"] is None else str(row["seed"]),
             *(_format_interval(row[name], "mean") for name in MEASURES),
             *(row["metrics_social"].get(name) for name in ("goals", "mistakes", "steps_to_first_reward")), row["return_partners"]]
            for row in data["rows"]
        ],
        f"Mean over {data['eval_episodes']} episodes [95 % interval over episodes]. Gain: beside less alone. "
        "Goals, mistakes and first goal: beside the others.",
    )  # fmt: skip
    page.table(
        ["eval_condition", "condition", "seeds", *(f"{m}, {kind}" for m in MEASURES for kind in ("mean", "IQM")), "above experts"],
        [
            [entry["eval_condition"], entry["condition"], entry["num_seeds"],
             *(_format_interval(entry[name].get(kind), "value") for name in MEASURES for kind in ("mean", "iqm")),
             entry.get("seeds_above_experts")]
            for entry in data["summary"]
        ],
        "Over seeds: mean and interquartile mean [95 % percentile bootstrap], and seeds above the experts.",
    )  # fmt: skip


def _add_team_tables(page, data: dict) -> None:
    page.heading("Every team")
    counted = list(dict.fromkeys(name for row in data["rows"] for name in row["metrics"]))
    page.table(
        ["eval_condition", "condition", "seed", *TEAM_MEASURES, *counted],
        [
            [row["eval_condition"], row["condition"], str(row["seed"]), *(_format_interval(row.get(name), "mean") for name in TEAM_MEASURES),
             *(row["metrics"].get(name) for name in counted)]
            for row in data["rows"]
        ],
        f"Mean over {data['eval_episodes']} episodes [95 % interval over episodes]; counts: an episode, all agents.",
    )  # fmt: skip
    kinds = ("mean", "iqm")
    page.table(
        ["eval_condition", "condition", "seeds", *(f"{m}, {k}" for m in TEAM_MEASURES for k in ("mean", "IQM"))],
        [
            [entry["eval_condition"], entry["condition"], entry["num_seeds"],
             *(_format_interval(entry.get(name, {}).get(kind), "value") for name in TEAM_MEASURES for kind in kinds)]
            for entry in data["summary"]
        ],
        "Over seeds: mean and interquartile mean [95 % percentile bootstrap].",
    )  # fmt: skip


def format_evidence(claim: dict) -> str:
    """What a verdict rests on, in one line."""
    if claim["value"] is None:
        return f"({claim['quantity']})"
    span = "no interval" if claim["low"] is None else f"[{claim['low']:.2f}, {claim['high']:.2f}]"
    detail = f"; {claim['detail']}" if claim["detail"] else ""
    return f"({claim['quantity']}: {claim['value']:.2f} {span}{detail})"


def _format_interval(interval: dict | None, name: str) -> str | None:
    if interval is None or interval[name] is None:
        return None
    if interval["low"] is None:
        return f"{interval[name]:.2f}"
    return f"{interval[name]:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]"


def _backup_path(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.backup")


def _restore_backup(folder: Path) -> None:
    """Who was killed between two renames left the older results aside."""
    if not folder.exists() and _backup_path(folder).exists():
        os.rename(_backup_path(folder), folder)


def _replace_folder(draft: Path, folder: Path) -> None:
    """A folder cannot be renamed over another: the old one steps aside first."""
    _restore_backup(folder)
    if folder.exists():
        shutil.rmtree(_backup_path(folder), ignore_errors=True)
        os.rename(folder, _backup_path(folder))
    os.rename(draft, folder)
    sync_directory(folder.parent)
    shutil.rmtree(_backup_path(folder), ignore_errors=True)
