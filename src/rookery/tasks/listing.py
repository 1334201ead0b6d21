"""The list of all tasks, for the command line: quick, because it imports the tasks only if other packages add some."""

from __future__ import annotations

from importlib import metadata

from rookery.tasks.descriptions import DESCRIPTIONS


def describe_all() -> dict[str, str]:
    """Every task id and its line, including tasks of other packages (only these make it import JAX)."""
    if not metadata.entry_points(group="rookery.tasks"):
        return dict(DESCRIPTIONS)
    from rookery.tasks import registry

    return {task_id: registry.describe(task_id) for task_id in registry.task_ids()}
