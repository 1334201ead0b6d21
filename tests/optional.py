"""Which optional packages tests can use. Half of a package is none: `make test` does without any of them."""

import importlib.util


def is_installed(package: str) -> bool:
    """Whether a package can be found, without importing it. A folder of its name, as `wandb` leaves one, is none."""
    spec = importlib.util.find_spec(package)
    return spec is not None and spec.origin is not None
