"""A study from nothing to its results, and through every kind of stop."""

import csv
import dataclasses
import json
import os
import re
import signal
from pathlib import Path

import pytest

from rookery.errors import ConfigError, StorageError
from rookery.storage import metrics
from rookery.studies import frozen_evaluation
from rookery.studies.agent_sources import TrainedAgents, TrainedTeam
from rookery.studies.cost import measure_cost, show_cost
from rookery.studies.ndousse2021.shared_runs import EXPERT_CLONES
from rookery.studies.results import Results
from rookery.studies.results_io import build_report, check_replaceable, read_results, write_results
from rookery.studies.run_study import _without_folder, count_training_steps, reproduce
from rookery.studies.session import Session
from rookery.studies.study import Condition
from rookery.studies.study_list import load_study
from rookery.studies.training_run import TrainedSlot, TrainingRun
from rookery.training import continue_run
from tests.studies.tiny import EVAL_CONDITION, RUN, STUDY, without_clocks
from tests.tiny import CONFIG, UPDATES, rows

pytestmark = pytest.mark.usefixtures("quick")


CONTINUED_UNDER_ANOTHER_NAME = TrainingRun(
    name="on",
    configure=lambda budget: dataclasses.replace(
        CONFIG, team=(dataclasses.replace(CONFIG.team[0], name="student"), *CONFIG.team[1:])
    ),
    init_from=TrainedSlot(run=RUN, variant="social"),
)
WRONG_SLOT = TrainedSlot(run=RUN, variant="social", group="agent")
REPLICAS = [("social", 4), ("social", 5), ("solo", 4), ("solo", 5), ("experts", None)]


def make_session(runs_dir, **changes) -> Session:
    settings = {"budget": "desk", "runs_dir": runs_dir, "seed": 4, "num_seeds": 2, "eval_episodes": 6, "quiet": True}
    return Session(**{**settings, **changes})


