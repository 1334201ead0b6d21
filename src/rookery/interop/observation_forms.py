"""The forms in which adapters return observations: the option `observation`, the same in all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rookery.errors import ConfigError, suggest

OBSERVATION_FORMS: tuple[str, ...] = ("array", "flat", "84x84")
"""As the task has it, u8; one vector, f32 from 0 to 1; an image of the size that networks made for Atari expect, u8."""


@dataclass(frozen=True)
class ArrayForm:
    """As the task has it: u8, from 0 to 255."""

    native_shape: tuple[int, ...]

    dtype: ClassVar[Any] = np.uint8
    high: ClassVar[int] = 255

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one observation."""
        return self.native_shape

    def __call__(self, observation: Any) -> Any:
        """Observations u8[..., *native_shape] of NumPy or JAX in this form, `dtype`[..., *shape]."""
        return observation


@dataclass(frozen=True)
class FlatForm(ArrayForm):
    """One vector: f32, multiplied by 1/255, so that 1 stands for 255.

    A product, because XLA replaces quotients by it, and the numbers are the same in all adapters.
    """

    dtype: ClassVar[Any] = np.float32
    high: ClassVar[int] = 1

    @property
    def shape(self) -> tuple[int, ...]:
        return (int(np.prod(self.native_shape)),)

    def __call__(self, observation: Any) -> Any:
        batch = observation.shape[: observation.ndim - len(self.native_shape)]
        return observation.reshape(*batch, -1).astype(np.float32) * np.float32(1 / 255)


@dataclass(frozen=True)
class EnlargedForm(ArrayForm):
    """An image of 84×84 pixels, u8: each is the nearest one of the smaller image."""

    @property
    def shape(self) -> tuple[int, ...]:
        return (84, 84, self.native_shape[2])

    def __call__(self, observation: Any) -> Any:
        height, width, _ = self.native_shape
        rows, columns = (np.arange(84) * side // 84 for side in (height, width))
        return observation[..., rows[:, None], columns, :]


def observation_form(name: str, native_shape: tuple[int, ...]) -> ArrayForm:
    """The form of this name for observations of this shape.

    Raises: ConfigError for an unknown name, or an observation that has not the three axes of an image.
    """
    if name == "array":
        return ArrayForm(native_shape)
    if name == "flat":
        return FlatForm(native_shape)
    if name != "84x84":
        raise ConfigError(f"observation={name!r} is not known; {suggest(name, OBSERVATION_FORMS)}")
    if len(native_shape) != 3:
        raise ConfigError(f"observation='84x84' needs an image [height, width, channels], not the shape {native_shape}")
    return EnlargedForm(native_shape)
