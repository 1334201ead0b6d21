"""What a drawing of an environment's state shows: the map, the agents, and what each agent observes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery.errors import ConfigError
from rookery.gridworld.observation import observe_agent, observe_grid
from rookery.gridworld.prestige import blue_fraction
from rookery.gridworld.state import GridState
from rookery.gridworld.tiles import GOAL, OBSTACLE
from rookery.gridworld.visibility import view_cells
from rookery.tasks.coin_game import CoinGameEnv, CoinGameState
from rookery.tasks.grid_env import GridEnv
from rookery.tasks.matrix_games import MatrixEnv, MatrixState
from rookery.tasks.memory_sequence import MemorySequenceEnv, MemorySequenceState
from rookery.tasks.social_dilemmas.env import DilemmaEnv, DilemmaState
from rookery.types import Env

PREVIEW_TILE_SIZE = 5
"""Pixels per cell in drawings of views that are not pixels themselves."""

NOOP_ACTION_NAMES = ("done", "stay", "wait")
"""Actions by which an agent leaves the world as it is."""


TASK_TILES_START, BEAM_TILES_START, MATRIX_MOVE_TILES_START, COIN_TILES_START = 64, 72, 80, 88
"""First tile kind of social dilemmas, of their beams, of the moves in matrix games, and of coins; looks are in
sprites.py."""
COIN_GAME_COLORS = ((255, 255, 255), (120, 120, 120), (0, 200, 60), (230, 40, 40))
"""Of the planes of a view in Coin Game: the agent, the other one, a coin of its own color, one of the other's."""


class RenderState(NamedTuple):
    """One state as a drawing shows it. (row, col), (0, 0) at the top left."""

    tiles: UInt8[Array, "H W"]  # kinds of gridworld/tiles.py, or from TASK_TILES_START on
    goals: Int[Array, "K 2"]  # of `Task.goal_cells`; K = 0 for tasks without goals
    position: Int[Array, "A 2"]
    heading: Int[Array, "A"]
    agent_mask: Bool[Array, "A"]
    carrying: Int[Array, "A"]  # kind of tile in hand; 0 is nothing
    prestige: Float[Array, "A"]  # blue fraction of the agent's color, 0 to 1
    views: tuple[UInt8[Array, "h w 3"], ...]  # each agent's observation, as pixels
    visible: tuple[Bool[Array, "H W"], ...]  # map cells that each agent sees


def has_numbered_goals(goals: np.ndarray, tiles: np.ndarray) -> bool:
    """Whether drawings number the goals int[K, 2] on this map: there are several, and all look the same.

    The number is the place in their order. Goals that look different are listed by how they look, not in an order.
    """
    kinds = tiles[goals[:, 0], goals[:, 1]]
    return len(goals) > 1 and len(np.unique(kinds[kinds > OBSTACLE])) <= 1  # others are not there in this episode


@functools.singledispatch
def make_render_state(env: Env) -> Callable[[Any], RenderState]:
    """The function from a state of this environment to a RenderState. Pure; may be compiled.

    To draw environments of another class, register a function with `make_render_state.register(TheirEnv)` and give the
    class `can_render = True`.

    Raises: ConfigError for an environment that cannot be drawn.
    """
    raise ConfigError(f"{type(env).__name__} cannot be drawn; register a function with make_render_state.register")


@make_render_state.register(GridEnv)
def _(env: GridEnv) -> Callable[[GridState], RenderState]:
    spec = env.spec
    pixel_views = tuple(
        view
        if view.observation_type == "pixels"
        else dataclasses.replace(view, observation_type="pixels", tile_size=PREVIEW_TILE_SIZE)
        for view in spec.views
    )
    pixel_spec = dataclasses.replace(spec, views=pixel_views)

    def render_state(state: GridState) -> RenderState:
        visible = []
        for agent, view in enumerate(spec.views):
            _, seen, _ = observe_grid(state, agent, view)
            row, col = view_cells(state.position[agent], state.heading[agent], view)
            # Cells beyond the map are dropped, not wrapped around.
            row, col = (jnp.where(x < 0, 10**6, x) for x in (row, col))
            visible.append(jnp.zeros((spec.height, spec.width), bool).at[row, col].max(seen, mode="drop"))
        return RenderState(
            tiles=state.tiles,
            goals=jnp.asarray(env.task.goal_cells(state.task)).reshape(-1, 2),
            position=state.position,
            heading=state.heading,
            agent_mask=state.agent_mask,
            carrying=state.carrying,
            prestige=blue_fraction(state.prestige, spec.prestige_rule),
            views=tuple(observe_agent(state, agent, pixel_spec) for agent in range(env.num_agents)),
            visible=tuple(visible),
        )

    return render_state


@make_render_state.register(DilemmaEnv)
def _(env: DilemmaEnv) -> Callable[[DilemmaState], RenderState]:
    """For a world of apples and beams: agents have no prestige, and walls hide nothing."""

    def render_state(state: DilemmaState) -> RenderState:
        kinds = state.tiles.astype(jnp.int32)
        kinds = jnp.where(kinds > OBSTACLE, TASK_TILES_START + kinds, kinds)
        kinds = jnp.where(state.beam > 0, BEAM_TILES_START + state.beam, kinds)
        views, visible = env.render_views(state, PREVIEW_TILE_SIZE), env.visible_cells(state)
        return RenderState(
            tiles=kinds.astype(jnp.uint8),
            goals=jnp.zeros((0, 2), jnp.int32),
            position=state.position,
            heading=state.heading,
            agent_mask=state.agent_mask,
            carrying=jnp.zeros(env.num_agents, jnp.int32),
            prestige=jnp.ones(env.num_agents),
            views=tuple(views[agent] for agent in range(env.num_agents)),
            visible=tuple(visible[agent] for agent in range(env.num_agents)),
        )

    return render_state


