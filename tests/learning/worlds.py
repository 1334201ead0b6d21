"""Tiny environments with known answers, and a policy that is a table, for testing learners."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct

from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.interfaces import Policy
from rookery.nn.cells import LSTMState
from rookery.types import Env, TimeStep


@struct.dataclass
class RoomsParams:
    pay: jax.Array  # f32[A, actions], paid to each agent for each action
    tint: jax.Array  # u8[A], added to what each agent sees
    length: jax.Array  # i32[], the world terminates after this many steps


@struct.dataclass
class RoomsState:
    step: jax.Array
    last: jax.Array  # i32[A], last actions
    agent_mask: jax.Array


@dataclasses.dataclass(frozen=True)
class Rooms(Env):
    """Every agent alone in a room of its own: nothing one does, sees or is paid reaches another."""

    num_agents: int = 3
    num_actions: int = 3
    max_steps: int = 10
    dropout_slots: tuple[int, ...] = ()  # these are away at steps 4 to 6, and at the end

    def observation_shape(self, slot):
        return (3,)

    def default_params(self):
        pay = 10.0 ** jnp.arange(self.num_agents)[:, None] * jnp.array([1.0, -1.0, 0.0])
        return RoomsParams(pay, jnp.zeros(self.num_agents, jnp.uint8), jnp.int32(1000))

    def reset(self, key, params, agent_mask=None):
        agent_mask = jnp.ones(self.num_agents, bool) if agent_mask is None else agent_mask
        state = RoomsState(jnp.int32(0), jax.random.randint(key, (self.num_agents,), 0, self.num_actions), agent_mask)
        return state, self._tell(state, jnp.zeros(self.num_agents), True, params)

    def step(self, state, action, params):
        reward = params.pay[jnp.arange(self.num_agents), action] * state.agent_mask
        state = state.replace(step=state.step + 1, last=action)
        return state, self._tell(state, reward, False, params)

    def _is_away(self, step):
        in_time = (step >= 4) & (step <= 6) | (step == self.max_steps)
        return in_time & jnp.array([slot in self.dropout_slots for slot in range(self.num_agents)])

    def _tell(self, state, reward, is_first, params):
        number = jnp.arange(self.num_agents)
        pixels = jnp.stack([jnp.full(self.num_agents, state.step * 20), state.last * 50, number * 10], -1)
        return TimeStep(
            observation=pixels.astype(jnp.uint8) + params.tint[:, None],
            reward=reward,
            terminated=state.step >= params.length,
            truncated=state.step >= self.max_steps,
            is_first=jnp.bool_(is_first),
            agent_mask=state.agent_mask & ~self._is_away(state.step),
            info={"paid": (reward > 0).astype(jnp.float32), "punished": (reward < 0).astype(jnp.float32)},
        )


SMALL = RecurrentPolicy(MLPNetwork(encoder_size=8, hidden_size=8, head_size=8), (3,), 3)


@dataclasses.dataclass(frozen=True)
class Script(Policy):
    """Plays a list of actions from the opening on; a world each row."""

    actions: tuple[tuple[int, ...], ...]

    def init(self, key):
        return ()

    def initial_carry(self, batch):
        return jnp.zeros(batch, jnp.int32)

    def act(self, params, carry, obs, is_first, key):
        time = jnp.where(is_first, 0, carry)
        action = jnp.array(self.actions)[jnp.arange(len(time)) % len(self.actions), time]
        return action, time + 1, {}


class Table(RecurrentPolicy):
    """No network: an observation is a number n, and row n of two tables is its logits and value.

    Its 'memory before n' is n, so that a test sees where a memory was taken.
    """

    def unroll(self, params, carry, observation, is_first):
        number = observation[..., 0]
        hidden = jnp.broadcast_to(number[..., None], (*number.shape, self.network.hidden_size)) * 1.0
        return params["logits"][number], params["value"][number], hidden, LSTMState(hidden, -hidden)


TABLE = Table(MLPNetwork(encoder_size=2, hidden_size=2, head_size=2), (1,), 3)
