"""Losses that a learner adds to its own: auxiliary losses, and losses of intrinsic rewards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from rookery.extension_errors import (
    check_result_shape,
    check_same_types,
    check_trainable,
    checked_instance,
    method_name,
)
from rookery.interfaces import AuxiliaryLoss, IntrinsicReward, LossInputs
from rookery.learning.requested import only_requested
from rookery.types import PRNGKey, PyTree, Sequences

if TYPE_CHECKING:
    from rookery.agents.recurrent import RecurrentPolicy


def init_auxiliary_params(losses: Sequence[AuxiliaryLoss], key: PRNGKey, policy: RecurrentPolicy) -> dict[str, PyTree]:
    """Parameters of the auxiliary losses, by kind."""
    params = {loss.kind: loss.init(jax.random.fold_in(key, i), policy) for i, loss in enumerate(losses)}
    for loss in losses:
        check_trainable(method_name(loss, "init"), params[loss.kind])
    return params


def loss_denominators(
    auxiliary: Sequence[AuxiliaryLoss], intrinsic: Sequence[IntrinsicReward], batch: Sequences
) -> dict[str, Float[Array, ""]]:
    """What sums over a minibatch are divided by, so that they become means; at least 1.

    'steps': the steps that count; 'aux/KIND' and 'intrinsic/KIND': the entries of each loss's own mask.
    """
    counts = {"steps": batch.loss_mask.sum()}
    for loss in auxiliary:
        counts[f"aux/{loss.kind}"] = _checked_mask(loss, only_requested(loss, batch)).sum()
    for reward in intrinsic:
        mask = _checked_mask(reward, only_requested(reward, batch))
        if mask is not None:
            counts[f"intrinsic/{reward.kind}"] = mask.sum()
    return {name: jnp.maximum(count, 1).astype(jnp.float32) for name, count in counts.items()}


def add_extra_losses(
    total: Float[Array, ""],
    auxiliary: Sequence[AuxiliaryLoss],
    intrinsic: Sequence[IntrinsicReward],
    params: PyTree,
    inputs: LossInputs,
    denominators: dict[str, Float[Array, ""]],
    scale: float | Float[Array, ""],
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Add the losses to the learner's own.

    Args:
      params: all of the learner's: {'policy', 'auxiliary', 'intrinsic'}.
      inputs: of the minibatch, or of a part of it, whose `key` serves all losses.
      denominators: from `loss_denominators`, of the whole minibatch.
      scale: factor on every weight.
    Returns: the sum, and the metrics: the unweighted losses, and what they measure themselves.
    """
    batch, metrics = inputs.batch, {}
    keys = [jax.random.fold_in(inputs.key, i) for i in range(len(auxiliary) + len(intrinsic))]
    # Metrics of a part count by its fraction of the minibatch's mask, so that they add up to a mean.
    for key, loss in zip(keys, auxiliary, strict=False):
        loss_params, loss_inputs = params["auxiliary"][loss.kind], _inputs_of(loss, inputs, key)
        mask, denominator = _checked_mask(loss, loss_inputs.batch), denominators[f"aux/{loss.kind}"]
        mean = _masked_sum(loss.loss(loss_params, loss_inputs), mask, loss.kind) / denominator
        metrics[f"aux_loss/{loss.kind}"] = mean
        for name, x in checked_instance(loss, "metrics", loss.metrics(loss_params, loss_inputs), dict).items():
            check_result_shape(f"metric {name!r} of {loss.kind!r}", x, ())
            metrics[f"{loss.kind}/{name}"] = x * mask.sum() / denominator
        total = total + scale * loss.weight * mean
    for key, reward in zip(keys[len(auxiliary) :], intrinsic, strict=True):
        reward_inputs = _inputs_of(reward, inputs, key)
        mask = _checked_mask(reward, reward_inputs.batch)
        if mask is None:
            continue
        values = reward.loss(params, reward_inputs, batch.intrinsic_carry.get(reward.kind))
        mean = _masked_sum(values, mask, reward.kind) / denominators[f"intrinsic/{reward.kind}"]
        metrics[f"{reward.loss_name}/{reward.kind}"] = mean
        total = total + scale * reward.loss_weight * mean
    return total, metrics


def _inputs_of(part: AuxiliaryLoss | IntrinsicReward, inputs: LossInputs, key: PRNGKey) -> LossInputs:
    """What one loss of a minibatch reads: a key of its own, and of the other agents what it requested."""
    return inputs._replace(batch=only_requested(part, inputs.batch), key=key)


def _checked_mask(part: AuxiliaryLoss | IntrinsicReward, batch: Sequences) -> Any:
    """The result of `loss_mask`: bool[L, N], or with further axes; None for a reward without a loss.

    Raises: ConfigError for anything else.
    """
    mask: Any = part.loss_mask(batch)
    if mask is None and isinstance(part, IntrinsicReward):
        return None
    what = f"the result of loss_mask() of {part.kind!r}, [steps, sequences, ...],"
    shape = batch.loss_mask.shape + (mask.shape[2:] if isinstance(mask, jax.Array) else ())
    check_result_shape(what, mask, shape)
    check_same_types(what, mask, jax.ShapeDtypeStruct(shape, bool))
    return mask


def _masked_sum(values: Array, mask: Bool[Array, "..."], kind: str) -> Float[Array, ""]:
    """Raises: ConfigError for values of another shape, which naming `kind` makes easy to find."""
    check_result_shape(f"the result of loss() of {kind!r}, one number for each entry of its mask,", values, mask.shape)
    return jnp.sum(values * mask)
