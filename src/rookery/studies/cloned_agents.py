"""Clones of the experts as an arm of a study: recorded, trained and found again like any run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rookery.errors import ConfigError
from rookery.learning.cloning import BehaviorCloning
from rookery.storage.metrics import read_metrics
from rookery.storage.serialization import to_dict
from rookery.studies import budgets
from rookery.studies.evaluated_agents import EvaluatedAgent, agent_path, evaluated_agent
from rookery.studies.session import STUDIES_DIR, Session
from rookery.studies.study import EvalCondition
from rookery.training.clone_trainer import CLONE_GROUP, CloneConfig, train_clones
from rookery.training.config import FrozenPolicyConfig
from rookery.training.demonstrations import (
    DATASET_MANIFEST,
    expert_name,
    manifest_differences,
    read_manifest,
    record_dataset,
)

RECORDED_ENVS = {"smoke": 4, "desk": 400, "paper": 4000}
"""Recorded, an episode from every slot of each. The paper does not say how many it took."""
CLONING_EPOCHS = {"smoke": 2, "desk": 6, "paper": 20}
DATA_SEED = 1_000_000
"""Of the recorded worlds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClonedAgents:
    """Clones of who stands beside novices in a scene, one a seed."""

    name: str  # of its folders
    eval_condition: EvalCondition

    def prepare(self, session: Session) -> bool:
        """Record the expert if that is not done, and train the clones. Returns whether they are finished."""
        budget, data = session.budget, self._dataset_dir(session)
        expert, task = self.eval_condition.partners(budget)[0], self.eval_condition.task(budget)
        if (data / DATASET_MANIFEST).exists():
            _check_dataset(
                data, task=to_dict(task), expert=expert_name(expert), num_episodes=RECORDED_ENVS[budget], seed=DATA_SEED
            )
        else:
            record_dataset(data, task, expert, num_episodes=RECORDED_ENVS[budget], seed=DATA_SEED)
        config = CloneConfig(
            name=self.name,
            network=budgets.novice_network(budget),
            learner=BehaviorCloning(epochs=CLONING_EPOCHS[budget]),
            seed=session.seed,
            num_seeds=session.num_seeds,
        )
        return train_clones(
            config, data, self._run_dir(session), quiet=session.quiet, stop_after=session.seconds_left
        ).finished

    def evaluated_agents(self, session: Session) -> list[EvaluatedAgent]:
        """The clone of each seed."""
        folder = self._run_dir(session)
        return [
            evaluated_agent(FrozenPolicyConfig(checkpoint=str(agent_path(folder, "main", seed, CLONE_GROUP, 0))), seed)
            for seed in session.seed_range
        ]

    def learning_curve(self, session: Session) -> dict:
        """Loss and accuracy after every epoch, one list a seed, on episodes learned from and held out."""
        rows = read_metrics(self._run_dir(session))
        found: dict = {"epochs": [row["update"] for row in rows]}
        for part in ("train", "validation"):
            for name in ("loss", "accuracy"):
                by_epoch = [row[f"{part}/{name}"] for row in rows]
                found[f"{part}_{name}"] = [list(seed) for seed in zip(*by_epoch, strict=True)]
        return found

    def _dataset_dir(self, session: Session) -> Path:
        return session.runs_dir / STUDIES_DIR / f"{self.name}-{session.budget}-episodes"

    def _run_dir(self, session: Session) -> Path:
        return (
            session.runs_dir
            / STUDIES_DIR
            / f"{self.name}-{session.budget}-seeds-{session.seed}-to-{session.seed_range[-1]}"
        )


def _check_dataset(data: Path, **expected) -> None:
    """Raises ConfigError where a dataset is of another task, expert or number of worlds."""
    changed = manifest_differences(read_manifest(data), expected)
    if changed:
        raise ConfigError(
            f"{data} holds episodes of another recipe (they differ in {', '.join(changed)}); "
            "name another folder with --runs, or remove it"
        )
