"""A teacher tells learners what it would do in their place, and remembers what they did instead."""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents import scripted
from rookery.agents.random_policy import RandomPolicy
from rookery.agents.team import AgentGroup, Team, initial_teacher_carry, sample_teacher_action, update_teacher_carry
from rookery.errors import ConfigError
from rookery.gridworld.spec import ViewConfig
from rookery.interfaces import Learner, Policy
from rookery.learning import actor_critic
from rookery.learning.actor_critic import ScheduledHparams
from rookery.learning.extra_losses import loss_denominators
from rookery.learning.ppo import PPO
from rookery.learning.rollout import rollout
from rookery.storage.serialization import from_dict, to_dict
from rookery.tasks import registry
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.grid_env import GridEnv
from rookery.tasks.single_goal import SingleGoal
from rookery.training.build import build
from rookery.training.config import GroupConfig, RecurrentPolicyConfig, RunConfig, Variant
from rookery.training.trainer import train
from tests.learning.test_ppo import E, T, numbered, table
from tests.learning.worlds import TABLE
from tests.tiny import CONFIG, NETWORK, rows

VIEW = ViewConfig(size=5, observation_type="symbolic")
CYCLE = GoalCycle(height=6, width=7, num_goals=3, num_obstacles=2, num_actions=3, max_steps=40, views=(VIEW, VIEW))


@dataclasses.dataclass(frozen=True)
class Student(Policy):
    """Any policy as one that learns: it tells logits, by which every action is as likely."""

    policy: Any
    privileged = property(lambda self: self.policy.privileged)

    def initial_carry(self, batch):
        return self.policy.initial_carry(batch)

    def act(self, params, carry, obs, is_first, key):
        action, carry, _ = self.policy.act(params, carry, obs, is_first, key)
        return action, carry, {"log_prob": jnp.zeros(action.shape), "logits": jnp.zeros((*action.shape, 3))}


def student_trajectory(task, student, teacher, follow_prob=0.0, episodes=6):
    """Trajectories of the student in both slots, [S, T, E], with what the teacher would have done."""
    env = GridEnv(task)
    team = Team((AgentGroup("student", (0, 1), Student(student), Learner(), teacher),))
    agent_mask = jnp.ones((episodes, 2), bool)
    teacher_action_prob = None if teacher is None else {"student": jnp.float32(follow_prob)}
    actual_trajectory, _ = rollout(
        env, team, {"student": ()}, env.default_params(), jax.random.PRNGKey(1), agent_mask, teacher_action_prob
    )
    return actual_trajectory["student"]


def test_a_student_like_its_teacher_is_told_to_do_what_it_does():
    expert = scripted.make_expert(CYCLE, "partial")
    actual_trajectory = student_trajectory(CYCLE, expert, expert)
    np.testing.assert_array_equal(actual_trajectory.teacher_action, actual_trajectory.action)
    assert (actual_trajectory.reward > 0).any()


def test_the_teachers_action_is_executed_with_its_probability():
    expert = scripted.make_expert(CYCLE, "partial")
    actual_trajectory = student_trajectory(CYCLE, RandomPolicy(3), expert, follow_prob=1.0)
    np.testing.assert_array_equal(actual_trajectory.teacher_action, actual_trajectory.action)
    np.testing.assert_allclose(actual_trajectory.log_prob, -np.log(3), rtol=1e-6)
    actual_trajectory = student_trajectory(CYCLE, RandomPolicy(3), expert, follow_prob=0.5)
    assert (
        0.55 < (actual_trajectory.teacher_action == actual_trajectory.action).mean() < 0.78
    )  # a half, and a third of the other half


def test_there_is_no_teacher_action_without_a_teacher():
    assert student_trajectory(CYCLE, RandomPolicy(3), None).teacher_action is None


