"""One call of a study at one budget: which runs it needs, carries on or finds finished, and whom they made."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import time
from pathlib import Path
from typing import Any

from rookery.errors import ConfigError, NotFoundError
from rookery.studies.evaluated_agents import ConditionEvaluator, agent_path, evaluated_agent
from rookery.studies.study import Budget, EvalCondition, PretrainedAgent, TrainedAgents, TrainingRun
from rookery.studies.trained_teams import TeamConditionEvaluator, TeamEvalCondition
from rookery.training.config import FrozenPolicyConfig, RecurrentPolicyConfig, RunConfig
from rookery.training.trainer import STATUS_FILE, check_checkpoint_hashes, load_config, resume, train

STUDIES_DIR = "studies"
MEASUREMENTS_DIR = "measurements"


@dataclasses.dataclass
class Session:
    """What is asked for. Folders of runs and measurements lie in `runs/studies`, and studies share them."""

    budget: Budget
    runs_dir: Path
    seed: int
    num_seeds: int
    eval_episodes: int
    quiet: bool = False
    stop_after: float | None = None  # seconds, for all runs together

    def __post_init__(self):
        if self.num_seeds < 1:
            raise ConfigError(f"num_seeds={self.num_seeds} must be at least 1")
        if self.eval_episodes < 2:
            raise ConfigError(f"eval_episodes={self.eval_episodes} must be at least 2 to give an interval")
        self._start_time = time.monotonic()
        self._evaluators: dict[str, Any] = {}

    @property
    def seed_range(self) -> range:
        return range(self.seed, self.seed + self.num_seeds)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until everything must stop; None: no limit."""
        return None if self.stop_after is None else max(0.0, self.stop_after - (time.monotonic() - self._start_time))

    @property
    def measurements_dir(self) -> Path:
        """Folder of measurements."""
        return self.runs_dir / STUDIES_DIR / MEASUREMENTS_DIR

    def run_config(self, run: TrainingRun) -> RunConfig:
        """The training's run with these seeds."""
        config = dataclasses.replace(run.configure(self.budget), seed=self.seed, num_seeds=self.num_seeds)
        if run.init_from is None:
            return config
        return dataclasses.replace(
            config, team=tuple(self._with_init_from(group, run.init_from) for group in config.team)
        )

    def _with_init_from(self, group, init_from: TrainedAgents):
        if group.name != init_from.group:
            return group
        start = agent_path(self.run_dir(init_from.run), init_from.variant, "{seed}", init_from.group, init_from.slot)
        assert isinstance(group.policy, RecurrentPolicyConfig)
        return dataclasses.replace(group, policy=dataclasses.replace(group.policy, init_from=str(start)))

    def run_dir(self, run: TrainingRun) -> Path:
        """Of its run: one already there that has these seeds among others, else one with just these."""
        parent, stem = self.runs_dir / STUDIES_DIR, f"{run.name}-{self.budget}-seeds-"
        own = parent / f"{stem}{self.seed}-to-{self.seed + self.num_seeds - 1}"
        if own.exists() or not parent.is_dir():
            return own
        for path in sorted(parent.glob(f"{stem}*")):
            named = re.fullmatch(re.escape(stem) + r"(\d+)-to-(\d+)", path.name)
            if named and int(named[1]) <= self.seed and self.seed_range[-1] <= int(named[2]):
                return path
        return own

    def train(self, run: TrainingRun) -> bool:
        """Carry the training's run to its end, from wherever it is. Returns whether it got there.

        Raises: ConfigError if its folder holds a run of another configuration, MisfitError if of one beside other
          agents than bear their names now; else as `runs.trainer.train`.
        """
        folder, wanted = self.run_dir(run), self.run_config(run)
        if not (folder / "config.json").exists():
            return train(wanted, folder, quiet=self.quiet, stop_after=self.seconds_left).finished
        found = load_config(folder)
        alike = dataclasses.replace(found, seed=self.seed, num_seeds=self.num_seeds)
        if alike != wanted:
            changed = [f.name for f in dataclasses.fields(found) if getattr(alike, f.name) != getattr(wanted, f.name)]
            raise ConfigError(
                f"{folder} holds a run of another recipe (it differs in {', '.join(changed)}); "
                "name another folder with --runs, or remove it"
            )
        if _is_finished(folder):
            with contextlib.suppress(NotFoundError):  # gone since: nothing to compare with
                check_checkpoint_hashes(folder, found)
            return True
        return resume(folder, quiet=self.quiet, stop_after=self.seconds_left).finished

    def evaluated_agents(self, agents: Any) -> list[Any]:
        """The frozen agents (or teams) of an arm: one a seed, or one without."""
        if isinstance(agents, PretrainedAgent):
            return [evaluated_agent(agents.policy(self.budget))]
        if isinstance(agents, TrainedAgents):
            folder = self.run_dir(agents.run)
            paths = {
                seed: agent_path(folder, agents.variant, seed, agents.group, agents.slot) for seed in self.seed_range
            }
            return [evaluated_agent(FrozenPolicyConfig(checkpoint=str(path)), seed) for seed, path in paths.items()]
        return agents.evaluated_agents(self)

    def evaluator(self, eval_condition: EvalCondition | TeamEvalCondition) -> Any:
        """The scene, set up once."""
        if eval_condition.name not in self._evaluators:
            about = self.budget, self.eval_episodes
            is_team = isinstance(eval_condition, TeamEvalCondition)
            self._evaluators[eval_condition.name] = (
                TeamConditionEvaluator(eval_condition, *about)
                if is_team
                else ConditionEvaluator(eval_condition, *about)
            )
        return self._evaluators[eval_condition.name]

    def run_status(self, run: TrainingRun) -> dict:
        """What a finished run says of itself: updates, seconds, machine."""
        path = self.run_dir(run) / STATUS_FILE
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise NotFoundError(f"{path} is missing; run the study again to train it") from None


def _is_finished(run_dir: Path) -> bool:
    try:
        status = json.loads((run_dir / STATUS_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return status["num_updates"] == status["total_updates"]
