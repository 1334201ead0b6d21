"""The base class of everything that can be added: network, auxiliary loss, intrinsic reward, learner, task.

A new one is a frozen dataclass derived from one of these, with a field `kind: Literal["..."] = "..."`, registered in
`rookery.plugins` (or by an entry point of the group named there). Every method has a default that does nothing unless it
says "required". `rookery.testing` has a conformance check for each.

Letters in shapes: A agents or actions, E episodes, T steps of an episode, N sequences or agents of a batch, L steps of a
sequence, F features, M memory outputs, H×W cells.
"""

from __future__ import annotations
