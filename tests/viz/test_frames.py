import dataclasses
import itertools

import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.viz import colors, render_map, render_step
from rookery.viz.sprites import SPRITES, tile_image

TILE = 24


def cell(picture, row, col, tile=TILE):
    return picture[row * tile : (row + 1) * tile, col * tile : (col + 1) * tile]


def test_oblong_map_is_not_transposed(recording):
    picture = render_map(recording, 0)
    assert picture.shape == (5 * TILE, 9 * TILE, 3)
    assert picture.dtype == np.uint8
    assert tuple(cell(picture, 0, 0)[12, 12]) == colors.WALL_COLOR
    assert tuple(cell(picture, 4, 6)[12, 12]) == colors.WALL_COLOR
    assert tuple(cell(picture, 1, 7)[4, 4]) == colors.GOAL_COLOR
    assert tuple(cell(picture, 3, 2)[4, 4]) == colors.GOAL_COLOR
    assert tuple(cell(picture, 2, 1)[12, 12]) == colors.FLOOR_COLOR


def test_goals_carry_different_numbers(recording):
    picture = render_map(recording, 0)
    one, two = cell(picture, 1, 7), cell(picture, 3, 2)
    assert (one != two).any()
    assert (one[8:16, 8:16] != colors.GOAL_COLOR).any()


def test_a_goal_taken_away_has_no_number(recording):
    tiles = recording.tiles.copy()
    tiles[0, 1, 7] = 0
    picture = render_map(dataclasses.replace(recording, tiles=tiles), 0)
    np.testing.assert_array_equal(cell(picture, 1, 7), cell(picture, 2, 1))


def test_agent_has_its_prestige_color_and_heading(recording):
    # A, prestige 0, faces east: the base is on the left, clear corners are next to the tip on the right.
    here = cell(render_map(recording, 0), 1, 4)
    assert tuple(here[7, 4]) == colors.PRESTIGE_LOW_COLOR
    assert tuple(here[4, 21]) == tuple(here[20, 21]) == colors.FLOOR_COLOR
    # B, prestige 1, faces west: its mirror image.
    here = cell(render_map(recording, 1), 3, 4)
    assert tuple(here[7, -1 - 4]) == colors.PRESTIGE_HIGH_COLOR
    assert tuple(here[4, 2]) == tuple(here[20, 2]) == colors.FLOOR_COLOR


@pytest.mark.parametrize(("heading", "tip"), [(0, (0, 1)), (1, (1, 2)), (2, (2, 1)), (3, (1, 0))])
def test_the_tip_is_where_it_is_heading(recording, heading, tip):
    turned = dataclasses.replace(recording, heading=np.full((5, 2), heading))
    tile = 12  # too small for letters, and divisible into thirds
    changed = (cell(render_map(turned, 0, tile), 1, 4, tile)[1:, 1:] != colors.FLOOR_COLOR).any(-1)
    changed = np.pad(changed, ((1, 0), (1, 0)))
    thirds = changed.reshape(3, 4, 3, 4).mean((1, 3))
    row, col = tip
    assert thirds[row, col] > 0.3
    if row == 1:  # the corners next to the tip are nearly clear, those at the base are not
        assert max(thirds[0, col], thirds[2, col]) < 0.3 < min(thirds[0, 2 - col], thirds[2, 2 - col]) + 0.1
    else:
        assert max(thirds[row, 0], thirds[row, 2]) < 0.3 < min(thirds[2 - row, 0], thirds[2 - row, 2]) + 0.1


def test_agents_are_where_they_are_and_absent_ones_are_not(recording):
    before, after = render_map(recording, 0), render_map(recording, 1)
    floor = cell(before, 2, 1)
    assert (cell(before, 1, 4) != floor).any()
    np.testing.assert_array_equal(cell(before, 3, 4), floor)  # B has not come yet
    np.testing.assert_array_equal(cell(after, 1, 4), floor)  # A has gone on
    assert (cell(after, 1, 5) != floor).any()


