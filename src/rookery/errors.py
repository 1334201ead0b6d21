"""The errors a user can meet, each kind with its own exit code for the command line.

Every message is one line: what was wrong, what is allowed, what to do.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable

STOPPED_EXIT_CODE = 8
"""Exit code of a command that stopped before the end, at a time limit or asked by a signal; what can be is saved."""
UNFINISHED_EXIT_CODE = 10
"""Exit code of a command that did all it could, and lacks what failed elsewhere: the tasks that it lists."""


_MEMORY_WORDS = ("RESOURCE_EXHAUSTED", "Out of memory", "out of memory")
_BACKEND_WORDS = ("Unable to initialize backend", "Unknown backend", "No visible", "no supported devices")


def printable(text: object) -> str:
    """`text` on one line, with what is not printable as an escape.

    Names in files that others wrote may hold control characters, which a terminal would obey.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def error_text(error: BaseException) -> str:
    """What an exception says; its type if it cannot say it, which an exception of anyone's code may."""
    try:
        return str(error)
    except Exception:
        return f"{type(error).__name__}, whose __str__ fails"


def typed_text(error: BaseException) -> str:
    """An exception's type and what it says."""
    return f"{type(error).__name__}: {error_text(error)}"


class RookeryError(Exception):
    """Base class of every error a user can cause or fix; `exit_code` is what the command line returns."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class ConfigError(RookeryError, ValueError):
    """An unknown key, a value out of range, or an impossible combination."""

    exit_code = 2


class MissingPackageError(ConfigError, ImportError):
    """An optional package is needed and not installed, or broken; the message says how to install it."""


class TrackerError(ConfigError):
    """A tracker cannot start, as without its server or an account: not a fault of the run's settings."""


class InvalidActionError(RookeryError, ValueError):
    """An action that is missing, out of range, not a whole number, or of an unknown agent; no step was made."""

    exit_code = 2


class ResetNeededError(RookeryError, RuntimeError):
    """A step before the first reset, after the end of an episode, or in a closed environment: reset it first."""

    exit_code = 2


class IncompatibleError(RookeryError, ValueError):
    """A checkpoint or zoo entry that does not fit the task, network or team it is used with."""

    exit_code = 3


class ChangedAgentError(IncompatibleError):
    """An agent that a run was started with is another one now."""


class CorruptFileError(RookeryError):
    """A saved file whose content is not what was written: truncated, changed or unreadable."""

    exit_code = 4


class StorageError(RookeryError, OSError):
    """A file could not be written or read: the disk is full or read-only, or the path is wrong."""

    exit_code = 5


class InUseError(StorageError):
    """Another process works in the same folder; it is free again when that one ends."""


class NotFoundError(RookeryError, LookupError):
    """A run, file, task or zoo entry that does not exist; the message lists those that do."""

    exit_code = 6


class DivergedError(RookeryError, ArithmeticError):
    """Training produced a number that is not finite; the message says where."""

    exit_code = 7


class OutOfMemoryError(RookeryError, MemoryError):
    """The machine or its accelerator has too little memory."""

    exit_code = 9


class LostProcessError(RookeryError):
    """Another process of the same run died, failed or fell silent; `resume` continues from the last checkpoint."""

    exit_code = UNFINISHED_EXIT_CODE


def suggest(name: object, allowed: Iterable[str], most: int = 3) -> str:
    """The second half of a message about an unknown name: the nearest allowed names, then all of them.

    Args:
      name: as the user wrote it.
      allowed: every name that is allowed here.
      most: how many near names to offer at most.
    """
    names = list(allowed)
    near = difflib.get_close_matches(str(name), names, most)
    if not near and len(str(name)) > 2:  # a part of a name, such as "fig4" of "ndousse2021/fig4"
        near = [allowed_name for allowed_name in names if str(name).lower() in str(allowed_name).lower()][:most]
    if not near:  # the last part alone, such as "fig44" for "ndousse2021/fig4"
        last_parts = {str(allowed_name).rpartition("/")[2]: allowed_name for allowed_name in reversed(names)}
        near_parts = difflib.get_close_matches(str(name).rpartition("/")[2], last_parts, most, cutoff=0.8)
        near = [last_parts[part] for part in near_parts]
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"{hint}allowed: {', '.join(names) or 'none'}"


def explain_failure(error: Exception) -> RookeryError | None:
    """The error to show for an exception of JAX or Python that says what the machine lacks: memory or a device.

    Returns: None for an exception that is a mistake in the program; a `RookeryError` itself.
    """
    if isinstance(error, RookeryError):
        return error
    text = " ".join(error_text(error).split())
    is_native = type(error).__module__.split(".")[0] in ("jax", "jaxlib", "builtins")
    if isinstance(error, MemoryError) or (is_native and any(words in text for words in _MEMORY_WORDS)):
        detail = f" ({text[:200]})" if text else ""
        return OutOfMemoryError(f"out of memory{detail}; lower num_envs, the number of seeds or of episodes")
    return backend_error(error) if is_native and any(words in text for words in _BACKEND_WORDS) else None


def backend_error(error: Exception) -> ConfigError:
    """The error to show for what JAX and its plug-ins raise, whatever it is, where no device can be started."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    asked = f" with JAX_PLATFORMS={platforms}" if platforms else ""
    reason = " ".join(error_text(error).split())[:200] or type(error).__name__  # JAX asserts without a word
    return ConfigError(
        f"JAX cannot start{asked}: {reason}; set JAX_PLATFORMS=cpu, or install what is missing ('rookery doctor' shows "
        "what there is)"
    )
