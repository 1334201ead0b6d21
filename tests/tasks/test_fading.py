"""Goal Sequence: fading agents, which are visible in fewer and fewer steps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.agents import scripted
from rookery.errors import ConfigError
from rookery.gridworld.spec import OBJECT_CHANNELS, ViewConfig
from rookery.learning.ppo import PPO
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.goal_sequence import GoalSequence
from rookery.tasks.grid_env import GridEnv
from rookery.training.build import build
from rookery.training.config import GroupConfig, OraclePolicyConfig, RunConfig
from rookery.training.train_step import replica_schedules
from tests.worlds import EAST, STAY, WEST, map_text

MAP = map_text("""
#########
#.1.....#
#.2.....#
#.3.....#
#########
""")
SYMBOLS = ViewConfig(size=5, rows_behind=0, observation_type="objects", see_through_walls=True)
PIXELS = ViewConfig(size=5, rows_behind=0, tile_size=3, see_through_walls=True)
HEADINGS = [OBJECT_CHANNELS.index(f"agent {way}") for way in ("ahead", "right", "back", "left")]
TASK = GoalSequence(
    map=MAP, views=(SYMBOLS,) * 3, num_trials=4, trial_steps=5, num_actions=3, fading_slots=(1,), fade=1.0
)
RED = np.array([255, 0, 0])
WORLDS = 60


def facing(task, params, worlds: int = WORLDS):
    """Agents 0 and 2 face agent 1, and it faces them, in an episode in which no agent moves.

    Returns for each step: in_view bool[T, B, A, A], observations and time steps.
    """
    env = GridEnv(task)

    def stand(state):
        return state.replace(position=jnp.array([[2, 4], [2, 6], [2, 4]]), heading=jnp.array([EAST, WEST, EAST]))

    def episode(key, params):
        state, _ = env.reset(key, params)

        def step(state, _):
            following, timestep = env.step(stand(state), jnp.full(3, STAY), params)
            return following, (env.in_view(stand(state)), env.observe(stand(state)), timestep)

        return jax.lax.scan(step, state, None, task.max_steps)[1]

    keys = jax.random.split(jax.random.PRNGKey(1), worlds)
    return jax.device_get(jax.jit(jax.vmap(episode, (0, None), 1))(keys, params))


def visible_fraction(visible):
    """Fraction of the steps of each trial in which agent 0 sees agent 1. f64[K]."""
    return visible[:, :, 0, 1].reshape(TASK.num_trials, -1).mean(1)


def test_seen_in_all_of_the_first_trial_and_none_of_the_last():
    visible, views, timestep = facing(TASK, TASK.default_params())
    fractions = visible_fraction(visible)
    assert fractions[0] == 1
    assert fractions[3] == 0
    # 300 samples per trial: a standard error of at most 0.028.
    np.testing.assert_allclose(fractions[1:3], [2 / 3, 1 / 3], atol=0.11)
    assert (visible[:, :, 0, 1] == visible[:, :, 2, 1]).all(), "visible to all or to none"
    assert not visible[:, :, 1].any(), "it sees no other agent"
    assert visible[:, :, 2, 0].all(), "the others remain visible"
    assert timestep.agent_mask.all(), "it is there all the same"
    # 0 stands in the middle of its nearest row; 1 is two cells ahead of it, and looks back at it.
    at_one = views[:, :, 0, 2, 2][..., HEADINGS]
    assert (at_one[..., 2] == 255 * visible[:, :, 0, 1]).all()
    assert not at_one[..., [0, 1, 3]].any()


def test_pixels_show_the_same_as_symbols():
    task = dataclasses.replace(TASK, views=(PIXELS,) * 3)
    visible, views, _ = facing(task, task.default_params(), worlds=4)
    again, *_ = facing(TASK, TASK.default_params(), worlds=4)
    assert (visible == again).all()
    cell = views[:, :, 0, 6:9, 6:9]  # row 2, column 2
    painted = (cell == RED).all(-1).any((-2, -1)) | (cell[..., 0] > cell[..., 1]).any((-2, -1))
    assert (painted == visible[:, :, 0, 1]).all()


def test_it_is_paid_and_moves_unseen():
    task = dataclasses.replace(TASK, sequence=(0, 1), visibility=0.0)
    env = GridEnv(task)
    params = task.default_params()
    state, _ = env.reset(jax.random.PRNGKey(0), params)
    assert state.invisible_agents.tolist() == [[False, True, False], [True, False, True], [False, True, False]]
    state = state.replace(position=jnp.array([[3, 4], [1, 1], [3, 5]]), heading=jnp.array([EAST, EAST, EAST]))
    state, timestep = jax.jit(env.step)(state, jnp.array([0, 2, 0]), params)
    assert timestep.reward.tolist() == [0, 1, 0]
    assert state.position[1].tolist() == [1, 2]


def test_a_schedule_changes_what_is_seen_in_one_program():
    task = dataclasses.replace(TASK, fade=0.0)
    env, traces = GridEnv(task), []

    @jax.jit
    def opening(params):
        traces.append(1)
        keys = jax.random.split(jax.random.PRNGKey(5), 400)
        return jax.vmap(env.reset, (0, None))(keys, params)[0].invisible_agents[:, 0, 1]

    for step in range(5):  # 1 - t / (T-1)
        params = task.default_params().replace(visibility=jnp.float32(1 - step / 4))
        assert abs(opening(params).mean() - step / 4) < 0.08
    assert len(traces) == 1


@settings(max_examples=40, deadline=None)
@given(
    trials=st.integers(1, 6),
    visibility=st.floats(0, 1, width=32),
    fade=st.floats(0, 1, width=32),
    step=st.integers(0, 200),
)
def test_the_share_falls_from_trial_to_trial_and_stays_a_share(trials, visibility, fade, step):
    fade = fade if trials > 1 else 0.0
    task = GoalSequence(map=MAP, num_trials=trials, trial_steps=3, fading_slots=(0,), visibility=visibility, fade=fade)
    params = task.default_params()
    now, later = (float(task.visibility_prob(jnp.int32(at), params)) for at in (step, step + 3))
    assert -1e-6 <= later <= now + 1e-6 <= visibility + 2e-6
    assert float(task.visibility_prob(jnp.int32(0), params)) == pytest.approx(visibility)
    if trials > 1:
        assert float(task.visibility_prob(jnp.int32(3 * trials), params)) == pytest.approx(
            visibility * (1 - fade), abs=1e-6
        )


def test_without_fading_nothing_is_hidden():
    env = GridEnv(dataclasses.replace(TASK, fading_slots=(), fade=0.0))
    state, _ = jax.eval_shape(env.reset, jax.random.PRNGKey(0), env.default_params())
    assert state.invisible_agents is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fading_slots": (3,)}, r"fading_slots=\(3,\) must hold different slots from 0 to 2"),
        ({"fading_slots": (1, 1)}, "must hold different slots"),
        ({"fade": 1.5}, r"fade=1.5 must lie in \[0, 1\]"),
        ({"visibility": -0.1}, r"visibility=-0.1 must lie in \[0, 1\]"),
        ({"collide": True}, "set collide=False"),
        (
            {"fading_slots": ()},
            r"fade=1\.0 is for agents in fading_slots, which is empty; add slots, or leave it at 0\.0",
        ),
        ({"fading_slots": (), "fade": 0.0, "visibility": 0.5}, r"visibility=0\.5 is for .* or leave it at 1\.0"),
        ({"num_trials": 1}, r"fade=1\.0 is from trial to trial, and num_trials is 1; use more, or leave it at 0\.0"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(TASK, **changes)


def run_of(task, policy, **more):
    groups = (
        GroupConfig(name="novice", slots=(0, 2), learner=PPO(sequence_length=5)),
        GroupConfig(name="expert", slots=(1,), policy=policy),
    )
    return RunConfig(name="fade", task=task, team=groups, **more)


def test_a_run_may_fade_them_over_training():
    task = dataclasses.replace(TASK, fade=0.0)
    replica_schedules(
        run_of(task, OraclePolicyConfig(), env_schedules={"visibility": ((0, 1.0), (1, 0.0)), "fade": 0.5})
    )
    with pytest.raises(ConfigError, match=r"env_schedules.visibility: visibility=2.0 must lie in"):
        replica_schedules(run_of(task, OraclePolicyConfig(), env_schedules={"visibility": 2.0}))


def oracle_at_work(noise: float):
    """Goals and mistakes of an oracle in many episodes, f64[B, T] each."""
    task = GoalSequence(height=5, width=9, views=(SYMBOLS,), num_actions=3)
    expert, env, params = scripted.make_oracle(task, noise), GridEnv(task), task.default_params()

    def play(key):
        state, _ = jax.vmap(env.reset, (0, None))(jax.random.split(key, 16), params)

        def step(loop, t):
            state, carry = loop
            action, carry, _ = expert.act(
                (), carry, (state, jnp.zeros(16, jnp.int32)), jnp.full(16, t == 0), jax.random.fold_in(key, t)
            )
            state, timestep = jax.vmap(env.step, (0, 0, None))(state, action[:, None], params)
            return (state, carry), (timestep.info["goals"][:, 0], timestep.info["mistakes"][:, 0])

        return jax.lax.scan(step, (state, expert.initial_carry(16)), jnp.arange(task.max_steps))[1]

    return [np.asarray(x).T for x in jax.jit(play)(jax.random.PRNGKey(2))]


def test_an_oracle_knows_the_order_and_errs_as_often_as_it_is_told_to():
    goals, mistakes = oracle_at_work(0.0)
    assert goals[:, :30].sum(1).min() >= 2
    assert mistakes.sum() <= 0.03 * goals.sum(), "only where another goal bars the way"
    noisy, errors = oracle_at_work(0.2)
    assert noisy.sum() < goals.sum()
    # An error in the last steps of a trial is not seen, and one may lead to a goal that bars the way: wide bounds.
    assert 0.1 < errors.sum() / noisy.sum() < 0.3


def test_an_oracle_belongs_to_goal_sequence_alone():
    assert build(run_of(TASK, OraclePolicyConfig(error_prob=0.5))).team.groups[1].policy.noise == 0.5
    with pytest.raises(ConfigError, match="'goal-cycle' has no order that an oracle could know"):
        scripted.make_oracle(GoalCycle())
    with pytest.raises(ConfigError, match=r"error_prob=1.2 must lie in \[0, 1\]"):
        OraclePolicyConfig(error_prob=1.2)
