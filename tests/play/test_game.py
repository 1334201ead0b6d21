import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.team import AgentGroup, Team
from rookery.errors import ConfigError
from rookery.play.game import Game
from rookery.viz.record_episode import record_initial_state
from tests.play.conftest import SETUP, Always, start


def at(game, agent):
    return tuple(game.render_state.position[agent])


def test_without_persons_the_cast_plays(game):
    game.tick()
    assert at(game, 0) == (1, 1)
    assert game.render_state.heading.tolist() == [0, 3]  # turned left; went ahead
    assert at(game, 1) == (3, 6)
    assert game.action.tolist() == [0, 2]


def test_a_person_decides_alone(game):
    assert game.sit("p") == 0
    game.tick()
    assert (at(game, 0), game.render_state.heading[0]) == ((1, 1), 1)  # an idle person stands still
    assert at(game, 1) == (3, 6)  # the others do not wait
    game.press("p", "forward")
    game.tick()
    assert at(game, 0) == (1, 2)
    game.tick()
    assert at(game, 0) == (1, 2)
    assert game.action_names[game.action[0]] == "wait"


def test_goals_pay_and_wrong_ones_cost(game):
    game.sit("p")
    game.hold("p", "forward")
    reached = []
    for _ in range(5):
        game.tick()
        reached.append((at(game, 0)[1], float(game.reward[0])))
    assert reached == [(2, 0), (3, 1), (4, 0), (5, 0), (6, 1)]
    assert game.returns.tolist() == [2, 0]
    game.hold("p", "left")
    for _ in range(2):
        game.tick()
    game.hold("p", "forward")  # to (1, 5): it has turned right round
    game.tick()
    assert at(game, 0) == (1, 5)
    assert game.done  # eight steps


def test_a_wrong_goal(game):
    game.sit("p")
    state, *rest = game._loop
    state = state.replace(task=state.task.replace(last_goal=state.task.last_goal.at[0].set(0)))
    game._loop = (state, *rest)  # goal 1 was the last
    game.press("p", "forward")
    game.press("p", "forward")
    game.tick()
    game.tick()
    assert game.returns[0] == -0.5


def test_a_tap_between_ticks_counts_once(game):
    game.sit("p")
    game.hold("p", "right")
    game.hold("p", None)
    game.tick()
    game.tick()
    assert game.render_state.heading[0] == 2


def test_holding_goes_on_until_released(game):
    game.sit("p")
    game.hold("p", "right")
    game.hold("p", "right")  # a repeated message is not a second key
    for wanted in (2, 3, 0):
        game.tick()
        assert game.render_state.heading[0] == wanted
    game.hold("p", None)
    game.tick()
    assert game.render_state.heading[0] == 0


def test_nobody_gets_further_ahead_than_two(game):
    game.sit("p")
    for _ in range(50):
        game.press("p", "right")
    for _ in range(4):
        game.tick()
    assert game.render_state.heading[0] == 3  # east, then two turns right


def test_the_cast_takes_over_from_who_leaves(game):
    game.sit("p", 1)
    game.hold("p", "left")
    game.tick()
    game.leave("p")
    game.leave("p")
    game.tick()
    assert game.action[1] == 2
    assert at(game, 1) == (4 - 1, 7)  # facing south now, a wall ahead
    assert game.seats == {}


@dataclasses.dataclass(frozen=True)
class Remembers(Always):
    """Remembers the last action that was executed in its place; 9: its own."""

    def initial_carry(self, batch):
        return jnp.full(batch, 9, jnp.int32)

    def set_executed_action(self, carry, obs, action):
        (states, slots) = obs if self.privileged else (None, None)
        assert self.privileged == (states is not None)
        return action if slots is None else action + 10 * slots


@dataclasses.dataclass(frozen=True)
class Sees(Remembers):
    """As Remembers, with what it is told of the slot."""

    privileged = True