def test_a_teacher_knows_what_its_student_found_out():
    """The student executes half of its actions; the teacher remembers the order in which the student was paid."""
    env, teacher = GridEnv(CYCLE), scripted.make_expert(CYCLE, "partial")
    group = AgentGroup("student", (0,), RandomPolicy(3), Learner(), teacher)
    params = env.default_params()

    @jax.jit
    def step(state, memory, first, key):
        worlds = jax.tree.map(lambda x: x[None], state)
        teacher_action, memory = sample_teacher_action(group, memory, worlds, first, key)
        follows, own = jax.random.bernoulli(key), jax.random.choice(key, jnp.array([0, 1, 2, 2, 2]))
        action = jnp.where(follows, teacher_action, own)
        memory = update_teacher_carry(group, memory, worlds, action)
        state, timestep = env.step(state, jnp.array([action[0, 0], 0]), params)
        return state, memory, timestep.reward[0]

    complete = 0
    for seed in range(12):
        key = jax.random.PRNGKey(seed)
        state, _ = env.reset(key, params, jnp.array([True, False]))
        memory, chain = initial_teacher_carry(group, 1), []
        for t in range(40):
            state, memory, reward = step(state, memory, jnp.array([t == 0]), jax.random.fold_in(key, t))
            order = memory.task_memory.order
            known = [int(x) for x in order.chain[0, 0][: int(order.num_known[0, 0])]]
            assert known == chain  # of all but the step just taken, whose pay it sees with the next view
            if reward > 0:
                row, col = (int(x) for x in state.position[0])
                number = row * CYCLE.width + col
                chain += [number] if number not in chain else []
        complete += len(chain) == 3
    assert complete >= 5


def test_the_distillation_loss_by_hand():
    """Uniform over three actions, so ln 3 a step that counts; its weight is a rate."""
    teacher_action = jnp.zeros((T, E), jnp.int32)
    batch = numbered(teacher_action=teacher_action, loss_mask=jnp.ones((T, E), bool).at[:, 0].set(False))
    config = PPO(
        sequence_length=T, num_minibatches=1, minibatch_size=E, recompute_every=1, target_kl=None, rollback_kl=None
    )
    params = table()

    def loss(params, teaching, trajectory=batch):
        hparams = ScheduledHparams(jnp.float32(0.01), jnp.float32(0), jnp.float32(1), distill_coef=teaching)
        fresh = actor_critic.recompute(config, TABLE, params, trajectory)
        sequences = actor_critic.take_sequences(config, trajectory, fresh, jnp.arange(E))
        denominators = loss_denominators((), (), sequences)
        key = jax.random.PRNGKey(0)
        return actor_critic.actor_critic_loss(config, TABLE, params, sequences, hparams, denominators, key)

    whole, parts = loss(params, 2.0)
    plain, fewer = loss(params, 2.0, batch.replace(teacher_action=None))
    np.testing.assert_allclose(parts["distill_loss"], np.log(3), rtol=1e-6)
    assert parts["teacher_agreement"] == 1  # of equal logits the first is taken, which is the teacher's action
    np.testing.assert_allclose(whole - plain, 2 * np.log(3), rtol=1e-6)
    assert "distill_loss" not in fewer
    np.testing.assert_allclose(loss(params, 0.0)[0], plain, rtol=1e-6)
    # d/d logits of -log softmax: p - 1 for what is advised, p for the rest, over the steps that count.
    grads = jax.grad(lambda p: loss(p, 1.0)[0] - loss(p, 0.0)[0])(params)["policy"]["logits"]
    grads = np.asarray(grads).reshape(T + 1, E, 3)
    counted = T * (E - 1)
    np.testing.assert_allclose(
        grads[:T, 1:], np.broadcast_to([-2 / 3, 1 / 3, 1 / 3], (T, E - 1, 3)) / counted, atol=1e-6
    )
    np.testing.assert_array_equal(grads[:, 0], 0)


