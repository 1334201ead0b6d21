"""Influence in whole runs: in metrics, and a run that stops when it is not finite."""

import dataclasses
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.communication import CommunicationConfig
from rookery.agents.networks import JaquesNetwork, MLPNetwork
from rookery.errors import ConfigError, DivergedError
from rookery.learning.a2c import A2C
from rookery.learning.intrinsic import CentralizedInfluence, MOAInfluence
from rookery.learning.intrinsic.combine import NONFINITE_STEP
from rookery.learning.r2d2 import R2D2
from rookery.learning.rollout import rollout
from rookery.tasks.matrix_games import MatrixGame
from rookery.training.build import build
from rookery.training.config import GroupConfig, RecurrentPolicyConfig, RunConfig, Variant
from rookery.training.finite import check_finite_metrics
from rookery.training.presets.social_dilemmas import PUBLISHED_HPARAMS, published_run
from rookery.training.train_step import replica_schedules
from tests.tiny import TASK

NETWORK = MLPNetwork(encoder_size=4, hidden_size=4, head_size=4)
GAME = MatrixGame(max_steps=6)


def config(**changes) -> RunConfig:
    """A matrix game: slot 1 acts first and is rewarded for influence, slot 0 observes it and has a model of it."""
    return RunConfig(**{
        "name": "pair",
        "task": GAME,
        "team": (
            GroupConfig(
                name="influencer", slots=(1,),
                policy=RecurrentPolicyConfig(network=NETWORK, communication=CommunicationConfig(visible_actions=True)),
                learner=A2C(sequence_length=4, intrinsic=(CentralizedInfluence(weight=0.5, warmup_steps=48.0),)),
            ),
            GroupConfig(
                name="influencee", slots=(0,),
                policy=RecurrentPolicyConfig(network=NETWORK, communication=CommunicationConfig(influencers=(1,))),
                learner=A2C(sequence_length=4, intrinsic=(MOAInfluence(dense_size=4),)),
            ),
        ),
        "variants": (Variant(name="influence"), Variant(name="none", hparams={"intrinsic_scale": 0.0})),
        "total_timesteps": 24 * 4,
        "num_envs": 4,
        "eval_episodes": 0,
        **changes,
    })  # fmt: skip


@pytest.fixture(scope="module")
def two_updates():
    """A run, and the metrics of two updates."""
    run = build(config())
    schedules = replica_schedules(run.config)
    update = jax.jit(jax.vmap(run.train_step, (0, 0, None)))
    state = run.init()
    updates = []
    for _ in range(2):
        state, metrics = update(state, schedules, run.frozen_params)
        updates.append(jax.device_get(metrics))
    return run, updates


def test_influence_in_metrics(two_updates):
    _, (first, second) = two_updates
    influencer, influencee = first["influencer"], first["influencee"]
    assert influencer["intrinsic_reward/influence-centralized"].shape == (2, 1)
    assert (influencer["intrinsic_reward/influence-centralized"] >= 0).all()
    np.testing.assert_allclose(influencee["moa_loss/influence-moa"], np.log(2), rtol=0.05)
    # Warmup: 24 of 48 steps are done at the second update; the other variant has no influence reward.
    np.testing.assert_allclose(influencer["intrinsic_weight/influence-centralized"][:, 0], [0, 0])
    np.testing.assert_allclose(second["influencer"]["intrinsic_weight/influence-centralized"][:, 0], [0.25, 0])
    received = first["agents"]["influence_received"]
    assert received.shape == (2, 2)
    # Slot 0 is influenced by the action of slot 1 that it observes; slot 1, according to slot 0's model.
    np.testing.assert_allclose(
        received[:, 0], influencer["intrinsic_reward/influence-centralized"][:, 0], rtol=1e-4, atol=1e-8
    )
    np.testing.assert_allclose(received[:, 1], influencee["intrinsic_reward/influence-moa"][:, 0], rtol=1e-4, atol=1e-8)
    assert (first["influencer"][NONFINITE_STEP] == -1).all()


