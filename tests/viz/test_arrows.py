"""Influence as arrows: geometry by hand, and what pictures, pages and files make of it."""

import dataclasses
import math

import numpy as np
import pytest
from PIL import Image

from rookery.viz import Recording, colors, render_map, render_step, write_gif, write_replay_html
from rookery.viz.arrows import arrow_opacity, arrow_outline
from rookery.viz.frames import FOOTER_HEIGHT
from tests.viz.test_video import replay_arrays, replay_data

TILE = 20


def together(recording, matrix=((0, 0.5), (0, 0)), again=((0, 1.0), (0.02, 0))) -> Recording:
    """Both stand still, A at (2, 1) and B at (2, 6), all steps; the influence of the first step, and of the second."""
    position = np.tile(np.array([[2, 1], [2, 6]]), (5, 1, 1))
    influence = np.zeros((4, 2, 2))
    influence[0], influence[1] = matrix, again
    return dataclasses.replace(
        recording,
        position=position,
        agent_mask=np.ones((5, 2), bool),
        action=np.zeros((4, 2)),
        influence=influence,
        visible=(),
    )


def arrow_pixels(film, t, tile=TILE):
    """Where a picture differs from the same without arrows."""
    return (render_map(film, t, tile) != render_map(dataclasses.replace(film, influence=None), t, tile)).any(-1)


def test_the_widest_arrow_by_hand():
    # East, 100 pixels between middles, tiles of 20: it runs 2.6 to the right (south) of the line, from 6 to 94;
    # its shaft is 4.4 wide, its head 8 long and 8.8 wide.
    corners = arrow_outline((10, 30), (110, 30), 1.0, 20)
    by_hand = [(16, 30.4), (96, 30.4), (96, 28.2), (104, 32.6), (96, 37), (96, 34.8), (16, 34.8)]
    np.testing.assert_allclose(corners, by_hand, atol=1e-9)


def test_half_the_influence_is_half_as_wide():
    for tile in (20, 40):
        wide, half = (arrow_outline((0, 0), (0, 9 * tile), share, tile) for share in (1.0, 0.5))
        assert math.dist(half[0], half[6]) == pytest.approx(math.dist(wide[0], wide[6]) / 2)
    hair = arrow_outline((0, 0), (0, 90), 1e-6, 10)
    assert math.dist(hair[0], hair[6]) == pytest.approx(1.0)  # never thinner than a pixel, but fainter
    assert (arrow_opacity(1.0), arrow_opacity(0.25), arrow_opacity(0.0)) == (1.0, 0.5, 0.0)


def test_two_that_face_each_other_stay_apart():
    there, back = arrow_outline((0, 0), (80, 0), 1.0, 20), arrow_outline((80, 0), (0, 0), 1.0, 20)
    assert min(y for _, y in there) > -2  # its head may touch the line
    np.testing.assert_allclose(back, [(80 - x, -y) for x, y in there])


def test_nobody_moves_anybody_from_the_same_point():
    assert arrow_outline((5, 5), (5, 5), 1.0, 20) == ()
    assert len(arrow_outline((5, 5), (6, 5), 1.0, 20)) == 7


def test_an_arrow_goes_from_who_moved_to_who_was_moved(recording):
    film = together(recording)
    pixels = arrow_pixels(film, 1)
    rows, cols = np.nonzero(pixels)
    # A's middle is (30, 50), B's (130, 50): to A's right is south, and the head is at B's end.
    assert 49 <= rows.min() < rows.max() <= 58
    assert 34 <= cols.min() <= 37
    assert 122 <= cols.max() <= 125
    # Half of the most: full width 4.4, half of it here, and 71 % of the color over the floor.
    assert pixels[:, 70].sum() <= 4
    brightest = render_map(film, 1, TILE)[50:58, 70].max(0)
    wanted = np.array(colors.FLOOR_COLOR) * (1 - 0.5**0.5) + np.array(colors.INFLUENCE_COLOR) * 0.5**0.5
    np.testing.assert_allclose(brightest, wanted, atol=2)


