"""What results.json of a study, and the measurements that it is made of, must hold for its claims and its page.

Objects may hold more, and results of older definitions lack the entries that are not required.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypedDict

from rookery.errors import ConfigError
from rookery.storage.serialization import check_json
from rookery.studies.measures import TEAM_MEASURES

Curves = dict[str, tuple[float | tuple[float | None, ...], ...]]
"""Name to f[points], such as 'steps', or to f[seeds, points]; null where nothing was measured."""


class MeanInterval(TypedDict):
    """`Interval.to_dict("mean")`."""

    mean: float | None
    low: float | None
    high: float | None


class AgentMeasures(TypedDict):
    """As of `rookery.studies.measures.agent_measures`."""

    eval_episodes: int
    return_social: MeanInterval
    return_solo: MeanInterval
    social_gain: MeanInterval
    return_partners: float | None
    metrics_social: dict[str, float]
    metrics_solo: dict[str, float]
    metrics_partners: dict[str, float]


class _EveryTeamMeasure(TypedDict):
    eval_episodes: int
    collective_reward: MeanInterval
    equality: MeanInterval
    returns: dict[str, float]
    metrics: dict[str, float]


class TeamMeasures(_EveryTeamMeasure, total=False):
    """As of `rookery.studies.measures.team_measures`."""

    sustainability: MeanInterval
    peace: MeanInterval


class _Row(TypedDict):
    condition: str
    eval_condition: str
    seed: int | None


class AgentRow(_Row, AgentMeasures):
    """One agent in one evaluation condition."""


class TeamRow(_Row, TeamMeasures):
    """One team in one evaluation condition."""


class _JudgedClaim(TypedDict):
    claim: str
    verdict: str
    quantity: str
    value: float | None
    low: float | None
    high: float | None
    detail: str


class JudgedClaim(_JudgedClaim, total=False):
    """As of `rookery.studies.judging.judge_claims`."""

    primary: bool
    p_value: float | None
    exact_p_value: float | None
    corrected_p_value: float | None
    detectable: float | str | None


class MechanismResult(TypedDict):
    """Whether a mechanism was alive in one seed."""

    alive: bool | None
    reason: str


class ConditionCurves(TypedDict, total=False):
    """The learning curves of one condition."""

    checkpoints: Curves
    learning: Curves
    health: dict[str, Curves]


class Machine(TypedDict):
    """As of `rookery.training.devices.machine_info`."""

    processor: str
    cores: int | None
    jax: str


class _RunSummary(TypedDict):
    run: str
    steps_per_seed: int
    seconds: float
    machine: Machine


class RunSummary(_RunSummary, total=False):
    """As of `rookery.studies.run_study.summarize_runs`."""

    num_seeds: int
    trained_seeds: tuple[int, ...]
    """Where `seconds` are of other seeds than the study's."""
    machines: tuple[Machine, ...]


class Difference(TypedDict):
    """A setting that differs from the paper's."""

    setting: str
    paper: object
    here: object
    runs: tuple[str, ...]


class _LaterEntries(TypedDict, total=False):
    definition: int
    mechanisms: dict[str, tuple[MechanismResult, ...]]


class _StudyResults(_LaterEntries):
    study: str
    budget: Literal["smoke", "desk", "paper"]
    seeds: tuple[int, ...]
    eval_episodes: int
    curves: dict[str, ConditionCurves]
    extra_measurements: dict[str, object]
    runs: tuple[RunSummary, ...]
    config_diff: tuple[Difference, ...]
    notes: tuple[str, ...]
    seconds: dict[str, float]
    machine: dict[str, object]
    claims: tuple[JudgedClaim, ...]


class AgentResults(_StudyResults):
    """The results of a study of single agents."""

    rows: tuple[AgentRow, ...]


class TeamResults(_StudyResults):
    """The results of a study of teams."""

    rows: tuple[TeamRow, ...]


def check_results(data: Any) -> None:
    """Raises ConfigError, naming the entry, for what is not the content of a study's results.json."""
    rows = data.get("rows") if isinstance(data, dict) else None
    has_teams = isinstance(rows, list) and any(isinstance(row, dict) and TEAM_MEASURES[0] in row for row in rows)
    check_json(TeamResults if has_teams else AgentResults, data, "results")
    if not data["seeds"]:
        raise ConfigError("results.seeds is empty; it must list at least one seed")
    _check_seeds(data)


def _check_seeds(data: dict[str, Any]) -> None:
    """Raises ConfigError, naming condition and seed, for rows or learning curves that do not fit the seeds."""
    seeds: dict[tuple[str, str], set[int | None]] = {}
    for number, row in enumerate(data["rows"]):
        condition, eval_condition, seed = row["condition"], row["eval_condition"], row["seed"]
        known = seeds.setdefault((condition, eval_condition), set())
        if seed in known:
            raise ConfigError(
                f"results.rows.{number} is a second row of condition {condition!r}, seed {seed}, in {eval_condition!r}"
            )
        if seed is not None and seed not in data["seeds"]:
            raise ConfigError(
                f"results.rows.{number} of condition {condition!r} has seed {seed}, which results.seeds does not list"
            )
        known.add(seed)
    for (condition, eval_condition), known in seeds.items():
        for name, num_curves in _curve_counts(data["curves"].get(condition, {})):
            if num_curves != len(known):
                raise ConfigError(
                    f"results.curves.{condition}: {name!r} has {num_curves} seeds, but condition {condition!r} has "
                    f"{len(known)} rows in {eval_condition!r}"
                )


def _curve_counts(curves: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The name and number of seeds of each curve that has one line per seed."""
    for name, value in curves.items():
        if isinstance(value, Mapping):
            yield from _curve_counts(value)
        elif value and isinstance(value[0], list):
            yield name, len(value)
