import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.gridworld.spec import ViewConfig
from rookery.gridworld.tiles import OBSTACLE
from rookery.gridworld.visibility import agent_view, crop, line_of_sight, to_egocentric, view_cells
from tests.worlds import EAST, NORTH, SOUTH, WEST, map_text, start, task_on, view_text

OBLONG = """
#########
#...#.2.#
#.A...#.#
#1......#
#########
"""


def expect(text, *, view, position, heading, agents=1, on=OBLONG, agent=0):
    task = task_on(on, agents=agents, view=view)
    assert view_text(start(task, position, heading), agent, view) == map_text(text)


# The agent stands at (2, 2) of the 5×9 map, in row 3 (= 5 - 1 - offset) and column 2 of its view.
TURNED = {
    NORTH: """
        #####
        #####
        #...#
        #.0..
        #G...
    """,
    EAST: """
        #...#
        ##..#
        #...#
        #.0.#
        #..G#
    """,
    SOUTH: """
        #####
        #####
        ...G#
        ..0.#
        #...#
    """,
    WEST: """
        #####
        #####
        #G..#
        #.0.#
        #...#
    """,
}


@pytest.mark.parametrize("heading", TURNED)
def test_view_of_an_oblong_world_by_hand(heading):
    view = ViewConfig(size=5, rows_behind=1, see_through_walls=True)
    expect(TURNED[heading], view=view, position=(2, 2), heading=heading)


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        (0, "#G#.#\n#...#\n##..#\n#...#\n#.0.#"),  # the first row is map column 6
        (2, "##..#\n#...#\n#.0.#\n#..G#\n#####"),
        (4, "#.0.#\n#..G#\n#####\n#####\n#####"),
    ],
)
def test_offset_moves_the_view_back(offset, text):
    expect(text, view=ViewConfig(size=5, rows_behind=offset, see_through_walls=True), position=(2, 2), heading=EAST)


def test_what_obstacles_hide_by_hand():
    # The block at (1, 4) is the # in row 1, column 1: the corner beyond it stays dark.
    expect(
        """
        ?...#
        ##..#
        #...#
        #.0.#
        #..G#
        """,
        view=ViewConfig(size=5, rows_behind=1),
        position=(2, 2),
        heading=EAST,
    )


def test_sight_round_a_bar_is_lopsided_like_the_reference():
    # The rightmost column carries sight past the bar, the leftmost does not, and neither spreads inwards.
    expect(
        """
        ????#
        ????.
        .###.
        ..0..
        #####
        """,
        view=ViewConfig(size=5, rows_behind=1),
        position=(3, 3),
        heading=NORTH,
        on="""
        #######
        #..G..#
        #.###.#
        #..A..#
        #######
        """,
    )


def test_a_wall_ahead_hides_all_behind_it():
    expect(
        """
        ???????
        ???????
        ???????
        ???????
        #######
        #..0..#
        #######
        """,
        view=ViewConfig(size=7, rows_behind=1),
        position=(3, 3),
        heading=NORTH,
        on="""
        #######
        #..G..#
        #######
        #..A..#
        #######
        """,
    )


def test_hidden_goals_look_like_floor_and_agents_on_them_show():
    view = ViewConfig(size=5, rows_behind=1, see_through_walls=True, can_hide_goals=True)
    plain = TURNED[EAST].replace("G", ".")
    expect(plain, view=view, position=[(2, 2), (1, 7)], heading=[EAST, NORTH], agents=2)
    on_goal = TURNED[EAST].replace("G", "1")
    expect(on_goal, view=view, position=[(2, 2), (3, 1)], heading=[EAST, NORTH], agents=2)


def test_an_agent_does_not_block_sight_and_is_not_seen_through_walls():
    corridor = """
    ########
    #A....1#
    ########
    """
    view = ViewConfig(size=5, rows_behind=0)
    text = """
    ?#.#?
    ?#2#?
    ?#1#?
    ?#.#?
    ?#0#?
    """
    expect(text, view=view, position=[(1, 1), (1, 3), (1, 4)], heading=[EAST] * 3, agents=3, on=corridor)
    walled = """
    ########
    #A.#.1.#
    ########
    """
    hidden = """
    ?????
    ?????
    ?###?
    ?#.#?
    ?#0#?
    """
    expect(hidden, view=view, position=[(1, 1), (1, 4)], heading=[EAST] * 2, agents=2, on=walled)


