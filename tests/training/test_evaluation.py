import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery import keys
from rookery.agents.random_policy import RandomPolicy
from rookery.agents.scripted.goal_cycle_expert import GoalCyclePlanner
from rookery.agents.team import AgentGroup, Team
from rookery.agents.team_setup import TeamSetup
from rookery.errors import ConfigError, OutOfMemoryError
from rookery.gridworld.movement import LEFT
from rookery.interfaces import Learner, Policy
from rookery.tasks.grid_env import GridEnv
from rookery.training import evaluation, memory
from rookery.training.build import build
from rookery.training.evaluation import RunEvaluator, evaluate_team, evaluation_key, measure_health
from rookery.training.make_team import make_team_setup
from tests.tiny import CONFIG, TASK, replica_params

# ------------------------------------------------------------------------------------------- keys


def rows(keys) -> set[bytes]:
    return {bytes(key) for key in np.asarray(keys).reshape(-1, 2)}


def test_no_evaluation_episode_is_a_training_episode():
    """Neither the keys of batches nor, in a sample, those of single episodes."""
    seeds = jnp.arange(60)

    def training(seed, update):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.PRNGKey(seed), keys.TRAINING), update)
        return jax.random.split(key, 3)  # agent mask, rollout, learning

    trained = jax.vmap(jax.vmap(training, (None, 0)), (0, None))(seeds, jnp.arange(200))
    played = np.stack([evaluation_key(seed, stream) for seed in range(60) for stream in (0, 1, 2, 10_000)])
    assert len(rows(played)) == 240
    assert len(rows(trained)) == 60 * 200 * 3
    assert not rows(trained) & rows(played)

    def episode_keys(key):
        return jax.random.split(jax.random.split(key)[0], 16)  # as `rollout` splits the reset keys

    trained = jax.vmap(episode_keys)(trained[:5, :50, 1].reshape(-1, 2))
    played = jax.vmap(episode_keys)(jnp.asarray(played))
    assert not rows(trained) & rows(played)


def test_more_episodes_than_have_keys_of_their_own(monkeypatch):
    """The batch after the last allowed one would be the episodes that recordings show."""
    setup = make_team_setup("random", "random", TASK)
    monkeypatch.setattr("rookery.training.evaluation._compiled_evaluation", lambda *_: pytest.fail("compiled"))
    for size, most in ((250, 2_499_750), (7, 69_993)):
        with pytest.raises(ConfigError, match=f"^episodes={most + 1} must be at most {most:,}, in batches of {size};"):
            evaluate_team(setup, most + 1, batch_size=size)
    streams = []
    monkeypatch.setattr("rookery.training.evaluation._compiled_evaluation", lambda *_: lambda *_: (np.zeros(1),))
    monkeypatch.setattr("rookery.training.evaluation.evaluation_key", lambda seed, stream: streams.append(stream))
    evaluate_team(setup, 9_999, batch_size=1)
    assert streams == [*range(1, keys.RECORDED_EPISODES)]


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range(seed):
    with pytest.raises(ConfigError, match=f"seed={seed} must lie in"):
        evaluation_key(seed)


def test_the_largest_seed():
    assert evaluation_key(2**32 - 1).shape == (2,)


# ------------------------------------------------------------------------------------------- playing


@pytest.fixture(scope="module")
def run():
    return build(CONFIG)


@pytest.fixture(scope="module")
def evaluate(run):
    """`evaluate_team` of the tiny team with given parameters, in batches of four episodes."""

    def call(params, *args):
        return evaluate_team(TeamSetup(run.env, run.team, params), *args, batch_size=4)

    return call


@pytest.fixture(scope="module")
def evaluations(straight):
    """Metrics of the trained replicas: twice with one seed, once with another."""
    evaluator = RunEvaluator(straight.run, 4)
    return evaluator(straight.state.learners), evaluator(straight.state.learners), evaluator(straight.state.learners, 1)


def test_an_evaluator_gives_the_same_again_and_other_numbers_for_other_seeds(evaluations):
    first, again, other = evaluations
    for kind in ("social", "solo", "social_gain"):
        for name, value in first[kind].items():
            assert value.shape == (2, 1)
            np.testing.assert_array_equal(value, again[kind][name])
    np.testing.assert_allclose(first["social_gain"]["return"], first["social"]["return"] - first["solo"]["return"])
    assert any((first["solo"][name] != other["solo"][name]).any() for name in first["solo"])


def test_both_evaluations_agree_on_the_same_episodes(evaluations, evaluate, straight, monkeypatch):
    """All replicas at once, or one team with given parameters: only the random keys differ."""
    monkeypatch.setattr(evaluation, "evaluation_key", lambda seed, stream=0: evaluation_key(seed, 0))
    for number, (_, seed) in enumerate(CONFIG.replicas):
        params = replica_params(straight, number)
        for condition, agent_mask in (("social", [True, True]), ("solo", [True, False])):
            stats = evaluate(params, 4, seed, np.array(agent_mask))
            expected = {name: value[number, 0] for name, value in evaluations[0][condition].items()}
            assert stats.episode_return[:, 0].mean() == pytest.approx(expected["return"], abs=1e-5)
            assert stats.task_metrics["goals"][:, 0].mean() == pytest.approx(expected["goals"], abs=1e-5)
            assert stats.longest_streak[:, 0].mean() == pytest.approx(expected["longest_streak"], abs=1e-5)


