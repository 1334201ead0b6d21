"""One page over all results: every claim of every study that was run, with its verdict."""

from __future__ import annotations

from pathlib import Path

from rookery.errors import CorruptFileError
from rookery.storage.atomic import write_text
from rookery.studies.registry import STUDIES, load_study
from rookery.studies.results_io import STUDY_RESULTS_FILE, format_evidence, read_results
from rookery.studies.study import UNDECIDED

VERDICTS_FILE = "verdicts.md"
SHORT_VERDICTS = {UNDECIDED: "undecided"}


def studies_with_results(root: Path) -> list[str]:
    """Names of the studies whose results lie under a folder, in the catalogue's order."""
    return [name for name in STUDIES if (root / name / STUDY_RESULTS_FILE).exists()]


def write_verdict_index(root: Path) -> Path:
    """Write verdicts.md over the results under a folder, naming those that cannot be read. Returns its path.

    Raises: StorageError.
    """
    parts = [
        "# What came of every study\n\n"
        "Written by `rookery reproduce` and `rookery report all` from the results beside it. Each claim *holds*, *does "
        "not hold*, or stays *undecided* at its budget, by a 95 % interval over seeds unless it says otherwise. Of "
        "few seeds such intervals are too narrow: of three they miss in one case of four, of five in one of six. A "
        "study's folder has every arm and seed, the figures, the deviations from the paper and the machine.\n"
    ]
    for name in studies_with_results(root):
        try:
            parts.append(_section(name, read_results(root / name)))
        except (CorruptFileError, KeyError, TypeError, IndexError):  # another study's folder must not stop this one
            parts.append(f"## {name}\n\nIts results cannot be read. `rookery reproduce {name}` makes them again.\n")
    path = root / VERDICTS_FILE
    write_text(path, "\n".join(parts))
    return path


def _section(name: str, data: dict) -> str:
    study = load_study(name)
    seeds, first = len(data["seeds"]), data["seeds"][0]
    steps = [training["steps_per_seed"] for training in data["runs"]]
    command = f"rookery reproduce {name} --budget {data['budget']} --seeds {seeds}"
    if first:
        command += f" --seed {first}"
    trained = f", {max(steps):,} steps a seed" if steps else ""
    lines = [
        f"## {study.title}: [{name}]({name}/report.html)\n",
        f"{study.source}. Budget `{data['budget']}`, {seeds} seeds an arm{trained}, {data['eval_episodes']} fresh episodes "
        f"each. `{command}`\n",
        "| verdict | claim | measured |",
        "|---|---|---|",
    ]
    for claim in data["claims"]:
        verdict = SHORT_VERDICTS.get(claim["verdict"]) or claim["verdict"]
        lines.append(
            "| " + " | ".join(map(_escape_cell, (verdict, claim["claim"], format_evidence(claim)[1:-1]))) + " |"
        )
    return "\n".join(lines) + "\n"


def _escape_cell(text: str) -> str:
    return text.replace("|", "\\|")
