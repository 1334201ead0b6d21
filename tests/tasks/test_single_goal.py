"""Single Goal: rewards, and what happens when an agent reaches the goal."""

import dataclasses

import jax
import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.tasks.goal_reaching import GoalReachingTask
from rookery.tasks.single_goal import SingleGoal
from tests.tasks.episodes import layouts, play
from tests.worlds import EAST, FORWARD, LEFT, SMALL, STAY, act, map_text, start

MAP = map_text("""
#######
#...G.#
#.###.#
#######
""")
TASK = SingleGoal(map=MAP, views=(SMALL,) * 2)
FLOOR = {(1, 1), (1, 2), (1, 3), (1, 5), (2, 1), (2, 5)}
NEXT_TO, AWAY = (1, 3), (2, 1)


def reach(task, state=None):
    """The first agent enters the goal, the second stays."""
    state = start(task) if state is None else state
    row, col = np.asarray(state.task.goals[0])
    position = np.array([(row, col - 1), AWAY])
    return act(task, start_at(state, position), FORWARD, STAY)


def start_at(state, position):
    return state.replace(position=jax.numpy.asarray(position, "int32"), heading=jax.numpy.array([EAST, EAST], "int32"))


def test_who_reaches_the_goal_is_paid_and_set_down_elsewhere():
    state, timestep = reach(TASK)
    assert timestep.reward.tolist() == [1, 0]
    assert tuple(state.position[0].tolist()) in FLOOR
    assert state.position[1].tolist() == list(AWAY)
    assert not timestep.terminated
    assert timestep.info["goals"].tolist() == [1, 0]
    assert timestep.info["success"].tolist() == [1, 0]
    state, timestep = reach(TASK, state)
    assert timestep.reward.tolist() == [1, 0]
    assert timestep.info["success"].tolist() == [0, 0], "success counts once per episode"


def test_all_free_cells_serve_and_steps_differ():
    cells, headings = set(), set()
    for step in range(60):
        state, _ = reach(TASK, start(TASK).replace(step=jax.numpy.int32(step)))
        cells.add(tuple(state.position[0].tolist()))
        headings.add(int(state.heading[0]))
    assert cells == FLOOR
    assert headings == {0, 1, 2, 3}


def test_standing_and_turning_on_the_goal_pays_nothing():
    state = start_at(start(TASK), [(1, 4), AWAY])
    for action in (LEFT, STAY):
        state, timestep = act(TASK, state, action, STAY)
        assert timestep.reward.tolist() == [0, 0]
        assert state.position[0].tolist() == [1, 4]


def test_the_episode_may_end():
    task = dataclasses.replace(TASK, when_reached="end")
    state, timestep = act(task, start(task, [AWAY, AWAY], [EAST, EAST]), STAY, STAY)
    assert not timestep.terminated
    state, timestep = reach(task)
    assert timestep.terminated
    assert not timestep.truncated
    assert timestep.reward.tolist() == [1, 0]
    assert state.position[0].tolist() == [1, 4]


def test_the_goal_may_move_between_its_places():
    task = SingleGoal(map=MAP.replace(".", "G"), views=(SMALL,) * 2, when_reached="move goal")
    visible, state = set(), start(task)
    for _ in range(40):
        row, col = state.task.goals[0].tolist()
        visible.add((row, col))
        assert int((state.tiles == 2).sum()) == 1
        assert int(state.tiles[row, col]) == 2
        way, into = next(
            (h, (row - r, col - c))
            for h, (r, c) in enumerate(((-1, 0), (0, 1), (1, 0), (0, -1)))
            if state.tiles[row - r, col - c] != 1
        )
        state = start_at(state, [into, into]).replace(heading=jax.numpy.array([way, way], "int32"))
        state, timestep = act(task, state, FORWARD, STAY)
        assert timestep.reward.tolist() == [1, 0]
        assert state.position[0].tolist() == [row, col], "the agent that reached it stays"
        assert state.task.goals[0].tolist() != [row, col]
    assert visible == FLOOR | {(1, 4)}


def test_places_of_the_goal():
    fixed = SingleGoal(height=5, width=9, num_obstacles=3, goal_at=(3, 7), views=(SMALL,) * 2)
    assert (layouts(fixed)[3].goals == (3, 7)).all()
    anywhere = layouts(dataclasses.replace(fixed, goal_at=None))[3].goals[:, 0]
    assert len(np.unique(anywhere, axis=0)) > 10
    tiles = layouts(fixed)[0]
    assert (tiles == 1).sum((1, 2)).tolist() == [24 + 3] * len(tiles)
    several = SingleGoal(map=map_text("#######\n#G.G.G#\n#######"), views=(SMALL,) * 2)
    assert {tuple(goal) for goal in layouts(several)[3].goals[:, 0].tolist()} == {(1, 1), (1, 3), (1, 5)}


def test_start_cells_of_the_map_serve_again():
    task = SingleGoal(map=map_text("#######\n#AG..A#\n#######"), views=(SMALL,) * 2)
    assert {tuple(c) for c in layouts(task)[1].reshape(-1, 2).tolist()} == {(1, 1), (1, 5)}
    for step in range(8):
        state, _ = act(task, start_at(start(task).replace(step=jax.numpy.int32(step)), [(1, 1), (1, 4)]), FORWARD, STAY)
        assert state.position[0].tolist() in ([1, 1], [1, 5])


def test_nobody_is_set_down_on_another_where_agents_collide():
    task = SingleGoal(map=map_text("######\n#.G..#\n#....#\n######"), views=(SMALL,) * 3, collide=True)
    episodes = play(task, 200)
    assert episodes.timesteps.reward.sum() > 20
    position = episodes.states.position
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (position[..., a, :] != position[..., b, :]).any(-1).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"map": "#####\n#1.2#\n#####"}, "2 numbered goals"),
        ({"map": "#####\n#1.x#\n#####"}, r"line 2, column 4: 'x' is not known"),
        ({"map": "#####\n#1.#\n#####"}, "line 2, column 5: 4 cells where line 1 has 5"),
        ({"map": "#####\n#1..#\n#####", "goal_at": (1, 2)}, "goal_at=.*and the map has a goal"),
        ({"map": "#####\n#AAA#\n#...#\n#####", "goal_at": (1, 1)}, r"goal_at=\(1, 1\) is a start cell"),
        ({"goal_at": (0, 0)}, r"goal_at=\(0, 0\) is not a floor cell"),
        ({"goal_at": (13, 2)}, "is not a floor cell of the 13×13 map"),
        ({"goal_at": (2, 2), "when_reached": "move goal"}, "cannot move"),
        ({"map": "####\n#A.#\n####", "views": (SMALL,), "when_reached": "move goal"}, "cannot move; leave out goal_at"),
        ({"when_reached": "vanish"}, "'vanish' is not known; allowed: 'respawn', 'move goal', 'end'"),
        ({"num_obstacles": -1}, "num_obstacles=-1 must be at least 0"),
        ({"num_obstacles": 120}, "do not fit on the 121 free cells"),
        ({"map": "######\n#1A..#\n######"}, r"1 start cells \(A\) for 3 agents"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        SingleGoal(**settings)


def test_a_schedule_may_change_the_reward():
    params = TASK.default_params()
    state = start_at(start(TASK), [NEXT_TO, AWAY])
    _, timestep = act(TASK, state, FORWARD, STAY, params=params.replace(goal_reward=jax.numpy.float32(2.5)))
    assert timestep.reward.tolist() == [2.5, 0]


def test_reach_is_no_task_by_itself():
    with pytest.raises(NotImplementedError):
        GoalReachingTask().generate(jax.random.PRNGKey(0))
