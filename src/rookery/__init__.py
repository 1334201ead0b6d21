"""Social learning in multi-agent reinforcement learning."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rookery.agents.numpy_actor import NumpyActor

__version__ = "0.1.0"


def load(checkpoint: str) -> NumpyActor:
    """A trained agent that acts in numpy, in anybody's loop: a zoo entry's name, or the path of a .safetensors file.

    `action, state = agent.act(observation, state)`; see `rookery.agents.numpy_actor`.

    Raises: MissingError, CorruptError or MisfitError.
    """
    from rookery.agents.numpy_actor import load_actor  # only now: importing the package stays quick

    return load_actor(checkpoint)
