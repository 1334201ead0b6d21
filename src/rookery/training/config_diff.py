"""The settings in which a run differs from the published experiment."""

from __future__ import annotations

from typing import Any

from rookery.storage.serialization import to_dict
from rookery.training.config import RunConfig
from rookery.training.presets import preset

IGNORED_SETTINGS = (
    "name", "variants", "seed", "num_seeds", "checkpoint_interval", "max_checkpoints", "eval_episodes",
)  # fmt: skip
"""Settings that change no number of the experiment, or are the study's own."""

_ABSENT = "not there"


def config_diff(config: RunConfig, published: RunConfig | None = None) -> list[dict[str, Any]]:
    """Every setting in which a run differs from a published one: {'setting', 'paper', 'here'} each.

    Args:
      published: None: the experiment of Ndousse et al. 2021.
    """
    here, there = (
        _flatten({name: value for name, value in to_dict(c).items() if name not in IGNORED_SETTINGS})
        for c in (config, published or preset("paper"))
    )
    return [
        {"setting": name, "paper": there.get(name, _ABSENT), "here": here.get(name, _ABSENT)}
        for name in [*here, *(name for name in there if name not in here)]
        if here.get(name, _ABSENT) != there.get(name, _ABSENT)
    ]


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
