"""What a network returns wrongly is named when its policy is traced: class and method, and what is allowed."""

import dataclasses
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError
from rookery.interfaces import Network
from rookery.learning.auxiliary import Reconstruction
from rookery.nn.cells import LSTM, RecurrentCell
from rookery.nn.modules import DenseEncoder, LinearHeads

SHAPE, SIZE, AGENTS = (2, 3), 4, 5


class Function(nn.Module):
    """A module of any function."""

    function: Any

    @nn.compact
    def __call__(self, *inputs):
        return self.function(*inputs)


class IntegerScale(nn.Module):
    """An encoder with a parameter that no gradient can train."""

    @nn.compact
    def __call__(self, observation):
        scale = self.param("scale", lambda key: jnp.int32(1))
        return scale * observation.reshape(len(observation), -1).astype(jnp.float32)


class State(NamedTuple):
    hidden: jax.Array


class Cell(RecurrentCell):
    """A cell that remembers nothing, with whatever it returns changed."""

    start: Any = lambda state: state
    change: Any = lambda result: result

    @nn.nowrap
    def initial_state(self, batch_size):
        return self.start(State(jnp.zeros((batch_size, self.features))))

    def __call__(self, state, inputs, is_first):
        outputs = jnp.zeros((*is_first.shape, self.features))
        return self.change((State(outputs[-1]), outputs, State(outputs)))

    @nn.nowrap
    def counterfactual_outputs(self, params, pre_step_state, inputs, onehot_start, num_values, readout):
        return readout(pre_step_state.hidden)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mine(Network):
    """A network whose parts are given."""

    kind: Literal["mine"] = "mine"
    hidden_size: int = SIZE
    cpu_chunk_size: int | None = None
    parts: Any = dataclasses.field(default_factory=dict, hash=False)

    def encoder(self):
        return self.parts.get("encoder", DenseEncoder(encoder_size=3))

    def recurrent_cell(self):
        return self.parts.get("cell", Cell(SIZE))

    def heads(self, num_actions):
        return self.parts.get("heads", LinearHeads(num_actions=num_actions))

    def decoder(self, observation_shape, num_actions, activation="tanh"):
        return self.parts["decoder"]


def policy_with(chunk: int | None = None, **parts) -> RecurrentPolicy:
    return RecurrentPolicy(Mine(parts=parts, cpu_chunk_size=chunk), SHAPE, 3)


def trace(policy: RecurrentPolicy) -> None:
    """One step, and whole trajectories."""

    def run(key):
        params, carry = policy.init(key), policy.initial_carry(AGENTS)
        observation, is_first = jnp.zeros((2, AGENTS, *SHAPE), jnp.uint8), jnp.zeros((2, AGENTS), bool)
        return policy.forward(params, carry, observation[0], is_first[0]), policy.unroll(
            params, carry, observation, is_first
        )

    jax.eval_shape(run, jax.random.PRNGKey(0))


def in_bfloat16(result):
    last, outputs, before = result
    return State(last.hidden.astype(jnp.bfloat16)), outputs, before


