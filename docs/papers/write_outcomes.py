"""Writes the tables "What came of it" of these pages from results/: run it after results have changed.

Usage: python docs/papers/write_outcomes.py [--check]

`--check` writes nothing and fails if a page is not up to date; a test does the same.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from rookery.studies.results import Results
from rookery.studies.study_list import STUDIES, load_study

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parents[1] / "results"
START, END = "<!-- outcomes: written by write_outcomes.py -->", "<!-- end of outcomes -->"
VERDICTS = {
    "holds": ("holds", "hold"),
    "does not hold": ("does not hold", "do not hold"),
    "undecided at this budget": ("is undecided", "are undecided"),
    "not tested": ("was not tested", "were not tested"),
}
"""A verdict of one claim and of several."""


def main(arguments: list[str]) -> int:
    outdated = []
    for paper in ("ndousse2021", "jaques2019"):
        path = FOLDER / f"{paper}.md"
        before = path.read_text(encoding="utf-8")
        after = re.sub(f"{START}.*?{END}", lambda _, p=paper: table(p), before, flags=re.DOTALL)
        if before != after:
            outdated.append(path.name)
            if "--check" not in arguments:
                path.write_text(after, encoding="utf-8")
    print(f"{'not up to date' if '--check' in arguments else 'written'}: {', '.join(outdated) or 'nothing'}")
    return 1 if outdated and "--check" in arguments else 0


def table(paper: str) -> str:
    """Every study of a paper: its source, command, and how many of its claims hold."""
    lines = [START, "| study | source | claims |", "|---|---|---|"]
    for name in STUDIES:
        if name.startswith(f"{paper}/"):
            folder = f"../../results/{name}/"
            done = (RESULTS / name / "results.json").exists()
            shown = f"[`{name}`]({folder})" if done else f"`{name}`"
            lines.append(f"| {shown} | {load_study(name).source} | {outcome(name) if done else 'not yet run'} |")
    return "\n".join([*lines, END])


def outcome(name: str) -> str:
    """The verdicts of a study, counted."""
    data = json.loads((RESULTS / name / "results.json").read_text(encoding="utf-8"))
    verdicts = [claim["verdict"] for claim in data["claims"]]
    number = {verdict: verdicts.count(verdict) for verdict in VERDICTS}
    counts = [f"{number[verdict]} {one if number[verdict] == 1 else several}"
              for verdict, (one, several) in VERDICTS.items() if number[verdict]]  # fmt: skip
    return f"of {len(verdicts)}: {', '.join(counts)} (`{data['budget']}`, {Results(data).num_seeds_text})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
