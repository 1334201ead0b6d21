"""What there is to see of a world at one moment: the map, who stands where, and what each agent sees of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery.gridworld.observation import observe_agent, observe_grid
from rookery.gridworld.prestige import blue_fraction
from rookery.gridworld.spec import ACTION_NAMES
from rookery.gridworld.state import GridState
from rookery.gridworld.tiles import OBSTACLE
from rookery.gridworld.visibility import view_cells
from rookery.types import Env

PREVIEW_TILE_SIZE = 5
"""A cell's side in the pictures of views that are not pixels themselves."""

NOOP_ACTION_NAMES = ("done", "stay", "wait")
"""Actions by which an agent leaves the world as it is."""


TASK_TILES_START, BEAM_TILES_START, MATRIX_MOVE_TILES_START = 64, 72, 80
"""Where the numbers of tiles begin that are a task's own, of its beams, and of moves at a table: as show/sprites.py."""


class RenderState(NamedTuple):
    """One moment. (row, col), (0, 0) at the top left."""

    tiles: UInt8[Array, "H W"]  # kinds of world/tiles.py, or from OWN on
    goals: Int[Array, "K 2"]  # in cyclic order; K = 0 where the task has no cycle
    position: Int[Array, "A 2"]
    heading: Int[Array, "A"]
    agent_mask: Bool[Array, "A"]
    carrying: Int[Array, "A"]  # kind of tile in hand; 0 is nothing
    prestige: Float[Array, "A"]  # blue share, 0 to 1
    views: tuple[UInt8[Array, "h w 3"], ...]  # what each agent sees, as pixels
    visible: tuple[Bool[Array, "H W"], ...]  # map cells each agent sees


def make_render_state(env: Env) -> Callable[[Any], RenderState]:
    """The function that tells what there is to see of a state of this environment. Pure; may be compiled."""
    if hasattr(getattr(env, "task", None), "world"):
        return _grid_render_state(env)
    return _social_dilemma_render_state(env) if hasattr(env, "in_sight") else _matrix_game_render_state(env)


def _grid_render_state(env: Any) -> Callable[[GridState], RenderState]:
    world = env.task.grid_spec
    pictured = tuple(
        view
        if view.observation_type == "pixels"
        else dataclasses.replace(view, observation_type="pixels", tile_size=PREVIEW_TILE_SIZE)
        for view in world.views
    )
    painted = dataclasses.replace(world, views=pictured)

    def scene(state: GridState) -> RenderState:
        lit = []
        for agent, view in enumerate(world.views):
            _, seen, _ = observe_grid(state, agent, view)
            row, col = view_cells(state.position[agent], state.heading[agent], view)
            # Cells beyond the map are dropped, not wrapped round.
            row, col = (jnp.where(x < 0, 10**6, x) for x in (row, col))
            lit.append(jnp.zeros((world.height, world.width), bool).at[row, col].max(seen, mode="drop"))
        return RenderState(
            tiles=state.tiles,
            goals=jnp.asarray(getattr(state.task, "goals", jnp.zeros((0, 2), jnp.int32))).reshape(-1, 2),
            position=state.position,
            heading=state.heading,
            agent_mask=state.agent_mask,
            carrying=state.carrying,
            prestige=blue_fraction(state.prestige, world.prestige_rule),
            views=tuple(observe_agent(state, agent, painted) for agent in range(env.num_agents)),
            visible=tuple(lit),
        )

    return scene


def _social_dilemma_render_state(env: Any) -> Callable[[Any], RenderState]:
    """Of a world with apples and beams: nobody has prestige, and walls hide nothing."""

    def scene(state) -> RenderState:
        kinds = state.tiles.astype(jnp.int32)
        kinds = jnp.where(kinds > OBSTACLE, TASK_TILES_START + kinds, kinds)
        kinds = jnp.where(state.beam > 0, BEAM_TILES_START + state.beam, kinds)
        views, lit = env.to_text(state, PREVIEW_TILE_SIZE), env.visible_cells(state)
        return RenderState(
            tiles=kinds.astype(jnp.uint8),
            goals=jnp.zeros((0, 2), jnp.int32),
            position=state.position,
            heading=state.heading,
            agent_mask=state.agent_mask,
            carrying=jnp.zeros(env.num_agents, jnp.int32),
            prestige=jnp.ones(env.num_agents),
            views=tuple(views[agent] for agent in range(env.num_agents)),
            visible=tuple(lit[agent] for agent in range(env.num_agents)),
        )

    return scene


def _matrix_game_render_state(env: Any) -> Callable[[Any], RenderState]:
    """Of a game without a map: the players side by side, each on what it did last, if the state tells."""
    agents = env.num_agents
    position = jnp.stack([jnp.ones(agents, jnp.int32), 1 + 2 * jnp.arange(agents)], -1)
    heading = jnp.where(jnp.arange(agents) % 2 == 0, 1, 3)  # face to face

    def scene(state) -> RenderState:
        tiles = jnp.zeros((3, 2 * agents + 1), jnp.int32)
        last = getattr(state, "last", jnp.full(agents, -1))
        tiles = tiles.at[position[:, 0], position[:, 1]].set(jnp.where(last < 0, 0, MATRIX_MOVE_TILES_START + last))
        seen = env.observe(state)
        views = [jnp.asarray(seen[agent]) for agent in range(agents)]
        blank = jnp.zeros((1, 1, 3), jnp.uint8)
        return RenderState(
            tiles=tiles.astype(jnp.uint8),
            goals=jnp.zeros((0, 2), jnp.int32),
            position=position,
            heading=heading,
            agent_mask=state.agent_mask,
            carrying=jnp.zeros(agents, jnp.int32),
            prestige=jnp.ones(agents),
            views=tuple(view if view.ndim == 3 and view.shape[-1] == 3 else blank for view in views),
            visible=(jnp.ones(tiles.shape, bool),) * agents,
        )

    return scene


def action_names(env: Env) -> tuple[tuple[str, ...], int]:
    """The actions by name, and the number of the one that does nothing, named last where the world has none."""
    names = tuple(getattr(env, "action_names", ACTION_NAMES[: env.num_actions]))
    for name in NOOP_ACTION_NAMES:
        if name in names:
            return names, names.index(name)
    return (*names, NOOP_ACTION_NAMES[-1]), len(names)  # a number beyond the actions is no action
