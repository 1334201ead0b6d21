"""The judgement of mechanisms, and the warning of a run, from numbers made up by hand."""

import dataclasses

import numpy as np
import pytest

from rookery.training.mechanism_health import RECURRENT_STATE, dead_loss_warning, mechanism_health
from tests.tiny import UPDATES, tiny

HEALTH = "evaluation/social/novice/health/"
GOOD = {"error": 0.02, "error_constant": 0.05, "error_copy": 0.04, "agents_recall": 0.3, "dead_units": 0.0}


def rows(loss=GOOD, updates=4, **numbers):
    """Metrics of a run with one seed: numbers of every update, and health at the last one."""
    every = {f"social/novice/{name.replace('__', '/')}": [value] for name, value in numbers.items()}
    found = [{"update": n, "steps": n, **every} for n in range(1, updates + 1)]
    found[-1] |= {f"{HEALTH}next-frame/{name}": [value] for name, value in loss.items()}
    return found


def judge(mechanism="next-frame", by=1.0, **given):
    (check,) = mechanism_health(rows(**given), mechanism, "social", "novice", by)
    return check


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"error": 0.045}, "error 0.0450 against 0.0400 of a copy of the view"),
        ({"error": 0.035, "error_constant": 0.03}, "error 0.0350 against 0.0300 of a constant"),
        ({"agents_recall": 0.1}, "recall of other agents 0.100, to be above 0.1"),
        ({"dead_units": 0.75}, "75% of the decoder's units dead"),
        ({"agents_recall": None}, None),  # no agent was in view
        ({"agents_recall": 0.0, "agents_found": 0.2}, None),  # ranked, not predicted with more than 1/2
        ({"agents_found": 0.05}, "recall of other agents 0.050, to be above 0.1"),
        ({"agents_found": 0.2, "agents_found_constant": 0.25}, "recall of other agents 0.200, to be above 0.25"),
    ],
)
def test_a_prediction_is_judged_by_all_its_checks(change, reason):
    check = judge(loss=GOOD | change)
    assert check.alive == (reason is None)
    if reason is not None:
        assert check.reason == reason


@pytest.mark.parametrize(("intrinsic", "alive"), [(0.05, True), (0.049, False), (0.0, False)])
def test_a_reward_is_judged_by_its_size(intrinsic, alive):
    given = {"intrinsic_abs__influence-centralized": intrinsic, "extrinsic_abs": 1.0}
    assert judge("influence-centralized", **given).alive is alive


def test_messages_that_get_nothing_of_the_environment_need_no_large_reward():
    given = {"intrinsic_abs__influence-messages": 0.001, "extrinsic_abs": 1.0}
    assert judge("influence-messages", **given).alive is False
    assert judge("influence-messages", **given, **{"extrinsic_abs__influence-messages": 0.0}).alive is True
    given["intrinsic_abs__influence-messages"] = 1e-7  # rounding error
    assert judge("influence-messages", **given, **{"extrinsic_abs__influence-messages": 0.0}).alive is False


@pytest.mark.parametrize(("cross_entropy", "alive"), [(1.5, True), (1.99, False), (2.3, False)])
def test_a_model_of_others_must_beat_their_action_frequencies(cross_entropy, alive):
    metrics = rows(loss={}, **{"intrinsic_abs__influence-moa": 1.0, "extrinsic_abs": 1.0})
    measured = {"cross_entropy": cross_entropy, "cross_entropy_marginal": 2.0}
    metrics[-1] |= {f"{HEALTH}influence-moa/{name}": [value] for name, value in measured.items()}
    (check,) = mechanism_health(metrics, "influence-moa", "social", "novice")
    assert check.alive is alive


@pytest.mark.parametrize(("error", "alive"), [(0.02, True), (0.002, False)])
def test_recomputation_of_states_is_judged_by_what_stale_ones_miss(error, alive):
    assert judge(RECURRENT_STATE, stale_state_error=error).alive is alive


def test_what_was_not_measured_is_not_judged():
    for mechanism in ("next-frame", "influence-moa", RECURRENT_STATE):
        assert judge(mechanism, loss={}).alive is None


def test_an_early_judgement_reads_no_later_checkpoint():
    metrics = rows() + rows(loss=GOOD | {"error": 1.0})
    (late,), (early,) = (mechanism_health(metrics, "next-frame", "social", "novice", by) for by in (1.0, 0.5))
    assert (late.alive, early.alive) == (False, True)
    with pytest.raises(ValueError, match=r"by=0 must lie in \(0, 1\]"):
        mechanism_health(metrics, "next-frame", "social", "novice", 0)


def test_every_seed_is_judged_by_its_own_numbers():
    metrics = rows()
    for name, value in GOOD.items():
        metrics[-1][f"{HEALTH}next-frame/{name}"] = [value, 0.0 if name == "agents_recall" else value]
    assert [check.alive for check in mechanism_health(metrics, "next-frame", "social", "novice")] == [True, False]


# ------------------------------------------------------------------------------------------- warning


def evaluation(social=0.02, solo=0.02):
    """Health of both variants of the tiny run, with these errors against 0.04 of a copy."""

    def of(error):
        values = {**GOOD, "error": error}
        return {"novice": {"health": {f"next-frame/{name}": np.array([value]) for name, value in values.items()}}}

    return {"social": of(social), "solo": of(solo)}


def test_a_run_warns_once_of_a_loss_that_predicts_nothing():
    config = tiny(checkpoint_interval=1, total_timesteps=3 * tiny().total_timesteps)  # a tenth is 2.4 updates
    assert config.total_updates == 3 * UPDATES
    warnings = [dead_loss_warning(config, evaluation(social=0.045), done) for done in range(1, 3 * UPDATES + 1)]
    (warning,) = filter(None, warnings)
    assert warnings.index(warning) == 2
    assert f"next-frame of novice (social), seed {config.seed}: 0.0450, a copy of the view 0.0400" in warning
    assert "solo" not in warning
    assert dead_loss_warning(config, evaluation(), 3) is None


def test_a_loss_without_weight_needs_no_warning():
    social, solo = tiny().variants
    config = tiny(variants=(social, dataclasses.replace(solo, aux_loss_scale=0.0)))
    warning = dead_loss_warning(config, evaluation(social=0.045, solo=0.045), config.checkpoint_interval)
    assert warning is not None
    assert "(social)" in warning
    assert "(solo)" not in warning
