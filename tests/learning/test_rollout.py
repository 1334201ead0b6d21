import dataclasses
from typing import Literal

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.random_policy import RandomPolicy
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.team import AgentGroup, Team
from rookery.errors import ConfigError
from rookery.interfaces import Learner
from rookery.learning.rollout import rollout, sample_agent_mask
from tests.learning.worlds import SMALL, Rooms, Script


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curious(Learner):
    """Requests whatever it is given."""

    kind: Literal["curious"] = "curious"
    required_info: tuple[str, ...] = ()


E = 6
ENV = Rooms()
ROOKIE = AgentGroup("rookie", (0,), SMALL, learner=Learner())
PAIRED = Team((ROOKIE, AgentGroup("pair", (2, 1), SMALL, learner=Learner())))
KEY = jax.random.PRNGKey(5)
EVERYBODY = jnp.ones((E, 3), bool)


def fresh(team, seed=0):
    """Parameters of every group, each slot its own; policies start near uniform, these are made to care."""
    params = {}
    for number, group in enumerate(team.groups):
        keys = jax.random.split(jax.random.PRNGKey(seed + number), len(group.slots))
        params[group.name] = jax.vmap(group.policy.init)(keys)
        params[group.name]["heads"]["policy3"]["kernel"] *= 100
    return params


@pytest.fixture(scope="module")
def play():
    return jax.jit(
        lambda params, env_params, key, agent_mask: rollout(ENV, PAIRED, params, env_params, key, agent_mask)
    )


@pytest.fixture(scope="module")
def played(play):
    return play(fresh(PAIRED), ENV.default_params(), KEY, EVERYBODY)


@pytest.fixture(scope="module")
def log_probs():
    """Log-probabilities of a trajectory's actions, [T, E], under given parameters."""

    def replay(params, observation, is_first, action):
        carry = SMALL.initial_carry(action.shape[1])
        logits, *_ = SMALL.unroll(params, carry, observation[:-1], is_first[:-1])
        return jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], -1)[..., 0]

    return jax.jit(replay)


def slot(tree, number):
    return jax.tree.map(lambda x: x[number], tree)


def test_shapes(played):
    trajectories, stats = played
    assert set(trajectories) == {"rookie", "pair"}
    for name, slots in (("rookie", 1), ("pair", 2)):
        own = trajectories[name]
        assert own.observation.shape == (slots, 11, E, 3)
        assert own.is_first.shape == (slots, 11, E)
        for field in ("action", "reward", "log_prob", "terminated", "loss_mask"):
            assert getattr(own, field).shape == (slots, 10, E), field
        assert own.loss_mask.all()
        assert own.is_first[:, 0].all()
        assert not own.is_first[:, 1:].any()
    assert stats.episode_return.shape == (E, 3)


def test_a_trajectory_holds_its_own_slots_and_nothing_else(played):
    """Observations end in ten times the agent's number, and agent a is paid 10^a, its negative or nothing."""
    trajectories, _ = played
    for name, slots in (("rookie", (0,)), ("pair", (2, 1))):
        for place, agent in enumerate(slots):
            own = slot(trajectories[name], place)
            assert (own.observation[..., 2] == 10 * agent).all()
            np.testing.assert_array_equal(own.observation[..., 0], np.arange(11)[:, None].repeat(E, 1) * 20)
            np.testing.assert_array_equal(own.observation[1:, :, 1], own.action * 50)
            paid = 10.0**agent * np.array([1, -1, 0])[np.asarray(own.action)]
            np.testing.assert_array_equal(own.reward, paid)


def test_replayed_log_probabilities_are_those_of_the_rollout(played, log_probs):
    trajectories, _ = played
    params = fresh(PAIRED)
    for name in ("rookie", "pair"):
        for place in range(len(trajectories[name].action)):
            own = slot(trajectories[name], place)
            replayed = log_probs(slot(params[name], place), own.observation, own.is_first, own.action)
            np.testing.assert_allclose(replayed, own.log_prob, atol=1e-5)
    # The two of a pair have parameters of their own: the other's tell another story.
    own = slot(trajectories["pair"], 0)
    replayed = log_probs(slot(params["pair"], 1), own.observation, own.is_first, own.action)
    assert np.abs(replayed - own.log_prob).max() > 0.1


