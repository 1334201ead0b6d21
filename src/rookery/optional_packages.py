"""Packages that only some commands need: how one that is missing or broken is named."""

from __future__ import annotations

import contextlib
import importlib
import shlex
import sys
from collections.abc import Iterator
from typing import Any

from rookery.errors import MissingPackageError, typed_text


def pip_install(package: str) -> str:
    """The command that installs a package for the interpreter that runs now: `pip` alone may belong to another one."""
    return f"{shlex.quote(sys.executable)} -m pip install {shlex.quote(package)}"


def install_extra(extra: str) -> str:
    """The command that installs what an extra of this package needs. pip knows it from the installed package."""
    return pip_install(f"rookery[{extra}]")


def import_optional(name: str, missing: str) -> Any:
    """The module `name`. Arguments and errors as those of `importing`."""
    with importing(name, missing):
        return importlib.import_module(name)


@contextlib.contextmanager
def importing(name: str, missing: str) -> Iterator[None]:
    """The module `name`, or parts of it, are imported within.

    Args:
      missing: the message if its package is not installed; it says how to install it.
    Raises: MissingPackageError, which quotes what importing the module raised if it is installed.
    """
    try:
        yield
    except Exception as error:  # what a broken installation raises, such as OSError for a library of its own
        if isinstance(error, ModuleNotFoundError) and error.name in (name, name.partition(".")[0]):
            raise MissingPackageError(missing) from None
        raise MissingPackageError(
            f"{name} is installed, but importing it failed: {typed_text(error)}; mend that, or "
            f"install {name.partition('.')[0]} again"
        ) from error