def test_policies_learn_what_persons_did_in_their_place():
    team = Team((AgentGroup("plain", (0,), Remembers(0)), AgentGroup("sees", (1,), Sees(2))))
    game = Game(dataclasses.replace(SETUP, team=team, params={"plain": (), "sees": ()}), (0, 1))
    memories = lambda: [int(game._loop[2][name][0, 0]) for name in ("plain", "sees")]  # noqa: E731
    game.tick()
    assert memories() == [9, 9]
    game.sit("p", 1)
    game.press("p", "left")
    game.tick()
    assert memories() == [9, 10]
    game.sit("p", 0)
    game.press("p", "right")
    game.tick()
    assert memories() == [1, 10]


def test_slots_are_given_once():
    game = start(human_slots=(1,))
    assert game.sit("a") == 1
    assert game.sit("a") == 1
    assert game.sit("b") is None
    with pytest.raises(ConfigError, match=r"slot 1 is taken; free are none"):
        game.sit("b", 1)
    with pytest.raises(ConfigError, match=r"slot 0 is not open to persons"):
        game.sit("b", 0)
    with pytest.raises(ConfigError, match="spectator"):
        game.press("b", "forward")
    game.leave("a")
    assert game.sit("b", 1) == 1


def test_changing_the_seat_frees_the_old_one(game):
    assert game.sit("a") == 0
    assert game.sit("a", 1) == 1
    assert game.sit("b") == 0
    assert game.seats == {"a": 1, "b": 0}


def test_the_episode_ends_rests_and_another_begins(game):
    game.sit("p")
    for _ in range(8):
        assert not game.done
        assert game.tick()
    assert game.done
    assert (game.step, game.ticks_to_restart) == (8, 2)
    before = game.render_state
    game.press("p", "forward")
    game.tick()
    assert game.render_state is before
    game.tick()
    assert (game.done, game.step, game.episode) == (False, 0, 1)
    assert game.returns.tolist() == [0, 0]
    place = at(game, 0)
    game.tick()
    assert at(game, 0) == place  # what was pressed in the last episode is forgotten
    assert game.seats == {"p": 0}


def test_paused_nothing_moves(game):
    game.paused = True
    before = game.render_state
    assert not game.tick()
    assert game.render_state is before
    game.paused = False
    assert game.tick()
    assert game.step == 1


def test_unknown_actions_and_slots(game):
    game.sit("p")
    for say in (game.press, game.hold):
        with pytest.raises(ConfigError, match="unknown action 'jump'; allowed: left, right, forward, wait"):
            say("p", "jump")
    for slots in ((2,), (-1,), (0, 0)):
        with pytest.raises(ConfigError, match="allowed: each of 0 to 1"):
            Game(SETUP, slots)


def test_it_can_be_kept_as_a_film(game):
    game.tick()
    game.sit("p")
    game.press("p", "forward")
    game.tick()
    film = game.recording()
    assert (film.num_steps, film.task, film.agent_names) == (2, "a-task-v0", ("turner", "walker"))
    assert film.roles == ("person", "scripted")
    assert film.action_names == ("left", "right", "forward", "wait")
    assert film.action.tolist() == [[0, 2], [2, 2]]
    np.testing.assert_array_equal(film.goals, [[1, 3], [1, 6]])
    np.testing.assert_array_equal(film.position[-1], game.render_state.position)
    np.testing.assert_array_equal(film.visible[1][-1], game.render_state.visible[1])
    game.restart()
    assert game.recording().num_steps == 0  # nobody has acted yet


@pytest.mark.parametrize("seed", [-1, 2**32, 2**64])
def test_a_seed_that_would_be_another_one_is_refused(seed):
    for use in (lambda: Game(SETUP, (0,), seed=seed), lambda: record_initial_state(SETUP.env, seed)):
        with pytest.raises(ConfigError, match=rf"seed={seed} must lie in \[0, 2\^32\)"):
            use()


def test_the_seed_tells_the_episodes():
    def first_headings(seed):
        game = Game(SETUP, (0,), seed=seed)
        headings = []
        for _ in range(6):
            headings.append(game.render_state.heading.tolist())
            game.restart()
        return headings

    assert first_headings(1) == first_headings(1)
    assert first_headings(1) != first_headings(2)