def test_the_influencee_observes_the_action_of_the_same_step():
    run = build(config())
    state = jax.tree.map(lambda x: x[0], run.init())
    params = {name: learner.params["policy"] for name, learner in state.learners.items()}
    agent_mask = jnp.ones((3, 2), bool).at[2, 1].set(False)
    env = run.env
    trajectories, _ = rollout(env, run.team, params, env.default_params(), jax.random.PRNGKey(0), agent_mask)
    influencer, influencee = (
        jax.tree.map(lambda x: np.asarray(x[0]), trajectories[name]) for name in ("influencer", "influencee")
    )
    both = np.eye(2, dtype=np.uint8)[influencer.action[:, :2]]
    np.testing.assert_array_equal(influencee.comms_obs[:-1, :2], both)
    assert not influencee.comms_obs[:-1, 2].any()  # an absent agent does nothing
    assert not influencee.comms_obs[-1].any()
    # The influencer observes both previous actions, slot by slot; nothing at first.
    assert not influencer.comms_obs[0].any()
    before = np.concatenate([np.eye(2)[influencee.action[:, :2]], both], -1)
    np.testing.assert_array_equal(influencer.comms_obs[1:, :2], before)
    assert influencee.others.in_view[:, :2].all()
    assert not influencee.others.in_view[:, 2].any()
    np.testing.assert_array_equal(influencee.others.action[:, :2, 0], influencee.action[:, :2])  # its own first
    np.testing.assert_array_equal(influencee.others.action[:, :2, 1], influencer.action[:, :2])
    assert (influencee.others.action[:, 2, 1] == -1).all()
    assert influencer.others is None  # its method requests no such information


def test_a_reward_that_is_not_finite_stops_the_run_with_its_place(two_updates):
    run, (metrics, _) = two_updates
    check_finite_metrics(run, dict(metrics), 1)
    broken = {**metrics, "influencee": {**metrics["influencee"], NONFINITE_STEP: np.array([[-1.0], [4.0]])}}
    with pytest.raises(
        DivergedError, match=r"'influencee', slot 0, .* step 5 of an episode of update 7 \(variant 'none'"
    ):
        check_finite_metrics(run, broken, 7)


def test_influence_in_goal_cycle():
    """Works with any task and network; only shapes are computed here."""
    group = GroupConfig(
        name="birds", slots=(0, 1), policy=RecurrentPolicyConfig(network=NETWORK),
        learner=A2C(sequence_length=4, intrinsic=(MOAInfluence(dense_size=4),)),
    )  # fmt: skip
    run = build(RunConfig(task=TASK, team=(group,), total_timesteps=32, num_envs=4, eval_episodes=0))
    state = jax.eval_shape(run.init)
    schedules = jax.eval_shape(lambda: replica_schedules(run.config))
    after, metrics = jax.eval_shape(jax.vmap(run.train_step, (0, 0, None)), state, schedules, {})
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert metrics["birds"]["intrinsic_reward/influence-moa"].shape == (1, 2)


@pytest.mark.parametrize("method", PUBLISHED_HPARAMS)
@pytest.mark.parametrize("game", ["cleanup", "harvest"])
def test_every_published_method_is_a_valid_run(method, game):
    config = published_run(game, method)
    run = build(config)
    groups = [group.name for group in config.team]
    acting_in_turn = method in ("centralized", "visible")
    assert groups == (["influencer", "influencee"] if acting_in_turn else ["player"])
    assert config.task.num_agents == 5
    assert all(isinstance(group.policy.network, JaquesNetwork) for group in run.team.groups)


def test_the_published_numbers():
    """Jaques et al. 2019, table of hyperparameters."""
    player = published_run("harvest").team[0]
    influence = player.learner.intrinsic[0]
    assert (influence.weight, influence.warmup_steps, influence.divergence) == (2.521, 226e6, "kl")
    assert influence.loss_weight == pytest.approx(0.0917, abs=1e-4)
    assert (player.ent_coef, player.learning_rate) == (0.00223, ((0.0, 0.00120), (1.0, 0.000044)))
    influencer, influencee = published_run("cleanup", "centralized").team
    assert (influencer.slots, influencer.learner.intrinsic[0].divergence) == ((0,), "jsd")
    assert influencee.learner.intrinsic[0].weight == 1.0
    assert published_run("harvest", "centralized").team[1].learner.intrinsic == ()


def test_what_cannot_work_is_refused():
    base = config().team[1]
    with pytest.raises(ConfigError, match="learner kind 'r2d2' does not support communication"):
        dataclasses.replace(base, learner=R2D2())
    with pytest.raises(ConfigError, match="group name 'agents' is a metric of every run"):
        dataclasses.replace(base, name="agents")


def test_many_large_networks_are_initialized_without_a_deadlock():
    """Five published networks initialized at once used to deadlock XLA; in a process of its own, with a time limit."""
    lines = (
        "import jax",
        "from rookery.training.build import build",
        "from rookery.training.presets.social_dilemmas import published_run",
        "print(int(jax.block_until_ready(build(published_run('cleanup', 'a3c')).init().num_updates[0])))",
    )
    result = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=300)
    assert (result.returncode, result.stdout) == (0, "0\n"), result.stderr
