"""The colors of all pictures, replays and curves. RGB, 0 to 255."""

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

# Red to blue as in the environments, but also dark to light, so that brightness tells them apart without hue.
PRESTIGE_LOW_COLOR = (176, 22, 42)
PRESTIGE_HIGH_COLOR = (108, 184, 255)

UNSEEN_OVERLAY_COLOR = (8, 8, 11)  # drawn over a cell that is not visible
UNSEEN_BRIGHTNESS = 0.38  # brightness of a cell that the chosen agent does not see
UNSEEN_BY_ALL_BRIGHTNESS = 0.6  # of a cell that no agent sees, where the visible cells of all agents are shown

# Okabe and Ito 2008, colors that people with a common color blindness can tell apart; without black, which is for text.
OKABE_ITO = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (240, 228, 66),
)

INFLUENCE_COLOR = (255, 96, 214)  # arrows between agents; no tile, beam or agent has this color
NEGATIVE_INFLUENCE_COLOR = (255, 255, 255)  # influence below 0, which only one of the measures can be

# Tile kinds without a sprite; repeated if there are more kinds.
UNKNOWN_TILE_COLORS = ((0, 158, 115), (86, 180, 233), (204, 121, 167), (213, 94, 0), (0, 114, 178))


def tile_color(kind: int) -> tuple[int, int, int]:
    """The color of a tile kind, also of an unknown one."""
    known_colors = (FLOOR_COLOR, WALL_COLOR, GOAL_COLOR)
    if kind < len(known_colors):
        return known_colors[kind]
    return UNKNOWN_TILE_COLORS[(kind - len(known_colors)) % len(UNKNOWN_TILE_COLORS)]


def prestige_color(prestige: float) -> tuple[int, int, int]:
    """PRESTIGE_LOW_COLOR at 0 to PRESTIGE_HIGH_COLOR at 1."""
    low, high = np.array(PRESTIGE_LOW_COLOR), np.array(PRESTIGE_HIGH_COLOR)
    red, green, blue = np.rint(low + (high - low) * float(prestige)).astype(int)
    return int(red), int(green), int(blue)


def luminance(color: tuple[int, int, int]) -> float:
    """Relative luminance, 0 black to 1 white, as WCAG 2 defines it."""
    srgb = np.array(color) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def text_color_on(background: tuple[int, int, int]) -> tuple[int, int, int]:
    """Dark or light, whichever has more contrast with the background."""
    return INK_COLOR if luminance(background) > 0.18 else OUTLINE_COLOR


def agent_letter(agent: int) -> str:
    """The letter of an agent: A … Z, AA, AB, … Goals have numbers."""
    text = ""
    agent += 1
    while agent:
        agent, place = divmod(agent - 1, 26)
        text = chr(ord("A") + place) + text
    return text
