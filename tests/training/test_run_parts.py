"""The parts of a run: their names, and the agents that they start from."""

import pytest

from rookery.errors import StorageError
from rookery.training.run_parts import copy_start_agents, split_run
from tests.tiny import CONFIG


def test_agents_to_start_from_are_not_written_through_a_link(tmp_path):
    (tmp_path / "victim").mkdir()
    (tmp_path / "start").symlink_to(tmp_path / "victim")
    with pytest.raises(StorageError, match="start is a symbolic link"):
        copy_start_agents(CONFIG, split_run(CONFIG, 1)[0], tmp_path / "start")
