"""Mazes: a tree of corridors, new in each episode."""

import jax
import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.gridworld.tiles import OBSTACLE
from rookery.tasks.maze import Maze, carve_maze
from tests.tasks.episodes import layouts, reachable
from tests.worlds import SMALL

VIEWS = (SMALL,) * 2


@pytest.mark.parametrize("size", [(19, 19), (5, 13), (11, 5)])
def test_one_way_between_any_two_cells(size):
    height, width = size
    tiles, position, _, task_state = layouts(Maze(height=height, width=width, views=VIEWS))
    chambers = (height // 2) * (width // 2)
    for world in range(len(tiles)):
        closed = tiles[world] == OBSTACLE
        # Connected, with one opening fewer than chambers: a tree, so solvable and without a way round.
        assert (~closed).sum() == 2 * chambers - 1
        assert (reachable(closed, task_state.goals[world, 0]) == ~closed).all()
        for row, col in position[world]:
            assert not closed[row, col]
        assert not closed[1::2, 1::2].any()
        assert closed[::2, ::2].all()
        assert closed[[0, -1]].all()
        assert closed[:, [0, -1]].all()


def test_each_episode_has_another_maze():
    tiles = layouts(Maze(views=VIEWS))[0]
    assert len(np.unique(tiles.reshape(len(tiles), -1), axis=0)) == len(tiles)


def test_all_trees_of_two_by_two_chambers_come():
    """Of 4 walls between 4 chambers one stays closed; the walk goes either way around from the first chamber."""
    dug = jax.device_get(jax.vmap(lambda key: carve_maze(key, 2, 2))(jax.random.split(jax.random.PRNGKey(0), 100)))
    walls = {(1, 2), (2, 1), (2, 3), (3, 2)}
    shut = [walls - {tuple(cell) for cell in one.tolist()} for one in dug]
    assert all(len(one) == 1 for one in shut)
    # From the upper left: round by the right leaves (2, 1) shut, round by the left (1, 2).
    counts = [sum(cell in one for one in shut) for cell in ((2, 1), (1, 2))]
    assert sum(counts) == 100
    assert min(counts) > 25


def test_loops_open_further_walls():
    task = Maze(height=7, width=9, num_loops=3, views=VIEWS)
    tiles, _, _, task_state = layouts(task)
    closed = tiles == OBSTACLE
    assert (~closed).sum((1, 2)).tolist() == [2 * 12 - 1 + 3] * len(tiles)
    assert all((reachable(c, goal[0]) == ~c).all() for c, goal in zip(closed, task_state.goals, strict=True))
    assert closed[:, ::2, ::2].all()
    # One wall more than can be opened is refused; all of them leave no wall between chambers.
    assert (layouts(Maze(height=5, width=5, num_loops=1, views=VIEWS))[0] == OBSTACLE).sum((1, 2)).max() == 16 + 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"height": 18}, "18×19 has no room for walls; use odd numbers from 5"),
        ({"width": 3}, "19×3"),
        ({"height": 5, "width": 5, "num_loops": 2}, "num_loops=2: a maze of 5×5 has 1 walls to open"),
        ({"height": 5, "width": 5, "views": VIEWS * 4}, "8 agents and a goal do not fit on the 7 free cells"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Maze(**settings)
