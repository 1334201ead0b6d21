"""One page over all results: every claim of every study that was run, with its verdict."""

from __future__ import annotations

from pathlib import Path

from rookery.errors import ConfigError, CorruptFileError, StorageError
from rookery.storage.atomic import path_exists, restore_replaced, write_text
from rookery.studies.mechanisms import OtherResults
from rookery.studies.results import Results
from rookery.studies.results_io import STUDY_RESULTS_FILE, describe_older_definition, format_evidence, read_results
from rookery.studies.study import UNDECIDED, Study
from rookery.studies.study_list import load_study, study_names
from rookery.studies.training_run import EVAL_EPISODES
from rookery.viz.markdown import table_row

VERDICTS_FILE = "verdicts.md"
SHORT_VERDICTS = {UNDECIDED: "undecided"}
INTRODUCTION = """# Verdicts on every claim

Written by `rookery reproduce` and `rookery report all` from the results in this folder. Each claim *holds*, *does not
hold*, is *undecided* at its budget, or was *not tested*: the mechanism that it is about was not alive in the runs, what
it is compared with failed, or the results lack a measurement that it needs. A study's first claim is its primary one;
the others are corrected for their number. Fewer than five seeds decide nothing; agents without seeds, such as scripted
ones, are judged by their episodes. A study's folder has every condition and seed, the figures, every test, what differs
from the paper, and the machines.
"""


def studies_with_results(root: Path) -> list[str]:
    """Names of the studies whose results lie under a folder, in the registry's order."""
    return [name for name in study_names() if _has_results(root / name)]


def _has_results(folder: Path) -> bool:
    """Also where a process that was killed while it replaced them left them under the backup's name."""
    restore_replaced(folder)
    return path_exists(folder / STUDY_RESULTS_FILE)


def other_results(root: Path) -> OtherResults:
    """The results of studies under a folder by name, for mechanisms that another study measured."""

    def read(name: str) -> Results | None:
        return Results(read_results(root / name)) if _has_results(root / name) else None

    return read


def write_verdict_index(root: Path) -> Path:
    """Write verdicts.md over the results under a folder. Returns its path.

    Results that cannot be read, and studies of other packages that cannot be loaded, are named in it.

    Raises: StorageError if the page cannot be written.
    """
    parts = [INTRODUCTION]
    for name in studies_with_results(root):
        try:
            parts.append(_section(name, read_results(root / name)))
        except ConfigError:  # another package's study, without which its results stay
            parts.append(f"## {name}\n\nThe study cannot be loaded. `rookery report {name}` says why.\n")
        except (CorruptFileError, StorageError):  # one study's damaged folder must not stop the page
            parts.append(f"## {name}\n\nIts results cannot be read. `rookery reproduce {name}` makes them again.\n")
    path = root / VERDICTS_FILE
    write_text(path, "\n".join(parts))
    return path


def _training_steps(study: Study, data: dict) -> int:
    """The most steps that an agent was trained for, with those before the run in which it continued."""
    steps = {run["run"]: run["steps_per_seed"] for run in data["runs"]}
    sources = {run.name: run.init_from.run.name for run in study.runs if run.init_from is not None}

    def total(name: str) -> int:
        return steps.get(name, 0) + (total(sources[name]) if name in sources else 0)

    return max(map(total, steps), default=0)


def _section(name: str, data: dict) -> str:
    study = load_study(name)
    num_seeds, first_seed = len(data["seeds"]), data["seeds"][0]
    results, steps = Results(data), _training_steps(study, data)
    seeds = f"{results.num_seeds_text} per condition" if results.seed_counts else results.num_seeds_text
    command = f"rookery reproduce {name} --budget {data['budget']} --seeds {num_seeds}"
    if first_seed:
        command += f" --seed {first_seed}"
    if data["eval_episodes"] != EVAL_EPISODES.get(data["budget"]):
        command += f" --episodes {data['eval_episodes']}"
    training = f", {steps:,} training steps per seed" if steps else ""
    lines = [
        f"## {study.title}: [{name}]({name}/report.html)\n",
        f"{study.source}. Budget `{data['budget']}`, {seeds}{training}, "
        f"{data['eval_episodes']} evaluation episodes per agent. `{command}`\n",
        *([f"{older}\n"] if (older := describe_older_definition(study, data)) else []),
        "| verdict | claim | measured |",
        "|---|---|---|",
    ]
    for claim in data["claims"]:
        verdict = SHORT_VERDICTS.get(claim["verdict"]) or claim["verdict"]
        cells = (verdict, claim["claim"], format_evidence(claim)[1:-1])
        lines.append(table_row(cells).rstrip("\n"))
    return "\n".join(lines) + "\n"
