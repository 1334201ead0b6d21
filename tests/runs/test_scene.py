"""What there is to see, in each kind of world."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.runs.record import still
from rookery.runs.scene import BEAMS, MOVES, OWN, action_names, scene_of
from rookery.show.sprites import KNOWN
from rookery.tasks import registry
from rookery.tasks.dilemma.tiles import APPLE, BOX, CLEAN_BEAM, FIRE_BEAM, RIVER, STREAM, WASTE
from rookery.world import tiles
from tests.worlds import start, task_on

KEY = jax.random.PRNGKey(0)


def test_the_idle_action():
    assert action_names(registry.environment(task_on("#####\n#A.1#\n#####", actions=3)))[0][-1] == "wait"
    assert action_names(registry.environment(task_on("#####\n#A.1#\n#####", actions=7))) == (
        ("left", "right", "forward", "pick up", "drop", "toggle", "done"),
        6,
    )
    names, idle = action_names(registry.environment(registry.make("harvest-small-v0")))
    assert names[idle] == "stay"
    assert action_names(registry.environment(registry.make("matrix-chicken-v0"))) == (("swerve", "dare", "wait"), 2)


def test_every_kind_of_tile_has_a_look_and_the_right_one():
    named = {getattr(tiles, name): name for name in ("FLOOR", "OBSTACLE", "GOAL", "KEY", "DOOR", "OPEN_DOOR")}
    assert set(range(tiles.KINDS)) <= set(KNOWN)
    words = {"FLOOR": "floor", "OBSTACLE": "obstacle", "GOAL": "goal", "KEY": "key"}
    words |= {"DOOR": "locked door", "OPEN_DOOR": "open door"}
    assert {name: KNOWN[kind].name for kind, name in named.items()} == words
    own = {APPLE: "apple", RIVER: "river", WASTE: "waste", STREAM: "stream", BOX: "box"}
    assert {kind: KNOWN[OWN + kind].name for kind in own} == own
    assert [KNOWN[BEAMS + beam].name for beam in (FIRE_BEAM, CLEAN_BEAM)] == ["beam of fire", "beam of water"]


def test_a_grid_world():
    task = task_on("#######\n#A.1.2#\n#######")
    env = registry.environment(task)
    scene = scene_of(env)(start(task, [(1, 1)], [1]))
    np.testing.assert_array_equal(scene.tiles[1], [1, 0, 0, 2, 0, 2, 1])
    np.testing.assert_array_equal(scene.goals, [[1, 3], [1, 5]])
    assert scene.lit[0][1, 2]
    assert not scene.lit[0][1, 6]  # a view of three cells
    assert scene.views[0].shape == (15, 15, 3)  # five pixels a cell, where the view is no picture


def test_a_world_of_boxes_and_apples():
    env = registry.environment(registry.make("box-trapped-v0"))
    state, _ = env.reset(KEY, env.default_params())
    state = state.replace(beam=state.beam.at[1, 1].set(FIRE_BEAM))
    scene = jax.device_get(scene_of(env)(state))
    assert scene.tiles[1, 1] == BEAMS + FIRE_BEAM
    assert (scene.tiles == OWN + BOX).sum() == (np.asarray(state.tiles) == BOX).sum() > 0
    assert (scene.tiles == OWN + APPLE).sum() == (np.asarray(state.tiles) == APPLE).sum() > 0
    assert {int(kind) for kind in np.unique(scene.tiles)} <= set(KNOWN)
    np.testing.assert_array_equal(scene.position, state.position)


def test_a_game_without_a_map():
    env = registry.environment(registry.make("matrix-stag-hunt-v0"))
    state, _ = env.reset(KEY, env.default_params())
    scene = scene_of(env)(state)
    assert not np.any(scene.tiles)
    state, _ = env.step(state, jnp.array([1, 0]), env.default_params())
    scene = scene_of(env)(state)
    np.testing.assert_array_equal(scene.tiles, [[0] * 5, [0, MOVES + 1, 0, MOVES, 0], [0] * 5])
    np.testing.assert_array_equal(scene.position, [[1, 1], [1, 3]])


@pytest.mark.parametrize("name", ["box-trapped-v0", "matrix-chicken-v0"])
def test_a_still(name):
    film = still(registry.environment(registry.make(name)), seed=1)
    assert film.steps == 0
    assert film.agents == len(film.views) == 2