def test_as_many_episodes_as_requested_and_the_same_for_the_same_seed(evaluate, straight):
    params = replica_params(straight, 0)
    six, four = evaluate(params, 6, 5), evaluate(params, 4, 5)
    assert {leaf.shape[0] for leaf in jax.tree.leaves(six)} == {6}
    for long, short in zip(jax.tree.leaves(six), jax.tree.leaves(four), strict=True):
        np.testing.assert_array_equal(long[:4], short)
    assert not np.array_equal(evaluate(params, 4, 6).steps_to_first_reward, four.steps_to_first_reward)
    # The second batch is not the first again.
    eight = evaluate(params, 8, 5)
    assert not np.array_equal(eight.steps_to_first_reward[:4], eight.steps_to_first_reward[4:])


def test_an_absent_agent_counts_for_nothing(evaluate, straight):
    stats = evaluate(replica_params(straight, 0), 8, 0, np.array([True, False]))
    np.testing.assert_array_equal(stats.agent_mask, np.tile([True, False], (8, 1)))
    for values in (stats.episode_return, stats.longest_streak, *stats.task_metrics.values()):
        np.testing.assert_array_equal(values[:, 1], 0)
    np.testing.assert_array_equal(stats.steps_to_first_reward[:, 1], TASK.max_steps + 1)


def test_at_least_one_episode(evaluate):
    with pytest.raises(ConfigError, match="episodes=0 must be at least 1"):
        evaluate({}, 0)


# ------------------------------------------------------------------------------------------- social gain


@dataclasses.dataclass(frozen=True)
class Moody(Policy):
    """A planner that depends on its parameter: 0 acts always, 1 only with other agents, -1 only alone."""

    planner: GoalCyclePlanner

    privileged = True

    def init(self, key):
        return jnp.float32(0)

    def initial_carry(self, batch):
        return self.planner.initial_carry(batch)

    def act(self, params, carry, obs, is_first, key):
        action, carry, extras = self.planner.act((), carry, obs, is_first, key)
        others = jnp.where(obs[0].agent_mask.sum(-1) > 1, 1.0, -1.0)
        return jnp.where(params * others >= 0, action, LEFT), carry, extras


def test_a_batch_that_memory_cannot_hold(monkeypatch):
    """The scripted experts' memories count, and nothing is compiled; what shows only later has the same remedy."""
    random, worlds = make_team_setup("random", "random", TASK), "250 worlds of "
    planners = make_team_setup("random", "scripted", TASK)
    said = rf"^{worlds}.* need at least .*; this machine has .*: make the world smaller \(its height and width"
    environments = 250 * memory.environment_bytes(random.env, range(random.env.num_agents))
    monkeypatch.setattr(evaluation, "_compiled_evaluation", lambda *_: lambda *_: raise_error(MemoryError()))
    for setup, available in ((random, environments - 1), (planners, environments)):
        monkeypatch.setattr(memory, "machine_memory", lambda available=available: available)
        with pytest.raises(ConfigError, match=said):
            evaluate_team(setup)
    monkeypatch.setattr(memory, "machine_memory", lambda: environments)
    with pytest.raises(OutOfMemoryError, match=rf"^{worlds}.*, and more than there is .*: make the world smaller"):
        evaluate_team(random)


def raise_error(error):
    raise error


def test_the_sign_of_the_social_gain():
    """An expert that ignores others gains exactly 0 where agents can walk through each other."""
    task = dataclasses.replace(TASK, max_steps=24, penalty=0.5)
    team = Team((
        AgentGroup("expert", (0,), Moody(GoalCyclePlanner(task.num_goals, task.height, task.width))),
        AgentGroup("other", (1,), RandomPolicy(task.num_actions)),
    ))  # fmt: skip
    env = GridEnv(task)
    returns = {}
    for mood in (0.0, 1.0, -1.0):
        params = {"expert": jnp.float32(mood), "other": ()}
        returns[mood] = [
            evaluate_team(TeamSetup(env, team, params), 8, 0, np.array([True, other]), batch_size=8).episode_return[
                :, 0
            ]
            for other in (True, False)
        ]
    np.testing.assert_array_equal(*returns[0.0])  # the same episodes in the same order
    assert returns[0.0][0].mean() > 2
    social, solo = returns[1.0]
    np.testing.assert_array_equal(solo, 0)
    np.testing.assert_array_equal(social, returns[0.0][0])
    assert (social - solo).mean() > 0
    social, solo = returns[-1.0]
    assert (social - solo).mean() < 0


def test_a_health_that_is_no_single_number_is_refused():
    class Sick(Learner):
        def health(self, policy, state, trajectory, agent_scores):
            return {"error": trajectory}

    team = Team((AgentGroup("novice", (0,), None, Sick()),))
    run = SimpleNamespace(team=team, env=GridEnv(TASK))
    assert measure_health(run, {"novice": ()}, {"novice": jnp.ones(1)})["error"].tolist() == [1.0]
    with pytest.raises(ConfigError, match=r"^group 'novice': the health: metric 'error' has shape \[8\], must be"):
        measure_health(run, {"novice": ()}, {"novice": jnp.ones((1, 8))})
