import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.gridworld.observation import encode_symbolic, observe_agent, observe_all, render_pixels, triangle
from rookery.gridworld.prestige import blue_fraction, update_prestige
from rookery.gridworld.spec import CHANNELS, GridSpec, ViewConfig
from rookery.gridworld.tiles import FLOOR, GOAL, OBSTACLE
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.grid_env import GridEnv
from tests.worlds import EAST, NORTH, SOUTH, WEST, put, start, task_on

MAP = """
#########
#...#.1.#
#.......#
#2......#
#########
"""
UNSEEN, BLOCK, YELLOW, BLACK = (35, 25, 30), (74, 65, 42), (255, 255, 0), (0, 0, 0)


def after(rewards, decay=0.99):
    prestige = jnp.float32(0)
    for reward in rewards:
        prestige = update_prestige(prestige, jnp.float32(reward), decay)
    return float(prestige)


def test_prestige_numbers():
    assert after([1] + [0] * 9) == pytest.approx(0.9135, abs=5e-5)
    assert after([1] + [0] * 9 + [1]) == pytest.approx(1.9044, abs=5e-5)
    assert after([1, 1, -1.5]) == 0
    assert after([-1.5, 0, 0]) == 0
    assert after([1, 0, 1], decay=0.5) == 1.25


def test_blue_share_numbers():
    assert blue_fraction(jnp.float32(1), "tanh") == pytest.approx(0.4621, abs=5e-5)
    assert blue_fraction(jnp.float32(1), "sigmoid") == pytest.approx(0.7311, abs=5e-5)
    assert blue_fraction(jnp.float32(0), "tanh") == 0  # red
    assert blue_fraction(jnp.float32(0), "sigmoid") == 0.5  # purple
    assert blue_fraction(jnp.float32(100), "tanh") == 1  # blue


def shown(state, agent=0, rule="tanh", **view):
    task = task_on(MAP, agents=len(state.position), view=ViewConfig(**view), prestige_rule=rule)
    return np.asarray(jax.jit(observe_agent, static_argnums=(1, 2))(state, agent, task.grid_spec))


def standing(agents=1, position=(2, 2), heading=EAST):
    return start(task_on(MAP, agents=agents), position, heading)


def tile(picture, row, col, side=3):
    return picture[row * side : (row + 1) * side, col * side : (col + 1) * side]


def test_a_picture_is_21_by_21_with_the_agent_in_row_5_column_3():
    picture = shown(standing())
    assert picture.shape == (21, 21, 3)
    assert picture.dtype == np.uint8
    task_state = tile(picture, 5, 3)
    assert task_state[1, 1].tolist() == [239, 0, 0]  # the triangle covers 15/16 of the middle pixel
    assert (tile(picture, 4, 3) == BLACK).all()


def test_colors_of_tiles():
    # Facing east from (2, 2): the block at (1, 4) is two ahead, one left; what lies behind it is not seen.
    picture = shown(standing(), size=7, rows_behind=1)
    assert (tile(picture, 3, 2) == BLOCK).all()
    assert (tile(picture, 0, 0) == UNSEEN).all()
    assert (tile(picture, 5, 3)[0, 0] == BLACK).all()
    goal = tile(picture, 6, 4)  # (3, 1): one behind, one to the right
    assert (goal == YELLOW).all()
    assert (tile(shown(standing(), can_hide_goals=True), 6, 4) == BLACK).all()


@pytest.mark.parametrize(
    ("rule", "prestige", "blue"),
    [("tanh", 0.0, 0), ("tanh", 1.0, 118), ("tanh", 50.0, 255), ("sigmoid", 0.0, 128), ("sigmoid", 1.0, 186)],
)
def test_own_triangle_shows_own_prestige(rule, prestige, blue):
    state = standing().replace(prestige=jnp.array([prestige]))
    red, green, blue_seen = (int(x) for x in tile(shown(state, rule=rule), 5, 3)[1, 1])
    assert abs(red - (255 - blue) * 15 / 16) <= 1
    assert green == 0
    assert abs(blue_seen - blue * 15 / 16) <= 1


def test_others_show_their_own_prestige_and_heading():
    state = standing(agents=2, position=[(2, 2), (2, 4)], heading=[EAST, EAST])
    state = state.replace(prestige=jnp.array([0.0, 50.0]))
    picture = shown(state)
    assert tile(picture, 3, 3)[1, 1].tolist() == [0, 0, 239]
    assert tile(picture, 5, 3)[1, 1].tolist() == [239, 0, 0]
    np.testing.assert_array_equal(tile(picture, 3, 3)[..., 2], tile(picture, 5, 3)[..., 0])
    for heading, turns in (
        (NORTH, 1),
        (WEST, 2),
        (SOUTH, 3),
    ):  # counter-clockwise, seen by one who faces east
        turned = tile(shown(put(state, heading=[EAST, heading])), 3, 3)
        np.testing.assert_array_equal(turned, np.rot90(tile(picture, 3, 3), turns))