def silent(text: str) -> None:
    pass


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The tiny study without a stop: its session and results."""
    from tests.tiny import trace_once

    with pytest.MonkeyPatch.context() as patch:
        trace_once(patch)
        finished = make_session(tmp_path_factory.mktemp("uninterrupted"))
        return finished, reproduce(STUDY, finished, silent)


@pytest.mark.parametrize(
    ("agents", "message"),
    [
        (TrainedAgents(run=RUN, variant="social", group="agent"), "group 'agent', slot 0; .*'novice' in slots \\[0\\]"),
        (TrainedAgents(run=RUN, variant="social", slot=1), "group 'novice', slot 1; "),
        (TrainedTeam(run=RUN, variant="social"), "group 'other', slot 1; .* groups that learn: 'novice'"),
        (TrainedAgents(run=RUN, variant="socail"), "variant 'socail', .*; its variants: 'social', 'solo'"),
        (
            TrainedAgents(run=TrainingRun(name="on", configure=RUN.configure, init_from=WRONG_SLOT), variant="social"),
            "run 'tiny' trains no agent of variant 'social', group 'agent'",
        ),
        (
            TrainedAgents(run=CONTINUED_UNDER_ANOTHER_NAME, variant="social", group="student"),
            "none of its own groups has this name: 'student', 'other'",
        ),
    ],
)
def test_agents_that_no_run_trains_are_named_before_any_trains(agents, message, tmp_path):
    study = dataclasses.replace(STUDY, conditions=(Condition(label="social", agents=agents),))
    with pytest.raises(ConfigError, match=message):
        reproduce(study, make_session(tmp_path), silent)
    assert not list(tmp_path.iterdir())


def test_results_have_every_condition_and_seed(uninterrupted):
    _, data = uninterrupted
    assert [(row["condition"], row["seed"]) for row in data["rows"]] == REPLICAS
    assert data["seeds"] == [4, 5]
    for row in data["rows"]:
        assert row["social_gain"]["mean"] == pytest.approx(
            row["return_social"]["mean"] - row["return_solo"]["mean"], abs=1e-6
        )
        assert row["return_social"]["low"] <= row["return_social"]["mean"] <= row["return_social"]["high"]
        assert set(row["metrics_social"]) == {"goals", "mistakes", "steps_to_first_reward"}
    # The return follows from goals and mistakes at the task's own penalty.
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


def test_again_nothing_is_trained_or_evaluated(uninterrupted, monkeypatch):
    finished, data = uninterrupted
    for module, name in (
        (continue_run, "train"),
        (continue_run, "resume"),
        (frozen_evaluation.AgentConditionEvaluator, "evaluate"),
    ):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("done before"))
    assert without_clocks(reproduce(STUDY, finished, silent)) == without_clocks(data)


def test_a_condition_may_have_its_own_evaluation_conditions(uninterrupted):
    finished, data = uninterrupted
    away = dataclasses.replace(EVAL_CONDITION, name="away")
    social, solo, experts = STUDY.conditions
    study = dataclasses.replace(
        STUDY,
        eval_conditions=(EVAL_CONDITION, away),
        conditions=(social, dataclasses.replace(solo, eval_conditions=(away,)), experts),
    )
    result = reproduce(study, finished, silent)
    places = [(row["eval_condition"], row["condition"]) for row in result["rows"] if row["seed"] in (4, None)]
    assert places == [("home", "social"), ("home", "experts"), ("away", "social"), ("away", "solo"),
                      ("away", "experts")]  # fmt: skip
    results = Results(result)
    assert results.conditions_in("home") == ["social", "experts"]
    assert results.eval_conditions_of("solo") == ["away"]
    assert list(results.values("solo")) == [row["return_social"]["mean"] for row in data["rows"][2:4]]
    assert [(entry["eval_condition"], entry["condition"]) for entry in result["summary"]] == [
        *places[:3],
        *places[:2:-1],
    ]
    build_report(study, result, study.figures(results))
    with pytest.raises(ConfigError, match="condition 'solo' is evaluated in 'away', which is not one of the study's"):
        dataclasses.replace(STUDY, conditions=(dataclasses.replace(solo, eval_conditions=(away,)),))


class Killed(BaseException):
    """As sudden as a signal that cannot be caught."""


def test_stopped_or_killed_and_started_again_it_comes_to_the_same(uninterrupted, tmp_path, monkeypatch):
    finished, data = uninterrupted
    write_row, evaluate_agent = metrics.MetricsWriter.write, frozen_evaluation.AgentConditionEvaluator.evaluate
    again = make_session(tmp_path)

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
    updates = []

    def count(self, update, *rest):
        updates.append(update)
        write_row(self, update, *rest)

    def die(*arguments):
        raise Killed

    with monkeypatch.context() as patch:  # the next call starts at the last checkpoint, no earlier
        patch.setattr(metrics.MetricsWriter, "write", count)
        patch.setattr(frozen_evaluation.AgentConditionEvaluator, "evaluate", die)
        with pytest.raises(Killed):  # and dies at the first evaluation
            reproduce(STUDY, again, silent)
    assert updates == [4, 5, 6, 7, 8]

    evaluated = []
    with monkeypatch.context() as patch:  # death after the first evaluation

        def once(*arguments):
            if evaluated:
                raise Killed
            evaluated.append(arguments[1].seed)
            return evaluate_agent(*arguments)

        patch.setattr(frozen_evaluation.AgentConditionEvaluator, "evaluate", once)
        with pytest.raises(Killed):
            reproduce(STUDY, again, silent)
    with monkeypatch.context() as patch:
        patch.setattr(
            frozen_evaluation.AgentConditionEvaluator,
            "evaluate",
            lambda *a: (evaluated.append(a[1].seed), evaluate_agent(*a))[1],
        )
        ended = reproduce(STUDY, again, silent)
    assert evaluated == [seed for _, seed in REPLICAS]  # no agent twice
    assert without_clocks(ended) == without_clocks(data)
    assert rows(again.run_dir(RUN)) == rows(finished.run_dir(RUN))


def test_another_configuration_in_the_folder_is_refused(uninterrupted):
    finished, _ = uninterrupted
    longer = dataclasses.replace(
        RUN, configure=lambda _: dataclasses.replace(CONFIG, total_timesteps=CONFIG.total_timesteps * 2)
    )
    other = dataclasses.replace(
        STUDY, conditions=(Condition(label="social", agents=TrainedAgents(run=longer, variant="social")),)
    )
    with pytest.raises(ConfigError, match=r"holds a run of another configuration \(it differs in total_timesteps\)"):
        reproduce(other, finished, silent)


def test_a_run_of_more_seeds_serves_fewer(uninterrupted, monkeypatch):
    many, data = uninterrupted
    few = make_session(many.runs_dir, seed=5, num_seeds=1)
    assert few.run_dir(RUN) == many.run_dir(RUN)
    monkeypatch.setattr(continue_run, "train", lambda *_, **__: pytest.fail("trained before"))
    result = reproduce(STUDY, few, silent)
    assert result["rows"][:2] == [row for row in data["rows"] if row["seed"] == 5]
    own, all_ = (d["curves"]["solo"]["checkpoints"]["social_gain"] for d in (result, data))
    assert own == all_[1:]
    assert (result["runs"][0]["num_seeds"], result["runs"][0]["trained_seeds"]) == (1, [4, 5])
    assert "trained_seeds" not in data["runs"][0]
    page = build_report(STUDY, result, []).html()
    assert page.count(f"{result['runs'][0]['seconds']}, of 2 seeds (4 to 5)") == 2  # in the times and the runs
    # Seeds that are not trained yet get a run of their own.
    assert make_session(many.runs_dir, seed=6).run_dir(RUN) != many.run_dir(RUN)


def test_a_run_starts_from_the_agents_of_another_seed_by_seed(uninterrupted):
    variants = tuple(dataclasses.replace(variant, learning_rate=0.0) for variant in CONFIG.variants)
    frozen = dataclasses.replace(CONFIG, variants=variants)
    first = TrainedAgents(run=RUN, variant="solo")
    second = TrainingRun(name="second", configure=lambda _: frozen, init_from=first)
    after = TrainedAgents(run=second, variant="social")
    study = dataclasses.replace(
        STUDY, conditions=(Condition(label="before", agents=first), Condition(label="after", agents=after)), claims=()
    )
    assert [run.name for run in study.runs] == ["tiny", "second"]
    both, _ = uninterrupted
    data = reproduce(study, both, silent)
    # With step size 0 the continued agent is unchanged: each seed's own agent.
    results = Results(data)
    assert [r["return_social"] for r in results.rows("after")] == [r["return_social"] for r in results.rows("before")]
    before, continued = (agents.evaluated_agents(both) for agents in (first, after))
    assert [a.fingerprint for a in continued] == [a.fingerprint for a in before]
    assert continued[0].fingerprint != continued[1].fingerprint


def test_results_are_written_and_read_back(uninterrupted, tmp_path):
    _, data = uninterrupted
    folder = tmp_path / "results" / "test" / "tiny"
    write_results(STUDY, data, folder)
    assert read_results(folder) == data
    with open(folder / "table.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [(row["condition"], row["seed"]) for row in table] == [(label, str(seed or "")) for label, seed in REPLICAS]
    assert float(table[0]["social_gain_high"]) == data["rows"][0]["social_gain"]["high"]
    assert float(table[0]["mistakes_social"]) == data["rows"][0]["metrics_social"]["mistakes"]
    assert [row["condition"] for row in json.loads((folder / "table.json").read_text())] == [
        label for label, _ in REPLICAS
    ]
    for name in ("figure", "social_gain", "agents"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / f"{name}.svg").read_text().startswith("<svg")
    page = (folder / "report.html").read_text()
    assert "They have a social gain." in page
    assert page.count("<svg") == 3
    # The second result folder replaces the first one completely.
    (folder / "stray").write_text("old")
    write_results(STUDY, data, folder)
    assert not (folder / "stray").exists()
    assert sorted(path.name for path in folder.parent.iterdir()) == ["tiny"]


def test_a_failed_figure_leaves_the_older_results(uninterrupted, tmp_path):
    _, data = uninterrupted
    folder = tmp_path / "tiny"
    write_results(STUDY, data, folder)

    def fail(results):
        raise RuntimeError("no figure")

    with pytest.raises(RuntimeError):
        write_results(dataclasses.replace(STUDY, figures=fail), {**data, "eval_episodes": 7}, folder)
    assert read_results(folder) == data
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_where_results_cannot_be_written_is_found_before_training(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file is a file; name another folder with --results"):
        check_replaceable(tmp_path / "file" / "test" / "tiny", "desk")
    check_replaceable(tmp_path / "new" / "test" / "tiny", "desk")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(StorageError, match="link is a symbolic link"):
        check_replaceable(tmp_path / "link", "desk")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StorageError, match="no permission; write to a folder of your own"):
        check_replaceable(tmp_path / "new" / "test" / "tiny", "desk")


def test_a_smaller_budget_does_not_replace_a_larger_one(uninterrupted, tmp_path):
    _, data = uninterrupted
    folder = tmp_path / "tiny"
    write_results(STUDY, data, folder)
    check_replaceable(folder, "desk")
    check_replaceable(folder, "paper")
    with pytest.raises(ConfigError, match="holds results of budget 'desk', which 'smoke' may not replace"):
        check_replaceable(folder, "smoke")
    # A process killed between the two renames left the older results under the backup's name.
    folder.rename(tmp_path / ".tiny.backup")
    check_replaceable(folder, "desk")
    assert read_results(folder) == data


def test_cost_counts_every_replica():
    # Two variants of three seeds, eight updates of four episodes of eight steps.
    assert count_training_steps(STUDY, "desk", 3) == 2 * 3 * UPDATES * 4 * 8


@pytest.mark.parametrize(
    ("change", "message"), [({"num_seeds": 0}, "num_seeds=0"), ({"eval_episodes": 1}, "eval_episodes=1")]
)
def test_refused(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        make_session(tmp_path, **change)


def test_the_evaluation_task_is_as_configured():
    assert EVAL_CONDITION.task("desk").penalty == 1.5


def test_the_cost_is_measured_by_training(tmp_path):
    fresh, lines = make_session(tmp_path), []
    cost = measure_cost(fresh, RUN, seconds=0.0)
    assert cost is not None
    # One update was done, of 8; two variants of two seeds.
    assert (cost.num_agents, cost.steps) == (4, (UPDATES - 1) * 4 * 8 * 4)
    assert cost.steps_per_second > 0
    assert cost.disk > 0
    show_cost(STUDY, fresh, lines.append, seconds=0.0)
    assert lines[0].startswith("tiny: 4 agents, ")
    assert "MiB are free" in lines[-1]


def test_a_time_limit_ends_the_measurement_of_cost(tmp_path):
    fresh, lines = make_session(tmp_path, stop_after=0.0), []
    show_cost(STUDY, fresh, lines.append)
    assert lines == []
    assert not fresh.run_dir(RUN).exists()


def test_settings_name_runs_wherever_they_lie():
    assert _without_folder("last layer of the policy 0.01", Path(".")) == "last layer of the policy 0.01"
    assert _without_folder("squared", Path("r")) == "squared"
    assert _without_folder("r/run/agents/a", Path("r")) == "runs/run/agents/a"
    assert _without_folder("/x/y/run", Path("/x/y")) == "runs/run"


def test_what_conditions_train_besides_is_named(tmp_path):
    """A study whose agents all are of generations, and clones."""
    fresh, lines = make_session(tmp_path, budget="smoke"), []
    conditions = (Condition(label="clones", agents=EXPERT_CLONES),)
    show_cost(dataclasses.replace(STUDY, conditions=conditions), fresh, lines.append)
    assert lines == ["clones-of-random: 2 clones, 2 epochs of 4 episodes, recorded first, not measured"]
    (EXPERT_CLONES._run_dir(fresh) / "checkpoints" / "00000002").mkdir(parents=True)
    show_cost(load_study("cook2024/in-weights"), fresh, lines.append)
    assert len(lines) > 1
    assert re.fullmatch(
        r"memory-generations: 2 of 2 generations of \d+ agents, \d\.\dM steps to do, not measured", lines[1]
    )
    assert EXPERT_CLONES.left_to_prepare(fresh) == {}
