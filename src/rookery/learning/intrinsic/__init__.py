"""Rewards an agent gives itself beside what the world pays, one file each.

A new one needs a frozen dataclass based on `base.Intrinsic`, with a `kind` and `reward`, and a place in the union
below. What it may know of other agents it names in `sees`; it is handed that and nothing more.
"""

from rookery.learning.intrinsic.base import REQUESTABLE_INFO
from rookery.learning.intrinsic.centralized import CentralizedInfluence
from rookery.learning.intrinsic.inequity import InequityAversion
from rookery.learning.intrinsic.message_influence import MessageInfluence
from rookery.learning.intrinsic.moa import MOAInfluence
from rookery.learning.intrinsic.prosocial import Prosocial

IntrinsicConfig = CentralizedInfluence | MessageInfluence | MOAInfluence | Prosocial | InequityAversion

__all__ = [
    "REQUESTABLE_INFO",
    "CentralizedInfluence",
    "InequityAversion",
    "IntrinsicConfig",
    "MOAInfluence",
    "MessageInfluence",
    "Prosocial",
]
