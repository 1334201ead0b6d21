import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.tasks import registry
from rookery.tasks.matrix_games import COOPERATE, DEFECT, MatrixGame

NAMES = ("matrix-prisoners-dilemma-v0", "matrix-stag-hunt-v0", "matrix-chicken-v0")


def play(task, *steps, agent_mask=None):
    """Rewards [T, 2] and the last time step of a game with given actions."""
    env, params = task.make_env(), task.default_params()
    state, timestep = env.reset(jax.random.PRNGKey(0), params, agent_mask)
    rewards = []
    for step in steps:
        state, timestep = env.step(state, jnp.array(step), params)
        rewards.append(np.asarray(timestep.reward))
    return np.array(rewards), timestep


def test_the_prisoners_dilemma_pays():
    rewards, timestep = play(MatrixGame(max_steps=4), (0, 0), (0, 1), (1, 0), (1, 1))
    np.testing.assert_array_equal(rewards, [(3, 3), (0, 5), (5, 0), (1, 1)])
    assert bool(timestep.truncated)
    assert not bool(timestep.terminated)


def payoffs(name):
    """Payoffs to (row player, column player), f32[2, 2, 2], measured in the environment."""
    task = registry.get_task(name)
    return np.array([[play(task, (mine, theirs))[0][0] for theirs in (0, 1)] for mine in (0, 1)])


def pure_equilibria(pay) -> set[tuple[int, int]]:
    """Pairs of actions from which no player gains by deviating alone."""
    return {
        (a, b) for a in (0, 1) for b in (0, 1) if pay[a, b, 0] >= pay[1 - a, b, 0] and pay[a, b, 1] >= pay[a, 1 - b, 1]
    }


@pytest.mark.parametrize(
    ("name", "equilibria"),
    list(zip(NAMES, [{(DEFECT, DEFECT)}, {(COOPERATE,) * 2, (DEFECT,) * 2}, {(0, 1), (1, 0)}], strict=True)),
)
def test_each_game_has_its_equilibria(name, equilibria):
    pay = payoffs(name)
    assert pure_equilibria(pay) == equilibria
    np.testing.assert_array_equal(pay[..., 0], pay[..., 1].T)  # the same game from either side
    assert pay[0, 0].sum() > pay[1, 1].sum(), "mutual cooperation beats mutual defection"


def test_each_sees_what_both_did_last():
    green, red, black = (0, 200, 60), (230, 40, 40), (0, 0, 0)
    task = MatrixGame()
    _, timestep = play(task)
    np.testing.assert_array_equal(timestep.observation, np.full((2, 1, 2, 3), black))
    _, timestep = play(task, (COOPERATE, DEFECT))
    np.testing.assert_array_equal(timestep.observation, [[[green, red]], [[red, green]]])
    np.testing.assert_array_equal(timestep.info["cooperations"], [1, 0])


def test_no_reward_without_an_opponent():
    rewards, timestep = play(MatrixGame(), (1, 0), agent_mask=jnp.array([True, False]))
    np.testing.assert_array_equal(rewards, [(0, 0)])
    np.testing.assert_array_equal(timestep.observation[0], [[(230, 40, 40), (0, 0, 0)]])
    np.testing.assert_array_equal(timestep.observation[1], np.zeros((1, 2, 3)))


def test_an_unknown_move_sits_out():
    rewards, timestep = play(MatrixGame(), (2, 0))
    np.testing.assert_array_equal(rewards, [(0, 0)])
    np.testing.assert_array_equal(timestep.info["cooperations"], [0, 1])


def test_the_text_shows_the_payoffs():
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
