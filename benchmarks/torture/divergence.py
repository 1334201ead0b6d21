"""Everything that learns, with a learning rate that spoils it: found, named, the last good state kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import jax
import numpy as np
from benchmarks.torture.configs import (
    AUXILIARY_LOSSES,
    INTRINSIC_REWARDS,
    LEARNERS,
    diverging,
    run_config,
    train_to_end,
    with_advantage_alignment,
    with_auxiliary_loss,
    with_intrinsic_reward,
)
from benchmarks.torture.record import TrialError
from tests.tiny import NETWORK, TASK

from rookery.errors import DivergedError
from rookery.learning.cloning import BehaviorCloning
from rookery.storage import checkpoint
from rookery.training.clone_trainer import CloneConfig, train_clones
from rookery.training.config import RunConfig, ScriptedPolicyConfig
from rookery.training.demonstrations import record_dataset
from rookery.training.trainer import load_state

KINDS = (*LEARNERS, "cloning", *INTRINSIC_REWARDS, *AUXILIARY_LOSSES, "advantage-alignment")


def configuration(kind: str) -> RunConfig:
    """The run of one of KINDS, but for cloning, which is not a run."""
    if kind in LEARNERS:
        return run_config(LEARNERS[kind])
    if kind in INTRINSIC_REWARDS:
        return with_intrinsic_reward(INTRINSIC_REWARDS[kind])
    return with_auxiliary_loss(AUXILIARY_LOSSES[kind]) if kind in AUXILIARY_LOSSES else with_advantage_alignment()


class Divergence:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def trial(self, number: int) -> None:
        (seed, kind), run_dir = divmod(number, len(KINDS)), self.folder / "run"
        kind = KINDS[kind]
        shutil.rmtree(run_dir, ignore_errors=True)
        try:
            if kind == "cloning":
                self._clone(run_dir, seed)
            else:
                train_to_end(diverging(configuration(kind), seed), run_dir)
        except DivergedError as error:
            if "is not finite" not in str(error):
                raise TrialError(f"{kind}: {error}") from None
        else:
            raise TrialError(f"{kind}: trained to its end with a learning rate of 1e38")
        if not checkpoint.saved_updates(run_dir / "checkpoints"):
            raise TrialError(f"{kind}: no checkpoint was kept")
        if kind != "cloning":
            _, state = load_state(run_dir)
            for learner in state.learners.values():
                if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(learner.params)):
                    raise TrialError(f"{kind}: the last checkpoint is not finite")

    def _clone(self, run_dir: Path, seed: int) -> None:
        data = self.folder / "data"
        if not (data / "manifest.json").exists():
            record_dataset(data, TASK, ScriptedPolicyConfig(), num_episodes=12)
        good = BehaviorCloning(
            epochs=8, minibatch_size=4, learning_rate=1e-2, final_learning_rate=1e38, max_grad_norm=None
        )
        train_clones(
            CloneConfig(network=NETWORK, learner=good, seed=seed, checkpoint_interval=1), data, run_dir, quiet=True
        )
