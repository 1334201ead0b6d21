"""Ready-made configurations, each a place to start from: `rookery train PRESET key=value ...` changes any of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rookery.errors import NotFoundError, suggest
from rookery.limits import check_type
from rookery.storage.atomic import path_exists
from rookery.training.config import RunConfig
from rookery.training.presets.curricula import curriculum_presets, previous_commands
from rookery.training.presets.goal_cycle_presets import demo, expert_paper, lite, paper, smoke
from rookery.training.presets.social_dilemmas import SOCIAL_DILEMMA_PRESETS

_STAGES = curriculum_presets()

PRESETS: dict[str, Callable[[], RunConfig]] = {
    "demo": demo,
    **_STAGES,
    "expert-paper": expert_paper,
    "lite": lite,
    "paper": paper,
    "smoke": smoke,
    **SOCIAL_DILEMMA_PRESETS,
}
"""Every preset, by the name that `rookery train` takes."""


def preset(name: str) -> RunConfig:
    """A configuration by name. Raises NotFoundError with the nearest names, ConfigError for what is not a name."""
    check_type("preset", name, str, "the name of a preset, such as 'smoke'")
    if name not in PRESETS:
        raise NotFoundError(f"no preset {name!r}; {suggest(name, PRESETS)}")
    return PRESETS[name]()


def check_previous_stages(config: RunConfig) -> None:
    """Refuse a stage of a curriculum whose agent to start from is not in this folder.

    Raises: NotFoundError, with the command that makes the agent.
    """
    commands = previous_commands()
    for group in config.team:
        path = group.policy.init_from or ""
        if path in commands and not path_exists(Path(path)):
            raise NotFoundError(
                f"group {group.name!r} continues to train {path}, which is not in this folder; first run "
                f"{commands[path]!r} here, or give the agent as team.{config.team.index(group)}.policy.init_from=FILE"
            )
