"""In what a run differs from the published experiment."""

from __future__ import annotations

from rookery.storage.serialization import to_dict
from rookery.training.config import RunConfig
from rookery.training.presets import paper

IGNORED_SETTINGS = ("name", "variants", "seed", "num_seeds", "checkpoint_interval", "max_checkpoints", "eval_episodes")
"""Settings that change no number of the experiment, or are the study's own."""


def config_diff(config: RunConfig, published: RunConfig | None = None) -> list[dict]:
    """Everything in which a run differs from a published one: {'setting', 'paper', 'here'} each.

    `published`: default Ndousse et al.'s.
    """
    ours, theirs = (
        _flat({k: v for k, v in to_dict(c).items() if k not in IGNORED_SETTINGS})
        for c in (config, published or paper())
    )
    return [
        {"setting": name, "paper": theirs.get(name, "not there"), "here": ours.get(name, "not there")}
        for name in [*ours, *(n for n in theirs if n not in ours)]
        if ours.get(name, "not there") != theirs.get(name, "not there")
    ]


def _flat(data, prefix: str = "") -> dict:
    """Nested settings as dotted names; schedules stay whole."""
    if isinstance(data, dict):
        return {k: v for name, item in data.items() for k, v in _flat(item, f"{prefix}{name}.").items()}
    if isinstance(data, list) and data and isinstance(data[0], dict):
        return {
            k: v
            for i, item in enumerate(data)
            for k, v in _flat(item, f"{prefix}{item.get('name', item.get('kind', i))}.").items()
        }
    return {prefix[:-1]: data}
