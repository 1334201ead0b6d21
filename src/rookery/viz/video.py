"""A recording as a moving picture: a GIF, a video, or a page with a player that needs no network; or as one still."""

import base64
import contextlib
import html
import json
import os
import re
import zlib
from importlib import resources
from pathlib import Path

import numpy as np

from rookery.errors import ConfigError, StorageError
from rookery.viz import colors
from rookery.viz.arrows import END_MARGIN, MAX_ARROW_WIDTH, MAX_HEAD_WIDTH, SIDE_OFFSET
from rookery.viz.files import write_file_atomic
from rookery.viz.frames import ANYONE, VisibleTo, render_map, render_step
from rookery.viz.recording import Recording
from rookery.viz.reward_events import reward_events
from rookery.viz.sprites import sprite_data

# A page may run what it carries and fetch nothing, whatever a name in the data tries.
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def write_gif(
    recording: Recording,
    path: str | os.PathLike,
    fps: float = 8,
    frame_interval: int = 1,
    tile_size: int = 24,
    visible_to: VisibleTo = ANYONE,
) -> Path:
    """Write the episode as a looping GIF of `paint_step` frames.

    Args:
      fps: frames a second; a GIF counts in hundredths of a second, so at most 50.
      every: show each n-th moment; the last is always shown.
      tile, lit_for: as in `paint_map`.
    Returns: the path.
    Raises: ConfigError for an fps, every, tile or lit_for out of range; StorageError if the disk refuses.
    """
    from io import BytesIO

    from PIL import Image

    if not 0 < fps <= 50:
        raise ConfigError(f"fps={fps} must lie in (0, 50]")
    if frame_interval < 1:
        raise ConfigError(f"every={frame_interval} must be at least 1")
    moments = sorted({*range(0, recording.num_steps + 1, frame_interval), recording.num_steps})
    few = moments[:: max(1, len(moments) // 12)]
    palette = _palette(render_step(recording, t, tile_size, visible_to) for t in few)
    nearest = _NearestPaletteColor(palette)

    def indexed(t):
        image = Image.fromarray(nearest(render_step(recording, t, tile_size, visible_to)))
        image.putpalette(palette.tobytes())
        return image

    file = BytesIO()
    indexed(moments[0]).save(
        file,
        "GIF",
        save_all=True,
        append_images=(indexed(t) for t in moments[1:]),
        duration=10 * round(100 / fps),
        loop=0,
        optimize=True,  # leaves pixels out that did not change
    )
    return write_file_atomic(path, file.getvalue())


def find_ffmpeg() -> str:
    """Where ffmpeg is. Raises ConfigError where it is not."""
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        raise ConfigError(
            "MP4 needs ffmpeg, which is not installed; pip install 'rookery[video]', or write a GIF instead"
        ) from None


def write_mp4(
    recording: Recording,
    path: str | os.PathLike,
    fps: float = 8,
    tile_size: int = 32,
    visible_to: VisibleTo = ANYONE,
) -> Path:
    """Write the episode as an H.264 video of `paint_step` frames, which any browser and player shows.

    Args:
      fps: frames a second, at most 60.
      tile, lit_for: as in `paint_map`.
    Returns: the path.
    Raises: ConfigError where ffmpeg is not installed, or for an fps, tile or lit_for out of range; StorageError if
      the disk refuses.
    """
    import subprocess
    import tempfile

    if not 0 < fps <= 60:
        raise ConfigError(f"fps={fps} must lie in (0, 60]")
    ffmpeg = find_ffmpeg()
    height, width, _ = render_step(recording, 0, tile_size, visible_to).shape  # complains before a process starts
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.mp4"
        given = f"-loglevel error -f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {fps} -i -".split()
        wanted = ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
        frames = (render_step(recording, t, tile_size, visible_to).tobytes() for t in range(recording.num_steps + 1))
        with subprocess.Popen([ffmpeg, *given, *wanted, str(file)], stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # it has given up, and said why
                process.stdin.writelines(frames)
        if process.returncode:
            raise StorageError(f"ffmpeg could not write the video (exit code {process.returncode}); see what it said")
        return write_file_atomic(path, file.read_bytes())


def write_png(
    recording: Recording,
    path: str | os.PathLike,
    t: int = 0,
    tile_size: int = 32,
    visible_to: VisibleTo = ANYONE,
    show_views: bool = True,
) -> Path:
    """Write one moment as a picture: the map beside the agents' views, or, without `views`, the map alone.

    Returns: the path.
    Raises: ConfigError as `paint_map`; StorageError if the disk refuses.
    """
    from io import BytesIO

    from PIL import Image

    picture = (render_step if show_views else render_map)(recording, t, tile_size, visible_to)
    file = BytesIO()
    Image.fromarray(picture).save(file, "PNG", optimize=True)
    return write_file_atomic(path, file.getvalue())


def write_replay_html(recording: Recording, path: str | os.PathLike) -> Path:
    """Write one page that plays the episode from disk: no server, no network, no other file.

    Returns: the path.
    Raises: StorageError if the disk refuses.
    """
    return write_file_atomic(path, replay_html(recording).encode("utf-8", "replace"))


def replay_html(recording: Recording) -> str:
    """The text of that page."""
    body = f'<main class="rk-page">{replay_fragment(recording, "film", standalone=True)}</main>'
    return html_page(f"{recording.task}: episode", body)


def replay_fragment(recording: Recording, element_id: str, *, assets: bool = True, standalone: bool = False) -> str:
    """The player as HTML to put into any page; several may share a page.

    Args:
      element_id: id of the player's element; letters, digits, - and _, from a letter, unique in the page.
      assets: carry the style and the script along; the second film of a page may leave them out.
      standalone: listen to the keyboard even while the player has no focus.
    Raises: ConfigError for another element_id.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", element_id):
        raise ConfigError(f"element_id={element_id!r} must be letters, digits, - and _, from a letter")
    # "<" is all that could end the script element early; JSON reads its escape as the same letter.
    data = json.dumps(_replay_data(recording), separators=(",", ":")).replace("<", "\\u003c")
    label = html.escape(f"Film of an episode of {recording.task}")
    parts = [
        f'<section class="rk-film" id="{element_id}" aria-label="{label}" tabindex="0"'
        f"{' data-standalone' if standalone else ''}>",
        f'<script type="application/json" class="rk-data">{data}</script>',
        '<p class="rk-wait">This film needs a browser with JavaScript.</p>',
        "</section>",
        f'<script>RookeryFilm.mount(document.getElementById("{element_id}"));</script>',
    ]
    if assets:
        parts[:0] = [
            f"<style>{read_asset('player.css')}</style>",
            f"<script>{read_asset('board.js')}\n{read_asset('player.js')}</script>",
        ]
    return "\n".join(parts)


def html_page(title: str, body: str, style: str = "", policy: str = CONTENT_SECURITY_POLICY) -> str:
    """A whole HTML page; `body` and `style` are trusted, `title` is escaped."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{html.escape(title)}</title>\n<style>{style}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def read_asset(name: str) -> str:
    """The text of a file that ships beside this module."""
    return resources.files("rookery.viz").joinpath(name).read_text("utf-8")


def _replay_data(recording):
    """What player.js reads: labels as JSON, arrays as one deflated block, little-endian, in base64."""
    tiles = recording.tiles
    if (tiles == tiles[0]).all():
        tiles = tiles[:1]  # the player repeats the last frame it has
    arrays = {
        "tiles": tiles,
        "position": recording.position,
        "heading": recording.heading,
        "active": recording.active,
        "prestige": recording.prestige,
        "reward": recording.reward,
        "action": recording.action,
    }
    if len(recording.carrying):
        arrays["carrying"] = recording.carrying
    if recording.most_influence:
        arrays["influence"] = recording.influence
    arrays |= {f"view{i}": view for i, view in enumerate(recording.views)}
    arrays |= {f"seen{i}": seen for i, seen in enumerate(recording.seen)}
    little = {name: a.astype(a.dtype.newbyteorder("<")) for name, a in arrays.items()}
    block = zlib.compress(b"".join(a.tobytes() for a in little.values()), 9)
    kinds = np.union1d(recording.tiles, recording.carrying).astype(int)
    return {
        "task": recording.task,
        "note": recording.note,
        "steps": recording.steps,
        "height": recording.height,
        "width": recording.width,
        "goals": recording.goals.tolist(),
        "actions": recording.action_names,
        "agents": [
            {"name": name, "role": role, "mark": colors.agent_letter(i)}
            for i, (name, role) in enumerate(zip(recording.names, recording.roles, strict=True))
        ],
        "events": [[e.step, e.agent, e.reward, e.text] for e in reward_events(recording)],
        "sight": bool(recording.seen),
        "most_influence": recording.most_influence,
        "arrow": {"widest": MAX_ARROW_WIDTH, "aside": SIDE_OFFSET, "ends": END_MARGIN, "head": MAX_HEAD_WIDTH},
        "present": [int(kind) for kind in kinds],
        "look": sprite_data(kinds, numbered=len(recording.goals) > 0),
        "arrays": [[name, a.dtype.name, a.shape] for name, a in little.items()],
        "block": base64.b64encode(block).decode("ascii"),
    }


def _palette(frames):
    """Colors for a whole film, so that nothing flickers: uint8[n, 3], n at most 255.

    The common ones are kept exactly. The rest, mostly edges and shades of prestige, count once each: by
    pixels they would lose to the floor.
    """
    from PIL import Image

    colors, counts = np.unique(np.concatenate([_pack_rgb(f).ravel() for f in frames]), return_counts=True)
    colors = colors[np.argsort(-counts, kind="stable")]
    if len(colors) > 255:
        rest = Image.fromarray(_unpack_rgb(colors[127:])[None])
        mixed = rest.quantize(128, method=Image.Quantize.MEDIANCUT).getpalette()
        return np.concatenate([_unpack_rgb(colors[:127]), np.array(mixed, np.uint8).reshape(-1, 3)[:128]])
    return _unpack_rgb(colors)


class _NearestPaletteColor:
    """The index of the palette color nearest to each pixel, each color looked for once in a film.

    Pillow's own search is as exact, and ten times slower.
    """

    def __init__(self, palette):
        self.palette = palette.astype(np.int32)
        self._is_cached = np.zeros(1 << 24, bool)  # by packed color: 32 MB for both while a film is written
        self.index = np.zeros(1 << 24, np.uint8)

    def __call__(self, frame):
        """uint8[h, w] from uint8[h, w, 3]."""
        pixels = _pack_rgb(frame)
        new = np.unique(pixels[~self._is_cached[pixels]])
        away = _unpack_rgb(new)[:, None].astype(np.int32) - self.palette
        self.index[new] = (away**2).sum(-1).argmin(-1)
        self._is_cached[new] = True
        return self.index[pixels]


def _pack_rgb(frame):
    """RGB as one number a pixel. u32[…] from uint8[…, 3]."""
    red, green, blue = (frame[..., i].astype(np.uint32) for i in range(3))
    return red << 16 | green << 8 | blue


def _unpack_rgb(colors):
    """uint8[n, 3] from u32[n]."""
    return (colors[:, None] >> np.array([16, 8, 0], np.uint32)).astype(np.uint8)
