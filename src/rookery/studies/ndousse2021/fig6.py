"""Zero-shot transfer: frozen agents among experts of tasks they never met.

Source: Ndousse et al. 2021, figure 6 and section 5.2.
"""

from __future__ import annotations

from rookery.studies import figures
from rookery.studies.claims import exceeds, falls_below, more
from rookery.studies.ndousse2021.programs import (
    CLONES,
    FOUR_GOALS,
    HOME,
    MAZE,
    ROOMS,
    SOCIAL_NEXT,
    SOLO,
    TASK_EXPERTS,
    THREE_GOAL_CLONES,
    THREE_GOAL_EXPERTS,
    VANILLA,
)  # fmt: skip
from rookery.studies.study import Claim, Study

NEXT, ALONE, CLONE, OLD = (arm.label for arm in (SOCIAL_NEXT, SOLO, CLONES, THREE_GOAL_EXPERTS))
TASKS = (FOUR_GOALS, ROOMS, MAZE)


def _claims() -> tuple[Claim, ...]:
    found = []
    for scene in TASKS:
        name = scene.name
        found += [
            more(f"In {name}, social learners earn more than solo learners.", NEXT, ALONE, scene=name),
            more(f"In {name}, social learners earn more than clones.", NEXT, CLONE, scene=name),
            more(f"In {name}, the 3-goal experts earn more than their clones.",
                 OLD, THREE_GOAL_CLONES.label, scene=name),
            exceeds(f"In {name}, social learners use the experts: their social gain is above 0.",
                    NEXT, 0.0, "gain", name),
        ]  # fmt: skip
    four, maze = FOUR_GOALS.name, MAZE.name
    return (
        *found,
        falls_below(f"In {four}, the 3-goal experts lose: they earn less than 0.", OLD, 0.0, scene=four),
        more(f"In {four}, social learners earn more than the 3-goal experts.", NEXT, OLD, scene=four),
        more(f"In {maze}, social learners earn more than the 3-goal experts.", NEXT, OLD, scene=maze),
    )


STUDY = Study(
    name="ndousse2021/fig6",
    title="Transfer without training",
    source="Ndousse et al. 2021, figure 6",
    compares="zero-shot, frozen: 4-goal cycle, four rooms, maze, each with that task's experts; social, solo, cloning, "
    "3-goal experts",
    arms=(SOCIAL_NEXT, VANILLA, SOLO, CLONES, THREE_GOAL_CLONES, THREE_GOAL_EXPERTS, TASK_EXPERTS),
    scenes=(*TASKS, HOME),
    claims=_claims(),
    figures=figures.scenes,
    seeds=5,
    notes=(
        "The 3-goal experts under test are trained agents, the imperfect experts of figure 5: the scripted ones that "
        "novices were trained beside find the order of any task.",
        "The experts of the transfer tasks are scripted ones that see the map and find a hidden order by trying. "
        "Rewards, length and number of experts of four rooms and maze are not printed; here 1 a goal, the length of "
        "the training task, and one expert.",
    ),
)
