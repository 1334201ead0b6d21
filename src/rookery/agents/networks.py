"""Networks of a recurrent agent: encoder, memory, heads and decoder.

All work on time-major batches, so that everything but the recurrence is one large matrix product.

Source of `PaperNetwork`: Ndousse et al. 2021, section 4.2 and figure 3; 668,555 parameters with its decoder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, UInt8

from rookery.agents.convolution import blocks, correlate, patches, spread, unblocks
from rookery.errors import ConfigError
from rookery.types import PyTree

LEAK = 0.01  # slope of the leaky ReLU; the paper names the function and not the slope


def run(module: nn.Module, params: PyTree, *inputs: Any) -> Any:
    """What a module makes of its inputs with these parameters."""
    return module.apply({"params": params}, *inputs)


class Memory(NamedTuple):
    """An LSTM's state, f32[N, M] each."""

    hidden: jax.Array
    cell: jax.Array


class LSTM(nn.Module):
    """Long short-term memory, with two bias vectors or one, as the parameter count of the paper needs."""

    features: int
    biases: int = 2

    @nn.compact
    def __call__(
        self, memory: Memory, inputs: Float[Array, "T N F"], is_first: Bool[Array, "T N"]
    ) -> tuple[Memory, Float[Array, "T N M"], Memory]:
        """Run T steps, forgetting where an episode opens. Returns the last memory, every output, and the
        memory *before* each step (after forgetting), f32[T, N, M]."""
        size = self.features
        orthogonal, zeros = nn.initializers.orthogonal(), nn.initializers.zeros_init()
        input_kernel = self.param("input_kernel", orthogonal, (inputs.shape[-1], 4 * size))
        hidden_kernel = self.param("hidden_kernel", orthogonal, (size, 4 * size))
        input_bias = self.param("input_bias", _remember, (4 * size,))
        bias = input_bias
        if self.biases == 2:
            bias = input_bias + self.param("hidden_bias", zeros, (4 * size,))
        projected = inputs @ input_kernel + bias

        def step(memory, now):
            gates, first = now
            keep = ~first[:, None]
            before = Memory(memory.hidden * keep, memory.cell * keep)
            after = _remembered(gates + before.hidden @ hidden_kernel, before.cell)
            return after, (after.hidden, before)

        last, (outputs, before) = jax.lax.scan(step, memory, (projected, is_first))
        return last, outputs, before


def _remembered(gates: Float[Array, "N G"], cell: Float[Array, "N M"]) -> Memory:
    """The memory after a step, G = 4M."""
    enter, forget, write, leave = jnp.split(gates, 4, -1)
    cell = nn.sigmoid(forget) * cell + nn.sigmoid(enter) * jnp.tanh(write)
    return Memory(nn.sigmoid(leave) * jnp.tanh(cell), cell)


def if_told(
    params: PyTree, before: Memory, inputs: Float[Array, "N F"], at: int, kinds: int, read: Callable
) -> Float[Array, "K N ..."]:
    """What `read` makes of the memory after one step of an LSTM, for each of K values of one one-hot input.

    Args:
      params: of the `LSTM`. before: the memory the step starts from; where an episode opens it is blank already.
      inputs: as they were. at: where the one-hot part begins. kinds: K, how long it is.
      read: from outputs f32[N, M] to anything of fixed shape.
    All that does not change is worked out once: a one-hot input only picks a row of the kernel.
    """
    kernel = params["input_kernel"]
    rest = inputs.at[:, at : at + kinds].set(0.0)
    gates = rest @ kernel + params["input_bias"] + params.get("hidden_bias", 0.0)
    gates = gates + before.hidden @ params["hidden_kernel"]
    # In turn: side by side they would hold K times the gates of every step at once.
    return jax.lax.map(lambda row: read(_remembered(gates + row, before.cell).hidden), kernel[at : at + kinds])


def _remember(key, shape, dtype=jnp.float32):
    """Zero biases but for the forget gate's, which starts open."""
    size = shape[0] // 4
    return jnp.zeros(shape, dtype).at[size : 2 * size].set(1.0)


def _dense(features: int, name: str, scale: float = 2**0.5) -> nn.Dense:
    return nn.Dense(features, kernel_init=nn.initializers.orthogonal(scale), name=name)


