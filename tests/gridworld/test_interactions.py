"""Keys and doors, by hand and with random actions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.gridworld.interactions import step_interactions
from rookery.gridworld.spec import OBJECT_CHANNELS, ViewConfig
from rookery.gridworld.state import GridState
from rookery.gridworld.tiles import DOOR, FLOOR, KEY, KEY_RACK, OPEN_DOOR
from rookery.tasks.grid_env import GridEnv
from rookery.tasks.key_door import KeyDoor
from tests.tasks.episodes import play
from tests.worlds import EAST, FORWARD, NORTH, STAY, WEST, act, map_text, start

PICK_UP, DROP, TOGGLE = 3, 4, 5
MAP = map_text("""
########
#AAk#..#
#AAKD.G#
########
""")
TASK = KeyDoor(map=MAP, views=(ViewConfig(size=3, observation_type="objects"),) * 2)
AWAY = (1, 5)


def tile(state, row, col):
    return int(state.tiles[row, col])


def holding(state, *what):
    return state.replace(carrying=jnp.array(what, jnp.int32))


def test_a_loose_key_is_taken_once_and_the_lower_number_gets_it():
    state = start(TASK, [(1, 2), (1, 2)], [EAST, EAST])
    state, _ = act(TASK, state, PICK_UP, PICK_UP)
    assert state.carrying.tolist() == [KEY, FLOOR]
    assert tile(state, 1, 3) == FLOOR


def test_a_rack_never_empties_and_a_full_hand_takes_nothing():
    state = start(TASK, [(2, 2), (2, 2)], [EAST, EAST])
    state, timestep = act(TASK, state, PICK_UP, PICK_UP)
    assert state.carrying.tolist() == [KEY, KEY]
    assert timestep.info["keys"].tolist() == [1, 1]
    state, timestep = act(TASK, state, PICK_UP, STAY)
    assert tile(state, 2, 3) == KEY_RACK
    assert timestep.info["keys"].tolist() == [0, 0]


def test_a_key_is_dropped_on_bare_floor_only():
    state = holding(start(TASK, [(1, 2), (1, 2)], [EAST, WEST]), KEY, KEY)
    state, _ = act(TASK, state, DROP, DROP)  # a key lies ahead of the first
    assert state.carrying.tolist() == [KEY, FLOOR]
    assert (tile(state, 1, 1), tile(state, 1, 3)) == (KEY, KEY)
    state, _ = act(TASK, state.replace(heading=jnp.array([NORTH, WEST])), DROP, DROP)  # wall; empty hand
    assert state.carrying.tolist() == [KEY, FLOOR]


def test_a_door_opens_with_a_key_and_uses_it_up():
    state = start(TASK, [(2, 3), AWAY], [EAST, NORTH])
    state, _ = act(TASK, state, TOGGLE, STAY)  # no key
    assert tile(state, 2, 4) == DOOR
    state, _ = act(TASK, state, FORWARD, STAY)
    assert state.position[0].tolist() == [2, 3]
    state, timestep = act(TASK, holding(state, KEY, FLOOR), TOGGLE, STAY)
    assert (tile(state, 2, 4), state.carrying.tolist()) == (OPEN_DOOR, [FLOOR, FLOOR])
    assert timestep.info["doors"].tolist() == [1, 0]
    state, _ = act(TASK, state, TOGGLE, STAY)  # open and empty: locked again
    assert tile(state, 2, 4) == DOOR


def opened(position, heading):
    state = start(TASK, position, heading)
    return state.replace(tiles=state.tiles.at[2, 4].set(OPEN_DOOR))


@pytest.mark.parametrize("way_out", [EAST, WEST])
def test_the_door_locks_behind_whoever_steps_out_of_it(way_out):
    state, _ = act(TASK, opened([(2, 3), AWAY], [EAST, NORTH]), FORWARD, STAY)
    assert state.position[0].tolist() == [2, 4]
    assert tile(state, 2, 4) == OPEN_DOOR
    state, _ = act(TASK, state.replace(heading=jnp.array([way_out, NORTH])), STAY, STAY)
    assert tile(state, 2, 4) == OPEN_DOOR, "while somebody stands in it"
    state, _ = act(TASK, state, FORWARD, STAY)
    assert state.position[0].tolist() == ([2, 5] if way_out == EAST else [2, 3])
    assert tile(state, 2, 4) == DOOR


def test_a_doorway_holds_one_agent():
    state, _ = act(TASK, opened([(2, 3), (2, 3)], [EAST, EAST]), FORWARD, FORWARD)
    assert state.position.tolist() == [[2, 4], [2, 3]]  # both tried: the lower number went in
    state, _ = act(TASK, state, STAY, FORWARD)
    assert state.position.tolist() == [[2, 4], [2, 3]]
    state, _ = act(TASK, state, STAY, TOGGLE)
    assert tile(state, 2, 4) == OPEN_DOOR, "nobody shuts it on the one inside"
    state, _ = act(TASK, state, FORWARD, FORWARD)
    assert state.position.tolist() == [[2, 5], [2, 3]]  # it locked behind the first
    assert tile(state, 2, 4) == DOOR


def step_with_one_away(*action, first):
    """A step of agent 0, from a cell and heading, while agent 1 is away from the open doorway. No environment."""
    position, heading = first
    state = GridState(
        tiles=jnp.asarray(TASK.base_tiles).at[2, 4].set(OPEN_DOOR),
        position=jnp.array([position, (2, 4)], jnp.int32),
        heading=jnp.array([heading, EAST], jnp.int32),
        carrying=jnp.zeros(2, jnp.int32),
        episode_agent_mask=jnp.ones(2, bool),
        agent_mask=jnp.array([True, False]),
        prestige=jnp.zeros(2),
        goals_masked=jnp.bool_(False),
        step=jnp.int32(0),
        key=jax.random.PRNGKey(0),
        task=(),
        away=jnp.array([False, True]),
    )
    return step_interactions(state, jnp.array(action, jnp.int32), collide=False)[0]


def test_a_doorway_stays_open_for_an_agent_that_is_away():
    after = step_with_one_away(TOGGLE, STAY, first=((2, 3), EAST))
    assert tile(after, 2, 4) == OPEN_DOOR, "nobody shuts it on the one that will return"
    after = step_with_one_away(FORWARD, STAY, first=((2, 3), EAST))
    assert after.position[0].tolist() == [2, 4], "it is not in the way"
    after = step_with_one_away(FORWARD, STAY, first=((2, 4), EAST))
    assert (after.position[0].tolist(), tile(after, 2, 4)) == ([2, 5], OPEN_DOOR)


def test_keys_are_neither_made_nor_lost():
    task = KeyDoor(height=8, width=8, endless_keys=False, views=(ViewConfig(size=3, observation_type="objects"),) * 3)
    states, timesteps = play(task, 150, seed=2)[2:4]
    lying, held = (states.tiles == KEY).sum((2, 3)), (states.carrying != FLOOR).sum(2)
    used = np.cumsum(timesteps.info["doors"].sum(2), 0)
    assert (lying + held + used == 3).all()
    assert used[-1].sum() > 0
    assert held.max() > 0


def test_what_an_agent_sees_of_things():
    state = holding(start(TASK, [(2, 3), AWAY], [EAST, NORTH]), KEY, FLOOR)
    _, timestep = act(TASK, state, STAY, STAY)
    view = np.asarray(timestep.observation[0])  # 3×3, offset 1: its own cell is the middle one
    visible = {(r, c): {OBJECT_CHANNELS[i] for i in np.flatnonzero(view[r, c])} for r in range(3) for c in range(3)}
    assert visible[1, 1] == {"agent ahead", "carrying", "key"}
    assert visible[0, 1] == {"door", "obstacle"}
    assert visible[1, 0] == {"key"}


def test_pixels_show_a_key_in_hand_and_a_symbolic_view_hides_what_it_has_no_channel_for():
    pair = KeyDoor(map=MAP, views=(ViewConfig(size=3), ViewConfig(size=3, observation_type="symbolic")))
    state = start(pair, [(2, 2), (2, 2)], [EAST, EAST])
    empty, _ = act(pair, state, STAY, STAY)
    _, timestep = act(pair, state, PICK_UP, STAY)
    (bare, _), (picture, channels) = jax.device_get((GridEnv(pair).observe(empty), timestep.observation))
    changed = np.argwhere((bare != picture).any(-1))
    assert changed.tolist() == [[3, 3]], "the upper left corner of its own tile"
    assert channels.shape == (3, 3, 8)
