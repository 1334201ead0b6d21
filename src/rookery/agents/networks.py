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

from rookery.agents.convolution import conv3x3, conv_transpose3x3, im2col, patchify, unpatchify
from rookery.errors import ConfigError
from rookery.types import PyTree

NEGATIVE_SLOPE = 0.01  # slope of the leaky ReLU; the paper names the function and not the slope


def apply_module(module: nn.Module, params: PyTree, *inputs: Any) -> Any:
    """What a module makes of its inputs with these parameters."""
    return module.apply({"params": params}, *inputs)


class LSTMState(NamedTuple):
    """An LSTM's state, f32[N, M] each."""

    hidden: jax.Array
    cell: jax.Array


class LSTM(nn.Module):
    """Long short-term memory, with two bias vectors or one, as the parameter count of the paper needs."""

    features: int
    num_biases: int = 2

    @nn.compact
    def __call__(
        self, state: LSTMState, inputs: Float[Array, "T N F"], is_first: Bool[Array, "T N"]
    ) -> tuple[LSTMState, Float[Array, "T N M"], LSTMState]:
        """Run T steps, forgetting where an episode opens. Returns the last memory, every output, and the
        memory *before* each step (after forgetting), f32[T, N, M]."""
        size = self.features
        orthogonal, zeros = nn.initializers.orthogonal(), nn.initializers.zeros_init()
        input_kernel = self.param("input_kernel", orthogonal, (inputs.shape[-1], 4 * size))
        hidden_kernel = self.param("hidden_kernel", orthogonal, (size, 4 * size))
        input_bias = self.param("input_bias", _init_forget_gate_open, (4 * size,))
        bias = input_bias
        if self.num_biases == 2:
            bias = input_bias + self.param("hidden_bias", zeros, (4 * size,))
        projected = inputs @ input_kernel + bias

        def step(memory, now):
            gates, first = now
            keep = ~first[:, None]
            before = LSTMState(memory.hidden * keep, memory.cell * keep)
            after = _lstm_step(gates + before.hidden @ hidden_kernel, before.cell)
            return after, (after.hidden, before)

        last, (outputs, before) = jax.lax.scan(step, state, (projected, is_first))
        return last, outputs, before


def _lstm_step(gates: Float[Array, "N G"], prev_cell: Float[Array, "N M"]) -> LSTMState:
    """The memory after a step, G = 4M."""
    enter, forget, write, leave = jnp.split(gates, 4, -1)
    prev_cell = nn.sigmoid(forget) * prev_cell + nn.sigmoid(enter) * jnp.tanh(write)
    return LSTMState(nn.sigmoid(leave) * jnp.tanh(prev_cell), prev_cell)


def counterfactual_outputs(
    params: PyTree,
    pre_step_state: LSTMState,
    inputs: Float[Array, "N F"],
    onehot_start: int,
    num_values: int,
    readout: Callable,
) -> Float[Array, "K N ..."]:
    """What `read` makes of the memory after one step of an LSTM, for each of K values of one one-hot input.

    Args:
      params: of the `LSTM`. before: the memory the step starts from; where an episode opens it is blank already.
      inputs: as they were. at: where the one-hot part begins. kinds: K, how long it is.
      read: from outputs f32[N, M] to anything of fixed shape.
    All that does not change is worked out once: a one-hot input only picks a row of the kernel.
    """
    kernel = params["input_kernel"]
    rest = inputs.at[:, onehot_start : onehot_start + num_values].set(0.0)
    gates = rest @ kernel + params["input_bias"] + params.get("hidden_bias", 0.0)
    gates = gates + pre_step_state.hidden @ params["hidden_kernel"]
    # In turn: side by side they would hold K times the gates of every step at once.
    return jax.lax.map(
        lambda row: readout(_lstm_step(gates + row, pre_step_state.cell).hidden),
        kernel[onehot_start : onehot_start + num_values],
    )


def _init_forget_gate_open(key, shape, dtype=jnp.float32):
    """Zero biases but for the forget gate's, which starts open."""
    size = shape[0] // 4
    return jnp.zeros(shape, dtype).at[size : 2 * size].set(1.0)


def _dense(features: int, name: str, scale: float = 2**0.5) -> nn.Dense:
    return nn.Dense(features, kernel_init=nn.initializers.orthogonal(scale), name=name)


