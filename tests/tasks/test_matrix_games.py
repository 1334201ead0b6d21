import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.tasks import registry
from rookery.tasks.matrix_games import COOPERATE, DEFECT, MatrixGame

NAMES = ("matrix-prisoners-dilemma-v0", "matrix-stag-hunt-v0", "matrix-chicken-v0")


def play(task, *steps, present=None):
    """Rewards [T, 2] and the last time step of a game played by hand."""
    env, params = task.make_env(), task.default_params()
    state, told = env.reset(jax.random.PRNGKey(0), params, present)
    rewards = []
    for step in steps:
        state, told = env.step(state, jnp.array(step), params)
        rewards.append(np.asarray(told.reward))
    return np.array(rewards), told


def test_the_prisoners_dilemma_pays():
    rewards, told = play(MatrixGame(max_steps=4), (0, 0), (0, 1), (1, 0), (1, 1))
    np.testing.assert_array_equal(rewards, [(3, 3), (0, 5), (5, 0), (1, 1)])
    assert bool(told.truncated)
    assert not bool(told.terminated)


def payoffs(name):
    """What (row, column) get, f32[2, 2, 2], from the game itself."""
    task = registry.get_task(name)
    return np.array([[play(task, (mine, theirs))[0][0] for theirs in (0, 1)] for mine in (0, 1)])


def pure_equilibria(pay) -> set[tuple[int, int]]:
    """Pairs of moves from which neither gains by moving away alone."""
    return {
        (a, b) for a in (0, 1) for b in (0, 1) if pay[a, b, 0] >= pay[1 - a, b, 0] and pay[a, b, 1] >= pay[a, 1 - b, 1]
    }


@pytest.mark.parametrize(
    ("name", "equilibria"),
    zip(NAMES, [{(DEFECT, DEFECT)}, {(COOPERATE,) * 2, (DEFECT,) * 2}, {(0, 1), (1, 0)}], strict=True),
)
def test_each_game_has_its_equilibria(name, equilibria):
    pay = payoffs(name)
    assert pure_equilibria(pay) == equilibria
    np.testing.assert_array_equal(pay[..., 0], pay[..., 1].T)  # the same game from either side
    assert pay[0, 0].sum() > pay[1, 1].sum(), "together is better than the worst"


def test_each_sees_what_both_did_last():
    green, red, black = (0, 200, 60), (230, 40, 40), (0, 0, 0)
    task = MatrixGame()
    _, told = play(task)
    np.testing.assert_array_equal(told.observation, np.full((2, 1, 2, 3), black))
    _, told = play(task, (COOPERATE, DEFECT))
    np.testing.assert_array_equal(told.observation, [[[green, red]], [[red, green]]])
    np.testing.assert_array_equal(told.info["cooperations"], [1, 0])


def test_nobody_is_paid_without_the_other():
    rewards, told = play(MatrixGame(), (1, 0), present=jnp.array([True, False]))
    np.testing.assert_array_equal(rewards, [(0, 0)])
    np.testing.assert_array_equal(told.observation[0], [[(230, 40, 40), (0, 0, 0)]])
    np.testing.assert_array_equal(told.observation[1], np.zeros((1, 2, 3)))


def test_an_unknown_move_sits_out():
    rewards, told = play(MatrixGame(), (2, 0))
    np.testing.assert_array_equal(rewards, [(0, 0)])
    np.testing.assert_array_equal(told.info["cooperations"], [0, 1])


def test_pictures_show_the_payoffs():
    game = MatrixGame(moves=("stag", "hare"), reward=4, sucker=0, temptation=3, punishment=2)
    assert [line.split() for line in game.to_text(None).split("\n")] == [
        ["stag", "hare"],
        ["stag", "4,", "4", "0,", "3"],
        ["hare", "3,", "0", "2,", "2"],
    ]


def test_bad_settings():
    with pytest.raises(ConfigError, match="two different names"):
        MatrixGame(moves=("a", "a"))
    with pytest.raises(ConfigError, match="max_steps=0"):
        MatrixGame(max_steps=0)
