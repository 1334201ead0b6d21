"""Sixteen Places: rooms, goals, and a novice that cannot see them."""

import dataclasses

import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.gridworld.spec import CHANNELS
from rookery.gridworld.tiles import OBSTACLE
from rookery.tasks import registry
from rookery.tasks.sixteen_places import SixteenPlaces
from tests.tasks.episodes import layouts, play, reachable
from tests.worlds import SMALL, map_text

VIEWS = (SMALL,) * 2


def test_the_house_by_hand():
    task = SixteenPlaces(rooms=(2, 3), room_size=(1, 3), views=VIEWS)
    assert (task.height, task.width) == (5, 13)
    house = map_text("""
    #############
    #...........#
    ##.###.###.##
    #...........#
    #############
    """)
    assert "\n".join("".join("#" if kind else "." for kind in row) for row in task.base_tiles) == house


def test_the_goal_is_in_the_middle_of_any_of_sixteen_rooms():
    tiles, position, _, task_state = layouts(SixteenPlaces(views=VIEWS), count=400)
    places = {tuple(goal) for goal in task_state.goals[:, 0].tolist()}
    assert places == {(r, c) for r in (2, 6, 10, 14) for c in (2, 6, 10, 14)}
    walls = tiles == OBSTACLE
    assert (walls == walls[0]).all()
    assert reachable(walls[0], (1, 1)).sum() == (~walls[0]).sum() == 16 * 9 + 24
    assert (position != task_state.goals).any(-1).all()


def test_the_novice_may_not_see_the_goal():
    task = registry.get_task("sixteen-places-hidden-symbolic-v0")
    views = tuple(dataclasses.replace(view, see_through_walls=True) for view in task.views)
    episodes = play(dataclasses.replace(task, views=views), 40)
    goals = (episodes.timesteps.observation[..., CHANNELS.index("goal")] > 0).sum((0, 1, 3, 4))
    assert goals[0] == 0
    assert (goals[1:] > 0).all()


def test_sizes_that_cannot_be_are_refused():
    with pytest.raises(ConfigError, match=r"rooms=\(0, 4\) must be two numbers of at least 1"):
        SixteenPlaces(rooms=(0, 4))
    with pytest.raises(ConfigError, match="cannot move"):
        SixteenPlaces(rooms=(1, 1), when_reached="move goal")
    assert np.prod(SixteenPlaces().rooms) == 16
