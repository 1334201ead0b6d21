"""Still pictures of a recording: the whole map, and the map beside what each agent sees."""

import dataclasses
import functools
import math
from typing import Literal, TypeAlias

import numpy as np

from rookery.errors import ConfigError
from rookery.viz import arrows, colors
from rookery.viz.recording import Recording
from rookery.viz.sprites import LABEL_POSITION, LABEL_POSITIONS, agent_image, rotate_point, sprite_of, tile_image

VisibleTo: TypeAlias = int | Literal["anyone"] | None
ANYONE: Literal["anyone"] = "anyone"

PADDING, HEADER_HEIGHT, LINE_HEIGHT, TEXT_WIDTH, VIEW_SIZE, FOOTER_HEIGHT = (
    12,
    30,
    16,
    132,
    96,
    26,
)  # pixels of `paint_step`'s layout


def check_step(recording: Recording, t: int) -> None:
    """Raises ConfigError where there is no step t."""
    if not 0 <= t <= recording.num_steps:
        raise ConfigError(f"t={t} is not a moment of this recording; it has 0 to {recording.num_steps}")


def render_map(recording: Recording, t: int, tile_size: int = 24, visible_to: VisibleTo = None) -> np.ndarray:
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
    check_step(recording, t)
    if tile_size < 1:
        raise ConfigError(f"tile={tile_size} must be at least 1 pixel")
    if isinstance(visible_to, int) and not 0 <= visible_to < len(recording.visible):
        has = f"agents 0 to {len(recording.visible) - 1}" if recording.visible else "no agent"
        raise ConfigError(f"lit_for={visible_to}: this recording holds the sight of {has}")

    kinds = recording.tiles[t]
    present, which = np.unique(kinds, return_inverse=True)
    stamps = np.stack([tile_image(int(kind), tile_size) for kind in present])
    picture = stamps[which.reshape(kinds.shape)]  # [H, W, tile, tile, 3], put into place below
    picture = picture.swapaxes(1, 2).reshape(recording.height * tile_size, recording.width * tile_size, 3)

    for k, (row, col) in enumerate(recording.goals):
        if kinds[row, col] > 1:  # a goal that the task has taken away is floor again
            look = sprite_of(int(kinds[row, col]))
            box = picture[row * tile_size : (row + 1) * tile_size, col * tile_size : (col + 1) * tile_size]
            _draw_label(box, str(k + 1), (0.5, 0.5), look.label_background or look.background)

    boxes = _agent_boxes(recording, t, tile_size)
    for agent, (top, left, size) in boxes.items():
        color = colors.prestige_color(recording.prestige[t, agent])
        box = picture[top : top + size, left : left + size]
        role, heading = recording.roles[agent], int(recording.heading[t, agent])
        stamp = agent_image(role, heading, color, size)
        opacity = stamp[..., 3:].astype(np.uint16)
        box[:] = (stamp[..., :3] * opacity + box * (255 - opacity) + 127) // 255
        _draw_label(
            box, colors.agent_letter(agent), rotate_point(LABEL_POSITIONS.get(role, LABEL_POSITION), heading), color
        )
        if held := recording.carried_tile(t, agent):  # in a corner, as a small tile
            side = max(1, round(size * 0.4))
            box[size - side :, size - side :] = tile_image(held, side)

    if visible_to is not None and recording.visible:
        _darken_unseen(picture, recording, t, tile_size, visible_to)
    at = {agent: (left + size / 2, top + size / 2) for agent, (top, left, size) in boxes.items()}
    arrows.draw_arrows(picture, recording, t, at, tile_size)
    return picture


def _darken_unseen(picture, recording, t, tile, lit_for):
    if lit_for == ANYONE:
        sight, left = np.any([seen[t] for seen in recording.seen], axis=0), colors.UNSEEN_BY_ALL_BRIGHTNESS
    else:
        sight, left = recording.seen[lit_for][t], colors.UNSEEN_BRIGHTNESS
    dark = ~np.kron(sight, np.ones((tile, tile), bool))
    picture[dark] = np.rint(picture[dark] * left + np.array(colors.UNSEEN_OVERLAY_COLOR) * (1 - left)).astype(np.uint8)


