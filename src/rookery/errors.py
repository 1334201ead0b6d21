"""What can go wrong for a user, each kind with its own exit code for the command line.

Every message is one line: what was wrong, what is allowed, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RookeryError(Exception):
    """Base of every error a user can cause or cure; `exit_code` is what the command line returns."""

    exit_code = 1


class ConfigError(RookeryError, ValueError):
    """An unknown key, a value out of range, an impossible world or combination."""

    exit_code = 2


class InvalidActionError(RookeryError, ValueError):
    """An action that is missing, of no known agent, no whole number or out of range; the world has not moved."""

    exit_code = 2


class ResetNeededError(RookeryError, RuntimeError):
    """A step before the first reset, after the end of an episode, or in a closed environment."""

    exit_code = 2


class IncompatibleError(RookeryError, ValueError):
    """A checkpoint or zoo entry that does not fit the task, network or team it is put to."""

    exit_code = 3


class CorruptFileError(RookeryError):
    """A saved file whose content is not what was written: truncated, altered or unreadable."""

    exit_code = 4


class StorageError(RookeryError, OSError):
    """The disk refused: full, read-only, or a path that is not what it should be."""

    exit_code = 5


class NotFoundError(RookeryError, LookupError):
    """A run, file, task or zoo entry that is not there; the message lists what is."""

    exit_code = 6


class DivergedError(RookeryError, ArithmeticError):
    """Training came to a number that is not finite; the message names where."""

    exit_code = 7


def suggest(name: object, allowed: Iterable[str], most: int = 3) -> str:
    """The second half of a message about an unknown name: the nearest allowed names, then all of them."""
    names = list(allowed)
    near = difflib.get_close_matches(str(name), names, most)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"{hint}allowed: {', '.join(names) or 'none'}"
