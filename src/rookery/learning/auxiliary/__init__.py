"""Auxiliary losses, which a learner adds to its own. `rookery.interfaces.AuxiliaryLoss` is their base class."""

from rookery.learning.auxiliary.attention import AttentionLoss
from rookery.learning.auxiliary.frame_prediction import NextFramePrediction, Reconstruction

__all__ = ["AttentionLoss", "NextFramePrediction", "Reconstruction"]
