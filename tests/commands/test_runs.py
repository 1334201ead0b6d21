"""`rookery runs`: listed, shown, compared, exported and removed from folders that nothing was trained in."""

import json

import pytest

from rookery.cli import main
from rookery.storage.run_lock import RunLock
from tests.run_folder import write_run


@pytest.fixture
def run(capsys):
    """Run `rookery runs ...` in this process. Returns exit code, standard output, standard error."""

    def command(*arguments):
        capsys.readouterr()
        code = main(["runs", *map(str, arguments)])
        return code, *capsys.readouterr()

    return command


def test_list(run, tmp_path):
    assert "there is no folder" in run("list", tmp_path / "absent")[2]
    assert run("list", tmp_path) == (0, f"no runs in {tmp_path}; start one with: rookery train\n", "")
    mine, other = write_run(tmp_path / "mine"), write_run(tmp_path / "studies" / "other", updates=4)
    damaged = write_run(tmp_path / "studies" / "damaged")
    (damaged / "config.json").write_text("{")
    code, out, err = run("list", tmp_path)
    assert code == 0
    assert err.startswith("warning: ")
    assert "damaged" in err
    returns = ["social/novice", "2.00,", "solo/novice", "0.50"]
    assert [line.split() for line in out.splitlines()[1:]] == [
        [str(mine), "maze", "stopped", "2/4", "200", *returns],
        [str(damaged), "-", "damaged", "-", "-", "-"],
        [str(other), "maze", "finished", "4/4", "400", "social/novice", "3.00,", *returns[2:]],
    ]
    rows = [json.loads(line) for line in run("list", tmp_path, "--json")[1].splitlines()]
    assert [row["state"] for row in rows] == ["stopped", "damaged", "finished"]
    del rows[1]
    assert [(row["run"], row["steps"], row["returns"]["solo/novice"]) for row in rows] == [
        (str(mine), 200, 0.5),
        (str(other), 400, 0.5),
    ]


DAMAGED_RETURNS = ['["x"]', '"x"', '{"a": 1}', "[[true]]", "1" * 30]
DAMAGED_CONFIGS = [{"variants": [3]}, {"team": [3]}, {"team": None}, {"num_seeds": 10**12}, {"seed": -1}]
DAMAGED_STATUS = [{"steps": "x"}, {"steps": [1]}, {"machines": 3}]


@pytest.mark.parametrize("damage", [*DAMAGED_RETURNS, *DAMAGED_CONFIGS, *DAMAGED_STATUS])
def test_a_damaged_run_does_not_hide_the_others(run, tmp_path, damage):
    good, damaged = write_run(tmp_path / "good"), write_run(tmp_path / "bad")
    if isinstance(damage, str):
        line = f'{{"update": 3, "steps": 300, "social/novice/return": {damage}}}\n'
        (damaged / "metrics.jsonl").write_text((damaged / "metrics.jsonl").read_text() + line)
    elif damage in DAMAGED_CONFIGS:
        config = json.loads((damaged / "config.json").read_text())["config"]
        (damaged / "config.json").write_text(json.dumps({"config": config | damage}))
    else:
        status = json.loads((damaged / "status.json").read_text())
        (damaged / "status.json").write_text(json.dumps(status | damage))
    code, out, err = run("list", tmp_path)
    assert (code, err.count("\n")) == (0, 1)
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [
        [str(damaged), "-", "damaged"],
        [str(good), "maze", "stopped"],
    ]
    for arguments in [("show",), ("export", "--csv", tmp_path / "all.csv")]:
        code, _, err = run(*arguments, damaged)
        assert code == 4 or (arguments[0] == "show") == (damage in DAMAGED_STATUS)
        assert err.count("\n") <= 1


def test_a_metric_that_turns_into_a_list(run, tmp_path):
    run_dir = write_run(tmp_path / "mine")
    with open(run_dir / "metrics.jsonl", "a") as file:
        file.write('{"update": 3, "steps": 300, "time/seconds": [1, 2], "x": []}\n')
    assert run("export", run_dir, "--csv", tmp_path / "all.csv")[0] == 0
    rows = [line for line in (tmp_path / "all.csv").read_text().splitlines() if "time/seconds" in line]
    assert rows[-1] == "mine,4,300,time/seconds,2.0"


def test_show(run, tmp_path):
    run_dir = write_run(tmp_path / "mine")
    code, out, _ = run("show", run_dir)
    assert code == 0
    lines = out.splitlines()
    assert {"state: stopped", "seeds: 3, 4", "returns: social/novice 2, solo/novice 0.5"} <= set(lines)
    assert "evaluation: social/novice/social_gain/return 2" in lines
    assert json.loads(run("show", run_dir, "--json")[1])["trackers"] == {"tensorboard": None}


def test_compare(run, tmp_path):
    one, two = write_run(tmp_path / "one"), write_run(tmp_path / "two", updates=3)
    code, out, err = run("compare", one, two, "--out", tmp_path / "curves.png")
    assert (code, err) == (0, "")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [line.split()[:4] for line in out.splitlines()[1:5]] == [
        ["one", "social/novice/return", "2", "200"],  # the other agent does not learn
        ["one", "solo/novice/return", "2", "200"],
        ["two", "social/novice/return", "2", "300"],
        ["two", "solo/novice/return", "2", "300"],
    ]
    code, out, _ = run("compare", one, "--metric", "social_gain/return", "--out", tmp_path / "gain.svg", "--json")
    assert code == 0
    assert json.loads(out.splitlines()[0]) == {
        "curve": "one evaluation/social/novice/social_gain/return",
        "seeds": 2,
        "steps": 200,
        "mean": 2.0,
    }
    code, _, err = run("compare", one, "--metric", "retrun")
    assert code == 6
    assert "has no metric 'retrun'; did you mean 'return'" in err
    assert "(help: rookery runs --help)" in err
    assert run("compare", one, "--out", tmp_path / "x.txt")[0] == 2