def test_across_an_episode_boundary_the_flag_must_stand_exactly_there(played, log_probs):
    """Two episodes end to end: memory is cleared where the second opens, not a step early or late."""
    own, params = slot(played[0]["rookie"], 0), slot(fresh(PAIRED)["rookie"], 0)

    def joined(first, second):
        return jnp.concatenate([first[:, :3], second[:, 3:]])

    observation = joined(own.observation[:-1], own.observation)
    is_first = joined(own.is_first[:-1], own.is_first)
    action, log_prob = joined(own.action, own.action), joined(own.log_prob, own.log_prob)
    assert is_first[:, 0].nonzero()[0].tolist() == [0, 10]
    np.testing.assert_allclose(log_probs(params, observation, is_first, action), log_prob, atol=1e-5)
    for shift in (-1, 1):
        wrong = is_first.at[10].set(False).at[10 + shift].set(True)
        error = np.abs(log_probs(params, observation, wrong, action) - log_prob)
        assert error[:9].max() < 1e-5
        assert error[9:].max() > 1e-2


def test_the_same_key_plays_the_same_and_another_does_not(play, played):
    chex.assert_trees_all_equal(play(fresh(PAIRED), ENV.default_params(), KEY, EVERYBODY), played)
    other, _ = play(fresh(PAIRED), ENV.default_params(), jax.random.PRNGKey(6), EVERYBODY)
    assert (other["rookie"].action != played[0]["rookie"].action).any()
    # Agents and episodes draw apart.
    action = np.concatenate([np.asarray(own.action) for own in played[0].values()]).transpose(0, 2, 1)
    assert len(np.unique(action.reshape(-1, 10), axis=0)) == 3 * E


def test_nothing_of_the_others_reaches_a_trajectory(play, played):
    """Others with other parameters, rewards or views, or absent: one's own trajectory is equal to the bit."""
    params, env_params = fresh(PAIRED), ENV.default_params()
    changed = {**params, "pair": fresh(PAIRED, seed=9)["pair"]}
    others = jnp.array([False, True, True])
    dearer = env_params.replace(
        pay=jnp.where(others[:, None], -7 * env_params.pay, env_params.pay),
        tint=(others * 99).astype(jnp.uint8),
    )
    for given in (
        (changed, env_params, KEY, EVERYBODY),
        (params, dearer, KEY, EVERYBODY),
        (params, env_params, KEY, EVERYBODY & ~others),
        (changed, dearer, KEY, EVERYBODY.at[::2, 1].set(False)),
    ):
        trajectories, _ = play(*given)
        chex.assert_trees_all_equal(trajectories["rookie"], played[0]["rookie"])
    assert (trajectories["pair"].reward != played[0]["pair"].reward).any()


def test_absent_agents_steps_do_not_count(play):
    agent_mask = EVERYBODY.at[::2, 0].set(False)
    trajectories, stats = play(fresh(PAIRED), ENV.default_params(), KEY, agent_mask)
    own = slot(trajectories["rookie"], 0)
    np.testing.assert_array_equal(own.loss_mask, np.broadcast_to(agent_mask[:, 0], (10, E)))
    assert not own.reward[:, ::2].any()
    assert trajectories["pair"].loss_mask.all()
    np.testing.assert_array_equal(stats.agent_mask, agent_mask)


def test_a_trajectory_says_when_an_agent_that_may_leave_is_there(played):
    """At the final observation, too; of agents that stay nothing is recorded, so that their programs do not change."""
    trajectories, _ = played
    assert all(own.agent_mask is None for own in trajectories.values())
    env, team = Rooms(dropout_slots=(1,)), Team((ROOKIE, AgentGroup("pair", (2, 1), RandomPolicy(3))))
    learns = Team((AgentGroup("rookie", (1,), SMALL, learner=Learner()), AgentGroup("pair", (2, 0), RandomPolicy(3))))
    assert jax.eval_shape(lambda: _play(env, team))["rookie"].agent_mask is None
    own = _play(env, learns)["rookie"]
    there = np.array([True] * 4 + [False] * 3 + [True] * 3 + [False])
    np.testing.assert_array_equal(own.agent_mask, np.broadcast_to(there[:, None], (1, 11, E)))
    np.testing.assert_array_equal(own.loss_mask, own.agent_mask[:, :-1])


def _play(env, team):
    params = {"rookie": fresh(Team(team.groups[:1]))["rookie"], "pair": ()}
    return rollout(env, team, params, env.default_params(), KEY, EVERYBODY)[0]


def test_what_follows_the_end_of_a_world_does_not_count(play):
    trajectories, stats = play(fresh(PAIRED), ENV.default_params().replace(length=jnp.int32(4)), KEY, EVERYBODY)
    for own in trajectories.values():
        np.testing.assert_array_equal(own.loss_mask, np.broadcast_to((np.arange(10) < 4)[:, None], own.loss_mask.shape))
        np.testing.assert_array_equal(
            own.terminated, np.broadcast_to((np.arange(10) == 3)[:, None], own.terminated.shape)
        )
        assert not own.reward[:, 4:].any()
    np.testing.assert_allclose(stats.episode_return[:, 0], trajectories["rookie"].reward[0].sum(0))
    np.testing.assert_allclose(stats.episode_return[:, 1], trajectories["pair"].reward[1].sum(0))


