"""Placing agents elsewhere during an episode."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.gridworld.respawn import choose_vacant_cell, respawn_agents
from tests.worlds import start, task_on

ROOM = "#######\n#.....#\n#.....#\n#######"


@pytest.mark.parametrize(
    ("unit", "taken", "chosen"),
    [
        (0.0, [0, 0, 0], 0),
        (0.34, [0, 0, 0], 1),
        (0.99, [0, 0, 0], 2),
        (0.0, [1, 0, 0], 1),
        (0.49, [0, 1, 0], 0),
        (0.5, [0, 1, 0], 2),
        (0.9, [1, 1, 1], 2),
    ],
)
def test_vacant_by_hand(unit, taken, chosen):
    assert int(choose_vacant_cell(jnp.float32(unit), jnp.array(taken, bool))) == chosen


CELLS = jnp.array([(1, 1), (1, 3), (2, 5), (2, 2), (1, 5)])


def many(state, who, cells, count, collide, draws=400):
    down = jax.jit(jax.vmap(lambda key: respawn_agents(key, state, jnp.array(who), cells, count, collide)))
    return jax.device_get(down(jax.random.split(jax.random.PRNGKey(1), draws)))


def test_all_of_the_first_cells_alike_and_no_others():
    state = start(task_on(ROOM, agents=2), [(2, 1), (2, 4)], [0, 0])
    after = many(state, [True, False], CELLS, 3, False)
    cells, counts = np.unique(after.position[:, 0], axis=0, return_counts=True)
    assert cells.tolist() == [[1, 1], [1, 3], [2, 5]]
    assert (counts > 400 / 3 - 45).all()  # within five deviations
    assert (np.bincount(after.heading[:, 0], minlength=4) > 100 - 45).all()
    assert (after.position[:, 1] == [2, 4]).all()
    assert not after.heading[:, 1].any()


def test_where_agents_collide_nobody_is_set_on_another():
    state = start(task_on(ROOM, agents=3), [(2, 2), (2, 1), (1, 1)], [0, 0, 0])
    after = many(state, [True, True, False], CELLS[:4], 4, True)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (after.position[:, a] != after.position[:, b]).any(-1).all()
    full = many(state, [False, True, False], CELLS[jnp.array([0, 3])], 2, True, 5)
    assert (full.position == np.array([(2, 2), (2, 1), (1, 1)])).all(), "with no cell left it stays"
