"""Where the agents of a study's conditions come from: ready-made, trained by a run, or teams that trained together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rookery.storage.metrics import check_seed_metrics, read_metrics, seed_values
from rookery.studies.frozen_evaluation import EvaluatedAgent
from rookery.studies.session import Session
from rookery.studies.training_run import Budget, TrainedSlot, TrainingRun
from rookery.training.config import PolicyConfig, slot_names, variant_prefixes
from rookery.training.mechanism_health import MechanismHealth, mechanism_health
from rookery.training.trainer import load_config

MAX_CURVE_POINTS = 200
"""Points kept of a learning curve."""
HEALTH_CURVES = (
    "error",
    "error_constant",
    "error_copy",
    "agents_recall",
    "agents_recall_copy",
    "agents_found",
    "dead_units",
)
"""Of an auxiliary loss on held-out episodes, at checkpoints."""
TEAM_CURVES = ("intrinsic_reward", "influence_above_mean_fraction", "moa_loss")
"""Metrics of a team's learning curve, in addition to its return: means over agents."""


class AgentSource:
    """The agents of one condition. A subclass is a frozen dataclass."""

    def runs(self) -> tuple[TrainingRun, ...]:
        """The runs that have to be trained first."""
        return ()

    def validate(self, session: Session) -> None:
        """Raises ConfigError if the runs will not train the agents that it names; called before any is trained."""

    def training_steps(self, budget: Budget, num_seeds: int) -> dict[str, int]:
        """Environment steps of what `prepare` trains, by its name: conditions that share it count it once."""
        return {}

    def prepare(self, session: Session) -> bool:
        """Whatever else has to be made first, continued from where it stopped. Returns whether it is finished."""
        return True

    def left_to_prepare(self, session: Session) -> dict[str, str]:
        """What `prepare` still has to make, in words, by its name: conditions that share it count it once."""
        return {}

    def evaluated_agents(self, session: Session) -> list[EvaluatedAgent]:
        """Required: the frozen agents or teams, one per seed (or one without a seed)."""
        raise NotImplementedError(f"{type(self).__name__} needs a method evaluated_agents(session)")

    def learning_curves(self, session: Session) -> dict[str, Any] | None:
        """Curves of training, one list per seed each; None where nothing was trained by a run."""
        return None

    def mechanism_checks(self, session: Session, mechanism: str, by: float) -> list[dict[str, Any]]:
        """Whether a mechanism of the agents was alive: {'alive', 'reason'} of each seed; empty where nothing trained.

        Args: as `rookery.training.mechanism_health.mechanism_health`.
        """
        return []


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedAgent(AgentSource):
    """One agent that needs no training here: from the zoo, scripted or random. It has no seeds."""

    policy: Callable[[Budget], PolicyConfig]

    def evaluated_agents(self, session: Session) -> list[EvaluatedAgent]:
        return [EvaluatedAgent.of(self.policy(session.budget))]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedAgents(TrainedSlot, AgentSource):
    """The agents that one variant of a run trained in one slot, one per seed."""

    def runs(self) -> tuple[TrainingRun, ...]:
        return (self.run,)

    def validate(self, session: Session) -> None:
        self.check_slot(session.run_config(self.run))

    def evaluated_agents(self, session: Session) -> list[EvaluatedAgent]:
        return [EvaluatedAgent.of(session.trained_agent(self, seed), seed=seed) for seed in session.seeds_of(self.run)]

    def learning_curves(self, session: Session) -> dict[str, Any]:
        """'checkpoints': frozen at each checkpoint; 'learning': while training, with each auxiliary loss as by
        `aux_loss_curves`; 'health': of each auxiliary loss, at checkpoints."""
        metrics = _run_metrics(self.run, session)
        rows, prefix = metrics.rows, f"{self.variant}/{metrics.names[self.slot]}"
        checkpoint_keys = {
            "return_social": f"evaluation/{prefix}/social/return",
            "return_solo": f"evaluation/{prefix}/solo/return",
            "social_gain": f"evaluation/{prefix}/social_gain/return",
        }
        evaluated = [row for row in rows if checkpoint_keys["social_gain"] in row]
        health = {}
        for kind in metric_kinds(evaluated[0] if evaluated else (), f"evaluation/{prefix}/health/"):
            keys = {name: f"evaluation/{prefix}/health/{kind}/{name}" for name in HEALTH_CURVES}
            keys = {name: key for name, key in keys.items() if all(key in row for row in evaluated)}
            if keys:
                health[kind] = metrics.series(evaluated, keys)
        learning_keys = {"return": f"{prefix}/return", **aux_loss_curves(rows[0] if rows else (), prefix)}
        return {
            "checkpoints": metrics.series(evaluated, checkpoint_keys),
            "learning": metrics.series(_subsample(rows), learning_keys),
            "health": health,
        }

    def mechanism_checks(self, session: Session, mechanism: str, by: float) -> list[dict[str, Any]]:
        metrics = _run_metrics(self.run, session)
        health = mechanism_health(metrics.rows, mechanism, self.variant, metrics.names[self.slot], by)
        return _checks_by_seed(health, metrics.seeds)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedTeam(AgentSource):
    """All agents that one variant of a run trained, one team per seed. Every slot of the task must learn."""

    run: TrainingRun
    variant: str

    def runs(self) -> tuple[TrainingRun, ...]:
        return (self.run,)

    def validate(self, session: Session) -> None:
        for slot in self._slots(session):
            slot.check_slot(session.run_config(self.run))

    def _slots(self, session: Session) -> list[TrainedSlot]:
        group_of = {slot: group.name for group in session.run_config(self.run).team for slot in group.slots}
        return [
            TrainedSlot(run=self.run, variant=self.variant, group=group, slot=slot)
            for slot, group in sorted(group_of.items())
        ]

    def evaluated_agents(self, session: Session) -> list[EvaluatedAgent]:
        slots = self._slots(session)
        return [
            EvaluatedAgent.of(*(session.trained_agent(slot, seed) for slot in slots), seed=seed)
            for seed in session.seeds_of(self.run)
        ]

    def learning_curves(self, session: Session) -> dict[str, Any]:
        """'learning': the team's collective reward while training, and the mean over agents of `TEAM_CURVES`."""
        metrics = _run_metrics(self.run, session)
        rows, names = _subsample(metrics.rows), metrics.names
        prefix = f"{self.variant}/{names[0]}/"
        own = sorted(key.removeprefix(prefix) for key in rows[0] if key.startswith(prefix))
        curves: dict = {"steps": [row["steps"] for row in rows]}
        for metric in ("return", *(name for name in own if name.split("/")[0] in TEAM_CURVES)):
            keys = [key for name in names if (key := f"{self.variant}/{name}/{metric}") in rows[0]]
            by_row = [[metrics.values(row, key) for key in keys] for row in rows]
            values = np.array(by_row, float)  # [rows, agents, seeds]
            combined = values.sum(1) if metric == "return" else values.mean(1)
            curves[metric] = combined.T.tolist()
        return {"learning": curves}

    def mechanism_checks(self, session: Session, mechanism: str, by: float) -> list[dict[str, Any]]:
        """As of a single agent; alive in a seed if in most of the agents in which it was measured."""
        metrics = _run_metrics(self.run, session)
        by_agent = [
            _checks_by_seed(mechanism_health(metrics.rows, mechanism, self.variant, name, by), metrics.seeds)
            for name in metrics.names
        ]
        longest = max(map(len, by_agent))
        by_agent = [agent * longest if len(agent) == 1 else agent for agent in by_agent]  # one check: nothing measured
        checks = []
        for of_agents in zip(*by_agent, strict=True):
            measured = [check for check in of_agents if check["alive"] is not None] or [of_agents[0]]
            alive = [check["alive"] for check in measured]
            most = None if alive == [None] else sum(alive) * 2 > len(alive)
            checks.append(next((c for c in measured if c["alive"] == most), measured[0]) | {"alive": most})
        return checks


