"""Behavior-cloned experts as a condition of a study: recorded, trained and resumed like any run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from rookery.errors import ConfigError
from rookery.learning.cloning import BehaviorCloning
from rookery.storage.atomic import refuse_link
from rookery.storage.checkpoint import saved_updates
from rookery.storage.datasets import DATASET_MANIFEST, manifest_differences
from rookery.storage.metrics import read_metrics, seed_values
from rookery.storage.run_files import CHECKPOINTS_DIR
from rookery.storage.serialization import to_dict
from rookery.studies import budgets
from rookery.studies.agent_sources import AgentSource
from rookery.studies.frozen_evaluation import EvalCondition, EvaluatedAgent
from rookery.studies.session import STUDIES_DIR, Session
from rookery.training.clone_trainer import CLONE_GROUP, CloneConfig, train_clones
from rookery.training.config import FrozenPolicyConfig
from rookery.training.demonstrations import read_demonstrations_manifest, record_dataset
from rookery.training.stop_signal import StopSignal
from rookery.training.trainer import AGENTS_DIR, agent_file

NUM_RECORDED_EPISODES = {"smoke": 4, "desk": 2000, "paper": 4000}
"""Each gives one trajectory per slot. The paper does not say how many it used."""
CLONING_EPOCHS = {"smoke": 2, "desk": 30, "paper": 30}
"""Enough for a plateau, which figure 11 checks."""
DATASET_SEED = 1_000_000
"""Seed of the recorded episodes."""
MAX_CLONES = 6
"""Clones per study, one per seed, where a study has more seeds: they differ little, and thirty epochs take minutes."""
CLONE_VARIANT = "main"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClonedAgents(AgentSource):
    """Clones of the partners of an evaluation condition, one per seed; the same experts are cloned once."""

    eval_condition: EvalCondition

    def _name(self, session: Session) -> str:
        """Of its folders."""
        return f"clones-of-{self.eval_condition.partners(session.budget)[0].label}"

    def prepare(self, session: Session) -> bool:
        """Record the expert if that is not done, and train the clones. Returns whether they are finished.

        Raises: ConfigError where the folder holds another dataset or another run.
        """
        budget, dataset_dir = session.budget, self._dataset_dir(session)
        refuse_link(dataset_dir)
        refuse_link(self._run_dir(session))
        expert, task = self.eval_condition.partners(budget)[0], self.eval_condition.task(budget)
        num_episodes = NUM_RECORDED_EPISODES[budget]
        if (dataset_dir / DATASET_MANIFEST).exists():
            _check_dataset(
                dataset_dir, task=to_dict(task), expert=expert.label, num_episodes=num_episodes, seed=DATASET_SEED
            )
        else:
            record_dataset(dataset_dir, task, expert, num_episodes=num_episodes, seed=DATASET_SEED)
        config = CloneConfig(
            name=self._name(session),
            network=budgets.novice_network(budget),
            learner=BehaviorCloning(epochs=CLONING_EPOCHS[budget]),
            seed=session.seed,
            num_seeds=len(self._seeds(session)),
        )
        with StopSignal() as stop_signal:
            result = train_clones(
                config, dataset_dir, self._run_dir(session), quiet=session.quiet, stop_after=session.seconds_left
            )
        return result.finished and not stop_signal.requested

    def left_to_prepare(self, session: Session) -> dict[str, str]:
        episodes, epochs = NUM_RECORDED_EPISODES[session.budget], CLONING_EPOCHS[session.budget]
        if epochs in saved_updates(self._run_dir(session) / CHECKPOINTS_DIR):
            return {}
        clones = len(self._seeds(session))
        return {self._name(session): f"{clones} clones, {epochs} epochs of {episodes:,} episodes, recorded first"}

    def evaluated_agents(self, session: Session) -> list[EvaluatedAgent]:
        folder = self._run_dir(session) / AGENTS_DIR
        return [
            EvaluatedAgent.of(
                FrozenPolicyConfig(checkpoint=str(folder / agent_file(CLONE_VARIANT, seed, CLONE_GROUP, 0))), seed=seed
            )
            for seed in self._seeds(session)
        ]

    def epoch_curves(self, session: Session) -> dict[str, Any]:
        """Loss and accuracy after every epoch, one list per seed, on the training and the validation episodes."""
        folder, num_seeds = self._run_dir(session), len(self._seeds(session))
        rows = read_metrics(folder)
        curves: dict = {"epochs": [row["update"] for row in rows]}
        for part in ("train", "validation"):
            for name in ("loss", "accuracy"):
                by_epoch = [seed_values(folder, row, f"{part}/{name}", num_seeds) for row in rows]
                curves[f"{part}_{name}"] = [list(seed) for seed in zip(*by_epoch, strict=True)]
        return curves

    def _dataset_dir(self, session: Session) -> Path:
        return session.runs_dir / STUDIES_DIR / f"{self._name(session)}-{session.budget}-episodes"

    def _run_dir(self, session: Session) -> Path:
        last_seed = self._seeds(session)[-1]
        name = f"{self._name(session)}-{session.budget}-seeds-{session.seed}-to-{last_seed}"
        return session.runs_dir / STUDIES_DIR / name

    @staticmethod
    def _seeds(session: Session) -> range:
        return session.seed_range[:MAX_CLONES]


def _check_dataset(dataset_dir: Path, **expected) -> None:
    """Raises ConfigError where a dataset is of another task, expert or number of episodes."""
    changed = manifest_differences(read_demonstrations_manifest(dataset_dir), expected)
    if changed:
        raise ConfigError(
            f"{dataset_dir} holds other episodes (they differ in {', '.join(changed)}); "
            "name another folder with --runs, or remove it"
        )
