"""A study that is continued with its folder of runs named in another way."""

from pathlib import Path

import pytest

from rookery.errors import ConfigError, StorageError
from rookery.scaling.shards import Shard, agree_on_shards, shards_file
from rookery.scaling.tasks import check_split
from rookery.storage.atomic import write_json
from rookery.storage.run_lock import RunLock
from rookery.storage.serialization import to_dict
from rookery.studies.generation_agents import GenerationAgents
from rookery.studies.ndousse2021.shared_runs import EXPERT_CLONES
from rookery.studies.session import Session
from rookery.studies.training_run import TrainedSlot, TrainingRun
from rookery.training.run_parts import Split, agree_on_split, parts_dir
from tests.studies.tiny import RUN, STUDY
from tests.tiny import tiny

CONTINUED = TrainingRun(
    name="continued", configure=lambda budget: tiny(name="continued"), init_from=TrainedSlot(run=RUN, variant="social")
)
FINISHED = {
    "num_updates": 8, "total_updates": 8, "steps": 1, "seconds": 1.0,
    "machine": {"processor": "p", "cores": 2, "jax": "0.10"},
}  # fmt: skip


@pytest.mark.usefixtures("quick")
def test_a_run_that_starts_from_another_ones_agents(tmp_path, monkeypatch):
    """Begun with a relative folder, continued with the absolute one, and then where it was moved to."""

    def session(runs_dir, stop_after=None):
        return Session("smoke", runs_dir, 3, 1, 2, quiet=True, stop_after=stop_after)

    monkeypatch.chdir(tmp_path)
    relative = (tmp_path / "runs").relative_to(tmp_path)
    assert session(relative).train(RUN)
    assert not session(relative, stop_after=0).train(CONTINUED)
    assert not session(tmp_path / "runs", stop_after=0).train(CONTINUED)
    (tmp_path / "runs").rename(tmp_path / "moved")
    assert session(tmp_path / "moved").train(CONTINUED)
    status = session(tmp_path / "moved").run_status(CONTINUED)
    assert status["num_updates"] == status["total_updates"]


def test_the_folder_of_runs_has_no_placeholder_in_its_path():
    with pytest.raises(ConfigError, match=r"runs=r\{seed\}/x must not have '\{seed\}' in it, .*; choose another"):
        session_of(Path("r{seed}/x"), 1)


def session_of(runs_dir, num_seeds, seed=3):
    return Session("smoke", runs_dir, seed, num_seeds, 2, quiet=True)


def put(session, run, finished=False):
    """The folder of a run without its training."""
    folder = session.run_dir(run)
    write_json(folder / "config.json", {"config": to_dict(session.run_config(run))})
    if finished:
        write_json(folder / "status.json", FINISHED)
    return folder


def test_a_folder_of_more_seeds_is_used_if_it_holds_a_run(tmp_path):
    def folder(num_seeds):
        return session_of(tmp_path, num_seeds).run_dir(RUN)

    more, exact = folder(5), folder(3)
    more.mkdir(parents=True)  # of a process that was killed before it wrote anything
    assert folder(3) == exact != more
    put(session_of(tmp_path, 5), RUN)
    assert folder(3) == more
    with RunLock(parts_dir(exact)):  # of a call with --ray that is refused, or not yet sure that it divides the run
        assert folder(3) == more
    assert folder(3) == more
    agree_on_split(exact, Split(replicas_per_part=1, num_threads=1))
    assert folder(3) == exact
    assert folder(2) == more


def test_of_several_runs_that_have_the_seeds_a_finished_one_is_used_and_then_the_smallest(tmp_path):
    put(session_of(tmp_path, 4), RUN)
    put(session_of(tmp_path, 5), RUN, finished=True)
    put(session_of(tmp_path, 18), RUN)  # as text, this name and the next come first
    put(session_of(tmp_path, 9, seed=0), RUN, finished=True)
    assert session_of(tmp_path, 3).run_dir(RUN).name == "tiny-smoke-seeds-3-to-7"
    (tmp_path / "studies" / "tiny-smoke-seeds-3-to-7" / "status.json").unlink()
    (tmp_path / "studies" / "tiny-smoke-seeds-0-to-8" / "status.json").unlink()
    assert session_of(tmp_path, 3).run_dir(RUN).name == "tiny-smoke-seeds-3-to-6"


def test_a_run_of_more_seeds_that_started_from_other_agents_is_left_alone(tmp_path):
    for num_seeds in (2, 5):
        put(session_of(tmp_path, num_seeds), RUN, finished=True)
    more = put(session_of(tmp_path, 5), CONTINUED, finished=True)
    assert session_of(tmp_path, 4).run_dir(CONTINUED) == more  # from agents of the same folder
    fewer = session_of(tmp_path, 2)
    assert fewer.run_dir(CONTINUED).name == "continued-smoke-seeds-3-to-4"
    assert "seeds-3-to-4" in fewer.run_config(CONTINUED).team[0].policy.init_from


def test_a_run_of_fewer_seeds_than_its_folder_says_is_refused(tmp_path):
    session = Session("smoke", tmp_path, 3, 5, 2, quiet=True)
    config = session.run_config(RUN)
    write_json(session.run_dir(RUN) / "config.json", {"config": to_dict(config) | {"num_seeds": 3}})
    with pytest.raises(ConfigError, match="holds a run of seeds 3 to 5, not of 3 to 7; name another folder"):
        session.train(RUN)


@pytest.mark.parametrize("name", ["studies", "studies/measurements"])
def test_a_study_s_folder_that_is_a_link_is_refused(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to(tmp_path / "victim")
    with pytest.raises(StorageError, match=f"{name} is a symbolic link"):
        session_of(tmp_path, 1)


def test_a_run_is_not_trained_through_a_link_but_a_finished_one_may_lie_elsewhere(tmp_path):
    session = session_of(tmp_path, 1)
    folder = put(session, RUN, finished=True)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert session.train(RUN)
    (tmp_path / "elsewhere" / "status.json").unlink()
    for train in (lambda: session.train(RUN), lambda: check_split(STUDY, session, 1)):
        with pytest.raises(StorageError, match="seeds-3-to-3 is a symbolic link"):
            train()


CHAIN = GenerationAgents(name="chain", configure=lambda budget: pytest.fail("nothing may be trained"))


@pytest.mark.parametrize(
    ("folder", "use"),
    [
        (EXPERT_CLONES._dataset_dir, EXPERT_CLONES.prepare),
        (EXPERT_CLONES._run_dir, EXPERT_CLONES.prepare),
        (CHAIN.folder, CHAIN.prepare),
        (lambda session: shards_file(STUDY, session).parent, lambda s: agree_on_shards(STUDY, s, Shard(1, 2))),
    ],
)
def test_what_else_a_study_writes_does_not_go_through_a_link(tmp_path, folder, use):
    session = session_of(tmp_path, 1)
    folder(session).parent.mkdir()
    folder(session).symlink_to(tmp_path / "victim")
    with pytest.raises(StorageError, match="is a symbolic link"):
        use(session)
    assert not (tmp_path / "victim").exists()
