import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.tasks.social_dilemmas import maps
from rookery.tasks.social_dilemmas.box_trapped import BoxTrapped
from rookery.tasks.social_dilemmas.cleanup import Cleanup
from rookery.tasks.social_dilemmas.dilemma_tiles import APPLE, BOX, RIVER, STREAM, WALL, WASTE
from rookery.tasks.social_dilemmas.harvest import Harvest
from rookery.tasks.social_dilemmas.map_parsing import map_to_text, parse_dilemma_map


def test_cleanup_is_the_authors_map():
    parsed_map = parse_dilemma_map(maps.CLEANUP)
    assert parsed_map.tiles.shape == (25, 18)
    count = {kind: int((parsed_map.tiles == kind).sum()) for kind in (APPLE, RIVER, WASTE, STREAM)}
    assert count == {APPLE: 0, RIVER: 63, WASTE: 56, STREAM: 12}
    assert (parsed_map.orchard.sum(), parsed_map.river.sum(), len(parsed_map.spawn_cells)) == (103, 119, 10)
    assert parsed_map.river[3, 6]
    assert not parsed_map.river[4, 6]
    assert parsed_map.tiles[8, 6] == WASTE
    assert parsed_map.tiles[8, 12] == STREAM
    assert parsed_map.orchard[1, 12]
    assert not parsed_map.orchard[2, 12]
    assert (12, 11) in map(tuple, parsed_map.spawn_cells)


def test_harvest_is_the_authors_map():
    parsed_map = parse_dilemma_map(maps.HARVEST)
    assert parsed_map.tiles.shape == (16, 38)
    assert (parsed_map.orchard.sum(), (parsed_map.tiles == APPLE).sum(), len(parsed_map.spawn_cells)) == (155, 155, 20)
    np.testing.assert_array_equal(
        np.flatnonzero(parsed_map.orchard[5]), [1, 2, 3, 6, 8, 13, 16, 17, 18, 20, 23, 24, 25, 34]
    )
    np.testing.assert_array_equal(np.flatnonzero(parsed_map.orchard[14]), [14])
    assert (14, 35) in map(tuple, parsed_map.spawn_cells)


@pytest.mark.parametrize("task", [Cleanup(), Harvest(), BoxTrapped()])
def test_walls_all_round(task):
    tiles = task.parsed_map.tiles
    for edge in (tiles[0], tiles[-1], tiles[:, 0], tiles[:, -1]):
        assert (edge == WALL).all()


def test_the_small_cleanup_opens_as_polluted_as_the_authors():
    parsed_map = parse_dilemma_map(maps.CLEANUP_SMALL)
    assert 0.4 < (parsed_map.tiles == WASTE).sum() / parsed_map.river.sum() < 0.6


def test_every_mark():
    parsed_map = parse_dilemma_map("######\n#A.o,#\n#~w=+#\n#A A.#\n######")
    assert map_to_text(parsed_map.tiles, parsed_map.orchard) == "######\n#..o,#\n#~w=+#\n#....#\n######"
    assert map_to_text(parsed_map.tiles, parsed_map.orchard, [(1, 1), (3, 4)], [1, 2]).split("\n")[1:4:2] == [
        "#>.o,#",
        "#...v#",
    ]
    np.testing.assert_array_equal(parsed_map.spawn_cells, [(1, 1), (3, 1), (3, 3)])
    np.testing.assert_array_equal(np.argwhere(parsed_map.orchard), [(1, 3), (1, 4)])
    np.testing.assert_array_equal(np.argwhere(parsed_map.river), [(2, 1), (2, 2)])
    np.testing.assert_array_equal(np.argwhere(parsed_map.box), [(2, 4)])
    assert parsed_map.tiles[2, 4] == BOX


def test_numbered_starts_are_in_order():
    np.testing.assert_array_equal(
        parse_dilemma_map("#####\n#1.0#\n#2..#\n#####").assigned_spawn_cells, [(1, 3), (1, 1), (2, 1)]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "3×3"),
        ("##\n##\n##", "3×3"),
        ("####\n#A.#\n###", "line 3, column 4: 3 cells"),
        ("####\n#AX#\n####", "line 2, column 3: 'X' is not known"),
        ("####\n#A..\n####", "line 2, column 4: '.' at the edge"),
        ("#A##\n#..#\n####", "line 1, column 2: 'A' at the edge"),
        ("####\n#00#\n####", "agent 0 already has a start"),
        ("####\n#02#\n####", "agent 1 has no start"),
        ("####\n#0A#\n####", "both numbered start cells and A"),
    ],
)
def test_a_malformed_map_is_refused(text, words):
    with pytest.raises(ConfigError, match=words):
        parse_dilemma_map(text)


RIVER_MAP = "#####\n#A~w#\n#####"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Cleanup(num_agents=0), r"num_agents=0 must lie in \[1, 10\]"),
        (lambda: Cleanup(num_agents=11), "num_agents=11"),
        (lambda: Cleanup(map=RIVER_MAP, num_agents=2), "1 start cells"),
        (lambda: Cleanup(map="####\n#A.#\n####", num_agents=1), "no river"),
        (lambda: Cleanup(apple_respawn_prob=1.5), r"apple_respawn_prob=1\.5"),
        (lambda: Cleanup(depletion_threshold=0.0), r"depletion_threshold=0\.0"),
        (lambda: Cleanup(hit_cost=-50.0), r"hit_cost=-50\.0 must be non-negative"),
        (lambda: Cleanup(view_radius=15), "view_radius=15"),
        (lambda: Cleanup(tile_size=0), "tile_size=0"),
        (lambda: Harvest(max_steps=0), "max_steps=0"),
        (lambda: Harvest(regrowth_probs=(0.0, 0.1, 0.2, 2.0)), "regrowth"),
        (lambda: BoxTrapped(num_agents=3), "num_agents=3"),
        (lambda: BoxTrapped(map="#####\n#0.1#\n#####"), "needs a box"),
    ],
)
def test_impossible_settings_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
