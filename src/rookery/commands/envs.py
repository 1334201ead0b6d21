"""`rookery envs`: the tasks, and what one of them looks like."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional

from rookery.commands.lists import list_tasks
from rookery.commands.options import Json, optional
from rookery.commands.output import print_json
from rookery.errors import ConfigError


@dataclasses.dataclass
class EnvsCommand:
    """List the tasks, or show one: its rules, source, size and what each agent sees."""

    action: Positional[Literal["list", "show"]] = "list"
    """list: one line per task. show: one task in full."""
    task: Annotated[Positional[str | None], optional("ID", "none")] = None
    """Id of the task to show."""
    png: Annotated[Path | None, optional("FILE", "no picture")] = None
    """Write a picture of the task to this file."""
    json: Json = False

    def __call__(self) -> int:
        if self.action == "list" and self.task is None and self.png is None:
            return list_tasks(self.json)
        return show_task(self.task, self.png, self.json)


def show_task(task_id: str | None, png: Path | None = None, as_json: bool = False) -> int:
    """Rules and source, the settings, what each agent sees, and a layout as text and, if asked for, as a picture."""
    from rookery.tasks import registry

    if task_id is None:
        raise ConfigError(f"name the task to show: {', '.join(registry.task_ids())}")
    task = registry.get_task(task_id)
    if png is not None:
        from rookery.storage.atomic import check_writable

        check_writable(png, follow_link=True)
    env = registry.make_env(task)
    if as_json:
        print_json(_task_facts(task_id, task, env))
    else:
        print(f"{task_id}: {registry.describe(task_id)}\n")
        print(_rules(task), "\n")
        for field in dataclasses.fields(task):
            if field.name not in ("views", "map", "kind"):
                print(f"  {field.name:20} {getattr(task, field.name)}")
        for slot in range(env.num_agents):
            print(f"  agent {slot} observes     {_observation(task, env, slot)}")
        print(f"  actions              {', '.join(env.action_names)}")
        print(f"  metrics              {', '.join(task.metric_names)}")
        print(f"\n{ascii_layout(task)}")
    if png is not None:
        from rookery.viz.record_episode import record_initial_state
        from rookery.viz.video import write_png

        path = write_png(record_initial_state(env), png, show_views=False)
        print(f"\n{path}", file=sys.stderr if as_json else sys.stdout)
    return 0


def _observation(task: Any, env: Any, slot: int) -> str:
    shape = f"u8{list(env.observation_shape(slot))}"
    if not task.views:
        return shape
    view = task.views[slot]
    size = f"{view.size}×{view.size} cells, rows behind the agent: {view.rows_behind}"
    return f"{view.observation_type} {shape}: {size}"


def _rules(task: Any) -> str:
    return (sys.modules[type(task).__module__].__doc__ or "").strip()


def _task_facts(task_id: str, task: Any, env: Any) -> dict[str, Any]:
    from rookery.storage.serialization import to_dict
    from rookery.tasks import registry

    return {
        "task": task_id,
        "description": registry.describe(task_id),
        "rules": _rules(task),
        "settings": to_dict(task),
        "observation_shapes": [list(env.observation_shape(slot)) for slot in range(env.num_agents)],
        "actions": list(env.action_names),
        "metrics": list(task.metric_names),
        "layout": ascii_layout(task),
    }


def ascii_layout(task: Any) -> str:
    """One generated layout as text, in the task's own characters (`Task.to_text`)."""
    import jax

    from rookery.tasks import registry
    from rookery.tasks.checks import start_backend

    env = registry.make_env(task)
    start_backend()
    return task.to_text(jax.device_get(jax.jit(env.reset)(jax.random.PRNGKey(0), env.default_params())[0]))