def test_agents_in_one_cell_are_both_drawn(recording):
    together = dataclasses.replace(recording, position=np.full((5, 2, 2), (2, 3)))
    pixels = {tuple(p) for p in cell(render_map(together, 2, 40), 2, 3, 40).reshape(-1, 3).tolist()}
    assert {colors.PRESTIGE_LOW_COLOR, colors.PRESTIGE_HIGH_COLOR} <= pixels


def test_what_the_agent_does_not_see_is_dimmed(recording):
    lit, plain = render_map(recording, 0, visible_to=0), render_map(recording, 0)
    np.testing.assert_array_equal(cell(lit, 1, 5), cell(plain, 1, 5))
    dark = np.array(colors.UNSEEN_OVERLAY_COLOR) * (1 - colors.UNSEEN_BRIGHTNESS)
    np.testing.assert_array_equal(cell(lit, 0, 0), np.rint(cell(plain, 0, 0) * colors.UNSEEN_BRIGHTNESS + dark))
    np.testing.assert_array_equal(
        render_map(recording, 0, visible_to=1), np.rint(plain * colors.UNSEEN_BRIGHTNESS + dark)
    )


def test_what_nobody_sees_is_darker(recording):
    shared, plain = render_map(recording, 0, visible_to="anyone"), render_map(recording, 0)
    np.testing.assert_array_equal(cell(shared, 1, 5), cell(plain, 1, 5))  # A sees it, B does not
    dark = np.array(colors.UNSEEN_OVERLAY_COLOR) * (1 - colors.UNSEEN_BY_ALL_BRIGHTNESS)
    np.testing.assert_array_equal(
        cell(shared, 0, 0), np.rint(cell(plain, 0, 0) * colors.UNSEEN_BY_ALL_BRIGHTNESS + dark)
    )
    blind = dataclasses.replace(recording, visible=())
    np.testing.assert_array_equal(render_map(blind, 0, visible_to="anyone"), plain)  # nothing is known of sight


def test_what_an_agent_carries_is_shown(recording):
    carrying = np.zeros((5, 2), int)
    carrying[1:, 0] = 3
    film = dataclasses.replace(recording, carrying=carrying)
    np.testing.assert_array_equal(render_map(film, 0), render_map(recording, 0))
    here, empty = cell(render_map(film, 1), 1, 5), cell(render_map(recording, 1), 1, 5)
    np.testing.assert_array_equal(here[:10], empty[:10])
    assert (here[14:, 14:] != empty[14:, 14:]).any()


def test_every_known_tile_looks_different():
    stamps = {kind: tile_image(kind, 24).astype(int) for kind in SPRITES}
    for one, other in itertools.combinations(SPRITES, 2):
        away = np.abs(stamps[one] - stamps[other]).mean()
        if {one, other} != {67, 69}:  # river and stream are both water
            assert away > 5, (SPRITES[one].name, SPRITES[other].name)


def test_goals_are_apart_by_shape_too():
    outlines = [(tile_image(kind, 24) != colors.FLOOR_COLOR).any(-1)[1:, 1:] for kind in (2, 7, 8, 9, 10)]
    for one, other in itertools.combinations(outlines, 2):
        assert (one != other).mean() > 0.04


def test_bodies_tell_roles(recording):
    pictures = []
    for role in ("frozen", "scripted", "random", "person"):
        film = dataclasses.replace(recording, roles=(role, "frozen"))
        pictures.append(cell(render_map(film, 0), 1, 4))
    for one, other in itertools.combinations(pictures, 2):
        assert (one != other).any()


@pytest.mark.parametrize("kind", [11, 63, 200, 255])
def test_unknown_tiles_are_drawn_as_something(recording, kind):
    tiles = recording.tiles.copy()
    tiles[:, 2, 1] = kind
    color = tuple(cell(render_map(dataclasses.replace(recording, tiles=tiles), 0), 2, 1)[12, 12])
    assert color == colors.tile_color(kind)
    assert color not in (colors.FLOOR_COLOR, colors.WALL_COLOR, colors.GOAL_COLOR)


