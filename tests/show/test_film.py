import base64
import dataclasses
import json
import os
import re
import zlib

import numpy as np
import pytest
from PIL import Image

from rookery.errors import ConfigError, StorageError
from rookery.show import film_fragment, paint_step, write_gif, write_html


def film_data(text):
    """The film's own JSON out of a page."""
    return json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.S)[1])


def film_arrays(data):
    block, offset, arrays = zlib.decompress(base64.b64decode(data["block"])), 0, {}
    for name, dtype, shape in data["arrays"]:
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        arrays[name] = np.frombuffer(block[offset : offset + size], dtype).reshape(shape)
        offset += size
    assert offset == len(block)
    return arrays


def test_gif_frames_size_and_pace(recording, tmp_path):
    with Image.open(write_gif(recording, tmp_path / "film.gif", fps=10)) as film:
        assert film.n_frames == 5
        assert film.size == paint_step(recording, 0).shape[1::-1]
        assert film.info["duration"] == 100
        assert film.info["loop"] == 0
        film.seek(4)
        error = np.abs(np.asarray(film.convert("RGB")).astype(int) - paint_step(recording, 4))
    assert error.mean() < 1  # 255 colours: the odd edge may differ a little
    assert (error.max(-1) > 40).mean() < 0.001


def test_gif_keeps_the_last_moment(recording, tmp_path):
    with Image.open(write_gif(recording, tmp_path / "film.gif", every=3)) as film:
        assert film.n_frames == 3  # moments 0, 3 and 4


def test_gif_refuses_nonsense(recording, tmp_path):
    for bad in ({"fps": 0}, {"fps": 51}, {"fps": float("nan")}, {"every": 0}):
        with pytest.raises(ConfigError):
            write_gif(recording, tmp_path / "film.gif", **bad)
    assert not os.listdir(tmp_path)


def test_html_carries_the_whole_recording(recording, tmp_path):
    text = write_html(recording, tmp_path / "film.html").read_text("utf-8")
    data = film_data(text)
    arrays = film_arrays(data)
    np.testing.assert_array_equal(arrays["tiles"], recording.tiles[:1])  # they never change here
    for name in ("position", "heading", "active", "prestige", "reward", "action"):
        np.testing.assert_array_equal(arrays[name], getattr(recording, name))
    np.testing.assert_array_equal(arrays["view1"], recording.views[1])
    np.testing.assert_array_equal(arrays["seen0"], recording.seen[0])
    assert data["events"] == [[3, 0, 1.0, "+1 goal 1"], [4, 1, -1.5, "-1.5 mistake at goal 2"]]
    assert os.listdir(tmp_path) == ["film.html"]


def test_tiles_that_change_are_all_carried(recording):
    tiles = recording.tiles.copy()
    tiles[3, 2, 2] = 9
    data = film_data(film_fragment(dataclasses.replace(recording, tiles=tiles), "film"))
    np.testing.assert_array_equal(film_arrays(data)["tiles"], tiles)
    assert "9" in data["kinds"]


def test_html_asks_the_network_for_nothing(recording, tmp_path):
    text = write_html(recording, tmp_path / "film.html").read_text("utf-8")
    assert "default-src 'none'" in text
    for word in ("http:", "https:", " src=", "href=", "@import", "url(", "fetch(", "XMLHttpRequest"):
        assert word not in text, word


def test_hostile_texts_stay_texts(hostile, tmp_path):
    text = write_html(hostile, tmp_path / "film.html").read_text("utf-8")
    assert len(re.findall("<script", text)) == len(re.findall("</script>", text)) == 3
    assert "<img" not in text
    assert film_data(text)["agents"][0]["name"] == hostile.names[0]


def test_fragments_share_a_page(recording):
    first = film_fragment(recording, "one")
    second = film_fragment(recording, "two", assets=False)
    assert re.findall(r'\bid="([^"]*)"', first + second) == ["one", "two"]
    assert "<style>" in first
    assert "<style>" not in second
    for bad in ("", "1x", "a b", 'a"b', "a>"):
        with pytest.raises(ConfigError, match="element_id"):
            film_fragment(recording, bad)


def test_refused_writes(recording, tmp_path):
    with pytest.raises(StorageError):
        write_html(recording, tmp_path)
    assert not os.listdir(tmp_path)
