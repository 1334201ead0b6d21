import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from rookery.errors import ConfigError
from rookery.gridworld.layout import empty_room, parse_map, sample_cells
from rookery.gridworld.spec import GridSpec, ViewConfig
from rookery.gridworld.tiles import FLOOR, GOAL, OBSTACLE
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.single_goal import SingleGoal
from tests.worlds import SMALL, map_text, task_on


def layouts(task, count, seed=0):
    """Tiles, positions, headings and goals of many episodes."""
    keys = jax.random.split(jax.random.PRNGKey(seed), count)
    tiles, position, heading, task_state = jax.jit(jax.vmap(task.generate))(keys)
    return np.asarray(tiles), np.asarray(position), np.asarray(heading), np.asarray(task_state.goals)


@pytest.fixture(scope="module")
def many_layouts():
    return layouts(GoalCycle(), 600)


def test_counts_are_exact(many_layouts):
    tiles, position, heading, goals = many_layouts
    assert GoalCycle().resolved_num_obstacles == 18
    inside = tiles[:, 1:-1, 1:-1]
    assert ((inside == OBSTACLE).sum((1, 2)) == 18).all()
    assert ((tiles == OBSTACLE).sum((1, 2)) == 18 + 4 * 12).all()  # and an unbroken border
    assert ((inside == GOAL).sum((1, 2)) == 3).all()
    assert goals.shape == (600, 3, 2)
    assert position.shape == (600, 3, 2)
    assert ((heading >= 0) & (heading < 4)).all()


def test_nothing_overlaps(many_layouts):
    tiles, position, _, goals = many_layouts
    world = np.arange(len(tiles))[:, None]
    assert (tiles[world, goals[..., 0], goals[..., 1]] == GOAL).all()
    assert (tiles[world, position[..., 0], position[..., 1]] == FLOOR).all()
    for things in (goals, position):
        cell = np.sort(things[..., 0] * 13 + things[..., 1], -1)
        assert (np.diff(cell, axis=-1) > 0).all()


def test_every_cell_and_heading_is_as_likely(many_layouts):
    tiles, position, heading, goals = many_layouts
    cells = {"goals": goals, "first goal": goals[:, :1], "agents": position, "last agent": position[:, -1:]}
    counts = {n: np.bincount((c[..., 0] * 13 + c[..., 1]).ravel(), minlength=169) for n, c in cells.items()}
    counts = {name: count.reshape(13, 13)[1:-1, 1:-1].ravel() for name, count in counts.items()}
    counts["blocks"] = (tiles[:, 1:-1, 1:-1] == OBSTACLE).sum(0).ravel()
    counts["headings"] = np.bincount(heading.ravel(), minlength=4)
    for name, count in counts.items():
        assert stats.chisquare(count).pvalue > 1e-4, name


def test_same_key_same_map_other_key_other_map():
    tiles, position, _, goals = layouts(GoalCycle(), 4)
    again = layouts(GoalCycle(), 4)
    np.testing.assert_array_equal(tiles, again[0])
    np.testing.assert_array_equal(position, again[1])
    np.testing.assert_array_equal(goals, again[3])
    assert len({tuple(map(tuple, g)) for g in goals.tolist()}) == 4
    assert len({t.tobytes() for t in tiles}) == 4


def test_draw_cells_is_a_fair_draw_without_return():
    cells = jnp.stack([jnp.arange(6), jnp.arange(6)], -1)
    picks = np.asarray(
        jax.jit(jax.vmap(lambda k: sample_cells(k, cells, 3)))(jax.random.split(jax.random.PRNGKey(0), 6000))
    )[..., 0]
    assert (np.diff(np.sort(picks, -1), axis=-1) > 0).all()
    numbers = picks @ np.array([36, 6, 1])
    counts = np.unique(numbers, return_counts=True)[1]
    assert len(counts) == 6 * 5 * 4  # every ordered draw
    assert stats.chisquare(counts).pvalue > 1e-4


def test_draw_cells_edges():
    cells = jnp.array([[1, 2], [3, 4]])
    key = jax.random.PRNGKey(0)
    assert sample_cells(key, cells, 0).shape == (0, 2)
    assert sorted(sample_cells(key, cells, 2).tolist()) == [[1, 2], [3, 4]]
    with pytest.raises(ConfigError, match="3 items do not fit on 2 free cells"):
        sample_cells(key, cells, 3)


