"""What a penalty does to agents that learn alone.

Source: the first author's talk of 2020: agents ignore low penalties; with high ones they take one goal and no more.
"""

from __future__ import annotations

import numpy as np

from rookery.studies import budgets, figures
from rookery.studies.agent_sources import TrainedAgents
from rookery.studies.claims import judge_mean, mean_greater
from rookery.studies.followers import every_seed_stops_after_one_goal
from rookery.studies.ndousse2021.shared_runs import EXPERT_AGENTS, GOAL_CYCLE_3
from rookery.studies.results import Results
from rookery.studies.study import Claim, Condition, Study, Verdict
from rookery.studies.training_run import Budget, TrainingRun
from rookery.training.config import RunConfig, Variant

_PENALTIES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5)
_GOALS, _MISTAKES = "metrics_solo: goals", "metrics_solo: mistakes"


def _variant_name(penalty: float) -> str:
    return f"penalty-{round(100 * penalty)}-percent"


def _sweep_config(budget: Budget) -> RunConfig:
    variants = tuple(Variant(name=_variant_name(penalty), env_schedules={"penalty": penalty}) for penalty in _PENALTIES)
    return budgets.solo_run_config(budget, "penalties", variants, env_schedules={"penalty": 1.5})


_SWEEP_RUN = TrainingRun(name="penalties", configure=_sweep_config)
_CONDITIONS = {
    p: Condition(label=f"penalty {p:g}", agents=TrainedAgents(run=_SWEEP_RUN, variant=_variant_name(p)))
    for p in _PENALTIES
}


def _judge_no_order(results: Results) -> Verdict:
    """An agent that enters either of the other two goals blindly is rewarded every second time."""
    goals, mistakes = (results.values(_CONDITIONS[0.0].label, name) for name in (_GOALS, _MISTAKES))
    quantity = "fraction of entries that are rewarded, at penalty 0; claimed < 0.67"
    return judge_mean(goals / np.maximum(goals + mistakes, 1e-9), quantity, below=2 / 3)


STUDY = Study(
    name="ndousse2021/talk2020/penalty",
    title="A penalty, alone",
    source="Ndousse 2020, talk: penalty sweep",
    compares="solo learners at constant penalties from 0 to 1.5: goals and mistakes per episode",
    conditions=(*_CONDITIONS.values(), EXPERT_AGENTS),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=(
        mean_greater("The higher the penalty, the fewer mistakes: more at 0 than at 0.5.",
                     _CONDITIONS[0.0].label, _CONDITIONS[0.5].label, _MISTAKES),
        mean_greater("There are more mistakes at 0.5 than at 1.5.",
                     _CONDITIONS[0.5].label, _CONDITIONS[1.5].label, _MISTAKES),
        mean_greater("The higher the penalty, the fewer goals: more at 0 than at 1.5.",
                     _CONDITIONS[0.0].label, _CONDITIONS[1.5].label, _GOALS),
        every_seed_stops_after_one_goal("At 1.5 every seed takes one goal and makes no mistake.",
                                        _CONDITIONS[1.5].label),
        Claim(text="Without a penalty agents keep no order: fewer than two of three entries are rewarded.",
              judge=_judge_no_order),
    ),
    figures=figures.count_figures,
    num_seeds=5,
    definition=3,
    changes={2: budgets.DEFINITION_2, 3: budgets.DEFINITION_3},
)  # fmt: skip
