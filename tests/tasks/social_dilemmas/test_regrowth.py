import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.tasks.social_dilemmas import regrowth
from rookery.tasks.social_dilemmas.cleanup import Cleanup
from rookery.tasks.social_dilemmas.dilemma_tiles import APPLE, EMPTY, RIVER, WASTE
from rookery.tasks.social_dilemmas.harvest import Harvest
from tests.tasks.social_dilemmas.worlds import tiles_of

DRAWS = 4000


def grown(task, tiles, occupied=(), draws: int = DRAWS, seed: int = 1, **changes) -> np.ndarray:
    """Tiles after one step of growth, for many random seeds. u8[N, H, W]."""
    tiles = jnp.asarray(tiles, jnp.uint8)
    standing = np.zeros(tiles.shape, bool)
    for cell in occupied:
        standing[cell] = True
    params = task.default_params().replace(**changes)

    def one(key):
        words = jax.random.bits(key, (tiles.size + 1,))
        return task.respawn_resources(tiles, jnp.asarray(standing), words[1:].reshape(tiles.shape), words[0], params)

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.PRNGKey(seed), draws)))


def close(share: float, chance: float, draws: int) -> bool:
    return abs(share - chance) <= 3 * (chance * (1 - chance) / draws) ** 0.5


ORCHARD = """
###########
#,,,#,,,#A#
#,,,#,,,#A#
#,,,#,,,#.#
#.........#
#,,,#,,,#.#
#,,,#,,,#.#
#,,,#,,,#.#
###########
"""
CENTERS = ((2, 2), (2, 6), (6, 2), (6, 6))


def test_harvest_grows_by_the_number_of_apples_near():
    """The centers of four patches have 0, 1, 2 and 3 or more apples on their eight neighbors."""
    task = Harvest(map=ORCHARD, num_agents=2)
    tiles = np.where(task.parsed_map.tiles == APPLE, EMPTY, task.parsed_map.tiles)
    tiles[1, 5] = APPLE  # diagonal neighbors count
    tiles[5, 2] = tiles[6, 1] = APPLE
    tiles[5, 5:8] = tiles[7, 5] = APPLE
    after = grown(task, tiles, draws=20_000)
    for center, chance in zip(CENTERS, (0.0, 0.005, 0.02, 0.05), strict=True):
        assert close((after[:, *center] == APPLE).mean(), chance, 20_000), center
    changed = (after != tiles).any(0)
    assert not changed[~task.parsed_map.orchard].any()
    assert not (after[:, tiles == APPLE] != APPLE).any(), "an apple went away"
    assert not changed[5:8, 1:4][2, 2], "(7, 3) is next to the middle, which is empty"


def test_near_is_the_eight_cells_around():
    tiles = tiles_of("#######\n#.....#\n#..o..#\n#.....#\n#.....#\n#######")
    near = np.asarray(regrowth.count_nearby_apples(jnp.asarray(tiles)))
    expected = np.zeros((6, 7), int)
    expected[1:4, 2:5] = 1
    expected[2, 3] = 0  # an apple is not next to itself
    np.testing.assert_array_equal(near, expected)


def test_no_apple_under_an_agent():
    task = Harvest(map=ORCHARD, num_agents=2, regrowth_probs=(1.0, 1.0, 1.0, 1.0))
    tiles = np.asarray(task.parsed_map.tiles)
    after = grown(task, tiles, occupied=[(2, 2), (5, 7)], draws=4)
    free = task.parsed_map.orchard.copy()
    free[2, 2] = free[5, 7] = False
    assert ((after == APPLE) == free).all()


RIVER_MAP = """
##########
#~~~~A,,,#
#~~~~A,,,#
#~~A~~,,,#
##########
"""


def river_with(waste: int):
    """Ten river cells, of which some are waste."""
    task = Cleanup(map=RIVER_MAP.replace("A~~,", "A..,"), num_agents=3)
    tiles = np.array(task.parsed_map.tiles)
    cells = np.argwhere(task.parsed_map.river)
    assert len(cells) == 10
    for row, col in cells[:waste]:
        tiles[row, col] = WASTE
    return task, tiles


@pytest.mark.parametrize("waste", [0, 1, 2, 3])
def test_apples_grow_by_how_clean_the_river_is(waste):
    task, tiles = river_with(waste)
    after = grown(task, tiles)
    chance = 0.05 * (1 - waste / 10 / 0.4)
    assert close((after[:, task.parsed_map.orchard] == APPLE).mean(), chance, DRAWS * 9)
    assert float(task.apple_probability(jnp.asarray(tiles), task.default_params())) == pytest.approx(chance)
    assert not (after == APPLE)[:, ~task.parsed_map.orchard].any()


@pytest.mark.parametrize("waste", [4, 5, 10])
def test_nothing_grows_at_the_threshold_and_above(waste):
    task, tiles = river_with(waste)
    np.testing.assert_array_equal(grown(task, tiles), np.broadcast_to(tiles, (DRAWS, *tiles.shape)))
    assert task.apple_probability(jnp.asarray(tiles), task.default_params()) == 0


@pytest.mark.parametrize(("waste", "chance"), [(3, 0.5), (3, 0.05), (0, 0.1)])
def test_one_waste_at_most_and_anywhere_alike(waste, chance):
    """One of n clean cells turns into waste with probability 1 - (1 - prob)^n, each equally often."""
    task, tiles = river_with(waste)
    after = grown(task, tiles, waste_spawn_prob=jnp.float32(chance))
    new = (after == WASTE) & (tiles != WASTE)
    count = new.sum((1, 2))
    clean = 10 - waste
    assert count.max() == 1
    assert close(count.mean(), 1 - (1 - chance) ** clean, DRAWS)
    each = new[:, tiles == RIVER].mean(0)
    assert len(each) == clean
    assert all(close(share, (1 - (1 - chance) ** clean) / clean, DRAWS) for share in each)
    assert not (new & ~task.parsed_map.river).any()


def test_waste_grows_under_agents_and_apples_do_not():
    task, tiles = river_with(0)
    everywhere = [tuple(cell) for cell in np.argwhere(task.parsed_map.river | task.parsed_map.orchard)]
    after = grown(task, tiles, occupied=everywhere, waste_spawn_prob=jnp.float32(1), apple_respawn_prob=jnp.float32(1))
    assert ((after == WASTE).sum((1, 2)) == 1).all()
    assert not (after == APPLE).any()


def test_a_river_that_is_all_waste_grows_no_more():
    task, tiles = river_with(10)
    after = grown(task, tiles, draws=8, waste_spawn_prob=jnp.float32(1), depletion_threshold=jnp.float32(2))
    np.testing.assert_array_equal(after[0], tiles)


def test_chances_of_zero_and_one():
    words = jnp.array([0, 1, 2**31, 2**32 - 1], jnp.uint32)
    assert not regrowth.bernoulli(words, jnp.float32(0)).any()
    assert regrowth.bernoulli(words, jnp.float32(1)).all()
