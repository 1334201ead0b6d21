"""What holds in every task, whatever it pays: checked for each registered id, and for tasks of one's own."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from rookery.gridworld.movement import FORWARD
from rookery.gridworld.tiles import NUM_TILE_KINDS, OBSTACLE, WALKABLE
from rookery.tasks.base import GridTask
from rookery.tasks.registry import make_env
from tests.worlds import SMALL

WORLDS = 6


def play(task, steps: int, seed: int = 0):
    """Random episodes, walking preferred, in WORLDS worlds at once.

    Returns the first state and what was told, then all later ones, stacked [T, WORLDS, ...], and the actions.
    """
    return jax.device_get(_player(task, steps)(jax.random.PRNGKey(seed)))


@functools.cache
def _player(task, steps: int):
    env = make_env(task)
    params = env.default_params()

    def episodes(key):
        state, first = jax.vmap(env.reset, (0, None))(jax.random.split(key, WORLDS), params)
        any_action = jax.random.randint(key, (steps, WORLDS, env.num_agents), 0, env.num_actions)
        walk = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.5, any_action.shape)
        action = jnp.where(walk, FORWARD, any_action)

        def advance(state, now):
            state, told = jax.vmap(env.step, (0, 0, None))(state, now, params)
            return state, (state, told)

        return state, first, jax.lax.scan(advance, state, action)[1], action

    return jax.jit(episodes)


def check(task, steps: int = 40) -> None:
    """All of it; raises AssertionError naming what does not hold."""
    check_promises(make_env(task))
    if isinstance(task, GridTask):
        # What happens depends on no view, and small ones compile fast. Ids that differ in views alone share a game.
        task = dataclasses.replace(task, views=(SMALL,) * len(task.views), num_actions=7)
    env = make_env(task)
    steps = min(steps, env.max_steps)
    state, first, (later, told), action = play(task, steps)
    again = play(task, steps)
    _equal(again, (state, first, (later, told), action), "the same key must give the same episode")
    check_told(env, first, told)
    if isinstance(task, GridTask):  # other worlds have their own tests: they move otherwise
        check_grid(task, state, later, told, action)


def check_promises(env) -> None:
    """Shapes and types of what is told, with the task's own views; nothing is compiled."""
    params = env.default_params()
    state, first = jax.eval_shape(env.reset, jax.random.PRNGKey(0), params)
    after, told = jax.eval_shape(env.step, state, jnp.zeros(env.num_agents, jnp.int32), params)
    for name, a, b in (("state", state, after), ("time step", first, told)):
        same = jax.tree.map(lambda x, y: (x.shape, x.dtype) == (y.shape, y.dtype), a, b)
        assert all(jax.tree.leaves(same)), f"reset and step tell of the {name} in different shapes or types"
    for slot in range(env.num_agents):
        views = told.observation
        shape = views[slot].shape if isinstance(views, tuple) else views.shape[1:]
        assert shape == env.observation_shape(slot)
        assert (views[slot] if isinstance(views, tuple) else views).dtype == jnp.uint8


def check_told(env, first, told) -> None:
    """What is told has the promised shapes and types, and the time limit is exact."""
    steps = told.reward.shape[0]
    assert first.is_first.all()
    assert not told.is_first.any()
    assert first.reward.shape == (WORLDS, env.num_agents)
    assert not first.reward.any()
    assert np.isfinite(told.reward).all()
    assert told.terminated.dtype == told.truncated.dtype == bool
    for t in range(steps):
        assert (told.truncated[t] == (t + 1 >= env.max_steps)).all()
    assert first.info.keys() == told.info.keys()
    for slot in range(env.num_agents):
        seen = told.observation[slot] if isinstance(told.observation, tuple) else told.observation[:, :, slot]
        assert seen.dtype == np.uint8
        assert seen.shape == (steps, WORLDS, *env.observation_shape(slot))
    assert not told.reward[~told.agent_mask].any(), "the absent earn nothing"


