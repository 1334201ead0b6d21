"""Intrinsic rewards, one file each: what an agent gives itself in addition to the environment's reward.

`rookery.interfaces.IntrinsicReward` is their base class. Of the other agents a reward is given what it names in
`required_info`, and nothing else.
"""

from rookery.learning.intrinsic.centralized import CentralizedInfluence
from rookery.learning.intrinsic.inequity import InequityAversion
from rookery.learning.intrinsic.message_influence import MessageInfluence
from rookery.learning.intrinsic.moa import MOAInfluence
from rookery.learning.intrinsic.prosocial import Prosocial

__all__ = ["CentralizedInfluence", "InequityAversion", "MOAInfluence", "MessageInfluence", "Prosocial"]
