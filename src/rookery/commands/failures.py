"""Failures of the machine that reach a command as exceptions of JAX or Python, in one line each."""

from __future__ import annotations

import os

from rookery.errors import ConfigError, OutOfMemoryError, RookeryError

_MEMORY_WORDS = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")
_BACKEND_WORDS = ("Unable to initialize backend", "Unknown backend", "No visible", "no supported devices")


def explain_failure(error: Exception) -> RookeryError | None:
    """The error to show instead; None for one that is a mistake in the program."""
    text = " ".join(str(error).split())
    is_native = type(error).__module__.split(".")[0] in ("jax", "jaxlib", "builtins")
    if isinstance(error, MemoryError) or (is_native and any(words in text for words in _MEMORY_WORDS)):
        detail = f" ({text[:200]})" if text else ""
        return OutOfMemoryError(f"out of memory{detail}; lower num_envs, the number of seeds or of episodes")
    if is_native and any(words in text for words in _BACKEND_WORDS):
        platforms = os.environ.get("JAX_PLATFORMS", "")
        asked = f" with JAX_PLATFORMS={platforms}" if platforms else ""
        return ConfigError(
            f"JAX cannot start{asked}: {text[:200]}; set JAX_PLATFORMS=cpu, or install what is missing ('rookery "
            "doctor' shows what there is)"
        )
    return None
