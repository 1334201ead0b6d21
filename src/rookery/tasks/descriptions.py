"""One line on every task, apart from the tasks themselves, so that listing them does not import JAX."""

from __future__ import annotations

_SYMBOLIC = "{}, observed as symbolic channels, for small networks"

DESCRIPTIONS = {
    "goal-cycle-v0": "Goal Cycle as published: three goals, 13×13 cells, penalty 1.5, pixels, three agents",
    "goal-cycle-4-v0": "the published transfer task: four goals, six possible orders",
    "goal-cycle-symbolic-v0": _SYMBOLIC.format("goal-cycle-v0"),
    "goal-cycle-4-symbolic-v0": _SYMBOLIC.format("goal-cycle-4-v0"),
    "goal-cycle-demo-v0": "9×9 cells with two obstacles, 125 steps, for the CPU of a laptop",
    "goal-cycle-5-v0": "five goals, 24 possible orders",
    "empty-room-v0": "one goal in an empty room of 13×13 cells",
    "single-goal-v0": "one goal anywhere among the 18 obstacles of Goal Cycle",
    "single-goal-fixed-v0": "one goal among 18 obstacles, always in the same corner",
    "four-rooms-v0": "the published transfer task: one goal in four rooms, 17×17 cells",
    "maze-v0": "the published transfer task: one goal in a new maze of 19×19 cells each episode",
    "sixteen-places-v0": "4×4 rooms, the goal in the middle of one of them",
    "sixteen-places-hidden-v0": "4×4 rooms, the goal in the middle of one of them and invisible to agent 0",
    "empty-room-symbolic-v0": _SYMBOLIC.format("empty-room-v0"),
    "single-goal-symbolic-v0": _SYMBOLIC.format("single-goal-v0"),
    "single-goal-fixed-symbolic-v0": _SYMBOLIC.format("single-goal-fixed-v0"),
    "four-rooms-symbolic-v0": _SYMBOLIC.format("four-rooms-v0"),
    "maze-symbolic-v0": _SYMBOLIC.format("maze-v0"),
    "sixteen-places-symbolic-v0": _SYMBOLIC.format("sixteen-places-v0"),
    "sixteen-places-hidden-symbolic-v0": _SYMBOLIC.format("sixteen-places-hidden-v0"),
    "cleanup-v0": "Cleanup as published: five agents; apples grow only while the river is clean",
    "harvest-v0": "Harvest as published: five agents; apples regrow only near other apples",
    "cleanup-small-v0": "three agents, 10×13 cells, 9×9 views, 200 steps; waste grows slower, as there is less food",
    "harvest-small-v0": "three agents, 10×14 cells, five clumps of apples, 9×9 views, 200 steps",
    "box-trapped-v0": "one agent is boxed in; the other can let it out or keep eating; 100 steps",
    "matrix-prisoners-dilemma-v0": "iterated prisoner's dilemma: defecting always pays more",
    "matrix-stag-hunt-v0": "iterated stag hunt: the best outcome needs both, the safe one needs no other agent",
    "matrix-chicken-v0": "iterated chicken: daring pays only if the other agent swerves",
    "coin-game-3x3-v0": "a red and a blue agent on a torus of 3×3 cells; taking the other's coin hurts it; 50 steps",
    "coin-game-5x5-v0": "a red and a blue agent on a torus of 5×5 cells; taking the other's coin hurts it; 50 steps",
    "key-door-v0": "a goal behind a locked door that closes behind the agent; unlimited keys",
    "key-door-symbolic-v0": _SYMBOLIC.format("key-door-v0"),
    "goal-sequence-v0": "three goals that look different, in a hidden order; four trials of 30 steps",
    "goal-sequence-symbolic-v0": _SYMBOLIC.format("goal-sequence-v0"),
    "memory-sequence-v0": "say a hidden sequence of 24 digits, one of three each; four trials, each until a mistake",
    "memory-sequence-fixed-v0": "one sequence of 24 digits out of ten, the same in all episodes, for learning by heart",
}
"""Id to one line."""
