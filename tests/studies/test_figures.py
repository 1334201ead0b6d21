"""Levels in the figures of a study with several evaluation conditions, by hand."""

import numpy as np
import pytest

from rookery.studies import figures
from rookery.studies.results import Results


def rows(condition, **returns):
    return [
        {"condition": condition, "seed": None, "eval_condition": name, "return_social": {"mean": mean}}
        for name, mean in returns.items()
    ]


@pytest.mark.parametrize(
    ("trained_in", "levels"),
    [
        ("home", {"experts": 11.0, "stop after one goal": 1.0}),
        ("measured later", {"stop after one goal": 1.0}),
        (None, {"experts": -9.0, "stop after one goal": 1.0}),  # the first
    ],
)
def test_curves_of_training_have_the_levels_of_its_task(monkeypatch, trained_in, levels):
    drawn = []
    monkeypatch.setattr(
        figures, "learning_curves", lambda curves, reference_levels, **words: drawn.append(reference_levels)
    )
    curve = {"checkpoints": {"steps": [1], "return_social": [[1.0]]}}
    data = {"rows": rows("experts", abroad=-9.0, home=11.0), "curves": {"novice": curve}, "budget": "desk"}
    figures.checkpoint_curves(Results(data), "return_social", "curves", trained_in)
    assert drawn == [levels]


def test_the_curve_of_a_continued_training_begins_where_the_one_before_it_ends(monkeypatch):
    drawn = {}
    monkeypatch.setattr(figures, "learning_curves", lambda curves, **words: drawn.update(curves))
    curve = {"checkpoints": {"steps": [2, 8], "return_solo": [[1.0, 1.0]]}}
    data = {"rows": [], "curves": {"novice": curve, "novice, alone": curve}, "budget": "desk"}
    figures.checkpoint_curves(Results(data), "return_solo", "figure", continues={"novice, alone": "novice"})
    assert {label: steps.tolist() for label, (steps, _) in drawn.items()} == {
        "novice": [2, 8],
        "novice, alone": [10, 16],
    }


def test_a_condition_far_from_the_others_gets_a_logarithmic_scale():
    near = [np.array([27.0, 29.0]), np.array([33.0, 35.0]), np.array([np.nan])]
    assert figures._linear_range(near) == (None, "")
    assert figures._linear_range([np.array([0.0])]) == (None, "")
    linear, note = figures._linear_range([*near, np.array([-3000.0, 35.0])])
    assert linear == 70
    assert note == " Beyond 70 and -70 the scale is logarithmic."