class Conv3x3(nn.Module):
    """A layer of `correlate` with its bias, f32[F]."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "P N C"]) -> Float[Array, "Q N F"]:
        kernel = self.param("kernel", nn.initializers.orthogonal(2**0.5), (9 * x.shape[-1], self.features))
        return conv3x3(x, kernel) + self.param("bias", nn.initializers.zeros_init(), (self.features,))


class NdousseEncoder(nn.Module):
    """21×21×3 picture to 192 features: three convolutions and a dense layer."""

    @nn.compact
    def __call__(self, observation: UInt8[Array, "N 21 21 3"]) -> Float[Array, "N 192"]:
        x = patchify(observation, 3).astype(jnp.float32) / 255
        x = nn.leaky_relu(_dense(32, "conv1")(x), NEGATIVE_SLOPE)
        x = nn.leaky_relu(Conv3x3(64, name="conv2")(x), NEGATIVE_SLOPE)
        x = nn.leaky_relu(Conv3x3(64, name="conv3")(x), NEGATIVE_SLOPE)
        x = x.transpose(1, 0, 2).reshape(len(observation), -1)
        return jnp.tanh(_dense(192, "dense")(x))


class NdousseDecoder(nn.Module):
    """192 memory outputs and the action to a predicted 21×21×3 picture in [0, 1] (unclipped)."""

    num_actions: int

    @nn.compact
    def __call__(self, hidden: Float[Array, "N M"], action: Float[Array, "N A"]) -> Float[Array, "N 21 21 3"]:
        x = nn.leaky_relu(_dense(576, "dense")(jnp.concatenate([hidden, action], -1)), NEGATIVE_SLOPE)
        x = x.reshape(-1, 9, 64).transpose(1, 0, 2)
        x = nn.leaky_relu(ConvTranspose3x3(64, name="deconv1")(x), NEGATIVE_SLOPE)
        x = nn.leaky_relu(ConvTranspose3x3(32, name="deconv2")(x), NEGATIVE_SLOPE)
        return unpatchify(ConvTranspose3x3(3, overlap=False, name="deconv3")(x), 3)


class ConvTranspose3x3(nn.Module):
    """Each cell becomes a 3×3 block; blocks are laid out a cell apart and added up, or side by side and left so."""

    channels: int
    overlap: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "P N F"]) -> Float[Array, "Q N C"]:
        kernel = self.param("kernel", nn.initializers.orthogonal(2**0.5), (x.shape[-1], 9 * self.channels))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.channels,))
        if self.overlap:
            return conv_transpose3x3(x, kernel) + bias
        return x @ kernel + jnp.tile(bias, 9)


class JaquesEncoder(nn.Module):
    """A picture of any size to F features: one convolution (stride 1, no padding) and two dense layers."""

    filters: int
    encoder_size: int

    def setup(self):
        self.conv, self.dense1, self.dense2 = (
            nn.Dense(n, kernel_init=nn.initializers.orthogonal(2**0.5))
            for n in (self.filters, self.encoder_size, self.encoder_size)
        )

    def shared_features(self, observation: UInt8[Array, "N H W C"]) -> Float[Array, "N D"]:
        """What the convolution sees, flattened: the part that a model of others shares."""
        x = nn.relu(self.conv(im2col(observation.astype(jnp.float32) / 255, 3)))
        return x.reshape(len(x), -1)

    def features_from_shared(self, shared_features: Float[Array, "N D"]) -> Float[Array, "N F"]:
        return nn.relu(self.dense2(nn.relu(self.dense1(shared_features))))

    def __call__(self, observation: UInt8[Array, "N H W C"]) -> Float[Array, "N F"]:
        return self.features_from_shared(self.shared_features(observation))


class DenseEncoder(nn.Module):
    """Any observation, flattened, through two dense layers."""

    encoder_size: int

    @nn.compact
    def __call__(self, observation: UInt8[Array, "N ..."]) -> Float[Array, "N F"]:
        x = observation.reshape(len(observation), -1).astype(jnp.float32) / 255
        x = nn.relu(_dense(self.encoder_size, "dense1")(x))
        return nn.relu(_dense(self.encoder_size, "dense2")(x))


class DenseDecoder(nn.Module):
    """Memory output and action to a predicted observation in [0, 1] (unclipped)."""

    observation_shape: tuple[int, ...]
    decoder_size: int

    @nn.compact
    def __call__(self, hidden: Float[Array, "N M"], action: Float[Array, "N A"]) -> Float[Array, "N ..."]:
        x = nn.relu(_dense(self.decoder_size, "dense")(jnp.concatenate([hidden, action], -1)))
        size = 1
        for side in self.observation_shape:
            size *= side
        return _dense(size, "output", 1.0)(x).reshape(-1, *self.observation_shape)


class Heads(nn.Module):
    """Policy logits and value, each from two tanh layers of its own."""

    head_size: int
    num_actions: int

    @nn.compact
    def __call__(self, hidden: Float[Array, "... M"]) -> tuple[Float[Array, "... A"], Float[Array, "..."]]:
        def tower(name: str, outputs: int, scale: float):
            x = jnp.tanh(_dense(self.head_size, f"{name}1")(hidden))
            x = jnp.tanh(_dense(self.head_size, f"{name}2")(x))
            return _dense(outputs, f"{name}3", scale)(x)

        return tower("policy", self.num_actions, 0.01), tower("value", 1, 1.0)[..., 0]


class LinearHeads(nn.Module):
    """Policy logits and value straight from the memory's output."""

    num_actions: int

    @nn.compact
    def __call__(self, hidden: Float[Array, "... M"]) -> tuple[Float[Array, "... A"], Float[Array, "..."]]:
        return _dense(self.num_actions, "policy", 0.01)(hidden), _dense(1, "value", 1.0)(hidden)[..., 0]


