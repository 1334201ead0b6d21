"""What a study measured, as its claims, figures and report read it."""

from __future__ import annotations

import dataclasses

import numpy as np

from rookery.errors import MissingError
from rookery.studies.measuring import MEASURES
from rookery.studies.statistics import Interval
from rookery.studies.teams import TEAM_MEASURES


@dataclasses.dataclass(frozen=True)
class Results:
    """The content of results.json. Every number of claims, figures and report comes from it."""

    data: dict

    @property
    def arms(self) -> list[str]:
        return list(dict.fromkeys(row["arm"] for row in self.data["rows"]))

    @property
    def scenes(self) -> list[str]:
        return list(dict.fromkeys(row["scene"] for row in self.data["rows"]))

    def arms_in(self, scene: str | None) -> list[str]:
        """The arms that were tested in one scene; None: in any."""
        return [arm for arm in self.arms if scene is None or scene in self.scenes_of(arm)]

    def scenes_of(self, arm: str) -> list[str]:
        return list(dict.fromkeys(row["scene"] for row in self.data["rows"] if row["arm"] == arm))

    def rows(self, arm: str, scene: str | None = None) -> list[dict]:
        """An arm's rows in one scene (default: its first), by seed. Raises MissingError."""
        scene = scene or next(iter(self.scenes_of(arm)), None)
        found = [row for row in self.data["rows"] if (row["arm"], row["scene"]) == (arm, scene)]
        if not found:
            raise MissingError(f"no results of arm {arm!r} in scene {scene!r}; there are: {', '.join(self.arms)}")
        return found

    def measures(self, arm: str, scene: str | None = None) -> list[str]:
        """The measures with intervals that an arm's rows have."""
        return [name for name in (*MEASURES, *TEAM_MEASURES) if name in self.rows(arm, scene)[0]]

    def has_seeds(self, arm: str) -> bool:
        return self.rows(arm)[0]["seed"] is not None

    def values(self, arm: str, measure: str = "beside", scene: str | None = None) -> np.ndarray:
        """Means of an arm's agents, f[seeds]; one value for an arm without seeds."""
        return np.array([self._mean(row, measure) for row in self.rows(arm, scene)], float)

    def intervals(self, arm: str, measure: str = "beside", scene: str | None = None) -> list[Interval]:
        """Of each agent's mean, over its episodes."""
        nan = float("nan")
        return [
            Interval(*(nan if (x := row[measure][k]) is None else x for k in ("mean", "low", "high")))
            for row in self.rows(arm, scene)
        ]

    def level(self, arm: str, measure: str = "beside", scene: str | None = None) -> float:
        """An arm's mean."""
        return float(self.values(arm, measure, scene).mean())

    @staticmethod
    def _mean(row: dict, measure: str) -> float:
        """A measure with an interval, or 'PART: NAME' such as 'counts beside: mistakes'."""
        if ": " in measure:
            part, name = measure.split(": ", 1)
            return row[part][name]
        value = row[measure]
        return value["mean"] if isinstance(value, dict) else value
