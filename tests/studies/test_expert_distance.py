"""Distances to the nearest other agent, by hand and in episodes of agents that move at random."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.random_policy import RandomPolicy
from rookery.agents.team import AgentGroup, Team
from rookery.gridworld.spec import ViewConfig
from rookery.studies.expert_distance import distance_to_nearest, mean_distances, stays_nearer
from rookery.studies.results import Results
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.grid_env import GridEnv

VIEW = ViewConfig(size=3, observation_type="symbolic")
ENV = GridEnv(GoalCycle(height=5, width=9, num_goals=2, num_obstacles=0, num_actions=3, max_steps=6, views=(VIEW,) * 3))


def place(positions, agent_mask=(True, True, True)):
    state, _ = ENV.reset(jax.random.PRNGKey(0), ENV.default_params())
    return state.replace(position=jnp.array(positions), agent_mask=jnp.array(agent_mask))


def test_the_nearest_other_by_hand():
    # From (1, 1): (3, 5) is 2 + 4 away, (2, 7) is 1 + 6.
    assert distance_to_nearest(place([(1, 1), (3, 5), (2, 7)])) == 6
    assert distance_to_nearest(place([(1, 1), (3, 5), (2, 7)], (True, False, True))) == 7
    assert distance_to_nearest(place([(1, 1), (1, 1), (2, 7)])) == 0
    assert np.isnan(distance_to_nearest(place([(1, 1), (3, 5), (2, 7)], (True, False, False))))


def test_a_profile_has_one_distance_per_step_within_the_grid():
    team = Team((AgentGroup("evaluated", (0,), RandomPolicy(3)), AgentGroup("partners-0", (1, 2), RandomPolicy(3))))
    params = {"evaluated": (), "partners-0": ()}
    distances = mean_distances(ENV, team, params, jax.random.PRNGKey(1), 5)
    assert distances.shape == (6,)
    assert ((distances >= 0) & (distances <= 3 + 7)).all()
    # One step moves each agent by at most one cell.
    assert (jnp.abs(jnp.diff(distances)) <= 2).all()


@pytest.mark.parametrize(("late", "outcome"), [(1.0, "holds"), (4.0, "does not hold")])
def test_nearer_is_judged_by_the_second_half(late, outcome):
    # First halves are equal and far.
    near, far = [[9.0, 9.0, late, late]] * 3, [[9.0, 9.0, 3.0, 3.0]] * 3
    verdict = stays_nearer("", "a", "b").judge(
        Results({"rows": [], "extra_measurements": {"distance_to_expert": {"a": near, "b": far}}})
    )
    assert (verdict.outcome, verdict.interval.value) == (outcome, late - 3)