def test_an_absent_agent_is_not_seen():
    view = ViewConfig(size=5, rows_behind=1, see_through_walls=True)
    task = task_on(OBLONG, agents=2, view=view)
    state = start(task, [(2, 2), (2, 3)], [EAST, EAST])
    assert "1" in view_text(state, 0, view)
    assert "1" not in view_text(state.replace(agent_mask=jnp.array([True, False])), 0, view)
    blind = view_text(state.replace(agent_mask=jnp.array([False, True])), 0, view)
    assert set(blind) == {"?", "\n"}


def turned_window(tiles: np.ndarray, position, heading: int, view: ViewConfig) -> np.ndarray:
    """The same view by padding and rotating the whole map, instead of rotating coordinates."""
    pad = view.size
    padded = np.pad(tiles, pad, constant_values=OBSTACLE)
    mark = np.zeros_like(padded)
    mark[position[0] + pad, position[1] + pad] = 1
    padded, mark = np.rot90(padded, heading), np.rot90(mark, heading)  # heading is now up
    (row,), (col,) = np.nonzero(mark)
    top, left = row - view.agent_row, col - view.size // 2
    return padded[top : top + view.size, left : left + view.size]


@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize("offset", [0, 1, 2])
def test_crop_equals_turning_the_whole_map(size, offset):
    view = ViewConfig(size=size, rows_behind=offset)
    tiles = np.random.default_rng(size).integers(0, 3, (5, 9))
    cases = [(r, c, h) for r in range(5) for c in range(9) for h in range(4)]
    places, headings = np.array(cases)[:, :2], np.array(cases)[:, 2]
    ours = jax.jit(jax.vmap(lambda p, h: crop(jnp.asarray(tiles), p, h, view)))(places, headings)
    for i, (r, c, h) in enumerate(cases):
        np.testing.assert_array_equal(ours[i], turned_window(tiles, (r, c), h, view))


@pytest.mark.parametrize(
    "view", [ViewConfig(size=7, rows_behind=1), ViewConfig(size=5, rows_behind=0), ViewConfig(size=3, rows_behind=2)]
)
def test_to_view_undoes_view_cells(view):
    for heading in range(4):
        position, heading = jnp.array([2, 6]), jnp.int32(heading)
        cells = view_cells(position, heading, view)
        row, col = to_egocentric(cells.reshape(2, -1).T, position, heading, view)
        expected = np.mgrid[: view.size, : view.size].reshape(2, -1)
        np.testing.assert_array_equal([row, col], expected)


def spread(clear: np.ndarray, own_row: int) -> np.ndarray:
    """Visible cells, cell by cell, as the reference code is described."""
    size = len(clear)
    center = size // 2
    visible = np.zeros_like(clear)
    visible[own_row, center] = True

    def sweep(row, toward):
        inside = 0 <= row + toward < size
        for col, step in [(c, 1) for c in range(center, size)] + [(c, -1) for c in range(center + 1, 0, -1)]:
            if visible[row, col] and clear[row, col]:
                within = 0 <= col + step < size
                if within:
                    visible[row, col + step] = True
                if inside:
                    visible[row + toward, col] = True
                if within and inside:
                    visible[row + toward, col + step] = True

    for row in range(min(own_row + 1, size - 1), 0, -1):
        sweep(row, -1)
    for row in range(own_row, size):
        sweep(row, 1)
    return visible


@pytest.mark.parametrize(
    "view",
    [
        ViewConfig(size=7, rows_behind=1),
        ViewConfig(size=7, rows_behind=3),
        ViewConfig(size=5, rows_behind=0),
        ViewConfig(size=3, rows_behind=1),
    ],
)
def test_sight_equals_the_slow_sweep(view):
    rng = np.random.default_rng(0)
    clear = rng.random((300, view.size, view.size)) < rng.uniform(0.4, 0.95, (300, 1, 1))
    ours = jax.jit(jax.vmap(lambda c: line_of_sight(c, view)))(clear)
    for i in range(len(clear)):
        np.testing.assert_array_equal(ours[i], spread(clear[i], view.agent_row))


def test_see_through_walls_sees_all():
    tiles = jnp.full((5, 9), OBSTACLE, jnp.int32)
    _, visible = agent_view(tiles, jnp.array([2, 2]), jnp.int32(EAST), ViewConfig(size=5, see_through_walls=True))
    assert visible.all()
    _, visible = agent_view(tiles, jnp.array([2, 2]), jnp.int32(EAST), ViewConfig(size=5))
    assert visible.sum() == 1  # walled in on its own cell, which is an obstacle itself
