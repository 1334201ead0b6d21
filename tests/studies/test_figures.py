"""Levels in the figures of a study with several evaluation conditions, by hand."""

import numpy as np
import pytest

from rookery.studies import figures
from rookery.studies.results import Results
from rookery.studies.study_list import load_study


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


def test_levels_are_in_the_measure_and_the_task_of_the_curves():
    """Figure 7's returns alone are not next to a return with partners, nor to one in another task."""
    data = {
        "rows": [
            {"condition": name, "seed": None, "eval_condition": place, "return_social": {"mean": social},
             "return_solo": {"mean": solo}}
            for name, place, social, solo in (
                ("experts", "home", 10.0, 12.0), ("imperfect", "home", 8.0, 7.0), ("imperfect", "theirs", 9.0, 6.0),
                ("strangers", "abroad", -9.0, -8.0))
        ],
        "curves": {},
    }  # fmt: skip
    results, one_goal = Results(data), {"stop after one goal": 1.0}
    alone = {"experts": 12.0, "imperfect": 7.0}
    assert figures.reference_levels(results, "home", "return_solo") == alone | one_goal
    own = figures.reference_levels(results, "home", levels_in={"imperfect": "theirs"})
    assert own == {"experts": 10.0, "imperfect": 9.0} | one_goal


@pytest.mark.parametrize(
    ("name", "figure", "levels"),
    [
        ("fig7", "figure", {"experts": 12.0, "stop after one goal": 1.0}),
        ("fig7", "return_social", {"experts": 10.0, "stop after one goal": 1.0}),
        ("fig5", "figure", {"experts": 10.0, "imperfect experts": 9.0, "stop after one goal": 1.0}),
    ],
)
def test_the_figures_of_a_study_have_the_levels_of_their_curves(monkeypatch, name, figure, levels):
    study = load_study(f"ndousse2021/{name}")
    places = {"experts": "3-goal cycle", "3-goal experts": "4-goal cycle"} if name == "fig7" else {}
    measured = {
        (condition.label, place.name): (10.0, 12.0)
        for condition in study.conditions if "experts" in condition.label and "social" not in condition.label
        for place in study.eval_conditions if places.get(condition.label, place.name) == place.name
    }  # fmt: skip
    if name == "fig5":
        measured["imperfect experts", "3-goal cycle, imperfect experts"] = (9.0, 12.0)
    data_rows = [
        {"condition": label, "seed": None, "eval_condition": place, "return_social": {"mean": social},
         "return_solo": {"mean": solo}}
        for (label, place), (social, solo) in measured.items()
    ]  # fmt: skip
    checkpoints = {"steps": [1, 2], "return_social": [[1.0, 1.0]], "return_solo": [[1.0, 1.0]], "social_gain": [[0, 0]]}
    novices = [c.label for c in study.conditions if c.label not in {label for label, _ in measured}]
    data = {"rows": data_rows, "curves": {label: {"checkpoints": checkpoints} for label in novices}, "budget": "desk"}
    monkeypatch.setattr(figures, "learning_curves", lambda curves, reference_levels, **words: reference_levels)
    drawn = {made: shown for made, shown, _ in study.figures(Results(data))}
    assert drawn[figure] == levels
