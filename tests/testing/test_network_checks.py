"""The conformance check of networks: it passes what is right, and names what is wrong."""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from rookery.agents.networks import JaquesNetwork, MLPNetwork, NdousseNetwork
from rookery.agents.numpy_actor import NumpyActor
from rookery.agents.weights import load_agent, save_agent
from rookery.interfaces import Network, NumpyForward
from rookery.nn.cells import GRU, LSTM, RecurrentCell, reset_state
from rookery.nn.modules import DenseDecoder, DenseEncoder, LinearHeads
from rookery.nn.numpy_modules import linear_heads
from rookery.plugins import NETWORKS
from rookery.testing import ConformanceError, check_network
from tests.agents.test_numpy_actor import random_agent_of

SMALL = MLPNetwork(encoder_size=6, hidden_size=5, head_size=4)
TESTED = {
    "ndousse2021": (NdousseNetwork(),),
    "mlp": (SMALL, dataclasses.replace(SMALL, cell="lstm-one-bias"), dataclasses.replace(SMALL, cell="gru")),
    "jaques2019": (JaquesNetwork(encoder_size=6, hidden_size=5),),
}
"""Every network that comes with the package, and every cell."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Minimal(Network):
    """What another package writes at least: the rest has defaults, and no numpy form."""

    kind: Literal["minimal"] = "minimal"
    hidden_size: int = 5

    def encoder(self):
        return DenseEncoder(encoder_size=4)

    def heads(self, num_actions):
        return LinearHeads(num_actions=num_actions)


@pytest.fixture
def registered(monkeypatch):
    """Classes registered in one test are forgotten after it."""
    monkeypatch.setattr(NETWORKS, "_entries", dict(NETWORKS._entries))
    return NETWORKS.register


def test_every_network_of_the_package_is_tested():
    assert [kind for kind in NETWORKS.names() if NETWORKS.get(kind).__module__.startswith("rookery.")] == list(TESTED)


@pytest.mark.parametrize("network", [n for networks in TESTED.values() for n in networks], ids=str)
def test_networks_of_the_package(network):
    check_network(network)


def test_a_network_of_another_package_is_saved_loaded_and_played(registered, tmp_path):
    registered(Minimal)
    check_network(Minimal(), (2, 3))
    agent = random_agent_of(Minimal(hidden_size=3), (2, 3))
    save_agent(tmp_path / "agent.safetensors", agent.policy, agent.params, agent.card)
    loaded = load_agent(tmp_path / "agent.safetensors")
    assert loaded.policy.network == Minimal(hidden_size=3)
    action, state = NumpyActor(loaded).act(np.zeros((2, 3), np.uint8))
    assert 0 <= action < 3
    assert type(state.memory.hidden) is np.ndarray


class Pixels(nn.Module):
    """The observations themselves: it has no parameters."""

    @nn.compact
    def __call__(self, observation):
        return observation.reshape(len(observation), -1) / 255.0


class ScaledHeads(nn.Module):
    """Heads with a scalar parameter."""

    num_actions: int

    @nn.compact
    def __call__(self, hidden):
        logits, value = LinearHeads(num_actions=self.num_actions, name="linear")(hidden)
        return self.param("scale", nn.initializers.ones, ()) * logits, value


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unusual(Network):
    """A part without parameters, and a parameter without axes."""

    kind: Literal["unusual"] = "unusual"
    hidden_size: int = 5

    def encoder(self):
        return Pixels()

    def heads(self, num_actions):
        return ScaledHeads(num_actions=num_actions)


def test_a_network_with_a_scalar_and_a_part_without_parameters_is_saved_and_loaded(registered, tmp_path):
    registered(Unusual)
    check_network(Unusual(), (2, 3))
    agent = random_agent_of(Unusual(), (2, 3))
    save_agent(tmp_path / "agent.safetensors", agent.policy, agent.params, agent.card)
    loaded = load_agent(tmp_path / "agent.safetensors")
    assert loaded.params["encoder"] == {}
    assert loaded.params["heads"]["scale"].shape == ()
    assert loaded.params["heads"]["scale"] == agent.params["heads"]["scale"]


def broken(**methods) -> Network:
    """A network with some fields or methods replaced."""
    fields = {name: value for name, value in methods.items() if name == "hidden_size"}
    return type("Broken", (Minimal,), {k: v for k, v in methods.items() if k not in fields})(**fields)


class WrongCell(RecurrentCell):
    """It returns the states after the steps, not those before them."""

    @nn.nowrap
    def initial_state(self, batch_size):
        return GRU(self.features).initial_state(batch_size)

    @nn.compact
    def __call__(self, state, inputs, is_first):
        last, outputs, _ = GRU(self.features, name="gru")(state, inputs, is_first)
        return last, outputs, type(last)(outputs)


class NoMemoryState(NamedTuple):
    hidden: jax.Array


class NoMemory(RecurrentCell):
    """As the guide says: the output ignores the state, which is returned all the same."""

    @nn.nowrap
    def initial_state(self, batch_size):
        return NoMemoryState(jnp.zeros((batch_size, self.features)))

    @nn.nowrap
    def finish(self, outputs):
        return outputs

    @nn.compact
    def __call__(self, state, inputs, is_first):
        outputs = self.finish(nn.tanh(nn.Dense(self.features)(inputs)))
        before = jnp.concatenate([state.hidden[None], outputs[:-1]]) * ~is_first[..., None]
        return NoMemoryState(outputs[-1]), outputs, NoMemoryState(before)


class CenteredCell(NoMemory):
    """It subtracts the mean over the agents of the batch."""

    @nn.nowrap
    def finish(self, outputs):
        return outputs - outputs.mean(1, keepdims=True)


class CenteredHeads(nn.Module):
    """They subtract the mean over the agents of the batch."""

    num_actions: int

    @nn.compact
    def __call__(self, hidden):
        return LinearHeads(num_actions=self.num_actions)(hidden - hidden.mean(-2, keepdims=True))


class CenteredDecoder(nn.Module):
    """It subtracts the mean over the agents of the batch."""

    observation_shape: tuple[int, ...]

    @nn.compact
    def __call__(self, hidden, action):
        decoder = DenseDecoder(observation_shape=self.observation_shape, decoder_size=4)
        return decoder(hidden - hidden.mean(0), action)


class NumpyInitialized(nn.Module):
    """Observations times a parameter that numpy samples."""

    @nn.compact
    def __call__(self, observation):
        scale = self.param("scale", lambda key: jnp.float32(np.random.random()))
        return scale * Pixels()(observation)


class TraceState(NamedTuple):
    hidden: jax.Array  # f32[N, M]
    traces: jax.Array  # f32[N, 2, M]
    count: jax.Array  # f32[N]


class TraceCell(RecurrentCell):
    """A state with one and three axes: the last two inputs, and how many there were."""

    @nn.nowrap
    def initial_state(self, batch_size):
        size = self.features
        return TraceState(jnp.zeros((batch_size, size)), jnp.zeros((batch_size, 2, size)), jnp.zeros(batch_size))

    @nn.compact
    def __call__(self, state, inputs, is_first):
        projected = nn.Dense(self.features)(inputs)

        def step(state, scanned):
            new, is_first = scanned
            before = reset_state(state, is_first)
            traces = jnp.stack([new, before.traces[:, 0]], 1)
            hidden = jnp.tanh(traces[:, 0] + 0.5 * traces[:, 1] + 0.1 * before.count[:, None])
            after = TraceState(hidden, traces, before.count + 1)
            return after, (hidden, before)

        last, (outputs, before) = jax.lax.scan(step, state, (projected, is_first))
        return last, outputs, before


def numpy_pixels(params, observation):
    return observation.reshape(len(observation), -1).astype(np.float32) / 255


def test_a_recurrent_state_of_any_axes_conforms_in_chunks_and_in_numpy(registered):
    cell = TraceCell(5)
    network = broken(
        cpu_chunk_size=4,
        encoder=lambda self: Pixels(),
        recurrent_cell=lambda self: cell,
        numpy_forward=lambda self: NumpyForward(numpy_pixels, cell.numpy_step, linear_heads),
    )
    NETWORKS._entries["minimal"] = type(network)
    check_network(network, (2, 3))


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"hidden_size": 0}, r"Broken\.hidden_size: is 0, must be a whole number above 0"),
        ({"cpu_chunk_size": 1.5}, r"Broken\.cpu_chunk_size: is 1\.5"),
        ({"recurrent_cell": lambda self: LSTM(4)}, r"Broken\.recurrent_cell: features=4 must be hidden_size=5"),
        (
            {"recurrent_cell": lambda self: WrongCell(5)},
            r"WrongCell\.__call__: must return the states before each step",
        ),
        ({"heads": lambda self, n: LinearHeads(num_actions=n + 1)}, r"Broken\.heads: logits have shape"),
        (
            {"features_from_shared": lambda self, params, shared: 2 * shared},
            r"Broken\.features_from_shared: must turn shared_features into the features",
        ),
        (
            {"shared_features": lambda self, params, obs: jnp.zeros(7)},
            r"Broken\.shared_features: .* is float32\[7\], must be float32\[3, 7\]",
        ),
        ({"recurrent_cell": lambda self: CenteredCell(5)}, r"CenteredCell\.__call__: the numbers of one agent"),
        (
            {"encoder": lambda self: NumpyInitialized()},
            r"Broken: two calls of init with one key must agree; take random numbers from the key, not from numpy",
        ),
        ({"heads": lambda self, n: CenteredHeads(n)}, r"Broken\.heads: the numbers of one agent"),
        ({"decoder": lambda self, shape, *_: CenteredDecoder(shape)}, r"Broken\.decoder: the numbers of one agent"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_named(registered, methods, message):
    network = broken(**methods)
    NETWORKS._entries["minimal"] = type(network)
    with pytest.raises(ConformanceError, match=message):
        check_network(network, (2, 3))


def test_a_field_without_a_hash_is_named(registered):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Mapping(Network):
        kind: Literal["mapping"] = "mapping"
        hidden_size: int = 5
        sizes: dict[str, int]

    registered(Mapping)
    with pytest.raises(ConformanceError, match=r"Mapping\.sizes: has no hash; use a tuple"):
        check_network(Mapping(sizes={}))


def test_an_unregistered_network_is_named():
    with pytest.raises(ConformanceError, match=r"Minimal\.kind: 'minimal' must be registered"):
        check_network(Minimal())


def test_a_class_and_a_network_without_its_methods_are_named(registered):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Bare(Network):
        kind: Literal["bare"] = "bare"
        hidden_size: int = 5

    registered(Bare)
    with pytest.raises(ConformanceError, match=r"Bare\.encoder: Bare needs a method encoder\(\)"):
        check_network(Bare())
    with pytest.raises(ConformanceError, match=r"Bare: is a class; pass an instance, Bare\(\)"):
        check_network(Bare)


def test_a_network_without_memory_conforms(registered):
    network = broken(recurrent_cell=lambda self: NoMemory(self.hidden_size))
    NETWORKS._entries["minimal"] = type(network)
    check_network(network, (2, 3))