def test_on_a_shared_cell_the_viewer_is_on_top_then_the_lowest_number():
    state = standing(agents=3, position=[(2, 4), (2, 2), (2, 2)], heading=[WEST, EAST, EAST])
    state = state.replace(prestige=jnp.array([0.0, 0.0, 50.0]))
    red, blue = [239, 0, 0], [0, 0, 239]
    assert tile(shown(state, agent=0), 3, 3)[1, 1].tolist() == red  # of agents 1 and 2, agent 1
    assert tile(shown(state, agent=1), 5, 3)[1, 1].tolist() == red
    assert tile(shown(state, agent=2), 5, 3)[1, 1].tolist() == blue


def test_before_it_comes_an_agent_sees_one_color():
    state = standing().replace(agent_mask=jnp.array([False]))
    assert (shown(state) == UNSEEN).all()
    assert (shown(state, see_through_walls=True) == UNSEEN).all()
    symbolic = shown(state, observation_type="symbolic")
    assert (symbolic[..., 0] == 255).all()
    assert not symbolic[..., 1:].any()


def test_a_symbolic_view_by_hand():
    state = standing(agents=2, position=[(2, 2), (2, 4)], heading=[EAST, SOUTH])
    visible = shown(state.replace(prestige=jnp.array([0.0, 1.0])), observation_type="symbolic")
    assert visible.shape == (7, 7, 8)
    at = {name: i for i, name in enumerate(CHANNELS)}

    def cell(row, col):
        return {name: int(visible[row, col, i]) for name, i in at.items() if visible[row, col, i]}

    assert cell(5, 3) == {"agent ahead": 255}  # itself; red, so no prestige
    assert cell(3, 3) == {"agent right": 255, "prestige": 118}
    assert cell(3, 2) == {"obstacle": 255}
    assert cell(6, 4) == {"goal": 255}
    assert cell(4, 3) == {}
    assert cell(0, 0) == {"unseen": 255}


@pytest.mark.parametrize("side", [1, 2, 3, 8])
def test_the_triangle_points_ahead(side):
    cover = triangle(side)
    assert cover.shape == (4, side, side)
    assert ((cover >= 0) & (cover <= 1)).all()
    assert np.allclose(cover[0], cover[0][:, ::-1])  # mirror image of itself
    if side > 1:
        assert cover[0][0].sum() < cover[0][-1].sum()  # narrow ahead, broad behind
    for turns in range(4):  # clockwise: 1 is to the right
        np.testing.assert_array_equal(cover[turns], np.rot90(cover[0], -turns))


def test_pictures_tell_all_that_symbols_tell():
    """Each possible content of a cell, with all 256 shades, has its own pixels and its own channels."""
    view = ViewConfig(size=3)
    shades = np.arange(256)
    cases = [(kind, True, -1, 0) for kind in (FLOOR, OBSTACLE, GOAL)] + [(FLOOR, False, -1, 0)]
    cases += [(kind, True, facing, int(s)) for kind in (FLOOR, GOAL) for facing in range(4) for s in shades]
    kind, visible, facing, shade = (jnp.array(column) for column in zip(*cases, strict=True))

    @jax.jit
    @jax.vmap
    def encode(kind, visible, facing, shade):
        cells = jnp.ones((3, 3), jnp.int32)
        where = jnp.broadcast_to(facing >= 0, (3, 3))
        given = (cells * kind, cells.astype(bool) & visible, [where], [facing], [shade.astype(jnp.uint8)], view)
        return render_pixels(*given)[:3, :3], encode_symbolic(*given)[0, 0]

    for encoded in encode(kind, visible, facing, shade):
        flat = np.asarray(encoded).reshape(len(cases), -1)
        assert len(np.unique(flat, axis=0)) == len(cases)


@pytest.mark.parametrize(
    "other", [ViewConfig(can_hide_goals=True), ViewConfig(size=5, observation_type="symbolic", rows_behind=0)]
)
def test_all_views_at_once_are_the_views_one_by_one(other):
    views = (ViewConfig(), other, ViewConfig(see_through_walls=True), other)
    task = GoalCycle(height=6, width=9, num_goals=4, num_obstacles=6, views=views, max_steps=5)
    keys = jax.random.split(jax.random.PRNGKey(0), 16)

    @jax.jit
    @jax.vmap
    def both(key):
        state, _ = GridEnv(task).reset(key, task.default_params())
        state = state.replace(prestige=jax.random.uniform(key, (4,)), agent_mask=jax.random.uniform(key, (4,)) < 0.9)
        return observe_all(state, task.grid_spec), [observe_agent(state, agent, task.grid_spec) for agent in range(4)]

    together, alone = both(keys)
    for agent in range(4):
        visible = together[agent] if isinstance(together, tuple) else together[:, agent]
        np.testing.assert_array_equal(visible, alone[agent])
    assert isinstance(together, tuple) == (other.observation_type == "symbolic")


def test_views_of_different_shapes_side_by_side():
    spec = GridSpec(height=5, width=9, views=(ViewConfig(size=5), ViewConfig(size=3, observation_type="symbolic")))
    assert [view.shape for view in spec.views] == [(15, 15, 3), (3, 3, 8)]
    state = standing(agents=2, position=[(2, 2), (2, 4)], heading=[EAST, EAST])
    shapes = [jax.eval_shape(lambda s, a=agent: observe_agent(s, a, spec), state).shape for agent in range(2)]
    assert shapes == [(15, 15, 3), (3, 3, 8)]
