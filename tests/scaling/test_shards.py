"""A study in shards: every task once, the numbers of one process, and a sentence for what does not fit together."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from rookery.commands.reproduce import ReproduceCommand
from rookery.commands.reproduce_divided import run_divided
from rookery.errors import (
    UNFINISHED_EXIT_CODE,
    ConfigError,
    CorruptFileError,
    DivergedError,
    IncompatibleError,
    InUseError,
    NotFoundError,
    StorageError,
)
from rookery.scaling.shards import Shard, agree_on_shards, run_shard, shard_tasks, shards_file
from rookery.scaling.tasks import Outcome, begin_split, chains, is_done, join_finished, split_threads, train_tasks
from rookery.storage.run_lock import RunLock
from rookery.studies.agent_sources import TrainedAgents
from rookery.studies.run_study import reproduce
from rookery.studies.session import Session
from rookery.studies.study import Condition
from rookery.training.join_parts import _wait_for_lock, finish_parts, join_parts
from rookery.training.run_parts import Split, agree_on_split, finished_agent, part_dir, parts_dir, train_part
from rookery.training.trainer import load_state
from tests.scaling.study import CONFIG, FIRST, NAME, SECOND, STUDY
from tests.tiny import rows, trace_once

pytestmark = pytest.mark.usefixtures("quick")


def make_session(runs_dir, **changes) -> Session:
    settings = {"budget": "desk", "runs_dir": runs_dir, "seed": 4, "num_seeds": 2, "eval_episodes": 6, "quiet": True}
    return Session(**{**settings, **changes})


def silent(text: str) -> None:
    pass


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The study in one process: its session and results."""
    with pytest.MonkeyPatch.context() as patch:
        trace_once(patch)
        session = make_session(tmp_path_factory.mktemp("whole"))
        return session, reproduce(STUDY, session, silent)


@pytest.fixture(scope="module")
def divided(tmp_path_factory):
    """The study in two shards, the second first, not yet judged: its session and the lines that the shards logged."""
    with pytest.MonkeyPatch.context() as patch:
        trace_once(patch)
        session, lines = make_session(tmp_path_factory.mktemp("divided")), []
        begin_split(STUDY, session, 1)
        for number in (2, 1):
            assert run_shard(STUDY, session, Shard(number, 2), 1, lines.append) == Outcome()
        return session, lines


def assert_close(left, right) -> None:
    """Tests compile in haste, with other last bits for one replica than for two; exact numbers: test_ray_study."""
    if isinstance(left, dict):
        assert list(left) == list(right)
        for key in left:
            if key not in ("seconds", "runs", "machine", "config_diff"):
                assert_close(left[key], right[key])
    elif isinstance(left, list):
        assert len(left) == len(right)
        for pair in zip(left, right, strict=True):
            assert_close(*pair)
    elif isinstance(left, float):
        assert right == pytest.approx(left, rel=1e-4, abs=1e-5)
    else:
        assert left == right


def test_shards_have_every_task_once_and_what_starts_from_another_with_it():
    session = make_session(Path("runs"), num_seeds=5)
    tasks = train_tasks(STUDY, session, 1)
    assert [task.label for task in tasks][4:6] == ["first/social-seed-8", "second/social-seed-4"]
    assert [[task.run.name for task in chain] for chain in chains(tasks)] == [["first", "second"]] * 5
    dealt = [shard_tasks(STUDY, session, Shard(number, 3), 1) for number in (1, 2, 3)]
    assert sorted(task.label for tasks in dealt for task in tasks) == sorted(task.label for task in tasks)
    assert [len(tasks) for tasks in dealt] == [4, 4, 2]
    assert shard_tasks(STUDY, session, Shard(9, 9), 1) == []


