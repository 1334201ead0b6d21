"""Losses beside the policy's, one file each: configuration, parameters of its own head, a loss of one trajectory.

A new one needs a frozen dataclass with `kind`, `weight`, `init` and `loss` as in `frame.py`, and a place in
the union below.
"""

from rookery.learning.auxiliary.frame_prediction import NextFramePrediction, Reconstruction

AuxiliaryConfig = NextFramePrediction | Reconstruction

__all__ = ["AuxiliaryConfig", "NextFramePrediction", "Reconstruction"]
