"""A task with a world of its own, small enough to follow by hand: it counts actions up to a limit."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from flax import struct

from rookery import keys
from rookery.interfaces import Task
from rookery.types import Env, TimeStep


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counting(Task):
    """Two agents, three actions; each action's number is paid and added up, and the episode ends at the limit.

    Agent 0 sees the sum, u8[1, 1]; agent 1 the number drawn for the episode and the step, u8[1, 2]. Agent 1 comes in
    after the first step.
    """

    kind: Literal["counting"] = "counting"
    metric_names = ("units", "half")
    limit: int = 6
    max_steps: int = 5

    def make_env(self):
        return CountingEnv(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FixedLength(Counting):
    """The length of an episode is not a setting."""

    kind: Literal["counting-fixed-length"] = "counting-fixed-length"
    max_steps: int = dataclasses.field(default=5, init=False)


class CountingState(struct.PyTreeNode):
    random_value: jax.Array
    total: jax.Array
    step: jax.Array
    agent_mask: jax.Array


@dataclasses.dataclass(frozen=True)
class CountingEnv(Env):
    task: Counting
    num_agents = 2
    num_actions = 3

    @property
    def max_steps(self):
        return self.task.max_steps

    def observation_shape(self, slot):
        return ((1, 1), (1, 2))[slot]

    def default_params(self):
        return jnp.float32(1)  # what a unit pays

    def reset(self, key, params, agent_mask=None):
        agent_mask = jnp.ones(2, bool) if agent_mask is None else agent_mask
        zero = jnp.int32(0)
        state = CountingState(
            random_value=jax.random.randint(key, (), 0, 256), total=zero, step=zero, agent_mask=agent_mask
        )
        return state, self._tell(state, jnp.zeros(2), jnp.bool_(True))

    def step(self, state, action, params):
        action = jnp.where(self._active(state), action, 0)
        state = state.replace(total=state.total + action.sum(), step=state.step + 1)
        return state, self._tell(state, params * action, jnp.bool_(False))

    def _active(self, state):
        return state.agent_mask & jnp.array([True, state.step > 0])

    def _tell(self, state, reward, is_first):
        return TimeStep(
            observation=(
                state.total.astype(jnp.uint8)[None, None],
                jnp.stack([state.random_value, state.step]).astype(jnp.uint8)[None],
            ),
            reward=reward,
            terminated=state.total >= self.task.limit,
            truncated=state.step >= self.max_steps,
            is_first=is_first,
            agent_mask=self._active(state),
            info={"units": reward, "half": reward / 2},
        )


def random_value(seed: int, episode: int = 0) -> int:
    """The number of an episode, found by hand."""
    key = jax.random.PRNGKey(seed)
    if episode:
        key = jax.random.fold_in(jax.random.fold_in(key, keys.LATER_EPISODES), episode)
    return int(jax.random.randint(key, (), 0, 256))
