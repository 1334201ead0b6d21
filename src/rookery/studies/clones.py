"""Clones of the experts as an arm of a study: recorded, trained and found again like any run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rookery.errors import ConfigError
from rookery.learning.cloning import Cloning
from rookery.runs.cloning import GROUP, CloneConfig, clone
from rookery.runs.codec import to_dict
from rookery.runs.config import Frozen
from rookery.runs.dataset import MANIFEST, called, differences, read_manifest, record_dataset
from rookery.runs.metrics import read_metrics
from rookery.studies import recipe
from rookery.studies.agents import Subject, agent_path, subject
from rookery.studies.session import FOLDER, Session
from rookery.studies.study import Scene

WORLDS = {"smoke": 4, "desk": 400, "paper": 4000}
"""Recorded, an episode from every slot of each. The paper does not say how many it took."""
EPOCHS = {"smoke": 2, "desk": 6, "paper": 20}
DATA_SEED = 1_000_000
"""Of the recorded worlds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cloned:
    """Clones of who stands beside novices in a scene, one a seed."""

    name: str  # of its folders
    scene: Scene

    def prepare(self, session: Session) -> bool:
        """Record the expert if that is not done, and train the clones. Returns whether they are finished."""
        budget, data = session.budget, self._data(session)
        expert, task = self.scene.beside(budget)[0], self.scene.task(budget)
        if (data / MANIFEST).exists():
            _check_recorded(data, task=to_dict(task), expert=called(expert), worlds=WORLDS[budget], seed=DATA_SEED)
        else:
            record_dataset(data, task, expert, worlds=WORLDS[budget], seed=DATA_SEED)
        config = CloneConfig(
            name=self.name,
            network=recipe.network(budget),
            learner=Cloning(epochs=EPOCHS[budget]),
            seed=session.seed,
            seeds=session.seeds,
        )
        return clone(config, data, self._folder(session), quiet=session.quiet, stop_after=session.left).finished

    def subjects(self, session: Session) -> list[Subject]:
        """The clone of each seed."""
        folder = self._folder(session)
        return [
            subject(Frozen(source=str(agent_path(folder, "main", seed, GROUP, 0))), seed) for seed in session.own_seeds
        ]

    def curve(self, session: Session) -> dict:
        """Loss and accuracy after every epoch, one list a seed, on episodes learned from and held out."""
        rows = read_metrics(self._folder(session))
        found: dict = {"epochs": [row["update"] for row in rows]}
        for part in ("train", "held_out"):
            for name in ("loss", "accuracy"):
                by_epoch = [row[f"{part}/{name}"] for row in rows]
                found[f"{part.replace('_', ' ')} {name}"] = [list(seed) for seed in zip(*by_epoch, strict=True)]
        return found

    def _data(self, session: Session) -> Path:
        return session.runs / FOLDER / f"{self.name}-{session.budget}-episodes"

    def _folder(self, session: Session) -> Path:
        return session.runs / FOLDER / f"{self.name}-{session.budget}-seeds-{session.seed}-to-{session.own_seeds[-1]}"


def _check_recorded(data: Path, **wanted) -> None:
    """Raises ConfigError where a dataset is of another task, expert or number of worlds."""
    changed = differences(read_manifest(data), wanted)
    if changed:
        raise ConfigError(
            f"{data} holds episodes of another recipe (they differ in {', '.join(changed)}); "
            "name another folder with --runs, or remove it"
        )