def test_the_tally_by_hand():
    # Action 0 is paid 1, 1 is punished, 2 is neither.
    script = Script(((2, 0, 0, 2, 0, 1, 0, 2, 0, 1), (2,) * 10, (1, 0, 1, 0, 0, 1, 1, 1, 1, 0)))
    team = Team((AgentGroup("scripted", (0,), script), AgentGroup("others", (1, 2), RandomPolicy(3))))
    play = jax.jit(lambda: rollout(ENV, team, {"scripted": (), "others": ()}, ENV.default_params(), KEY, EVERYBODY))
    trajectories, stats = play()
    assert trajectories == {}
    assert stats.episode_return[:3, 0].tolist() == [3, 0, -2]
    assert stats.task_metrics["paid"][:3, 0].tolist() == [5, 0, 4]
    assert stats.task_metrics["punished"][:3, 0].tolist() == [2, 0, 6]
    assert stats.longest_streak[:3, 0].tolist() == [3, 0, 2]
    assert stats.steps_to_first_reward[:3, 0].tolist() == [2, 11, 2]


# Presence.


def shares(team, social_episode_prob, episodes=2000):
    return np.asarray(sample_agent_mask(ENV, team, KEY, episodes, jnp.float32(social_episode_prob)))


def test_presence_is_social_as_often_as_asked():
    agent_mask = shares(PAIRED, 0.75)
    assert abs(agent_mask.all(-1).mean() - 0.75) < 0.04
    assert shares(PAIRED, 1.0).all()
    assert not shares(PAIRED, 0.0).all(-1).any()


def test_solo_episodes_hold_one_learner_in_turn():
    team = Team((AgentGroup("rookie", (0,), SMALL, learner=Learner()), AgentGroup("expert", (1, 2), RandomPolicy(3))))
    agent_mask = shares(team, 0.25)
    assert set(map(tuple, agent_mask.tolist())) == {(True, True, True), (True, False, False)}
    agent_mask = shares(PAIRED, 0.0, episodes=9)
    assert agent_mask.argmax(-1).tolist() == [0, 2, 1] * 3
    assert (agent_mask.sum(-1) == 1).all()


@pytest.mark.parametrize("episodes", [1, 2, 3, 4, 5])
def test_learners_take_turns_over_updates(episodes):
    """Each has as many solo episodes in the end, however few an update has."""
    sample = jax.jit(lambda update: sample_agent_mask(ENV, PAIRED, KEY, episodes, jnp.float32(0), update))
    soloists = np.concatenate([sample(jnp.int32(update)).argmax(-1) for update in range(6)])
    assert soloists.tolist() == [0, 2, 1] * (2 * episodes)
    with_one = Team((ROOKIE, AgentGroup("expert", (1, 2), RandomPolicy(3))))
    masks = [sample_agent_mask(ENV, with_one, KEY, episodes, jnp.float32(0.5), update) for update in (0, 7)]
    np.testing.assert_array_equal(*masks)


class NoLogits(RecurrentPolicy):
    """Tells its actions and their probabilities alone, all that a learner's policy must."""

    def act(self, *arguments):
        action, carry, extras = super().act(*arguments)
        return action, carry, {name: extras[name] for name in ("log_prob", "value")}


@pytest.mark.parametrize(
    ("requested", "teacher", "message"),
    [((), True, "its teacher"), (("logits",), False, "what it requests, 'logits',"), ((), False, None)],
)
def test_a_policy_without_logits_is_named_where_they_are_needed(requested, teacher, message):
    policy = NoLogits(SMALL.network, SMALL.observation_shape, SMALL.num_actions)
    group = AgentGroup("mute", (0,), policy, Curious(required_info=requested), RandomPolicy(3) if teacher else None)
    team = Team((group, AgentGroup("pair", (2, 1), RandomPolicy(3))))
    params = {"mute": jax.vmap(policy.init)(KEY[None]), "pair": ()}
    probability = {"mute": jnp.float32(0.5)} if teacher else None

    def trace():
        jax.eval_shape(lambda key: rollout(ENV, team, params, ENV.default_params(), key, EVERYBODY, probability), KEY)

    if message is None:
        trace()
        return
    with pytest.raises(ConfigError, match=f"group 'mute': {message} needs the logits .* gives no extra 'logits'"):
        trace()
