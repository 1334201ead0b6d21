"""`rookery envs`: what tasks there are, and what one looks like."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

from rookery.errors import ConfigError
from rookery.tasks import registry


def list_tasks() -> int:
    names = registry.task_ids()
    width = max(map(len, names))
    for name in names:
        print(f"{name:{width}}  {registry.describe(name)}")
    return 0


def show_task(name: str | None, png: Path | None = None) -> int:
    """Rules and source, the settings, what each agent sees, and a drawn layout, in text and to a file if named."""
    if name is None:
        raise ConfigError(f"name the task to show: {', '.join(registry.task_ids())}")
    task = registry.get_task(name)
    env = registry.make_env(task)
    print(f"{name}: {registry.describe(name)}\n")
    print((sys.modules[type(task).__module__].__doc__ or "").strip(), "\n")
    for field in dataclasses.fields(task):
        if field.name not in ("views", "map", "kind"):
            print(f"  {field.name:18} {getattr(task, field.name)}")
    for slot, view in enumerate(getattr(task, "views", ())):
        print(
            f"  agent {slot} sees      {view.observation_type} u8{list(view.shape)}: "
            f"{view.size}×{view.size} cells, offset {view.rows_behind}"
        )
    from rookery.viz.render_state import action_names

    print(f"  actions           {', '.join(action_names(env)[0][: env.num_actions])}")
    print(f"  counted           {', '.join(task.counts)}")
    print(f"\n{ascii_layout(task)}")
    if png is not None:
        from rookery.viz.record_episode import record_initial_state
        from rookery.viz.video import write_png

        print(f"\n{write_png(record_initial_state(env), png, show_views=False)}")
    return 0


def ascii_layout(task) -> str:
    """One drawn layout as text: # obstacle, 1-9 goals in their order, K keys without end, k key, D locked door,
    ^ > v < agents; ? a kind of tile that is a task's own. Tasks of other worlds draw their own."""
    import jax

    if hasattr(task, "picture"):
        env = registry.make_env(task)
        return task.to_text(jax.device_get(jax.jit(env.reset)(jax.random.PRNGKey(0), env.default_params())[0]))
    from rookery.gridworld.tiles import TILE_TO_CHAR

    layout: Any = jax.jit(task.generate)(jax.random.PRNGKey(0))
    tiles, position, heading, own = jax.device_get(layout)
    rows = [[TILE_TO_CHAR.get(int(kind), "?") for kind in row] for row in tiles]
    goals: Any = getattr(own, "goals", ())
    for number, (row, col) in enumerate(goals):
        rows[row][col] = str(number + 1)
    for (row, col), way in zip(position, heading, strict=True):
        rows[row][col] = "^>v<"[way]
    return "\n".join(" ".join(row) for row in rows)
