"""The page over all results, from results made up by hand."""

import json
import os

from rookery.cli import main
from rookery.errors import ConfigError, NotFoundError
from rookery.studies import verdict_index
from rookery.studies.verdict_index import VERDICTS_FILE, other_results, studies_with_results, write_verdict_index

RUN = {
    "run": "moa", "steps_per_seed": 4_000, "seconds": 1.5, "machine": {"processor": "p", "cores": 2, "jax": "0.10"}
}  # fmt: skip


def put(root, name, **changed):
    claim = {
        "claim": "a | b", "verdict": "undecided at this budget", "quantity": "q", "value": 1.0, "low": 0.5,
        "high": None, "detail": "",
    }  # fmt: skip
    data = {
        "study": name, "rows": [], "budget": "desk", "seeds": [3, 4, 5], "eval_episodes": 7, "runs": [], "curves": {},
        "extra_measurements": {}, "config_diff": [], "notes": [], "seconds": {}, "machine": {},
        "claims": [claim | {"high": 1.5}], **changed,
    }  # fmt: skip
    (root / name).mkdir(parents=True)
    (root / name / "results.json").write_text(json.dumps(data))


def test_every_study_with_results_is_there_in_the_order_of_the_registry(tmp_path):
    put(tmp_path, "jaques2019/moa", runs=[RUN], seeds=[0, 1])
    put(tmp_path, "ndousse2021/talk2020/dqn")
    (tmp_path / "ndousse2021" / "fig4").mkdir()  # holds no results
    assert studies_with_results(tmp_path) == ["ndousse2021/talk2020/dqn", "jaques2019/moa"]
    path = write_verdict_index(tmp_path)
    assert path == tmp_path / VERDICTS_FILE
    first, second = path.read_text().split("\n## ")[1:]
    assert "(ndousse2021/talk2020/dqn/report.html)" in first
    assert "Budget `desk`, 3 seeds, 7 evaluation episodes" in first
    assert "`rookery reproduce ndousse2021/talk2020/dqn --budget desk --seeds 3 --seed 3 --episodes 7`" in first
    assert "| undecided | a \\| b | q: 1.00 [0.50, 1.50] |" in first
    assert "Budget `desk`, 2 seeds, 4,000 training steps per seed" in second
    assert "--seeds 2 --episodes 7`" in second


def row(condition, seed):
    interval, metrics = {"mean": 1.0, "low": None, "high": None}, {"metrics_social": {}, "metrics_solo": {}}
    measures = dict.fromkeys(("return_social", "return_solo", "social_gain"), interval)
    own = {"condition": condition, "eval_condition": "home", "seed": seed, "eval_episodes": 7, "return_partners": 0.0}
    return own | measures | metrics | {"metrics_partners": {}}


def test_seeds_are_those_of_the_conditions_and_steps_those_of_the_whole_training(tmp_path):
    rows = [row("few", 3), *(row("many", seed) for seed in (3, 4, 5)), row("experts", None)]
    runs = [RUN | {"run": "next-frame"}, RUN | {"run": "continued", "steps_per_seed": 500}]
    put(tmp_path, "ndousse2021/fig7", rows=rows, runs=runs)
    text = write_verdict_index(tmp_path).read_text()
    assert "Budget `desk`, 1 to 3 seeds per condition, 4,500 training steps per seed, 7 evaluation" in text
    assert "--seeds 3 --seed 3" in text


def test_agents_without_seeds_are_not_called_seeds(tmp_path):
    put(tmp_path, "ndousse2021/fig13", rows=[row("experts", None), row("random mover", None)])
    text = write_verdict_index(tmp_path).read_text()
    assert "Budget `desk`, agents without seeds, " in text


def test_a_study_that_cannot_be_loaded_stops_neither_page_nor_report(tmp_path, monkeypatch, capsys):
    def load(name, real=verdict_index.load_study):
        if name.endswith("dqn"):
            raise ConfigError("other-package: the study cannot be imported")
        return real(name)

    monkeypatch.setattr(verdict_index, "load_study", load)
    put(tmp_path, "ndousse2021/talk2020/dqn")
    put(tmp_path, "jaques2019/moa", runs=[RUN])
    text = write_verdict_index(tmp_path).read_text()
    assert (
        "## ndousse2021/talk2020/dqn\n\nThe study cannot be loaded. `rookery report ndousse2021/talk2020/dqn`" in text
    )
    assert "(jaques2019/moa/report.html)" in text

    monkeypatch.setattr("rookery.commands.report._report", lambda name, *_: load(name))
    assert main(["report", "all", "--results", str(tmp_path)]) == ConfigError.exit_code
    output = capsys.readouterr()
    assert "left out: other-package: the study cannot be imported" in output.out
    assert "index: " in output.out
    assert output.err.startswith("error: other-package: the study cannot be imported")


def test_a_folder_without_results_is_not_reported(tmp_path, capsys):
    for name in ("nowhere", ""):
        assert main(["report", "all", "--results", str(tmp_path / name)]) == NotFoundError.exit_code
        assert "holds no study's results; name their folder with --results" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_results_that_a_killed_process_left_under_the_backup_s_name_are_found(tmp_path, monkeypatch):
    def leave_backup():
        os.rename(tmp_path / "ndousse2021/fig4", tmp_path / "ndousse2021/.fig4.backup")

    put(tmp_path, "ndousse2021/fig4")
    leave_backup()
    assert studies_with_results(tmp_path) == ["ndousse2021/fig4"]
    leave_backup()
    assert other_results(tmp_path)("ndousse2021/fig4").data["seeds"] == [3, 4, 5]
    leave_backup()
    monkeypatch.setattr("rookery.studies.judging.judge_claims", lambda study, data, others: data["claims"])
    monkeypatch.setattr("rookery.studies.results_io.write_results", lambda study, data, folder: folder / "report.html")
    assert main(["report", "ndousse2021/fig4", "--results", str(tmp_path)]) == 0


def test_results_that_cannot_be_read_are_named_and_stop_no_other(tmp_path):
    put(tmp_path, "ndousse2021/fig2")
    put(tmp_path, "ndousse2021/fig5", seeds=[])
    (tmp_path / "ndousse2021" / "fig2" / "results.json").write_text("{")
    put(tmp_path, "ndousse2021/fig6", claims=[5])
    put(tmp_path, "ndousse2021/fig7", definition="x")
    put(tmp_path, "ndousse2021/fig8", runs=[RUN | {"steps_per_seed": "many"}])
    put(tmp_path, "jaques2019/moa")
    *damaged, last = write_verdict_index(tmp_path).read_text().split("\n## ")[1:]
    assert len(damaged) == 5
    assert all("cannot be read" in section for section in damaged)
    assert "| undecided |" in last
