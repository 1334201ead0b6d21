"""Goals hidden in a fraction of episodes, from agents whose view has can_hide_goals."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.gridworld.spec import CHANNELS, ViewConfig
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.grid_env import GridEnv

TASK = GoalCycle(
    height=5,
    width=9,
    num_obstacles=0,
    max_steps=3,
    views=(
        ViewConfig(observation_type="symbolic", see_through_walls=True, can_hide_goals=True),
        ViewConfig(observation_type="symbolic", see_through_walls=True),
    ),
)
GOAL = CHANNELS.index("goal")


def goals_seen(goal_hiding_prob: float, worlds: int = 200) -> np.ndarray:
    """Number of goals in view at the start, i64[E, 2]."""
    task = dataclasses.replace(TASK, goal_hiding_prob=goal_hiding_prob)
    reset = jax.vmap(GridEnv(task).reset, (0, None))
    _, timestep = reset(jax.random.split(jax.random.PRNGKey(3), worlds), task.default_params())
    return np.asarray(timestep.observation[..., GOAL] > 0).sum((2, 3))


def test_always_hidden_by_default():
    visible_goals = goals_seen(TASK.goal_hiding_prob)
    assert visible_goals[:, 0].sum() == 0
    assert visible_goals[:, 1].sum() > 0


def test_never_hidden():
    assert goals_seen(0.0)[:, 0].sum() > 0


def test_hidden_in_about_the_share_asked_for():
    always, some = goals_seen(0.0)[:, 0], goals_seen(0.3)[:, 0]
    visible = always > 0
    hidden = (some == 0)[visible].mean()
    assert np.all((some == always) | (some == 0)), "an episode hides all goals or none"
    assert 0.15 < hidden < 0.45
    np.testing.assert_array_equal(goals_seen(0.0)[:, 1], goals_seen(1.0)[:, 1])


def test_the_share_is_a_number_that_does_not_recompile():
    traces = []

    @jax.jit
    def reset(key, params):
        traces.append(1)
        return GridEnv(TASK).reset(key, params)[1].observation

    params = TASK.default_params()
    for share in (0.0, 0.5, 1.0):
        changed = params.replace(world=params.world.replace(goal_hiding_prob=jnp.float32(share)))
        reset(jax.random.PRNGKey(0), changed)
    assert len(traces) == 1


def test_a_share_outside_its_range_is_refused():
    with pytest.raises(ConfigError, match=r"goal_hiding_prob=1\.5"):
        dataclasses.replace(TASK, goal_hiding_prob=1.5)
