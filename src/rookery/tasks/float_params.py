"""Parameters of a task that are settings of the same names."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import jax.numpy as jnp

_Params = TypeVar("_Params")


def float_params(params_class: type[_Params], settings: Any) -> _Params:
    """Parameters, all f32[], from the settings that have the names of the class's fields."""
    fields: Any = dataclasses.fields(params_class)  # type: ignore[arg-type]
    return params_class(**{field.name: jnp.float32(getattr(settings, field.name)) for field in fields})
