"""Every study of Ndousse et al. 2021 from nothing to its report, at the budget that takes seconds, and what is said of
studies. They share their runs and programs; the other studies, which have none of these, are in
`test_smoke_of_others.py`, so that two processes can divide the work."""

import json
import re

import pytest

from rookery.studies.study_list import STUDIES, load_study
from rookery.studies.training_run import BUDGETS
from tests.studies.smoke import check_smoke

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("shared_programs")]


def run_once(run, runs, name):
    """The study at smoke, unless an earlier test has run it."""
    if not (runs / "smoke-results" / name / "results.json").exists():
        run("reproduce", name, "--budget", "smoke", "--runs", runs, "--quiet")


@pytest.mark.parametrize("name", [name for name in STUDIES if name.startswith("ndousse2021/")])
def test_smoke(name, run, runs):
    check_smoke(name, run, runs)


def test_a_report_is_made_again_from_results_alone(run, runs):
    name = "ndousse2021/theory"
    run_once(run, runs, name)
    folder = runs / "smoke-results" / name
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "report.html").unlink()
    code, printed, err = run("report", name, "--results", runs / "smoke-results")
    assert (code, err) == (0, "")
    assert "not judged" in printed
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after.keys() == before.keys()
    for file in ("results.json", "table.csv", "figure.svg", "report.html"):
        assert after[file] == before[file], file


def test_the_list_names_every_study_budget_and_cost(run, tmp_path):
    code, printed, err = run("reproduce", "--list", "--results", tmp_path)
    assert (code, err) == (0, "")
    for name in STUDIES:
        study = load_study(name)
        block = re.split(r"\n(?=\w+2\d+/)", printed.split(f"{name}\n", 1)[1], maxsplit=1)[0]
        assert study.compares in block
        for budget in study.budgets:
            line = next(line for line in block.splitlines() if line.split()[:1] == [budget])
            assert "judges no claims" in line if budget == "smoke" else "not yet run" in line


def test_the_list_says_which_studies_have_results(run, runs, tmp_path):
    name = "ndousse2021/theory"
    run_once(run, runs, name)
    data = json.loads((runs / "smoke-results" / name / "results.json").read_text())
    folder = tmp_path / name
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps({**data, "budget": "desk"}))
    _, printed, _ = run("reproduce", "--list", "--results", tmp_path)
    assert f"results of 2 seeds in {folder}" in printed


def test_names_of_studies_and_of_their_parts_are_unique():
    for name in STUDIES:
        study = load_study(name)
        assert study.name == name
        assert len({condition.label for condition in study.conditions}) == len(study.conditions)
        assert len({c.name for c in study.eval_conditions}) == len(study.eval_conditions)
        assert len({claim.text for claim in study.claims}) == len(study.claims)
        assert set(study.budgets) <= set(BUDGETS)


def test_one_name_is_one_run():
    configs = {}
    for name in STUDIES:
        for run in load_study(name).runs:
            for budget in load_study(name).budgets:
                first = configs.setdefault((run.name, budget), run.configure(budget))
                assert first == run.configure(budget), run.name


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ndousse2021/fig44"], 6, "there is no study 'ndousse2021/fig44'; did you mean 'ndousse2021/fig4'"),
        (["ndousse2021/theory", "--budget", "paper"], 2, "has no budget 'paper'; it has: smoke, desk"),
        (["ndousse2021/fig4", "--seeds", "0"], 2, "num_seeds=0 must be at least 1"),
        (["ndousse2021/fig4", "--episodes", "1"], 2, "eval_episodes=1 must be at least 2"),
    ],
)
def test_refused_before_anything_is_written(run, tmp_path, arguments, code, message):
    folders = ("--runs", tmp_path / "runs", "--results", tmp_path / "results")
    actual, _, err = run("reproduce", *arguments, *folders)
    assert actual == code
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
