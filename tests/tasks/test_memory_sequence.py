"""Memory Sequence: digits, trials and what a learner sees of an agent that is one digit ahead, by hand."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents import scripted
from rookery.errors import ConfigError
from rookery.tasks import registry
from rookery.tasks.memory_sequence import ASKED_COLOR as ASKED
from rookery.tasks.memory_sequence import CORRECT_COLOR as RIGHT
from rookery.tasks.memory_sequence import OTHERS_COLOR as OTHER
from rookery.tasks.memory_sequence import WRONG_COLOR as WRONG
from rookery.tasks.memory_sequence import MemorySequence
from rookery.viz.render_state import make_render_state

SILENT = 9
TASK = MemorySequence(num_digits=3, sequence_length=4, num_trials=2, sequence=(2, 0, 1, 1))


@functools.cache
def functions(task):
    env = task.make_env()
    return jax.jit(env.reset), jax.jit(env.step)


def start(task=TASK, seed=0, agent_mask=None):
    return functions(task)[0](jax.random.PRNGKey(seed), task.default_params(), agent_mask)


def play(task, state, *actions):
    """The states and time steps after steps with given actions, one tuple each."""
    states, timesteps = [], []
    for action in actions:
        state, timestep = functions(task)[1](state, jnp.array(action), task.default_params())
        states.append(state)
        timesteps.append(timestep)
    return states, timesteps


def pixels(timestep, agent):
    """Row to (column, color) of the lit pixel of each row of an agent's observation; black rows are left out."""
    view = np.asarray(timestep.observation[agent])
    lit = {}
    for row in range(len(view)):
        columns = np.flatnonzero(view[row].any(-1))
        assert len(columns) <= 1
        if len(columns):
            lit[row] = (int(columns[0]), tuple(view[row, columns[0]].tolist()))
    return lit


def test_a_learner_sees_what_the_other_says_to_its_digit():
    state, first = start()
    assert pixels(first, 0) == {}, "nothing is asked of the learner, and nothing was said"
    assert pixels(first, 1) == {0: (0, ASKED)}
    _, steps = play(TASK, state, (0, 2), (2, 1), (0, 1))
    assert pixels(steps[0], 0) == {0: (0, ASKED), 2: (2, OTHER)}
    assert pixels(steps[0], 1) == {0: (0, ASKED), 1: (2, RIGHT)}, "it sees no other agent"
    assert pixels(steps[1], 0) == {0: (0, ASKED), 1: (2, RIGHT), 2: (1, OTHER)}
    assert pixels(steps[1], 1) == {0: (0, ASKED), 1: (1, WRONG)}, "its mistake ends no trial"
    assert pixels(steps[2], 0) == {0: (0, ASKED), 1: (0, RIGHT), 2: (1, OTHER)}
    np.testing.assert_array_equal([s.reward for s in steps], [(0, 1), (1, -1), (1, 1)])
    np.testing.assert_array_equal([s.info["digits"] for s in steps], [(0, 1), (1, 0), (1, 1)])
    np.testing.assert_array_equal(steps[1].info["mistakes"], [0, 1])


def test_a_mistake_ends_the_trial_and_the_last_trial_the_episode():
    state, _ = start()
    states, steps = play(TASK, state, (0, 2), (2, 0), (1, 1))
    assert (int(states[-1].trial), int(states[-1].place)) == (1, -1)
    assert pixels(steps[-1], 0) == {1: (1, WRONG)}, "what was said to a place that is not asked for is not shown"
    assert pixels(steps[-1], 1) == {0: (0, ASKED), 1: (1, RIGHT)}
    assert not steps[-1].terminated
    states, steps = play(TASK, states[-1], (0, 2), (2, 0), (0, 1), (1, 1), (1, 0))
    assert [float(s.reward[0]) for s in steps] == [0, 1, 1, 1, 1]
    assert [float(s.info["last_trial_digits"][0]) for s in steps] == [0, 1, 1, 1, 1]
    assert float(steps[-1].reward[1]) == 0, "the agent ahead has no digit left"
    assert [bool(s.terminated) for s in steps] == [False] * 4 + [True]


