"""The colours of every picture, film and curve, in one place. RGB, 0 to 255."""

import numpy as np

FLOOR = (36, 38, 45)
GRID = (50, 53, 62)  # the hairline between cells
WALL = (126, 131, 142)
GOAL = (242, 201, 59)
INK = (20, 21, 25)  # text on light colours
OUTLINE = (244, 244, 240)
BACKGROUND = (22, 23, 27)
TEXT = (232, 233, 236)
FAINT = (160, 164, 174)

# Red to blue as in the environments, but dark to light as well: who cannot tell the hues sees the shade.
PRESTIGE_LOW = (176, 22, 42)
PRESTIGE_HIGH = (108, 184, 255)

NIGHT = (8, 8, 11)  # what lies over a cell out of sight
DIM = 0.38  # how much is left of such a cell
GLIMMER = 0.6  # and of one that nobody at all sees, where the sight of all is shown

# Okabe and Ito 2008, eight colours that stay apart under every common colour blindness; black is for text.
OKABE_ITO = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
    (240, 228, 66),
)

INFLUENCE = (255, 96, 214)  # arrows between agents: no tile, beam or agent has it
AGAINST = (255, 255, 255)  # where it is below 0, which only one of its measures can be

# Tile kinds from 3 on belong to the tasks (apples, river, boxes): each a colour, repeated when they run out.
OTHER_TILES = ((0, 158, 115), (86, 180, 233), (204, 121, 167), (213, 94, 0), (0, 114, 178))


def tile_colour(kind: int) -> tuple[int, int, int]:
    """The colour of a tile kind, known or not."""
    known = (FLOOR, WALL, GOAL)
    return known[kind] if kind < len(known) else OTHER_TILES[(kind - len(known)) % len(OTHER_TILES)]


def prestige_colour(prestige: float) -> tuple[int, int, int]:
    """From PRESTIGE_LOW at 0 to PRESTIGE_HIGH at 1."""
    low, high = np.array(PRESTIGE_LOW), np.array(PRESTIGE_HIGH)
    red, green, blue = np.rint(low + (high - low) * float(prestige)).astype(int)
    return int(red), int(green), int(blue)


def luminance(colour: tuple[int, int, int]) -> float:
    """Relative luminance, 0 black to 1 white, as WCAG 2 defines it."""
    share = np.array(colour) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def ink_on(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """Dark or light, whichever reads better on `colour`."""
    return INK if luminance(colour) > 0.18 else OUTLINE


def mark(agent: int) -> str:
    """The letter that tells an agent from the rest: A … Z, AA, AB. Goals have the numbers."""
    text = ""
    agent += 1
    while agent:
        agent, place = divmod(agent - 1, 26)
        text = chr(ord("A") + place) + text
    return text
