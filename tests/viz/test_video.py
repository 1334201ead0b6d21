import base64
import dataclasses
import json
import os
import re
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from rookery.errors import ConfigError, StorageError
from rookery.viz import (
    render_map,
    render_step,
    replay_fragment,
    video,
    write_gif,
    write_mp4,
    write_png,
    write_replay_html,
)
from rookery.viz.frames import num_step_pixels


def replay_data(text):
    """The JSON data of a replay page."""
    return json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.S)[1])


def replay_arrays(data):
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
        assert film.size == render_step(recording, 0).shape[1::-1]
        assert film.info["duration"] == 100
        assert film.info["loop"] == 0
        film.seek(4)
        error = np.abs(np.asarray(film.convert("RGB")).astype(int) - render_step(recording, 4))
    assert error.mean() < 2  # 256 colors, looked up in steps of 4: not visible
    assert (error.max(-1) > 40).mean() < 0.001


def test_gif_keeps_the_last_moment(recording, tmp_path):
    with Image.open(write_gif(recording, tmp_path / "film.gif", frame_interval=3)) as film:
        assert film.n_frames == 3  # moments 0, 3 and 4


def test_a_gif_of_many_steps_stays_below_its_limit(recording):
    """Counted with all that stands next to the map; small tiles first, then fewer states."""

    def fits(limit, interval=1, tile_size=24):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(video, "MAX_GIF_PIXELS", limit)
            return video._frames_that_fit(recording, interval, tile_size)

    whole = [num_step_pixels(recording, size) for size in range(1, 25)]
    assert fits(5 * whole[-1]) == ([0, 1, 2, 3, 4], 24), "as asked for, where it fits"
    steps, size = fits(5 * whole[-1] - 1)
    assert (steps, size < 24) == ([0, 1, 2, 3, 4], True)
    assert 5 * whole[size - 1] < 5 * whole[-1]
    steps, size = fits(5 * min(whole) - 1)
    assert steps in ([0, 2, 4], [0, 3, 4], [0, 4])
    assert len(steps) * whole[size - 1] < 5 * min(whole)
    assert fits(1) == ([0, 4], 1), "the first and the last state always remain"
    assert fits(10**9, interval=3) == ([0, 3, 4], 24)


def test_gif_refuses_nonsense(recording, tmp_path):
    bad_fps = ({"fps": 0}, {"fps": 0.001}, {"fps": 51}, {"fps": float("nan")}, {"fps": "8"})
    bad_numbers = ({"frame_interval": 0}, {"frame_interval": 1.5}, {"tile_size": 24.0}, {"visible_to": "nobody"})
    for bad in (*bad_fps, *bad_numbers):
        with pytest.raises(ConfigError):
            write_gif(recording, tmp_path / "film.gif", **bad)
    assert not os.listdir(tmp_path)


def test_html_carries_the_whole_recording(recording, tmp_path):
    text = write_replay_html(recording, tmp_path / "film.html").read_text("utf-8")
    data = replay_data(text)
    arrays = replay_arrays(data)
    np.testing.assert_array_equal(arrays["tiles"], recording.tiles[:1])  # they never change here
    for name in ("position", "heading", "agent_mask", "prestige", "reward", "action"):
        np.testing.assert_array_equal(arrays[name], getattr(recording, name))
    np.testing.assert_array_equal(arrays["view1"], recording.views[1])
    np.testing.assert_array_equal(arrays["visible0"], recording.visible[0])
    assert data["events"] == [[3, 0, 1.0, "+1 goal 1"], [4, 1, -1.5, "-1.5 mistake at goal 2"]]
    assert os.listdir(tmp_path) == ["film.html"]


def test_tiles_that_change_are_all_carried(recording):
    tiles = recording.tiles.copy()
    tiles[3, 2, 2] = 9
    data = replay_data(replay_fragment(dataclasses.replace(recording, tiles=tiles), "film"))
    np.testing.assert_array_equal(replay_arrays(data)["tiles"], tiles)
    assert data["tile_kinds"] == [0, 1, 2, 9]
    assert data["sprites"]["kinds"]["9"]["name"] == "goal, six-sided"


def test_html_asks_the_network_for_nothing(recording, tmp_path):
    text = write_replay_html(recording, tmp_path / "film.html").read_text("utf-8")
    assert "default-src 'none'" in text
    for word in ("http:", "https:", " src=", "href=", "@import", "url(", "fetch(", "XMLHttpRequest"):
        assert word not in text, word


def test_hostile_texts_stay_texts(hostile, tmp_path):
    text = write_replay_html(hostile, tmp_path / "film.html").read_text("utf-8")
    assert len(re.findall("<script", text)) == len(re.findall("</script>", text)) == 3
    assert "<img" not in text
    assert replay_data(text)["agents"][0]["name"] == hostile.agent_names[0]


def test_fragments_share_a_page(recording):
    first = replay_fragment(recording, "one")
    second = replay_fragment(recording, "two", assets=False)
    assert re.findall(r'\bid="([^"]*)"', first + second) == ["one", "two"]
    assert "<style>" in first
    assert "<style>" not in second
    for bad in ("", "1x", "a b", 'a"b', "a>"):
        with pytest.raises(ConfigError, match="element_id"):
            replay_fragment(recording, bad)


def test_mp4_frames_and_pace(recording, tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="the extra 'video' is not installed", exc_type=ImportError)
    path = write_mp4(recording, tmp_path / "film.mp4", fps=5)
    height, width, _ = render_step(recording, 0, 32).shape
    command = [ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    process = subprocess.run(command, capture_output=True, timeout=600, check=True)
    assert f"{width}x{height}" in process.stderr.decode()
    assert "5 fps" in process.stderr.decode()
    pictures = np.frombuffer(process.stdout, np.uint8).reshape(-1, height, width, 3).astype(int)
    assert len(pictures) == 5
    assert np.abs(pictures[4] - render_step(recording, 4, 32)).mean() < 4  # a lossy codec
    assert os.listdir(tmp_path) == ["film.mp4"]


def test_mp4_without_ffmpeg_says_what_to_install(recording, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ConfigError, match=r"pip install 'rookery\[video\]'"):
        write_mp4(recording, tmp_path / "film.mp4")
    for bad in (0, 61, float("nan")):
        with pytest.raises(ConfigError, match="fps="):
            write_mp4(recording, tmp_path / "film.mp4", fps=bad)
    assert not os.listdir(tmp_path)


def test_png_of_a_moment(recording, tmp_path):
    with Image.open(write_png(recording, tmp_path / "a.png", 3)) as picture:
        np.testing.assert_array_equal(np.asarray(picture), render_step(recording, 3, 32))
    with Image.open(write_png(recording, tmp_path / "b.png", 3, 10, 0, show_views=False)) as picture:
        np.testing.assert_array_equal(np.asarray(picture), render_map(recording, 3, 10, 0))
    with pytest.raises(ConfigError, match="t=9"):
        write_png(recording, tmp_path / "c.png", 9)


def test_refused_writes(recording, tmp_path):
    with pytest.raises(StorageError):
        write_replay_html(recording, tmp_path)
    assert not os.listdir(tmp_path)