def metric_kinds(metrics: Iterable[str], prefix: str) -> list[str]:
    """The kinds of loss that metrics named PREFIX KIND/... or PREFIX KIND are about, in order."""
    return list(dict.fromkeys(name.removeprefix(prefix).split("/")[0] for name in metrics if name.startswith(prefix)))


def aux_loss_curves(metrics: Iterable[str], prefix: str) -> dict[str, str]:
    """Names of the curves of an agent's auxiliary losses, and their metrics: 'aux_loss' of a single one, of several
    'aux_loss/KIND' each."""
    kinds = metric_kinds(metrics, f"{prefix}/aux_loss/")
    names = ["aux_loss"] if len(kinds) == 1 else [f"aux_loss/{kind}" for kind in kinds]
    return {name: f"{prefix}/aux_loss/{kind}" for name, kind in zip(names, kinds, strict=True)}


def _checks_by_seed(checks: list[MechanismHealth], seeds: slice) -> list[dict[str, Any]]:
    """Of a session's seeds, which lie at `seeds` among the run's; a run that measured nothing has a single check."""
    chosen = checks[seeds] if len(checks) > 1 else checks
    return [{"alive": check.alive, "reason": check.reason} for check in chosen]


@dataclasses.dataclass(frozen=True)
class _RunMetrics:
    """What a run logged."""

    folder: Path
    rows: list[dict[str, Any]]
    names: list[str]
    """Of its agents."""
    num_seeds: int
    seeds: slice
    """The position of the session's seeds among the run's."""

    def values(self, row: dict[str, Any], key: str) -> list[float | None]:
        """One number per seed of the session. Raises CorruptFileError."""
        return seed_values(self.folder, row, key, self.num_seeds)[self.seeds]

    def series(self, rows: list[dict[str, Any]], keys: dict[str, str]) -> dict[str, Any]:
        """Steps f[N] and, by name, one list of N numbers per seed. Raises CorruptFileError."""
        by_name = {name: [self.values(row, key) for row in rows] for name, key in keys.items()}
        return {
            "steps": [row["steps"] for row in rows],
            **{name: [list(seed) for seed in zip(*values, strict=True)] for name, values in by_name.items()},
        }


def _run_metrics(run: TrainingRun, session: Session) -> _RunMetrics:
    folder = session.run_dir(run)
    config = load_config(folder)
    first = session.seed - config.seed
    seeds = slice(first, first + len(session.seeds_of(run)))
    rows = read_metrics(folder)
    check_seed_metrics(folder, rows, variant_prefixes(config), config.num_seeds)
    return _RunMetrics(folder, rows, slot_names(config), config.num_seeds, seeds)


def _subsample(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return rows[:: max(1, -(-len(rows) // MAX_CURVE_POINTS))]