def test_no_digit_is_no_mistake_and_an_absent_agent_ends_nothing():
    state, _ = start()
    states, steps = play(TASK, state, (0, 2), (SILENT, 0))
    assert float(steps[-1].reward[0]) == 0
    assert (int(states[-1].trial), int(states[-1].place)) == (0, 1)
    state, _ = start(agent_mask=jnp.array([False, True]))
    states, steps = play(TASK, state, (0, 2), (0, 0))
    assert (int(states[-1].trial), int(states[-1].place)) == (0, 1)
    np.testing.assert_array_equal(steps[-1].reward, [0, 1])


def test_alone_a_trial_begins_at_once_and_own_digits_may_be_hidden():
    alone = jnp.array([True, False])
    state, first = start(agent_mask=alone)
    assert (int(state.place), pixels(first, 0)) == (0, {0: (0, ASKED)})
    states, steps = play(TASK, state, (2, 0), (1, 0))
    assert [float(s.reward[0]) for s in steps] == [1, -1]
    assert (int(states[-1].place), int(states[-1].trial)) == (0, 1)
    assert pixels(steps[-1], 0) == {0: (0, ASKED), 1: (1, WRONG)}
    task = dataclasses.replace(TASK, show_own=False)
    _, steps = play(task, start(task, agent_mask=alone)[0], (2, 0))
    assert pixels(steps[-1], 0) == {0: (0, ASKED)}


def test_mistakes_may_go_on():
    task = dataclasses.replace(TASK, num_trials=1, mistake_ends_trial=False)
    _, steps = play(task, start(task)[0], (0, 2), (0, 0), (0, 1), (0, 1), (1, 0))
    assert [float(s.reward[0]) for s in steps] == [0, -1, 1, -1, 1]
    assert bool(steps[-1].terminated)


def test_it_fades_from_trial_to_trial():
    task = MemorySequence(num_digits=2, sequence_length=1, num_trials=3, fade=1.0, sequence=(1,))
    env, params = task.make_env(), task.default_params()

    def episode(key):
        state, _ = env.reset(key, params)
        _, (states, place) = jax.lax.scan(
            lambda s, _: ((t := env.step(s, jnp.array([1, 1]), params)[0]), (t.seen[1], t.place)), state, None, 6
        )
        return states, place

    seen, place = jax.jit(jax.vmap(episode))(jax.random.split(jax.random.PRNGKey(0), 400))
    asked = np.asarray(seen)[:, np.asarray(place[0]) == 0]
    assert asked.shape == (400, 3)
    assert asked[:, 0].all()
    assert 0.4 < asked[:, 1].mean() < 0.6
    assert not asked[:, 2].any()


def episode_returns(policy, slot=0, task=None, episodes=40):
    """Digits and mistakes of one policy alone in many episodes, f[E] each."""
    task = task or MemorySequence(num_digits=3, sequence_length=5, num_trials=12)
    env, params = task.make_env(), task.default_params()
    mask = jnp.arange(task.num_agents) == slot

    def play(key):
        state, _ = jax.vmap(env.reset, (0, None, None))(jax.random.split(key, episodes), params, mask)
        over = jnp.zeros(episodes, bool)

        def step(loop, t):
            state, carry, over = loop
            obs, is_first = (state, jnp.full(episodes, slot)), jnp.full(episodes, t == 0)
            action, carry, _ = policy.act((), carry, obs, is_first, jax.random.fold_in(key, t))
            actions = jnp.tile(action[:, None], task.num_agents)
            state, timestep = jax.vmap(env.step, (0, 0, None))(state, actions, params)
            counted = [jnp.where(over, 0, timestep.info[name][:, slot]) for name in ("digits", "mistakes")]
            return (state, carry, over | timestep.terminated), counted

        return jax.lax.scan(step, (state, policy.initial_carry(episodes), over), jnp.arange(task.max_steps))[1]

    return [np.asarray(x).sum(0) for x in jax.jit(play)(jax.random.PRNGKey(2))]


def test_the_expert_makes_each_mistake_once():
    task = MemorySequence(num_digits=3, sequence_length=5, num_trials=12)
    digits, mistakes = episode_returns(scripted.make_expert(task), task=task)
    assert (mistakes <= 10).all(), "two wrong digits at each of five places"
    assert (digits >= 5 * 2).all(), "the last two trials at least have none"