@pytest.mark.parametrize(
    ("height", "width", "density", "count"),
    [
        (13, 13, 0.15, 18),
        (5, 9, 0.15, 3),
        (12, 4, 0.15, 3),
        (7, 6, 0.15, 3),
        (13, 13, 0.0, 0),
        (13, 13, 0.5, 60),
    ],
)
def test_obstacles_from_density(height, width, density, count):
    assert GoalCycle(height=height, width=width, obstacle_density=density).resolved_num_obstacles == count


def test_a_full_world_still_places_everything():
    task = GoalCycle(height=4, width=5, num_goals=2, num_obstacles=1, views=(SMALL,) * 3)
    tiles, position, _, goals = layouts(task, 20)
    assert (tiles[:, 1:-1, 1:-1] == FLOOR).sum() == 3 * 20
    assert len(goals) == len(position) == 20


# Maps from text.


def test_border():
    assert empty_room(3, 5).tolist() == [[1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]]


def test_a_map_by_hand():
    ascii_map = parse_map("\n#####\n#2 A#\n#.1A#\n#####\n")
    assert (ascii_map.height, ascii_map.width) == (4, 5)
    assert ascii_map.tiles == ((1, 1, 1, 1, 1), (1, 0, 0, 0, 1), (1, 0, 0, 0, 1), (1, 1, 1, 1, 1))
    assert ascii_map.numbered_goals == ((2, 2), (1, 1))
    assert ascii_map.unordered_goals == ()
    assert ascii_map.spawn_cells == ((1, 3), (2, 3))
    assert hash(ascii_map) == hash(parse_map("#####\n#2 A#\n#.1A#\n#####"))
    assert parse_map("G.G").unordered_goals == ((0, 0), (0, 2))


INDENTED = """
    #####
    #2 A#
    #.1A#
    #####
    """


def test_the_indentation_of_a_triple_quoted_map_is_no_floor():
    assert parse_map(INDENTED) == parse_map("#####\n#2 A#\n#.1A#\n#####")
    # A closing line alone tells it, too, and an empty first line; a shared column of floor is written with dots.
    assert parse_map("    ###\n    #.#\n  ") == parse_map("###\n#.#")
    assert parse_map("\n    ###\n    #.#") == parse_map("###\n#.#")
    assert parse_map("\n    .##\n    .G.\n    ").width == 3
    # Rows with less indentation keep the floor that is theirs.
    assert parse_map("\n   #\n  ##\n") == parse_map(" #\n##")


def test_leading_spaces_are_floor_where_nothing_surrounds_the_map():
    assert parse_map("  ##\n  G#") == parse_map("..##\n..G#")
    assert parse_map("  ##\n  G#\n") == parse_map("..##\n..G#")
    assert parse_map("    \n  ##") == parse_map("....\n..##")


