"""JAX's backend: what starts it, and what is said where it cannot start."""

from __future__ import annotations

from typing import Any

from rookery.errors import backend_error, explain_failure


def jax_devices() -> list[Any]:
    """The devices of JAX's backend, which this starts.

    Raises: ConfigError that names JAX_PLATFORMS and what to do if it cannot start; OutOfMemoryError.
    """
    import jax  # here, as `rookery.training.devices` sets flags that JAX reads when it starts

    try:
        return jax.devices()
    except Exception as error:  # whatever JAX and its plug-ins raise for a device that is not there
        raise explain_failure(error) or backend_error(error) from error


def cpu_devices() -> list[Any]:
    """JAX's CPU devices; none if JAX_PLATFORMS names other platforms alone. Raises: as `jax_devices`."""
    import jax

    jax_devices()
    try:
        return jax.devices("cpu")
    except RuntimeError:
        return []