@make_render_state.register(MatrixEnv)
def _(env: MatrixEnv) -> Callable[[MatrixState], RenderState]:
    """For a game without a map: the players next to each other, each on the tile of its last action."""
    agents = env.num_agents
    position = jnp.stack([jnp.ones(agents, jnp.int32), 1 + 2 * jnp.arange(agents)], -1)
    heading = jnp.where(jnp.arange(agents) % 2 == 0, 1, 3)  # face to face

    def render_state(state: MatrixState) -> RenderState:
        tiles = jnp.zeros((3, 2 * agents + 1), jnp.int32)
        action = state.last_action
        tiles = tiles.at[position[:, 0], position[:, 1]].set(jnp.where(action < 0, 0, MATRIX_MOVE_TILES_START + action))
        views = env.observe(state)
        return RenderState(
            tiles=tiles.astype(jnp.uint8),
            goals=jnp.zeros((0, 2), jnp.int32),
            position=position,
            heading=heading,
            agent_mask=state.agent_mask,
            carrying=jnp.zeros(agents, jnp.int32),
            prestige=jnp.ones(agents),
            views=tuple(views[agent] for agent in range(agents)),
            visible=(jnp.ones(tiles.shape, bool),) * agents,
        )

    return render_state


@make_render_state.register(CoinGameEnv)
def _(env: CoinGameEnv) -> Callable[[CoinGameState], RenderState]:
    """The board, a red agent and a blue one, and the coin in one of these colors."""
    height, width, agents = env.task.height, env.task.width, env.num_agents

    def view(planes: UInt8[Array, "H W 4"]) -> UInt8[Array, "h w 3"]:
        """One color for each cell: agents hide a coin, and the agent itself the other one."""
        color = jnp.zeros((height, width, 3), jnp.uint8)
        for plane in reversed(range(len(COIN_GAME_COLORS))):
            color = jnp.where(planes[..., plane, None] > 0, jnp.array(COIN_GAME_COLORS[plane], jnp.uint8), color)
        return color.repeat(PREVIEW_TILE_SIZE, 0).repeat(PREVIEW_TILE_SIZE, 1)

    def render_state(state: CoinGameState) -> RenderState:
        tiles = jnp.zeros((height, width), jnp.uint8)
        planes = env.observe(state)
        return RenderState(
            tiles=tiles.at[state.coin[0], state.coin[1]].set((COIN_TILES_START + state.coin_color).astype(jnp.uint8)),
            goals=jnp.zeros((0, 2), jnp.int32),
            position=state.position,
            heading=state.heading,
            agent_mask=state.agent_mask,
            carrying=jnp.zeros(agents, jnp.int32),
            prestige=jnp.arange(agents, dtype=jnp.float32),  # drawn red and blue
            views=tuple(view(planes[agent]) for agent in range(agents)),
            visible=(jnp.ones((height, width), bool),) * agents,
        )

    return render_state


@make_render_state.register(MemorySequenceEnv)
def _(env: MemorySequenceEnv) -> Callable[[MemorySequenceState], RenderState]:
    """A board with a row per digit and a column per place, a goal at the right digit of each; agents stand on what they
    said last, in the first column if they said nothing."""
    task, agents = env.task, env.num_agents
    tiles = jnp.zeros((task.num_digits, task.sequence_length + 1), jnp.uint8)
    waiting_row = jnp.arange(agents) % task.num_digits

    def render_state(state: MemorySequenceState) -> RenderState:
        goals = jnp.stack([state.sequence, 1 + jnp.arange(task.sequence_length)], -1)
        views, in_view = env.observe(state), env.in_view(state)
        has_said = state.last_digit >= 0
        row = jnp.where(has_said, state.last_digit, waiting_row)
        col = jnp.where(has_said, 1 + state.last_place, 0)
        return RenderState(
            tiles=tiles.at[goals[:, 0], goals[:, 1]].set(GOAL),
            goals=goals,
            position=jnp.stack([row, col], -1),
            heading=jnp.ones(agents, jnp.int32),
            agent_mask=state.agent_mask,
            carrying=jnp.zeros(agents, jnp.int32),
            prestige=jnp.ones(agents),
            views=tuple(views[agent] for agent in range(agents)),
            visible=tuple(
                (jnp.arange(tiles.shape[1]) == col[agent])[None]
                | jnp.zeros(tiles.shape, bool).at[row, col].max(in_view[agent])
                for agent in range(agents)
            ),
        )

    return render_state


def action_names(env: Env) -> tuple[tuple[str, ...], int]:
    """The names of the actions, and the number of the one that does nothing.

    An environment without such an action gets one more name, whose number is not an action of the environment: a step
    ignores it.
    """
    names = env.action_names
    for name in NOOP_ACTION_NAMES:
        if name in names:
            return names, names.index(name)
    return (*names, NOOP_ACTION_NAMES[-1]), len(names)
