"""Shortest paths on a map, in actions, turns included: costs from everywhere, or the next action of one agent.

`path_costs` is for maps that do not change: computed once per episode, then looked up. `next_action` is for maps, or
knowledge of them, that change from step to step: it searches from the target cells until it reaches the agent, with 32
cells in one integer, so that it can run at every step of thousands of environments.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt32

from rookery.gridworld.movement import FORWARD, LEFT, RIGHT

DETOUR_COST = 25
"""Steps that crossing a wrong goal counts as: about as many as it takes to make up for the penalty."""
WORD_BITS = 32


def unreachable_cost(height: int, width: int) -> int:
    """What stands for the cost of a path that does not exist: above that of any path on a map of this size.

    A shortest path enters no cell twice, and turns at most twice before it goes on.
    """
    return max(10_000, height * width * (1 + DETOUR_COST + 2) + 2)


def path_costs(blocked: Bool[Array, "H W"], goals: Int[Array, "K 2"]) -> Int[Array, "K 4 H W"]:
    """Fewest actions (turns and steps) to enter each of K goals, from each heading and cell.

    Crossing another goal counts as DETOUR_COST steps. `unreachable_cost` where there is no path. Computed by value
    iteration over (heading, cell) until nothing changes.
    """
    unreachable = unreachable_cost(*blocked.shape)
    blocked, goals = jnp.pad(blocked, 1, constant_values=True), goals + 1  # no path leads around an open edge
    height, width = blocked.shape
    is_goal = jnp.zeros((height, width), bool).at[goals[:, 0], goals[:, 1]].set(True)

    def cost_to(goal):
        at_goal = jnp.zeros((height, width), bool).at[goal[0], goal[1]].set(True)
        entry_cost = jnp.where(blocked, unreachable, 1 + jnp.where(is_goal & ~at_goal, DETOUR_COST, 0))

        def ahead(grid, heading):
            """For each cell, the value of the cell ahead of it."""
            shifts = ((1, 0), (-1, 1), (-1, 0), (1, 1))  # roll amount, axis: north, east, south, west
            amount, axis = shifts[heading]
            return jnp.roll(grid, amount, axis)

        def relax(carry):
            cost, _ = carry
            # Entering the goal ends the path, so its own onward cost is 0.
            onward = jnp.where(at_goal, 0, cost)
            forward = jnp.stack([ahead(entry_cost + onward[h], h) for h in range(4)])
            turn = 1 + jnp.minimum(jnp.roll(cost, 1, 0), jnp.roll(cost, -1, 0))
            better = jnp.minimum(cost, jnp.minimum(forward, turn))
            return better, (better != cost).any()

        start = jnp.full((4, height, width), unreachable, jnp.int32)
        return jax.lax.while_loop(lambda c: c[1], relax, (start, jnp.bool_(True)))[0]

    return jax.vmap(cost_to)(goals)[:, :, 1:-1, 1:-1]


class Subgoal(NamedTuple):
    """Cells to reach, which cells may be crossed on the way, and the action in front of a target cell."""

    cells: Bool[Array, "H W"]
    walkable: Bool[Array, "H W"]  # cells that may be crossed; target cells need not be among them
    action: int = FORWARD  # with a target cell straight ahead: enter it, or pick up or toggle what is there


def next_action(
    subgoals: tuple[Subgoal, ...], position: Int[Array, "2"], heading: Int[Array, ""]
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """The next action towards the first subgoal that can be reached at all, by a shortest path.

    Of equally short paths: forward before left before right.
    Returns: the action i32[] and the number i32[] of the subgoal. Where none can be reached, the action is to turn left
      and the number is `len(subgoals)`.

    Breadth-first search from the target cells back to the agent. A wave holds, for each heading, the cells from which a
    target is at most so many actions away; for each subgoal it starts empty.
    """
    targets = jnp.stack([_pack(subgoal.cells) for subgoal in subgoals])
    walkable = jnp.stack([_pack(subgoal.walkable) for subgoal in subgoals])
    actions = jnp.array([subgoal.action for subgoal in subgoals], jnp.int32)
    row, word, bit = position[0], position[1] // WORD_BITS, (position[1] % WORD_BITS).astype(jnp.uint32)

    def reaches_agent(wave) -> Bool[Array, "4"]:
        """For each heading, whether the wave has reached the agent's cell."""
        return jnp.stack([(cells[row, word] >> bit) & 1 != 0 for cells in wave])

    def spread(wave, number):
        """The wave after one more action."""
        cells = jax.lax.dynamic_index_in_dim(targets, number, keepdims=False)
        crossable = jax.lax.dynamic_index_in_dim(walkable, number, keepdims=False)
        facing_target = [_ahead(cells, h) for h in range(4)]
        forward = [_ahead(wave[h] & crossable, h) for h in range(4)]
        return tuple(wave[h] | wave[h - 1] | wave[(h + 1) % 4] | forward[h] | facing_target[h] for h in range(4))

    class Search(NamedTuple):
        wave: tuple
        last_wave: tuple  # one action nearer to the target
        number: Int[Array, ""]  # of the subgoal
        found: Bool[Array, ""]

    def step(search: Search) -> Search:
        wave = spread(search.wave, search.number)
        is_complete = jnp.stack([(new == old).all() for new, old in zip(wave, search.wave, strict=True)]).all()
        found = reaches_agent(wave)[heading]
        wave = tuple(jnp.where(is_complete & ~found, jnp.uint32(0), cells) for cells in wave)
        return Search(wave, search.wave, search.number + (is_complete & ~found), found)

    empty = (jnp.zeros_like(targets[0]),) * 4
    start = Search(empty, empty, jnp.int32(0), jnp.bool_(False))
    search = jax.lax.while_loop(lambda s: ~s.found & (s.number < len(subgoals)), step, start)

    number = jnp.minimum(search.number, len(subgoals) - 1)
    cells, crossable = targets[number], walkable[number]
    arrives = reaches_agent([_ahead(cells, h) for h in range(4)])[heading]
    walks = reaches_agent([_ahead(search.last_wave[h] & crossable, h) for h in range(4)])[heading]
    left = reaches_agent(search.last_wave)[(heading - 1) % 4] | ~search.found
    turn = jnp.where(left, LEFT, RIGHT)
    action = jnp.where(arrives, actions[number], jnp.where(walks, FORWARD, turn))
    return jnp.where(search.found, action, LEFT), jnp.where(search.found, search.number, len(subgoals))


def _pack(cells: Bool[Array, "H W"]) -> UInt32[Array, "H Q"]:
    """Rows as integers of 32 bits: bit b of word q is column 32·q + b."""
    height, width = cells.shape
    filled = jnp.pad(cells, ((0, 0), (0, -width % WORD_BITS))).reshape(height, -1, WORD_BITS)
    weights = np.left_shift(np.uint32(1), np.arange(WORD_BITS, dtype=np.uint32))
    return jnp.sum(jnp.where(filled, weights, 0), -1, dtype=jnp.uint32)


def _ahead(cells: UInt32[Array, "H Q"], heading: int) -> UInt32[Array, "H Q"]:
    """For each cell, the cell ahead of it; beyond the edge there is nothing."""
    if heading == 0:
        return jnp.pad(cells[:-1], ((1, 0), (0, 0)))
    if heading == 2:
        return jnp.pad(cells[1:], ((0, 1), (0, 0)))
    if heading == 1:
        return cells >> 1 | jnp.pad(cells[:, 1:], ((0, 0), (0, 1))) << (WORD_BITS - 1)
    return cells << 1 | jnp.pad(cells[:, :-1], ((0, 0), (1, 0))) >> (WORD_BITS - 1)
