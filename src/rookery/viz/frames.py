"""Still pictures of a recording: the map, or the map next to the view of each agent."""

import dataclasses
import functools
import math
from typing import Literal, TypeAlias

import numpy as np

from rookery.errors import ConfigError
from rookery.limits import check_whole_number, shortened
from rookery.viz import arrows, colors
from rookery.viz.recording import Recording
from rookery.viz.sprites import LABEL_POSITION, LABEL_POSITIONS, agent_image, rotate_point, sprite_of, tile_image

VisibleTo: TypeAlias = int | Literal["anyone"] | None
ANYONE: Literal["anyone"] = "anyone"

ROLE_LABELS = {
    "learning": "learning",
    "frozen": "trained",
    "scripted": "scripted",
    "random": "random",
    "person": "person",
}
"""Roles of a recording in words; the same in board.js."""

PADDING, HEADER_HEIGHT, LINE_HEIGHT, FOOTER_HEIGHT = 12, 30, 16, 26
TEXT_WIDTH, VIEW_SIZE = 132, 96
"""Pixels of the layout of `render_step`."""


def check_step(recording: Recording, t: int) -> int:
    """The step as an int. Raises ConfigError if the recording has no state t."""
    t = check_whole_number("t", t)
    if not 0 <= t <= recording.num_steps:
        raise ConfigError(f"t={t} is not a step of this recording; allowed: 0 to {recording.num_steps}")
    return t


def check_render_args(
    recording: Recording, t: int, tile_size: int, visible_to: VisibleTo
) -> tuple[int, int, VisibleTo]:
    """The arguments of `render_map` with whole numbers of any type as int. Raises: ConfigError as `render_map`."""
    t = check_step(recording, t)
    tile_size = check_whole_number("tile_size", tile_size)
    if tile_size < 1:
        raise ConfigError(f"tile_size={tile_size} must be at least 1 pixel")
    if visible_to is None or (isinstance(visible_to, str) and visible_to == ANYONE):
        return t, tile_size, visible_to
    if isinstance(visible_to, bool) or not hasattr(visible_to, "__index__"):
        raise ConfigError(f"visible_to={shortened(visible_to)} must be the number of an agent, {ANYONE!r} or None")
    agent = check_whole_number("visible_to", visible_to)
    if not 0 <= agent < len(recording.visible):
        allowed = f"agents 0 to {len(recording.visible) - 1}" if recording.visible else "no agent"
        raise ConfigError(f"visible_to={agent}: this recording has the visible cells of {allowed}")
    return t, tile_size, agent


