"""Key and Door: a whole round, layouts, and impossible settings."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.gridworld.tiles import DOOR, FLOOR, GOAL, KEY, KEY_RACK, OBSTACLE
from rookery.tasks.key_door import KeyDoor
from tests.tasks.episodes import layouts, reachable
from tests.worlds import EAST, FORWARD, LEFT, SMALL, STAY, act, map_text, start

PICK_UP, DROP, TOGGLE = 3, 4, 5
VIEWS = (SMALL,) * 2
TASK = KeyDoor(
    map=map_text("""
    #######
    #AAKD1#
    #######
    """),
    views=VIEWS,
)


def test_the_whole_way_pays_once_and_each_visit_needs_a_key_of_its_own():
    state, total, counts = start(TASK, [(1, 2), (1, 1)], [EAST, EAST]), 0, []
    for action in (PICK_UP, FORWARD, TOGGLE, FORWARD, FORWARD):
        assert total == 0
        state, timestep = act(TASK, state, action, STAY)
        total += float(timestep.reward[0])
        counts.append([float(timestep.info[name][0]) for name in ("keys", "doors", "goals", "success")])
    assert total == 1
    assert np.sum(counts, 0).tolist() == [1, 1, 1, 1]
    assert state.position[0].tolist() in ([1, 1], [1, 2]), "placed on the near side"
    assert int(state.tiles[1, 4]) == DOOR, "the door has locked"
    assert int(state.carrying[0]) == 0
    assert int(state.tiles[1, 3]) == KEY_RACK
    assert float(timestep.reward[1]) == 0


def test_an_agent_without_a_key_cannot_follow_through_the_door():
    state = start(TASK, [(1, 3), (1, 3)], [EAST, EAST]).replace(carrying=np.array([KEY, 0], "int32"))
    state, _ = act(TASK, state, TOGGLE, STAY)
    for _ in range(3):
        state, timestep = act(TASK, state, FORWARD, FORWARD)
        assert state.position[1].tolist() == [1, 3]
        assert timestep.reward[1] == 0
    assert int(state.tiles[1, 4]) == DOOR


@pytest.mark.parametrize("endless", [True, False])
def test_two_sides_keys_and_agents_near_the_goal_far(endless):
    task = KeyDoor(height=6, width=9, endless_keys=endless, views=VIEWS)
    tiles, position, _, task_state = layouts(task, count=200)
    doors = set()
    for world in range(len(tiles)):
        (door,) = np.argwhere(tiles[world] == DOOR)
        doors.add(tuple(door.tolist()))
        near = reachable((tiles[world] == OBSTACLE) | (tiles[world] == DOOR), np.subtract(door, (0, 1)))
        far = reachable((tiles[world] == OBSTACLE) | (tiles[world] == DOOR), np.add(door, (0, 1)))
        assert not (near & far).any()
        assert far[tuple(task_state.goals[world, 0])]
        keys = np.argwhere(tiles[world] == (KEY_RACK if endless else KEY))
        assert len(keys) == (1 if endless else 2)
        things = [*map(tuple, keys), *map(tuple, position[world])]
        assert all(near[thing] for thing in things)
        assert len(set(things)) == len(things)
        again = [tuple(cell) for cell in task_state.respawn_cells[world, : task_state.num_respawn_cells[world]]]
        assert len(set(again)) == len(again) == near.sum() - len(keys)
        assert all(near[cell] for cell in again)
    assert doors == {(r, c) for r in range(1, 5) for c in range(2, 7)}


def test_a_goal_that_moves_stays_on_the_far_side():
    task = KeyDoor(height=6, width=9, when_reached="move goal", views=VIEWS)
    tiles, _, _, task_state = layouts(task)
    for world in range(len(tiles)):
        (door,) = np.argwhere(tiles[world] == DOOR)
        far = reachable((tiles[world] == OBSTACLE) | (tiles[world] == DOOR), np.add(door, (0, 1)))
        again = {
            tuple(cell) for cell in task_state.respawn_cells[world, : task_state.num_respawn_cells[world]].tolist()
        }
        assert again | {tuple(task_state.goals[world, 0].tolist())} == {
            tuple(cell) for cell in np.argwhere(far).tolist()
        }


def test_a_goal_does_not_move_to_a_cell_where_a_key_lies():
    task = KeyDoor(map="########\n#AKDGGG#\n########", when_reached="move goal", views=(SMALL,))
    moved_to = set()
    for seed in range(8):
        state = start(task, [(1, 3)], [EAST], seed)
        goals = jnp.array([[1, 4]])
        state = state.replace(
            tiles=state.tiles.at[1, 4].set(GOAL).at[1, 5].set(KEY).at[1, 6].set(FLOOR),
            task=state.task.replace(goals=goals, respawn_cells=jnp.array([[1, 5], [1, 6]])),
        )
        state, timestep = act(task, state, FORWARD)
        assert timestep.reward[0] == 1
        assert int(state.tiles[1, 5]) == KEY
        moved_to.add(tuple(state.task.goals[0].tolist()))
    assert moved_to == {(1, 6)}


def test_an_episode_may_end_at_the_goal():
    task = dataclasses.replace(TASK, when_reached="end")
    state = start(task, [(1, 4), (1, 1)], [EAST, EAST])
    state, timestep = act(task, state, LEFT, STAY)
    assert not timestep.terminated
    state, timestep = act(task, start(task, [(1, 4), (1, 1)], [EAST, EAST]), FORWARD, STAY)
    assert timestep.terminated


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_actions": 3}, "keys and doors need all 7"),
        ({"width": 4}, "width=4 has no room for two sides"),
        ({"height": 5}, "4 agents and keys may not fit on the near side"),
        ({"map": "#####\n#AAA#\n#####"}, "needs one goal"),
        ({"map": "#####\n#1.2#\n#####"}, "needs one goal"),
        ({"map": "#####\n#1D.#\n#####"}, "no start cells; mark at least 3 with A"),
        ({"map": "#####\n#1d.#\n#####"}, r"line 2, column 3: 'd' is not known; allowed: .* K k D"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        KeyDoor(**settings)
