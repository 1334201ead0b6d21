"""Influence in whole runs: told in metrics, stopped where it is not finite, the same in arms of one program."""

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
from rookery.training.presets_dilemma import PUBLISHED_HPARAMS, published_run
from rookery.training.train_step import replica_schedules
from rookery.training.trainer import _TrainLoop
from tests.tiny import TASK

NETWORK = MLPNetwork(encoder_size=4, hidden_size=4, head_size=4)
GAME = MatrixGame(max_steps=6)


def config(**changes) -> RunConfig:
    """A matrix game: slot 1 leads and is paid by true policies, slot 0 follows and has a model of the other."""
    return RunConfig(**{
        "name": "pair",
        "task": GAME,
        "team": (
            GroupConfig(
                name="leader", slots=(1,), policy=RecurrentPolicyConfig(network=NETWORK, communication=CommunicationConfig(visible_actions=True)),
                learner=A2C(sequence_length=4, intrinsic=(CentralizedInfluence(weight=0.5, warmup_steps=48.0),)),
            ),
            GroupConfig(
                name="follower", slots=(0,), policy=RecurrentPolicyConfig(network=NETWORK, communication=CommunicationConfig(influencers=(1,))),
                learner=A2C(sequence_length=4, intrinsic=(MOAInfluence(dense_size=4),)),
            ),
        ),
        "arms": (Variant(name="influence"), Variant(name="none", hparams={"intrinsic_scale": 0.0})),
        "steps": 24 * 4,
        "episodes": 4,
        "eval_episodes": 0,
        **changes,
    })  # fmt: skip


@pytest.fixture(scope="module")
def told():
    """Two updates' metrics."""
    program = build(config())
    schedules = replica_schedules(program.config)
    update = jax.jit(jax.vmap(program.train_step, (0, 0, None)))
    state = program.init()
    kept = []
    for _ in range(2):
        state, metrics = update(state, schedules, program.frozen_params)
        kept.append(jax.device_get(metrics))
    return program, kept


def test_runs_tell_of_influence(told):
    _, (first, second) = told
    leader, follower = first["leader"], first["follower"]
    assert leader["intrinsic_reward/influence-centralized"].shape == (2, 1)
    assert (leader["intrinsic_reward/influence-centralized"] >= 0).all()
    np.testing.assert_allclose(follower["moa_loss/influence-moa"], np.log(2), rtol=0.05)
    # The ramp: 24 of 48 steps are done at the second update; the other arm has none.
    np.testing.assert_allclose(leader["intrinsic_weight/influence-centralized"][:, 0], [0, 0])
    np.testing.assert_allclose(second["leader"]["intrinsic_weight/influence-centralized"][:, 0], [0.25, 0])
    moved = first["agents"]["influence_received"]
    assert moved.shape == (2, 2)
    # Slot 0 is moved by what it hears of slot 1; slot 1, as slot 0's model has it.
    np.testing.assert_allclose(
        moved[:, 0], leader["intrinsic_reward/influence-centralized"][:, 0], rtol=1e-4, atol=1e-8
    )
    np.testing.assert_allclose(moved[:, 1], follower["intrinsic_reward/influence-moa"][:, 0], rtol=1e-4, atol=1e-8)
    assert (first["leader"][NONFINITE_STEP] == -1).all()


def test_who_hears_is_told_what_the_leader_does_in_this_step():
    program = build(config())
    state = jax.tree.map(lambda x: x[0], program.init())
    params = {name: own.params["policy"] for name, own in state.learners.items()}
    there = jnp.ones((3, 2), bool).at[2, 1].set(False)
    env = program.env
    played, _ = rollout(env, program.team, params, env.default_params(), jax.random.PRNGKey(0), there)
    leader, follower = (jax.tree.map(lambda x: np.asarray(x[0]), played[name]) for name in ("leader", "follower"))
    both = np.eye(2, dtype=np.uint8)[leader.action[:, :2]]
    np.testing.assert_array_equal(follower.comms_obs[:-1, :2], both)
    assert not follower.comms_obs[:-1, 2].any()  # the absent does nothing
    assert not follower.comms_obs[-1].any()
    # The leader is told what both did before, slot by slot; nothing at first.
    assert not leader.comms_obs[0].any()
    before = np.concatenate([np.eye(2)[follower.action[:, :2]], both], -1)
    np.testing.assert_array_equal(leader.comms_obs[1:, :2], before)
    assert follower.others.in_view[:, :2].all()
    assert not follower.others.in_view[:, 2].any()
    np.testing.assert_array_equal(follower.others.action[:, :2, 0], follower.action[:, :2])  # its own first
    np.testing.assert_array_equal(follower.others.action[:, :2, 1], leader.action[:, :2])
    assert (follower.others.action[:, 2, 1] == -1).all()
    assert leader.others is None  # asks for nothing a rollout tells