def test_runs_of_one_name_stay_apart(run, tmp_path, monkeypatch):
    runs = write_run(tmp_path / "a" / "demo"), write_run(tmp_path / "b" / "demo", updates=3), write_run(tmp_path / "c")
    out = run("compare", *runs, "--out", tmp_path / "curves.png")[1]
    assert [line.split()[0] for line in out.splitlines()[1:-1:2]] == ["a/demo", "b/demo", "c"]
    run("export", *runs, "--csv", tmp_path / "all.csv")
    names = {line.split(",")[0] for line in (tmp_path / "all.csv").read_text().splitlines()[1:]}
    assert names == {"a/demo", "b/demo", "c"}
    monkeypatch.chdir(runs[0])
    assert run("compare", ".", "--out", tmp_path / "curves.png")[1].splitlines()[1].startswith("demo ")


def test_export(run, tmp_path):
    one, two = write_run(tmp_path / "one"), write_run(tmp_path / "two")
    code, out, _ = run("export", one, two, "--csv", tmp_path / "all.csv")
    assert (code, out) == (0, f"{tmp_path / 'all.csv'}: 32 rows\n")
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 33
    assert "name --csv or --parquet" in run("export", one)[2]


def end_of_input():
    raise EOFError


def test_remove(run, tmp_path, monkeypatch):
    run_dir = write_run(tmp_path / "mine")
    code, _, err = run("rm", run_dir)
    assert code == 2
    assert "there is no terminal to ask in; add --yes" in err
    with RunLock(run_dir):
        code, _, err = run("rm", run_dir, "--yes")
        assert code == 5
        assert "is in use by process" in err
    (tmp_path / "link").symlink_to(run_dir)
    assert run("rm", tmp_path / "link", "--yes")[0] == 5
    # One that is not a run: none of them is removed.
    assert run("rm", run_dir, tmp_path, "--yes")[0] == 6
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer in (lambda: "n", end_of_input):
        monkeypatch.setattr("builtins.input", answer)
        code, out, err = run("rm", run_dir, "--json")
        assert (code, out) == (2, "")
        assert err.startswith(f"remove {run_dir} with all metrics, checkpoints and agents? [y/N] ")
        assert "nothing was removed" in err
        assert run_dir.exists()
    assert run("rm", run_dir, run_dir, "--yes") == (0, f"removed {run_dir}\n", "")
    assert not run_dir.exists()
    monkeypatch.chdir(write_run(run_dir))
    assert run("rm", ".", "--yes")[0] == 0
    assert not run_dir.exists()


FOREIGN_CONFIGS = [
    {"config": {}},
    {"clone": {"url": "git"}},
    {"rookery": "x", "config": {"task": "maze"}},
    {"rookery": "x", "clone": {"url": "git"}},
]


@pytest.mark.parametrize("config", FOREIGN_CONFIGS)
def test_a_folder_that_no_run_wrote_is_not_removed(run, tmp_path, config):
    source = tmp_path / "project" / "src" / "important.py"
    source.parent.mkdir(parents=True)
    source.touch()
    (tmp_path / "project" / "config.json").write_text(json.dumps(config))
    code, _, err = run("rm", tmp_path / "project", "--yes")
    assert code == 4
    assert "is not a run's configuration" in err
    assert source.exists()


def test_what_no_run_wrote_is_not_removed_with_one(run, tmp_path):
    run_dir, other = write_run(tmp_path / "mine"), write_run(tmp_path / "other")
    for name in ("agents", "before-restart-1", "before-restart-12", "handed-on", "start", "data", "wandb", "tb"):
        (run_dir / name).mkdir()
    for name in (".lock", "log.txt", ".status.json.tmp-1-2-3", "notes.txt", "before-restart-x"):
        (run_dir / name).touch()
    code, _, err = run("rm", other, run_dir, "--yes")
    assert code == 5
    assert f"{run_dir} holds before-restart-x, notes.txt, which is not a run's own" in err
    assert (run_dir / "notes.txt").exists()
    assert other.exists()
    (run_dir / "notes.txt").unlink()
    (run_dir / "before-restart-x").unlink()
    assert run("rm", run_dir, "--yes")[0] == 0
    assert not run_dir.exists()


def test_a_run_that_is_named_twice_counts_once(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_dir = write_run(tmp_path / "mine")
    assert run("export", "mine", run_dir, "--csv", "all.csv")[:2] == (0, "all.csv: 16 rows\n")
    assert run("show", "mine", run_dir)[1].count("state: ") == 1
    assert run("list", ".", tmp_path)[1].count("mine") == 1
    assert run("rm", "mine", run_dir, "--yes") == (0, "removed mine\n", "")
    assert not run_dir.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show",), "name the runs to show, such as runs/demo"),
        (("list", "--csv", "x"), "--csv belongs to `rookery runs export`"),
        (("rm", "runs", "--metric", "x"), "--metric belongs to `rookery runs compare`"),
    ],
)
def test_options_that_do_not_fit(run, arguments, said):
    code, _, err = run(*arguments)
    assert code == 2
    assert said in err
