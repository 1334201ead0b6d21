"""Every recorded episode of the reference code, replayed, must be equal to the recording."""

import pytest

from rookery.testing import gridworld_traces

TRACES = ("goal_cycle_3", "goal_cycle_4_solo", "goal_cycle_hidden", "goal_cycle_oblong")


@pytest.mark.parametrize("name", TRACES)
def test_replays_exactly(golden, name):
    result = gridworld_traces.compare_trace(gridworld_traces.load_trace(golden / f"{name}.npz"), name)
    assert set(result) == {"position", "heading", "reward", "done", "view_kind", "view_agents"}
    assert {array: wrong for array, (wrong, _) in result.items()} == dict.fromkeys(result, 0)
    assert all(total > 0 for _, total in result.values())
