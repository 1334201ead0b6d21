"""Goal Sequence: order, rewards and trials, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.gridworld.tiles import GOAL_KINDS
from rookery.tasks.goal_sequence import GoalSequence
from tests.tasks.episodes import layouts
from tests.worlds import EAST, FORWARD, SMALL, STAY, act, map_text, start

MAP = map_text("""
#########
#.1...A.#
#.2...A.#
#.3.....#
#########
""")
A, B, C = 0, 1, 2


def task_with(*sequence, **changes):
    return GoalSequence(map=MAP, sequence=sequence, views=(SMALL,) * 2, **changes)


def enter(task, state, first, second=None):
    """Let agents enter goals from the west; None: the agent stays where it is."""
    position, heading, action = state.position, state.heading, []
    for agent, goal in enumerate((first, second)):
        action.append(STAY if goal is None else FORWARD)
        if goal is not None:
            position, heading = position.at[agent].set(jnp.array([goal + 1, 1])), heading.at[agent].set(EAST)
    return act(task, state.replace(position=position, heading=heading), *action)


@pytest.mark.parametrize(
    ("order", "paid"),
    [
        ([A, B, A, C, A, B], [1, 1, 1, 1, 1, 1]),  # A B A C goes round
        ([B, A, B], [-1, 1, 1]),  # the first counts as any other; a mistake changes nothing
        ([A, A, C, B], [1, -1, -1, 1]),
    ],
)
def test_rewards_by_hand(order, paid):
    task = task_with(A, B, A, C)
    state, rewards = start(task), []
    for goal in order:
        state, timestep = enter(task, state, goal)
        rewards.append(float(timestep.reward[0]))
        assert timestep.info["goals"][0] == (rewards[-1] > 0)
        assert timestep.info["mistakes"][0] == (rewards[-1] < 0)
    assert rewards == paid


def test_each_agent_is_paid_for_itself_alone():
    task = task_with(A, B)
    state, timestep = enter(task, start(task), A, B)
    assert timestep.reward.tolist() == [1, -1]
    state, timestep = enter(task, state, B, A)
    assert timestep.reward.tolist() == [1, 1]
    assert state.task.progress.tolist() == [2, 1]


def test_a_trial_ends_where_it_began_and_the_order_begins_again():
    task = task_with(A, B, num_trials=3, trial_steps=2)
    assert task.max_steps == 6
    first = state = start(task)
    last = []
    for trial in range(3):
        state, timestep = enter(task, state, A)
        assert timestep.reward[0] == 1
        last.append(float(timestep.info["last_trial_goals"][0]))
        assert not timestep.is_first
        assert not timestep.truncated
        state, timestep = enter(task, state, B)
        assert timestep.reward[0] == 1
        last.append(float(timestep.info["last_trial_goals"][0]))
        if trial < 2:
            assert (state.position == first.position).all()
            assert (state.heading == first.heading).all()
            assert state.task.progress.tolist() == [0, 0]
            assert not timestep.truncated
        assert (state.tiles == first.tiles).all()
        assert (state.task.sequence == first.task.sequence).all()
    assert timestep.truncated
    assert last == [0, 0, 0, 0, 1, 1]
    assert state.position[0].tolist() == [2, 2], "the last trial's end is left as it is"


def test_the_drawn_order_never_repeats_a_goal_at_once_and_uses_all():
    tiles, position, _, task_state = layouts(
        GoalSequence(height=5, width=9, num_obstacles=2, views=(SMALL,) * 2), count=200
    )
    sequence = task_state.sequence
    assert sequence.shape == (200, 30)
    assert (sequence[:, 1:] != sequence[:, :-1]).all()
    assert ((sequence >= 0) & (sequence < 3)).all()
    for goal in range(3):
        assert 35 < (sequence[:, 0] == goal).sum() < 100
        at = task_state.goals[:, goal]
        assert (tiles[np.arange(200), at[:, 0], at[:, 1]] == GOAL_KINDS[goal]).all()
    onward = (sequence[:, 1:] - sequence[:, :-1]) % 3
    assert 0.45 < (onward == 1).mean() < 0.55
    assert (position == task_state.start_position).all()
    assert len(np.unique(sequence, axis=0)) == 200


def test_the_map_numbers_the_kinds():
    _, position, _, task_state = layouts(task_with())
    assert (task_state.goals == [(1, 2), (2, 2), (3, 2)]).all()
    assert {tuple(cell) for cell in position.reshape(-1, 2).tolist()} == {(1, 6), (2, 6)}
    free = layouts(GoalSequence(map=MAP.replace("1", "G").replace("2", "G").replace("3", "G"), views=(SMALL,) * 2))[3]
    assert len(np.unique(free.goals.reshape(-1, 6), axis=0)) == 6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_goals": 1}, r"num_goals=1 must lie in \[2, 5\]"),
        ({"num_goals": 6}, r"num_goals=6 must lie in \[2, 5\]"),
        ({"num_trials": 0}, "num_trials=0 must be at least 1"),
        ({"penalty": -1.0}, "penalty=-1.0 must be non-negative"),
        ({"sequence": (0, 3)}, "must hold goals from 0 to 2"),
        ({"sequence": (0, 1, 0)}, "no goal may come twice in a row"),
        ({"map": MAP.replace("A", "."), "num_goals": 2}, "the map has 3 goals for num_goals=2"),
        ({"map": MAP}, r"2 start cells \(A\) for 3 agents"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        GoalSequence(**settings)
