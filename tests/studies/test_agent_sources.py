"""Which curves of auxiliary losses a study keeps, by the names of metrics."""

from rookery.studies.agent_sources import aux_loss_curves, metric_kinds


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
