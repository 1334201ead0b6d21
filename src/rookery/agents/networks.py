"""The networks that come with the package: encoder, recurrent cell, heads and decoder of a policy.

All work on many steps at once, time first, so that everything except the recurrence is one large matrix product.
Another package adds its own with `rookery.interfaces.Network` and `rookery.plugins.NETWORKS`.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, UInt8

from rookery.errors import ConfigError
from rookery.interfaces import Network, NumpyForward
from rookery.limits import MAX_LAYER_SIZE, check_sizes
from rookery.nn import numpy_modules
from rookery.nn.cells import CellName, RecurrentCell, make_cell
from rookery.nn.convolution import im2col, patchify, unpatchify
from rookery.nn.modules import (
    DECODER_UNITS,
    NEGATIVE_SLOPE,
    Conv3x3,
    ConvTranspose3x3,
    DecoderActivation,
    DenseDecoder,
    DenseEncoder,
    LinearHeads,
    MLPHeads,
    orthogonal_dense,
)
from rookery.plugins import NETWORKS
from rookery.storage.serialization import OneOf
from rookery.types import PyTree

NetworkConfig: TypeAlias = Annotated[Any, OneOf(NETWORKS.classes)]
"""Any registered network, as a field of a configuration."""


class NdousseEncoder(nn.Module):
    """21×21×3 picture to 192 features: three convolutions and a dense layer."""

    @nn.compact
    def __call__(self, observation: UInt8[Array, "N 21 21 3"]) -> Float[Array, "N 192"]:
        x = patchify(observation, 3).astype(jnp.float32) / 255
        x = nn.leaky_relu(orthogonal_dense(32, "conv1")(x), NEGATIVE_SLOPE)
        x = nn.leaky_relu(Conv3x3(64, name="conv2")(x), NEGATIVE_SLOPE)
        x = nn.leaky_relu(Conv3x3(64, name="conv3")(x), NEGATIVE_SLOPE)
        x = x.transpose(1, 0, 2).reshape(len(observation), -1)
        return jnp.tanh(orthogonal_dense(192, "dense")(x))


class NdousseDecoder(nn.Module):
    """192 outputs of the LSTM and a one-hot action to a predicted 21×21×3 picture in [0, 1] (not clipped).

    The dense layer has tanh, or, with `relu`, the leaky ReLU of the convolutions. Source: Ndousse et al. 2021, appendix
    7.7: leaky ReLU in convolutional layers, tanh in dense ones.
    """

    num_actions: int
    activation: DecoderActivation = "tanh"

    @nn.compact
    def __call__(self, hidden: Float[Array, "N M"], action: Float[Array, "N A"]) -> Float[Array, "N 21 21 3"]:
        x = orthogonal_dense(576, "dense")(jnp.concatenate([hidden, action], -1))
        x = jnp.tanh(x) if self.activation == "tanh" else nn.leaky_relu(x, NEGATIVE_SLOPE)
        self.sow("intermediates", DECODER_UNITS, x)
        x = x.reshape(-1, 9, 64).transpose(1, 0, 2)
        x = nn.leaky_relu(ConvTranspose3x3(64, name="deconv1")(x), NEGATIVE_SLOPE)
        x = nn.leaky_relu(ConvTranspose3x3(32, name="deconv2")(x), NEGATIVE_SLOPE)
        return unpatchify(ConvTranspose3x3(3, overlap=False, name="deconv3")(x), 3)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NdousseNetwork(Network):
    """The published network, for `pixels` of 7×7 cells: 497,096 parameters, 668,555 with its decoder.

    Source: Ndousse et al. 2021, figure 1 and appendix 7.7.
    """

    kind: Literal["ndousse2021"] = "ndousse2021"
    cell: CellName = "lstm"

    hidden_size = 192
    cpu_chunk_size: ClassVar[int | None] = 128  # convolutions of many more observations at once run at half the speed

    def __post_init__(self) -> None:
        make_cell(self.cell, self.hidden_size)

    def validate(self, observation_shape: tuple[int, ...]) -> None:
        if observation_shape != (21, 21, 3):
            raise ConfigError(
                f"the ndousse2021 network takes pictures of 21×21×3, not {'×'.join(map(str, observation_shape))}: "
                "use a view with size=7, observation_type='pixels' and tile_size=3, or the 'mlp' network"
            )

    def encoder(self) -> nn.Module:
        return NdousseEncoder()

    def recurrent_cell(self) -> RecurrentCell:
        return make_cell(self.cell, self.hidden_size)

    def heads(self, num_actions: int) -> nn.Module:
        return MLPHeads(head_size=64, num_actions=num_actions)

    def decoder(
        self, observation_shape: tuple[int, ...], num_actions: int, activation: DecoderActivation = "tanh"
    ) -> nn.Module:
        return NdousseDecoder(num_actions=num_actions, activation=activation)

    def numpy_forward(self) -> NumpyForward:
        return NumpyForward(numpy_modules.encode_ndousse, self.recurrent_cell().numpy_step, numpy_modules.mlp_heads)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MLPNetwork(Network):
    """A small dense network for CPUs; takes any observation, best `symbolic`."""

    kind: Literal["mlp"] = "mlp"
    encoder_size: int = 128  # of both layers of the encoder, and of the decoder's
    hidden_size: int = 128  # of the recurrent cell
    head_size: int = 64  # of both layers of each head
    cell: CellName = "lstm"

    cpu_chunk_size: ClassVar[int | None] = 512

    def __post_init__(self) -> None:
        _check_sizes(self, "encoder_size", "hidden_size", "head_size")
        make_cell(self.cell, self.hidden_size)

    def encoder(self) -> nn.Module:
        return DenseEncoder(encoder_size=self.encoder_size)

    def recurrent_cell(self) -> RecurrentCell:
        return make_cell(self.cell, self.hidden_size)

    def heads(self, num_actions: int) -> nn.Module:
        return MLPHeads(head_size=self.head_size, num_actions=num_actions)

    def decoder(
        self, observation_shape: tuple[int, ...], num_actions: int, activation: DecoderActivation = "tanh"
    ) -> nn.Module:
        return DenseDecoder(observation_shape=observation_shape, decoder_size=self.encoder_size, activation=activation)

    def numpy_forward(self) -> NumpyForward:
        return NumpyForward(numpy_modules.encode_dense, self.recurrent_cell().numpy_step, numpy_modules.mlp_heads)


class JaquesEncoder(nn.Module):
    """A picture of any size to F features: one convolution (3×3, stride 1, no padding) and two dense layers."""

    filters: int
    encoder_size: int

    def setup(self) -> None:
        self.conv: nn.Dense
        self.dense1: nn.Dense
        self.dense2: nn.Dense
        self.conv, self.dense1, self.dense2 = (
            nn.Dense(n, kernel_init=nn.initializers.orthogonal(2**0.5))
            for n in (self.filters, self.encoder_size, self.encoder_size)
        )

    def shared_features(self, observation: UInt8[Array, "N H W C"]) -> Float[Array, "N D"]:
        """The output of the convolution, flattened: the part that a model of other agents shares."""
        x = nn.relu(self.conv(im2col(observation.astype(jnp.float32) / 255, 3)))
        return x.reshape(len(x), -1)

    def features_from_shared(self, shared_features: Float[Array, "N D"]) -> Float[Array, "N F"]:
        """The rest of the encoder."""
        return nn.relu(self.dense2(nn.relu(self.dense1(shared_features))))

    def __call__(self, observation: UInt8[Array, "N H W C"]) -> Float[Array, "N F"]:
        return self.features_from_shared(self.shared_features(observation))


@dataclasses.dataclass(frozen=True, kw_only=True)
class JaquesNetwork(Network):
    """The network of Jaques et al. 2019, for pictures of any size; smaller numbers give a smaller network.

    With 15×15 views it has 117,426 parameters for 9 actions and 117,297 for 8; a model of four other agents adds
    143,652 and 140,576. Its LSTM has one bias vector.
    """

    kind: Literal["jaques2019"] = "jaques2019"
    filters: int = 6  # of the convolution
    encoder_size: int = 32  # of both dense layers
    hidden_size: int = 128  # of the recurrent cell
    cell: CellName = "lstm-one-bias"

    cpu_chunk_size: ClassVar[int | None] = 512

    def __post_init__(self) -> None:
        _check_sizes(self, "filters", "encoder_size", "hidden_size")
        make_cell(self.cell, self.hidden_size)

    def validate(self, observation_shape: tuple[int, ...]) -> None:
        if len(observation_shape) != 3 or min(observation_shape[:2]) < 3:
            raise ConfigError(
                "the jaques2019 network takes pictures of at least 3×3 cells, not "
                f"{'×'.join(map(str, observation_shape))}; use a larger view, or the 'mlp' network"
            )

    def encoder(self) -> JaquesEncoder:
        return JaquesEncoder(filters=self.filters, encoder_size=self.encoder_size)

    def recurrent_cell(self) -> RecurrentCell:
        return make_cell(self.cell, self.hidden_size)

    def shared_features(self, encoder_params: PyTree, observation: UInt8[Array, "N H W C"]) -> Float[Array, "N D"]:
        return self.encoder().apply({"params": encoder_params}, observation, method="shared_features")  # type: ignore[return-value]

    def features_from_shared(self, encoder_params: PyTree, shared_features: Float[Array, "N D"]) -> Float[Array, "N F"]:
        return self.encoder().apply({"params": encoder_params}, shared_features, method="features_from_shared")  # type: ignore[return-value]

    def heads(self, num_actions: int) -> nn.Module:
        return LinearHeads(num_actions=num_actions)

    def decoder(
        self, observation_shape: tuple[int, ...], num_actions: int, activation: DecoderActivation = "tanh"
    ) -> nn.Module:
        return DenseDecoder(observation_shape=observation_shape, decoder_size=self.encoder_size, activation=activation)

    def numpy_forward(self) -> NumpyForward:
        return NumpyForward(numpy_modules.encode_jaques, self.recurrent_cell().numpy_step, numpy_modules.linear_heads)


def _check_sizes(network: Network, *fields: str) -> None:
    """Raises ConfigError for a size below 1 or above any use."""
    for field in fields:
        if getattr(network, field) < 1:
            raise ConfigError(f"{field}={getattr(network, field)} must be at least 1")
    check_sizes(network, fields, MAX_LAYER_SIZE)