def test_both_ways_and_the_widest_is_the_recordings(recording):
    film = together(recording)
    pixels = arrow_pixels(film, 2)
    assert pixels[50:58, 70].sum() >= 4  # A on B, the most there is
    assert pixels[42:50, 70].sum() in (1, 2)  # B on A, 1/50 of it: a hairline
    assert tuple(render_map(film, 2, TILE)[52, 70]) == colors.INFLUENCE_COLOR


def test_nothing_is_drawn_of_none(recording):
    film = together(recording)
    for t in (0, 3, 4):  # before anything was done, and after steps of no influence
        assert not arrow_pixels(film, t).any()
    zeros = dataclasses.replace(film, influence=np.zeros((4, 2, 2)))
    assert zeros.max_influence == 0
    np.testing.assert_array_equal(render_step(zeros, 1), render_step(dataclasses.replace(film, influence=None), 1))
    absent = film.agent_mask.copy()
    absent[1, 1] = False
    assert not arrow_pixels(dataclasses.replace(film, agent_mask=absent), 1).any()


def test_below_zero_has_another_color(recording):
    film = together(recording, ((0, -1.0), (0, 0)))
    assert film.influence_pairs(1) == [(0, 1, -1.0)]
    assert tuple(render_map(film, 1, TILE)[52, 70]) == colors.NEGATIVE_INFLUENCE_COLOR


def test_who_moved_whom(recording):
    film = together(recording)
    assert film.influence_pairs(0) == film.influence_pairs(4) == []
    assert film.influence_pairs(1) == [(0, 1, 0.5)]
    (least, most) = film.influence_pairs(2)
    assert (least[:2], most) == ((1, 0), (0, 1, 1.0))
    assert film.max_influence == 1.0
    assert recording.influence_pairs(2) == []
    assert recording.max_influence == 0


def test_a_step_tells_the_scale(recording, monkeypatch):
    from PIL import ImageDraw

    said = []
    write = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "text", lambda self, at, text, *a, **k: (said.append(text), write(self, at, text, *a, **k))
    )
    film = together(recording)
    picture = render_step(dataclasses.replace(film, influence=film.influence / 80), 1, 40)
    assert "influence on another agent in this step; the widest arrow is 0.0125 nats" in said
    foot = picture[-FOOTER_HEIGHT:].reshape(-1, 3)
    assert (foot == colors.INFLUENCE_COLOR).all(-1).any()
    plain = render_step(dataclasses.replace(film, influence=None), 1, 40)
    assert picture.shape[0] == plain.shape[0] + FOOTER_HEIGHT


def test_gif_and_page_carry_it(recording, tmp_path):
    film = together(recording)
    with Image.open(write_gif(film, tmp_path / "film.gif", tile_size=TILE)) as gif:
        gif.seek(2)
        frame = np.asarray(gif.convert("RGB")).astype(int)
    assert np.abs(frame - render_step(film, 2, TILE)).mean() < 2
    data = replay_data(write_replay_html(film, tmp_path / "film.html").read_text("utf-8"))
    assert data["max_influence"] == 1.0
    np.testing.assert_array_equal(replay_arrays(data)["influence"], film.influence)
    data = replay_data(write_replay_html(recording, tmp_path / "film.html").read_text("utf-8"))
    assert data["max_influence"] == 0
    assert "influence" not in replay_arrays(data)


def test_it_is_saved_and_checked(recording, tmp_path):
    film = together(recording)
    again = Recording.load(film.save(tmp_path / "film.npz"))
    np.testing.assert_array_equal(again.influence, film.influence)
    assert Recording.load(recording.save(tmp_path / "plain.npz")).influence is None
    for bad, said in (
        (np.zeros((3, 2, 2)), "influence has shape"),
        (np.full((4, 2, 2), np.nan), "influence must be finite"),
        (np.tile(np.eye(2), (4, 1, 1)), "on itself must be 0"),
    ):
        with pytest.raises(ValueError, match=said):
            dataclasses.replace(recording, influence=bad)
