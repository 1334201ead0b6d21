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

    Causes come before what they spoil: rewards of the environment, intrinsic rewards, auxiliary losses, the learner.
    Raises: DivergedError.
    """
    _check_env_reward(run, metrics["agents"], done)
    for group in run.team.learning_groups:
        values = metrics[group.name]
        nonfinite_step = np.asarray(values.pop(NONFINITE_STEP, -1.0))
        if (nonfinite_step >= 0).any():
            number, index = np.argwhere(nonfinite_step >= 0)[0]
            kinds = [
                repr(reward.kind)
                for reward in group.learner.intrinsic
                if not np.isfinite(values[f"intrinsic_reward/{reward.kind}"][number, index])
            ]
            raise DivergedError(
                f"the intrinsic reward {' and '.join(kinds)} of {group.name!r}, slot {group.slots[index]}, is not "
                f"finite at step {int(nonfinite_step[number, index]) + 1} of an episode of update {done} "
                f"({_replica(run, number)}); check it with rookery.testing.check_intrinsic_reward, or start another "
                "run with a lower learning_rate or intrinsic weight"
            )
        for loss in group.learner.auxiliary:
            advice = f"check {loss.kind!r} with rookery.testing.check_auxiliary_loss, or start another run with a lower"
            _check_metric(run, group.name, values, f"aux_loss/{loss.kind}", done, advice)
        for name in group.learner.nan_guarded_metrics:
            _check_metric(run, group.name, values, name, done, "start another run with a lower")


def _check_env_reward(run: Run, agents: dict[str, Any], done: int) -> None:
    """An agent that was in no episode has no return, and no streak either."""
    bad = np.argwhere(~np.isfinite(agents["return"]) & np.isfinite(agents["longest_streak"]))
    if len(bad):
        number, slot = bad[0]
        raise DivergedError(
            f"the reward of task {run.config.task.kind!r} for slot {slot} is not finite in update {done} "
            f"({_replica(run, number)}); check the task's settings and, if it is your own, its rewards with "
            "rookery.testing.check_task"
        )


def _check_metric(run: Run, group: str, values: dict[str, Any], name: str, done: int, advice: str) -> None:
    bad = np.argwhere(~np.isfinite(values.get(name, 0.0)))
    if len(bad):
        raise DivergedError(
            f"{name} of {group!r} is not finite at update {done} ({_replica(run, bad[0][0])}); {advice} learning_rate, "
            "or with max_grad_norm set"
        )


def _replica(run: Run, number: int) -> str:
    variant, seed = run.config.replicas[number]
    return f"variant {variant!r}, seed {seed}"


def check_finite_params(run: Run, state: TrainState, done: int, *, has_checkpoints: bool) -> None:
    """Never save parameters that are not finite: the last good state, if there is one, stays the one to continue from.

    Raises: DivergedError.
    """
    for group in run.team.learning_groups:
        for path, leaf in jax.tree_util.tree_leaves_with_path(state.learners[group.name].params):
            bad = np.argwhere(~np.isfinite(leaf))
            if len(bad):
                kept = "the checkpoints before it are kept; " if has_checkpoints else ""
                raise DivergedError(
                    f"parameter {jax.tree_util.keystr(path)} of {group.name!r} is not finite after update {done} "
                    f"({_replica(run, bad[0][0])}); {kept}start another run with a lower learning_rate, or with "
                    "max_grad_norm set"
                )
