"""What there is to see, in each kind of world."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.gridworld import tiles
from rookery.play.game import ordered_goals
from rookery.tasks import registry
from rookery.tasks.social_dilemmas.dilemma_tiles import APPLE, BOX, CLEAN_BEAM, FIRE_BEAM, RIVER, STREAM, WASTE
from rookery.viz.record_episode import numbered_goals, record_initial_state
from rookery.viz.render_state import (
    BEAM_TILES_START,
    COIN_TILES_START,
    MATRIX_MOVE_TILES_START,
    TASK_TILES_START,
    action_names,
    has_numbered_goals,
    make_render_state,
)
from rookery.viz.sprites import SPRITES
from tests.worlds import start, task_on

KEY = jax.random.PRNGKey(0)


def test_the_idle_action():
    assert action_names(registry.make_env(task_on("#####\n#A.1#\n#####", num_actions=3)))[0][-1] == "wait"
    assert action_names(registry.make_env(task_on("#####\n#A.1#\n#####", num_actions=7))) == (
        ("left", "right", "forward", "pick up", "drop", "toggle", "done"),
        6,
    )
    names, idle = action_names(registry.make_env(registry.get_task("harvest-small-v0")))
    assert names[idle] == "stay"
    assert action_names(registry.make_env(registry.get_task("matrix-chicken-v0"))) == (("swerve", "dare", "wait"), 2)


def test_every_kind_of_tile_has_a_look_and_the_right_one():
    named = {getattr(tiles, name): name for name in ("FLOOR", "OBSTACLE", "GOAL", "KEY", "DOOR", "OPEN_DOOR")}
    assert set(range(tiles.NUM_TILE_KINDS)) <= set(SPRITES)
    words = {"FLOOR": "floor", "OBSTACLE": "obstacle", "GOAL": "goal", "KEY": "key"}
    words |= {"DOOR": "locked door", "OPEN_DOOR": "open door"}
    assert {name: SPRITES[kind].name for kind, name in named.items()} == words
    own = {APPLE: "apple", RIVER: "river", WASTE: "waste", STREAM: "stream", BOX: "box"}
    assert {kind: SPRITES[TASK_TILES_START + kind].name for kind in own} == own
    assert [SPRITES[BEAM_TILES_START + beam].name for beam in (FIRE_BEAM, CLEAN_BEAM)] == [
        "beam of fire",
        "beam of water",
    ]


def test_goals_have_numbers_where_they_are_several_and_look_the_same():
    goals = np.array([[0, 1], [0, 2], [0, 3]])

    def numbered(*kinds, count=3):
        return has_numbered_goals(goals[:count], np.array([[tiles.FLOOR, *kinds]]))

    assert numbered(tiles.GOAL, tiles.GOAL, tiles.GOAL)
    assert numbered(tiles.GOAL, tiles.GOAL, tiles.OBSTACLE), "an episode may lack goals"
    assert numbered(tiles.GOAL, tiles.FLOOR, tiles.GOAL), "and a task may remove them"
    assert not numbered(tiles.GOAL, tiles.GOAL_2, tiles.GOAL_3), "these numbers would be kinds"
    assert not numbered(tiles.GOAL, tiles.GOAL, tiles.GOAL, count=1)
    assert not numbered(tiles.GOAL, tiles.GOAL, tiles.GOAL, count=0)


def test_recordings_and_games_number_the_same_goals():
    goals, board = np.array([[0, 0], [0, 2]]), np.full((1, 3), tiles.GOAL)
    mixed = np.array([[tiles.GOAL, tiles.FLOOR, tiles.GOAL_2]])
    for now, cells in ((board, [[0, 0], [0, 2]]), (mixed, [])):
        assert numbered_goals(np.stack([goals] * 2), np.stack([now] * 2)).tolist() == cells
        assert ordered_goals(SimpleNamespace(goals=goals, tiles=now)) == cells
    assert numbered_goals(np.stack([goals, goals[::-1]]), np.stack([board] * 2)).tolist() == [], "they move"


def test_a_grid_world():
    task = task_on("#######\n#A.1.2#\n#######")
    env = registry.make_env(task)
    render_state = make_render_state(env)(start(task, [(1, 1)], [1]))
    np.testing.assert_array_equal(render_state.tiles[1], [1, 0, 0, 2, 0, 2, 1])
    np.testing.assert_array_equal(render_state.goals, [[1, 3], [1, 5]])
    assert render_state.visible[0][1, 2]
    assert not render_state.visible[0][1, 6]  # a view of three cells
    assert render_state.views[0].shape == (15, 15, 3)  # five pixels a cell, where the view is not a picture


def test_a_world_of_boxes_and_apples():
    env = registry.make_env(registry.get_task("box-trapped-v0"))
    state, _ = env.reset(KEY, env.default_params())
    state = state.replace(beam=state.beam.at[1, 1].set(FIRE_BEAM))
    render_state = jax.device_get(make_render_state(env)(state))
    assert render_state.tiles[1, 1] == BEAM_TILES_START + FIRE_BEAM
    assert (render_state.tiles == TASK_TILES_START + BOX).sum() == (np.asarray(state.tiles) == BOX).sum() > 0
    assert (render_state.tiles == TASK_TILES_START + APPLE).sum() == (np.asarray(state.tiles) == APPLE).sum() > 0
    assert {int(kind) for kind in np.unique(render_state.tiles)} <= set(SPRITES)
    np.testing.assert_array_equal(render_state.position, state.position)


def test_a_game_without_a_map():
    env = registry.make_env(registry.get_task("matrix-stag-hunt-v0"))
    state, _ = env.reset(KEY, env.default_params())
    render_state = make_render_state(env)(state)
    assert not np.any(render_state.tiles)
    state, _ = env.step(state, jnp.array([1, 0]), env.default_params())
    render_state = make_render_state(env)(state)
    np.testing.assert_array_equal(
        render_state.tiles, [[0] * 5, [0, MATRIX_MOVE_TILES_START + 1, 0, MATRIX_MOVE_TILES_START, 0], [0] * 5]
    )
    np.testing.assert_array_equal(render_state.position, [[1, 1], [1, 3]])


def test_a_board_with_a_coin():
    env = registry.make_env(registry.get_task("coin-game-5x5-v0"))
    state, _ = env.reset(KEY, env.default_params())
    render_state = make_render_state(env)(state.replace(coin=jnp.array([1, 3]), coin_color=jnp.int32(1)))
    assert np.argwhere(render_state.tiles).tolist() == [[1, 3]]
    assert SPRITES[int(render_state.tiles[1, 3])].name == "blue coin"
    assert SPRITES[COIN_TILES_START].name == "red coin"
    np.testing.assert_array_equal(render_state.prestige, [0, 1])  # red and blue
    np.testing.assert_array_equal(render_state.position, state.position)
    assert render_state.views[0].shape == (25, 25, 3)


@pytest.mark.parametrize("name", ["box-trapped-v0", "matrix-chicken-v0"])
def test_a_still(name):
    film = record_initial_state(registry.make_env(registry.get_task(name)), seed=1)
    assert film.num_steps == 0
    assert film.num_agents == len(film.views) == 2
