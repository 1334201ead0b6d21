"""Pixels: after the walk's 3.2 million steps one seed of five watched with the loss, and none without."""

from rookery.studies.ndousse2021 import walk
from rookery.studies.ndousse2021.longer import longer

STUDY = longer("pixels", "pixels", walk.IN_PIXELS, ("next", "vanilla"), walk.SEES_PIXELS)
