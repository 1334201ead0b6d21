"""A maze with an expert and two agents that move at random: do social learners find out which one to follow?

Source: Ndousse et al. 2021, figure 10 and appendix 7.3.
"""

from __future__ import annotations

import functools

from rookery.studies import budgets, figures
from rookery.studies.claims import changed, mean_above, mean_greater
from rookery.studies.ndousse2021.shared_runs import (
    CLONED_EXPERTS,
    CROWDED_MAZE,
    GOAL_CYCLE_3,
    MAZE,
    SOCIAL_NEXT_FRAME,
    SOLO_NEXT_FRAME,
    TASK_EXPERTS,
    THREE_GOAL_EXPERTS,
    clones_fail_in,
    only_in,
)  # fmt: skip
from rookery.studies.study import Study

_NEXT_FRAME, _CROWDED_MAZE = SOCIAL_NEXT_FRAME.label, CROWDED_MAZE.name

STUDY = Study(
    name="ndousse2021/fig10",
    title="A maze with distractors",
    source="Ndousse et al. 2021, figure 10",
    compares="zero-shot, frozen: a maze with an expert and two random movers; social, solo, cloning, 3-goal experts",
    conditions=(SOCIAL_NEXT_FRAME, SOLO_NEXT_FRAME, CLONED_EXPERTS, THREE_GOAL_EXPERTS,
                only_in(TASK_EXPERTS, CROWDED_MAZE, MAZE)),
    eval_conditions=(CROWDED_MAZE, MAZE, GOAL_CYCLE_3),
    claims=(
        mean_above("With random movers, social learners use the others: their social gain is above 0.",
                   _NEXT_FRAME, 0.0, "social_gain", _CROWDED_MAZE),
        changed(mean_greater("With random movers, social learners earn more than solo learners.",
                             _NEXT_FRAME, SOLO_NEXT_FRAME.label, eval_condition=_CROWDED_MAZE), since=2),
        changed(mean_greater("With random movers, social learners earn more than clones.",
                             _NEXT_FRAME, CLONED_EXPERTS.label, eval_condition=_CROWDED_MAZE),
                withheld=clones_fail_in("mazes")),
        mean_greater("With random movers, social learners earn more than the 3-goal experts.",
                     _NEXT_FRAME, THREE_GOAL_EXPERTS.label, eval_condition=_CROWDED_MAZE),
        mean_greater("Social learners earn less with random movers than without.",
                     _NEXT_FRAME, _NEXT_FRAME, eval_condition=MAZE.name, other_eval_condition=_CROWDED_MAZE),
    ),
    figures=functools.partial(figures.eval_condition_figures, trained_in=GOAL_CYCLE_3.name),
    num_seeds=12,
    definition=3,
    changes={2: budgets.DEFINITION_2, 3: budgets.DEFINITION_3},
)  # fmt: skip
