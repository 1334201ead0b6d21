"""A study that is continued with its folder of runs named in another way."""

import pytest

from rookery.studies.session import Session
from rookery.studies.training_run import TrainedSlot, TrainingRun
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