def render_map(recording: Recording, t: int, tile_size: int = 24, visible_to: VisibleTo = None) -> np.ndarray:
    """The whole map in state t. uint8[H*tile_size, W*tile_size, 3].

    Agents are triangles that point along their heading, red to blue by prestige, with letters A, B, …; agents in the
    same cell are drawn next to each other in it. Goals have the number of their place in the order. Arrows are
    influence in the step before this state (arrows.py); the widest possible one is the largest of the recording.

    Args:
      t: 0 … T; T is the end of the episode.
      tile_size: pixels per cell, at least 1. Letters and numbers are drawn from 14 on.
      visible_to: an agent: cells that it does not see are dark; "anyone": cells that no agent sees are darker; None:
        all cells are bright.
    Raises: ConfigError for an argument out of range, or an agent whose visible cells were not recorded.
    """
    t, tile_size, visible_to = check_render_args(recording, t, tile_size, visible_to)
    kinds = recording.tiles[t]
    unique_kinds, index = np.unique(kinds, return_inverse=True)
    images = np.stack([tile_image(int(kind), tile_size) for kind in unique_kinds])
    picture = images[index.reshape(kinds.shape)]  # [H, W, tile_size, tile_size, 3], reordered below
    picture = picture.swapaxes(1, 2).reshape(recording.height * tile_size, recording.width * tile_size, 3)

    for k, (row, col) in enumerate(recording.goals):
        if kinds[row, col] > 1:  # a goal that the task has removed is floor again
            sprite = sprite_of(int(kinds[row, col]))
            box = picture[row * tile_size : (row + 1) * tile_size, col * tile_size : (col + 1) * tile_size]
            _draw_label(box, str(k + 1), (0.5, 0.5), sprite.label_background or sprite.background)

    boxes = _agent_boxes(recording, t, tile_size)
    for agent, (top, left, size) in boxes.items():
        color = colors.prestige_color(recording.prestige[t, agent])
        box = picture[top : top + size, left : left + size]
        role, heading = recording.roles[agent], int(recording.heading[t, agent])
        image = agent_image(role, heading, color, size)
        opacity = image[..., 3:].astype(np.uint16)
        box[:] = (image[..., :3] * opacity + box * (255 - opacity) + 127) // 255
        _draw_label(
            box, colors.agent_letter(agent), rotate_point(LABEL_POSITIONS.get(role, LABEL_POSITION), heading), color
        )
        if carried := recording.carried_tile(t, agent):  # in a corner, as a small tile
            side = max(1, round(size * 0.4))
            box[size - side :, size - side :] = tile_image(carried, side)

    if visible_to is not None and recording.visible:
        _darken_unseen(picture, recording, t, tile_size, visible_to)
    centers = {agent: (left + size / 2, top + size / 2) for agent, (top, left, size) in boxes.items()}
    arrows.draw_arrows(picture, recording, t, centers, tile_size)
    return picture


def _darken_unseen(picture, recording, t, tile_size, visible_to):
    if visible_to == ANYONE:
        visible = np.any([cells[t] for cells in recording.visible], axis=0)
        brightness = colors.UNSEEN_BY_ALL_BRIGHTNESS
    else:
        visible, brightness = recording.visible[visible_to][t], colors.UNSEEN_BRIGHTNESS
    dark = ~np.kron(visible, np.ones((tile_size, tile_size), bool))
    overlay = np.array(colors.UNSEEN_OVERLAY_COLOR) * (1 - brightness)
    picture[dark] = np.rint(picture[dark] * brightness + overlay).astype(np.uint8)


def num_step_pixels(recording: Recording, tile_size: int) -> int:
    """How many pixels a picture of `render_step` has."""
    layout = _layout(recording, tile_size)
    return layout.width * layout.height


def render_step(recording: Recording, t: int, tile_size: int = 24, visible_to: VisibleTo = ANYONE) -> np.ndarray:
    """The map next to each agent's view, with its name, return and last reward, and the step.

    If influence was recorded, a line below says what the widest arrow means.

    Returns: uint8[height, width, 3]; the same even height and width for every t of a recording.
    Raises: ConfigError as `render_map`.
    """
    from PIL import Image, ImageDraw

    t, tile_size, visible_to = check_render_args(recording, t, tile_size, visible_to)
    layout = _layout(recording, tile_size)
    image = Image.new("RGB", (layout.width, layout.height), colors.BACKGROUND_COLOR)
    image.paste(Image.fromarray(render_map(recording, t, tile_size, visible_to)), (PADDING, HEADER_HEIGHT))
    pen = ImageDraw.Draw(image)
    pen.text((PADDING, 8), f"step {t} / {recording.num_steps}", colors.TEXT_COLOR, _font(14))
    offset = PADDING + pen.textlength(f"step {recording.num_steps} / {recording.num_steps}", _font(14)) + PADDING
    max_width = layout.width - offset - PADDING
    pen.text((offset, 8), _truncate_text(pen, recording.task, max_width, 14), colors.FAINT_TEXT_COLOR, _font(14))

    for agent, (x, y) in enumerate(layout.cards):
        view = recording.views[agent][t]
        scale = _view_scale(recording, agent)
        image.paste(Image.fromarray(view.repeat(scale, 0).repeat(scale, 1)), (x, y))
        for i, (text, size, color) in enumerate(_card_lines(recording, t, agent)):
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


