"""Types of configuration fields that hold a learner, auxiliary losses or intrinsic rewards: any registered class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, TypeAlias, cast

from rookery.errors import ConfigError
from rookery.interfaces import AuxiliaryLoss, IntrinsicReward
from rookery.limits import check_types
from rookery.plugins import AUXILIARY_LOSSES, INTRINSIC_REWARDS, LEARNERS
from rookery.storage.serialization import OneOf

AuxiliaryLossConfig: TypeAlias = Annotated[Any, OneOf(AUXILIARY_LOSSES.classes)]
IntrinsicRewardConfig: TypeAlias = Annotated[Any, OneOf(INTRINSIC_REWARDS.classes)]
LearnerConfig: TypeAlias = Annotated[Any, OneOf(LEARNERS.classes)]


def check_losses(auxiliary: object, intrinsic: object = ()) -> None:
    """Raises ConfigError if a learner's auxiliary losses or intrinsic rewards are not tuples of such, or if two have
    the same kind: their parameters and metrics are named by it."""
    check_types("auxiliary", auxiliary, AuxiliaryLoss, "an auxiliary loss")
    check_types("intrinsic", intrinsic, IntrinsicReward, "an intrinsic reward")
    for noun, configs in (("auxiliary losses", auxiliary), ("intrinsic rewards", intrinsic)):
        kinds = [config.kind for config in cast("tuple[Any, ...]", configs)]
        if len(set(kinds)) != len(kinds):
            raise ConfigError(f"{noun} {kinds} must differ from each other; give each kind once")


def check_range(
    config: Any,
    fields: Iterable[str],
    low: float = 0.0,
    high: float = float("inf"),
    *,
    exclude_low: bool = False,
    exclude_high: bool = False,
    name: str = "",
) -> None:
    """Raises ConfigError for numbers outside the range; the message opens with `name`. None is in every range."""
    prefix = f"{name}: " if name else ""
    for field in fields:
        value = getattr(config, field)
        if value is None:
            continue
        too_low = value <= low if exclude_low else value < low
        too_high = value >= high if exclude_high else value > high
        if too_low or too_high or value != value:
            if high == float("inf"):
                raise ConfigError(f"{prefix}{field}={value} must be {'above' if exclude_low else 'at least'} {low:g}")
            left, right = "(" if exclude_low else "[", ")" if exclude_high else "]"
            raise ConfigError(f"{prefix}{field}={value} must lie in {left}{low:g}, {high:g}{right}")
