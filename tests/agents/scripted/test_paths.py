import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.agents.scripted.paths import Subgoal, next_action, path_costs, unreachable_cost
from rookery.gridworld.movement import FORWARD, LEFT, RIGHT

NORTH, EAST, SOUTH, WEST = range(4)
TOGGLE = 5
APPROACH, COSTS = jax.jit(next_action), jax.jit(path_costs)
STEP = ((-1, 0), (0, 1), (1, 0), (0, -1))


def cells(*rows: str, mark: str = "#"):
    return jnp.array([[c == mark for c in row] for row in rows])


def wish(*rows: str, action: int = FORWARD) -> Subgoal:
    """`G` is wanted, `#` closed; `g` is wanted and closed."""
    return Subgoal(cells(*rows, mark="G") | cells(*rows, mark="g"), ~cells(*rows) & ~cells(*rows, mark="g"), action)


def go(wishes, row, col, heading):
    action, number = APPROACH(wishes, jnp.array([row, col]), jnp.int32(heading))
    return int(action), int(number)


def test_path_costs_by_hand():
    closed = cells("#######", "#....##", "#.##..#", "#######")
    cost = np.asarray(COSTS(closed, jnp.array([[1, 4], [2, 5]])))
    assert cost[0, EAST, 1, 1] == 3  # three steps
    assert cost[0, NORTH, 1, 1] == 4  # a turn more
    assert cost[0, WEST, 1, 1] == 5
    assert cost[0, NORTH, 2, 1] == 1 + 1 + 3  # north, turn, east
    assert cost[1, EAST, 1, 4] == 4  # from the other goal: turn, south, turn, east
    assert cost[1, EAST, 1, 1] == 3 + 25 + 4  # through the other goal: a detour's worth more
    assert cost[0, NORTH, 0, 6] == unreachable_cost(4, 7)  # in a corner nobody comes out of


def test_a_winding_path_is_a_path_however_long():
    """72 corridors of 143 cells, one after the other: a step for every cell but the first, two turns at every end."""
    closed = np.ones((145, 145), bool)
    closed[1::2, 1:-1] = False
    closed[2:-2:4, -2] = closed[4:-2:4, 1] = False
    cost = np.asarray(COSTS(closed, jnp.array([[143, 1]])))[0, EAST, 1, 1]
    assert cost == 72 * 143 + 71 - 1 + 2 * 71
    assert cost < unreachable_cost(145, 145)
    assert unreachable_cost(13, 13) == 10_000


def test_the_next_action_by_hand():
    corridor = (wish("########", "#..G...#", "#.####.#", "########"),)
    assert go(corridor, 1, 1, EAST) == (FORWARD, 0)
    assert go(corridor, 1, 2, EAST) == (FORWARD, 0)  # into it
    assert go(corridor, 1, 1, NORTH) == (RIGHT, 0)
    assert go(corridor, 1, 1, SOUTH) == (LEFT, 0)
    assert go(corridor, 1, 1, WEST) == (LEFT, 0)  # about, and left comes before right
    assert go(corridor, 2, 6, NORTH) == (FORWARD, 0)
    assert go(corridor, 1, 6, NORTH) == (LEFT, 0)
    assert go(corridor, 1, 3, EAST) == (FORWARD, 0)  # from the goal itself: out of it, to come again


def test_what_is_closed_can_be_faced():
    """A door is toggled from the cell before it."""
    door = (wish("#####", "#..g.", "#####", action=TOGGLE),)
    assert go(door, 1, 1, EAST) == (FORWARD, 0)
    assert go(door, 1, 2, EAST) == (TOGGLE, 0)
    assert go(door, 1, 2, NORTH) == (RIGHT, 0)


def test_the_first_wish_that_can_be_fulfilled():
    nearer, shut_off, nothing = wish("#######", "#..#.G#", "#######"), wish("######G"), wish("G......")
    behind = wish("#######", "#G.#..#", "#######")
    assert go((nearer, behind), 1, 2, WEST) == (FORWARD, 1)
    assert go((behind, nearer), 1, 2, WEST) == (FORWARD, 0)
    assert go((nearer, nearer), 1, 2, EAST) == (LEFT, 2)  # none
    assert go((shut_off,), 0, 1, EAST) == (LEFT, 1)
    assert go((nothing,), 0, 1, WEST) == (FORWARD, 0)
    # The first way is through what the second leaves open.
    cells_, toll = cells("..G", mark="G"), cells(".t.", mark="t")
    assert go((Subgoal(cells_, ~toll), Subgoal(cells_, ~cells_ | True)), 0, 0, EAST) == (FORWARD, 1)


def test_the_world_does_not_go_round():
    assert go((wish("G..#...."),), 0, 4, EAST) == (LEFT, 1)
    assert go((wish("G", ".", "#", "."),), 3, 0, SOUTH) == (LEFT, 1)


@pytest.mark.parametrize("width", [31, 32, 33, 70])
def test_wide_worlds(width):
    """Rows that end within a word, with it, and go on in the next."""
    last = (wish("." * (width - 1) + "G"),)
    assert all(go(last, 0, col, EAST) == (FORWARD, 0) for col in range(0, width - 1, 5))
    first = (wish("G" + "." * (width - 1)),)
    assert all(go(first, 0, col, WEST) == (FORWARD, 0) for col in range(width - 1, 0, -5))


@given(st.integers(0, 2**32 - 1))
def test_it_walks_as_many_actions_as_the_costs_say(seed):
    """The two ways of planning agree, step by step, on oblong maps with a fourth of the cells closed."""
    random = np.random.default_rng(seed)
    closed = random.random((5, 9)) < 0.25
    goal, start = random.permutation(45)[:2]
    closed.reshape(-1)[[goal, start]] = False
    row, col, heading = start // 9, start % 9, int(random.integers(4))
    wanted = np.arange(45).reshape(5, 9) == goal
    expected = int(COSTS(closed, np.array([[goal // 9, goal % 9]]))[0, heading, row, col])
    taken = 0
    while True:
        action, number = go((Subgoal(wanted, ~closed),), row, col, heading)
        assert (number == 0) == (expected < unreachable_cost(5, 9))
        if number or wanted[row, col]:
            break
        taken += 1
        heading = (heading + {LEFT: -1, RIGHT: 1, FORWARD: 0}[action]) % 4
        if action == FORWARD:
            row, col = row + STEP[heading][0], col + STEP[heading][1]
            assert not closed[row, col]
    assert expected >= unreachable_cost(5, 9) or taken == expected


def test_a_wish_in_vain_leaves_nothing_to_the_next():
    """Nobody gets to the first; nothing is wanted in the second; the third is ahead."""
    nothing, everywhere = cells("......"), cells("######")
    vain = Subgoal(cells("#....."), nothing)
    assert go((vain, Subgoal(nothing, everywhere), Subgoal(cells(".....#"), everywhere, TOGGLE)), 0, 4, EAST) == (
        TOGGLE,
        2,
    )


def test_the_way_of_a_later_wish_is_a_shortest():
    """What was flooded for the first wish is not a place to go for the second."""
    narrow = Subgoal(cells("#......"), cells(".##...."))  # open up to column 2, and no farther
    wide = Subgoal(cells("......#"), cells("#######"))
    assert go((narrow, wide), 0, 4, EAST) == (FORWARD, 1)