def test_a_task_on_an_indented_map_has_its_size():
    task = SingleGoal(
        map="""
        #######
        #.....#
        #..G..#
        #######
        """
    )
    assert (task.grid_spec.height, task.grid_spec.width) == (4, 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the map is empty"),
        ("\n    ###\n    #.\n    ", "map line 2, column 3: 2 cells where line 1 has 3"),
        ("\n\n", "the map is empty"),
        ("###\n#.#\n##", "map line 3, column 3: 2 cells where line 1 has 3"),
        ("###\n#..#\n###", "map line 2, column 4: 4 cells where line 1 has 3"),
        ("###\n#x#\n###", "map line 2, column 2: 'x' is not known; allowed: # . "),
        ("###\n#.#\n#0#", "map line 3, column 2: '0' is not known"),
        ("###\n#\t#\n###", "map line 2, column 2: "),
        ("#²#", "map line 1, column 2: '²' is not known"),
        ("1..\n..1", "map line 2, column 3: goal 1 is already on the map"),
        ("1.3", "goal 2 is not on the map; numbered goals must run from 1"),
        ("1.G", "both numbered goals and G"),
    ],
)
def test_a_malformed_map_is_refused(text, message):
    with pytest.raises(ConfigError) as caught:
        parse_map(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


MAP = """
#########
#A..2..A#
#.......#
#..1..A.#
#########
"""


def test_numbered_goals_stay_in_order_and_spawns_are_used():
    task = task_on(MAP, agents=2)
    tiles, position, _, goals = layouts(task, 60)
    assert (goals == [(3, 3), (1, 4)]).all()
    assert (tiles == tiles[0]).all()
    starts = {(1, 1), (1, 7), (3, 6)}
    assert {tuple(p) for p in position.reshape(-1, 2).tolist()} == starts
    assert (position[:, 0] != position[:, 1]).any(-1).all()


def test_goals_the_map_leaves_open_are_drawn():
    tiles, _, _, goals = layouts(task_on(MAP, num_goals=3), 60)
    assert (goals[:, :2] == [(3, 3), (1, 4)]).all()
    assert len({tuple(g) for g in goals[:, 2].tolist()}) > 5
    assert ((tiles == GOAL).sum((1, 2)) == 3).all()
    assert not any(tuple(g) in {(1, 1), (1, 7), (3, 6)} for g in goals[:, 2].tolist())  # start cells stay free


def test_the_order_of_unnumbered_goals_is_drawn_each_episode():
    task = task_on("#######\n#G.G.G#\n#..A..#\n#######")
    _, position, _, goals = layouts(task, 60)
    assert {tuple(g[:, 1]) for g in goals} == {
        (1, 3, 5),
        (1, 5, 3),
        (3, 1, 5),
        (3, 5, 1),
        (5, 1, 3),
        (5, 3, 1),
    }
    assert (position == (2, 3)).all()


def test_agents_without_start_cells_are_drawn():
    _, position, _, _ = layouts(task_on(MAP.replace("A", "."), agents=2), 60)
    assert len({tuple(p) for p in position[:, 0].tolist()}) > 10


# Impossible worlds.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_goals": 0}, "num_goals=0 must be at least 1"),
        ({"num_obstacles": -1}, "num_obstacles=-1 must be at least 0"),
        ({"obstacle_density": 1.0}, "obstacle_density=1.0 must lie in [0, 1)"),
        ({"penalty": -1.5}, "penalty=-1.5 must be non-negative; it is subtracted from the reward"),
        ({"prestige_decay": 1.1}, "prestige_decay=1.1 must lie in [0, 1]"),
        ({"prestige_rule": "linear"}, "prestige_rule='linear' is not known"),
        ({"spawn_delay": (1,)}, "spawn_delay has 1 entries for 3 agents"),
        ({"spawn_delay": (0, 0, -1)}, "must not be negative"),
        ({"height": 2}, "no room inside its border"),
        ({"width": 2}, "no room inside its border"),
        ({"views": ()}, "at least one agent"),
        ({"max_steps": 0}, "max_steps=0 must be at least 1"),
        ({"num_actions": 4}, "num_actions=4 must be 3"),
        (
            {"height": 4, "width": 4, "num_goals": 4},
            "7 goals, agents and obstacles do not fit on the 4 free cells",
        ),
        ({"num_obstacles": 116}, "122 goals, agents and obstacles do not fit on the 121 free cells"),
        ({"map": "###\n#.#\n###"}, "do not fit on the 1 free cells of a 3×3 world"),
        ({"map": "#######\n#1234.#\n#.....#\n#######"}, "the map has 4 goals for num_goals=3"),
        ({"map": "#######\n#123AA#\n#######"}, "the map has 2 start cells (A) for 3 agents"),
    ],
)
def test_an_impossible_world_is_refused(change, message):
    with pytest.raises(ConfigError) as caught:
        dataclasses.replace(GoalCycle(), **change)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 4}, "view size=4 must be odd"),
        ({"size": 1}, "view size=1 must be odd and lie in [3, 29]"),
        ({"size": 31}, "view size=31 must be odd and lie in [3, 29]"),
        ({"rows_behind": 7}, "view rows_behind=7 must lie in [0, 7)"),
        ({"rows_behind": -1}, "view rows_behind=-1"),
        ({"observation_type": "text"}, "view observation_type='text' is not known; allowed: 'pixels', 'symbolic'"),
        ({"tile_size": 0}, "tile_size=0 must be at least 1"),
    ],
)
def test_an_impossible_view_is_refused(change, message):
    with pytest.raises(ConfigError) as caught:
        ViewConfig(**change)
    assert message in str(caught.value)


def test_a_world_knows_its_numbers():
    assert GridSpec().num_agents == 3
    assert ViewConfig().shape == (21, 21, 3)
    assert ViewConfig(observation_type="symbolic", size=5).shape == (5, 5, 8)
    assert ViewConfig(size=7, rows_behind=1).agent_row == 5
    assert task_on(map_text(MAP)).grid_spec.height == 5
    assert task_on(map_text(MAP)).grid_spec.width == 9
