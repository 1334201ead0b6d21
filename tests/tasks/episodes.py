"""Random episodes and generated layouts of tasks, for their tests."""

import functools

import jax
import numpy as np

from rookery.tasks.registry import make_env
from rookery.testing.random_episodes import Episodes, Player


def play(task, steps: int, seed: int = 0) -> Episodes:
    """Random episodes in several environments at once."""
    player = _player(task, steps)
    return player.play(action=player.actions(seed))


@functools.cache
def _player(task, steps: int) -> Player:
    return Player(make_env(task), steps)


def reachable(closed: np.ndarray, start) -> np.ndarray:
    """Cells to which a path leads from `start` (row, col). bool[H, W]."""
    result = np.zeros(closed.shape, bool)
    result[tuple(start)] = True
    while True:
        padded = np.pad(result, 1)
        near = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
        grown = (near | result) & ~closed
        if (grown == result).all():
            return result
        result = grown


@functools.cache
def layouts(task, count: int = 50, seed: int = 0):
    """Many layouts: tiles, positions, headings and task states, stacked, as numpy arrays."""
    generated = jax.jit(jax.vmap(task.generate))(jax.random.split(jax.random.PRNGKey(seed), count))
    return jax.device_get(generated)
