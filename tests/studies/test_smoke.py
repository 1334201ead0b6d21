"""Every study from nothing to its report, at the budget that takes seconds. They share their runs."""

import json
import os
import re

import numpy as np
import pytest

from rookery import cli
from rookery.studies.registry import STUDIES, load_study
from rookery.studies.study import BUDGETS, TrainedAgents
from rookery.studies.trained_teams import TrainedTeam

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
        told = capsys.readouterr()
        return code, told.out, told.err

    return command


def once(run, runs, name):
    """The study at smoke, unless an earlier test has done it."""
    if not (runs / "smoke-results" / name / "results.json").exists():
        run("reproduce", name, "--budget", "smoke", "--runs", runs, "--quiet")


# The studies in Harvest are those in Cleanup with another map; `test_teams.py` builds them.
@pytest.mark.parametrize("name", [name for name in STUDIES if not name.endswith("-harvest")])
def test_smoke(name, run, runs):
    study = load_study(name)
    code, said, err = run("reproduce", name, "--budget", "smoke", "--runs", runs, "--quiet")
    assert (code, err) == (0, "")
    folder = runs / "smoke-results" / name
    data = json.loads((folder / "results.json").read_text())
    assert said.splitlines()[-1] == f"report: {(folder / 'report.html').resolve()}"
    # It claims nothing, and says so of every claim.
    assert [claim["verdict"] for claim in data["claims"]] == ["not judged"] * len(study.claims) != []
    assert said.count("not judged") == len(study.claims)
    for claim in data["claims"]:
        assert claim["claim"] in said
    # Every arm is in every scene of its own, each trained one with every seed.
    found = {(row["eval_condition"], row["condition"], row["seed"]) for row in data["rows"]}
    assert len(found) == len(data["rows"])
    for scene in study.eval_conditions:
        for arm in study.conditions:
            if scene not in (arm.eval_conditions or study.eval_conditions):
                assert not any((scene.name, arm.label, seed) in found for seed in (None, 0, 1))
                continue
            seeds = [None] if (scene.name, arm.label, None) in found else [0, 1]
            assert all((scene.name, arm.label, seed) in found for seed in seeds)
    for arm in study.conditions:
        if isinstance(arm.agents, TrainedAgents):
            curve = data["curves"][arm.label]
            assert len(curve["learning"]["return"]) == 2
            assert len(curve["checkpoints"]["social_gain"][0]) == len(curve["checkpoints"]["steps"]) > 0
        if isinstance(arm.agents, TrainedTeam):
            curve = data["curves"][arm.label]["learning"]
            assert np.shape(curve["return"]) == (2, len(curve["steps"])) != (2, 0)
    page = (folder / "report.html").read_text()
    assert "nothing is judged" in page
    assert not re.findall(r"""(?:src|href)=["']https?:""", page)
    assert (folder / "figure.png").exists()
    assert (folder / "figure.svg").exists()


def test_a_report_is_drawn_again_from_results_alone(run, runs):
    name = "ndousse2021/theory"
    once(run, runs, name)
    folder = runs / "smoke-results" / name
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "report.html").unlink()
    code, said, err = run("report", name, "--results", runs / "smoke-results")
    assert (code, err) == (0, "")
    assert "not judged" in said
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert after.keys() == before.keys()
    for kept in ("results.json", "table.csv", "figure.svg", "report.html"):
        assert after[kept] == before[kept], kept


def test_the_list_names_every_study_budget_and_cost(run, tmp_path):
    code, said, err = run("reproduce", "--list", "--results", tmp_path)
    assert (code, err) == (0, "")
    for name in STUDIES:
        study = load_study(name)
        block = re.split(r"\n(?=\w+2\d+/)", said.split(f"{name}\n", 1)[1], maxsplit=1)[0]
        assert study.compares in block
        for budget in study.budgets:
            line = next(line for line in block.splitlines() if line.split()[:1] == [budget])
            assert "claims nothing" in line if budget == "smoke" else "not yet run" in line


def test_the_list_says_what_has_results(run, runs, tmp_path):
    name = "ndousse2021/theory"
    once(run, runs, name)
    told = json.loads((runs / "smoke-results" / name / "results.json").read_text())
    folder = tmp_path / name
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps({**told, "budget": "desk"}))
    _, said, _ = run("reproduce", "--list", "--results", tmp_path)
    assert f"results of 2 seeds in {folder}" in said


def test_studies_name_themselves_and_their_parts_once():
    for name in STUDIES:
        study = load_study(name)
        assert study.name == name
        assert len({arm.label for arm in study.conditions}) == len(study.conditions)
        assert len({scene.name for scene in study.eval_conditions}) == len(study.eval_conditions)
        assert len({claim.text for claim in study.claims}) == len(study.claims)
        assert set(study.budgets) <= set(BUDGETS)


def test_one_name_is_one_program():
    found = {}
    for name in STUDIES:
        for training in load_study(name).runs:
            for budget in load_study(name).budgets:
                known = found.setdefault((training.name, budget), training.configure(budget))
                assert known == training.configure(budget), training.name


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ndousse2021/fig44"], 6, "no study 'ndousse2021/fig44'; did you mean ndousse2021/fig4"),
        (["ndousse2021/theory", "--budget", "paper"], 2, "has no budget 'paper'; it has: smoke, desk"),
        (["ndousse2021/fig4", "--seeds", "0"], 2, "seeds=0 must be at least 1"),
        (["ndousse2021/fig4", "--episodes", "1"], 2, "episodes=1 must be at least 2"),
    ],
)
def test_refused_before_anything_is_written(run, tmp_path, arguments, code, said):
    folders = ("--runs", tmp_path / "runs", "--results", tmp_path / "results")
    found, _, err = run("reproduce", *arguments, *folders)
    assert found == code
    assert said in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
