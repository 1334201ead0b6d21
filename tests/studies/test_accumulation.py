"""Generations in context: what is handed on, and what the next generation sees of it."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.interfaces import Policy
from rookery.studies.cook2024 import in_context
from rookery.studies.cook2024.accumulation import NO_DIGIT, Lives, accumulate, best_trials, live_alone, play_lives
from rookery.studies.judging import judge_claims
from rookery.studies.results import Results
from rookery.studies.study import HOLDS, NOT_TESTED
from rookery.tasks.memory_sequence import OTHERS_COLOR, MemorySequence

TASK = MemorySequence(num_digits=3, sequence_length=4, num_trials=3, fade=1.0)
POPULATION, EPISODES = 2, 40
RESULTS = Path(__file__).parents[2] / "results"


@dataclasses.dataclass(frozen=True)
class Copier(Policy):
    """Says the digit that it sees, and any digit where it sees none."""

    def act(self, params, carry, obs, is_first, key):
        shown = (obs[:, 2] == jnp.array(OTHERS_COLOR)).all(-1)
        guess = jax.random.randint(key, obs.shape[:1], 0, TASK.num_digits)
        return jnp.where(shown.any(-1), jnp.argmax(shown, -1), guess), carry, {}


def live(example, visibility):
    number = len(example)
    keys = jax.random.split(jax.random.PRNGKey(1), EPISODES).repeat(number // EPISODES, 0)
    lives = play_lives(
        TASK, Copier(), (), keys, jax.random.PRNGKey(2), jnp.asarray(example, jnp.int32), jnp.float32(visibility),
        jnp.bool_(True),
    )  # fmt: skip
    return Lives(*map(np.asarray, lives))


@pytest.fixture(scope="module")
def guesses():
    """Lives of agents that see nothing."""
    return live(np.full((EPISODES * POPULATION, 4), NO_DIGIT), 0.0)


def test_a_life_is_recorded_by_trial_and_place(guesses):
    acted = guesses.actions != NO_DIGIT
    assert (acted[:, :, 1:] <= acted[:, :, :-1]).all()  # from the first place on, until the trial ends
    whole = guesses.correct == 4
    mistakes = ~whole
    np.testing.assert_array_equal(acted.sum(-1), guesses.correct + mistakes)
    np.testing.assert_array_equal(guesses.reward, guesses.correct - mistakes)
    by_trial = guesses.correct.mean(0)
    np.testing.assert_allclose(by_trial, 0.5, atol=0.3)  # 1/3 + 1/9 + 1/27 + 1/81 of four digits
    assert guesses.correct.max() >= 2


def test_the_best_trial_of_each_population_by_hand():
    correct = np.array([[1, 3], [2, 0], [0, 0], [3, 3]])
    actions = np.arange(4 * 2 * 3).reshape(4, 2, 3)
    lives = Lives(actions, correct, correct)
    np.testing.assert_array_equal(best_trials(lives, 2), [[3, 4, 5], [18, 19, 20]])  # the first of equal ones
    np.testing.assert_array_equal(
        best_trials(lives, 1), [[3, 4, 5], [6, 7, NO_DIGIT], [NO_DIGIT] * 3, [18, 19, 20]]
    )  # what came after the right ones is not shown


def test_the_next_generation_sees_the_best_trial_and_less_of_it_in_each_trial(guesses):
    example = best_trials(guesses, POPULATION)
    best = guesses.correct.reshape(EPISODES, -1).max(1)
    shown = example.repeat(POPULATION, 0)
    following = live(shown, 1.0)
    np.testing.assert_array_equal((shown != NO_DIGIT).sum(1), best.repeat(POPULATION))
    assert (following.correct[:, 0] >= best.repeat(POPULATION)).all()
    same = ((following.actions == shown[:, None]) | (shown == NO_DIGIT)[:, None]).all(-1).mean(0)
    assert same[0] == 1
    assert same[1] > same[2]  # half of it is seen in the second trial, nothing in the last
    np.testing.assert_allclose(following.correct[:, 2].mean(), 0.5, atol=0.3)


def test_generations_accumulate_what_each_adds():
    returns = accumulate(TASK, Copier(), (), num_generations=4, population=POPULATION, episodes=EPISODES)
    assert returns.shape == (4, 3)
    assert (np.diff(returns[:, 0]) > 0).all()  # a copier begins where the best before it ended, and guesses on
    assert returns[3, 0] > returns[0, 0] + 2
    again = accumulate(TASK, Copier(), (), num_generations=4, population=POPULATION, episodes=EPISODES)
    np.testing.assert_array_equal(returns, again)


def test_alone_there_is_nothing_to_copy():
    returns = live_alone(TASK, Copier(), (), episodes=EPISODES * POPULATION)
    np.testing.assert_allclose(returns, 0.5 - 1 + 1 / 81, atol=0.35)


def test_a_long_life_that_was_not_learned_tests_nothing():
    """The committed results, with the returns of long lives as they are, and as if they were those of short ones."""
    data = json.loads((RESULTS / "cook2024" / "in-context" / "results.json").read_text(encoding="utf-8"))
    primary = judge_claims(in_context.STUDY, data)[0]
    assert primary["verdict"] == NOT_TESTED
    assert "earn -0.33 per trial at its end, less than the 0.45" in primary["detail"]
    alone = Results(data).extra["accumulation"]["alone"]
    alone[in_context.LONG_LIFE.label] = alone[in_context.SHORT_LIFE.label]
    assert judge_claims(in_context.STUDY, data)[0]["verdict"] == HOLDS


def test_a_task_in_which_trials_go_on_after_a_mistake_is_refused():
    """Said 0, 1, 1 where 1 was wrong first: two right digits, but not the first two."""
    task = MemorySequence(mistake_ends_trial=False)
    with pytest.raises(
        ConfigError, match="need mistake_ends_trial=True: the example of a trial is what was right before"
    ):
        accumulate(task, None, None, num_generations=1, population=1, episodes=1)  # pyright: ignore
