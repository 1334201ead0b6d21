"""Views as colors."""

import numpy as np
import pytest

from rookery.gridworld.spec import CHANNELS
from rookery.gridworld.tiles import FLOOR, GOAL, OBSTACLE
from rookery.studies.image_grid import CHANNEL_COLORS, draw_tile_maps, image_grid, view_to_rgb


def test_symbols_show_their_colors():
    view = np.zeros((2, 3, len(CHANNELS)))
    view[0, 1, CHANNELS.index("goal")] = 1
    view[1, 2, CHANNELS.index("obstacle")] = 0.5
    picture = view_to_rgb(view)
    assert picture.shape == (2, 3, 3)
    np.testing.assert_allclose(picture[0, 1], np.array(CHANNEL_COLORS["goal"]) / 255)
    np.testing.assert_allclose(picture[1, 2], np.array(CHANNEL_COLORS["obstacle"]) / 510)
    assert picture[0, 0].sum() == 0


def test_predictions_beyond_the_range_are_cut():
    np.testing.assert_array_equal(view_to_rgb(np.array([[[-0.5, 0.25, 1.5]]])), [[[0, 0.25, 1]]])


def test_maps_are_drawn_side_by_side():
    figure = draw_tile_maps([[[OBSTACLE, GOAL], [FLOOR, FLOOR]], [[GOAL, FLOOR], [FLOOR, FLOOR]]])
    first, second = (axes.images[0].get_array() for axes in figure.axes)
    np.testing.assert_allclose(first[0, 1], (1, 1, 0))
    np.testing.assert_allclose(second[0, 0], (1, 1, 0))
    assert len(set(first[0, 0])) == 1


@pytest.mark.parametrize("count", [1, 3])
def test_a_gallery_has_a_place_for_every_picture(count):
    rows = [[np.zeros((2, 3, 3))] * count, [np.ones((2, 3, 3))]]
    figure = image_grid(rows, titles=list("abc")[:count], labels=["first", "second"])
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == count + 1
    assert shown[0].get_title() == "a"
