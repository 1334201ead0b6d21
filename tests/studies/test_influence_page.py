"""The page on influence says what the results say."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTION = re.compile(
    r"\]\(\.\./results/(jaques2019/[a-z-]+)/\)\)\.\n\n\| condition \|[^\n]*\n[^\n]*\n((?:\|[^\n]*\n)+)"
)
NUMBER = r"(-?\d+\.\d) \[(-?\d+\.\d), (-?\d+\.\d)\]"
LABELS = {
    "influence; influencers act first": "influence",
    "influencers act first, no influence reward": "no influence",
    "influence": "MOA, influence",
    "the model as auxiliary loss alone": "MOA, no influence",
    "influential messages": "messages, influence",
    "messages without the influence reward": "messages, no influence",
    "in place of A3C": "A3C",
    "visible actions of the step before": "visible actions",
    "visible actions": "visible actions",
    "inequity aversion": "inequity aversion",
    "prosocial": "prosocial",
}
PAGE = (ROOT / "docs/influence.md").read_text(encoding="utf-8")


def results_of(study):
    return json.loads((ROOT / "results" / study / "results.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("section", list(SECTION.finditer(PAGE)), ids=lambda section: section[1])
def test_the_means_of_conditions(section):
    means = {entry["condition"]: entry["collective_reward"]["mean"] for entry in results_of(section[1])["summary"]}
    for row in section[2].splitlines():
        label, number = (cell.strip() for cell in row.strip("|").split("|"))
        expected = means[LABELS[label]]
        assert number == "{value:.1f} [{low:.1f}, {high:.1f}]".format(**expected), label


def test_the_differences_and_the_verdicts():
    studies = {section[1] for section in SECTION.finditer(PAGE)}
    claims = {study: results_of(study)["claims"] for study in studies}
    verdicts = {study: {claim["verdict"] for claim in its_claims} for study, its_claims in claims.items()}
    # Where one of these changes, the page has to say so.
    for name in ("centralized", "messages", "baselines"):
        assert verdicts.pop(f"jaques2019/{name}-harvest") == {"holds"}
    assert verdicts.pop("jaques2019/moa-harvest") == {"undecided at this budget"}
    assert set().union(*verdicts.values()) == {"not tested", "undecided at this budget"}
    with_numbers = [claim for its_claims in claims.values() for claim in its_claims if claim.get("value") is not None]
    measured = {tuple(f"{claim[name]:.1f}" for name in ("value", "low", "high")) for claim in with_numbers}
    text = "\n".join(line for line in PAGE.splitlines() if not line.startswith("|"))
    stated = re.findall(NUMBER, text)
    assert len(stated) >= 6
    assert set(stated) <= measured


def test_box_trapped():
    boxes = {claim["value"]: claim for claim in results_of("jaques2019/boxtrapped")["claims"][1:3]}
    for claim in boxes.values():
        assert claim["verdict"] == "holds"
        assert (
            "{value:.0f} % [{low:.0f}, {high:.0f}]".format(
                **{name: 100 * claim[name] for name in ("value", "low", "high")}
            )
            in PAGE
        )
