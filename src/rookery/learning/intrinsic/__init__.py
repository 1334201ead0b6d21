"""Rewards an agent gives itself beside what the world pays, one file each.

A new one needs a frozen dataclass based on `base.Intrinsic`, with a `kind` and `reward`, and a place in the union
below. What it may know of other agents it names in `sees`; it is handed that and nothing more.
"""

from rookery.learning.intrinsic.base import WHAT
from rookery.learning.intrinsic.centralised import CentralisedInfluence
from rookery.learning.intrinsic.inequity import InequityAversion
from rookery.learning.intrinsic.messages import MessageInfluence
from rookery.learning.intrinsic.moa import ModelledInfluence
from rookery.learning.intrinsic.prosocial import Prosocial

IntrinsicConfig = CentralisedInfluence | MessageInfluence | ModelledInfluence | Prosocial | InequityAversion

__all__ = [
    "WHAT",
    "CentralisedInfluence",
    "InequityAversion",
    "IntrinsicConfig",
    "MessageInfluence",
    "ModelledInfluence",
    "Prosocial",
]
