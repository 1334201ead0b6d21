"""The environment variables that Rookery reads, in one table: `rookery doctor` and docs/command-line.md print it."""

from __future__ import annotations

import os
from typing import NamedTuple

from rookery.errors import ConfigError, suggest


class Variable(NamedTuple):
    """One environment variable."""

    default: str
    effect: str
    allowed: tuple[str, ...] = ()
    """Every value that is allowed; empty: any text."""


VARIABLES: dict[str, Variable] = {
    "ROOKERY_TRACK": Variable(
        "tensorboard",
        "Where the metrics of a new run go besides metrics.jsonl if `--track` is not given: tensorboard, wandb, "
        "mlflow, a tracker of another package, several separated by commas, or none.",
    ),
    "ROOKERY_LOG": Variable(
        "warning",
        "Lowest level of the messages of the logger `rookery` that commands print on standard error.",
        ("debug", "info", "warning", "error"),
    ),
    "ROOKERY_XLA_MESSAGES": Variable(
        "filtered",
        "all: also show XLA's alarms about slow compilation, which commands leave out.",
        ("filtered", "all"),
    ),
}
"""Variables that the package reads."""

TEST_VARIABLES: dict[str, Variable] = {
    "ROOKERY_NOTEBOOK_SIZE": Variable(
        "small", "How much the notebooks train: small takes minutes, full what their text says."
    ),
    "ROOKERY_CHECK_TYPES": Variable("1", "0: the tests do not check the shapes and types written in signatures."),
    "ROOKERY_GOLDEN": Variable("../shared/golden", "Folder of the reference recordings that tests compare with."),
}
"""Variables that only the tests read."""

OTHER_VARIABLES: dict[str, str] = {
    "JAX_PLATFORMS": "JAX's backend, such as cpu or cuda.",
    "JAX_COMPILATION_CACHE_DIR": "Folder in which JAX keeps compiled programs, so that they are not compiled again.",
    "WANDB_MODE": "offline: W&B writes to the run's folder only; `wandb sync` uploads it later.",
    "WANDB_PROJECT": "Project of W&B; rookery by default.",
    "MLFLOW_TRACKING_URI": "Where MLflow writes; if not set, in the folder mlruns where the run was started.",
    "MLFLOW_EXPERIMENT_NAME": "Experiment of MLflow; rookery by default.",
    "NO_COLOR": "If set, no colors in the terminal.",
}
"""Variables of other programs that matter here."""


def read_variable(name: str) -> str:
    """The value of one of `VARIABLES`; its default if it is not set or empty. Raises: ConfigError."""
    variable = VARIABLES[name]
    value = os.environ.get(name) or variable.default
    if variable.allowed and value not in variable.allowed:
        raise ConfigError(f"{name}={value!r} is not known; {suggest(value, variable.allowed)}")
    return value