def team_of(task, **changes):
    """One learner, alone, that learns from its teacher; the entropy bonus is 0."""
    learner = PPO(
        sequence_length=10, num_minibatches=4, minibatch_size=32, recompute_every=2, target_kl=None, rollback_kl=None,
        teacher="scripted", adam_eps=1e-5, max_grad_norm=0.5,
    )  # fmt: skip
    network = dataclasses.replace(NETWORK, encoder_size=32, hidden_size=32, head_size=16)
    group = GroupConfig(
        name="student", slots=(0,), policy=RecurrentPolicyConfig(network=network), learner=learner,
        learning_rate=3e-3, ent_coef=0.0, hparams={"distill_coef": 10.0},
    )  # fmt: skip
    settings = {
        "task": task, "team": (group,), "total_timesteps": 25 * 32 * 20, "num_envs": 32, "eval_episodes": 0,
        "checkpoint_interval": 25,
    }  # fmt: skip
    return RunConfig(**{**settings, **changes})


def test_a_student_learns_to_imitate_its_teacher(tmp_path):
    task = SingleGoal(height=5, width=6, num_obstacles=0, num_actions=3, max_steps=20, views=(VIEW,))
    train(team_of(task), tmp_path / "run", quiet=True)
    outputs = rows(tmp_path / "run")
    assert outputs[0]["main/student/teacher_agreement"][0] < 0.6
    assert outputs[-1]["main/student/teacher_agreement"][0] > 0.8
    assert outputs[-1]["main/student/return"][0] > 3 * max(outputs[0]["main/student/return"][0], 0.1)


def test_configurations():
    config = team_of(registry.get_task("matrix-stag-hunt-v0"))
    with pytest.raises(ConfigError, match="has no scripted expert; these have: goal-cycle"):
        build(config)
    with pytest.raises(ConfigError, match=r"hparams\.distill_coef"):
        GroupConfig(name="student", slots=(0,), learner=PPO(teacher="scripted"), hparams={"distill_coef": -1.0})
    with pytest.raises(
        ConfigError, match=r"student\.hparams\.teacher_action_prob: there is no teacher; set the learner"
    ):
        GroupConfig(name="student", slots=(0,), learner=PPO(), hparams={"teacher_action_prob": 0.5})
    with pytest.raises(ConfigError, match=r"hparams\.teacher_action_prob"):
        GroupConfig(name="student", slots=(0,), learner=PPO(teacher="scripted"), hparams={"teacher_action_prob": 1.5})
    untaught = GroupConfig(name="student", slots=(0,), learner=PPO())
    with pytest.raises(ConfigError, match=r"variant main\.hparams\.teacher_action_prob: there is no teacher"):
        RunConfig(team=(untaught,), variants=(Variant(hparams={"teacher_action_prob": 0.5}),))
    with pytest.raises(ConfigError, match=r"variant main\.hparams\.teacher_action_prob"):
        Variant(hparams={"teacher_action_prob": 1.5})
    learner = PPO(teacher="scripted-partial")
    assert from_dict(PPO, to_dict(learner)) == learner
    assert build(CONFIG).team.groups[0].teacher is None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pupil(PPO):
    """A learner of another package."""

    kind: Literal["pupil"] = "pupil"


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("supports_teacher", False, "learner kind 'pupil' does not learn from a teacher; use kind 'ppo'"),
        ("hparams", {"distill_coef": 1.0}, r"Pupil\.hparams has no 'teacher_action_prob', which a run with a teacher"),
        ("hparams", {"teacher_action_prob": 0.0}, r"Pupil\.hparams has no 'distill_coef', which a run with a teacher"),
    ],
)
def test_a_teacher_that_the_learner_would_not_follow_is_refused(attribute, value, message, monkeypatch):
    monkeypatch.setattr(Pupil, attribute, value)
    GroupConfig(name="student", slots=(0,), learner=Pupil())
    with pytest.raises(ConfigError, match=f"^group 'student': teacher='scripted': {message}"):
        GroupConfig(name="student", slots=(0,), learner=Pupil(teacher="scripted"))
