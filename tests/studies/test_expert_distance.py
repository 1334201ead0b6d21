"""Distances to the nearest other agent, by hand and in episodes of agents that move at random."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.random_policy import RandomPolicy
from rookery.agents.team import AgentGroup, Team
from rookery.gridworld.spec import ViewConfig
from rookery.studies.expert_distance import (
    EpisodeTrace,
    distance_to_nearest,
    enters_twice,
    entries_differ,
    entry_measures,
    stays_nearer,
    trace_episodes,
)
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
    trace = trace_episodes(ENV, team, params, jax.random.PRNGKey(1), 5)
    distances = trace.distance
    assert distances.shape == (6,)
    assert trace.position.shape == (6, 5, 3, 2)
    assert not (trace.correct & trace.wrong).any()
    assert ((distances >= 0) & (distances <= 3 + 7)).all()
    # One step moves each agent by at most one cell.
    assert (jnp.abs(jnp.diff(distances)) <= 2).all()


@pytest.mark.parametrize(("late", "outcome"), [(1.0, "holds"), (4.0, "does not hold")])
def test_nearer_is_judged_by_the_second_half(late, outcome):
    # First halves are equal and far.
    near, far = [[9.0, 9.0, late, late]] * 5, [[9.0, 9.0, 3.0, 3.0]] * 5
    verdict = stays_nearer("", "a", "b").judge(
        Results({"rows": [], "extra_measurements": {"distance_to_expert": {"a": near, "b": far}}})
    )
    assert (verdict.outcome, verdict.interval.value) == (outcome, late - 3)


def test_entries_by_hand():
    # One episode of 8 steps, two goals at (1, 1) and (1, 5). The expert enters them in steps 2 and 4, which closes its
    # cycle; agent 0 enters one in step 1, then repeats the expert's second entry in step 6, and errs in step 8.
    correct, wrong = np.zeros((2, 8, 1, 2), bool)
    position = np.zeros((8, 1, 2, 2), int)
    for step, agent, cell, pays in (
        (1, 0, (1, 1), 1),
        (2, 1, (1, 1), 1),
        (4, 1, (1, 5), 1),
        (6, 0, (1, 5), 1),
        (8, 0, (1, 1), 0),
    ):
        (correct if pays else wrong)[step - 1, 0, agent] = True
        position[step - 1, 0, agent] = cell
    measured = entry_measures(EpisodeTrace(np.zeros(8), correct, wrong, position), num_goals=2)
    assert measured == {
        "step_of_second_entry": 6.0,
        "entries_before_closed_cycle": 1.0,
        "repeated_fraction": 0.5,  # step 6; step 8 does not repeat the expert's last entry, though the one before
    }
    # An entry in the same step repeats nothing.
    correct[5, 0, 1], position[5, 0, 1], correct[3, 0, 1] = True, (1, 5), False
    together = entry_measures(EpisodeTrace(np.zeros(8), correct, wrong, position), num_goals=2)
    assert together["repeated_fraction"] == 0
    correct[5, 0, 1], correct[3, 0, 1] = False, True
    # Without a second entry, and without an expert that closes its cycle.
    alone = entry_measures(
        EpisodeTrace(np.zeros(8), correct[:, :, :1].repeat(2, 2) & [True, False], wrong & False, position), 2
    )
    assert alone["step_of_second_entry"] == 6
    assert alone["entries_before_closed_cycle"] == 2
    assert alone["repeated_fraction"] == 0


def entries(**steps):
    """Results of episodes of eight steps: by condition, the step of the second entry; half of all entries repeat."""
    measured = {name: {"step_of_second_entry": of, "repeated_fraction": [0.5] * len(of)} for name, of in steps.items()}
    return Results({
        "extra_measurements": {"entries": measured, "distance_to_expert": {name: [[1.0] * 8] for name in steps}}
    })  # fmt: skip


def test_who_never_enters_a_second_goal_is_no_control():
    never = enters_twice("a").outcome(entries(a=[9.0, 9.0, 8.5, 4.0]), lambda _: None)
    assert never.alive is False
    assert "1 of 4 seeds enter a second goal" in never.reason
    assert enters_twice("a").outcome(entries(a=[9.0, 7.0, 5.5, 4.0]), lambda _: None).alive


def test_a_fraction_of_no_entries_is_left_out():
    claim = entries_differ("More.", "repeated_fraction", "a", "b", since=2)
    verdict = claim.judge(entries(a=[9.0] + [3.0] * 5, b=[5.0] * 6))
    assert verdict.interval.value == 0
    assert verdict.detail.endswith("1 of the seeds, which never enter a second goal, are left out")
    assert "undefined in every seed" in claim.judge(entries(a=[9.0] * 6, b=[5.0] * 6)).quantity
