"""How a predicted observation is compared with the actual one: the errors that frame losses can minimize.

The mean absolute error is that of the paper, whose observations are pixels. For the sparse channels of symbolic
observations its best constant is the median, nearly all zeros, and a decoder stays at that constant. Squared errors ask
for the mean, the cross-entropy for probabilities. docs/auxiliary-losses.md compares them.

Letters in shapes: N observations, H×W cells, C channels, K elements of an error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError, suggest
from rookery.nn.modules import DecoderActivation
from rookery.types import PyTree

if TYPE_CHECKING:
    from rookery.gridworld.shown_agents import ChannelLayout

FrameErrorName = Literal["auto", "absolute", "squared", "balanced", "cross-entropy"]


class FrameError:
    """Base class: an error per element of an observation, and the trivial predictions that it is compared with.

    Methods take and return arrays with N observations first; observations are scaled to [0, 1].
    """

    activation: ClassVar[DecoderActivation] = "tanh"
    """Of the decoder's dense hidden layer."""
    copy_fractions: ClassVar[tuple[float, ...]] = (1.0,)
    """Weights of the current observation in predictions that mix it with the best constant."""

    def initialize(self, params: PyTree) -> PyTree:
        """The decoder's initial parameters. Default: unchanged."""
        return params

    def prediction(self, output: Float[Array, "N ..."]) -> Float[Array, "N ..."]:
        """The predicted observation. Default: the decoder's output."""
        return output

    def errors(self, output: Float[Array, "N ..."], target: Float[Array, "N ..."]) -> Float[Array, "N K"]:
        """The error of each element, from the decoder's output. Default: that of the output as a prediction."""
        return self.prediction_errors(output, target)

    def prediction_errors(self, predicted: Float[Array, "N ..."], target: Float[Array, "N ..."]) -> Float[Array, "N K"]:
        """Required. The error of each element of a predicted observation."""
        raise NotImplementedError(f"{type(self).__name__} needs a method prediction_errors(predicted, target)")

    def best_constant(self, target: Float[Array, "N ..."], mask: Bool[Array, "N"]) -> Float[Array, "..."]:
        """The one prediction with the smallest error over the observations that count. Default: their mean."""
        weight = mask / jnp.maximum(mask.sum(), 1)
        return jnp.tensordot(weight, target, 1)

    def changed(self, before: Float[Array, "N ..."], after: Float[Array, "N ..."]) -> Bool[Array, "N K"]:
        """The elements of the error whose observation differs before and after a step."""
        return (before != after).reshape(len(before), -1)


class AbsoluteError(FrameError):
    """The absolute error of every number of an observation. Source: Ndousse et al. 2021, equation 3."""

    def prediction_errors(self, predicted: Float[Array, "N ..."], target: Float[Array, "N ..."]) -> Float[Array, "N K"]:
        return jnp.abs(predicted - target).reshape(len(target), -1)

    def best_constant(self, target: Float[Array, "N ..."], mask: Bool[Array, "N"]) -> Float[Array, "..."]:
        loss_mask = mask.reshape(-1, *[1] * (target.ndim - 1))
        return jnp.nanmedian(jnp.where(loss_mask, target, jnp.nan), axis=0)


class ReLUAbsoluteError(AbsoluteError):
    """The same with a decoder of ReLU units: what `absolute` always was."""

    activation: ClassVar[DecoderActivation] = "relu"


class SquaredError(FrameError):
    """The squared error of every number of an observation."""

    def prediction_errors(self, predicted: Float[Array, "N ..."], target: Float[Array, "N ..."]) -> Float[Array, "N K"]:
        return ((predicted - target) ** 2).reshape(len(target), -1)


class BalancedError(FrameError):
    """The squared error with weights by channel, so that a constant errs alike in tiles, in agents and in the rest.

    Without weights, tiles are 93 % of a constant's squared error and other agents 4 %: agents are rarely in view.
    """

    CONSTANT_ERRORS: ClassVar[tuple[float, float, float]] = (0.34, 0.013, 0.011)
    """Squared error per cell of the best constant, summed over the channels of tiles, of agents, and all others: in
    Goal Cycle of 13×13 cells with two experts (benchmarks/prediction.py prints them)."""

    def __init__(self, layout: ChannelLayout) -> None:
        weights = np.zeros(sum(map(len, layout)), np.float32)
        for channels, error in zip(layout, self.CONSTANT_ERRORS, strict=True):
            weights[list(channels)] = sum(self.CONSTANT_ERRORS) / len(self.CONSTANT_ERRORS) / error
        self._weights = weights

    def prediction_errors(self, predicted: Float[Array, "N ..."], target: Float[Array, "N ..."]) -> Float[Array, "N K"]:
        return (jnp.asarray(self._weights) * (predicted - target) ** 2).reshape(len(target), -1)


