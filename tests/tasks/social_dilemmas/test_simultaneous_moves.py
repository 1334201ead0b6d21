import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given

from rookery.tasks.social_dilemmas.dilemma_tiles import (
    MOVE_BACK,
    MOVE_FORWARD,
    MOVE_LEFT,
    MOVE_RIGHT,
    STAY,
    TURN_CLOCKWISE,
    TURN_COUNTERCLOCKWISE,
    WALL,
)  # fmt: skip
from rookery.tasks.social_dilemmas.simultaneous_moves import resolve_moves, turn_agents
from tests.tasks.social_dilemmas.worlds import (
    EAST,
    NORTH,
    SOUTH,
    WEST,
    move,
    priorities,
    situations,
    slow_move,
    state_on,
    tiles_of,
)

ROOM = tiles_of(
    """
    #########
    #.......#
    #.......#
    #...#...#
    #########
    """
)


def cells(state, *action, priority=None):
    return [tuple(map(int, cell)) for cell in move(state, action, priority)]


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        # left, right, ahead, back of (2, 2)
        (NORTH, [(2, 1), (2, 3), (1, 2), (3, 2)]),
        (EAST, [(1, 2), (3, 2), (2, 3), (2, 1)]),
        (SOUTH, [(2, 3), (2, 1), (3, 2), (1, 2)]),
        (WEST, [(3, 2), (1, 2), (2, 1), (2, 3)]),
    ],
)
def test_moves_are_relative_to_the_heading(heading, expected):
    state = state_on(ROOM, [(2, 2)], [heading])
    assert [cells(state, way)[0] for way in (MOVE_LEFT, MOVE_RIGHT, MOVE_FORWARD, MOVE_BACK)] == expected
    assert cells(state, STAY) == [(2, 2)]
    assert cells(state, TURN_CLOCKWISE) == [(2, 2)]


def test_turning():
    heading = jnp.array([NORTH, NORTH, WEST, EAST])
    action = jnp.array([TURN_CLOCKWISE, TURN_COUNTERCLOCKWISE, TURN_CLOCKWISE, MOVE_FORWARD])
    np.testing.assert_array_equal(turn_agents(heading, action), [EAST, WEST, NORTH, EAST])


def test_walls_stop():
    assert cells(state_on(ROOM, [(3, 3)], [EAST]), MOVE_FORWARD) == [(3, 3)]
    assert cells(state_on(ROOM, [(1, 1)], [NORTH]), MOVE_LEFT) == [(1, 1)]


def test_two_cannot_swap():
    state = state_on(ROOM, [(1, 1), (1, 2)], [EAST, WEST])
    assert cells(state, MOVE_FORWARD, MOVE_FORWARD) == [(1, 1), (1, 2)]


def test_one_may_follow():
    state = state_on(ROOM, [(1, 1), (1, 2), (1, 3)], [EAST] * 3)
    assert cells(state, MOVE_FORWARD, MOVE_FORWARD, MOVE_FORWARD) == [(1, 2), (1, 3), (1, 4)]


def test_a_queue_behind_one_who_stays_stays():
    state = state_on(ROOM, [(1, 1), (1, 2), (1, 3)], [EAST] * 3)
    assert cells(state, MOVE_FORWARD, MOVE_FORWARD, STAY) == [(1, 1), (1, 2), (1, 3)]


def test_a_ring_turns():
    state = state_on(ROOM, [(1, 1), (1, 2), (2, 2), (2, 1)], [EAST, SOUTH, WEST, NORTH])
    assert cells(state, MOVE_FORWARD, MOVE_FORWARD, MOVE_FORWARD, MOVE_FORWARD) == [(1, 2), (2, 2), (2, 1), (1, 1)]


