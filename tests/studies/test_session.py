"""A study that is continued with its folder of runs named in another way."""

import pytest

from rookery.errors import ConfigError
from rookery.storage.atomic import write_json
from rookery.storage.serialization import to_dict
from rookery.studies.session import Session
from rookery.studies.training_run import TrainedSlot, TrainingRun
from rookery.training.run_parts import parts_dir
from tests.studies.tiny import RUN
from tests.tiny import tiny

CONTINUED = TrainingRun(
    name="continued", configure=lambda budget: tiny(name="continued"), init_from=TrainedSlot(run=RUN, variant="social")
)


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


def test_a_folder_of_more_seeds_is_used_if_it_holds_a_run(tmp_path):
    def folder(num_seeds):
        return Session("smoke", tmp_path, 3, num_seeds, 2).run_dir(RUN)

    more, exact = folder(5), folder(3)
    more.mkdir(parents=True)  # of a process that was killed before it wrote anything
    assert folder(3) == exact != more
    (more / "config.json").write_text("{}")
    assert folder(3) == more
    parts_dir(exact).mkdir()
    assert folder(3) == exact
    assert folder(2) == more


def test_a_run_of_fewer_seeds_than_its_folder_says_is_refused(tmp_path):
    session = Session("smoke", tmp_path, 3, 5, 2, quiet=True)
    config = session.run_config(RUN)
    write_json(session.run_dir(RUN) / "config.json", {"config": to_dict(config) | {"num_seeds": 3}})
    with pytest.raises(ConfigError, match="holds a run of seeds 3 to 5, not of 3 to 7; name another folder"):
        session.train(RUN)
