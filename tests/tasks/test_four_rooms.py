"""Four Rooms: doorways and obstacles."""

import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.gridworld.tiles import GOAL, OBSTACLE
from rookery.tasks.four_rooms import FourRooms
from tests.tasks.episodes import layouts, reachable
from tests.worlds import SMALL

VIEWS = (SMALL,) * 2


@pytest.mark.parametrize("size", [(17, 17), (7, 12)])
def test_one_doorway_in_each_arm_joins_all_rooms(size):
    height, width = size
    tiles, position, _, task_state = layouts(FourRooms(height=height, width=width, views=VIEWS))
    row, col = height // 2, width // 2
    closed = tiles == OBSTACLE
    arms = (closed[:, 1:row, col], closed[:, row + 1 : -1, col], closed[:, row, 1:col], closed[:, row, col + 1 : -1])
    for arm in arms:
        assert ((~arm).sum(1) == 1).all()
        assert (~arm).any(0).all(), "a doorway may be anywhere in its arm"
    assert closed[:, row, col].all()
    for world in range(len(tiles)):
        assert (reachable(closed[world], task_state.goals[world, 0]) == ~closed[world]).all()
    things = np.concatenate([position, task_state.goals], 1)
    assert (things[..., 0] != row).all()
    assert (things[..., 1] != col).all()


def test_obstacles_leave_doorways_free():
    height, width = 7, 12
    tiles, _, _, task_state = layouts(FourRooms(height=height, width=width, num_obstacles=20, views=VIEWS))
    row, col = 3, 6
    closed = tiles == OBSTACLE
    walls = 2 * (height + width) - 4 + (height - 2) + (width - 2) - 1 - 4
    blocks = closed.sum((1, 2)) - walls
    assert 20 - 8 <= blocks.min() < blocks.max() <= 20
    for world in range(len(tiles)):
        for r, c in np.argwhere(~closed[world]):
            if c == col:
                assert not closed[world, r, c - 1 : c + 2].any()
            elif r == row:
                assert not closed[world, r - 1 : r + 2, c].any()
        assert tiles[world][tuple(task_state.goals[world, 0])] == GOAL


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match="four rooms do not fit into 4×17"):
        FourRooms(height=4)
    with pytest.raises(ConfigError, match="do not fit on the 4 free cells"):
        FourRooms(height=5, width=5, num_obstacles=2)