@pytest.mark.parametrize("tile", [1, 2, 5, 13, 31])
def test_any_tile_size(recording, tile):
    for t in range(5):
        assert render_map(recording, t, tile, visible_to=0).shape == (5 * tile, 9 * tile, 3)


@pytest.mark.parametrize("tile", [7, 24])
def test_steps_are_all_one_even_size(recording, tile):
    shapes = {render_step(recording, t, tile).shape for t in range(5)}
    assert len(shapes) == 1
    height, width, _ = shapes.pop()
    assert height % 2 == width % 2 == 0


def test_a_step_shows_each_view_enlarged(recording):
    picture = render_step(recording, 2)
    enlarged = recording.views[0][2].repeat(24, 0).repeat(24, 1)  # 96 pixels / 4
    view = picture[30 : 30 + 72, 12 + 9 * TILE + 12 :][:, :96]
    np.testing.assert_array_equal(view, enlarged)


def test_a_step_shows_what_changed_in_words(recording):
    # Same map and views; only the reward of the last step differs.
    other = dataclasses.replace(recording, reward=np.zeros((4, 2)))
    assert (render_step(recording, 3) != render_step(other, 3)).any()
    np.testing.assert_array_equal(render_step(recording, 2), render_step(other, 2))


def test_odd_names_and_many_agents(recording):
    many = {
        field: np.repeat(getattr(recording, field)[:, :1], 9, axis=1)
        for field in ("position", "heading", "agent_mask", "prestige", "reward", "action")
    }
    crowd = dataclasses.replace(
        recording, agent_names=("a\nb\t" + "long " * 40,) * 9, roles=("random",) * 9, views=recording.views[:1] * 9,
        visible=(), **many,
    )  # fmt: skip
    assert render_step(crowd, 4).shape[2] == 3


def test_prestige_is_brightness_too():
    shades = [colors.luminance(colors.prestige_color(p)) for p in np.linspace(0, 1, 11)]
    assert (np.diff(shades) > 0).all()
    assert shades[-1] / shades[0] > 3


def test_marks():
    assert [colors.agent_letter(i) for i in (0, 1, 25, 26, 27, 52)] == ["A", "B", "Z", "AA", "AB", "BA"]


@pytest.mark.parametrize("render", [render_map, render_step])
def test_arguments_of_another_type(recording, render):
    for bad, message in (
        ({"tile_size": -100}, "^tile_size=-100 must be at least 1 pixel$"),
        ({"tile_size": 24.0}, "^tile_size=24.0 must be a whole number$"),
        ({"t": 1.0}, "^t=1.0 must be a whole number$"),
        ({"visible_to": "nobody"}, "^visible_to='nobody' must be the number of an agent, 'anyone' or None$"),
        ({"visible_to": True}, "^visible_to=True must be the number of an agent, 'anyone' or None$"),
        ({"visible_to": 0.0}, "^visible_to=0.0 must be the number of an agent"),
        ({"visible_to": np.int64(9)}, "^visible_to=9: this recording has the visible cells of agents 0 to 1$"),
        ({"visible_to": -1}, "^visible_to=-1: "),
    ):
        with pytest.raises(ConfigError, match=message):
            render(recording, **{"t": 0, **bad})
    np.testing.assert_array_equal(
        render(recording, np.int64(1), np.int32(8), np.int64(0)), render(recording, 1, 8, visible_to=0)
    )


def test_out_of_range(recording):
    for bad in ({"t": 5}, {"t": -1}, {"t": 0, "tile_size": 0}, {"t": 0, "visible_to": 2}):
        with pytest.raises(ConfigError):
            render_map(recording, **bad)
    with pytest.raises(ConfigError, match="no agent"):
        render_map(dataclasses.replace(recording, visible=()), 0, visible_to=0)
