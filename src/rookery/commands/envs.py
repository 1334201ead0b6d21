"""`rookery envs`: what tasks there are, and what one looks like."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from rookery.errors import ConfigError
from rookery.tasks import registry


def list_tasks() -> int:
    names = registry.names()
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {registry.describe(name)}")
    return 0


def show(name: str | None, png: Path | None = None) -> int:
    """Rules and source, the settings, what each agent sees, and a drawn layout, in text and to a file if named."""
    if name is None:
        raise ConfigError(f"name the task to show: {', '.join(registry.names())}")
    task = registry.make(name)
    env = registry.environment(task)
    print(f"{name}: {registry.describe(name)}\n")
    print((sys.modules[type(task).__module__].__doc__ or "").strip(), "\n")
    for field in dataclasses.fields(task):
        if field.name not in ("views", "map", "kind"):
            print(f"  {field.name:18} {getattr(task, field.name)}")
    for slot, view in enumerate(getattr(task, "views", ())):
        print(
            f"  agent {slot} sees      {view.kind} u8{list(view.shape)}: "
            f"{view.size}×{view.size} cells, offset {view.offset}"
        )
    from rookery.runs.scene import action_names

    print(f"  actions           {', '.join(action_names(env)[0][: env.actions])}")
    print(f"  counted           {', '.join(task.counts)}")
    print(f"\n{picture(task)}")
    if png is not None:
        from rookery.runs.record import still
        from rookery.show.film import write_png

        print(f"\n{write_png(still(env), png, views=False)}")
    return 0


def picture(task) -> str:
    """One drawn layout as text: # obstacle, 1-9 goals in their order, K keys without end, k key, D locked door,
    ^ > v < agents; ? a kind of tile that is a task's own. Tasks of other worlds draw their own."""
    import jax

    if hasattr(task, "picture"):
        env = registry.environment(task)
        return task.picture(jax.device_get(jax.jit(env.reset)(jax.random.PRNGKey(0), env.default_params())[0]))
    from rookery.world.tiles import MARKS

    layout: Any = jax.jit(task.layout)(jax.random.PRNGKey(0))
    tiles, position, heading, own = jax.device_get(layout)
    rows = [[MARKS.get(int(kind), "?") for kind in row] for row in tiles]
    goals: Any = getattr(own, "goals", ())
    for number, (row, col) in enumerate(goals):
        rows[row][col] = str(number + 1)
    for (row, col), way in zip(position, heading, strict=True):
        rows[row][col] = "^>v<"[way]
    return "\n".join(" ".join(row) for row in rows)
