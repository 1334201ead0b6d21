"""Still pictures of a recording: the whole map, and the map beside what each agent sees."""

import dataclasses
import functools
import math
from typing import Literal, TypeAlias

import numpy as np

from rookery.errors import ConfigError
from rookery.show import arrows, colours
from rookery.show.recording import Recording
from rookery.show.sprites import MARK_AT, MARKS_AT, agent_stamp, sprite, tile_stamp, turn

Lit: TypeAlias = int | Literal["anyone"] | None
ANYONE: Literal["anyone"] = "anyone"

PAD, HEAD, LINE, TEXT_WIDTH, VIEW, FOOT = 12, 30, 16, 132, 96, 26  # pixels of `paint_step`'s layout


def check_moment(recording: Recording, t: int) -> None:
    """Raises ConfigError where there is no step t."""
    if not 0 <= t <= recording.steps:
        raise ConfigError(f"t={t} is not a moment of this recording; it has 0 to {recording.steps}")


def paint_map(recording: Recording, t: int, tile: int = 24, lit_for: Lit = None) -> np.ndarray:
    """The whole map at moment t. uint8[H*tile, W*tile, 3].

    Agents are triangles that point along their heading, red to blue by prestige, lettered A, B, …; those
    that share a cell stand side by side in it. Goals carry their place in the cycle. Arrows are influence in the
    step that led here (arrows.py), the widest being the largest of the whole recording.

    Args:
      t: 0 … T; T is the end of the episode.
      tile: pixels along a cell, at least 1. Marks and numbers need about 14.
      lit_for: an agent, and cells it does not see are dark; "anyone", and cells nobody sees are darker; None, and
        all is lit.
    Raises: ConfigError for a t, tile or agent out of range, or an agent whose sight was not recorded.
    """
    check_moment(recording, t)
    if tile < 1:
        raise ConfigError(f"tile={tile} must be at least 1 pixel")
    if isinstance(lit_for, int) and not 0 <= lit_for < len(recording.seen):
        has = f"agents 0 to {len(recording.seen) - 1}" if recording.seen else "no agent"
        raise ConfigError(f"lit_for={lit_for}: this recording holds the sight of {has}")

    kinds = recording.tiles[t]
    present, which = np.unique(kinds, return_inverse=True)
    stamps = np.stack([tile_stamp(int(kind), tile) for kind in present])
    picture = stamps[which.reshape(kinds.shape)]  # [H, W, tile, tile, 3], put into place below
    picture = picture.swapaxes(1, 2).reshape(recording.height * tile, recording.width * tile, 3)

    for k, (row, col) in enumerate(recording.goals):
        if kinds[row, col] > 1:  # a goal that the task has taken away is floor again
            look = sprite(int(kinds[row, col]))
            box = picture[row * tile : (row + 1) * tile, col * tile : (col + 1) * tile]
            _write_mark(box, str(k + 1), (0.5, 0.5), look.face or look.ground)

    boxes = _boxes(recording, t, tile)
    for agent, (top, left, size) in boxes.items():
        colour = colours.prestige_colour(recording.prestige[t, agent])
        box = picture[top : top + size, left : left + size]
        role, heading = recording.roles[agent], int(recording.heading[t, agent])
        stamp = agent_stamp(role, heading, colour, size)
        opacity = stamp[..., 3:].astype(np.uint16)
        box[:] = (stamp[..., :3] * opacity + box * (255 - opacity) + 127) // 255
        _write_mark(box, colours.mark(agent), turn(MARKS_AT.get(role, MARK_AT), heading), colour)
        if held := recording.carried(t, agent):  # in a corner, as a small tile
            side = max(1, round(size * 0.4))
            box[size - side :, size - side :] = tile_stamp(held, side)

    if lit_for is not None and recording.seen:
        _darken(picture, recording, t, tile, lit_for)
    at = {agent: (left + size / 2, top + size / 2) for agent, (top, left, size) in boxes.items()}
    arrows.draw(picture, recording, t, at, tile)
    return picture


def _darken(picture, recording, t, tile, lit_for):
    if lit_for == ANYONE:
        sight, left = np.any([seen[t] for seen in recording.seen], axis=0), colours.GLIMMER
    else:
        sight, left = recording.seen[lit_for][t], colours.DIM
    dark = ~np.kron(sight, np.ones((tile, tile), bool))
    picture[dark] = np.rint(picture[dark] * left + np.array(colours.NIGHT) * (1 - left)).astype(np.uint8)


