"""A study from nothing to its results, and through every kind of stop."""

import csv
import dataclasses
import json
import os
import signal

import pytest

from rookery.errors import ConfigError
from rookery.storage import metrics
from rookery.studies import evaluate, session
from rookery.studies.reproduce import count_training_steps, reproduce
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Condition, TrainedAgents, TrainingRun
from rookery.studies.results_io import check_replaceable, read_results, build_report, write_results
from tests.studies.tiny import SCENE, STUDY, TRAINING, without_clocks
from tests.tiny import CONFIG, UPDATES, rows

pytestmark = pytest.mark.usefixtures("quick")


MEMBERS = [("social", 4), ("social", 5), ("solo", 4), ("solo", 5), ("experts", None)]


def a_session(runs, **changes) -> Session:
    return Session(**{"budget": "desk", "runs": runs, "seed": 4, "seeds": 2, "episodes": 6, "quiet": True, **changes})


def silent(text: str) -> None:
    pass


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The tiny study without a stop: its session and results."""
    from tests.tiny import trace_once

    with pytest.MonkeyPatch.context() as patch:
        trace_once(patch)
        asked = a_session(tmp_path_factory.mktemp("straight"))
        return asked, reproduce(STUDY, asked, silent)


def test_results_hold_every_arm_and_seed(straight):
    _, data = straight
    assert [(row["condition"], row["seed"]) for row in data["rows"]] == MEMBERS
    assert data["seeds"] == [4, 5]
    for row in data["rows"]:
        assert row["social_gain"]["mean"] == pytest.approx(row["return_social"]["mean"] - row["return_solo"]["mean"], abs=1e-6)
        assert row["return_social"]["low"] <= row["return_social"]["mean"] <= row["return_social"]["high"]
        assert set(row["metrics_social"]) == {"goals", "mistakes", "steps_to_first_reward"}
    # The return is what goals and mistakes come to at the task's own penalty.
    row = data["rows"][0]
    assert row["return_social"]["mean"] == pytest.approx(
        row["metrics_social"]["goals"] - 1.5 * row["metrics_social"]["mistakes"], abs=1e-5
    )
    assert data["runs"][0]["steps_per_seed"] == UPDATES * 4 * 8
    assert data["curves"]["social"]["checkpoints"]["steps"] == [96, 192, 256]
    assert len(data["curves"]["solo"]["learning"]["return"][0]) == UPDATES
    assert {c["verdict"] for c in data["claims"]} <= {"holds", "does not hold", "undecided at this budget"}
    # Two seeds decide nothing about seeds.
    assert data["claims"][0]["verdict"] == "undecided at this budget"


def test_again_nothing_is_trained_or_played(straight, monkeypatch):
    asked, data = straight
    for module, name in ((session, "train"), (session, "resume"), (evaluate, "_play")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("done before"))
    assert without_clocks(reproduce(STUDY, asked, silent)) == without_clocks(data)


def test_an_arm_may_be_tested_in_some_scenes_only(straight):
    asked, data = straight
    other = dataclasses.replace(SCENE, name="away")
    social, solo, experts = STUDY.conditions
    study = dataclasses.replace(
        STUDY, scenes=(SCENE, other), arms=(social, dataclasses.replace(solo, scenes=(other,)), experts)
    )
    found = reproduce(study, asked, silent)
    places = [(row["eval_condition"], row["condition"]) for row in found["rows"] if row["seed"] in (4, None)]
    assert places == [("home", "social"), ("home", "experts"), ("away", "social"), ("away", "solo"),
                      ("away", "experts")]  # fmt: skip
    results = Results(found)
    assert results.conditions_in("home") == ["social", "experts"]
    assert results.eval_conditions_of("solo") == ["away"]
    assert list(results.values("solo")) == [row["return_social"]["mean"] for row in data["rows"][2:4]]
    assert [(entry["eval_condition"], entry["condition"]) for entry in found["summary"]] == [*places[:3], *places[:2:-1]]
    build_report(study, found, study.figures(results))
    with pytest.raises(ConfigError, match="arm 'solo' is tested in 'away', which is no scene"):
        dataclasses.replace(STUDY, arms=(dataclasses.replace(solo, scenes=(other,)),))


class Killed(BaseException):
    """As sudden as a signal nobody can catch."""


def test_stopped_or_killed_and_started_again_it_comes_to_the_same(straight, tmp_path, monkeypatch):
    asked, data = straight
    write_row, play = metrics.MetricsWriter.write, evaluate._evaluate_agent
    again = a_session(tmp_path)

    def interrupt(self, update, *rest):
        if update == 2:
            os.kill(os.getpid(), signal.SIGINT)
        write_row(self, update, *rest)

    with monkeypatch.context() as patch:  # a stop in good order
        patch.setattr(metrics.MetricsWriter, "write", interrupt)
        assert reproduce(STUDY, again, silent) is None

    def kill(self, update, *rest):
        if update == 5:
            raise Killed
        write_row(self, update, *rest)

    with monkeypatch.context() as patch:  # death between two checkpoints: those are at 3 and 6
        patch.setattr(metrics.MetricsWriter, "write", kill)
        with pytest.raises(Killed):
            reproduce(STUDY, again, silent)
    found = []

    def count(self, update, *rest):
        found.append(update)
        write_row(self, update, *rest)

    def die(*arguments):
        raise Killed

    with monkeypatch.context() as patch:  # the next call starts at the last checkpoint, no earlier
        patch.setattr(metrics.MetricsWriter, "write", count)
        patch.setattr(evaluate, "_play", die)
        with pytest.raises(Killed):  # and dies at the first evaluation
            reproduce(STUDY, again, silent)
    assert found == [4, 5, 6, 7, 8]

    played = []
    with monkeypatch.context() as patch:  # death after the first evaluation

        def once(*arguments):
            if played:
                raise Killed
            played.append(arguments[1].seed)
            return play(*arguments)

        patch.setattr(evaluate, "_play", once)
        with pytest.raises(Killed):
            reproduce(STUDY, again, silent)
    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "_play", lambda *a: (played.append(a[1].seed), play(*a))[1])
        ended = reproduce(STUDY, again, silent)
    assert played == [seed for _, seed in MEMBERS]  # none twice
    assert without_clocks(ended) == without_clocks(data)
    assert rows(again.run_dir(TRAINING)) == rows(asked.folder(TRAINING))


def test_another_recipe_in_the_folder_is_refused(straight):
    asked, _ = straight
    longer = dataclasses.replace(
        TRAINING, configure=lambda _: dataclasses.replace(CONFIG, steps=CONFIG.total_timesteps * 2)
    )
    other = dataclasses.replace(
        STUDY, arms=(Condition(label="social", agents=TrainedAgents(run=longer, variant="social")),)
    )
    with pytest.raises(ConfigError, match=r"holds a run of another recipe \(it differs in steps\)"):
        reproduce(other, asked, silent)


def test_a_run_of_more_seeds_serves_fewer(straight, monkeypatch):
    many, data = straight
    few = a_session(many.runs, seed=5, seeds=1)
    assert few.run_dir(TRAINING) == many.folder(TRAINING)
    monkeypatch.setattr(session, "train", lambda *_, **__: pytest.fail("trained before"))
    found = reproduce(STUDY, few, silent)
    assert found["rows"][:2] == [row for row in data["rows"] if row["seed"] == 5]
    own, all_ = (d["curves"]["solo"]["checkpoints"]["social_gain"] for d in (found, data))
    assert own == all_[1:]
    # Seeds nobody trained yet get a run of their own.
    assert a_session(many.runs, seed=6).run_dir(TRAINING) != many.folder(TRAINING)


def test_a_training_starts_from_anothers_agents_seed_by_seed(straight):
    arms = tuple(dataclasses.replace(arm, learning_rate=0.0) for arm in CONFIG.variants)
    frozen = dataclasses.replace(CONFIG, arms=arms)
    first = TrainedAgents(run=TRAINING, variant="solo")
    second = TrainingRun(name="second", configure=lambda _: frozen, init_from=first)
    after = TrainedAgents(run=second, variant="social")
    study = dataclasses.replace(
        STUDY, arms=(Condition(label="before", agents=first), Condition(label="after", agents=after)), claims=()
    )
    assert [training.name for training in study.runs] == ["tiny", "second"]
    both, _ = straight
    data = reproduce(study, both, silent)
    # Without a step size, who goes on stays who it was: each seed's own agent.
    results = Results(data)
    assert [r["return_social"] for r in results.rows("after")] == [r["return_social"] for r in results.rows("before")]
    before, now = (both.subjects(agents) for agents in (first, after))
    assert [a.identity for a in now] == [a.identity for a in before]
    assert now[0].identity != now[1].identity


def test_results_are_written_and_read_back(straight, tmp_path):
    _, data = straight
    folder = tmp_path / "results" / "test" / "tiny"
    write_results(STUDY, data, folder)
    assert read_results(folder) == data
    with open(folder / "table.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [(row["condition"], row["seed"]) for row in table] == [(arm, str(seed or "")) for arm, seed in MEMBERS]
    assert float(table[0]["gain high"]) == data["rows"][0]["social_gain"]["high"]
    assert float(table[0]["mistakes beside"]) == data["rows"][0]["metrics_social"]["mistakes"]
    assert [row["condition"] for row in json.loads((folder / "table.json").read_text())] == [arm for arm, _ in MEMBERS]
    for name in ("figure", "social_gain", "agents"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / f"{name}.svg").read_text().startswith("<svg")
    page = (folder / "report.html").read_text()
    assert "They gain." in page
    assert page.count("<svg") == 3
    # A second time takes the place of the first, whole.
    (folder / "stray").write_text("old")
    write_results(STUDY, data, folder)
    assert not (folder / "stray").exists()
    assert sorted(path.name for path in folder.parent.iterdir()) == ["tiny"]


def test_a_failed_drawing_leaves_the_older_results(straight, tmp_path):
    _, data = straight
    folder = tmp_path / "tiny"
    write_results(STUDY, data, folder)

    def fail(results):
        raise RuntimeError("no ink")

    with pytest.raises(RuntimeError):
        write_results(dataclasses.replace(STUDY, figures=fail), {**data, "episodes": 7}, folder)
    assert read_results(folder) == data
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_a_smaller_budget_does_not_replace_a_larger_one(straight, tmp_path):
    _, data = straight
    folder = tmp_path / "tiny"
    write_results(STUDY, data, folder)
    check_replaceable(folder, "desk")
    check_replaceable(folder, "paper")
    with pytest.raises(ConfigError, match="holds results of budget 'desk', which 'smoke' may not replace"):
        check_replaceable(folder, "smoke")
    # Killed between stepping aside and coming in, the older ones come back.
    folder.rename(tmp_path / ".tiny.backup")
    check_replaceable(folder, "desk")
    assert read_results(folder) == data


def test_cost_counts_every_member():
    # Two arms of three seeds, eight updates of four episodes of eight steps.
    assert count_training_steps(STUDY, "desk", 3) == 2 * 3 * UPDATES * 4 * 8


@pytest.mark.parametrize(("change", "said"), [({"seeds": 0}, "seeds=0"), ({"episodes": 1}, "episodes=1")])
def test_refused(tmp_path, change, said):
    with pytest.raises(ConfigError, match=said):
        a_session(tmp_path, **change)


def test_the_scene_is_the_task_as_configured():
    assert SCENE.task("desk").penalty == 1.5
