"""What a study measured, as its claims, figures and report read it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from rookery.errors import NotFoundError
from rookery.intervals import Interval
from rookery.studies.measures import AGENT_MEASURES, TEAM_MEASURES


@dataclasses.dataclass(frozen=True)
class Results:
    """The content of results.json; every number in claims, figures and report comes from it."""

    data: dict[str, Any]

    @property
    def extra(self) -> dict[str, Any]:
        """What the study's `measure_extra` returned."""
        return self.data["extra_measurements"]

    @property
    def curves(self) -> dict[str, Any]:
        """Learning curves by condition."""
        return self.data["curves"]

    def curve(self, condition: str) -> dict[str, Any]:
        """A condition's learning curves."""
        return self.curves[condition]

    @property
    def has_teams(self) -> bool:
        """Whether the rows are of teams that trained together, not of single agents."""
        return any(TEAM_MEASURES[0] in row for row in self.data["rows"])

    @property
    def conditions(self) -> list[str]:
        return list(dict.fromkeys(row["condition"] for row in self.data["rows"]))

    @property
    def eval_conditions(self) -> list[str]:
        return list(dict.fromkeys(row["eval_condition"] for row in self.data["rows"]))

    @property
    def seed_counts(self) -> dict[str, int]:
        """How many seeds each condition has, of those whose agents have seeds."""
        seeds: dict[str, set[int]] = {}
        for row in self.data["rows"]:
            if row["seed"] is not None:
                seeds.setdefault(row["condition"], set()).add(row["seed"])
        return {condition: len(numbers) for condition, numbers in seeds.items()}

    @property
    def num_seeds_text(self) -> str:
        """How many seeds the conditions have: '6 seeds', or '6 to 24 seeds'; without conditions, the study's."""
        counts = self.seed_counts.values() or [len(self.data["seeds"])]
        if self.data["rows"] and not self.seed_counts:
            return "agents without seeds"
        fewest, most = min(counts), max(counts)
        return f"{'' if fewest == most else f'{fewest} to '}{most} seed{'s' if most > 1 else ''}"

    def conditions_in(self, eval_condition: str | None) -> list[str]:
        """The conditions that were evaluated in one evaluation condition; None: in any."""
        return [
            condition
            for condition in self.conditions
            if eval_condition is None or eval_condition in self.eval_conditions_of(condition)
        ]

    def eval_conditions_of(self, condition: str) -> list[str]:
        rows = [row for row in self.data["rows"] if row["condition"] == condition]
        return list(dict.fromkeys(row["eval_condition"] for row in rows))

    def rows(self, condition: str, eval_condition: str | None = None) -> list[dict[str, Any]]:
        """A condition's rows in one evaluation condition (default: its first), by seed.

        Raises: NotFoundError where there are none.
        """
        eval_condition = eval_condition or next(iter(self.eval_conditions_of(condition)), None)
        wanted = (condition, eval_condition)
        rows = [row for row in self.data["rows"] if (row["condition"], row["eval_condition"]) == wanted]
        if not rows:
            raise NotFoundError(
                f"there are no results of condition {condition!r} in {eval_condition!r}; there are results of: "
                f"{', '.join(self.conditions)}"
            )
        return rows

    def measures(self, condition: str, eval_condition: str | None = None) -> list[str]:
        """The measures with intervals that a condition's rows have."""
        return [name for name in (*AGENT_MEASURES, *TEAM_MEASURES) if name in self.rows(condition, eval_condition)[0]]

    def has_seeds(self, condition: str) -> bool:
        return self.rows(condition)[0]["seed"] is not None

    def values(self, condition: str, measure: str = "return_social", eval_condition: str | None = None) -> np.ndarray:
        """Means of a condition's agents, f[seeds]; one value for an agent without seeds.

        Args:
          measure: one with an interval, 'return_partners', or 'GROUP: METRIC' such as 'metrics_social: mistakes'.
        """
        return np.array([self._row_mean(row, measure) for row in self.rows(condition, eval_condition)], float)

    def intervals(
        self, condition: str, measure: str = "return_social", eval_condition: str | None = None
    ) -> list[Interval]:
        """Each agent's mean with its interval over episodes."""
        return [Interval.from_dict(row[measure], "mean") for row in self.rows(condition, eval_condition)]

    def mean(self, condition: str, measure: str = "return_social", eval_condition: str | None = None) -> float:
        """Mean over a condition's agents."""
        return float(self.values(condition, measure, eval_condition).mean())

    @staticmethod
    def _row_mean(row: dict[str, Any], measure: str) -> float:
        if ": " in measure:
            group, name = measure.split(": ", 1)
            return row[group][name]
        value = row[measure]
        return value["mean"] if isinstance(value, dict) else value
