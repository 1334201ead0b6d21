"""Whether the mechanisms of a run were alive, judged by its metrics: a claim about one that was not is not tested.

Auxiliary losses are judged by the held-out episodes of a checkpoint, rewards and recurrent states by updates. The
thresholds are constants of this module.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rookery.training.config import RunConfig, Variant, slot_names
from rookery.training.schedules import schedule_points

MIN_FOUND = 0.1
"""Fraction of the other agents in observations that their predictions find; the best constant must find fewer."""
MAX_DEAD_UNITS = 0.5
"""Fraction of the decoder's hidden units."""
MIN_REWARD_RATIO = 0.05
"""Mean absolute intrinsic reward, weighted, as a fraction of what the same policy gets of the environment's."""
MIN_REWARD = 1e-6
"""Mean absolute intrinsic reward, weighted, per step; less is rounding error."""
MAX_CROSS_ENTROPY_RATIO = 0.98
"""Of a model of other agents, as a fraction of that of their action frequencies."""
MIN_STALE_STATE_ERROR = 0.01
"""Relative error that recurrent states would have if they were not recomputed."""
WARNING_AFTER = 0.1
"""Fraction of a run after which a loss that predicts nothing is reported."""

RECURRENT_STATE = "recurrent-state"
"""The mechanism of recomputing, or warming up, recurrent states."""


@dataclasses.dataclass(frozen=True)
class MechanismHealth:
    """The check of one mechanism of one agent."""

    mechanism: str
    alive: bool | None
    """None: the run has no number to judge it by."""
    reason: str
    """One sentence, with the numbers."""


def mechanism_health(
    rows: Sequence[Mapping[str, Any]], mechanism: str, variant: str, agent: str, by: float = 1.0
) -> list[MechanismHealth]:
    """Judge a mechanism of an agent, one check per seed.

    Args:
      rows: a run's metrics, from `rookery.storage.metrics.read_metrics`.
      mechanism: the `kind` of an auxiliary loss or intrinsic reward, or RECURRENT_STATE.
      agent: name of its slot in the run. by: the fraction of the rows after which it is judged: by its last checkpoint
        until then, or by the mean of the last quarter of the updates until then.
    Returns: a list with one check for each seed; one check with `alive` None if nothing is measured.
    Raises: ValueError for `by` outside (0, 1].
    """
    if not 0 < by <= 1:
        raise ValueError(f"by={by} must lie in (0, 1]")
    rows = rows[: max(1, math.ceil(by * len(rows)))]
    held_out = _last_checkpoint(rows, f"evaluation/{variant}/{agent}/health/")
    updates = _recent_means(rows, f"{variant}/{agent}/")
    num_seeds = max((len(values) for values in (*held_out.values(), *updates.values())), default=1)

    def of_seed(metrics: dict[str, list[float | None]], seed: int) -> dict[str, float]:
        known = {name: values[seed] for name, values in metrics.items() if seed < len(values)}
        return {name: value for name, value in known.items() if value is not None}

    return [_judge(mechanism, of_seed(held_out, seed), of_seed(updates, seed)) for seed in range(num_seeds)]


def _judge(mechanism: str, held_out: dict[str, float], updates: dict[str, float]) -> MechanismHealth:
    """One seed's check. held_out: of the last checkpoint, by name. updates: means of recent updates."""
    if mechanism == RECURRENT_STATE:
        error = held_out.get("stale_state_error", updates.get("stale_state_error"))
        if error is None:
            return MechanismHealth(mechanism, None, "no error of stale recurrent states was measured")
        reason = f"stale recurrent states are off by {error:.3f} of their norm; alive at {MIN_STALE_STATE_ERROR:g}"
        return MechanismHealth(mechanism, error >= MIN_STALE_STATE_ERROR, reason)
    own = {name.removeprefix(f"{mechanism}/"): x for name, x in held_out.items() if name.startswith(f"{mechanism}/")}
    if "error" in own and "error_constant" in own:
        return _judge_prediction(mechanism, own)
    intrinsic = updates.get(f"intrinsic_abs/{mechanism}")
    extrinsic = updates.get(f"extrinsic_abs/{mechanism}", updates.get("extrinsic_abs"))
    if intrinsic is None or extrinsic is None:
        return MechanismHealth(mechanism, None, f"nothing was measured of {mechanism}")
    return _judge_reward(mechanism, own, intrinsic, extrinsic)


def _judge_prediction(mechanism: str, own: dict[str, float]) -> MechanismHealth:
    trivial, bound = _better_trivial(own)
    checks = [(own["error"] < bound, f"error {own['error']:.4f} against {bound:.4f} of {trivial}")]
    found = own.get("agents_found", own.get("agents_recall"))  # runs from before it was measured have recall at 1/2
    if found is not None:
        least = max(MIN_FOUND, own.get("agents_found_constant", 0.0))
        checks.append((found > least, f"recall of other agents {found:.3f}, to be above {least:.3g}"))
    if "dead_units" in own:
        dead = own["dead_units"]
        checks.append((dead < MAX_DEAD_UNITS, f"{dead:.0%} of the decoder's units dead"))
    return _all_of(mechanism, checks)