def check_grid(task, state, later, told, action) -> None:
    """Nobody walks through walls or off the map, walls stay, and turning is by a quarter."""
    height, width = state.tiles.shape[1:]
    for frame in (jax.tree.map(lambda x: x[None], state), later):
        tiles, position = frame.tiles, frame.position
        assert (tiles < NUM_TILE_KINDS).all()
        assert ((position >= 0) & (position < (height, width))).all()
        kind = np.take_along_axis(
            tiles.reshape(*tiles.shape[:2], -1), position[..., 0] * width + position[..., 1], axis=2
        )
        assert (kind != OBSTACLE).all(), "an agent stands in a wall"
        assert ((frame.heading >= 0) & (frame.heading < 4)).all()
    walls = later.tiles == OBSTACLE
    assert (walls == (state.tiles == OBSTACLE)).all(), "walls are where they were"
    assert (walls.sum((2, 3)) > 0).all()
    before = np.concatenate([state.position[None], later.position[:-1]])
    far = np.abs(later.position - before).sum(-1) > 1
    rewarded = told.reward > 0
    trial = getattr(task, "trial_steps", 0)
    moved_on = np.zeros(far.shape, bool)
    if trial:
        moved_on[trial - 1 :: trial] = True
    assert (far <= (rewarded | moved_on)).all(), "only who was paid, or begins a trial, is set down elsewhere"
    still = (action != FORWARD) & ~moved_on
    assert (later.position == before)[still].all(), "who does not walk stays"
    closed = ~WALKABLE[state.tiles.astype(int)]
    assert not closed.all()
    if hasattr(state.task, "goals"):
        check_goals(state, "at first")
        for t in (0, len(told.reward) - 1):
            check_goals(jax.tree.map(lambda x, t=t: x[t], later), f"after {t + 1} steps")


def check_goals(state, when: str) -> None:
    """Goals stand on different cells, which one can enter."""
    for world in range(WORLDS):
        cells = [tuple(cell) for cell in state.task.goals[world].tolist()]
        assert len(set(cells)) == len(cells), f"two goals share a cell {when}"
        for row, col in cells:
            assert WALKABLE[state.tiles[world, row, col]], f"a goal in a wall {when}"


def check_jit(task, steps: int = 1) -> None:
    """Compiled and plain steps are equal, also in the order in which worlds lie side by side."""
    env = make_env(task)
    params = env.default_params()
    keys = jax.random.split(jax.random.PRNGKey(3), 2)
    state, _ = jax.jit(jax.vmap(env.reset, (0, None)))(keys, params)
    one = jax.tree.map(lambda x: x[1], state)
    step = jax.jit(jax.vmap(env.step, (0, 0, None)))
    for t in range(steps):
        action = jnp.full((2, env.num_agents), (FORWARD + t) % env.num_actions, jnp.int32)
        state, told = step(state, action, params)
        with jax.disable_jit():
            one, plain = env.step(one, action[1], params)
        _equal(jax.tree.map(lambda x: x[1], (state, told)), (one, plain), "jit and no jit differ")


def reachable(closed: np.ndarray, start) -> np.ndarray:
    """Cells one can walk to from `start` (row, col). bool[H, W]."""
    lit = np.zeros(closed.shape, bool)
    lit[tuple(start)] = True
    while True:
        wide = np.pad(lit, 1)
        grown = (wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:] | lit) & ~closed
        if (grown == lit).all():
            return lit
        lit = grown


@functools.cache
def layouts(task, count: int = 50, seed: int = 0):
    """Many layouts: tiles, positions, headings, own states, stacked, as numpy."""
    drawn = jax.jit(jax.vmap(task.generate))(jax.random.split(jax.random.PRNGKey(seed), count))
    return jax.device_get(drawn)


def _equal(found, wanted, what: str) -> None:
    same = jax.tree.map(lambda a, b: bool(np.array_equal(a, b)), jax.device_get(found), jax.device_get(wanted))
    assert all(jax.tree.leaves(same)), what
