"""results.json of a study, damaged: one line that names the file and the entry, and nothing is written over it."""

import json
import shutil
from pathlib import Path

import pytest

from rookery.cli import main
from rookery.errors import STOPPED_EXIT_CODE, CorruptFileError, RookeryError
from rookery.studies.results_io import check_replaceable, describe_replaced, judging_stored, read_results

RESULTS = Path(__file__).parents[2] / "results"
AGENTS, TEAMS = "ndousse2021/fig11", "jaques2019/moa"
"""The first trains no runs of its own."""


def _content(study):
    return json.loads((RESULTS / study / "results.json").read_text(encoding="utf-8"))


def _without(name):
    return lambda data: data.pop(name)


def _set(*path):
    """Sets the last of `path` at the entry that the others lead to."""
    *parents, key, value = path

    def change(data):
        for parent in parents:
            data = data[parent]
        data[key] = value

    return change


DAMAGE = {
    "rows.0 is 5": _set("rows", [5]),
    "rows.0 lacks 'seed'": lambda data: data["rows"][0].pop("seed"),
    'rows.1.return_social is "x"': _set("rows", 1, "return_social", "x"),
    'rows.0.return_solo.mean is "1"': _set("rows", 0, "return_solo", "mean", "1"),
    "rows.0.metrics_social.goals is null": _set("rows", 0, "metrics_social", "goals", None),
    'definition is "x"': _set("definition", "x"),
    'runs.0.steps_per_seed is "many"': _set("runs", 0, "steps_per_seed", "many"),
    "runs.0.machine lacks 'cores'": lambda data: data["runs"][0]["machine"].pop("cores"),
    "claims.1 is 3": _set("claims", 1, 3),
    "curves is []": _set("curves", []),
    "extra_measurements is 3": _set("extra_measurements", 3),
    "seeds is empty": _set("seeds", []),
    "lacks 'rows'": _without("rows"),
    "lacks 'config_diff'": _without("config_diff"),
    "rows.1 is a second row of condition 'cloning', seed 5000, in": lambda data: data["rows"].insert(
        1, data["rows"][0]
    ),
    "rows.0 of condition 'cloning' has seed 5000, which results.seeds does not list": _set("seeds", [5001]),
    "curves.A3C: 'return' has 4 seeds, but condition 'A3C' has 5 rows in": lambda data: data["curves"]["A3C"][
        "learning"
    ]["return"].pop(),
}


@pytest.fixture
def damage(tmp_path):
    """Copies a study's results, changed, into a folder of results. Returns that folder and the file."""

    def copy(study, change):
        data = _content(study)
        change(data)
        path = tmp_path / study / "results.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data))
        return tmp_path, path

    return copy


@pytest.mark.parametrize("named", DAMAGE)
def test_the_damaged_entry_is_named(damage, named):
    _, path = damage(TEAMS if "runs.0" in named or "A3C" in named else AGENTS, DAMAGE[named])
    with pytest.raises(CorruptFileError) as caught:
        read_results(path.parent)
    assert f"{path} is damaged: results" in str(caught.value)
    assert named in str(caught.value)


def test_rows_of_teams_are_checked_as_such(damage):
    _, path = damage(TEAMS, lambda data: data["rows"][2].pop("equality"))
    with pytest.raises(CorruptFileError, match=r"results.rows.2 lacks 'equality'"):
        read_results(path.parent)


def test_all_results_of_this_project_are_whole():
    paths = [path for path in RESULTS.rglob("results.json") if path.parent.name != "demo"]
    assert len(paths) > 30
    for path in paths:
        assert read_results(path.parent)["study"]


def _run(*arguments, capsys):
    code = main(["report", *map(str, arguments)])
    return code, capsys.readouterr()


def test_a_report_of_damaged_results_leaves_them_alone(damage, capsys):
    only_the_study_knows = "error: the study cannot be judged or drawn by {path} ("
    for change, said in (
        (_set("rows", 0, "return_social", "x"), "error: {path} is damaged: "),
        (_set("extra_measurements", "validation_accuracy", "x"), only_the_study_knows),
        (_set("extra_measurements", "epochs", [1]), only_the_study_knows),
        (lambda data: data["extra_measurements"].pop("train_loss"), only_the_study_knows),
    ):
        folder, path = damage(AGENTS, change)
        before = path.read_bytes()
        code, output = _run(AGENTS, "--results", folder, capsys=capsys)
        assert code == CorruptFileError.exit_code, output
        assert output.err.startswith(said.format(path=path))
        assert len(output.err.splitlines()) == 1
        assert path.read_bytes() == before
        assert [entry.name for entry in path.parent.iterdir()] == ["results.json"]


