"""Weights & Biases: one W&B run per training run; WANDB_MODE=offline needs no account and no network."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from typing import ClassVar

from rookery.tracking.tracker import TrackedRun, Tracker

STEPS = "steps"
"""Horizontal axis of every curve: environment steps of each seed."""


class WandbTracker(Tracker):
    """A resumed run continues the same W&B run, by its id. Updates that are trained again have the same numbers.

    Offline, every process writes a folder of its own with that id in the run's folder; `wandb sync` joins them.
    """

    kind: ClassVar[str] = "wandb"
    package: ClassVar[str | None] = "wandb"

    def start(self, run: TrackedRun, run_id: str | None) -> str:
        """Start or resume the W&B run. Raises: wandb's error if there is no account or network, unless offline."""
        import wandb  # pyright: ignore[reportMissingImports] (optional)

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT") or "rookery",
            name=run.name,
            id=run_id or secrets.token_hex(4),
            resume="allow",
            dir=str(run.run_dir),
            config={**run.config},
            # Its own messages would break the progress bar, and the bar is not for its log.
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._run.define_metric(STEPS)
        self._run.define_metric("*", step_metric=STEPS)
        return self._run.id

    def write(self, steps: int, values: Mapping[str, float]) -> None:
        self._run.log({STEPS: steps, **values})

    def finish(self) -> None:
        self._run.finish()
