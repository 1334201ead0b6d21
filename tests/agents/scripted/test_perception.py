import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.scripted.perception import UNKNOWN, Perception
from rookery.errors import ConfigError
from rookery.gridworld.spec import ViewConfig
from tests.worlds import EAST, SMALL, SOUTH, WEST, map_text, put, start, task_on

MAP = """
    #########
    #...#1..#
    #.......#
    #...#..2#
    #########
"""
MARKS = {0: ".", 1: "#", 2: "G", UNKNOWN: " "}
WIDE = ViewConfig(size=5, observation_type="symbolic")  # three cells ahead, one behind, two to each side


def perception_of(task, observability="partial"):
    return Perception.from_spec(task.grid_spec, observability)


def text(cells) -> str:
    return "\n".join("".join(MARKS[int(kind)] for kind in row) for row in np.asarray(cells))


def test_it_remembers_what_its_view_has_shown():
    task = task_on(MAP, view=WIDE)
    perception = perception_of(task)
    see = jax.jit(lambda memory, state: perception.observe(memory, state, jnp.int32(0)))
    state = start(task, [2, 1], EAST)
    memory = see(perception.initial_memory(), state)
    assert text(memory.tiles) == "#####    \n#...#    \n#....    \n#...#    \n#####    "
    assert (memory.fresh == (memory.tiles != UNKNOWN)).all()
    assert (memory.visible == memory.fresh).all()
    assert memory.walkable[2, 5]
    assert not memory.walkable[1, 4]
    assert memory.frontier[2, 5]
    assert not memory.frontier[2, 4]
    # In the doorway it sees the other room, and remembers the first.
    memory = see(memory, put(state, [2, 4], EAST))
    assert text(memory.tiles) == "######## \n#...#G.. \n#....... \n#...#..G \n######## "
    assert memory.fresh[2, 1]
    assert not memory.visible[2, 1]
    assert (memory.mark_stale().fresh == memory.visible).all()


def test_full_observability_shows_the_whole_map():
    task = task_on(MAP)
    memory = perception_of(task, "full").observe(
        perception_of(task, "full").initial_memory(), start(task, [2, 1], WEST), jnp.int32(0)
    )
    assert text(memory.tiles) == map_text(MAP).replace("1", "G").replace("2", "G")
    assert memory.visible.all()
    assert not memory.frontier.any()


def test_an_absent_agent_sees_nothing():
    task = task_on(MAP, view=WIDE)
    state = start(task, [2, 1], EAST)
    memory = perception_of(task).observe(
        perception_of(task).initial_memory(), state.replace(agent_mask=jnp.array([False])), jnp.int32(0)
    )
    assert (memory.tiles == UNKNOWN).all()
    assert not memory.visible.any()


def test_each_slot_sees_by_its_own_view():
    views = (SMALL, WIDE, dataclasses.replace(WIDE, see_through_walls=True))
    task = dataclasses.replace(task_on(MAP, agents=3), views=views)
    state = start(task, [[1, 2]] * 3, [EAST] * 3)
    visible = [
        perception_of(task).observe(perception_of(task).initial_memory(), state, jnp.int32(slot)).visible
        for slot in range(3)
    ]
    assert [bool(cells[1, 3]) for cells in visible] == [True, True, True]
    assert [bool(cells[1, 4]) for cells in visible] == [False, True, True]  # too far for the small view
    assert [bool(cells[0, 5]) for cells in visible] == [False, False, True]  # behind the wall
    assert visible[2].sum() == 4 * 5


def test_after_a_goal_disappears_everything_is_explored_again():
    task = task_on(MAP, view=WIDE)
    state = start(task, [2, 5], EAST)
    see = jax.jit(lambda memory, state: perception_of(task).observe(memory, state, jnp.int32(0)))
    memory = see(see(perception_of(task).initial_memory(), put(state, [2, 1], EAST)), state)
    assert memory.tiles[3, 7] == 2
    assert memory.fresh[2, 1]
    memory = see(memory, state.replace(tiles=state.tiles.at[3, 7].set(0)))
    assert memory.tiles[3, 7] == 0
    assert not memory.fresh[2, 1]
    assert memory.tiles[2, 1] == 0  # walls are still known


def test_hidden_goals_are_floor_that_has_to_be_walked_over():
    task = task_on(MAP, view=dataclasses.replace(WIDE, can_hide_goals=True))
    see = jax.jit(lambda memory, state: perception_of(task).observe(memory, state, jnp.int32(0)))
    state = start(task, [2, 5], EAST)
    memory = see(perception_of(task).initial_memory(), state)
    assert not (memory.tiles == 2).any()
    assert memory.fresh.sum() == memory.fresh[2, 5] == 1
    shown = see(perception_of(task).initial_memory(), state.replace(goals_masked=jnp.bool_(False)))
    assert (shown.tiles == 2).sum() == 2


def test_other_agents_close_cells_only_where_agents_collide_and_are_seen():
    for collide in (False, True):
        task = task_on(MAP, agents=3, view=WIDE, collide=collide)
        state = start(task, [[2, 1], [2, 3], [1, 7]], [EAST, SOUTH, SOUTH])
        perception = perception_of(task)
        memory = perception.observe(perception.initial_memory(), state, jnp.int32(0))
        assert np.argwhere(perception.blocked_cells(memory, state, jnp.int32(0))).tolist() == (
            [[2, 3]] if collide else []
        )
        away = state.replace(agent_mask=jnp.array([True, False, True]))
        assert not perception.blocked_cells(memory, away, jnp.int32(0)).any()


def test_it_must_see_the_cell_ahead():
    with pytest.raises(ConfigError, match="must see the cell ahead of it; give every view rows_behind below its size"):
        perception_of(task_on(MAP, view=ViewConfig(size=3, rows_behind=2)))
    perception_of(task_on(MAP, view=ViewConfig(size=3, rows_behind=2)), "full")  # needs no view
