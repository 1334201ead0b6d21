"""The runs that studies train, shared between studies by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

from rookery.errors import ConfigError
from rookery.training.config import RunConfig

Budget = Literal["smoke", "desk", "paper"]
BUDGETS: tuple[Budget, ...] = ("smoke", "desk", "paper")
"""smoke: minutes at most on a free machine, and no claims are judged. desk: one desktop computer. paper: the published
hyperparameters."""

EVAL_EPISODES: dict[Budget, int] = {"smoke": 8, "desk": 1000, "paper": 1000}
"""Evaluation episodes of each agent, unless a user names another number."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """One compiled program: variants × seeds that train side by side."""

    name: str
    """Name of its folder; the same name is the same configuration in every study."""
    configure: Callable[[Budget], RunConfig]
    """The configuration at a budget; the session fills in the seeds."""
    init_from: TrainedSlot | None = None
    """Each seed's learner starts from the agent of this slot with the same seed."""
    max_seeds: int | None = None
    """The most seeds that it trains, where a study has more; None: all of the study's."""
    published_config: Callable[[], RunConfig] | None = None
    """The published run that the report compares settings with; None: that of Ndousse et al. 2021."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedSlot:
    """One slot of one variant of a run: one trained agent per seed."""

    run: TrainingRun
    variant: str
    group: str = "novice"
    slot: int = 0

    def check_slot(self, config: RunConfig) -> None:
        """Raises ConfigError unless the run, which has this configuration, trains such an agent."""
        variants = [variant.name for variant in config.variants]
        slots = {group.name: group.slots for group in config.team if group.learner is not None}
        if self.variant not in variants or self.slot not in slots.get(self.group, ()):
            groups = ", ".join(f"{name!r} in slots {list(of_group)}" for name, of_group in slots.items())
            raise ConfigError(
                f"run {self.run.name!r} trains no agent of variant {self.variant!r}, group {self.group!r}, slot "
                f"{self.slot}; its variants: {', '.join(map(repr, variants))}; its groups that learn: {groups}; set "
                "variant, group and slot to some of these"
            )
