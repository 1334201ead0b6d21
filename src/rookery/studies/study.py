"""What a study is: arms of agents, scenes they are tested in, claims about what comes out, figures.

A study is one file that makes one `Study`. Its agents come from `Training`s, which studies share: the agents of
figure 4 are tested again for figure 6.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from rookery.errors import ConfigError
from rookery.studies.statistics import Interval
from rookery.training.config import PolicyConfig, RunConfig

if TYPE_CHECKING:
    from rookery.studies.results import Results

Budget = Literal["smoke", "desk", "paper"]
BUDGETS: tuple[Budget, ...] = ("smoke", "desk", "paper")
"""Seconds and no claims; one desktop; the published hyperparameters to the letter."""

HOLDS, FAILS, UNDECIDED, UNJUDGED = "holds", "does not hold", "undecided at this budget", "not judged"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """One compiled program: arms × seeds that train side by side in one run."""

    name: str  # of its folder; the same name is the same program in every study
    configure: Callable[[Budget], RunConfig]  # the seeds are filled in by whoever runs it
    init_from: TrainedAgents | None = None
    """Each seed's novice starts as the agent of this training and arm with the same seed."""
    published_config: Callable[[], RunConfig] | None = None
    """The run as published, whose settings the report compares; None: Ndousse et al.'s."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedAgents:
    """The agents of one arm of a training, one a seed."""

    run: TrainingRun
    variant: str
    group: str = "novice"
    slot: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedAgent:
    """One agent that comes ready: from the zoo, scripted or random. It has no seeds."""

    policy: Callable[[Budget], PolicyConfig]  # one that does not learn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Condition:
    """One condition of a study, under the name the reader sees."""

    label: str
    agents: Any  # Learned, Fixed, or another source of agents, such as a LearnedTeam (see teams.py)
    eval_conditions: tuple[Any, ...] | None = None
    """Where it is tested, of the study's scenes; None: in all. For agents that fit no other, such as ones that see
    pixels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalCondition:
    """Where frozen agents are tested: they take slot 0, the `beside` fill the others."""

    name: str
    task: Callable[[Budget], Any]
    partners: Callable[[Budget], tuple[PolicyConfig, ...]]  # one for each slot from 1 on


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What came of a claim."""

    outcome: str  # HOLDS, FAILS or UNDECIDED
    quantity: str  # what was measured, in words
    interval: Interval
    detail: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Claim:
    """One sentence and the function that judges it by the results."""

    text: str
    judge: Callable[[Results], Verdict]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """One published experiment. `figures` makes (name, matplotlib figure, caption) from results alone."""

    name: str
    title: str
    source: str
    compares: str
    conditions: tuple[Condition, ...]
    eval_conditions: tuple[Any, ...]  # Scene, or for teams TeamScene
    claims: tuple[Claim, ...]
    figures: Callable[[Results], list[tuple[str, Any, str]]]
    num_seeds: int = 3  # at desk and paper
    notes: tuple[str, ...] = ()  # deviations from the paper that no setting shows
    measure_extra: Callable | None = None
    """What it measures beside the scenes: a function of a `Bench` (see running.py), giving JSON."""
    budgets: tuple[Budget, ...] = BUDGETS
    steps_per_second: dict[Budget, int] | None = None
    """Environment steps that all seeds and arms of its programs make together on one core, by budget; for estimates.
    None: as Goal Cycle's."""

    def __post_init__(self):
        for arm in self.conditions:
            for scene in arm.eval_conditions or ():
                if scene not in self.eval_conditions:
                    raise ConfigError(f"{self.name}: arm {arm.label!r} is tested in {scene.name!r}, which is no scene")

    @property
    def runs(self) -> tuple[TrainingRun, ...]:
        """Every training it needs, once each, those that others start from first."""
        found: dict[str, TrainingRun] = {}

        def add(training: TrainingRun) -> None:
            if training.init_from:
                add(training.init_from.run)
            found.setdefault(training.name, training)

        for arm in self.conditions:
            for training in getattr(arm.agents, "runs", lambda: ())():
                add(training)
            if isinstance(arm.agents, TrainedAgents):
                add(arm.agents.run)
        return tuple(found.values())
