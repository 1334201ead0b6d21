"""The process that the kills hit: train or continue one kind of run in a folder.

    python -m benchmarks.torture.child KIND FOLDER [CALL NUMBER]

With CALL and NUMBER it kills itself in that call of a function of `os`: `fsync 3` is the third.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def main() -> None:
    kind, folder, *moment = sys.argv[1:]
    if moment:
        kill_at(moment[0], int(moment[1]))
    from benchmarks.torture.configs import LEARNERS, TASK, run_config

    run_dir = Path(folder)
    if kind in LEARNERS:
        from rookery.training.trainer import resume, train

        if (run_dir / "config.json").exists():
            resume(run_dir, quiet=True)
        else:
            train(run_config(LEARNERS[kind]), run_dir, quiet=True)
    elif kind == "cloning":
        from tests.tiny import NETWORK

        from rookery.learning.cloning import BehaviorCloning
        from rookery.storage.datasets import DATASET_MANIFEST
        from rookery.training.clone_trainer import CloneConfig, train_clones
        from rookery.training.config import ScriptedPolicyConfig
        from rookery.training.demonstrations import record_dataset

        data = run_dir.with_name(f"{run_dir.name}-data")
        if not (data / DATASET_MANIFEST).exists():
            record_dataset(data, TASK, ScriptedPolicyConfig(), num_episodes=12)
        learner = BehaviorCloning(epochs=6, minibatch_size=4)
        train_clones(CloneConfig(network=NETWORK, learner=learner, checkpoint_interval=2), data, run_dir, quiet=True)
    else:
        sys.exit(command(kind, run_dir))


def command(kind: str, folder: Path) -> int:
    """A command that continues where it was when it is given again."""
    from rookery.cli import main as rookery

    if kind == "demo":
        return rookery(
            ["demo", "--preset", "smoke", "--seeds", "1", "--episodes", "4", "--quiet", "--out", str(folder)]
        )
    if kind == "score":
        from tests.scorecard.tiny import TINY, student

        from rookery.scorecard.card import score
        from rookery.scorecard.card_page import write_scorecard_page

        card = score(student("follows and remembers"), TINY)
        card.write_json(folder / "tiny.json")
        write_scorecard_page(card, folder / "tiny.html")
        return 0
    from tests.scaling.study import NAME

    from rookery.studies import study_list

    study_list.STUDIES[NAME] = "tests.scaling.study"
    folders = ["--runs", str(folder), "--results", str(folder / "results")]
    ray = ["--ray"] if kind == "ray" else []
    return rookery(["reproduce", NAME, "--seeds", "2", "--episodes", "6", "--quiet", *folders, *ray])


def kill_at(name: str, number: int) -> None:
    real, calls = getattr(os, name), 0

    def deadly(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    setattr(os, name, deadly)


if __name__ == "__main__":
    main()
