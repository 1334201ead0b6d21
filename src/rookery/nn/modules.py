"""Layers that networks are built from: convolutions on small pictures, dense encoders and decoders, heads.

The names of submodules and parameters are keys of weight files, and the order in which they are made decides the
initial weights: they must not change. Letters in shapes: N observations, P cells of a picture, F features, M outputs
of the recurrent cell, A actions.
"""

from __future__ import annotations

import math
from typing import Any, Literal, TypeAlias

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, UInt8

from rookery.nn.convolution import conv3x3, conv_transpose3x3
from rookery.types import PRNGKey, PyTree

DecoderActivation: TypeAlias = Literal["tanh", "relu"]
"""Of the dense hidden layer of a decoder. A unit of `relu` can die: it outputs 0 for every input and learns no more."""

DECODER_UNITS = "units"
"""Name under which a decoder sows, in "intermediates", the outputs of its dense hidden layer, f32[N, units]."""

NEGATIVE_SLOPE = 0.01
"""Slope of the leaky ReLU; Ndousse et al. 2021 name the function and not the slope."""


def init_module(module: nn.Module, key: PRNGKey, *inputs: Any) -> PyTree:
    """Initial parameters of a Flax module: {} for one that has none, of which Flax's own dictionary says nothing."""
    return module.init(key, *inputs).get("params", {})


def apply_module(module: nn.Module, params: PyTree, *inputs: Any) -> Any:
    """The output of a Flax module with these parameters."""
    return module.apply({"params": params}, *inputs)


def orthogonal_dense(features: int, name: str, scale: float = 2**0.5) -> nn.Dense:
    """A dense layer whose weights start orthogonal."""
    return nn.Dense(features, kernel_init=nn.initializers.orthogonal(scale), name=name)


class Conv3x3(nn.Module):
    """A 3×3 convolution at stride 1 without padding, with a bias. Pictures are [P, N, C], see `convolution`."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "P N C"]) -> Float[Array, "Q N F"]:
        kernel = self.param("kernel", nn.initializers.orthogonal(2**0.5), (9 * x.shape[-1], self.features))
        return conv3x3(x, kernel) + self.param("bias", nn.initializers.zeros_init(), (self.features,))


class ConvTranspose3x3(nn.Module):
    """A 3×3 transposed convolution with a bias: each cell becomes a 3×3 block.

    With `overlap` the stride is 1 and overlapping blocks are added up, [Q, N, C]; without it the stride is 3 and the
    blocks stay apart, [P, N, 9·C].
    """

    channels: int
    overlap: bool = True

    @nn.compact
    def __call__(self, x: Float[Array, "P N F"]) -> Float[Array, "Q N C"]:
        kernel = self.param("kernel", nn.initializers.orthogonal(2**0.5), (x.shape[-1], 9 * self.channels))
        bias = self.param("bias", nn.initializers.zeros_init(), (self.channels,))
        if self.overlap:
            return conv_transpose3x3(x, kernel) + bias
        return x @ kernel + jnp.tile(bias, 9)


class DenseEncoder(nn.Module):
    """Any observation, flattened, through two dense layers with ReLU."""

    encoder_size: int

    @nn.compact
    def __call__(self, observation: UInt8[Array, "N ..."]) -> Float[Array, "N F"]:
        x = observation.reshape(len(observation), -1).astype(jnp.float32) / 255
        x = nn.relu(orthogonal_dense(self.encoder_size, "dense1")(x))
        return nn.relu(orthogonal_dense(self.encoder_size, "dense2")(x))


class DenseDecoder(nn.Module):
    """Output of the recurrent cell and one-hot action to a predicted observation in [0, 1] (not clipped)."""

    observation_shape: tuple[int, ...]
    decoder_size: int
    activation: DecoderActivation = "tanh"

    @nn.compact
    def __call__(self, hidden: Float[Array, "N M"], action: Float[Array, "N A"]) -> Float[Array, "N ..."]:
        activation = jnp.tanh if self.activation == "tanh" else nn.relu
        x = activation(orthogonal_dense(self.decoder_size, "dense")(jnp.concatenate([hidden, action], -1)))
        self.sow("intermediates", DECODER_UNITS, x)
        size = math.prod(self.observation_shape)
        return orthogonal_dense(size, "output", 1.0)(x).reshape(-1, *self.observation_shape)


class MLPHeads(nn.Module):
    """Policy logits and value, each from two tanh layers of its own."""

    head_size: int
    num_actions: int

    @nn.compact
    def __call__(self, hidden: Float[Array, "... M"]) -> tuple[Float[Array, "... A"], Float[Array, "..."]]:
        def tower(name: str, outputs: int, scale: float):
            x = jnp.tanh(orthogonal_dense(self.head_size, f"{name}1")(hidden))
            x = jnp.tanh(orthogonal_dense(self.head_size, f"{name}2")(x))
            return orthogonal_dense(outputs, f"{name}3", scale)(x)

        return tower("policy", self.num_actions, 0.01), tower("value", 1, 1.0)[..., 0]


class LinearHeads(nn.Module):
    """Policy logits and value, each from one linear layer."""

    num_actions: int

    @nn.compact
    def __call__(self, hidden: Float[Array, "... M"]) -> tuple[Float[Array, "... A"], Float[Array, "..."]]:
        logits = orthogonal_dense(self.num_actions, "policy", 0.01)(hidden)
        return logits, orthogonal_dense(1, "value", 1.0)(hidden)[..., 0]
