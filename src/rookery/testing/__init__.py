"""Conformance checks for extensions, and comparison with recordings of reference environments.

`check_task(task)`, `check_network(network)`, `check_auxiliary_loss(loss)`, `check_intrinsic_reward(reward)`,
`check_learner(learner)` and `check_tracker(cls)` raise ConformanceError, which names the method and what is wrong with
it. On the command line, `python -m rookery.testing trace FILE.npz ...` compares recorded episodes with the tasks of
this package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rookery.testing.conformance import ConformanceError
    from rookery.testing.learning_checks import check_auxiliary_loss, check_intrinsic_reward, check_learner
    from rookery.testing.network_checks import check_network
    from rookery.testing.task_checks import check_task
    from rookery.testing.tracker_checks import check_tracker

_MODULES = {
    "ConformanceError": "conformance",
    "check_auxiliary_loss": "learning_checks",
    "check_intrinsic_reward": "learning_checks",
    "check_learner": "learning_checks",
    "check_network": "network_checks",
    "check_task": "task_checks",
    "check_tracker": "tracker_checks",
}

__all__ = [
    "ConformanceError",
    "check_auxiliary_loss",
    "check_intrinsic_reward",
    "check_learner",
    "check_network",
    "check_task",
    "check_tracker",
]


def __getattr__(name: str) -> Any:
    """Import a check when it is first used: each needs other parts of the package."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
