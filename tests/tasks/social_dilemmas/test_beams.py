import numpy as np
import pytest
from hypothesis import given

from rookery.tasks.social_dilemmas.dilemma_tiles import CLEAN, FIRE, STAY, TURN_CLOCKWISE, WALL
from tests.tasks.social_dilemmas.worlds import (
    EAST,
    NORTH,
    SOUTH,
    WEST,
    act,
    priorities,
    situations,
    slow_beams,
    state_on,
    text_of,
    tiles_of,
)  # fmt: skip

OPEN = tiles_of(
    """
    ###########
    #.........#
    #.........#
    #.........#
    #.........#
    #.........#
    #.........#
    ###########
    """
)


def shown(result) -> str:
    return text_of(result.state.beam, ".fc")


def test_three_lanes_of_five():
    result = act(state_on(OPEN, [(3, 2)], [EAST]), [FIRE])
    assert shown(result).split("\n")[2:5] == ["..fffff....", "...fffff...", "..fffff...."]
    assert np.count_nonzero(result.state.beam) == 15
    np.testing.assert_array_equal(result.reward, [-1])
    assert {name: float(count[0]) for name, count in result.info.items()} == {
        "apples": 0, "apple_steps": 0, "zaps": 1, "hits": 0, "times_zapped": 0, "cleaned": 0,
    }  # fmt: skip


@pytest.mark.parametrize(("heading", "corner"), [(NORTH, (1, 5)), (EAST, (4, 8)), (SOUTH, (6, 5)), (WEST, (4, 2))])
def test_the_beam_follows_the_heading(heading, corner):
    beam = act(state_on(OPEN, [(4, 5)], [heading]), [FIRE]).state.beam
    assert beam[corner] == 1
    assert beam[4, 5] == 0
    behind = 2 * np.array((4, 5)) - corner
    assert beam[tuple(np.clip(behind, 1, (6, 9)))] == 0


def test_a_beam_goes_out_after_moving_in_the_new_place():
    result = act(state_on(OPEN, [(3, 2)], [NORTH]), [FIRE], position=[(3, 3)])
    assert result.state.beam[2, 3] == 1
    assert result.state.beam[3, 3] == 0


def test_each_lane_ends_before_its_own_wall():
    tiles = OPEN.copy()
    tiles[3, 5] = tiles[2, 2] = WALL
    result = act(state_on(tiles, [(3, 2)], [EAST]), [FIRE])
    assert shown(result).split("\n")[2:5] == ["...........", "...ff......", "..fffff...."]


def test_the_first_agent_is_hit_and_shields_the_next():
    result = act(state_on(OPEN, [(3, 2), (3, 4), (3, 5), (2, 6), (2, 7)], [EAST] * 5), [FIRE] + [STAY] * 4)
    np.testing.assert_array_equal(result.reward, [-1, -50, 0, -50, 0])
    assert shown(result).split("\n")[2:5] == ["..fffff....", "...ff......", "..fffff...."]
    np.testing.assert_array_equal(result.info["hits"], [2, 0, 0, 0, 0])
    np.testing.assert_array_equal(result.info["times_zapped"], [0, 1, 0, 1, 0])


def test_two_may_hit_one_and_each_other():
    result = act(state_on(OPEN, [(3, 2), (3, 6), (3, 4)], [EAST, WEST, NORTH]), [FIRE, FIRE, STAY])
    np.testing.assert_array_equal(result.reward, [-1, -1, -100])
    result = act(state_on(OPEN, [(3, 2), (3, 6)], [EAST, WEST]), [FIRE, FIRE])
    np.testing.assert_array_equal(result.reward, [-51, -51])


def test_the_absent_neither_fire_nor_are_hit():
    result = act(
        state_on(OPEN, [(3, 2), (3, 4), (3, 5)], [EAST] * 3, agent_mask=[True, False, True]), [FIRE, FIRE, STAY]
    )
    np.testing.assert_array_equal(result.reward, [-1, 0, -50])


RIVER = tiles_of(
    """
    ##########
    #..ww....#
    #...ww...#
    #..~ww...#
    ##########
    """
)


def test_cleaning_takes_the_first_waste_of_each_lane():
    result = act(state_on(RIVER, [(2, 2)], [EAST]), [CLEAN])
    assert text_of(result.state.tiles, ".#o~w=") == "##########\n#..~w....#\n#...~w...#\n#..~~w...#\n##########"
    assert shown(result).split("\n")[1:4] == ["..cc......", "...cc.....", "..ccc....."]
    np.testing.assert_array_equal(result.info["cleaned"], [3])
    np.testing.assert_array_equal(result.reward, [0])


def test_fire_passes_waste():
    result = act(state_on(RIVER, [(2, 2)], [EAST]), [FIRE])
    np.testing.assert_array_equal(result.state.tiles, RIVER)
    assert shown(result).split("\n")[2] == "...fffff.."


def test_cleaning_ends_at_an_agent_with_the_waste_under_it():
    result = act(state_on(RIVER, [(2, 2), (2, 3), (1, 3)], [EAST] * 3), [CLEAN, STAY, STAY])
    # Agent 1 stands on floor and shields; agent 2 stands on waste.
    assert text_of(result.state.tiles, ".#o~w=").split("\n")[1:4] == ["#..~w....#", "#...ww...#", "#..~~w...#"]
    np.testing.assert_array_equal(result.reward, [0, 0, 0])
    assert result.state.beam[2, 3] == 2
    assert result.state.beam[2, 4] == 0


@pytest.mark.parametrize("priority", [(1, 0), (0, 1)])
def test_the_later_of_two_reaches_past_what_the_earlier_cleaned(priority):
    line = tiles_of("##########\n#........#\n#...ww...#\n#........#\n##########")
    result = act(state_on(line, [(2, 3), (1, 4)], [EAST, EAST]), [CLEAN, CLEAN], priority=priorities(*priority))
    # Both have the row of waste in a lane: agent 0 ahead, agent 1 at its right.
    assert text_of(result.state.tiles, ".#o~w=").split("\n")[2] == "#...~~...#"
    np.testing.assert_array_equal(result.info["cleaned"], [1, 1])
    reach = [result.state.beam[2, c] for c in (4, 5, 6)]
    assert reach == [2, 2, 0]


def test_fire_shows_over_cleaning():
    result = act(state_on(OPEN, [(3, 2), (5, 2)], [EAST, EAST]), [CLEAN, FIRE])
    assert [result.state.beam[row, 3] for row in (2, 3, 4, 5, 6)] == [2, 2, 1, 1, 1]


@given(situations(moves=(FIRE, FIRE, CLEAN, CLEAN, CLEAN, STAY, TURN_CLOCKWISE)))
def test_beams_on_any_map(situation):
    state, action, priority = situation
    result = act(state, action, priority)
    beam, tiles, hits, cleaned = slow_beams(state, action, priority)
    eaten = np.asarray(state.tiles).copy()
    for i in np.flatnonzero(state.agent_mask):
        cell = tuple(np.asarray(state.position)[i])
        eaten[cell] = 0 if eaten[cell] == 2 else eaten[cell]
    np.testing.assert_array_equal(result.state.beam, beam)
    np.testing.assert_array_equal(result.state.tiles, np.where(eaten == 0, 0, tiles))
    np.testing.assert_array_equal(result.info["hits"], hits.sum(1))
    np.testing.assert_array_equal(result.info["times_zapped"], hits.sum(0))
    np.testing.assert_array_equal(result.info["cleaned"], cleaned)
    assert not result.state.beam[np.asarray(state.tiles) == WALL].any(), "a beam in a wall"
