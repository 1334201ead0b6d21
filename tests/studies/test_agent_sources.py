"""Which curves of auxiliary losses a study keeps, by the names of metrics, and what the values of metrics must be."""

import pytest

from rookery.errors import CorruptFileError
from rookery.studies.agent_sources import _RunMetrics, aux_loss_curves, metric_kinds


def test_curves_of_the_seeds_of_a_session(tmp_path):
    rows = [{"update": n, "steps": 8 * n, "a/return": [n, n + 1, None]} for n in (1, 2)]
    metrics = _RunMetrics(tmp_path, rows, ["a"], 3, slice(1, 3))
    assert metrics.series(rows, {"return": "a/return"}) == {"steps": [8, 16], "return": [[2, 3], [None, None]]}
    rows[1]["a/return"] = 5.0
    with pytest.raises(CorruptFileError, match=r"metrics.jsonl is damaged: in the line of update 2, 'a/return' is 5.0"):
        metrics.series(rows, {"return": "a/return"})


def test_every_auxiliary_loss_has_a_curve_of_its_own():
    metrics = ["steps", "social/novice/return", "social/novice/aux_loss/attention", "vanilla/novice/aux_loss/other"]
    assert aux_loss_curves(metrics, "social/novice") == {"aux_loss": "social/novice/aux_loss/attention"}
    metrics.append("social/novice/aux_loss/next-frame")
    assert aux_loss_curves(metrics, "social/novice") == {
        "aux_loss/attention": "social/novice/aux_loss/attention",
        "aux_loss/next-frame": "social/novice/aux_loss/next-frame",
    }
    assert aux_loss_curves(["social/novice/return"], "social/novice") == {}
    health = ["evaluation/a/health/mine/error", "evaluation/a/health/mine/dead_units", "evaluation/b/health/x/error"]
    assert metric_kinds(health, "evaluation/a/health/") == ["mine"]
