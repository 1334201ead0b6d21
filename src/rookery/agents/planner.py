"""A scripted expert for Goal Cycle without hidden knowledge: it sees the map and finds the order by trying.

It keeps the chain of goals it has been paid for. While the chain is open it walks to the nearest goal that may
come next (not in the chain, not yet tried from here); a punished try is struck off. Once the chain holds all
goals it follows it round. Whether an entry was paid or punished it reads from its own prestige, which every
agent shows: a punishment sets it to zero.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from rookery.types import Key, PyTree
from rookery.world.motion import FORWARD, LEFT, RIGHT, delta, passable
from rookery.world.state import State

DETOUR = 25  # steps it would walk around rather than through a wrong goal: about what the penalty costs it
FAR = 10_000  # more than any path


class Plan(NamedTuple):
    """What one planner remembers."""

    cost: Int[Array, "K 4 H W"]  # actions to enter goal k from (heading, row, col)
    chain: Int[Array, "K"]  # goals paid for, in order; -1 where not yet known
    known: Int[Array, ""]  # length of the chain
    last: Int[Array, ""]  # last credited goal, -1 before the first
    tried: Bool[Array, "K"]  # punished since the last credit
    position: Int[Array, "2"]  # where it stood one step ago


def path_costs(closed: Bool[Array, "H W"], goals: Int[Array, "K 2"]) -> Int[Array, "K 4 H W"]:
    """Fewest actions (turns and steps) to enter each goal, other goals counted as DETOUR steps to cross.

    Value iteration over (heading, cell) until nothing changes. FAR where there is no way.
    """
    closed, goals = jnp.pad(closed, 1, constant_values=True), goals + 1  # no way leads round an open edge
    height, width = closed.shape
    is_goal = jnp.zeros((height, width), bool).at[goals[:, 0], goals[:, 1]].set(True)

    def to_one(goal):
        at = jnp.zeros((height, width), bool).at[goal[0], goal[1]].set(True)
        toll = 1 + jnp.where(is_goal & ~at, DETOUR, 0)  # cost of entering a cell
        enter = jnp.where(closed, FAR, toll)

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

        start = jnp.full((4, height, width), FAR, jnp.int32)
        return jax.lax.while_loop(lambda c: c[1], relax, (start, jnp.bool_(True)))[0]

    return jax.vmap(to_one)(goals)[:, :, 1:-1, 1:-1]


@dataclasses.dataclass(frozen=True)
class GoalCyclePlanner:
    """Scripted policy. `seen` is (states of B worlds, slots i32[B])."""

    goals: int
    height: int
    width: int

    privileged = True

    def init(self, key: Key) -> PyTree:
        return ()

    def initial_carry(self, batch: int) -> Plan:
        blank = Plan(
            cost=jnp.full((self.goals, 4, self.height, self.width), FAR, jnp.int32),
            chain=jnp.full(self.goals, -1, jnp.int32),
            known=jnp.int32(0),
            last=jnp.int32(-1),
            tried=jnp.zeros(self.goals, bool),
            position=jnp.zeros(2, jnp.int32),
        )
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (batch, *x.shape)), blank)

    def act(self, params, carry: Plan, seen, is_first, key):
        states, slots = seen
        # All episodes of a batch open together, so maps are planned once an episode and not once a step.
        carry = jax.lax.cond(
            is_first.any(), lambda: jax.vmap(self._open)(carry, states, slots, is_first), lambda: carry
        )
        action, carry = jax.vmap(self._act)(carry, states, slots)
        return action, carry, {}

    def _open(self, carry: Plan, state: State, slot, is_first) -> Plan:
        fresh = Plan(
            cost=path_costs(~passable(state.tiles), state.task.goals),
            chain=jnp.full(self.goals, -1, jnp.int32),
            known=jnp.int32(0),
            last=jnp.int32(-1),
            tried=jnp.zeros(self.goals, bool),
            position=state.position[slot],
        )
        return jax.tree.map(lambda new, old: jnp.where(is_first, new, old), fresh, carry)

    def _act(self, plan: Plan, state: State, slot):
        plan = self._learn(plan, state, slot)
        order = jnp.arange(self.goals)
        in_chain = (plan.chain[:, None] == order).any(0)
        # With the chain closed the successor is known; while it is open, any goal outside it that was not tried.
        place = jnp.argmax(plan.chain == plan.last)
        successor = plan.chain[(place + 1) % self.goals]
        closed = plan.known >= self.goals
        candidate = jnp.where(closed, order == successor, ~in_chain & ~plan.tried)
        row, col = state.position[slot]
        heading = state.heading[slot]
        here = plan.cost[:, :, row, col]  # K, 4
        # Of goals equally near the first on the map, not the first by number: numbers hold the hidden order.
        place_on_map = state.task.goals @ jnp.array([self.width, 1])
        near = jnp.where(candidate, here[:, heading], 2 * FAR)
        target = jnp.argmin(near * (self.height * self.width) + place_on_map)
        cost = plan.cost[target]
        step = delta(heading)
        next_row, next_col = row + step[0], col + step[1]
        goal = state.task.goals[target]
        arrives = (next_row == goal[0]) & (next_col == goal[1])
        crossing = (state.task.goals == jnp.stack([next_row, next_col])).all(-1).any() & ~arrives
        walk = 1 + DETOUR * crossing + jnp.where(arrives, 0, cost[heading, next_row, next_col])
        inside = (next_row >= 0) & (next_row < self.height) & (next_col >= 0) & (next_col < self.width)
        walk = jnp.where(inside & passable(state.tiles[next_row, next_col]), walk, FAR)
        left = 1 + cost[(heading - 1) % 4, row, col]
        right = 1 + cost[(heading + 1) % 4, row, col]
        action = jnp.argmin(jnp.stack([walk, left, right]))
        action = jnp.stack([jnp.int32(FORWARD), jnp.int32(LEFT), jnp.int32(RIGHT)])[action]
        return action, plan._replace(position=state.position[slot])

    def _learn(self, plan: Plan, state: State, slot) -> Plan:
        """Note what the last step's entry, if any, turned out to be."""
        position = state.position[slot]
        on_goal = (state.task.goals == position).all(-1)
        entered = on_goal.any() & (position != plan.position).any()
        goal = jnp.argmax(on_goal)
        # Entering the last credited goal again leaves it credited but was punished; a single goal always pays.
        paid = entered & (state.task.last_goal[slot] == goal) & ((goal != plan.last) | (self.goals == 1))
        punished = entered & ~paid
        is_new = paid & (plan.known < self.goals) & ~(plan.chain == goal).any()
        chain = jnp.where(is_new & (jnp.arange(self.goals) == plan.known), goal, plan.chain)
        tried = jnp.where(paid, False, plan.tried | (punished & on_goal))
        return plan._replace(
            chain=chain,
            known=plan.known + is_new,
            last=jnp.where(paid, goal, plan.last),
            tried=tried,
        )
