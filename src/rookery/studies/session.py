"""One call of a study at one budget: which runs it needs, carries on or finds finished, and whom they made."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import time
from pathlib import Path
from typing import Any

from rookery.errors import ConfigError, MissingError
from rookery.runs.config import Frozen, Recurrent, RunConfig
from rookery.runs.trainer import STATUS, check_pins, load_config, resume, train
from rookery.studies.agents import Stage, agent_path, subject
from rookery.studies.study import Budget, Fixed, Learned, Scene, Training
from rookery.studies.teams import TeamScene, TeamStage

FOLDER = "studies"
MEASURED = "measured"


@dataclasses.dataclass
class Session:
    """What is asked for. Folders of runs and measurements lie in `runs/studies`, and studies share them."""

    budget: Budget
    runs: Path
    seed: int
    seeds: int
    episodes: int
    quiet: bool = False
    stop_after: float | None = None  # seconds, for all runs together

    def __post_init__(self):
        if self.seeds < 1:
            raise ConfigError(f"seeds={self.seeds} must be at least 1")
        if self.episodes < 2:
            raise ConfigError(f"episodes={self.episodes} must be at least 2 to give an interval")
        self._began = time.monotonic()
        self._stages: dict[str, Any] = {}

    @property
    def own_seeds(self) -> range:
        return range(self.seed, self.seed + self.seeds)

    @property
    def left(self) -> float | None:
        """Seconds until everything must stop; None: no limit."""
        return None if self.stop_after is None else max(0.0, self.stop_after - (time.monotonic() - self._began))

    @property
    def store(self) -> Path:
        """Folder of measurements."""
        return self.runs / FOLDER / MEASURED

    def config(self, training: Training) -> RunConfig:
        """The training's run with these seeds."""
        config = dataclasses.replace(training.configure(self.budget), seed=self.seed, seeds=self.seeds)
        if training.after is None:
            return config
        return dataclasses.replace(config, team=tuple(self._start(group, training.after) for group in config.team))

    def _start(self, group, after: Learned):
        if group.name != after.group:
            return group
        start = agent_path(self.folder(after.training), after.arm, "{seed}", after.group, after.slot)
        assert isinstance(group.policy, Recurrent)
        return dataclasses.replace(group, policy=dataclasses.replace(group.policy, start=str(start)))

    def folder(self, training: Training) -> Path:
        """Of its run: one already there that has these seeds among others, else one with just these."""
        parent, stem = self.runs / FOLDER, f"{training.name}-{self.budget}-seeds-"
        own = parent / f"{stem}{self.seed}-to-{self.seed + self.seeds - 1}"
        if own.exists() or not parent.is_dir():
            return own
        for path in sorted(parent.glob(f"{stem}*")):
            named = re.fullmatch(re.escape(stem) + r"(\d+)-to-(\d+)", path.name)
            if named and int(named[1]) <= self.seed and self.own_seeds[-1] <= int(named[2]):
                return path
        return own

    def train(self, training: Training) -> bool:
        """Carry the training's run to its end, from wherever it is. Returns whether it got there.

        Raises: ConfigError if its folder holds a run of another configuration, MisfitError if of one beside other
          agents than bear their names now; else as `runs.trainer.train`.
        """
        folder, wanted = self.folder(training), self.config(training)
        if not (folder / "config.json").exists():
            return train(wanted, folder, quiet=self.quiet, stop_after=self.left).finished
        found = load_config(folder)
        alike = dataclasses.replace(found, seed=self.seed, seeds=self.seeds)
        if alike != wanted:
            changed = [f.name for f in dataclasses.fields(found) if getattr(alike, f.name) != getattr(wanted, f.name)]
            raise ConfigError(
                f"{folder} holds a run of another recipe (it differs in {', '.join(changed)}); "
                "name another folder with --runs, or remove it"
            )
        if _finished(folder):
            with contextlib.suppress(MissingError):  # gone since: nothing to compare with
                check_pins(folder, found)
            return True
        return resume(folder, quiet=self.quiet, stop_after=self.left).finished

    def subjects(self, agents: Any) -> list[Any]:
        """The frozen agents (or teams) of an arm: one a seed, or one without."""
        if isinstance(agents, Fixed):
            return [subject(agents.policy(self.budget))]
        if isinstance(agents, Learned):
            folder = self.folder(agents.training)
            paths = {seed: agent_path(folder, agents.arm, seed, agents.group, agents.slot) for seed in self.own_seeds}
            return [subject(Frozen(source=str(path)), seed) for seed, path in paths.items()]
        return agents.subjects(self)

    def stage(self, scene: Scene | TeamScene) -> Any:
        """The scene, set up once."""
        if scene.name not in self._stages:
            about = self.budget, self.episodes
            is_team = isinstance(scene, TeamScene)
            self._stages[scene.name] = TeamStage(scene, *about) if is_team else Stage(scene, *about)
        return self._stages[scene.name]

    def status(self, training: Training) -> dict:
        """What a finished run says of itself: updates, seconds, machine."""
        path = self.folder(training) / STATUS
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise MissingError(f"{path} is missing; run the study again to train it") from None


def _finished(folder: Path) -> bool:
    try:
        status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return status["updates"] == status["of"]