class _SharesWholeEncoder:
    """Networks whose encoder has no part of its own to share: a model of others stands on all it sees."""

    num_lstm_biases = 2

    def shared_features(self, encoder_params: PyTree, observation: UInt8[Array, "N ..."]) -> Float[Array, "N D"]:
        """What a model of others shares with the policy, given the encoder's parameters."""
        return apply_module(self.encoder(), encoder_params, observation)  # type: ignore[attr-defined]

    def features_from_shared(self, encoder_params: PyTree, shared_features: Float[Array, "N D"]) -> Float[Array, "N F"]:
        """The encoder's output, of its trunk's."""
        return shared_features


@dataclasses.dataclass(frozen=True, kw_only=True)
class NdousseNetwork(_SharesWholeEncoder):
    """The published network, for `pixels` of 7×7 cells: 497,096 parameters, 668,555 with its decoder."""

    kind: Literal["ndousse2021"] = "ndousse2021"

    hidden_size = 192
    cpu_chunk_size = 128
    """Observations at once that keep a CPU's caches warm: convolutions of many more run at half the speed."""

    def validate(self, observation_shape: tuple[int, ...]) -> None:
        """Raises ConfigError if this network cannot take observations of this shape."""
        if observation_shape != (21, 21, 3):
            raise ConfigError(
                f"the ndousse2021 network takes pictures of 21×21×3, not {'×'.join(map(str, observation_shape))}: "
                "use a view with size=7, observation_type='pixels' and tile_size=3, or the 'mlp' network"
            )

    def encoder(self) -> nn.Module:
        return NdousseEncoder()

    def heads(self, num_actions: int) -> nn.Module:
        return Heads(head_size=64, num_actions=num_actions)

    def decoder(self, observation_shape: tuple[int, ...], num_actions: int) -> nn.Module:
        return NdousseDecoder(num_actions=num_actions)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MLPNetwork(_SharesWholeEncoder):
    """A small dense network for CPUs; takes any observation, best `symbolic`."""

    kind: Literal["mlp"] = "mlp"
    encoder_size: int = 128  # of both encoder layers and the decoder's
    hidden_size: int = 128  # of the LSTM
    head_size: int = 64  # of both layers of each head

    cpu_chunk_size = 512

    def __post_init__(self):
        for field in ("encoder_size", "hidden_size", "head_size"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field}={getattr(self, field)} must be at least 1")

    def validate(self, observation_shape: tuple[int, ...]) -> None:
        return None

    def encoder(self) -> nn.Module:
        return DenseEncoder(encoder_size=self.encoder_size)

    def heads(self, num_actions: int) -> nn.Module:
        return Heads(head_size=self.head_size, num_actions=num_actions)

    def decoder(self, observation_shape: tuple[int, ...], num_actions: int) -> nn.Module:
        return DenseDecoder(observation_shape=observation_shape, decoder_size=self.encoder_size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class JaquesNetwork:
    """The network of Jaques et al. 2019, for pictures of any size; smaller numbers make a lite one.

    With 15×15 views 117,426 parameters for 9 actions and 117,297 for 8; a model of four others adds 143,652 and
    140,576. Its LSTM has a single bias.
    """

    kind: Literal["jaques2019"] = "jaques2019"
    filters: int = 6  # of the convolution, 3×3
    encoder_size: int = 32  # of both dense layers
    hidden_size: int = 128  # of the LSTM

    cpu_chunk_size = 512
    num_lstm_biases = 1

    def __post_init__(self):
        for field in ("filters", "encoder_size", "hidden_size"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field}={getattr(self, field)} must be at least 1")

    def validate(self, observation_shape: tuple[int, ...]) -> None:
        """Raises ConfigError if this network cannot take observations of this shape."""
        if len(observation_shape) != 3 or min(observation_shape[:2]) < 3:
            raise ConfigError(
                f"the jaques2019 network takes pictures of at least 3×3 cells, not {'×'.join(map(str, observation_shape))}; "
                "use a larger view, or the 'mlp' network"
            )

    def encoder(self) -> JaquesEncoder:
        return JaquesEncoder(filters=self.filters, encoder_size=self.encoder_size)

    def shared_features(self, encoder_params: PyTree, observation: UInt8[Array, "N H W C"]) -> Float[Array, "N D"]:
        """As `PaperNetwork.trunk`: what the convolution sees."""
        return self.encoder().apply({"params": encoder_params}, observation, method="shared_features")  # type: ignore[return-value]

    def features_from_shared(self, encoder_params: PyTree, shared_features: Float[Array, "N D"]) -> Float[Array, "N F"]:
        """As `PaperNetwork.features`."""
        return self.encoder().apply({"params": encoder_params}, shared_features, method="features_from_shared")  # type: ignore[return-value]

    def heads(self, num_actions: int) -> nn.Module:
        return LinearHeads(num_actions=num_actions)

    def decoder(self, observation_shape: tuple[int, ...], num_actions: int) -> nn.Module:
        return DenseDecoder(observation_shape=observation_shape, decoder_size=self.encoder_size)


NetworkConfig = NdousseNetwork | MLPNetwork | JaquesNetwork
