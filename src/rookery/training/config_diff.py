"""The settings in which a run differs from the published experiment."""

from __future__ import annotations

import dataclasses
from typing import Any

from rookery.storage.serialization import to_dict
from rookery.training.config import COMMON_HPARAMS, GroupConfig, RunConfig, Variant
from rookery.training.presets import preset

IGNORED_SETTINGS = (
    "name", "variants", "seed", "num_seeds", "checkpoint_interval", "max_checkpoints", "eval_episodes",
)  # fmt: skip
"""Settings that change no number of the experiment, or are the study's own."""

_ABSENT = "not there"
_NOVICE = "novice"
_PUBLISHED = {"task.num_obstacles": 18, "team.expert.learning_rate": 1e-5}
"""What the preset has in another form, or not: the obstacles of the published environment, which are 0.15 of its cells,
and experts that learn. Source: Ndousse et al. 2021, appendix 7.8, for the latter."""


def config_diff(config: RunConfig, published: RunConfig | None = None) -> list[dict[str, Any]]:
    """Every setting in which a run differs from a published one: {'setting', 'paper', 'here'} each.

    What a variant changes is compared as it is in that variant; where variants differ, 'here' has the value of each by
    name. Settings without effect are left out: those of agents that do not learn, which `rookery.studies.deviations`
    describes, and of hidden goals where no view can hide them.

    Args:
      published: compared with variant by variant where it has one of the same name. None: the experiment of Ndousse et
        al. 2021, whose experts learn with the novice's settings.
    """
    there = _settings(published or preset("paper"))
    of_published = (
        {} if published is None else {v.name: _settings(_in_variant(published, v)) for v in published.variants}
    )
    shown = {}
    if published is None:
        for group in config.team:
            if group.learner is not None and group.name != _NOVICE:
                there |= _learns_as_the_novice(group, there)
        shown = _PUBLISHED
    by_variant = [
        (variant.name, _settings(_in_variant(config, variant)), of_published.get(variant.name, there))
        for variant in config.variants
    ]
    rows = []
    for name in dict.fromkeys(name for _, *both in by_variant for settings in both for name in settings):
        here = {variant: settings.get(name, _ABSENT) for variant, settings, _ in by_variant}
        paper = {variant: settings.get(name, _ABSENT) for variant, _, settings in by_variant}
        if any(value not in (paper[variant], shown.get(name, paper[variant])) for variant, value in here.items()):
            rows.append({"setting": name, "paper": shown.get(name, _one(paper)), "here": _one(here)})
    return rows


def _learns_as_the_novice(group: GroupConfig, settings: dict[str, Any]) -> dict[str, Any]:
    """The novice's settings under the name of another group, with that group's own name and slots."""
    novice, own = f"team.{_NOVICE}.", f"team.{group.name}."
    copied = {name.replace(novice, own, 1): value for name, value in settings.items() if name.startswith(novice)}
    return copied | {f"{own}name": group.name, f"{own}slots": list(group.slots)}


def _one(by_variant: dict[str, Any]) -> Any:
    """The value of all variants, or that of each by name."""
    first, *others = by_variant.values()
    return by_variant if any(value != first for value in others) else first


def _in_variant(config: RunConfig, variant: Variant) -> RunConfig:
    """The run as it is in one of its variants."""

    def changed(group: GroupConfig) -> GroupConfig:
        if group.learner is None:
            return group
        scheduled = {name: variant.hparam_schedule(name) for name in (*COMMON_HPARAMS, *group.learner.hparams)}
        own = {name: schedule for name, schedule in scheduled.items() if schedule is not None}
        common = {name: own.pop(name) for name in COMMON_HPARAMS if name in own}
        return dataclasses.replace(group, **common, hparams={**group.hparams, **own})

    probability = variant.social_episode_prob
    return dataclasses.replace(
        config,
        team=tuple(map(changed, config.team)),
        env_schedules={**config.env_schedules, **(variant.env_schedules or {})},
        social_episode_prob=config.social_episode_prob if probability is None else probability,
    )


def _settings(config: RunConfig) -> dict[str, Any]:
    """The settings that have an effect, by their dotted names."""
    data = {name: value for name, value in to_dict(config).items() if name not in IGNORED_SETTINGS}
    settings = _flatten(data)
    for name, value in list(settings.items()):  # what never changes is a setting of the task
        setting = name.replace("env_schedules.", "task.", 1)
        if setting != name and setting in settings and not isinstance(value, list):
            settings[setting] = settings.pop(name)
    idle = [f"team.{group.name}." for group in config.team if group.learner is None]
    if not any(name.endswith(".can_hide_goals") and value for name, value in settings.items()):
        idle += ["task.goal_hiding_prob", "env_schedules.goal_hiding_prob"]
    return {name: value for name, value in settings.items() if not name.startswith(tuple(idle))}


def _flatten(data: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings by their dotted names; a schedule stays one value."""
    if isinstance(data, dict):
        return {k: v for name, item in data.items() for k, v in _flatten(item, f"{prefix}{name}.").items()}
    if isinstance(data, list) and data and isinstance(data[0], dict):
        # Items of one name, such as views of one type, are alike in every preset: the last stands for all.
        return {
            k: v for i, item in enumerate(data) for k, v in _flatten(item, f"{prefix}{_item_name(item, i)}.").items()
        }
    return {prefix[:-1]: data}


def _item_name(item: dict[str, Any], index: int) -> str | int:
    """What tells an item of a list from the others, where it has such a field."""
    return next((item[field] for field in ("name", "kind", "observation_type") if field in item), index)
