"""What a study is: conditions (agents), evaluation conditions (tasks), claims about the results, and figures.

A study is one file that makes one `Study`. Its agents come from runs that studies share: the agents of figure 4 are
evaluated again for figure 6.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from rookery.errors import ConfigError
from rookery.intervals import Interval
from rookery.significance import MIN_SEEDS, SignificanceTest
from rookery.studies.agent_sources import AgentSource
from rookery.studies.frozen_evaluation import TeamEvalCondition
from rookery.studies.mechanisms import MechanismCheck
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.training_run import BUDGETS, Budget, TrainingRun

HOLDS, FAILS, UNDECIDED, NOT_TESTED = "holds", "does not hold", "undecided at this budget", "not tested"
UNJUDGED = "not judged"
"""Of every claim at the budget `smoke`."""

Figures = list[tuple[str, Any, str]]
"""(file name without extension, matplotlib figure, caption); the study's main figure first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Condition:
    """One condition of a study, under the name that the reader sees."""

    label: str
    agents: AgentSource
    eval_conditions: tuple[TeamEvalCondition, ...] | None = None
    """Those of the study's that it is evaluated in; None: all. For agents that fit no other, such as ones that see
    pixels."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The verdict on a claim and what it rests on."""

    outcome: str
    """HOLDS, FAILS, UNDECIDED or NOT_TESTED."""
    quantity: str
    """What was measured, in words."""
    interval: Interval
    detail: str = ""
    test: SignificanceTest | None = None
    """What decided it; None: a count of these particular agents, without inference to other seeds."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """One sentence and the function that judges it by the results."""

    text: str
    judge: Callable[[Results], Verdict]
    mechanisms: tuple[MechanismCheck, ...] = ()
    """What must have been alive in the runs for the claim to be tested at all."""
    withheld: Callable[[Results], str | None] | None = None
    """Another reason why the results do not test the claim, such as a comparison that is not fair; None: there is
    none."""
    since: int = 1
    """The definition of the study (`Study.definition`) whose measurements the claim needs; older results do not test
    it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """One published experiment, or one of this project's."""

    name: str
    title: str
    source: str
    compares: str
    conditions: tuple[Condition, ...]
    eval_conditions: tuple[TeamEvalCondition, ...]
    claims: tuple[Claim, ...]
    """The first is the primary one, named before anything is trained; the others are corrected for their number."""
    figures: Callable[[Results], Figures]
    """Makes the figures from results alone."""
    num_seeds: int = MIN_SEEDS
    """At `desk` and `paper`."""
    notes: tuple[str, ...] = ()
    """Differences from the paper that no setting shows."""
    measure_extra: Callable[[Session], dict] | None = None
    """Measures more than the evaluation conditions do, as JSON."""
    budgets: tuple[Budget, ...] = BUDGETS
    definition: int = 1
    """Counts changes of what the study trains or measures; results record the one they were made by."""
    changes: dict[int, str] = dataclasses.field(default_factory=dict)
    """What each definition after the first changed, for the reader of older results."""
    steps_per_second: dict[Budget, int] | None = None
    """Environment steps per second of all seeds and variants of a run together on one core, for estimates of cost.
    None: as in Goal Cycle."""

    def __post_init__(self) -> None:
        for condition in self.conditions:
            for eval_condition in condition.eval_conditions or ():
                if eval_condition not in self.eval_conditions:
                    raise ConfigError(
                        f"{self.name}: condition {condition.label!r} is evaluated in {eval_condition.name!r}, which is "
                        f"not one of the study's: {', '.join(c.name for c in self.eval_conditions)}"
                    )

    @property
    def runs(self) -> tuple[TrainingRun, ...]:
        """Every run that the study needs, once each; a run that another one starts from comes first."""
        runs: dict[str, TrainingRun] = {}

        def add(run: TrainingRun) -> None:
            if run.init_from:
                add(run.init_from.run)
            runs.setdefault(run.name, run)

        for condition in self.conditions:
            for run in condition.agents.runs():
                add(run)
        return tuple(runs.values())
