"""What a study measured, as its claims, figures and report read it."""

from __future__ import annotations

import dataclasses

import numpy as np

from rookery.errors import NotFoundError
from rookery.studies.evaluate import MEASURES
from rookery.studies.statistics import Interval
from rookery.studies.trained_teams import TEAM_MEASURES


@dataclasses.dataclass(frozen=True)
class Results:
    """The content of results.json. Every number of claims, figures and report comes from it."""

    data: dict

    @property
    def conditions(self) -> list[str]:
        return list(dict.fromkeys(row["condition"] for row in self.data["rows"]))

    @property
    def eval_conditions(self) -> list[str]:
        return list(dict.fromkeys(row["eval_condition"] for row in self.data["rows"]))

    def conditions_in(self, eval_condition: str | None) -> list[str]:
        """The arms that were tested in one scene; None: in any."""
        return [
            arm for arm in self.conditions if eval_condition is None or eval_condition in self.eval_conditions_of(arm)
        ]

    def eval_conditions_of(self, condition: str) -> list[str]:
        return list(dict.fromkeys(row["eval_condition"] for row in self.data["rows"] if row["condition"] == condition))

    def rows(self, condition: str, eval_condition: str | None = None) -> list[dict]:
        """An arm's rows in one scene (default: its first), by seed. Raises MissingError."""
        eval_condition = eval_condition or next(iter(self.eval_conditions_of(condition)), None)
        found = [row for row in self.data["rows"] if (row["condition"], row["eval_condition"]) == (condition, eval_condition)]
        if not found:
            raise NotFoundError(
                f"no results of arm {condition!r} in scene {eval_condition!r}; there are: {', '.join(self.conditions)}"
            )
        return found

    def measures(self, condition: str, eval_condition: str | None = None) -> list[str]:
        """The measures with intervals that an arm's rows have."""
        return [name for name in (*MEASURES, *TEAM_MEASURES) if name in self.rows(condition, eval_condition)[0]]

    def has_seeds(self, condition: str) -> bool:
        return self.rows(condition)[0]["seed"] is not None

    def values(self, condition: str, measure: str = "return_social", eval_condition: str | None = None) -> np.ndarray:
        """Means of an arm's agents, f[seeds]; one value for an arm without seeds."""
        return np.array([self._row_mean(row, measure) for row in self.rows(condition, eval_condition)], float)

    def intervals(self, condition: str, measure: str = "return_social", eval_condition: str | None = None) -> list[Interval]:
        """Of each agent's mean, over its episodes."""
        nan = float("nan")
        return [
            Interval(*(nan if (x := row[measure][k]) is None else x for k in ("mean", "low", "high")))
            for row in self.rows(condition, eval_condition)
        ]

    def mean(self, condition: str, measure: str = "return_social", eval_condition: str | None = None) -> float:
        """An arm's mean."""
        return float(self.values(condition, measure, eval_condition).mean())

    @staticmethod
    def _row_mean(row: dict, measure: str) -> float:
        """A measure with an interval, or 'PART: NAME' such as 'metrics_social: mistakes'."""
        if ": " in measure:
            part, name = measure.split(": ", 1)
            return row[part][name]
        value = row[measure]
        return value["mean"] if isinstance(value, dict) else value