def test_a_fault_in_a_study_s_own_code_is_named_with_its_place(tmp_path):
    """And is not said to be damage: both look alike from outside."""

    def claim():
        raise TypeError("takes 2 arguments\nbut 1 was given")

    with pytest.raises(CorruptFileError) as caught, judging_stored(tmp_path):
        claim()
    line = claim.__code__.co_firstlineno + 1
    assert isinstance(caught.value.__cause__, TypeError)
    assert f"(TypeError: takes 2 arguments but 1 was given, at {__file__}:{line})" in str(caught.value)
    assert "the file may be damaged, or a claim or figure of the study wrong" in str(caught.value)


def test_one_damaged_study_stops_no_other(damage, capsys):
    folder, path = damage(AGENTS, _set("definition", "x"))
    shutil.copytree(RESULTS / "ndousse2021" / "fig12", folder / "ndousse2021" / "fig12")
    code, output = _run("ndousse2021/fig12", "--results", folder, capsys=capsys)
    assert code == 0, output.err
    code, output = _run("all", "--results", folder, capsys=capsys)
    assert code == CorruptFileError.exit_code
    assert f"{path} is damaged" in output.err
    assert "index: " in output.out
    index = (folder / "verdicts.md").read_text(encoding="utf-8")
    assert "Its results cannot be read" in index
    assert "(ndousse2021/fig12/report.html)" in index


@pytest.mark.parametrize("changed", [{"budget": 5}, {"seeds": "many"}, {"seeds": {}}], ids=str)
def test_the_list_of_studies_names_damaged_results(damage, capsys, changed):
    folder, path = damage(AGENTS, lambda data: data.update(changed))
    assert main(["reproduce", "--list", "--results", str(folder)]) == CorruptFileError.exit_code
    output = capsys.readouterr()
    assert f"{path} does not hold the results of a study" in output.err
    listed = [line for line in output.out.splitlines() if not line.startswith(" ")]
    assert listed.index(AGENTS) < len(listed) - 1  # the list goes to its end
    assert f"damaged results in {path.parent}" in output.out


def test_that_other_seeds_or_fewer_episodes_will_replace_results_is_said(damage, tmp_path):
    _, path = damage(AGENTS, lambda data: data.update(seeds=[3, 4, 5, 6, 7], eval_episodes=1000))
    assert describe_replaced(path.parent, range(3, 8), 1000) is None
    assert describe_replaced(path.parent, range(9), 1000) is None
    before = "of 5 seeds (3 to 7) and 1,000 episodes, by some of"
    assert f"{before} seed 3 and 1,000" in describe_replaced(path.parent, range(3, 4), 1000)
    assert f"{before} 7 seeds (0 to 6) and 1,000" in describe_replaced(path.parent, range(7), 1000)
    assert f"{before} 6 seeds (3 to 8) and 2;" in describe_replaced(path.parent, range(3, 9), 2)
    assert describe_replaced(tmp_path / "none", range(1), 2) is None


@pytest.mark.parametrize("options", [["--quiet"], ["--json"], []])
def test_the_note_about_replaced_results_is_on_standard_error(damage, tmp_path, monkeypatch, capsys, options):
    monkeypatch.setattr("rookery.studies.run_study.reproduce", lambda study, session, log: None)
    monkeypatch.setattr("rookery.commands.reproduce.use_cores", lambda *_: None)
    monkeypatch.setattr("rookery.studies.cost.show_cost", lambda *_: None)
    folder, _ = damage(AGENTS, lambda data: None)
    arguments = ["reproduce", AGENTS, "--results", folder, "--runs", tmp_path / "runs", "--seed", 7, *options]
    assert main(list(map(str, arguments))) == STOPPED_EXIT_CODE
    output = capsys.readouterr()
    assert "note: at its end this replaces" in output.err
    assert "note" not in output.out
    assert "--json" not in options or json.loads(output.out)["finished"] is False


def test_damaged_results_can_be_replaced_while_their_budget_is_known(damage):
    _, path = damage(AGENTS, _set("rows", [5]))
    check_replaceable(path.parent, "desk")
    with pytest.raises(RookeryError, match="may not replace"):
        check_replaceable(path.parent, "smoke")


@pytest.mark.parametrize(("definition", "kept"), [(1, True), (2, False)])
def test_notes_of_an_older_definition_stay_as_they_were(definition, kept, tmp_path, capsys):
    """A report of results judges them again; what the study does since then was not done for older ones."""
    study = "jaques2019/moa-harvest"
    shutil.copytree(RESULTS / study, tmp_path / study)
    path = tmp_path / study / "results.json"
    data = _content(study) | {"definition": definition, "notes": ["As it was."]}
    path.write_text(json.dumps(data), encoding="utf-8")
    assert main(["report", study, "--results", str(tmp_path)]) == 0
    notes = json.loads(path.read_text(encoding="utf-8"))["notes"]
    assert (notes == ["As it was."]) == kept
