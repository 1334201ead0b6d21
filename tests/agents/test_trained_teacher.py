"""A trained agent as a teacher has a view of its own, of the cells that its student's view covers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents import zoo
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.team import AgentGroup, initial_teacher_carry, sample_teacher_action
from rookery.agents.trained_teacher import make_trained_teacher
from rookery.agents.weights import Agent, save_agent
from rookery.errors import ConfigError, IncompatibleError, NotFoundError
from rookery.gridworld.spec import ViewConfig
from rookery.learning.ppo import PPO
from rookery.tasks import registry
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.grid_env import GridEnv
from rookery.training.build import build
from rookery.training.config import GroupConfig, RecurrentPolicyConfig, RunConfig
from rookery.training.trainer import train
from tests.tiny import NETWORK, rows

PIXELS = ViewConfig(size=5, rows_behind=2, observation_type="pixels", tile_size=2)
TASK = GoalCycle(height=6, width=7, num_goals=3, num_obstacles=2, num_actions=3, max_steps=12, views=(PIXELS,) * 3)
TEACHER_VIEW = dataclasses.replace(PIXELS, observation_type="symbolic")
SYMBOLIC = dataclasses.replace(TASK, views=(TEACHER_VIEW,) * 3)
POLICY = RecurrentPolicy(NETWORK, TEACHER_VIEW.shape, 3)
AGENT = Agent(POLICY, POLICY.init(jax.random.PRNGKey(3)), {})
NUM_ENVS = 4


def played(task, steps=8):
    """States of several environments after some random steps."""
    env = GridEnv(task)
    state, _ = jax.vmap(env.reset, (0, None))(jax.random.split(jax.random.PRNGKey(0), NUM_ENVS), env.default_params())
    for step in range(steps):
        action = jax.random.randint(jax.random.PRNGKey(10 + step), (NUM_ENVS, 3), 0, 3)
        state, _ = jax.vmap(env.step, (0, 0, None))(state, action, env.default_params())
    return state


@pytest.mark.parametrize("can_hide_goals", [False, True])
def test_it_acts_in_the_place_of_a_student_as_in_its_own(can_hide_goals):
    """The student observes pixels, perhaps without goals; the teacher symbols of the same cells, with all goals."""
    view = dataclasses.replace(PIXELS, can_hide_goals=can_hide_goals)
    task = dataclasses.replace(TASK, views=(view,) * 3)
    slots = (2, 0)
    group = AgentGroup("student", slots, None, "recorded", make_trained_teacher(AGENT, task.grid_spec, 2, "it"))
    carry, is_first = initial_teacher_carry(group, NUM_ENVS), jnp.ones(NUM_ENVS, bool)
    carries = [POLICY.initial_carry(NUM_ENVS) for _ in slots]
    for step in range(3):
        state, key = played(task, 3 * step), jax.random.PRNGKey(step)
        teacher_action, carry = sample_teacher_action(group, carry, state, is_first, key)
        obs = jax.vmap(GridEnv(SYMBOLIC).observe)(state)
        for number, (slot, slot_key) in enumerate(zip(slots, jax.random.split(key, 2), strict=True)):
            action, carries[number], _ = POLICY.act(AGENT.params, carries[number], obs[:, slot], is_first, slot_key)
            np.testing.assert_array_equal(teacher_action[number], action)
        is_first = jnp.zeros(NUM_ENVS, bool)
    jax.tree.map(np.testing.assert_array_equal, carry, jax.tree.map(lambda *x: jnp.stack(x), *carries))


def student(teacher, task=TASK, **changes) -> RunConfig:
    learner = PPO(
        sequence_length=6,
        num_minibatches=4,
        minibatch_size=32,
        recompute_every=2,
        target_kl=None,
        rollback_kl=None,
        teacher=teacher,
        adam_eps=1e-5,
        max_grad_norm=0.5,
    )
    network = dataclasses.replace(NETWORK, encoder_size=32, hidden_size=32, head_size=16)
    group = GroupConfig(
        name="student",
        slots=(0,),
        policy=RecurrentPolicyConfig(network=network),
        learner=learner,
        learning_rate=3e-3,
        ent_coef=0.0,
        hparams={"distill_coef": 10.0},
    )
    settings = {"task": task, "team": (group,), "num_envs": 32, "eval_episodes": 0, "checkpoint_interval": 20}
    return RunConfig(**{**settings, **changes})


def test_a_student_learns_to_act_as_a_trained_agent(tmp_path):
    """A network that observes pixels learns the policy of one that observes symbols: the cross-entropy falls."""
    # With a fresh head all actions are about as likely; larger weights make a policy that is worth learning.
    sharp = jax.tree.map(np.asarray, AGENT.params)
    sharp["heads"]["policy3"]["kernel"] = 1000 * sharp["heads"]["policy3"]["kernel"]
    save_agent(tmp_path / "teacher.safetensors", POLICY, sharp, {})
    task = dataclasses.replace(TASK, views=(PIXELS,))
    train(
        student(str(tmp_path / "teacher.safetensors"), task, total_timesteps=20 * 32 * 12), tmp_path / "run", quiet=True
    )
    metrics = rows(tmp_path / "run")
    first, last = (metrics[n]["main/student/distill_loss"][0] for n in (0, -1))
    assert first > 1.0
    assert last < first - 0.3


def test_agents_that_cannot_teach():
    one = dataclasses.replace(TASK, views=(PIXELS,))
    with pytest.raises(
        NotFoundError, match=r"teacher='all' is neither 'scripted' nor 'scripted-partial'.*the zoo has no 'all'"
    ):
        build(student("all", one))
    with pytest.raises(
        IncompatibleError, match=r"trained on observations of 7×7×8; in slot 0 it can be given 10×10×3, 5×5×16"
    ):
        build(student("goal-cycle-lite-expert", one))
    with pytest.raises(ConfigError, match="only gridworld tasks support a trained teacher"):
        build(student("goal-cycle-lite-expert", registry.get_task("matrix-stag-hunt-v0")))
    symbolic = ViewConfig(observation_type="symbolic")
    differing = dataclasses.replace(TASK, views=(symbolic, dataclasses.replace(symbolic, rows_behind=3)))
    config = student("goal-cycle-lite-expert", differing)
    config = dataclasses.replace(config, team=(dataclasses.replace(config.team[0], slots=(0, 1)),))
    with pytest.raises(ConfigError, match=r"by its student's view, and slots \[0, 1\] have different ones; make one"):
        build(config)
    many = dataclasses.replace(POLICY, num_actions=7)
    with pytest.raises(IncompatibleError, match="7 actions, this environment only 3"):
        make_trained_teacher(Agent(many, {}, {}), TASK.grid_spec, 0, "it")
    teacher = (
        build(
            student(
                "goal-cycle-lite-expert", dataclasses.replace(registry.get_task("goal-cycle-v0"), views=(ViewConfig(),))
            )
        )
        .team.groups[0]
        .teacher
    )
    assert teacher.view == ViewConfig(observation_type="symbolic")
    assert teacher.policy == zoo.load_trained_agent("goal-cycle-lite-expert").policy