def paint_step(recording: Recording, t: int, tile: int = 24, lit_for: Lit = ANYONE) -> np.ndarray:
    """The map beside each agent's own view, with its name, return and last reward, and the step; below, where there
    are arrows, what the widest of them means.

    Returns: uint8[height, width, 3]; the same even height and width for every t of a recording.
    Raises: ConfigError as `paint_map`.
    """
    from PIL import Image, ImageDraw

    layout = _layout(recording, tile)
    image = Image.new("RGB", (layout.width, layout.height), colours.BACKGROUND)
    image.paste(Image.fromarray(paint_map(recording, t, tile, lit_for)), (PAD, HEAD))
    pen = ImageDraw.Draw(image)
    pen.text((PAD, 8), f"step {t} / {recording.steps}", colours.TEXT, _font(14))
    offset = PAD + pen.textlength(f"step {recording.steps} / {recording.steps}", _font(14)) + PAD
    room = layout.width - offset - PAD
    pen.text((offset, 8), _fit(pen, recording.task, room, 14), colours.FAINT, _font(14))

    returns = recording.returns()[t]
    for agent, (x, y) in enumerate(layout.cards):
        view = recording.views[agent][t]
        scale = _view_scale(recording, agent)
        image.paste(Image.fromarray(view.repeat(scale, 0).repeat(scale, 1)), (x, y))
        here = bool(recording.active[t, agent])
        lines = [
            (f"{colours.mark(agent)}  {recording.names[agent]}", 13, colours.TEXT),
            (recording.roles[agent] if here else "absent", 12, colours.FAINT),
            (f"return {returns[agent]:.4g}", 12, colours.TEXT),
        ]
        if t:
            reward = recording.reward[t - 1, agent]
            lines.append((f"reward {reward:+.3g}" if reward else "reward 0", 12, colours.TEXT))
            if recording.active[t - 1, agent]:
                action = recording.action_names[recording.action[t - 1, agent]]
                lines.append((f"did {action}", 12, colours.FAINT))
        for i, (text, size, colour) in enumerate(lines):
            at = (x + layout.view_width + 10, y + i * LINE)
            pen.text(at, _fit(pen, text, TEXT_WIDTH, size), colour, _font(size))
    if not recording.most_influence:
        return np.asarray(image)
    text = f"influence on another agent in this step; the widest arrow is {recording.most_influence:.3g} nats"
    below = layout.height - FOOT
    pen.text(
        (PAD + tile * 2 + 10, below + 5), _fit(pen, text, layout.width - tile * 2 - 30, 12), colours.FAINT, _font(12)
    )
    picture = np.array(image)
    arrows.sample(picture, (PAD, below + FOOT / 2), tile)
    return picture


@dataclasses.dataclass(frozen=True)
class _Layout:
    """Where things stand in `paint_step`, in pixels; one for all moments of a recording."""

    width: int
    height: int
    view_width: int
    cards: tuple[tuple[int, int], ...]  # [A], (x, y) of each view


def _layout(recording, tile):
    """Views in as few columns as the map is tall enough for."""
    scales = [_view_scale(recording, i) for i in range(recording.agents)]
    view_width = max(v.shape[2] * s for v, s in zip(recording.views, scales, strict=True))
    view_height = max(v.shape[1] * s for v, s in zip(recording.views, scales, strict=True))
    card_width, card_height = view_width + 10 + TEXT_WIDTH + PAD, max(view_height, 5 * LINE) + PAD
    map_width, map_height = recording.width * tile, recording.height * tile
    rows = max(1, (map_height + PAD) // card_height)
    columns = math.ceil(recording.agents / rows)
    rows = math.ceil(recording.agents / columns)
    cards = tuple(
        (PAD + map_width + PAD + (i // rows) * card_width, HEAD + (i % rows) * card_height)
        for i in range(recording.agents)
    )
    width = PAD + map_width + PAD + columns * card_width
    height = HEAD + max(map_height + PAD, rows * card_height) + (FOOT if recording.most_influence else 0)
    # Video codecs refuse odd sizes.
    return _Layout(width + width % 2, height + height % 2, view_width, cards)


def _view_scale(recording, agent):
    """Whole pixels a view's pixel becomes, so that it stays crisp."""
    return max(1, VIEW // max(recording.views[agent].shape[1:3]))


def _boxes(recording, t, tile):
    """The square each present agent is drawn in: {agent: (top, left, size)}, in pixels."""
    cells = {}
    for agent in np.flatnonzero(recording.active[t]):
        row, col = recording.position[t, agent]
        cells.setdefault((int(row), int(col)), []).append(int(agent))
    boxes = {}
    for (row, col), sharers in cells.items():
        side = math.ceil(math.sqrt(len(sharers)))
        size = max(1, tile // side)
        for i, agent in enumerate(sharers):
            down, right = min(i // side * size, tile - size), min(i % side * size, tile - size)
            boxes[agent] = (row * tile + down, col * tile + right, size)
    return boxes


def _write_mark(box, text, at, colour):
    """Write a short text at (x, y) of a unit box into the pixels `box`, in the ink that suits `colour`."""
    from PIL import Image, ImageDraw

    size = len(box)
    if size < 14:
        return
    image = Image.fromarray(np.ascontiguousarray(box))
    pen = ImageDraw.Draw(image)
    font = _font(max(8, round(size * (0.44 if len(text) == 1 else 0.34))))
    pen.text((at[0] * size, at[1] * size), text, colours.ink_on(colour), font, anchor="mm")
    box[:] = np.asarray(image)


@functools.lru_cache(64)
def _font(size):
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _fit(pen, text, room, size):
    """One printable line no wider than `room` pixels."""
    text = "".join(c if c.isprintable() else " " for c in text[:100])
    if pen.textlength(text, _font(size)) <= room:
        return text
    while text and pen.textlength(text + "…", _font(size)) > room:
        text = text[:-1]
    return text + "…"