def test_a_reward_that_is_not_finite_stops_the_run_with_its_place(told, tmp_path):
    program, (metrics, _) = told
    loop = _TrainLoop(program, tmp_path, None, True, None)
    loop._check_finite(dict(metrics), 1)
    broken = {**metrics, "follower": {**metrics["follower"], NONFINITE_STEP: np.array([[-1.0], [4.0]])}}
    with pytest.raises(DivergedError, match=r"'follower', slot 0, .* step 5 of an episode of update 7 \(arm 'none'"):
        loop._check_finite(broken, 7)


def test_influence_in_goal_cycle():
    """Any task, any network: only its shapes are worked out here."""
    group = GroupConfig(
        name="birds", slots=(0, 1), policy=RecurrentPolicyConfig(network=NETWORK),
        learner=A2C(sequence_length=4, intrinsic=(MOAInfluence(dense_size=4),)),
    )  # fmt: skip
    program = build(RunConfig(task=TASK, team=(group,), total_timesteps=32, num_envs=4, eval_episodes=0))
    state = jax.eval_shape(program.init)
    schedules = jax.eval_shape(lambda: replica_schedules(program.config))
    after, metrics = jax.eval_shape(jax.vmap(program.train_step, (0, 0, None)), state, schedules, {})
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert metrics["birds"]["intrinsic_reward/influence-moa"].shape == (1, 2)


@pytest.mark.parametrize("method", PUBLISHED_HPARAMS)
@pytest.mark.parametrize("game", ["cleanup", "harvest"])
def test_every_published_method_is_a_sound_run(method, game):
    run = published_run(game, method)
    program = build(run)
    groups = [group.name for group in run.team]
    assert groups == (["leader", "follower"] if method == "centralized" else ["player"])
    assert run.task.num_agents == 5
    assert all(isinstance(group.policy.network, JaquesNetwork) for group in program.team.groups)


def test_the_published_numbers():
    """Jaques et al. 2019, table of hyperparameters."""
    player = published_run("harvest").team[0]
    plug = player.learner.intrinsic[0]
    assert (plug.weight, plug.warmup_steps, plug.divergence) == (2.521, 226e6, "kl")
    assert plug.loss_weight == pytest.approx(0.0917, abs=1e-4)
    assert (player.ent_coef, player.learning_rate) == (0.00223, ((0.0, 0.00120), (1.0, 0.000044)))
    leader, follower = published_run("cleanup", "centralized").team
    assert (leader.slots, leader.learner.intrinsic[0].divergence) == ((0,), "jsd")
    assert follower.learner.intrinsic[0].weight == 1.0
    assert published_run("harvest", "centralized").team[1].learner.intrinsic == ()


def test_what_cannot_work_is_refused():
    base = config().team[1]
    with pytest.raises(ConfigError, match="its learner cannot hear"):
        dataclasses.replace(base, learner=R2D2())
    with pytest.raises(ConfigError, match="group name 'agents' is taken"):
        dataclasses.replace(base, name="agents")


def test_many_large_networks_are_drawn_without_waiting_for_each_other():
    """Five published networks drawn at once once left every thread of XLA waiting; in a process, to end if they do."""
    lines = (
        "import jax",
        "from rookery.training.build import build",
        "from rookery.training.presets_dilemma import published",
        "print(int(jax.block_until_ready(build(published('cleanup', 'a3c')).init().update[0])))",
    )
    told = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, timeout=300)
    assert (told.returncode, told.stdout) == (0, "0\n"), told.stderr