def too_wide(result):
    last, outputs, before = result
    return last, jnp.concatenate([outputs, outputs], -1), before


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"encoder": lambda observation: observation},
            r"Mine\.encoder: returned an instance of function, must return an instance of flax\..*Module; mend",
        ),
        ({"encoder": DenseEncoder}, r"Mine\.encoder: returned the class DenseEncoder, must return an instance"),
        (
            {"encoder": Function(lambda x: x[:, None].astype(jnp.float32))},
            r"Mine\.encoder: the features, .*: the array is float32\[1, 1, 2, 3\], must be float32\[1, 3\]",
        ),
        ({"encoder": Function(lambda x: x[0].astype(jnp.float32))}, r"float32\[2, 3\], must be float32\[1, 3\]"),
        ({"encoder": Function(lambda x: x.reshape(len(x), -1))}, r"is uint8\[1, 6\], must be float32\[1, 6\]"),
        ({"encoder": Function(lambda x: None)}, r"Mine\.encoder: .* the array is missing"),
        (
            {"encoder": IntegerScale()},
            r"network 'mine': parameter \['encoder'\]\['scale'\] is int32\[\], must be float32",
        ),
        (
            {"cell": nn.GRUCell(SIZE)},
            r"Mine\.recurrent_cell: returned an instance of GRUCell, .* rookery\.nn\.cells\.RecurrentCell",
        ),
        ({"cell": LSTM(SIZE + 1)}, r"Mine\.recurrent_cell: features=5 must be hidden_size=4"),
        ({"cell": Cell(SIZE, start=tuple)}, r"Cell\.initial_state: must return a NamedTuple with a field `hidden`"),
        (
            {"cell": Cell(SIZE, start=lambda state: State(state.hidden[:, :3]))},
            r"Cell\.initial_state: \.hidden is float32\[1, 3\], must be float32\[1, 4\]",
        ),
        (
            {"cell": Cell(SIZE, start=lambda state: State(state.hidden.astype(jnp.int32)))},
            r"Cell\.initial_state: \.hidden is int32\[1, 4\], must be float32\[1, 4\]",
        ),
        (
            {"cell": Cell(SIZE, change=lambda result: result[:2])},
            r"Cell\.__call__: must return the last state, the",
        ),
        (
            {"cell": Cell(SIZE, change=in_bfloat16)},
            r"Cell\.__call__: the next state: \.hidden is bfloat16\[5, 4\], must be float32\[5, 4\]",
        ),
        (
            {"cell": Cell(SIZE, change=too_wide)},
            r"Cell\.__call__: the output: .*\[1, 5, 8\], must be .*\[1, 5, 4\]",
        ),
        (
            {"cell": Cell(SIZE, change=lambda result: (*result[:2], result[0]))},
            r"Cell\.__call__: the states before each step: \.hidden is float32\[5, 4\], must be float32\[1, 5, 4\]",
        ),
        (
            {"heads": Function(lambda hidden: (jnp.zeros((len(hidden), 3), jnp.bfloat16), jnp.zeros(len(hidden))))},
            r"the logits from the heads of network 'mine': the array is bfloat16\[5, 3\], must be float32\[5, 3\]",
        ),
        (
            {"heads": Function(lambda hidden: (jnp.zeros((len(hidden), 3)), jnp.zeros(len(hidden), jnp.int32)))},
            r"the values from the heads of network 'mine': the array is int32\[5\], must be float32\[5\]",
        ),
        ({"heads": LinearHeads}, r"Mine\.heads: returned the class LinearHeads, must return an instance of flax"),
    ],
)
def test_what_a_network_returns_wrongly_is_named(parts, message):
    with pytest.raises(ConfigError, match=message):
        trace(policy_with(**parts))


@pytest.mark.parametrize("chunk", [None, 2])
def test_a_network_as_its_base_class_says_passes(chunk):
    trace(policy_with(chunk))


def test_shared_features_that_are_no_rows_are_named():
    class Flat(Mine):
        def shared_features(self, encoder_params, observation):
            return jnp.zeros(7)

    message = r"^Flat\.shared_features: the features, .* is float32\[7\], must be float32\[2, 7\]"
    with pytest.raises(ConfigError, match=message):
        RecurrentPolicy(Flat(), SHAPE, 3).shared_features({}, jnp.zeros((2, *SHAPE), jnp.uint8))


def test_counterfactual_outputs_without_an_axis_of_the_values_are_named():
    policy = policy_with()

    def run(key):
        inputs = jnp.zeros((AGENTS, 3))
        return policy.counterfactual_logits(policy.init(key), policy.initial_carry(AGENTS), inputs, 0, 2)

    message = r"Cell\.counterfactual_outputs: the result, .* has shape \[5, 3\], must be \[2, 5, 3\]"
    with pytest.raises(ConfigError, match=message):
        jax.eval_shape(run, jax.random.PRNGKey(0))


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (lambda hidden, action: hidden, r"^Mine\.decoder: returned an instance of function, must"),
        (Function(lambda hidden, action: hidden), r"^Mine\.decoder: .* has shape \[5, 4\], must be \[5, 2, 3\]"),
        (
            Function(lambda hidden, action: jnp.zeros((len(hidden), *SHAPE), jnp.bfloat16)),
            r"^Mine\.decoder: .* is bfloat16\[5, 2, 3\], must be float32\[5, 2, 3\]",
        ),
    ],
)
def test_a_decoder_that_predicts_no_observations_is_named(decoder, message):
    loss, policy = Reconstruction(), policy_with(decoder=decoder)
    with pytest.raises(ConfigError, match=message):
        jax.eval_shape(lambda: loss.predict({}, policy, jnp.zeros((AGENTS, SIZE)), jnp.zeros(AGENTS, jnp.int32)))
