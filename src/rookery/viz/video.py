"""A recording as a GIF, a video or a picture."""

from __future__ import annotations

import contextlib
import io
import math
import numbers
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rookery.errors import ConfigError, MissingPackageError, StorageError
from rookery.limits import MAX_INTEGER, check_count, check_type
from rookery.optional_packages import import_optional, install_extra
from rookery.storage.atomic import write_bytes
from rookery.viz.frames import ANYONE, VisibleTo, check_render_args, num_step_pixels, render_map, render_step
from rookery.viz.recording import Recording

if TYPE_CHECKING:
    from PIL.Image import Image

MIN_FPS = 0.01
"""Frames per second: a GIF keeps the time of a frame in 16 bits, which end at 655 s."""
MAX_GIF_PIXELS = 96_000_000
"""Of all frames together: Pillow keeps a byte of each until the file is written."""
PALETTE_FRAMES = 12
"""How many frames the palette of a GIF is made from."""


def write_gif(
    recording: Recording,
    path: Path | str,
    fps: float = 8,
    frame_interval: int = 1,
    tile_size: int = 24,
    visible_to: VisibleTo = ANYONE,
) -> Path:
    """Write the episode as a looping GIF of `render_step` frames.

    Args:
      fps: frames per second; a GIF counts in hundredths of a second, so at most 50.
      frame_interval: show every n-th state; the last one is always shown.
      tile_size, visible_to: as in `render_map`. Where all pictures would have more than MAX_GIF_PIXELS, tiles are
        smaller, and if none are small enough, more states are left out.
    Returns: the path.
    Raises: ConfigError for an argument out of range; StorageError if the file cannot be written.
    """
    from PIL import Image

    _check_fps(fps, 50)
    frame_interval = check_count("frame_interval", frame_interval, MAX_INTEGER)
    _, tile_size, visible_to = check_render_args(recording, 0, tile_size, visible_to)
    steps, tile_size = _frames_that_fit(recording, frame_interval, tile_size)
    sample = steps[:: max(1, len(steps) // PALETTE_FRAMES)]
    palette = _palette([render_step(recording, t, tile_size, visible_to) for t in sample])
    frames = (
        Image.fromarray(render_step(recording, t, tile_size, visible_to)).quantize(
            palette=palette, dither=Image.Dither.NONE
        )
        for t in steps
    )
    file = io.BytesIO()
    next(frames).save(
        file,
        "GIF",
        save_all=True,
        append_images=frames,
        duration=10 * round(100 / fps),
        loop=0,
        optimize=True,  # leaves out pixels that did not change
    )
    write_bytes(path, file.getvalue(), follow_link=True)
    return Path(path)


def _check_fps(fps: float, high: int) -> None:
    """Raises ConfigError for anything but a number of frames per second from MIN_FPS to `high`."""
    check_type("fps", fps, numbers.Real, "a number")
    if not MIN_FPS <= fps <= high:
        raise ConfigError(f"fps={fps} must lie in [{MIN_FPS}, {high}]")


def _frames_that_fit(recording: Recording, frame_interval: int, tile_size: int) -> tuple[list[int], int]:
    """The states and the tile size of a GIF with at most MAX_GIF_PIXELS: the largest tiles up to `tile_size`.

    Texts and views next to the map do not shrink with the tiles. Where no tiles are small enough for every n-th state,
    the map alone decides on the tiles, and more states are left out.
    """

    def steps_every(interval: int) -> list[int]:
        return sorted({*range(0, recording.num_steps + 1, interval), recording.num_steps})

    steps, (height, width) = steps_every(frame_interval), recording.tiles.shape[-2:]
    of_map = math.isqrt(MAX_GIF_PIXELS // (len(steps) * height * width))
    tile_size = max(1, min(tile_size, of_map))
    for size in range(tile_size, 0, -1):
        if len(steps) * num_step_pixels(recording, size) <= MAX_GIF_PIXELS:
            return steps, size
    most = max(2, MAX_GIF_PIXELS // num_step_pixels(recording, tile_size))  # frames; the first and the last remain
    return steps_every(max(frame_interval, math.ceil(recording.num_steps / (most - 1)))), tile_size


def _palette(frames: list[np.ndarray]) -> Image:
    """An image with the palette for a whole GIF, so that colors do not flicker between frames.

    The most common colors are kept exactly. The others, mostly edges and shades of prestige, count once each: by
    pixels, they would lose to the floor.
    """
    from PIL import Image

    pixels = Image.fromarray(np.concatenate([frame.reshape(-1, 3) for frame in frames])[None])
    counts = sorted(pixels.getcolors(1 << 24) or [], reverse=True)
    colors = np.array([color for _, color in counts], np.uint8)
    if len(colors) > 256:
        rest = Image.fromarray(colors[128:][None]).quantize(128, method=Image.Quantize.MEDIANCUT).getpalette()
        colors = np.concatenate([colors[:128], np.array(rest, np.uint8).reshape(-1, 3)[:128]])
    palette = Image.new("P", (1, 1))
    palette.putpalette(colors.tobytes())
    return palette


def find_ffmpeg() -> str:
    """The path of ffmpeg. Raises MissingPackageError if it is not installed."""
    missing = f"MP4 needs ffmpeg, which is not installed; {install_extra('video')}, or write a GIF instead"
    try:
        return import_optional("imageio_ffmpeg", missing).get_ffmpeg_exe()
    except RuntimeError:  # the package came without the program
        raise MissingPackageError(missing) from None


def write_mp4(
    recording: Recording,
    path: Path | str,
    fps: float = 8,
    tile_size: int = 32,
    visible_to: VisibleTo = ANYONE,
) -> Path:
    """Write the episode as an H.264 video of `render_step` frames, which all browsers and players show.

    Args:
      fps: frames per second, at most 60.
      tile_size, visible_to: as in `render_map`.
    Returns: the path.
    Raises: ConfigError if ffmpeg is not installed, or for an argument out of range; StorageError if the file cannot be
      written.
    """
    _check_fps(fps, 60)
    _, tile_size, visible_to = check_render_args(recording, 0, tile_size, visible_to)
    ffmpeg = find_ffmpeg()
    height, width, _ = render_step(recording, 0, tile_size, visible_to).shape  # raises before a process starts
    frames = (render_step(recording, t, tile_size, visible_to).tobytes() for t in range(recording.num_steps + 1))
    source = f"-loglevel error -f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {fps} -i -".split()
    encoder = ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    # Not imageio's writer: it runs Python code between fork and exec, which JAX's threads do not survive.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "replay.mp4"
        with subprocess.Popen([ffmpeg, *source, *encoder, str(file)], stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # it has ended early, and printed why
                process.stdin.writelines(frames)
        if process.returncode:
            raise StorageError(f"ffmpeg could not write the video (exit code {process.returncode}): see its message")
        video = file.read_bytes()
    write_bytes(path, video, follow_link=True)
    return Path(path)


def write_png(
    recording: Recording,
    path: Path | str,
    t: int = 0,
    tile_size: int = 32,
    visible_to: VisibleTo = ANYONE,
    show_views: bool = True,
) -> Path:
    """Write state t as a picture: the map next to the agents' views, or only the map.

    Returns: the path.
    Raises: ConfigError as `render_map`; StorageError if the file cannot be written.
    """
    from PIL import Image

    picture = (render_step if show_views else render_map)(recording, t, tile_size, visible_to)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", optimize=True)
    write_bytes(path, file.getvalue(), follow_link=True)
    return Path(path)