def test_the_tasks_of_every_study_are_known_before_jax_starts():
    """Since the number of threads is agreed on by then."""
    script = """
from pathlib import Path
import jax._src.xla_bridge as bridge
from rookery.scaling.tasks import train_tasks
from rookery.studies.study_list import STUDIES, load_study
from rookery.studies.session import Session
for name in STUDIES:
    study = load_study(name)
    session = Session(budget=study.budgets[0], runs_dir=Path("no runs"), seed=0, num_seeds=3, eval_episodes=8)
    assert sum(task.part.num_replicas for task in train_tasks(study, session, 2)) % 3 == 0
    assert not bridge._backends, name
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_two_shards_give_the_results_of_one_process(whole, divided):
    session, lines = divided
    assert [line for line in lines if "are not" in line] == [
        "shard 2/2 is trained; 2 of 4 tasks of other shards are not: first/social-seed-4, second/social-seed-4"
    ]
    data = reproduce(STUDY, session, silent)
    assert_close(whole[1], data)
    assert [run["run"] for run in data["runs"]] == ["first", "second"]


def test_the_joined_run_is_like_one_that_one_process_trained(whole, divided):
    for run in (FIRST, SECOND):
        one, many = (session.run_dir(run) for session, _ in (whole, divided))
        assert_close(rows(one), rows(many))
        names = [sorted(path.name for path in (folder / "agents").iterdir()) for folder in (one, many)]
        assert names[0] == names[1]
        states = [load_state(folder)[1] for folder in (one, many)]
        for left, right in zip(*map(jax.tree.leaves, states), strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-5)


def test_the_second_run_starts_from_the_first(divided):
    session, _ = divided
    task = train_tasks(STUDY, session, 1)[3]
    (start,) = (part_dir(session.run_dir(SECOND), task.part) / "start").glob("*.safetensors")
    assert start.read_bytes() == session.agent_path(SECOND.init_from, 5).read_bytes()


def test_a_finished_shard_trains_nothing(divided, monkeypatch):
    session, _ = divided
    monkeypatch.setattr("rookery.scaling.shards.train_part", lambda *_, **__: pytest.fail("trained before"))
    lines = []
    assert run_shard(STUDY, session, Shard(1, 2), 1, lines.append) == Outcome()
    assert lines[0] == "first/social-seed-4: finished before"


@pytest.fixture
def failing(monkeypatch):
    """Training that writes nothing, with what it raises by task. Returns the tasks that were tried."""

    def fail(**errors):
        tried = []

        def stand_in(config, part, folder, *, quiet, stop_after):
            tried.append(f"{folder.parent.name.partition('-')[0]}/{part.name}")
            for name, error in errors.items():
                if f"{folder}".endswith(name.replace("_", "-")):
                    raise error
            return True

        monkeypatch.setattr("rookery.scaling.shards.train_part", stand_in)
        return tried

    return fail


def test_a_task_that_fails_does_not_keep_the_others_from_training(tmp_path, failing, capsys):
    """What starts from its agents is missing too; the exit code is that of Ray."""
    session, lines = make_session(tmp_path), []
    tried = failing(seed_4=DivergedError("policy_loss is not finite"))
    command = ReproduceCommand(study=NAME, shard="1/1")
    assert run_divided(STUDY, session, command, lines.append) == UNFINISHED_EXIT_CODE
    assert tried == ["first/social-seed-4", "first/social-seed-5", "second/social-seed-5"]
    assert "first/social-seed-4 failed: policy_loss is not finite" in lines
    assert capsys.readouterr().out.splitlines() == [
        "missing: first/social-seed-4: policy_loss is not finite",
        "missing: second/social-seed-4: starts from first/social-seed-4, which is missing",
        "2 tasks are missing, so nothing is judged; run the same command to try again",
    ]
    assert run_divided(STUDY, session, dataclasses.replace(command, json=True), silent) == UNFINISHED_EXIT_CODE
    row = json.loads(capsys.readouterr().out)
    assert (row["study"], row["shard"], row["finished"]) == (NAME, "1/1", False)
    assert row["missing"]["first/social-seed-4"] == "policy_loss is not finite"


def test_out_of_memory_is_a_failure_of_its_task_and_a_mistake_in_the_program_is_none(tmp_path, failing):
    session = make_session(tmp_path)
    failing(seed_4=MemoryError("17 GB"))
    outcome = run_shard(STUDY, session, Shard(1, 2), 1, silent)
    assert outcome.missing["first/social-seed-4"].startswith("out of memory (17 GB)")
    failing(seed_4=KeyError("x"))
    with pytest.raises(KeyError):
        run_shard(STUDY, session, Shard(1, 2), 1, silent)


def test_a_full_disk_ends_the_shard(tmp_path, failing):
    tried = failing(seed_4=StorageError("the disk is full"))
    with pytest.raises(StorageError, match="the disk is full"):
        run_shard(STUDY, make_session(tmp_path), Shard(1, 1), 1, silent)
    assert len(tried) == 1


def test_a_study_without_runs_cannot_be_divided(tmp_path):
    study = dataclasses.replace(STUDY, conditions=STUDY.conditions[2:])
    with pytest.raises(ConfigError, match=r"test/pair trains no run, so it cannot be divided .*; leave out --shard"):
        run_divided(study, make_session(tmp_path), ReproduceCommand(study=NAME, shard="1/2"), silent)
    assert not list(tmp_path.iterdir())


def test_what_is_missing_is_trained_by_the_call_that_judges(divided, tmp_path, monkeypatch):
    shutil.copytree(divided[0].runs_dir, tmp_path / "runs")
    session = make_session(tmp_path / "runs")
    task = train_tasks(STUDY, session, 1)[3]
    for folder in (session.run_dir(SECOND), part_dir(session.run_dir(SECOND), task.part)):
        shutil.rmtree(folder)
    trained = []
    monkeypatch.setattr(
        "rookery.training.join_parts.train_part",
        lambda config, part, *rest, **options: (trained.append(part), train_part(config, part, *rest, **options))[1],
    )
    assert session.train(SECOND)
    assert [part.name for part in trained] == ["social-seed-4", "social-seed-5"]
    assert rows(session.run_dir(SECOND)) == rows(divided[0].run_dir(SECOND))


@pytest.fixture
def unjoined(divided, tmp_path):
    """The study in parts that are finished, the second run not joined: its session."""
    shutil.copytree(divided[0].runs_dir, tmp_path / "runs")
    session = make_session(tmp_path / "runs")
    shutil.rmtree(session.run_dir(SECOND))
    return session


def with_learning_rate(value: float):
    """The study after an update that changes a coefficient of its runs."""
    team = tuple(dataclasses.replace(group, learning_rate=value) if group.learner else group for group in CONFIG.team)
    changed = dataclasses.replace(CONFIG, team=team)
    first = dataclasses.replace(FIRST, configure=lambda budget: changed)
    second = dataclasses.replace(
        SECOND, configure=lambda budget: changed, init_from=TrainedAgents(run=first, variant="social")
    )
    conditions = (Condition(label="after", agents=TrainedAgents(run=second, variant="social")),)
    return dataclasses.replace(STUDY, conditions=conditions)


@pytest.mark.parametrize("finished", [True, False])
def test_parts_of_another_configuration_are_refused_before_others_are_trained(unjoined, failing, finished):
    """Some shards ran before an update of the package, and some after it."""
    shutil.rmtree(unjoined.run_dir(FIRST))
    study, tried = with_learning_rate(0.5), failing()
    part = part_dir(unjoined.run_dir(FIRST), train_tasks(study, unjoined, 1)[0].part)
    if not finished:
        (part / "status.json").unlink()
    for other in parts_dir(unjoined.run_dir(FIRST)).glob("*"):
        if other != part and other.is_dir():
            shutil.rmtree(other)
    with pytest.raises(ConfigError, match=r"social-seed-4 holds a run of another configuration \(it differs in team\)"):
        run_shard(study, unjoined, Shard(2, 2), 1, silent)
    with pytest.raises(ConfigError, match=r"social-seed-4 holds a run of another configuration"):
        finish_parts(
            unjoined.run_config(study.runs[0]), unjoined.run_dir(FIRST), Split(replicas_per_part=1, num_threads=1),
            seconds_left=lambda: pytest.fail("nothing may be trained"),
        )  # fmt: skip
    assert tried == []


def test_parts_of_another_configuration_are_not_joined(unjoined):
    study = with_learning_rate(0.5)
    with pytest.raises(ConfigError, match=r"social-seed-4 holds a run of another configuration \(it differs in team\)"):
        join_parts(
            unjoined.run_config(study.runs[1]), unjoined.run_dir(SECOND),
            [task.part for task in train_tasks(study, unjoined, 1)[2:]],
        )  # fmt: skip
    assert not (unjoined.run_dir(SECOND) / "config.json").exists()


def test_parts_that_started_from_other_agents_are_not_joined(unjoined):
    """The first run was trained again."""
    old, new = (unjoined.agent_path(SECOND.init_from, seed) for seed in (4, 5))
    for suffix in (".safetensors", ".json"):
        old.with_suffix(suffix).write_bytes(new.with_suffix(suffix).read_bytes())
    with pytest.raises(IncompatibleError, match=r"social-seed-4 started from an agent social-seed4-novice-0.* of SHA-"):
        join_finished(STUDY, unjoined, train_tasks(STUDY, unjoined, 1), silent)


def test_an_older_state_is_not_joined_as_the_last(unjoined):
    """The last checkpoint of a part is damaged; it has one before that."""
    tasks = train_tasks(STUDY, unjoined, 1)
    folder = part_dir(unjoined.run_dir(SECOND), tasks[2].part)
    (folder / "checkpoints" / "00000008" / "arrays.npz").unlink()
    with pytest.raises(
        CorruptFileError, match=r"seed-4 lacks a valid checkpoint of its last update .*status.json, and"
    ):
        join_finished(STUDY, unjoined, tasks, silent)
    (folder / "status.json").unlink()
    assert unjoined.train(SECOND)
    assert load_state(unjoined.run_dir(SECOND))[1].num_updates.tolist() == [8, 8]


def test_what_differs_between_parts_is_said(unjoined):
    tasks, lines = train_tasks(STUDY, unjoined, 1), []
    path = part_dir(unjoined.run_dir(SECOND), tasks[2].part) / "status.json"
    status = json.loads(path.read_text())
    status["machines"][0]["jax"] = "0.0.1"
    path.write_text(json.dumps(status))
    join_finished(STUDY, unjoined, tasks, lines.append)
    (line,) = lines
    assert re.search(r"seeds-4-to-5: JAX was 0.0.1 in one part, and in another \d.*: last bits may differ from", line)


def test_a_run_that_is_being_joined_is_waited_for_and_no_other_refusal_is(tmp_path, monkeypatch):
    with RunLock(tmp_path / "run"), pytest.raises(InUseError, match="in use by process"):
        _wait_for_lock(tmp_path / "run", 0.0)
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it would be refused again"))
    (tmp_path / "run" / "status.json").symlink_to(tmp_path)
    with pytest.raises(StorageError, match="is a symbolic link"):
        _wait_for_lock(tmp_path / "run")


def test_the_threads_are_those_of_the_first_run(tmp_path, caplog):
    session = make_session(tmp_path)
    for run, threads in ((FIRST, 3), (SECOND, 5)):
        agree_on_split(session.run_dir(run), Split(replicas_per_part=1, num_threads=threads))
    assert begin_split(STUDY, session, 1) == split_threads(STUDY, session) == 3
    assert "second-desk-seeds-4-to-5 was divided for sums over 5 threads, and 3 are used" in caplog.text


def test_a_part_that_is_just_being_replaced_has_no_agents(unjoined):
    shutil.rmtree(unjoined.run_dir(FIRST))
    folder = part_dir(unjoined.run_dir(FIRST), train_tasks(STUDY, unjoined, 1)[0].part)
    agent = unjoined.agent_path(SECOND.init_from, 4)
    assert finished_agent(agent) == folder / "agents" / agent.name
    folder.rename(folder.with_name(f".{folder.name}.backup"))
    with pytest.raises(NotFoundError, match="is not trained yet"):
        finished_agent(agent)


def test_a_part_whose_start_is_not_trained_says_so(tmp_path):
    session = make_session(tmp_path)
    task = train_tasks(STUDY, session, 1)[2]
    with pytest.raises(NotFoundError, match=r"social-seed4-novice-0.safetensors of first-desk.* is not trained yet"):
        train_part(session.run_config(SECOND), task.part, part_dir(session.run_dir(SECOND), task.part))


@pytest.mark.parametrize("text", ["0/20", "21/20", "a/b", "3", "3/20/1", "-1/2", "1/0", "1.0/2", ""])
def test_no_shard(text):
    with pytest.raises(ConfigError, match="must be K/N with K from 1 to N, such as 3/20"):
        Shard.parse(text)


def test_shards_of_another_number_overlap(tmp_path):
    session = make_session(tmp_path)
    agree_on_shards(STUDY, session, Shard(3, 20))
    agree_on_shards(STUDY, session, Shard(4, 20))
    with pytest.raises(ConfigError, match=r"test/pair was begun in 20 shards, and shards of 10 would overlap"):
        agree_on_shards(STUDY, session, Shard(2, 10))
    shards_file(STUDY, session).unlink()
    agree_on_shards(STUDY, session, Shard(2, 10))


def test_another_division_or_a_run_of_one_process_is_refused(tmp_path, whole):
    session = make_session(tmp_path)
    assert split_threads(STUDY, session) is None
    assert begin_split(STUDY, session, 1) == begin_split(STUDY, session, 1) == split_threads(STUDY, session) >= 1
    with pytest.raises(ConfigError, match="was divided into tasks of 1 replicas, not of 2: use --replicas-per-task 1"):
        begin_split(STUDY, session, 2)
    shutil.rmtree(parts_dir(session.run_dir(FIRST)))
    session.run_dir(FIRST).mkdir()
    shutil.copy(whole[0].run_dir(FIRST) / "config.json", session.run_dir(FIRST))
    with pytest.raises(ConfigError, match="holds a run that one process began; finish it with"):
        begin_split(STUDY, session, 1)


@pytest.mark.parametrize("number", [0, -1])
def test_fewer_than_one_replica_per_task_records_nothing(tmp_path, number):
    command = ReproduceCommand(study=NAME, shard="1/2", replicas_per_task=number)
    with pytest.raises(ConfigError, match=f"replicas_per_task={number} must be at least 1"):
        run_divided(STUDY, make_session(tmp_path), command, silent)
    assert not list(tmp_path.iterdir())


def test_a_refused_division_records_nothing(tmp_path):
    """Neither the number of shards, nor how the runs before the one that is refused are divided, and so on."""
    session = make_session(tmp_path)
    agree_on_split(session.run_dir(SECOND), Split(replicas_per_part=2, num_threads=1))
    with pytest.raises(ConfigError, match="was divided into tasks of 2 replicas, not of 1"):
        run_divided(STUDY, session, ReproduceCommand(study=NAME, shard="1/2"), silent)
    assert not shards_file(STUDY, session).exists()
    assert not parts_dir(session.run_dir(FIRST)).exists()
    agree_on_shards(STUDY, session, Shard(1, 3))
    with pytest.raises(ConfigError, match="was begun in 3 shards, and shards of 2 would overlap"):
        run_divided(STUDY, session, ReproduceCommand(study=NAME, shard="1/2", replicas_per_task=2), silent)
    assert not parts_dir(session.run_dir(FIRST)).exists()


def test_an_unknown_tracker_is_named_before_anything_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("ROOKERY_TRACK", "nothing")
    with pytest.raises(NotFoundError, match="no tracker 'nothing'"):
        begin_split(STUDY, make_session(tmp_path), 1)
    assert not list(tmp_path.iterdir())


def test_what_another_shard_is_just_recording_is_waited_for(tmp_path, monkeypatch):
    """All shards of an array job start at once: a file may be there, and not filled yet."""
    session = make_session(tmp_path)
    split, shards = parts_dir(session.run_dir(FIRST)) / "split.json", shards_file(STUDY, session)
    for path in (split, shards):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    contents = {split: '{"replicas_per_part": 1, "num_threads": 3}', shards: '{"num_shards": 2}'}

    def fill(seconds):
        path = next(path for path in contents if not path.read_text())
        path.write_text(contents[path])

    monkeypatch.setattr("time.sleep", fill)
    monkeypatch.setattr("rookery.scaling.shards.run_shard", lambda *_: Outcome())
    monkeypatch.setattr("rookery.commands.reproduce_divided.use_cores", lambda cores, num_threads: None)
    assert run_divided(STUDY, session, ReproduceCommand(study=NAME, shard="1/2"), silent) == 0
    assert split_threads(STUDY, session) == 3


def test_two_processes_with_one_shard(tmp_path):
    session = make_session(tmp_path)
    begin_split(STUDY, session, 1)
    task = train_tasks(STUDY, session, 1)[0]
    folder = part_dir(session.run_dir(FIRST), task.part)
    with RunLock(folder), pytest.raises(StorageError, match="is in use by process"):
        run_shard(STUDY, session, Shard(1, 2), 1, silent)
    assert not is_done(task, session)


def test_the_array_job_of_slurm(tmp_path):
    """With stand-ins for the scheduler's variables and for the command."""
    command = tmp_path / "rookery"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "import sys; print(sys.argv[1:])" "$@"\n')
    command.chmod(0o755)
    script = Path(__file__).parents[2] / "examples" / "slurm" / "study.sbatch"
    environment = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "20", "SLURM_CPUS_PER_TASK": "4"}
    path = f"{tmp_path}:{os.environ['PATH']}"
    call = ["bash", str(script), NAME, "--runs", "the runs"]
    # The second is one shard that is submitted again, alone.
    for variables in ({}, {"SLURM_ARRAY_TASK_COUNT": "1", "SHARDS": "20"}):
        env = {**environment, **variables, "PATH": path}
        ended = subprocess.run(call, env=env, capture_output=True, text=True, check=True)
        expected = ["reproduce", NAME, "--shard", "3/20", "--cores", "4", "--runs", "the runs"]
        assert ended.stdout.strip() == str(expected)
    assert Shard.parse("3/20") == Shard(3, 20)
    assert len(script.read_text().splitlines()) <= 10


def test_parts_are_as_large_as_asked():
    session = make_session(Path("runs"), num_seeds=5)
    assert [t.part.name for t in train_tasks(STUDY, session, 2)][:3] == [
        "social-seeds-4-to-5", "social-seeds-6-to-7", "social-seed-8",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="replicas_per_task=0 must be at least 1"):
        train_tasks(STUDY, session, 0)
    assert dataclasses.replace(CONFIG, num_seeds=5).replicas[-1] == ("social", 7)