class Correlation(nn.Module):
    """A layer of `correlate` with its bias, f32[F]."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "P N C"]) -> Float[Array, "Q N F"]:
        kernel = self.param("kernel", nn.initializers.orthogonal(2**0.5), (9 * x.shape[-1], self.features))
        return correlate(x, kernel) + self.param("bias", nn.initializers.zeros_init(), (self.features,))


class PaperEncoder(nn.Module):
    """21×21×3 picture to 192 features: three convolutions and a dense layer."""

    @nn.compact
    def __call__(self, observation: UInt8[Array, "N 21 21 3"]) -> Float[Array, "N 192"]:
        x = blocks(observation, 3).astype(jnp.float32) / 255
        x = nn.leaky_relu(_dense(32, "conv1")(x), LEAK)
        x = nn.leaky_relu(Correlation(64, name="conv2")(x), LEAK)
        x = nn.leaky_relu(Correlation(64, name="conv3")(x), LEAK)
        x = x.transpose(1, 0, 2).reshape(len(observation), -1)
        return jnp.tanh(_dense(192, "dense")(x))


class PaperDecoder(nn.Module):
    """192 memory outputs and the action to a predicted 21×21×3 picture in [0, 1] (unclipped)."""

    actions: int

    @nn.compact
    def __call__(self, hidden: Float[Array, "N M"], action: Float[Array, "N A"]) -> Float[Array, "N 21 21 3"]:
        x = nn.leaky_relu(_dense(576, "dense")(jnp.concatenate([hidden, action], -1)), LEAK)
        x = x.reshape(-1, 9, 64).transpose(1, 0, 2)
        x = nn.leaky_relu(TransposedConv(64, name="deconv1")(x), LEAK)
        x = nn.leaky_relu(TransposedConv(32, name="deconv2")(x), LEAK)
        return unblocks(TransposedConv(3, overlap=False, name="deconv3")(x), 3)


class TransposedConv(nn.Module):
    """Each cell becomes a 3×3 block; blocks are laid out a cell apart and added up, or side by side and left so."""

    channels: int
    overlap: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "P N F"]) -> Float[Array, "Q N C"]:
        kernel = self.param("kernel", nn.initializers.orthogonal(2**0.5), (x.shape[-1], 9 * self.channels))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.channels,))
        if self.overlap:
            return spread(x, kernel) + bias
        return x @ kernel + jnp.tile(bias, 9)


class InfluenceEncoder(nn.Module):
    """A picture of any size to F features: one convolution (stride 1, no padding) and two dense layers."""

    filters: int
    width: int

    def setup(self):
        self.conv, self.dense1, self.dense2 = (
            nn.Dense(n, kernel_init=nn.initializers.orthogonal(2**0.5)) for n in (self.filters, self.width, self.width)
        )

    def trunk(self, observation: UInt8[Array, "N H W C"]) -> Float[Array, "N D"]:
        """What the convolution sees, flattened: the part that a model of others shares."""
        x = nn.relu(self.conv(patches(observation.astype(jnp.float32) / 255, 3)))
        return x.reshape(len(x), -1)

    def features(self, trunk: Float[Array, "N D"]) -> Float[Array, "N F"]:
        return nn.relu(self.dense2(nn.relu(self.dense1(trunk))))

    def __call__(self, observation: UInt8[Array, "N H W C"]) -> Float[Array, "N F"]:
        return self.features(self.trunk(observation))


class DenseEncoder(nn.Module):
    """Any observation, flattened, through two dense layers."""

    width: int

    @nn.compact
    def __call__(self, observation: UInt8[Array, "N ..."]) -> Float[Array, "N F"]:
        x = observation.reshape(len(observation), -1).astype(jnp.float32) / 255
        x = nn.relu(_dense(self.width, "dense1")(x))
        return nn.relu(_dense(self.width, "dense2")(x))


class DenseDecoder(nn.Module):
    """Memory output and action to a predicted observation in [0, 1] (unclipped)."""

    shape: tuple[int, ...]
    width: int

    @nn.compact
    def __call__(self, hidden: Float[Array, "N M"], action: Float[Array, "N A"]) -> Float[Array, "N ..."]:
        x = nn.relu(_dense(self.width, "dense")(jnp.concatenate([hidden, action], -1)))
        size = 1
        for side in self.shape:
            size *= side
        return _dense(size, "output", 1.0)(x).reshape(-1, *self.shape)


class Heads(nn.Module):
    """Policy logits and value, each from two tanh layers of its own."""

    width: int
    actions: int

    @nn.compact
    def __call__(self, hidden: Float[Array, "... M"]) -> tuple[Float[Array, "... A"], Float[Array, "..."]]:
        def tower(name: str, outputs: int, scale: float):
            x = jnp.tanh(_dense(self.width, f"{name}1")(hidden))
            x = jnp.tanh(_dense(self.width, f"{name}2")(x))
            return _dense(outputs, f"{name}3", scale)(x)

        return tower("policy", self.actions, 0.01), tower("value", 1, 1.0)[..., 0]


class LinearHeads(nn.Module):
    """Policy logits and value straight from the memory's output."""

    actions: int

    @nn.compact
    def __call__(self, hidden: Float[Array, "... M"]) -> tuple[Float[Array, "... A"], Float[Array, "..."]]:
        return _dense(self.actions, "policy", 0.01)(hidden), _dense(1, "value", 1.0)(hidden)[..., 0]