def _card_lines(recording, t, agent):
    """The lines next to an agent's view: (text, font size, color)."""
    is_present = bool(recording.agent_mask[t, agent])
    lines = [
        (f"{colors.agent_letter(agent)}  {recording.agent_names[agent]}", 13, colors.TEXT_COLOR),
        (ROLE_LABELS[recording.roles[agent]] if is_present else "absent", 12, colors.FAINT_TEXT_COLOR),
        (f"return {recording.returns()[t, agent]:.4g}", 12, colors.TEXT_COLOR),
    ]
    if t:
        reward = recording.reward[t - 1, agent]
        lines.append((f"reward {reward:+.3g}" if reward else "reward 0", 12, colors.TEXT_COLOR))
        if recording.agent_mask[t - 1, agent]:
            action = recording.action_names[recording.action[t - 1, agent]]
            lines.append((f"action {action}", 12, colors.FAINT_TEXT_COLOR))
    return lines


@dataclasses.dataclass(frozen=True)
class _Layout:
    """Positions in `render_step`, in pixels; the same for all states of a recording."""

    width: int
    height: int
    view_width: int
    cards: tuple[tuple[int, int], ...]  # [A], (x, y) of each view


def _layout(recording, tile_size):
    """As few columns of views as fit next to the map."""
    scales = [_view_scale(recording, i) for i in range(recording.num_agents)]
    view_width = max(v.shape[2] * s for v, s in zip(recording.views, scales, strict=True))
    view_height = max(v.shape[1] * s for v, s in zip(recording.views, scales, strict=True))
    card_width, card_height = view_width + 10 + TEXT_WIDTH + PADDING, max(view_height, 5 * LINE_HEIGHT) + PADDING
    map_width, map_height = recording.width * tile_size, recording.height * tile_size
    rows = max(1, (map_height + PADDING) // card_height)
    columns = math.ceil(recording.num_agents / rows)
    rows = math.ceil(recording.num_agents / columns)
    cards = tuple(
        (PADDING + map_width + PADDING + (i // rows) * card_width, HEADER_HEIGHT + (i % rows) * card_height)
        for i in range(recording.num_agents)
    )
    width = PADDING + map_width + PADDING + columns * card_width
    height = (
        HEADER_HEIGHT
        + max(map_height + PADDING, rows * card_height)
        + (FOOTER_HEIGHT if recording.max_influence else 0)
    )
    # Video codecs need even sizes.
    return _Layout(width + width % 2, height + height % 2, view_width, cards)


def _view_scale(recording, agent):
    """Factor by which a view is enlarged; an integer, so that its pixels stay sharp."""
    return max(1, VIEW_SIZE // max(recording.views[agent].shape[1:3]))


def _agent_boxes(recording, t, tile_size):
    """The square in which each present agent is drawn: {agent: (top, left, size)}, in pixels."""
    cells = {}
    for agent in np.flatnonzero(recording.agent_mask[t]):
        row, col = recording.position[t, agent]
        cells.setdefault((int(row), int(col)), []).append(int(agent))
    boxes = {}
    for (row, col), agents in cells.items():
        side = math.ceil(math.sqrt(len(agents)))
        size = max(1, tile_size // side)
        for i, agent in enumerate(agents):
            down, right = min(i // side * size, tile_size - size), min(i % side * size, tile_size - size)
            boxes[agent] = (row * tile_size + down, col * tile_size + right, size)
    return boxes


def _draw_label(box, text, at, color):
    """Write a short text at (x, y) of a unit box into the pixels `box`, dark or light depending on `color`."""
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


def _truncate_text(pen, text, max_width, size):
    """One printable line no wider than `max_width` pixels."""
    text = "".join(c if c.isprintable() else " " for c in text[:100])
    if pen.textlength(text, _font(size)) <= max_width:
        return text
    while text and pen.textlength(text + "…", _font(size)) > max_width:
        text = text[:-1]
    return text + "…"