@pytest.mark.parametrize("outsider_wins", [False, True])
def test_a_ring_is_held_up_by_a_winner_from_outside(outsider_wins):
    start = [(1, 1), (1, 2), (2, 2), (2, 1), (1, 3)]
    state = state_on(ROOM, start, [EAST, SOUTH, WEST, NORTH, WEST])  # the last one wants (1, 2) as well
    after = cells(state, *[MOVE_FORWARD] * 5, priority=priorities(1, 1, 1, 1, 2 * outsider_wins))
    assert after == (start if outsider_wins else [(1, 2), (2, 2), (2, 1), (1, 1), (1, 3)])


@pytest.mark.parametrize(("priority", "winner"), [((5, 3), 0), ((3, 5), 1), ((4, 4), 0)])
def test_a_contested_cell_goes_to_the_higher_lot(priority, winner):
    state = state_on(ROOM, [(1, 1), (1, 3)], [EAST, WEST])
    after = cells(state, MOVE_FORWARD, MOVE_FORWARD, priority=priorities(*priority))
    assert after[winner] == (1, 2)
    assert after[1 - winner] == [(1, 1), (1, 3)][1 - winner]


def test_a_cell_somebody_leaves_is_contested_too():
    state = state_on(ROOM, [(1, 1), (1, 2), (2, 2)], [EAST, EAST, NORTH])
    assert cells(state, MOVE_FORWARD, MOVE_FORWARD, MOVE_FORWARD, priority=priorities(1, 0, 2)) == [
        (1, 1),
        (1, 3),
        (1, 2),
    ]


def test_the_loser_stays_in_the_way():
    # 0 and 1 want (1, 2); 0 loses, and 2, who wanted to follow it, stays as well.
    state = state_on(ROOM, [(1, 1), (1, 3), (2, 1)], [EAST, WEST, NORTH])
    assert cells(state, MOVE_FORWARD, MOVE_FORWARD, MOVE_FORWARD, priority=priorities(0, 1, 2)) == [
        (1, 1),
        (1, 2),
        (2, 1),
    ]


def test_the_absent_are_not_in_the_way():
    state = state_on(ROOM, [(1, 1), (1, 2), (1, 3)], [EAST, WEST, WEST], agent_mask=[True, False, False])
    assert cells(state, MOVE_FORWARD, MOVE_FORWARD, MOVE_FORWARD) == [(1, 2), (1, 2), (1, 3)]


def test_contestants_win_equally_often():
    """Four agents around one cell, priorities from 4,000 keys: each wins a quarter, within 3 sigma."""
    position = jnp.array([(1, 2), (2, 3), (3, 2), (2, 1)])
    target = jnp.broadcast_to(jnp.array([2, 2]), (4, 2))
    keys = jax.random.split(jax.random.PRNGKey(5), 4000)

    def winner(key):
        after = resolve_moves(position, target, jnp.ones(4, bool), jax.random.bits(key, (4,)))
        return (after == target).all(-1)

    wins = np.asarray(jax.jit(jax.vmap(winner))(keys))
    assert (wins.sum(1) == 1).all()
    assert (abs(wins.mean(0) - 0.25) < 3 * (0.25 * 0.75 / 4000) ** 0.5).all()


@given(
    situations(moves=(MOVE_LEFT, MOVE_RIGHT, MOVE_FORWARD, MOVE_FORWARD, MOVE_FORWARD, MOVE_BACK, STAY, TURN_CLOCKWISE))
)
def test_moving_on_any_map(situation):
    state, action, priority = situation
    after = move(state, action, priority)
    np.testing.assert_array_equal(after, slow_move(state, action, priority))
    before, agent_mask = np.asarray(state.position), np.asarray(state.agent_mask)
    assert len({tuple(cell) for cell in after[agent_mask]}) == agent_mask.sum(), "two share a cell"
    assert (np.asarray(state.tiles)[after[agent_mask, 0], after[agent_mask, 1]] != WALL).all()
    assert (abs(after - before).sum(1) <= 1).all()
    assert (after[~agent_mask] == before[~agent_mask]).all()