class _WholeTrunk:
    """Networks whose encoder has no part of its own to share: a model of others stands on all it sees."""

    lstm_biases = 2

    def trunk(self, encoder: PyTree, observation: UInt8[Array, "N ..."]) -> Float[Array, "N D"]:
        """What a model of others shares with the policy, given the encoder's parameters."""
        return run(self.encoder(), encoder, observation)  # type: ignore[attr-defined]

    def features(self, encoder: PyTree, trunk: Float[Array, "N D"]) -> Float[Array, "N F"]:
        """The encoder's output, of its trunk's."""
        return trunk


@dataclasses.dataclass(frozen=True, kw_only=True)
class PaperNetwork(_WholeTrunk):
    """The published network, for `pixels` of 7×7 cells: 497,096 parameters, 668,555 with its decoder."""

    kind: Literal["paper"] = "paper"

    memory_size = 192
    cache_batch = 128
    """Observations at once that keep a CPU's caches warm: convolutions of many more run at half the speed."""

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises ConfigError if this network cannot take observations of this shape."""
        if shape != (21, 21, 3):
            raise ConfigError(
                f"the paper network takes pictures of 21×21×3, not {'×'.join(map(str, shape))}: "
                "use view size=7, kind='pixels', tile_pixels=3, or the 'lite' network"
            )

    def encoder(self) -> nn.Module:
        return PaperEncoder()

    def heads(self, actions: int) -> nn.Module:
        return Heads(width=64, actions=actions)

    def decoder(self, shape: tuple[int, ...], actions: int) -> nn.Module:
        return PaperDecoder(actions=actions)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LiteNetwork(_WholeTrunk):
    """A small dense network for CPUs; takes any observation, best `symbolic`."""

    kind: Literal["lite"] = "lite"
    width: int = 128  # of both encoder layers and the decoder's
    memory_size: int = 128  # of the LSTM
    head: int = 64  # of both layers of each head

    cache_batch = 512

    def __post_init__(self):
        for field in ("width", "memory_size", "head"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field}={getattr(self, field)} must be at least 1")

    def check(self, shape: tuple[int, ...]) -> None:
        return None

    def encoder(self) -> nn.Module:
        return DenseEncoder(width=self.width)

    def heads(self, actions: int) -> nn.Module:
        return Heads(width=self.head, actions=actions)

    def decoder(self, shape: tuple[int, ...], actions: int) -> nn.Module:
        return DenseDecoder(shape=shape, width=self.width)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfluenceNetwork:
    """The network of Jaques et al. 2019, for pictures of any size; smaller numbers make a lite one.

    With 15×15 views 117,426 parameters for 9 actions and 117,297 for 8; a model of four others adds 143,652 and
    140,576. Its LSTM has a single bias.
    """

    kind: Literal["social-influence"] = "social-influence"
    filters: int = 6  # of the convolution, 3×3
    width: int = 32  # of both dense layers
    memory_size: int = 128  # of the LSTM

    cache_batch = 512
    lstm_biases = 1

    def __post_init__(self):
        for field in ("filters", "width", "memory_size"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field}={getattr(self, field)} must be at least 1")

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises ConfigError if this network cannot take observations of this shape."""
        if len(shape) != 3 or min(shape[:2]) < 3:
            raise ConfigError(
                f"the social-influence network takes pictures of at least 3×3 cells, not {'×'.join(map(str, shape))}; "
                "use a larger view, or the 'lite' network"
            )

    def encoder(self) -> InfluenceEncoder:
        return InfluenceEncoder(filters=self.filters, width=self.width)

    def trunk(self, encoder: PyTree, observation: UInt8[Array, "N H W C"]) -> Float[Array, "N D"]:
        """As `PaperNetwork.trunk`: what the convolution sees."""
        return self.encoder().apply({"params": encoder}, observation, method="trunk")  # type: ignore[return-value]

    def features(self, encoder: PyTree, trunk: Float[Array, "N D"]) -> Float[Array, "N F"]:
        """As `PaperNetwork.features`."""
        return self.encoder().apply({"params": encoder}, trunk, method="features")  # type: ignore[return-value]

    def heads(self, actions: int) -> nn.Module:
        return LinearHeads(actions=actions)

    def decoder(self, shape: tuple[int, ...], actions: int) -> nn.Module:
        return DenseDecoder(shape=shape, width=self.width)


Network = PaperNetwork | LiteNetwork | InfluenceNetwork