class CrossEntropy(FrameError):
    """The cross-entropy of what each cell shows: its tile, who is there, and every other channel; in nats per channel.

    Tile and agent are categorical; floor and "no agent", which have no channel, have logit 0. Other channels are
    binary. Who is there counts AGENT_WEIGHT times.
    """

    AGENT_WEIGHT: ClassVar[float] = 10.0
    """With it a constant errs about alike in tiles and in agents, which are rarely in view."""

    INITIAL_LOGIT: ClassVar[float] = -3.0
    """Of every channel, because nearly all are rare. From even odds the prediction stays constant for hundreds of
    gradient steps, in which the decoder learns only what never changes."""
    SMALLEST_PROBABILITY: ClassVar[float] = 1e-6
    copy_fractions: ClassVar[tuple[float, ...]] = (0.95, 0.9, 0.8, 0.7)

    def __init__(self, layout: ChannelLayout) -> None:
        self._layout = layout

    def initialize(self, params: PyTree) -> PyTree:
        output = params["output"]
        return {**params, "output": {**output, "bias": output["bias"] + self.INITIAL_LOGIT}}

    def prediction(self, output: Float[Array, "N ..."]) -> Float[Array, "N ..."]:
        """The probability of each channel."""
        tiles, agents, others = self._split(output)
        probabilities = [jnp.exp(_log_probs(x))[..., 1:] for x in (tiles, agents)]
        return self._join(*probabilities, jax.nn.sigmoid(others))

    def errors(self, output: Float[Array, "N ..."], target: Float[Array, "N ..."]) -> Float[Array, "N K"]:
        tiles, agents, others = self._split(output)
        both = -jax.nn.softplus(-others), -jax.nn.softplus(others)
        return self._sum(_log_probs(tiles), _log_probs(agents), *both, target)

    def prediction_errors(self, predicted: Float[Array, "N ..."], target: Float[Array, "N ..."]) -> Float[Array, "N K"]:
        def log(p):
            return jnp.log(jnp.maximum(p, self.SMALLEST_PROBABILITY))

        tiles, agents, others = self._split(predicted)
        return self._sum(log(_with_none(tiles)), log(_with_none(agents)), log(others), log(1 - others), target)

    def _sum(
        self,
        tiles: Float[Array, "N H W t"],
        agents: Float[Array, "N H W a"],
        others: Float[Array, "N H W o"],
        not_others: Float[Array, "N H W o"],
        target: Float[Array, "N H W C"],
    ) -> Float[Array, "N K"]:
        """The error per cell from log-probabilities: of tiles and of agents with none first, of other channels both."""
        wanted_tiles, wanted_agents, wanted_others = self._split(target)
        total = -jnp.sum(_with_none(wanted_tiles) * tiles, -1)
        total -= self.AGENT_WEIGHT * jnp.sum(_with_none(wanted_agents) * agents, -1)
        total -= jnp.sum(wanted_others * others + (1 - wanted_others) * not_others, -1)
        return total.reshape(len(target), -1) / target.shape[-1]

    def changed(self, before: Float[Array, "N ..."], after: Float[Array, "N ..."]) -> Bool[Array, "N K"]:
        """The cells that show something else."""
        return (before != after).any(-1).reshape(len(before), -1)

    def _split(self, x: Float[Array, "N H W C"]) -> tuple[Float[Array, "N H W c"], ...]:
        return tuple(x[..., jnp.array(channels)] for channels in self._layout)

    def _join(self, *parts: Float[Array, "N H W c"]) -> Float[Array, "N H W C"]:
        order = np.argsort([channel for channels in self._layout for channel in channels])
        return jnp.concatenate(parts, -1)[..., order]


def _log_probs(logits: Float[Array, "... c"]) -> Float[Array, "... c+1"]:
    """Log-probabilities of none of the channels, with logit 0, and of each."""
    return jax.nn.log_softmax(jnp.concatenate([jnp.zeros_like(logits[..., :1]), logits], -1))


def _with_none(probabilities: Float[Array, "... c"]) -> Float[Array, "... c+1"]:
    """The probabilities of none of the channels and of each."""
    return jnp.concatenate([1 - probabilities.sum(-1, keepdims=True), probabilities], -1)


_SYMBOLIC = {"balanced": BalancedError, "cross-entropy": CrossEntropy}
_ANY = {"absolute": ReLUAbsoluteError, "squared": SquaredError}


def check_frame_error(kind: str, name: str) -> None:
    """Raises ConfigError, naming the `kind` of loss, for an unknown error."""
    allowed = ("auto", *_ANY, *_SYMBOLIC)
    if name not in allowed:
        raise ConfigError(f"auxiliary loss {kind!r}: error={name!r} is not known; {suggest(name, allowed)}")


def make_frame_error(kind: str, name: FrameErrorName, policy: RecurrentPolicy) -> FrameError:
    """The error of this name for what the policy observes.

    `auto` is the paper's absolute error for pixels, the cross-entropy for symbolic observations, and `squared` for all
    others.
    Raises: ConfigError, naming the `kind` of loss, if the error needs symbolic observations and gets others.
    """
    layout, shape = policy.channel_layout, policy.observation_shape
    if name == "auto":
        if layout is not None:
            return CrossEntropy(layout)
        return AbsoluteError() if policy.observation_type == "pixels" else SquaredError()
    if name in _ANY:
        return _ANY[name]()
    if layout is None:
        raise ConfigError(
            f"auxiliary loss {kind!r}: error={name!r} needs the gridworld's symbolic observations, not "
            f"{policy.observation_type or 'others'} of {'×'.join(map(str, shape))}; use 'absolute' for pixels, "
            "'squared', or a view with observation_type='symbolic'"
        )
    return _SYMBOLIC[name](layout)
