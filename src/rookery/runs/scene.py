"""What there is to see of a world at one moment: the map, who stands where, and what each agent sees of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery.types import Env
from rookery.world.paint import observe, perceive
from rookery.world.prestige import blue_share
from rookery.world.sight import view_cells
from rookery.world.spec import ACTION_NAMES
from rookery.world.state import State
from rookery.world.tiles import OBSTACLE

PICTURE_PIXELS = 5
"""A cell's side in the pictures of views that are not pixels themselves."""

IDLE_NAMES = ("done", "stay", "wait")
"""Actions by which an agent leaves the world as it is."""


OWN, BEAMS, MOVES = 64, 72, 80
"""Where the numbers of tiles begin that are a task's own, of its beams, and of moves at a table: as show/sprites.py."""


class Scene(NamedTuple):
    """One moment. (row, col), (0, 0) at the top left."""

    tiles: UInt8[Array, "H W"]  # kinds of world/tiles.py, or from OWN on
    goals: Int[Array, "K 2"]  # in cyclic order; K = 0 where the task has no cycle
    position: Int[Array, "A 2"]
    heading: Int[Array, "A"]
    active: Bool[Array, "A"]
    carrying: Int[Array, "A"]  # kind of tile in hand; 0 is nothing
    prestige: Float[Array, "A"]  # blue share, 0 to 1
    views: tuple[UInt8[Array, "h w 3"], ...]  # what each agent sees, as pixels
    lit: tuple[Bool[Array, "H W"], ...]  # map cells each agent sees


def scene_of(env: Env) -> Callable[[Any], Scene]:
    """The function that tells what there is to see of a state of this environment. Pure; may be compiled."""
    if hasattr(getattr(env, "task", None), "world"):
        return _of_grid(env)
    return _of_dilemma(env) if hasattr(env, "in_sight") else _of_table(env)


def _of_grid(env: Any) -> Callable[[State], Scene]:
    world = env.task.world
    pictured = tuple(
        view if view.kind == "pixels" else dataclasses.replace(view, kind="pixels", tile_pixels=PICTURE_PIXELS)
        for view in world.views
    )
    painted = dataclasses.replace(world, views=pictured)

    def scene(state: State) -> Scene:
        lit = []
        for agent, view in enumerate(world.views):
            _, seen, _ = perceive(state, agent, view)
            row, col = view_cells(state.position[agent], state.heading[agent], view)
            # Cells beyond the map are dropped, not wrapped round.
            row, col = (jnp.where(x < 0, 10**6, x) for x in (row, col))
            lit.append(jnp.zeros((world.height, world.width), bool).at[row, col].max(seen, mode="drop"))
        return Scene(
            tiles=state.tiles,
            goals=jnp.asarray(getattr(state.task, "goals", jnp.zeros((0, 2), jnp.int32))).reshape(-1, 2),
            position=state.position,
            heading=state.heading,
            active=state.active,
            carrying=state.carrying,
            prestige=blue_share(state.prestige, world.prestige_rule),
            views=tuple(observe(state, agent, painted) for agent in range(env.agents)),
            lit=tuple(lit),
        )

    return scene


def _of_dilemma(env: Any) -> Callable[[Any], Scene]:
    """Of a world with apples and beams: nobody has prestige, and walls hide nothing."""

    def scene(state) -> Scene:
        kinds = state.tiles.astype(jnp.int32)
        kinds = jnp.where(kinds > OBSTACLE, OWN + kinds, kinds)
        kinds = jnp.where(state.beam > 0, BEAMS + state.beam, kinds)
        views, lit = env.picture(state, PICTURE_PIXELS), env.in_sight(state)
        return Scene(
            tiles=kinds.astype(jnp.uint8),
            goals=jnp.zeros((0, 2), jnp.int32),
            position=state.position,
            heading=state.heading,
            active=state.active,
            carrying=jnp.zeros(env.agents, jnp.int32),
            prestige=jnp.ones(env.agents),
            views=tuple(views[agent] for agent in range(env.agents)),
            lit=tuple(lit[agent] for agent in range(env.agents)),
        )

    return scene


def _of_table(env: Any) -> Callable[[Any], Scene]:
    """Of a game without a map: the players side by side, each on what it did last, if the state tells."""
    agents = env.agents
    position = jnp.stack([jnp.ones(agents, jnp.int32), 1 + 2 * jnp.arange(agents)], -1)
    heading = jnp.where(jnp.arange(agents) % 2 == 0, 1, 3)  # face to face

    def scene(state) -> Scene:
        tiles = jnp.zeros((3, 2 * agents + 1), jnp.int32)
        last = getattr(state, "last", jnp.full(agents, -1))
        tiles = tiles.at[position[:, 0], position[:, 1]].set(jnp.where(last < 0, 0, MOVES + last))
        seen = env.observe(state)
        views = [jnp.asarray(seen[agent]) for agent in range(agents)]
        blank = jnp.zeros((1, 1, 3), jnp.uint8)
        return Scene(
            tiles=tiles.astype(jnp.uint8),
            goals=jnp.zeros((0, 2), jnp.int32),
            position=position,
            heading=heading,
            active=state.active,
            carrying=jnp.zeros(agents, jnp.int32),
            prestige=jnp.ones(agents),
            views=tuple(view if view.ndim == 3 and view.shape[-1] == 3 else blank for view in views),
            lit=(jnp.ones(tiles.shape, bool),) * agents,
        )

    return scene


def action_names(env: Env) -> tuple[tuple[str, ...], int]:
    """The actions by name, and the number of the one that does nothing, named last where the world has none."""
    names = tuple(getattr(env, "action_names", ACTION_NAMES[: env.actions]))
    for name in IDLE_NAMES:
        if name in names:
            return names, names.index(name)
    return (*names, IDLE_NAMES[-1]), len(names)  # a number beyond the actions is no action
