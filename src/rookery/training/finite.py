"""Numbers that are not finite are found where they arise; they would spread unnoticed."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from rookery.errors import DivergedError
from rookery.learning.intrinsic.combine import NONFINITE_STEP
from rookery.training.train_step import Run, TrainState


def check_finite_metrics(run: Run, metrics: dict[str, Any], done: int) -> None:
    """Stop at the first number that is not finite, and name its place; it would spread unnoticed.

    Raises: DivergedError.
    """
    for group in run.team.learning_groups:
        nonfinite_step = np.asarray(metrics[group.name].pop(NONFINITE_STEP, -1.0))
        if (nonfinite_step >= 0).any():
            number, index = np.argwhere(nonfinite_step >= 0)[0]
            variant, seed = run.config.replicas[number]
            raise DivergedError(
                f"an intrinsic reward of {group.name!r}, slot {group.slots[index]}, is not finite at step "
                f"{int(nonfinite_step[number, index]) + 1} of an episode of update {done} (variant {variant!r}, "
                f"seed {seed}); start another run with a lower learning_rate or intrinsic weight"
            )
        for name in group.learner.nan_guarded_metrics:
            bad = np.argwhere(~np.isfinite(metrics[group.name][name]))
            if len(bad):
                variant, seed = run.config.replicas[bad[0][0]]
                raise DivergedError(
                    f"{name} of {group.name!r} is not finite at update {done} (variant {variant!r}, seed {seed}); "
                    "start another run with a lower learning_rate, or with max_grad_norm set"
                )


def check_finite_params(run: Run, state: TrainState, done: int) -> None:
    """Never save parameters that are not finite: the last good state stays the one to continue from.

    Raises: DivergedError.
    """
    for group in run.team.learning_groups:
        for path, leaf in jax.tree_util.tree_leaves_with_path(state.learners[group.name].params):
            bad = np.argwhere(~np.isfinite(leaf))
            if len(bad):
                variant, seed = run.config.replicas[bad[0][0]]
                raise DivergedError(
                    f"parameter {jax.tree_util.keystr(path)} of {group.name!r} is not finite after update {done} "
                    f"(variant {variant!r}, seed {seed}); the checkpoints before it are kept; start another run "
                    "with a lower learning_rate, or with max_grad_norm set"
                )
