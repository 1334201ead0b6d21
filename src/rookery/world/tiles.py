"""Kinds of tile and their properties. A task may use any; the world knows nothing of what they pay."""

import numpy as np

FLOOR, OBSTACLE, GOAL = 0, 1, 2
KINDS = 3

PASSABLE = np.array([True, False, True])
TRANSPARENT = np.array([True, False, True])

COLOR = np.array([(0, 0, 0), (74, 65, 42), (255, 255, 0)], np.uint8)
UNSEEN_COLOR = np.array((35, 25, 30), np.uint8)
