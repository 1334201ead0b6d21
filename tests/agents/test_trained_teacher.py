"""A trained agent as a teacher sees by a view of its own what its pupil's view covers."""

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
SEES = dataclasses.replace(PIXELS, observation_type="symbolic")
SYMBOLIC = dataclasses.replace(TASK, views=(SEES,) * 3)
POLICY = RecurrentPolicy(NETWORK, SEES.shape, 3)
AGENT = Agent(POLICY, POLICY.init(jax.random.PRNGKey(3)), {})
WORLDS = 4


def played(task, steps=8):
    """States of several worlds after some random steps."""
    env = GridEnv(task)
    state, _ = jax.vmap(env.reset, (0, None))(jax.random.split(jax.random.PRNGKey(0), WORLDS), env.default_params())
    for step in range(steps):
        action = jax.random.randint(jax.random.PRNGKey(10 + step), (WORLDS, 3), 0, 3)
        state, _ = jax.vmap(env.step, (0, 0, None))(state, action, env.default_params())
    return state


@pytest.mark.parametrize("hides", [False, True])
def test_it_does_in_a_pupils_place_what_it_would_do_in_its_own(hides):
    """Its pupil sees pixels, and perhaps no goals; it sees the same cells as it was trained to, with all goals."""
    view = dataclasses.replace(PIXELS, can_hide_goals=hides)
    task = dataclasses.replace(TASK, views=(view,) * 3)
    slots = (2, 0)
    group = AgentGroup("pupil", slots, None, "recorded", make_trained_teacher(AGENT, task.grid_spec, 2, "it"))
    memory, is_first = initial_teacher_carry(group, WORLDS), jnp.ones(WORLDS, bool)
    alone = [POLICY.initial_carry(WORLDS) for _ in slots]
    for moment in range(3):
        state, key = played(task, 3 * moment), jax.random.PRNGKey(moment)
        advice, memory = sample_teacher_action(group, memory, state, is_first, key)
        seen = jax.vmap(GridEnv(SYMBOLIC).observe)(state)
        for number, (slot, own) in enumerate(zip(slots, jax.random.split(key, 2), strict=True)):
            action, alone[number], _ = POLICY.act(AGENT.params, alone[number], seen[:, slot], is_first, own)
            np.testing.assert_array_equal(advice[number], action)
        is_first = jnp.zeros(WORLDS, bool)
    jax.tree.map(np.testing.assert_array_equal, memory, jax.tree.map(lambda *x: jnp.stack(x), *alone))


def pupil(teacher, task=TASK, **changes) -> RunConfig:
    learner = PPO(
        sequence_length=6, num_minibatches=4, minibatch_size=32, recompute_every=2, target_kl=None, rollback_kl=None, teacher=teacher,
        adam_eps=1e-5, max_grad_norm=0.5,
    )  # fmt: skip
    network = dataclasses.replace(NETWORK, encoder_size=32, hidden_size=32, head_size=16)
    group = GroupConfig(
        name="pupil", slots=(0,), policy=RecurrentPolicyConfig(network=network), learner=learner, learning_rate=3e-3, ent_coef=0.0,
        hparams={"distill_coef": 10.0},
    )  # fmt: skip
    settings = {"task": task, "team": (group,), "num_envs": 32, "eval_episodes": 0, "checkpoint_interval": 20}
    return RunConfig(**{**settings, **changes})


def test_a_pupil_comes_to_do_as_a_trained_agent(tmp_path):
    """Another network that sees pixels learns the policy of one that sees symbols: cross-entropy falls."""
    # By its fresh head all actions are about as likely: a larger one makes a policy that has something to teach.
    sharp = jax.tree.map(np.asarray, AGENT.params)
    sharp["heads"]["policy3"]["kernel"] = 1000 * sharp["heads"]["policy3"]["kernel"]
    save_agent(tmp_path / "teacher.safetensors", POLICY, sharp, {})
    task = dataclasses.replace(TASK, views=(PIXELS,))
    train(pupil(str(tmp_path / "teacher.safetensors"), task, total_timesteps=20 * 32 * 12), tmp_path / "run", quiet=True)
    told = rows(tmp_path / "run")
    first, last = (told[n]["main/pupil/distill_loss"][0] for n in (0, -1))
    assert first > 1.0
    assert last < first - 0.3


def test_who_cannot_teach():
    one = dataclasses.replace(TASK, views=(PIXELS,))
    with pytest.raises(NotFoundError, match=r"teacher='all' is neither 'scripted' nor 'scripted-partial'.*the zoo has no 'all'"):
        build(pupil("all", one))
    with pytest.raises(
        IncompatibleError, match=r"trained on observations of 7×7×8; from slot 0 it can be given 10×10×3, 5×5×16"
    ):
        build(pupil("goal-cycle-lite-expert", one))
    with pytest.raises(ConfigError, match="only tasks of the grid"):
        build(pupil("goal-cycle-lite-expert", registry.get_task("matrix-stag-hunt-v0")))
    many = dataclasses.replace(POLICY, num_actions=7)
    with pytest.raises(IncompatibleError, match="7 actions, this environment only 3"):
        make_trained_teacher(Agent(many, {}, {}), TASK.grid_spec, 0, "it")
    teacher = (
        build(
            pupil(
                "goal-cycle-lite-expert", dataclasses.replace(registry.get_task("goal-cycle-v0"), views=(ViewConfig(),))
            )
        )
        .team.groups[0]
        .teacher
    )
    assert teacher.view == ViewConfig(observation_type="symbolic")
    assert teacher.policy == zoo.load_trained_agent("goal-cycle-lite-expert").policy
