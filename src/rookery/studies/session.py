"""One call of a study at one budget: the runs it needs, where they lie, and whether they are finished."""

from __future__ import annotations

import dataclasses
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rookery.errors import ConfigError, NotFoundError
from rookery.limits import check_interval_episodes, check_stop_after
from rookery.storage.atomic import refuse_link
from rookery.storage.run_files import AGENTS_DIR, CONFIG_FILE, STATUS_FILE, read_status
from rookery.studies.frozen_evaluation import ConditionEvaluator, TeamEvalCondition
from rookery.studies.training_run import Budget, TrainedSlot, TrainingRun
from rookery.training.build import check_run_folder
from rookery.training.config import FrozenPolicyConfig, GroupConfig, RunConfig
from rookery.training.continue_run import check_same_config, is_finished, train_or_resume
from rookery.training.join_parts import finish_parts
from rookery.training.run_parts import is_divided, read_split
from rookery.training.trainer import agent_file

_logger = logging.getLogger(__name__)
STUDIES_DIR = "studies"
MEASUREMENTS_DIR = "measurements"


@dataclasses.dataclass
class Session:
    """What a user asked for. Folders of runs and measurements lie in `runs/studies` and are shared by all studies."""

    budget: Budget
    runs_dir: Path
    seed: int
    num_seeds: int
    eval_episodes: int
    quiet: bool = False
    stop_after: float | None = None
    """Seconds, for all runs together; None: no limit."""

    def __post_init__(self) -> None:
        if self.num_seeds < 1:
            raise ConfigError(f"num_seeds={self.num_seeds} must be at least 1")
        check_interval_episodes("eval_episodes", self.eval_episodes)
        check_stop_after(self.stop_after)
        check_run_folder("runs", self.runs_dir)
        refuse_link(self.measurements_dir.parent)
        refuse_link(self.measurements_dir)
        self._start_time = time.monotonic()
        self._evaluators: dict[str, ConditionEvaluator] = {}

    @property
    def seed_range(self) -> range:
        return range(self.seed, self.seed + self.num_seeds)

    def seeds_of(self, run: TrainingRun) -> range:
        """The session's seeds that a run trains."""
        return self.seed_range[: run.max_seeds]

    @property
    def seconds_left(self) -> float | None:
        """Seconds until everything must stop; None: no limit."""
        return None if self.stop_after is None else max(0.0, self.stop_after - (time.monotonic() - self._start_time))

    @property
    def measurements_dir(self) -> Path:
        """Folder of stored measurements."""
        return self.runs_dir / STUDIES_DIR / MEASUREMENTS_DIR

    def run_config(self, run: TrainingRun) -> RunConfig:
        """The configuration of a run with the session's seeds."""
        config = dataclasses.replace(run.configure(self.budget), seed=self.seed, num_seeds=len(self.seeds_of(run)))
        if run.init_from is None:
            return config
        source = run.init_from
        source.check_slot(self.run_config(source.run))
        if source.group not in [group.name for group in config.team]:
            raise ConfigError(
                f"run {run.name!r} starts from an agent of group {source.group!r}, and none of its own groups has this "
                f"name: {', '.join(repr(group.name) for group in config.team)}; give the group that continues the same "
                "name"
            )
        team = tuple(self._with_init_from(group, run.init_from) for group in config.team)
        return dataclasses.replace(config, team=team)

    def _with_init_from(self, group: GroupConfig, source: TrainedSlot) -> GroupConfig:
        if group.name != source.group:
            return group
        init_from = str(self.agent_path(source, "{seed}"))
        return dataclasses.replace(group, policy=dataclasses.replace(group.policy, init_from=init_from))

    def run_dir(self, run: TrainingRun) -> Path:
        """Folder of a run: the one with just these seeds, whole or in parts, else a run that has them among others.

        Of several such runs a finished one, and then the one of the fewest seeds.
        Raises: CorruptFileError for the configuration of a run that may have them.
        """
        parent, stem = self.runs_dir / STUDIES_DIR, f"{run.name}-{self.budget}-seeds-"
        last_seed = self.seeds_of(run)[-1]
        folder = parent / f"{stem}{self.seed}-to-{last_seed}"
        if folder.exists() or is_divided(folder) or not parent.is_dir():
            return folder
        covering = []
        for path in parent.glob(f"{stem}*"):
            match = re.fullmatch(re.escape(stem) + r"(\d+)-to-(\d+)", path.name)
            if match and int(match[1]) <= self.seed and last_seed <= int(match[2]) and self._holds(path, run):
                covering.append((not is_finished(path), int(match[2]) - int(match[1]), path))
        return min(covering)[-1] if covering else folder

    def _holds(self, folder: Path, run: TrainingRun) -> bool:
        """Whether a folder's run can stand for this one. If not, as where it starts from other agents, this is trained
        on its own; what was killed before its configuration was written trains nothing."""
        if not (folder / CONFIG_FILE).exists():
            return False
        try:
            check_same_config(self.run_config(run), folder)
        except ConfigError:
            return False
        return True

    def agent_path(self, trained: TrainedSlot, seed: int | str) -> Path:
        """Where a run exports the agent of a slot. `seed`: a number, or a placeholder."""
        name = agent_file(trained.variant, seed, trained.group, trained.slot)  # type: ignore[arg-type]
        return self.run_dir(trained.run) / AGENTS_DIR / name

    def trained_agent(self, trained: TrainedSlot, seed: int) -> FrozenPolicyConfig:
        """The agent that a run exported from a slot."""
        return FrozenPolicyConfig(checkpoint=str(self.agent_path(trained, seed)))

    def train(self, run: TrainingRun, log: Callable[[str], None] = _logger.info) -> bool:
        """Train a run to its end, from wherever it stopped. Returns whether it reached the end.

        Args:
          log: as of `rookery.training.join_parts.finish_parts`.
        Raises: ConfigError if its folder holds a run of another configuration; IncompatibleError if the frozen agents
          it trained with have changed since; otherwise as `rookery.training.trainer.train`.
        """
        folder, config = self.run_dir(run), self.run_config(run)
        if not is_finished(folder):
            refuse_link(folder)
        split = None if (folder / CONFIG_FILE).exists() else read_split(folder)
        if split is not None:  # `rookery.scaling` began it
            return finish_parts(
                config, folder, split, quiet=self.quiet, seconds_left=lambda: self.seconds_left, log=log
            )
        return train_or_resume(config, folder, quiet=self.quiet, stop_after=self.seconds_left)

    def evaluator(self, eval_condition: TeamEvalCondition) -> ConditionEvaluator:
        """The evaluation condition, set up once."""
        name = eval_condition.name
        if name not in self._evaluators:
            self._evaluators[name] = eval_condition.evaluator(self.budget, self.eval_episodes)
        return self._evaluators[name]

    def run_status(self, run: TrainingRun) -> dict[str, Any]:
        """What a run recorded when it finished: updates, seconds, machine.

        Raises: NotFoundError if it did not finish; CorruptFileError if the file is damaged.
        """
        path = self.run_dir(run) / STATUS_FILE
        try:
            return read_status(self.run_dir(run))
        except NotFoundError:
            raise NotFoundError(f"{path} is missing; run the study again to train it") from None
