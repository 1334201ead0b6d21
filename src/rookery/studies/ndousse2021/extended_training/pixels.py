"""Pixels: after 3.2 million steps one seed of five followed with the loss, and none without."""

from rookery.studies.ndousse2021 import paper_gap
from rookery.studies.ndousse2021.extended_training import extended_study

STUDY = extended_study("pixels", "pixels", paper_gap.PIXELS_RUN, ("next-frame", "vanilla"), paper_gap.PIXELS_CONDITION)
