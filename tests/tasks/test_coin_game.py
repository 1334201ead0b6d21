"""Coin Game: rewards by hand, the torus, both sides alike, and its scripted players."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.tasks import registry
from rookery.tasks.coin_game import ACTIONS, CoinGame
from rookery.training.evaluation import evaluate_team
from rookery.training.make_team import make_team_setup

UP, RIGHT, DOWN, LEFT = range(4)
TASK = CoinGame(height=5, width=4, max_steps=20)
ENV, PARAMS = TASK.make_env(), TASK.default_params()
RESET, STEP, OBSERVE = jax.jit(ENV.reset), jax.jit(ENV.step), jax.jit(ENV.observe)
RED, BLUE = 0, 1


def start(red, blue, coin, color, mask=(True, True)):
    """A state with agents and coin on these cells."""
    state, _ = RESET(jax.random.PRNGKey(0), PARAMS, jnp.array(mask))
    return state.replace(position=jnp.array([red, blue]), coin=jnp.array(coin), coin_color=jnp.int32(color))


def step(state, *actions):
    return STEP(state, jnp.array(actions), PARAMS)


@pytest.mark.parametrize(
    ("red_moves", "blue_moves", "color", "reward", "info"),
    [
        (RIGHT, UP, RED, (1, 0), ((1, 0), (0, 0))),  # its own coin
        (RIGHT, UP, BLUE, (1, -2), ((0, 0), (1, 0))),  # the other's
        (UP, LEFT, RED, (-2, 1), ((0, 0), (0, 1))),
        (RIGHT, LEFT, RED, (-1, 1), ((1, 0), (0, 1))),  # both reach it
        (RIGHT, LEFT, BLUE, (1, -1), ((0, 1), (1, 0))),
        (UP, UP, RED, (0, 0), ((0, 0), (0, 0))),
    ],
)
def test_what_a_coin_pays(red_moves, blue_moves, color, reward, info):
    state = start((2, 0), (2, 2), (2, 1), color)
    after, timestep = step(state, red_moves, blue_moves)
    np.testing.assert_array_equal(timestep.reward, reward)
    np.testing.assert_array_equal([timestep.info[name] for name in TASK.metric_names], info)
    taken = reward != (0, 0)
    assert ((after.coin == state.coin).all() and after.coin_color == color) or taken
    if taken:
        assert not (after.position == after.coin).all(-1).any(), "a new coin lies where no agent is"


def test_the_board_has_no_edge():
    after, _ = step(start((0, 0), (4, 3), (2, 2), RED), UP, RIGHT)
    np.testing.assert_array_equal(after.position, [(4, 0), (4, 0)])  # they may share a cell
    after, _ = step(after, LEFT, DOWN)
    np.testing.assert_array_equal(after.position, [(4, 3), (0, 0)])
    after, _ = step(after, len(ACTIONS), -1)
    np.testing.assert_array_equal(after.position, [(4, 3), (0, 0)])


def test_an_absent_agent_neither_takes_nor_loses():
    state = start((2, 0), (2, 2), (2, 1), BLUE, mask=(True, False))
    after, timestep = step(state, UP, LEFT)
    np.testing.assert_array_equal(timestep.reward, (0, 0))
    np.testing.assert_array_equal(after.coin, (2, 1))
    np.testing.assert_array_equal(step(state, RIGHT, LEFT)[1].reward, (1, 0))
    assert not timestep.observation[1].any()
    assert not timestep.observation[0, ..., 1].any()


def test_new_coins():
    """Every free cell, both colors where they are random; the other color where they alternate."""
    state = start((2, 0), (0, 0), (2, 1), RED)
    keys = jax.random.split(jax.random.PRNGKey(1), 300)
    cells, colors = {}, {}
    for kind in ("random", "alternating"):
        env = CoinGame(height=5, width=4, coin_colors=kind).make_env()
        play = jax.jit(lambda key, env=env: env.step(state.replace(key=key), jnp.array([RIGHT, DOWN]), PARAMS)[0])
        after = jax.vmap(play)(keys)
        cells[kind] = {tuple(map(int, cell)) for cell in after.coin}
        colors[kind] = float(after.coin_color.mean())
    free = {(row, col) for row in range(5) for col in range(4)} - {(2, 1), (1, 0)}
    assert cells["random"] == cells["alternating"] == free
    assert 0.4 < colors["random"] < 0.6
    assert colors["alternating"] == BLUE


def test_both_sides_look_the_same():
    """Swapping the agents and the coin's color swaps the observations; the agent is in the middle of its own."""
    state = start((4, 0), (1, 3), (0, 1), RED)
    red, blue = OBSERVE(state)
    swapped = start((1, 3), (4, 0), (0, 1), BLUE)
    np.testing.assert_array_equal(OBSERVE(swapped), [blue, red])
    planes = [np.argwhere(np.asarray(red)[..., plane]).tolist() for plane in range(4)]
    assert planes == [[[2, 2]], [[4, 1]], [[3, 3]], []]  # offset (2, -1) to blue, (1, 1) to the coin, around the edges
    np.testing.assert_array_equal(ENV.relative_positions(state)[0, 1], (-2, -1))
    as_it_lies = CoinGame(height=5, width=4, egocentric=False).make_env().observe(state)
    assert np.argwhere(np.asarray(as_it_lies)[1, ..., 0]).tolist() == [[1, 3]]


def test_as_text():
    assert TASK.to_text(jax.device_get(start((0, 0), (4, 3), (2, 2), BLUE))).split("\n") == [
        "R...", "....", "..b.", "....", "...B",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"coin_colors": "green"}, "coin_colors='green' must be one of"),
        ({"height": 1, "width": 2}, "room for two agents and a coin"),
        ({"taken_cost": -1.0}, "taken_cost=-1.0 must be non-negative"),
        ({"max_steps": 0}, "max_steps=0"),
        ({"width": 10**6}, "at most 250,000"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ConfigError, match=message):
        CoinGame(**settings)


def test_scripted_players():
    """A cooperator never takes the other's coin; a defector gains by taking them, and two of them earn nothing."""
    stats = {
        (agent, partner): evaluate_team(make_team_setup(agent, partner, "coin-game-3x3-v0"), 100, batch_size=100)
        for agent, partner in (("cooperator",) * 2, ("defector", "cooperator"), ("defector",) * 2)
    }
    taken = {pair: s.task_metrics["others_coins"].mean(0) for pair, s in stats.items()}
    returns = {pair: s.episode_return.mean(0) for pair, s in stats.items()}
    assert (taken["cooperator", "cooperator"] == 0).all()
    assert taken["defector", "cooperator"][1] == 0
    assert taken["defector", "cooperator"][0] > 5
    assert returns["defector", "cooperator"][0] > returns["cooperator", "cooperator"].max() > 5
    assert np.abs(returns["defector", "defector"]).max() < 2


def test_a_task_without_these_players_says_which_have_them():
    with pytest.raises(ConfigError, match="'goal-cycle' has no scripted defector; these have: matrix, coin-game"):
        make_team_setup("defector", None, "goal-cycle-v0")
    assert registry.get_task("coin-game-5x5-v0").width == 5
