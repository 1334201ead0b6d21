"""Small social dilemmas as text, and a slow, simple implementation of their rules, for the tests."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

from rookery.tasks.social_dilemmas.cleanup import Cleanup
from rookery.tasks.social_dilemmas.dilemma_state import DilemmaState
from rookery.tasks.social_dilemmas.dilemma_tiles import (
    APPLE,
    BOX,
    CHAR_TO_TILE,
    CLEAN,
    EMPTY,
    FIRE,
    MOVE_BACK,
    MOVE_FORWARD,
    MOVE_LEFT,
    MOVE_RIGHT,
    RIVER,
    STREAM,
    TURN_CLOCKWISE,
    TURN_COUNTERCLOCKWISE,
    WALL,
    WASTE,
)  # fmt: skip

NORTH, EAST, SOUTH, WEST = range(4)
STEP = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
HEIGHT, WIDTH, AGENTS = 7, 9, 4
"""Size of random worlds: the same for all, so that each function is compiled once."""


def tiles_of(text: str) -> np.ndarray:
    """Tiles of a map given as indented text. u8[H, W]."""
    return np.array([[CHAR_TO_TILE[mark] for mark in line.strip()] for line in text.strip().split("\n")], np.uint8)


def text_of(array, marks: str) -> str:
    """Small numbers as characters, one line per row."""
    return "\n".join("".join(marks[int(x)] for x in row) for row in np.asarray(array))


def state_on(tiles, position, heading, agent_mask=None, step: int = 0, seed: int = 0) -> DilemmaState:
    return DilemmaState(
        tiles=jnp.asarray(tiles, jnp.uint8),
        beam=jnp.zeros(np.shape(tiles), jnp.uint8),
        position=jnp.asarray(position, jnp.int32).reshape(-1, 2),
        heading=jnp.asarray(heading, jnp.int32),
        agent_mask=jnp.ones(len(heading), bool) if agent_mask is None else jnp.asarray(agent_mask, bool),
        step=jnp.int32(step),
        key=jax.random.PRNGKey(seed),
    )


@functools.cache
def _rules(agents: int) -> Cleanup:
    return Cleanup(num_agents=agents, view_radius=1)


@functools.cache
def _compiled(agents: int):
    env, params = _rules(agents).make_env(), _rules(agents).default_params()
    act = jax.jit(
        lambda state, action, position, priority: env.apply_actions(state, action, position, priority, params)
    )
    return jax.jit(env.move_agents), act


def priorities(*priority: int):
    return jnp.asarray(priority, jnp.uint32)


def move(state: DilemmaState, action, priority=None) -> np.ndarray:
    """Positions of all agents after moving."""
    agents = len(state.heading)
    priority = jnp.arange(agents, dtype=jnp.uint32) if priority is None else priority
    return np.asarray(_compiled(agents)[0](state, jnp.asarray(action, jnp.int32), priority))


def act(state: DilemmaState, action, priority=None, position=None):
    """A step of Cleanup without movement and growth: agents stay unless `position` says where they have moved."""
    agents = len(state.heading)
    priority = jnp.arange(agents, dtype=jnp.uint32) if priority is None else priority
    position = state.position if position is None else jnp.asarray(position, jnp.int32)
    return jax.device_get(_compiled(agents)[1](state, jnp.asarray(action, jnp.int32), position, priority))


def slow_move(state: DilemmaState, action, priority) -> np.ndarray:
    """The rules of movement, agent by agent."""
    tiles, position, heading, agent_mask = (
        np.asarray(x) for x in (state.tiles, state.position, state.heading, state.agent_mask)
    )
    quarters = {MOVE_FORWARD: 0, MOVE_RIGHT: 1, MOVE_BACK: 2, MOVE_LEFT: 3}
    target = position.copy()
    for i in np.flatnonzero(agent_mask):
        if action[i] in quarters:
            cell = position[i] + STEP[(heading[i] + quarters[action[i]]) % 4]
            if tiles[tuple(cell)] not in (WALL, BOX):
                target[i] = cell
    wish = {i: tuple(target[i]) for i in np.flatnonzero(agent_mask) if (target[i] != position[i]).any()}
    for cell in set(wish.values()):
        rivals = [i for i in wish if wish[i] == cell]
        for i in set(rivals) - {max(rivals, key=lambda i: (priority[i], -i))}:
            del wish[i]
    home = {tuple(position[i]): i for i in np.flatnonzero(agent_mask)}
    # A mover is stopped by an owner who stays, and by one who would come the other way.
    stopped = True
    while stopped:
        stopped = [
            i for i, cell in wish.items()
            if cell in home and (home[cell] not in wish or wish[home[cell]] == tuple(position[i]))
        ]  # fmt: skip
        for i in stopped:
            del wish[i]
    return np.array([wish.get(i, tuple(position[i])) for i in range(len(position))])


def slow_beams(state: DilemmaState, action, priority):
    """The rules of beams, cell by cell: covered cells (1 fire, 2 clean), tiles, hits [i, j] and cells cleaned."""
    tiles, position, agent_mask = np.array(state.tiles), np.asarray(state.position), np.asarray(state.agent_mask)
    heading = (
        np.asarray(state.heading)
        + (np.asarray(action) == TURN_CLOCKWISE)
        - (np.asarray(action) == TURN_COUNTERCLOCKWISE)
    ) % 4
    agents = len(position)
    beam, hits, cleaned = np.zeros_like(tiles), np.zeros((agents, agents), bool), np.zeros(agents, int)
    home = {tuple(position[i]): i for i in np.flatnonzero(agent_mask)}
    for i in sorted(np.flatnonzero(agent_mask), key=lambda i: (-int(priority[i]), i)):
        if action[i] not in (FIRE, CLEAN):
            continue
        ahead, right = STEP[heading[i]], STEP[(heading[i] + 1) % 4]
        for start in (position[i] + ahead, position[i] + right, position[i] - right):
            for k in range(5):
                cell = tuple(start + k * ahead)
                if tiles[cell] in (WALL, BOX):
                    break
                if beam[cell] != 1:
                    beam[cell] = 1 if action[i] == FIRE else 2
                dirty = action[i] == CLEAN and tiles[cell] == WASTE
                if dirty:
                    tiles[cell] = RIVER
                    cleaned[i] += 1
                if cell in home:
                    hits[i, home[cell]] |= action[i] == FIRE
                    break
                if dirty:
                    break
    return beam, tiles, hits, cleaned


@st.composite
def situations(draw, moves=tuple(range(9))):
    """A random state, with random actions and priorities: state, action, priority."""
    kinds = draw(st.lists(st.sampled_from((EMPTY, EMPTY, EMPTY, WALL, APPLE, RIVER, WASTE, WASTE, STREAM)),
                          min_size=HEIGHT * WIDTH, max_size=HEIGHT * WIDTH))  # fmt: skip
    tiles = np.array(kinds, np.uint8).reshape(HEIGHT, WIDTH)
    tiles[[0, -1]], tiles[:, [0, -1]] = WALL, WALL
    inside = [(r, c) for r in range(1, HEIGHT - 1) for c in range(1, WIDTH - 1)]
    if draw(st.booleans()):  # crowded, so that they meet
        inside = [(r, c) for r, c in inside if 2 <= r <= 4 and 3 <= c <= 5]
    position = draw(st.lists(st.sampled_from(inside), min_size=AGENTS, max_size=AGENTS, unique=True))
    for cell in position:
        tiles[cell] = EMPTY if tiles[cell] == WALL else tiles[cell]
    heading = draw(st.lists(st.integers(0, 3), min_size=AGENTS, max_size=AGENTS))
    agent_mask = draw(st.lists(st.sampled_from((True, True, True, False)), min_size=AGENTS, max_size=AGENTS))
    action = np.array(draw(st.lists(st.sampled_from(moves), min_size=AGENTS, max_size=AGENTS)))
    priority = np.array(draw(st.lists(st.integers(0, 3), min_size=AGENTS, max_size=AGENTS)), np.uint32)
    return state_on(tiles, position, heading, agent_mask), action, priority
