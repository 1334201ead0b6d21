"""`rookery envs`: what tasks there are, and what one looks like."""

from __future__ import annotations

import dataclasses
import sys

from rookery.errors import ConfigError
from rookery.tasks import registry


def list_tasks() -> int:
    width = max(map(len, registry.TASKS))
    for name, (line, _) in registry.TASKS.items():
        print(f"{name:{width}}  {line}")
    return 0


def show(name: str | None) -> int:
    """Rules and source, the settings, what each agent sees, and a drawn layout."""
    if name is None:
        raise ConfigError(f"name the task to show: {', '.join(registry.TASKS)}")
    task = registry.make(name)
    print(f"{name}: {registry.describe(name)}\n")
    print((sys.modules[type(task).__module__].__doc__ or "").strip(), "\n")
    for field in dataclasses.fields(task):
        if field.name not in ("views", "map", "kind"):
            print(f"  {field.name:18} {getattr(task, field.name)}")
    for slot, view in enumerate(task.views):
        print(
            f"  agent {slot} sees      {view.kind} u8{list(view.shape)}: "
            f"{view.size}×{view.size} cells, offset {view.offset}"
        )
    print(f"\n{picture(task)}")
    return 0


def picture(task) -> str:
    """One drawn layout as text: # obstacle, 1-9 goals in cyclic order, ^ > v < agents."""
    import jax

    from rookery.world.tiles import OBSTACLE

    tiles, position, heading, own = jax.device_get(jax.jit(task.layout)(jax.random.PRNGKey(0)))
    rows = [["#" if kind == OBSTACLE else "." for kind in row] for row in tiles]
    for number, (row, col) in enumerate(own.goals):
        rows[row][col] = str(number + 1)
    for (row, col), way in zip(position, heading, strict=True):
        rows[row][col] = "^>v<"[way]
    return "\n".join(" ".join(row) for row in rows)
