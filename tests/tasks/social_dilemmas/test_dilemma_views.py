import jax
import numpy as np
import pytest
from hypothesis import given, settings

from rookery.gridworld.spec import ViewConfig
from rookery.gridworld.tiles import UNSEEN_COLOR
from rookery.tasks.social_dilemmas.dilemma_tiles import APPLE, CLEAN_BEAM, FIRE_BEAM, WALL
from rookery.tasks.social_dilemmas.dilemma_views import (
    AGENT_COLORS,
    BEAM_COLORS,
    DILEMMA_TILE_COLORS,
    NUM_MAP_CODES,
    SELF_COLOR,
    code_images,
    observe_dilemma,
)  # fmt: skip
from tests.tasks.social_dilemmas.worlds import EAST, NORTH, SOUTH, WEST, situations, state_on, tiles_of

VIEW = ViewConfig(size=5, rows_behind=2, tile_size=1, see_through_walls=True)
LARGE = ViewConfig(size=5, rows_behind=2, tile_size=6, see_through_walls=True)
observe = jax.jit(observe_dilemma, static_argnums=1)


def slow_view(state, agent: int) -> np.ndarray:
    """The view, cell by cell, from coordinates ahead of an agent and to its right."""
    tiles, beam, position, agent_mask = (
        np.asarray(x) for x in (state.tiles, state.beam, state.position, state.agent_mask)
    )
    picture = np.empty((5, 5, 3), np.uint8)
    if not agent_mask[agent]:
        picture[:] = UNSEEN_COLOR
        return picture
    step = [(-1, 0), (0, 1), (1, 0), (0, -1)]
    ahead, right = (np.array(step[(int(state.heading[agent]) + turn) % 4]) for turn in (0, 1))
    for row in range(5):
        for col in range(5):
            cell = position[agent] + (2 - row) * ahead + (col - 2) * right
            if not ((cell >= 0) & (cell < tiles.shape)).all():
                picture[row, col] = DILEMMA_TILE_COLORS[WALL]
                continue
            picture[row, col] = DILEMMA_TILE_COLORS[tiles[tuple(cell)]]
            if beam[tuple(cell)]:
                picture[row, col] = BEAM_COLORS[beam[tuple(cell)]]
            for other in np.flatnonzero(agent_mask):
                if (position[other] == cell).all():
                    picture[row, col] = SELF_COLOR if other == agent else AGENT_COLORS[other]
    return picture


@settings(max_examples=40)
@given(situations())
def test_views_of_any_world(situation):
    state, action, _ = situation
    beams = (np.arange(np.asarray(state.tiles).size).reshape(np.asarray(state.tiles).shape) + action[0]) % 7 % 3
    state = state.replace(beam=beams.astype(np.uint8))
    views = np.asarray(observe(state, VIEW))
    for agent in range(len(action)):
        np.testing.assert_array_equal(views[agent], slow_view(state, agent))


TILES = tiles_of(
    """
    ########
    #..o...#
    #......#
    ########
    """
)


@pytest.mark.parametrize(("heading", "at"), [(NORTH, (1, 2)), (EAST, (2, 1)), (SOUTH, (3, 2)), (WEST, (2, 3))])
def test_the_view_turns_with_the_agent(heading, at):
    """An apple to the north is ahead, left, behind, or right."""
    view = np.asarray(observe(state_on(TILES, [(2, 3)], [heading]), VIEW))[0]
    assert tuple(view[2, 2]) == SELF_COLOR
    assert [tuple(map(int, cell)) for cell in np.argwhere((view == DILEMMA_TILE_COLORS[APPLE]).all(-1))] == [at]


def test_beams_show_and_agents_show_over_them():
    state = state_on(TILES, [(2, 3), (2, 4)], [NORTH, NORTH])
    beam = np.zeros(TILES.shape, np.uint8)
    beam[2, 4] = beam[2, 5] = FIRE_BEAM
    beam[1, 4] = CLEAN_BEAM
    view = np.asarray(observe(state.replace(beam=beam), VIEW))[0]
    assert tuple(view[2, 3]) == AGENT_COLORS[1]
    assert tuple(view[2, 4]) == BEAM_COLORS[FIRE_BEAM]
    assert tuple(view[1, 3]) == BEAM_COLORS[CLEAN_BEAM]


def test_every_look_has_its_own_color():
    colors = [tuple(color) for color in code_images(1)[0, :, 0, 0]]
    assert len(set(colors)) == NUM_MAP_CODES - 30, "an agent's four headings look alike at one pixel, nothing else does"


def test_larger_tiles_show_headings_as_the_viewer_sees_them():
    def other(viewer: int, heading: int) -> np.ndarray:
        state = state_on(TILES, [(2, 3), (2, 5)], [viewer, heading])
        view = np.asarray(observe(state, LARGE))[0]
        assert view.shape == (30, 30, 3)
        row, col = {NORTH: (2, 4), EAST: (0, 2)}[viewer]
        return view[6 * row : 6 * row + 6, 6 * col : 6 * col + 6]

    # Two who face the same way look alike to each other, whichever way that is.
    np.testing.assert_array_equal(other(NORTH, NORTH), other(EAST, EAST))
    np.testing.assert_array_equal(other(NORTH, EAST), other(EAST, SOUTH))
    assert (other(NORTH, NORTH) != other(NORTH, EAST)).any()


def test_larger_tiles_show_the_same_ground():
    state = state_on(TILES, [(2, 3)], [WEST])
    small, large = np.asarray(observe(state, VIEW))[0], np.asarray(observe(state, LARGE))[0]
    large = large.reshape(5, 6, 5, 6, 3).transpose(0, 2, 1, 3, 4)
    for row, col in np.ndindex(5, 5):
        if (row, col) != (2, 2):
            assert (large[row, col] == small[row, col]).all()