def render_step(recording: Recording, t: int, tile_size: int = 24, visible_to: VisibleTo = ANYONE) -> np.ndarray:
    """The map beside each agent's own view, with its name, return and last reward, and the step; below, where there
    are arrows, what the widest of them means.

    Returns: uint8[height, width, 3]; the same even height and width for every t of a recording.
    Raises: ConfigError as `paint_map`.
    """
    from PIL import Image, ImageDraw

    layout = _layout(recording, tile_size)
    image = Image.new("RGB", (layout.width, layout.height), colors.BACKGROUND_COLOR)
    image.paste(Image.fromarray(render_map(recording, t, tile_size, visible_to)), (PADDING, HEADER_HEIGHT))
    pen = ImageDraw.Draw(image)
    pen.text((PADDING, 8), f"step {t} / {recording.num_steps}", colors.TEXT_COLOR, _font(14))
    offset = PADDING + pen.textlength(f"step {recording.num_steps} / {recording.num_steps}", _font(14)) + PADDING
    room = layout.width - offset - PADDING
    pen.text((offset, 8), _truncate_text(pen, recording.task, room, 14), colors.FAINT_TEXT_COLOR, _font(14))

    returns = recording.returns()[t]
    for agent, (x, y) in enumerate(layout.cards):
        view = recording.views[agent][t]
        scale = _view_scale(recording, agent)
        image.paste(Image.fromarray(view.repeat(scale, 0).repeat(scale, 1)), (x, y))
        here = bool(recording.agent_mask[t, agent])
        lines = [
            (f"{colors.agent_letter(agent)}  {recording.agent_names[agent]}", 13, colors.TEXT_COLOR),
            (recording.roles[agent] if here else "absent", 12, colors.FAINT_TEXT_COLOR),
            (f"return {returns[agent]:.4g}", 12, colors.TEXT_COLOR),
        ]
        if t:
            reward = recording.reward[t - 1, agent]
            lines.append((f"reward {reward:+.3g}" if reward else "reward 0", 12, colors.TEXT_COLOR))
            if recording.agent_mask[t - 1, agent]:
                action = recording.action_names[recording.action[t - 1, agent]]
                lines.append((f"did {action}", 12, colors.FAINT_TEXT_COLOR))
        for i, (text, size, color) in enumerate(lines):
            at = (x + layout.view_width + 10, y + i * LINE_HEIGHT)
            pen.text(at, _truncate_text(pen, text, TEXT_WIDTH, size), color, _font(size))
    if not recording.max_influence:
        return np.asarray(image)
    text = f"influence on another agent in this step; the widest arrow is {recording.max_influence:.3g} nats"
    below = layout.height - FOOTER_HEIGHT
    pen.text(
        (PADDING + tile_size * 2 + 10, below + 5),
        _truncate_text(pen, text, layout.width - tile_size * 2 - 30, 12),
        colors.FAINT_TEXT_COLOR,
        _font(12),
    )
    picture = np.array(image)
    arrows.draw_legend_arrow(picture, (PADDING, below + FOOTER_HEIGHT / 2), tile_size)
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
    card_width, card_height = view_width + 10 + TEXT_WIDTH + PADDING, max(view_height, 5 * LINE_HEIGHT) + PADDING
    map_width, map_height = recording.width * tile, recording.height * tile
    rows = max(1, (map_height + PADDING) // card_height)
    columns = math.ceil(recording.agents / rows)
    rows = math.ceil(recording.agents / columns)
    cards = tuple(
        (PADDING + map_width + PADDING + (i // rows) * card_width, HEADER_HEIGHT + (i % rows) * card_height)
        for i in range(recording.agents)
    )
    width = PADDING + map_width + PADDING + columns * card_width
    height = (
        HEADER_HEIGHT
        + max(map_height + PADDING, rows * card_height)
        + (FOOTER_HEIGHT if recording.most_influence else 0)
    )
    # Video codecs refuse odd sizes.
    return _Layout(width + width % 2, height + height % 2, view_width, cards)


def _view_scale(recording, agent):
    """Whole pixels a view's pixel becomes, so that it stays crisp."""
    return max(1, VIEW_SIZE // max(recording.views[agent].shape[1:3]))


def _agent_boxes(recording, t, tile):
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


def _draw_label(box, text, at, color):
    """Write a short text at (x, y) of a unit box into the pixels `box`, in the ink that suits `color`."""
    from PIL import Image, ImageDraw

    size = len(box)
    if size < 14:
        return
    image = Image.fromarray(np.ascontiguousarray(box))
    pen = ImageDraw.Draw(image)
    font = _font(max(8, round(size * (0.44 if len(text) == 1 else 0.34))))
    pen.text((at[0] * size, at[1] * size), text, colors.text_color_on(color), font, anchor="mm")
    box[:] = np.asarray(image)


@functools.lru_cache(64)
def _font(size):
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _truncate_text(pen, text, room, size):
    """One printable line no wider than `room` pixels."""
    text = "".join(c if c.isprintable() else " " for c in text[:100])
    if pen.textlength(text, _font(size)) <= room:
        return text
    while text and pen.textlength(text + "…", _font(size)) > room:
        text = text[:-1]
    return text + "…"
