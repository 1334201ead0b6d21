"""Scripted experts for Goal Cycle without hidden knowledge: they find the order by trying.

They keep the chain of goals they have been paid for. While the chain is open they walk to the nearest goal that may
come next (not in the chain, not yet tried from here); a punished try is struck off. Once the chain holds all
goals they follow it round. Whether an entry was paid they read from their own prestige, which every agent shows: it
rises when they are paid and at no other time.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rookery.agents.scripted.explorer import Explorer, Sees
from rookery.agents.scripted.memory import for_worlds
from rookery.agents.scripted.order import Order
from rookery.agents.scripted.paths import DETOUR, FAR, Wish, path_costs
from rookery.types import Key, PyTree
from rookery.world.motion import FORWARD, LEFT, RIGHT, delta, passable
from rookery.world.state import State


class Plan(NamedTuple):
    """What one planner remembers."""

    cost: Int[Array, "K 4 H W"]  # actions to enter goal k from (heading, row, col)
    order: Order  # of goals by number
    position: Int[Array, "2"]  # where it stood one step ago
    prestige: Float[Array, ""]  # and what it was worth


@dataclasses.dataclass(frozen=True)
class GoalCyclePlanner:
    """Sees the whole map. `seen` is (states of B worlds, slots i32[B])."""

    goals: int
    height: int
    width: int

    privileged = True

    def init(self, key: Key) -> PyTree:
        return ()

    def initial_carry(self, batch: int) -> Plan:
        blank = Plan(
            cost=jnp.full((self.goals, 4, self.height, self.width), FAR, jnp.int32),
            order=Order.unknown(self.goals, self.goals),
            position=jnp.zeros(2, jnp.int32),
            prestige=jnp.float32(0),
        )
        return for_worlds(blank, batch)

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
            order=Order.unknown(self.goals, self.goals),
            position=state.position[slot],
            prestige=state.prestige[slot],
        )
        return jax.tree.map(lambda new, old: jnp.where(is_first, new, old), fresh, carry)

    def _act(self, plan: Plan, state: State, slot):
        position, heading = state.position[slot], state.heading[slot]
        on_goal = (state.task.goals == position).all(-1)
        entered = on_goal.any() & (position != plan.position).any()
        order = plan.order.learn(entered, jnp.argmax(on_goal), state.prestige[slot] > plan.prestige)
        row, col = position
        here = plan.cost[:, :, row, col]  # K, 4
        # Of goals equally near the first on the map, not the first by number: numbers hold the hidden order.
        place_on_map = state.task.goals @ jnp.array([self.width, 1])
        near = jnp.where(order.may_be_next, here[:, heading], 2 * FAR)
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
        return action, Plan(plan.cost, order, position, state.prestige[slot])


class Search(NamedTuple):
    """What a scout remembers beside its map."""

    order: Order  # of goals by the cell they are in, counted row by row
    goals: Bool[Array, "H W"]  # cells known to hold one


@dataclasses.dataclass(frozen=True)
class GoalCycleScout(Explorer):
    """Sees what its own view shows, and remembers it.

    It tries goals as soon as it has seen one that may come next, and else walks to the nearest cell it has not
    seen. It goes round other goals, unless there is no other way. A goal hidden from it is known to it once it has
    been paid or punished there.
    """

    goals: int

    def blank(self) -> Search:
        shape = (self.eyes.height, self.eyes.width)
        return Search(order=Order.unknown(self.goals, shape[0] * shape[1]), goals=jnp.zeros(shape, bool))

    def wish(self, own: Search, sees: Sees):
        goals = own.goals | sees.memory.goals | (sees.entered & sees.felt)
        entered = goals & sees.entered
        order = own.order.learn(entered.any(), jnp.argmax(entered), sees.paid)
        wanted = goals & order.may_be_next.reshape(goals.shape)
        around, frontier = sees.free & ~goals, sees.memory.frontier
        wishes = (Wish(wanted, around), Wish(wanted, sees.free), Wish(frontier, around), Wish(frontier, sees.free))
        return Search(order, goals), wishes
