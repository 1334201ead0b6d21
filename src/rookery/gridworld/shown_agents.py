"""What the channels of symbolic observations mean, and where an observation, or a prediction of one, shows agents."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rookery.gridworld.observation import APPEARANCES_PER_TILE, pixel_table
from rookery.gridworld.spec import CHANNELS, OBJECT_CHANNELS, ViewConfig
from rookery.gridworld.tiles import NUM_TILE_KINDS

_CHANNELS_BY_TYPE = {"symbolic": CHANNELS, "objects": OBJECT_CHANNELS}
_TILE_CHANNELS = ("unseen", "obstacle", "goal")
_TEMPLATE_BLUES = (0, 64, 128, 192, 255)
"""Colors of the agents that pixels are compared with: five of the 256, red to blue."""


class ChannelLayout(NamedTuple):
    """Numbers of the channels of a `symbolic` or `objects` observation, by what they show of a cell."""

    tiles: tuple[int, ...]  # at most one of them is set; none: floor
    agents: tuple[int, ...]  # at most one of them is set: an agent with this heading; none: no agent
    others: tuple[int, ...]  # each on its own


def channel_layout(observation_type: str | None) -> ChannelLayout | None:
    """The layout of observations of this type; None if it is neither `symbolic` nor `objects`.

    Their shape does not tell: observations of another environment may have as many channels.
    """
    if observation_type not in _CHANNELS_BY_TYPE:
        return None
    names = _CHANNELS_BY_TYPE[observation_type]
    tiles = tuple(names.index(name) for name in _TILE_CHANNELS)
    agents = tuple(n for n, name in enumerate(names) if name.startswith("agent"))
    return ChannelLayout(tiles, agents, tuple(n for n in range(len(names)) if n not in tiles + agents))


def agent_scores(observation: Float[Array, "N ..."], view: ViewConfig) -> Float[Array, "N V*V"]:
    """How much each cell looks like one that shows another agent: above 0 if it shows one.

    A symbolic cell has the sum of the channels of an agent's headings, minus 1/2. A cell of pixels has the squared
    distance to the nearest image of a cell without an agent, minus that to the nearest image of one with an agent. The
    viewer's own cell has minus infinity.

    Args:
      observation: scaled to [0, 1]; or a prediction of one.
    """
    count, size = len(observation), view.size
    layout = channel_layout(view.observation_type)
    if layout is not None:
        scores = observation[..., jnp.array(layout.agents)].sum(-1) - 0.5
    else:
        side = view.tile_size
        cells = observation.reshape(count, size, side, size, side, 3).transpose(0, 1, 3, 2, 4, 5)
        scores = _nearer_to_agents(cells.reshape(-1, side * side * 3), side)
    own = np.zeros((size, size), bool)
    own[view.agent_row, size // 2] = True
    return jnp.where(own.reshape(-1), -jnp.inf, scores.reshape(count, size * size))


def _nearer_to_agents(cells: Float[Array, "M P"], tile_size: int) -> Float[Array, "M"]:
    images, is_agent = _templates(tile_size)
    # The squared distance, without the term that is the same for all images.
    distance = (images**2).sum(-1) - 2 * cells @ images.T
    return distance[:, ~is_agent].min(-1) - distance[:, is_agent].min(-1)


@functools.cache
def _templates(tile_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of cells f32[K, P], in [0, 1], without and with agents, and whether each shows one, bool[K]."""
    bare = [1 + kind * APPEARANCES_PER_TILE for kind in range(NUM_TILE_KINDS)]
    agents = [code + 1 + heading * 256 + blue for code in bare for heading in range(4) for blue in _TEMPLATE_BLUES]
    codes = [0, *bare, *agents]
    images = pixel_table(tile_size)[codes].reshape(len(codes), -1).astype(np.float32) / 255
    return images, np.arange(len(codes)) > len(bare)
