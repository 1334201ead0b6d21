"""A maze with an expert and two agents that move at random: whom to watch?

Source: Ndousse et al. 2021, figure 10.
"""

from __future__ import annotations

from rookery.studies import figures
from rookery.studies.claims import mean_above, mean_greater
from rookery.studies.ndousse2021.shared_runs import (
    CLONED_EXPERTS,
    CROWDED_MAZE,
    MAZE,
    SOCIAL_NEXT_FRAME,
    SOLO_NEXT_FRAME,
    TASK_EXPERTS,
    THREE_GOAL_EXPERTS,
)  # fmt: skip
from rookery.studies.study import Study

_NEXT_FRAME, _CROWDED_MAZE = SOCIAL_NEXT_FRAME.label, CROWDED_MAZE.name

STUDY = Study(
    name="ndousse2021/fig10",
    title="A maze with distractors",
    source="Ndousse et al. 2021, figure 10",
    compares="zero-shot, frozen: a maze with an expert and two random movers; social, solo, cloning, 3-goal experts",
    conditions=(SOCIAL_NEXT_FRAME, SOLO_NEXT_FRAME, CLONED_EXPERTS, THREE_GOAL_EXPERTS, TASK_EXPERTS),
    eval_conditions=(CROWDED_MAZE, MAZE),
    claims=(
        mean_greater(
            "Among random movers social learners earn more than solo learners.",
            _NEXT_FRAME,
            SOLO_NEXT_FRAME.label,
            eval_condition=_CROWDED_MAZE,
        ),
        mean_greater("They earn more than clones.", _NEXT_FRAME, CLONED_EXPERTS.label, eval_condition=_CROWDED_MAZE),
        mean_greater(
            "They earn more than the 3-goal experts.",
            _NEXT_FRAME,
            THREE_GOAL_EXPERTS.label,
            eval_condition=_CROWDED_MAZE,
        ),
        mean_above("They use the company: their social gain is above 0.", _NEXT_FRAME, 0.0, "social_gain", _CROWDED_MAZE),
        mean_greater(
            "Random movers cost them something.",
            _NEXT_FRAME,
            _NEXT_FRAME,
            eval_condition=MAZE.name,
            other_eval_condition=_CROWDED_MAZE,
        ),
    ),
    figures=figures.eval_condition_figures,
    num_seeds=5,
)