def _judge_reward(mechanism: str, own: dict[str, float], intrinsic: float, extrinsic: float) -> MechanismHealth:
    size = f"mean absolute reward {intrinsic:.2g} per step against {extrinsic:.2g} of the environment"
    checks = [(bool(reward_is_felt(intrinsic, extrinsic)), size)]
    if "cross_entropy" in own and "cross_entropy_marginal" in own:
        model, marginal = own["cross_entropy"], own["cross_entropy_marginal"]
        text = f"the model's cross-entropy {model:.3f} nats against {marginal:.3f} of action frequencies"
        checks.append((model < MAX_CROSS_ENTROPY_RATIO * marginal, text))
    return _all_of(mechanism, checks)


def reward_is_felt(intrinsic: Any, extrinsic: Any) -> Any:
    """Whether a weighted intrinsic reward is large enough next to the environment's part of the same policy's reward.

    Args: mean absolute values per step; numbers or f[...] arrays.
    """
    return (intrinsic >= MIN_REWARD) & (intrinsic >= MIN_REWARD_RATIO * extrinsic)


def _all_of(mechanism: str, checks: list[tuple[bool, str]]) -> MechanismHealth:
    """Alive if all checks pass; the reason names those that failed, or all."""
    failed = [text for passed, text in checks if not passed]
    return MechanismHealth(mechanism, not failed, "; ".join(failed or [text for _, text in checks]))


def _better_trivial(metrics: Mapping[str, float]) -> tuple[str, float]:
    """Name and error of the better trivial prediction."""
    errors = {"a constant": metrics["error_constant"]}
    if "error_copy" in metrics:
        errors["a copy of the view"] = metrics["error_copy"]
    name = min(errors, key=lambda key: errors[key])
    return name, errors[name]


def _last_checkpoint(rows: Sequence[Mapping[str, Any]], prefix: str) -> dict[str, list[float | None]]:
    """The metrics with this prefix in the last row that has any, without the prefix, by seed."""
    for row in reversed(rows):
        found = {name.removeprefix(prefix): values for name, values in row.items() if name.startswith(prefix)}
        if found:
            return found
    return {}


def _recent_means(rows: Sequence[Mapping[str, Any]], prefix: str) -> dict[str, list[float | None]]:
    """Means over the last quarter of the rows, by seed, of the updates' metrics that health is judged by."""
    recent = rows[-max(1, len(rows) // 4) :]
    names = [name for name in (rows[-1] if rows else ()) if name.startswith(prefix)]
    means = {}
    for name in names:
        own = name.removeprefix(prefix)
        if own in ("extrinsic_abs", "stale_state_error") or own.startswith(("intrinsic_abs/", "extrinsic_abs/")):
            columns = zip(*(row[name] for row in recent if name in row), strict=True)
            finite = [[x for x in column if x is not None] for column in columns]
            means[own] = [sum(column) / len(column) if column else None for column in finite]
    return means


def dead_loss_warning(config: RunConfig, evaluation: Mapping[str, Any], num_updates: int) -> str | None:
    """A warning if an auxiliary loss predicts no better than a trivial prediction; None if there is nothing to say.

    It is due at one checkpoint of a run alone: the first after a tenth of its updates.

    Args:
      evaluation: {variant: {agent: {'health': {name: one value per seed}}}} of this checkpoint.
    """
    due = WARNING_AFTER * config.total_updates
    if not num_updates - config.checkpoint_interval < due <= num_updates:
        return None
    names, dead = slot_names(config), []
    for variant in config.variants:
        for group in config.team:
            if group.learner is None or not _is_trained(variant, group, num_updates / config.total_updates):
                continue
            for slot in group.slots:
                agent = names[slot]
                health = evaluation[variant.name][agent].get("health", {})
                for loss in group.learner.auxiliary:
                    dead += _dead_seeds(health, loss.kind, f"{agent} ({variant.name})", config.seed)
    if not dead:
        return None
    return (
        f"warning: after {num_updates} of {config.total_updates} updates, auxiliary losses predict no better than a "
        f"trivial prediction: {'; '.join(dead)}. Such a loss teaches nothing; docs/auxiliary-losses.md says what helps"
    )


def _is_trained(variant: Variant, group: Any, fraction: float) -> bool:
    """Whether the group's auxiliary losses have a weight at this fraction of a run."""
    if "aux_loss_scale" not in group.learner.hparams:
        return True
    schedule = variant.aux_loss_scale if variant.aux_loss_scale is not None else group.aux_loss_scale
    fractions, values = zip(*schedule_points(schedule), strict=True)
    return bool(np.interp(fraction, fractions, values) > 0)


def _dead_seeds(health: Mapping[str, Any], kind: str, agent: str, first_seed: int) -> list[str]:
    """One text for each seed in which the loss is not better than the better trivial prediction."""
    names = ("error", "error_constant", "error_copy")
    measured = {name: health[f"{kind}/{name}"] for name in names if f"{kind}/{name}" in health}
    if not {"error", "error_constant"} <= set(measured):
        return []
    texts = []
    for number, error in enumerate(measured["error"]):
        trivial, bound = _better_trivial({name: float(values[number]) for name, values in measured.items()})
        if error >= bound:
            texts.append(f"{kind} of {agent}, seed {first_seed + number}: {error:.4f}, {trivial} {bound:.4f}")
    return texts
