"""How much a learner sees of the agents that it learns from, as a run's schedules have it at their start and end."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from rookery.gridworld.presence import mean_presence
from rookery.tasks.grid_task import GridTask
from rookery.training.config import RunConfig
from rookery.training.schedules import schedule_points


def fraction_seen(run: RunConfig, slots: Sequence[int], point: Literal[0, -1]) -> float:
    """Mean fraction of all steps at which the agents in some slots are there to be seen, in the run's first variant.

    It is the product of the probability of an episode with the whole team, of their presence within it, where they are
    in the task's `dropout_slots`, and of their visibility, where they are in its `fading_slots`.

    Args:
      point: of every schedule; 0 the first, -1 the last.
    """
    (variant, *_), task = run.variants, run.task
    prob = run.social_episode_prob if variant.social_episode_prob is None else variant.social_episode_prob
    schedules = {"social_episode_prob": prob, **run.env_schedules, **(variant.env_schedules or {})}
    scheduled = {name: schedule_points(schedule)[point][1] for name, schedule in schedules.items()}
    settings = {field.name: getattr(task, field.name) for field in dataclasses.fields(task)} | scheduled
    in_episode = [_presence(task, settings, slot, run.max_steps) * _visibility(settings, slot) for slot in slots]
    return scheduled["social_episode_prob"] * sum(in_episode) / len(in_episode)


def _presence(task: Any, settings: dict[str, Any], slot: int, num_steps: int) -> float:
    if slot not in task.dropout_slots or not isinstance(task, GridTask):
        return 1.0
    # Schedules are compared with what the task allows only where a run is made of them.
    leave_prob, return_prob = (min(max(settings[name], 0.0), 1.0) for name in ("leave_prob", "return_prob"))
    return mean_presence(leave_prob, return_prob, settings["leave_step"], settings["return_step"], num_steps)


def _visibility(settings: dict[str, Any], slot: int) -> float:
    if slot not in settings.get("fading_slots", ()):
        return 1.0
    # What is gone grows evenly from none in the first trial to `fade` in the last one.
    gone = settings.get("fade", 0.0) / 2 if settings.get("num_trials", 1) > 1 else 0.0
    return settings.get("visibility", 1.0) * (1 - gone)
