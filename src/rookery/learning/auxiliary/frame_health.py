"""Whether a frame loss is alive: its error next to trivial predictions', agents in them, and units that died.

A low error proves nothing: most of what an agent observes stays as it is. So the error is compared with the best
constant in hindsight and with a copy of the observation before the step, where the observation changes, too; and where
other agents are shown is compared with where they are predicted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rookery.learning.auxiliary.frame_errors import FrameError
from rookery.learning.masking import masked_mean

DEAD_SPREAD = 1e-4
"""A unit whose output has a smaller standard deviation over all steps is dead: the prediction ignores it."""


class FrameSample(NamedTuple):
    """N steps of held-out episodes, observations scaled to [0, 1]."""

    output: Float[Array, "N ..."]  # of the decoder
    target: Float[Array, "N ..."]
    before: Float[Array, "N ..."]  # what a copy predicts
    mask: Bool[Array, "N"]  # the step counts
    units: Float[Array, "N D"] | None  # outputs of the decoder's dense hidden layer; None: not known


def frame_health(
    error: FrameError, sample: FrameSample, agent_scores: Callable[[Array], Array | None] | None
) -> dict[str, Float[Array, ""]]:
    """The health of predictions; NaN where there is nothing to measure, such as the recall of agents never in view.

    Args:
      agent_scores: observations, scaled to [0, 1], to how much each part looks like one that shows another agent, or
        None; see `Env.agent_scores`.
    Returns: 'error' of the prediction, 'error_constant' of the best constant in hindsight, 'error_copy'; the same where
      the observation changes, with the suffix '_changed'; 'dead_units', a fraction of the decoder's hidden units; and,
      if agents are shown, 'agents_in_view', the fraction of steps with any, 'agents_recall', the fraction of parts
      showing an agent in which one is predicted, 'agents_precision', the fraction of parts predicted to show one that
      do, both of the copy, and 'agents_found', the fraction that are found if as many parts as show an agent are
      predicted to, those with the highest scores; '_constant': by the best constant.
    """
    target, before, mask = sample.target, sample.before, sample.mask
    constant = jnp.broadcast_to(error.best_constant(target, mask), target.shape)
    copies = [f * before + (1 - f) * constant for f in error.copy_fractions]
    errors = {
        "error": [error.errors(sample.output, target)],
        "error_constant": [error.prediction_errors(constant, target)],
        "error_copy": [error.prediction_errors(copy, target) for copy in copies],
    }
    changed = error.changed(before, target) & mask[:, None]
    metrics = {}
    for name, values in errors.items():
        metrics[name] = jnp.stack([masked_mean(x.mean(-1), mask) for x in values]).min()
        metrics[f"{name}_changed"] = jnp.stack([_fraction(jnp.sum(x * changed), changed.sum()) for x in values]).min()
    if sample.units is not None:
        mean = masked_mean_over_steps(sample.units, mask)
        spread = jnp.sqrt(masked_mean_over_steps((sample.units - mean) ** 2, mask))
        metrics["dead_units"] = jnp.mean(spread < DEAD_SPREAD)
    target_scores = None if agent_scores is None else agent_scores(target)
    if agent_scores is None or target_scores is None:
        return metrics
    actual = (target_scores > 0) & mask[:, None]
    metrics["agents_in_view"] = masked_mean(actual.any(-1), mask)
    for suffix, observation in (("", error.prediction(sample.output)), ("_copy", before), ("_constant", constant)):
        scores = agent_scores(observation)
        assert scores is not None, "agents are shown in some observations, but not in others"
        scores = jnp.where(mask[:, None], scores, -jnp.inf)
        if suffix != "_copy":  # a copy has only two scores
            metrics[f"agents_found{suffix}"] = found_at_equal_count(scores.reshape(-1), actual.reshape(-1))
        if suffix != "_constant":  # a constant predicts none, or the same ones always
            correct = jnp.sum((scores > 0) & actual)
            metrics[f"agents_recall{suffix}"] = _fraction(correct, actual.sum())
            metrics[f"agents_precision{suffix}"] = _fraction(correct, (scores > 0).sum())
    return metrics


def found_at_equal_count(scores: Float[Array, "M"], actual: Bool[Array, "M"]) -> Float[Array, ""]:
    """Recall, and precision, if as many entries are predicted as are true: those with the highest scores.

    Where entries tie at the threshold, the expectation over which of them are predicted. NaN if none is true.
    Source: R-precision, Manning et al. 2008, section 8.4.
    """
    count = actual.sum()
    threshold = jnp.sort(scores)[-jnp.maximum(count, 1)]
    above, tied = scores > threshold, scores == threshold
    of_tied = (count - above.sum()) / jnp.maximum(tied.sum(), 1)
    return _fraction(jnp.sum(above & actual) + of_tied * jnp.sum(tied & actual), count)


def masked_mean_over_steps(x: Float[Array, "N D"], mask: Bool[Array, "N"]) -> Float[Array, "D"]:
    """Mean of each column over the steps that count."""
    return jax.vmap(lambda column: masked_mean(column, mask), 1)(x)


def _fraction(part: Array, whole: Array) -> Float[Array, ""]:
    """part / whole; NaN if the whole is 0."""
    return jnp.where(whole > 0, part / jnp.maximum(whole, 1), jnp.nan)
