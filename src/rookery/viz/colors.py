"""The colors of every picture, film and curve, in one place. RGB, 0 to 255."""

import numpy as np

FLOOR_COLOR = (36, 38, 45)
GRID_COLOR = (50, 53, 62)  # the hairline between cells
WALL_COLOR = (126, 131, 142)
GOAL_COLOR = (242, 201, 59)
INK_COLOR = (20, 21, 25)  # text on light colors
OUTLINE_COLOR = (244, 244, 240)
BACKGROUND_COLOR = (22, 23, 27)
TEXT_COLOR = (232, 233, 236)
FAINT_TEXT_COLOR = (160, 164, 174)

# Red to blue as in the environments, but dark to light as well: who cannot tell the hues sees the shade.
PRESTIGE_LOW_COLOR = (176, 22, 42)
PRESTIGE_HIGH_COLOR = (108, 184, 255)

UNSEEN_OVERLAY_COLOR = (8, 8, 11)  # what lies over a cell out of sight
UNSEEN_BRIGHTNESS = 0.38  # how much is left of such a cell
UNSEEN_BY_ALL_BRIGHTNESS = 0.6  # and of one that nobody at all sees, where the sight of all is shown

# Okabe and Ito 2008, eight colors that stay apart under every common color blindness; black is for text.
OKABE_ITO = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (240, 228, 66),
)

INFLUENCE_COLOR = (255, 96, 214)  # arrows between agents: no tile, beam or agent has it
NEGATIVE_INFLUENCE_COLOR = (255, 255, 255)  # where it is below 0, which only one of its measures can be

# Tile kinds from 3 on belong to the tasks (apples, river, boxes): each a color, repeated when they run out.
UNKNOWN_TILE_COLORS = ((0, 158, 115), (86, 180, 233), (204, 121, 167), (213, 94, 0), (0, 114, 178))


def tile_color(kind: int) -> tuple[int, int, int]:
    """The color of a tile kind, known or not."""
    known = (FLOOR_COLOR, WALL_COLOR, GOAL_COLOR)
    return known[kind] if kind < len(known) else UNKNOWN_TILE_COLORS[(kind - len(known)) % len(UNKNOWN_TILE_COLORS)]


def prestige_color(prestige: float) -> tuple[int, int, int]:
    """From PRESTIGE_LOW at 0 to PRESTIGE_HIGH at 1."""
    low, high = np.array(PRESTIGE_LOW_COLOR), np.array(PRESTIGE_HIGH_COLOR)
    red, green, blue = np.rint(low + (high - low) * float(prestige)).astype(int)
    return int(red), int(green), int(blue)


def luminance(color: tuple[int, int, int]) -> float:
    """Relative luminance, 0 black to 1 white, as WCAG 2 defines it."""
    share = np.array(color) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def text_color_on(background: tuple[int, int, int]) -> tuple[int, int, int]:
    """Dark or light, whichever reads better on `color`."""
    return INK_COLOR if luminance(background) > 0.18 else OUTLINE_COLOR


def agent_letter(agent: int) -> str:
    """The letter that tells an agent from the rest: A … Z, AA, AB. Goals have the numbers."""
    text = ""
    agent += 1
    while agent:
        agent, place = divmod(agent - 1, 26)
        text = chr(ord("A") + place) + text
    return text
