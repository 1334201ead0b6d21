"""Every study from nothing to its report, at the budget that takes seconds. They share their runs."""

import json
import os
import re

import numpy as np
import pytest

from rookery import cli
from rookery.studies.agent_sources import TrainedAgents, TrainedTeam
from rookery.studies.registry import STUDIES, load_study
from rookery.studies.training_run import BUDGETS

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return tmp_path_factory.mktemp("studies")


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))

    def command(*arguments):
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command


def run_once(run, runs, name):
    """The study at smoke, unless an earlier test has run it."""
    if not (runs / "smoke-results" / name / "results.json").exists():
        run("reproduce", name, "--budget", "smoke", "--runs", runs, "--quiet")


# The studies in Harvest are those in Cleanup with another map; `test_trained_teams.py` builds them.
@pytest.mark.parametrize("name", [name for name in STUDIES if not name.endswith("-harvest")])
def test_smoke(name, run, runs):
    study = load_study(name)
    code, printed, err = run("reproduce", name, "--budget", "smoke", "--runs", runs, "--quiet")
    assert (code, err) == (0, "")
    folder = runs / "smoke-results" / name
    data = json.loads((folder / "results.json").read_text())
    assert printed.splitlines()[-1] == f"report: {(folder / 'report.html').resolve()}"
    # No claim is judged.
    assert [claim["verdict"] for claim in data["claims"]] == ["not judged"] * len(study.claims) != []
    assert f"{len(study.claims)} claims are not judged at the budget smoke\n" in printed
    # Every condition is in each of its evaluation conditions, each trained one with every seed.
    rows = {(row["eval_condition"], row["condition"], row["seed"]) for row in data["rows"]}
    assert len(rows) == len(data["rows"])
    for eval_condition in study.eval_conditions:
        for condition in study.conditions:
            name_and_label = eval_condition.name, condition.label
            if eval_condition not in (condition.eval_conditions or study.eval_conditions):
                assert not any((*name_and_label, seed) in rows for seed in (None, 0, 1))
                continue
            seeds = [None] if (*name_and_label, None) in rows else [0, 1]
            assert all((*name_and_label, seed) in rows for seed in seeds)
    for condition in study.conditions:
        if isinstance(condition.agents, TrainedAgents):
            curve = data["curves"][condition.label]
            assert len(curve["learning"]["return"]) == 2
            assert len(curve["checkpoints"]["social_gain"][0]) == len(curve["checkpoints"]["steps"]) > 0
        if isinstance(condition.agents, TrainedTeam):
            curve = data["curves"][condition.label]["learning"]
            assert np.shape(curve["return"]) == (2, len(curve["steps"])) != (2, 0)
    page = (folder / "report.html").read_text()
    assert "no claim is judged" in page
    assert not re.findall(r"""(?:src|href)=["']https?:""", page)
    assert (folder / "figure.png").exists()
    assert (folder / "figure.svg").exists()


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
