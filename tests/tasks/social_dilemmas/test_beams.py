import numpy as np
import pytest
from hypothesis import given

from rookery.tasks.social_dilemmas.tiles import CLEAN, FIRE, STAY, TURN_CLOCKWISE, WALL
from tests.tasks.social_dilemmas.worlds import (
    EAST,
    NORTH,
    SOUTH,
    WEST,
    act,
    lots,
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


def shown(told) -> str:
    return text_of(told.state.beam, ".fc")


def test_three_lanes_of_five():
    told = act(state_on(OPEN, [(3, 2)], [EAST]), [FIRE])
    assert shown(told).split("\n")[2:5] == ["..fffff....", "...fffff...", "..fffff...."]
    assert np.count_nonzero(told.state.beam) == 15
    np.testing.assert_array_equal(told.reward, [-1])
    assert {name: float(count[0]) for name, count in told.info.items()} == {
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
    told = act(state_on(OPEN, [(3, 2)], [NORTH]), [FIRE], position=[(3, 3)])
    assert told.state.beam[2, 3] == 1
    assert told.state.beam[3, 3] == 0


def test_each_lane_ends_before_its_own_wall():
    tiles = OPEN.copy()
    tiles[3, 5] = tiles[2, 2] = WALL
    told = act(state_on(tiles, [(3, 2)], [EAST]), [FIRE])
    assert shown(told).split("\n")[2:5] == ["...........", "...ff......", "..fffff...."]


def test_the_first_agent_is_hit_and_shields_the_next():
    told = act(state_on(OPEN, [(3, 2), (3, 4), (3, 5), (2, 6), (2, 7)], [EAST] * 5), [FIRE] + [STAY] * 4)
    np.testing.assert_array_equal(told.reward, [-1, -50, 0, -50, 0])
    assert shown(told).split("\n")[2:5] == ["..fffff....", "...ff......", "..fffff...."]
    np.testing.assert_array_equal(told.info["hits"], [2, 0, 0, 0, 0])
    np.testing.assert_array_equal(told.info["times_zapped"], [0, 1, 0, 1, 0])


def test_two_may_hit_one_and_each_other():
    told = act(state_on(OPEN, [(3, 2), (3, 6), (3, 4)], [EAST, WEST, NORTH]), [FIRE, FIRE, STAY])
    np.testing.assert_array_equal(told.reward, [-1, -1, -100])
    told = act(state_on(OPEN, [(3, 2), (3, 6)], [EAST, WEST]), [FIRE, FIRE])
    np.testing.assert_array_equal(told.reward, [-51, -51])


def test_the_absent_neither_fire_nor_are_hit():
    told = act(state_on(OPEN, [(3, 2), (3, 4), (3, 5)], [EAST] * 3, active=[True, False, True]), [FIRE, FIRE, STAY])
    np.testing.assert_array_equal(told.reward, [-1, 0, -50])


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
    told = act(state_on(RIVER, [(2, 2)], [EAST]), [CLEAN])
    assert text_of(told.state.tiles, ".#o~w=") == "##########\n#..~w....#\n#...~w...#\n#..~~w...#\n##########"
    assert shown(told).split("\n")[1:4] == ["..cc......", "...cc.....", "..ccc....."]
    np.testing.assert_array_equal(told.info["cleaned"], [3])
    np.testing.assert_array_equal(told.reward, [0])


def test_fire_passes_waste():
    told = act(state_on(RIVER, [(2, 2)], [EAST]), [FIRE])
    np.testing.assert_array_equal(told.state.tiles, RIVER)
    assert shown(told).split("\n")[2] == "...fffff.."


def test_cleaning_ends_at_an_agent_with_the_waste_under_it():
    told = act(state_on(RIVER, [(2, 2), (2, 3), (1, 3)], [EAST] * 3), [CLEAN, STAY, STAY])
    # Agent 1 stands on floor and shields; agent 2 stands on waste.
    assert text_of(told.state.tiles, ".#o~w=").split("\n")[1:4] == ["#..~w....#", "#...ww...#", "#..~~w...#"]
    np.testing.assert_array_equal(told.reward, [0, 0, 0])
    assert told.state.beam[2, 3] == 2
    assert told.state.beam[2, 4] == 0


@pytest.mark.parametrize("lot", [(1, 0), (0, 1)])
def test_the_later_of_two_reaches_past_what_the_earlier_cleaned(lot):
    line = tiles_of("##########\n#........#\n#...ww...#\n#........#\n##########")
    told = act(state_on(line, [(2, 3), (1, 4)], [EAST, EAST]), [CLEAN, CLEAN], lot=lots(*lot))
    # Both have the row of waste in a lane: agent 0 ahead, agent 1 at its right.
    assert text_of(told.state.tiles, ".#o~w=").split("\n")[2] == "#...~~...#"
    np.testing.assert_array_equal(told.info["cleaned"], [1, 1])
    reach = [told.state.beam[2, c] for c in (4, 5, 6)]
    assert reach == [2, 2, 0]


def test_fire_shows_over_cleaning():
    told = act(state_on(OPEN, [(3, 2), (5, 2)], [EAST, EAST]), [CLEAN, FIRE])
    assert [told.state.beam[row, 3] for row in (2, 3, 4, 5, 6)] == [2, 2, 1, 1, 1]


@given(situations(moves=(FIRE, FIRE, CLEAN, CLEAN, CLEAN, STAY, TURN_CLOCKWISE)))
def test_beams_on_any_map(situation):
    state, action, lot = situation
    told = act(state, action, lot)
    beam, tiles, hits, cleaned = slow_beams(state, action, lot)
    eaten = np.asarray(state.tiles).copy()
    for i in np.flatnonzero(state.agent_mask):
        cell = tuple(np.asarray(state.position)[i])
        eaten[cell] = 0 if eaten[cell] == 2 else eaten[cell]
    np.testing.assert_array_equal(told.state.beam, beam)
    np.testing.assert_array_equal(told.state.tiles, np.where(eaten == 0, 0, tiles))
    np.testing.assert_array_equal(told.info["hits"], hits.sum(1))
    np.testing.assert_array_equal(told.info["times_zapped"], hits.sum(0))
    np.testing.assert_array_equal(told.info["cleaned"], cleaned)
    assert not told.state.beam[np.asarray(state.tiles) == WALL].any(), "a beam in a wall"
