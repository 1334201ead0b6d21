"""Zero-shot transfer: frozen agents with the experts of tasks that they never trained in.

Source: Ndousse et al. 2021, figure 6 and section 4.2.
"""

from __future__ import annotations

import functools

from rookery.studies import budgets, figures
from rookery.studies.claims import changed, mean_above, mean_below, mean_greater
from rookery.studies.ndousse2021.shared_runs import (
    CLONED_EXPERTS,
    FOUR_ROOMS,
    GOAL_CYCLE_3,
    GOAL_CYCLE_4,
    MAZE,
    SOCIAL_NEXT_FRAME,
    SOCIAL_VANILLA,
    SOLO_NEXT_FRAME,
    TASK_EXPERTS,
    THREE_GOAL_CLONES,
    THREE_GOAL_EXPERTS,
    clones_fail_in,
    only_in,
)  # fmt: skip
from rookery.studies.study import Claim, Study

_NEXT_FRAME, _SOLO, _CLONES, _THREE_GOAL_EXPERTS = (
    condition.label for condition in (SOCIAL_NEXT_FRAME, SOLO_NEXT_FRAME, CLONED_EXPERTS, THREE_GOAL_EXPERTS)
)
_TRANSFER_CONDITIONS = (GOAL_CYCLE_4, FOUR_ROOMS, MAZE)


def _claims() -> tuple[Claim, ...]:
    use = [
        mean_above(f"In {place.name}, social learners use the experts: their social gain is above 0.",
                   _NEXT_FRAME, 0.0, "social_gain", place.name)
        for place in _TRANSFER_CONDITIONS
    ]  # fmt: skip
    claims = []
    for eval_condition in _TRANSFER_CONDITIONS:
        name = eval_condition.name
        claims += [
            changed(mean_greater(f"In {name}, social learners earn more than solo learners.",
                                 _NEXT_FRAME, _SOLO, eval_condition=name), since=2),
            changed(mean_greater(f"In {name}, social learners earn more than clones.",
                                 _NEXT_FRAME, _CLONES, eval_condition=name), withheld=clones_fail_in(name)),
            mean_greater(f"In {name}, the 3-goal experts earn more than their clones.",
                         _THREE_GOAL_EXPERTS, THREE_GOAL_CLONES.label, eval_condition=name),
        ]  # fmt: skip
    four, maze = GOAL_CYCLE_4.name, MAZE.name
    return (
        *claims,
        *use,
        mean_below(f"In {four}, the 3-goal experts earn less than 0.", _THREE_GOAL_EXPERTS, 0.0, eval_condition=four),
        mean_greater(
            f"In {four}, social learners earn more than the 3-goal experts.",
            _NEXT_FRAME,
            _THREE_GOAL_EXPERTS,
            eval_condition=four,
        ),
        mean_greater(
            f"In {maze}, social learners earn more than the 3-goal experts.",
            _NEXT_FRAME,
            _THREE_GOAL_EXPERTS,
            eval_condition=maze,
        ),
    )


STUDY = Study(
    name="ndousse2021/fig6",
    title="Zero-shot transfer",
    source="Ndousse et al. 2021, figure 6",
    compares="zero-shot, frozen: 4-goal cycle, four rooms, maze, each with that task's experts; social, solo, cloning, "
    "3-goal experts",
    conditions=(
        SOCIAL_NEXT_FRAME,
        SOCIAL_VANILLA,
        SOLO_NEXT_FRAME,
        CLONED_EXPERTS,
        THREE_GOAL_CLONES,
        THREE_GOAL_EXPERTS,
        only_in(TASK_EXPERTS, *_TRANSFER_CONDITIONS),
    ),
    eval_conditions=(*_TRANSFER_CONDITIONS, GOAL_CYCLE_3),
    claims=_claims(),
    figures=functools.partial(figures.eval_condition_figures, trained_in=GOAL_CYCLE_3.name),
    num_seeds=12,
    definition=3,
    changes={2: budgets.DEFINITION_2, 3: budgets.DEFINITION_3},
    notes=(
        "The 3-goal experts under evaluation are trained agents. At definition 1 they were not those that the novices "
        "trained with: these were scripted, and would find the order of any task.",
        "The experts of the transfer tasks are scripted: they see the whole map and find a hidden order by trial. The "
        "paper does not print rewards, episode length and number of experts of four rooms and maze; here a goal pays "
        "1, an episode is as long as in the training task, and there is one expert.",
    ),
)
