"""A trained agent as a teacher sees by a view of its own what its pupil's view covers."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents import zoo
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.seeing import seeing
from rookery.agents.team import Group, lesson, teacher_memory
from rookery.agents.weights import Agent, save_agent
from rookery.errors import ConfigError, MisfitError, MissingError
from rookery.learning.ppo import PPO
from rookery.runs.build import build
from rookery.runs.config import GroupConfig, Recurrent, RunConfig
from rookery.runs.trainer import train
from rookery.tasks import registry
from rookery.tasks.env import Env
from rookery.tasks.goal_cycle import GoalCycle
from rookery.world.spec import View
from tests.tiny import NETWORK, rows

PIXELS = View(size=5, offset=2, kind="pixels", tile_pixels=2)
TASK = GoalCycle(height=6, width=7, goals=3, obstacles=2, actions=3, max_steps=12, views=(PIXELS,) * 3)
SEES = dataclasses.replace(PIXELS, kind="symbolic")
SYMBOLIC = dataclasses.replace(TASK, views=(SEES,) * 3)
POLICY = RecurrentPolicy(NETWORK, SEES.shape, 3)
AGENT = Agent(POLICY, POLICY.init(jax.random.PRNGKey(3)), {})
WORLDS = 4


def played(task, steps=8):
    """States of several worlds after some random steps."""
    env = Env(task)
    state, _ = jax.vmap(env.reset, (0, None))(jax.random.split(jax.random.PRNGKey(0), WORLDS), env.default_params())
    for step in range(steps):
        action = jax.random.randint(jax.random.PRNGKey(10 + step), (WORLDS, 3), 0, 3)
        state, _ = jax.vmap(env.step, (0, 0, None))(state, action, env.default_params())
    return state


@pytest.mark.parametrize("hides", [False, True])
def test_it_does_in_a_pupils_place_what_it_would_do_in_its_own(hides):
    """Its pupil sees pixels, and perhaps no goals; it sees the same cells as it was trained to, with all goals."""
    view = dataclasses.replace(PIXELS, hide_goals=hides)
    task = dataclasses.replace(TASK, views=(view,) * 3)
    slots = (2, 0)
    group = Group("pupil", slots, None, "recorded", seeing(AGENT, task.world, 2, "it"))
    memory, is_first = teacher_memory(group, WORLDS), jnp.ones(WORLDS, bool)
    alone = [POLICY.initial_carry(WORLDS) for _ in slots]
    for moment in range(3):
        state, key = played(task, 3 * moment), jax.random.PRNGKey(moment)
        advice, memory = lesson(group, memory, state, is_first, key)
        seen = jax.vmap(Env(SYMBOLIC).observe)(state)
        for number, (slot, own) in enumerate(zip(slots, jax.random.split(key, 2), strict=True)):
            action, alone[number], _ = POLICY.act(AGENT.params, alone[number], seen[:, slot], is_first, own)
            np.testing.assert_array_equal(advice[number], action)
        is_first = jnp.zeros(WORLDS, bool)
    jax.tree.map(np.testing.assert_array_equal, memory, jax.tree.map(lambda *x: jnp.stack(x), *alone))


def pupil(teacher, task=TASK, **changes) -> RunConfig:
    learner = PPO(
        sequence_length=6, minibatches=4, sequences=32, refresh_every=2, kl_stop=None, kl_limit=None, teacher=teacher,
        adam_epsilon=1e-5, max_gradient_norm=0.5,
    )  # fmt: skip
    network = dataclasses.replace(NETWORK, width=32, memory_size=32, head=16)
    group = GroupConfig(
        name="pupil", slots=(0,), policy=Recurrent(network=network), learner=learner, learning_rate=3e-3, entropy=0.0,
        rates={"teaching": 10.0},
    )  # fmt: skip
    settings = {"task": task, "team": (group,), "episodes": 32, "evaluation_episodes": 0, "checkpoint_every": 20}
    return RunConfig(**{**settings, **changes})


def test_a_pupil_comes_to_do_as_a_trained_agent(tmp_path):
    """Another network that sees pixels learns the policy of one that sees symbols: cross-entropy falls."""
    # By its fresh head all actions are about as likely: a larger one makes a policy that has something to teach.
    sharp = jax.tree.map(np.asarray, AGENT.params)
    sharp["heads"]["policy3"]["kernel"] = 1000 * sharp["heads"]["policy3"]["kernel"]
    save_agent(tmp_path / "teacher.safetensors", POLICY, sharp, {})
    task = dataclasses.replace(TASK, views=(PIXELS,))
    train(pupil(str(tmp_path / "teacher.safetensors"), task, steps=20 * 32 * 12), tmp_path / "run", quiet=True)
    told = rows(tmp_path / "run")
    first, last = (told[n]["main/pupil/teacher_loss"][0] for n in (0, -1))
    assert first > 1.0
    assert last < first - 0.3


def test_who_cannot_teach():
    one = dataclasses.replace(TASK, views=(PIXELS,))
    with pytest.raises(MissingError, match=r"teacher='all' is neither 'map' nor 'own'.*the zoo has no 'all'"):
        build(pupil("all", one))
    with pytest.raises(
        MisfitError, match=r"trained on observations of 7×7×8; from slot 0 it can be shown 10×10×3, 5×5×16"
    ):
        build(pupil("goal-cycle-lite-expert", one))
    with pytest.raises(ConfigError, match="only tasks of the grid"):
        build(pupil("goal-cycle-lite-expert", registry.make("matrix-stag-hunt-v0")))
    many = dataclasses.replace(POLICY, actions=7)
    with pytest.raises(MisfitError, match="7 actions, this world only 3"):
        seeing(Agent(many, {}, {}), TASK.world, 0, "it")
    teacher = (
        build(pupil("goal-cycle-lite-expert", dataclasses.replace(registry.make("goal-cycle-v0"), views=(View(),))))
        .team.groups[0]
        .teacher
    )
    assert teacher.view == View(kind="symbolic")
    assert teacher.policy == zoo.load("goal-cycle-lite-expert").policy
