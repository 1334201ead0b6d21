"""A maze with an expert and two agents that move at random: whom to watch?

Source: Ndousse et al. 2021, figure 10.
"""

from __future__ import annotations

from rookery.studies import figures
from rookery.studies.claims import exceeds, more
from rookery.studies.ndousse2021.programs import (
    CLONES,
    CROWDED_MAZE,
    MAZE,
    SOCIAL_NEXT,
    SOLO,
    TASK_EXPERTS,
    THREE_GOAL_EXPERTS,
)  # fmt: skip
from rookery.studies.study import Study

NEXT, CROWD = SOCIAL_NEXT.label, CROWDED_MAZE.name

STUDY = Study(
    name="ndousse2021/fig10",
    title="A maze with distractors",
    source="Ndousse et al. 2021, figure 10",
    compares="zero-shot, frozen: a maze with an expert and two random movers; social, solo, cloning, 3-goal experts",
    arms=(SOCIAL_NEXT, SOLO, CLONES, THREE_GOAL_EXPERTS, TASK_EXPERTS),
    scenes=(CROWDED_MAZE, MAZE),
    claims=(
        more("Among random movers social learners earn more than solo learners.", NEXT, SOLO.label, scene=CROWD),
        more("They earn more than clones.", NEXT, CLONES.label, scene=CROWD),
        more("They earn more than the 3-goal experts.", NEXT, THREE_GOAL_EXPERTS.label, scene=CROWD),
        exceeds("They use the company: their social gain is above 0.", NEXT, 0.0, "gain", CROWD),
        more("Random movers cost them something.", NEXT, NEXT, scene=MAZE.name, other_scene=CROWD),
    ),
    figures=figures.scenes,
    seeds=5,
)
