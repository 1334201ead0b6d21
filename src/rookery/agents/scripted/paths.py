"""Ways over a map in the fewest actions, turns counted: costs from everywhere, or the next action of one agent.

`path_costs` is for maps that stay as they are: worked out once an episode, then looked up. `approach` is for maps,
or knowledge of them, that change from step to step: it spreads out from what is wanted until it meets the agent,
32 cells a word, so that it can be done at every step of thousands of worlds.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, UInt32

from rookery.gridworld.movement import FORWARD, LEFT, RIGHT

DETOUR_COST = 25  # steps it would walk around rather than through a wrong goal: about what the penalty costs it
UNREACHABLE = 10_000  # more than any path
WORD_BITS = 32


def path_costs(blocked: Bool[Array, "H W"], goals: Int[Array, "K 2"]) -> Int[Array, "K 4 H W"]:
    """Fewest actions (turns and steps) to enter each goal, other goals counted as DETOUR steps to cross.

    Value iteration over (heading, cell) until nothing changes. FAR where there is no way.
    """
    blocked, goals = jnp.pad(blocked, 1, constant_values=True), goals + 1  # no way leads round an open edge
    height, width = blocked.shape
    is_goal = jnp.zeros((height, width), bool).at[goals[:, 0], goals[:, 1]].set(True)

    def to_one(goal):
        at = jnp.zeros((height, width), bool).at[goal[0], goal[1]].set(True)
        toll = 1 + jnp.where(is_goal & ~at, DETOUR_COST, 0)  # cost of entering a cell
        enter = jnp.where(blocked, UNREACHABLE, toll)

        def ahead(grid, heading):
            """Value of the cell one step ahead, for each cell."""
            shifts = ((1, 0), (-1, 1), (-1, 0), (1, 1))  # roll amount, axis: north, east, south, west
            amount, axis = shifts[heading]
            return jnp.roll(grid, amount, axis)

        def relax(carry):
            cost, _ = carry
            # Entering the goal ends the path, so its own onward cost is 0.
            onward = jnp.where(at, 0, cost)
            forward = jnp.stack([ahead(enter + onward[h], h) for h in range(4)])
            turn = 1 + jnp.minimum(jnp.roll(cost, 1, 0), jnp.roll(cost, -1, 0))
            better = jnp.minimum(cost, jnp.minimum(forward, turn))
            return better, (better != cost).any()

        start = jnp.full((4, height, width), UNREACHABLE, jnp.int32)
        return jax.lax.while_loop(lambda c: c[1], relax, (start, jnp.bool_(True)))[0]

    return jax.vmap(to_one)(goals)[:, :, 1:-1, 1:-1]


class Subgoal(NamedTuple):
    """Cells to reach, where the way may lead, and what to do in front of them."""

    cells: Bool[Array, "H W"]
    walkable: Bool[Array, "H W"]  # cells the way may cross; those wanted need not be
    action: int = FORWARD  # with a wanted cell straight ahead: enter it, or pick up or toggle what is there


def next_action(
    subgoals: tuple[Subgoal, ...], position: Int[Array, "2"], heading: Int[Array, ""]
) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """The next action, and which wish it serves: the first that can be fulfilled at all, by a shortest way.

    Of equally short ways: forward before left before right. Where no wish can be fulfilled the number is
    `len(wishes)`, and the action turns left. Returns (action i32[], number i32[]).

    Breadth first from the wanted cells, back to the agent. A wave holds, for each heading, the cells from which
    the wish is so many actions off; it grows from nothing for each wish.
    """
    wanted = jnp.stack([_pack(wish.cells) for wish in subgoals])
    ways = jnp.stack([_pack(wish.walkable) for wish in subgoals])
    actions = jnp.array([wish.action for wish in subgoals], jnp.int32)
    row, word, bit = position[0], position[1] // WORD_BITS, (position[1] % WORD_BITS).astype(jnp.uint32)

    def here(wave) -> Bool[Array, "4"]:
        """For each heading, whether the wave has come to the agent's cell."""
        return jnp.stack([(cells[row, word] >> bit) & 1 != 0 for cells in wave])

    def spread(wave, number):
        """The wave one action on, and the part of it that stands before a wanted cell."""
        cells = jax.lax.dynamic_index_in_dim(wanted, number, keepdims=False)
        way = jax.lax.dynamic_index_in_dim(ways, number, keepdims=False)
        before = [_ahead(cells, h) for h in range(4)]
        onward = [_ahead(wave[h] & way, h) for h in range(4)]
        return tuple(wave[h] | wave[h - 1] | wave[(h + 1) % 4] | onward[h] | before[h] for h in range(4))

    class Flood(NamedTuple):
        wave: tuple
        last: tuple  # the wave one action nearer
        number: Int[Array, ""]  # of the wish
        found: Bool[Array, ""]

    def step(flood: Flood) -> Flood:
        wave = spread(flood.wave, flood.number)
        stuck = jnp.stack([(new == old).all() for new, old in zip(wave, flood.wave, strict=True)]).all()
        found = here(wave)[heading]
        wave = tuple(jnp.where(stuck & ~found, jnp.uint32(0), cells) for cells in wave)
        return Flood(wave, flood.wave, flood.number + (stuck & ~found), found)

    nothing = (jnp.zeros_like(wanted[0]),) * 4
    start = Flood(nothing, nothing, jnp.int32(0), jnp.bool_(False))
    flood = jax.lax.while_loop(lambda f: ~f.found & (f.number < len(subgoals)), step, start)

    number = jnp.minimum(flood.number, len(subgoals) - 1)
    cells, way = wanted[number], ways[number]
    arrives = here([_ahead(cells, h) for h in range(4)])[heading]
    walks = here([_ahead(flood.last[h] & way, h) for h in range(4)])[heading]
    left = here(flood.last)[(heading - 1) % 4] | ~flood.found
    turn = jnp.where(left, LEFT, RIGHT)
    action = jnp.where(arrives, actions[number], jnp.where(walks, FORWARD, turn))
    return jnp.where(flood.found, action, LEFT), jnp.where(flood.found, flood.number, len(subgoals))


def _pack(cells: Bool[Array, "H W"]) -> UInt32[Array, "H Q"]:
    """Rows as words: bit b of word q is column 32·q + b."""
    height, width = cells.shape
    filled = jnp.pad(cells, ((0, 0), (0, -width % WORD_BITS))).reshape(height, -1, WORD_BITS)
    weights = np.left_shift(np.uint32(1), np.arange(WORD_BITS, dtype=np.uint32))
    return jnp.sum(jnp.where(filled, weights, 0), -1, dtype=jnp.uint32)


def _ahead(cells: UInt32[Array, "H Q"], heading: int) -> UInt32[Array, "H Q"]:
    """For each cell, the one a step ahead of it; beyond the edge there is nothing."""
    if heading == 0:
        return jnp.pad(cells[:-1], ((1, 0), (0, 0)))
    if heading == 2:
        return jnp.pad(cells[1:], ((0, 1), (0, 0)))
    if heading == 1:
        return cells >> 1 | jnp.pad(cells[:, 1:], ((0, 0), (0, 1))) << (WORD_BITS - 1)
    return cells << 1 | jnp.pad(cells[:, :-1], ((0, 0), (1, 0))) >> (WORD_BITS - 1)
