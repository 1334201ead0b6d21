"""A residual network with a GRU. Nothing else is needed: it trains, is saved, loaded and played in numpy loops."""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax.numpy as jnp
from flax import linen as nn

from rookery.errors import ConfigError
from rookery.interfaces import Network
from rookery.nn.cells import GRU
from rookery.nn.modules import LinearHeads


class ResidualEncoder(nn.Module):
    """Any observation, flattened, through a dense layer and residual blocks."""

    size: int
    num_blocks: int

    @nn.compact
    def __call__(self, observation):
        x = observation.reshape(len(observation), -1).astype(jnp.float32) / 255
        x = nn.Dense(self.size, name="input")(x)
        for i in range(self.num_blocks):
            x = x + nn.Dense(self.size, name=f"block{i}")(nn.relu(x))
        return nn.relu(x)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResidualNetwork(Network):
    """Every field is saved with the agents it trains."""

    kind: Literal["residual"] = "residual"
    encoder_size: int = 64
    num_blocks: int = 2
    hidden_size: int = 64  # of the GRU

    def __post_init__(self):
        for field in ("encoder_size", "num_blocks", "hidden_size"):
            if getattr(self, field) < 1:
                raise ConfigError(f"{field}={getattr(self, field)} must be at least 1")

    def encoder(self):
        return ResidualEncoder(self.encoder_size, self.num_blocks)

    def recurrent_cell(self):
        return GRU(self.hidden_size)

    def heads(self, num_actions):
        return LinearHeads(num_actions)
