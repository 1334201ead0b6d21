"""MEDAL in Goal Cycle: memory and experts, with and without expert dropout and attention loss.

Experts that leave and return within an episode should make an agent remember what they showed; a loss for predicting
where they are should make it attend to them. Every agent is then measured with experts throughout, for the first half
of an episode, and alone.

Source: Bhoopchand et al. 2023, arXiv:2203.00715. Dropout rates and the weight of the attention loss are not published:
here an expert stays, and stays away, a quarter of an episode on average.
"""

from __future__ import annotations

import functools
from typing import Any

from rookery.learning.auxiliary import AttentionLoss
from rookery.studies import budgets
from rookery.studies.agent_sources import TrainedAgents
from rookery.studies.claims import changed
from rookery.studies.figures import training_figures
from rookery.studies.mechanisms import MechanismCheck
from rookery.studies.ndousse2021.shared_runs import GOAL_CYCLE_3
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Condition, Figures, Study
from rookery.studies.training_run import Budget, TrainingRun
from rookery.studies.transmission import (
    TRANSMISSION_MEASURES,
    remembers,
    transmission_differs,
    transmission_of,
    transmission_values,
)
from rookery.training.config import RunConfig, Variant
from rookery.training.schedules import Schedule
from rookery.viz.plots import interval_dots

DWELLS_PER_EPISODE = 4
"""How often an expert would leave or return in an episode, on average, if it never met its end."""


def _task(budget: Budget) -> Any:
    """The task of the other studies, whose experts may leave."""
    return budgets.goal_cycle_task(budget, dropout_slots=(1, 2))


def _config(budget: Budget) -> RunConfig:
    task = _task(budget)
    rate = DWELLS_PER_EPISODE / task.max_steps
    dropout: dict[str, Schedule] = {"leave_prob": rate, "return_prob": rate}
    variants = (
        Variant(name="dropout-attention", env_schedules=dropout),
        Variant(name="dropout", env_schedules=dropout, aux_loss_scale=0.0),
        Variant(name="attention"),
        Variant(name="neither", aux_loss_scale=0.0),
    )
    return budgets.run_config(budget, "medal", variants, auxiliary=AttentionLoss, task=task)


RUN = TrainingRun(name="medal", configure=_config, published_config=functools.partial(_config, "desk"))
BOTH, DROPOUT, ATTENTION, NEITHER = (
    Condition(label=label, agents=TrainedAgents(run=RUN, variant=variant))
    for label, variant in (
        ("dropout + attention", "dropout-attention"),
        ("dropout", "dropout"),
        ("attention", "attention"),
        ("neither", "neither"),
    )
)
BOTH_ATTEND, ATTENTION_ATTENDS = (
    MechanismCheck(mechanism="attention", condition=condition.label) for condition in (BOTH, ATTENTION)
)
_CONDITIONS = (BOTH, DROPOUT, ATTENTION, NEITHER)


def _measure(session: Session) -> dict[str, Any]:
    return transmission_of(session, _task(session.budget), _CONDITIONS)


def _figures(results: Results) -> Figures:
    """The measures of transmission of every agent; then the curves of training."""
    captions = {
        "cultural transmission": "½ (A_full - A_solo) / E + ½ (A_half - A_solo) / E of every agent.",
        "following": "(A_full - A_solo) / E of every agent.",
        "recall": "Return after the experts left, divided by the experts' return in the same steps.",
        "recall beyond alone": "Return after the experts left minus return alone, divided by the experts', in the same "
        "steps.",
    }
    figures: Figures = []
    for measure in TRANSMISSION_MEASURES:
        by_condition = {c.label: transmission_values(results, c.label, measure) for c in _CONDITIONS}
        defined = {label: values for label, values in by_condition.items() if len(values)}
        if defined:
            figures.append((measure.replace(" ", "_"), interval_dots(defined, xlabel=measure), captions[measure]))
    return [*figures, *training_figures(results)]


STUDY = Study(
    name="bhoopchand2023/medal",
    title="Expert dropout and attention loss",
    source="Bhoopchand et al. 2023, arXiv:2203.00715",
    compares="novices whose experts leave and return or stay, with and without a loss for predicting where they are",
    conditions=_CONDITIONS,
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        changed(transmission_differs("With the attention loss, experts that leave and return raise recall.",
                                     BOTH.label, ATTENTION.label, "recall beyond alone"),
                mechanisms=(BOTH_ATTEND, ATTENTION_ATTENDS), since=2),
        changed(transmission_differs("Without it, they raise recall as well.",
                                     DROPOUT.label, NEITHER.label, "recall beyond alone"), since=2),
        changed(remembers("Agents with both earn more than alone after their experts have left.", BOTH.label),
                mechanisms=(BOTH_ATTEND,), since=2),
        changed(transmission_differs("With dropout, the attention loss raises cultural transmission.",
                                     BOTH.label, DROPOUT.label, "cultural transmission"),
                mechanisms=(BOTH_ATTEND,)),
        changed(transmission_differs("Without dropout, the attention loss raises following.",
                                     ATTENTION.label, NEITHER.label, "following"),
                mechanisms=(ATTENTION_ATTENDS,)),
    ),
    figures=_figures,
    num_seeds=5,
    definition=2,
    changes={2: "what an agent earns alone in the second half of an episode is measured, and three claims about recall "
                "subtract it; recall counted what agents find out alone, and cultural transmission above ¾ of "
                "following shows no memory, but a gain that is larger in the first half"},
    notes=(
        "Learner, network and training are this project's; the paper's are not compared setting by setting.",
        "The paper's world is three-dimensional, with obstacles that grow automatically; here it is Goal Cycle.",
        "Transmission is measured next to scripted experts that see the whole map and find the order by trying; at the "
        "budget desk agents train next to trained experts that see their own view.",
    ),
    measure_extra=_measure,
)  # fmt: skip
