"""Goal Cycle with another number of goals and obstacles in each episode."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.scripted import make_expert
from rookery.agents.team import AgentGroup, Team
from rookery.errors import ConfigError
from rookery.gridworld.tiles import GOAL, OBSTACLE
from rookery.learning.rollout import rollout
from rookery.tasks.goal_cycle import GoalCycle
from tests.worlds import SMALL

TASK = GoalCycle(height=6, width=7, num_goals=4, min_goals=2, num_obstacles=5, min_obstacles=1, views=(SMALL,),
                 max_steps=60, num_actions=3)  # fmt: skip
ENV = TASK.make_env()
KEYS = jax.random.split(jax.random.PRNGKey(0), 64)
reset = jax.jit(jax.vmap(ENV.reset, (0, None)))


def counts(params):
    """Goals and obstacles of 64 episodes, from their maps and from their states."""
    state, _ = reset(KEYS, params)
    tiles = np.asarray(state.tiles)
    goals, inside = (tiles == GOAL).sum((1, 2)), (tiles[:, 1:-1, 1:-1] == OBSTACLE).sum((1, 2))
    np.testing.assert_array_equal(goals, state.task.num_goals)
    there = np.arange(4) < goals[:, None]
    assert (tiles[np.arange(64)[:, None], state.task.goals[..., 0], state.task.goals[..., 1]] == GOAL)[there].all()
    assert (np.asarray(state.task.goals)[~there] == (5, 6)).all()
    assert (tiles[:, 0] == OBSTACLE).all()
    assert (tiles[:, -1] == OBSTACLE).all()
    return goals, inside


def test_every_number_between_the_borders_occurs_and_no_other():
    goals, obstacles = counts(TASK.default_params())
    assert set(goals) == {2, 3, 4}
    assert set(obstacles) == {1, 2, 3, 4, 5}


def test_borders_are_parameters_and_do_not_recompile():
    size = reset._cache_size()
    params = TASK.default_params().replace(max_goals=jnp.float32(2), min_obstacles=jnp.float32(4))
    goals, obstacles = counts(params)
    assert set(goals) == {2}
    assert set(obstacles) == {4, 5}
    assert reset._cache_size() == max(size, 1)


def test_without_a_fewest_number_a_layout_is_what_it_was():
    fixed = dataclasses.replace(TASK, min_goals=None, min_obstacles=None)
    some, all_of_them = (task.generate_within(KEYS[1], task.default_params()) for task in (TASK, fixed))
    assert all_of_them[3].num_goals is None
    np.testing.assert_array_equal(all_of_them[0], fixed.generate(KEYS[1])[0])
    np.testing.assert_array_equal(some[1], all_of_them[1])  # the agents are where they would be
    num_goals = int(some[3].num_goals)
    np.testing.assert_array_equal(some[3].goals[:num_goals], all_of_them[3].goals[:num_goals])


def test_an_expert_goes_around_the_goals_that_are_there():
    params = TASK.default_params().replace(max_goals=jnp.float32(3), max_obstacles=jnp.float32(1))
    team = Team((AgentGroup("expert", (0,), make_expert(TASK)),))
    play = jax.jit(lambda key: rollout(ENV, team, {"expert": ()}, params, key, jnp.ones((32, 1), bool))[1])
    stats = play(KEYS[0])
    goals, mistakes = stats.task_metrics["goals"], stats.task_metrics["mistakes"]
    assert (mistakes <= 1).all()  # of three goals, the second may be wrong once
    assert mistakes.sum() > 0
    assert (goals >= 6).all()  # it never waits for a goal that is not there


def test_experts_that_would_have_to_know_the_number_are_refused():
    with pytest.raises(ConfigError, match="has to know the number of goals"):
        make_expert(TASK, "partial")
    with pytest.raises(ConfigError, match="has to know the number of goals"):
        make_expert(dataclasses.replace(TASK, collide=True))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"min_goals": 0}, r"must lie in \[1, 4\]"),
        ({"min_obstacles": 6}, r"must lie in \[0, 5\]"),
        ({"map": "#####\n#...#\n#####", "num_goals": 1, "min_goals": 1, "min_obstacles": None}, "a map fixes"),
    ],
)
def test_borders_that_cannot_be(change, expected):
    with pytest.raises(ConfigError, match=expected):
        dataclasses.replace(TASK, **change)