def guesses(*said):
    """What the expert of agent 0 would say at each step, whoever said the digits `said` in its place (None: itself)."""
    expert = scripted.make_expert(TASK)
    act = jax.jit(expert.act)
    (state, _), carry, found = start(), expert.initial_carry(1), []
    for t, digit in enumerate(said):
        place = t % TASK.sequence_length
        obs = jax.tree.map(lambda x: jnp.asarray(x)[None], (state.replace(place=jnp.int32(place)), jnp.int32(0)))
        action, carry, _ = act((), carry, obs, jnp.array([t == 0]), jax.random.PRNGKey(0))
        found.append(int(action[0]))
        digit = found[-1] if digit is None else digit
        state = state.replace(
            last_digit=jnp.array([digit if digit < TASK.num_digits else -1, -1], jnp.int32),
            last_place=jnp.array([place, -1], jnp.int32),
            last_correct=jnp.array([digit == TASK.sequence[place], False]),
        )
    return found


def test_the_expert_learns_from_digits_that_others_said_in_its_place():
    # The sequence is 2 0 1 1. Said by a student: wrong, right, nothing, right.
    first_trial = (1, 0, SILENT, 1)
    assert guesses(*first_trial, None, None, None, None) == [0, 0, 0, 0, 0, 0, 0, 1]
    assert guesses(*first_trial, 0, None, 2, None, None, None, None, None)[-4:] == [2, 0, 0, 1]


def test_the_expert_itself_tries_digits_in_their_order():
    trials = np.reshape(guesses(*[None] * 16), (4, 4)).tolist()
    assert trials == [[0, 0, 0, 0], [1, 0, 1, 1], [2, 0, 1, 1], [2, 0, 1, 1]]


def test_an_oracle_errs_as_often_as_its_noise_says():
    task = MemorySequence(num_digits=3, sequence_length=20, num_trials=1, mistake_ends_trial=False)
    digits, mistakes = episode_returns(scripted.make_oracle(task, 0.0), slot=1, task=task)
    assert (digits == 20).all()
    digits, mistakes = episode_returns(scripted.make_oracle(task, 0.6), slot=1, task=task)
    # Two thirds of random digits are wrong: 0.4 of 800, with a standard error of 14.
    assert 260 < mistakes.sum() < 380
    with pytest.raises(ConfigError, match=r"noise=1.2 must lie in \[0, 1\]"):
        scripted.make_oracle(task, 1.2)


def test_it_is_drawn():
    env = TASK.make_env()
    state, _ = start()
    states, _ = play(TASK, state, (0, 2), (2, 1))
    render_state = make_render_state(env)(states[-1])
    assert render_state.tiles.shape == (3, 5)
    np.testing.assert_array_equal(render_state.goals, [(2, 1), (0, 2), (1, 3), (1, 4)])
    np.testing.assert_array_equal(render_state.position, [(2, 1), (1, 2)])
    assert render_state.visible[0][1, 2]
    assert not render_state.visible[1][2, 1]


def test_the_text_shows_the_sequence():
    states, _ = play(TASK, start()[0], (0, 2), (2, 1))
    assert TASK.to_text(states[-1]).splitlines() == ["2 0 1 1", "  ^", "trial 1 of 2; said last: 2, 1"]


def test_registered_ids():
    assert registry.get_task("memory-sequence-v0").max_steps == 100
    assert len(set(registry.get_task("memory-sequence-fixed-v0").sequence)) == 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_digits": 1}, r"num_digits=1 must lie in \[2, 100\]"),
        ({"sequence": (0, 1)}, "sequence has 2 digits for sequence_length=24"),
        ({"sequence": (3,), "sequence_length": 1}, "must hold digits from 0 to 2"),
        ({"fading_slots": (0, 1)}, "leave at least one that learns"),
        ({"fading_slots": (2,)}, "must hold different slots from 0 to 1"),
        ({"penalty": -1.0}, "penalty=-1.0 must be non-negative"),
        ({"fade": 2.0}, r"fade=2.0 must lie in \[0, 1\]"),
        ({"fading_slots": (), "fade": 1.0}, "fade=1.0 is for agents in fading_slots, which is empty"),
        ({"num_trials": 1, "fade": 1.0}, "fade=1.0 is from trial to trial, and num_trials is 1"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        MemorySequence(**settings)
