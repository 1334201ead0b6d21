import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.viz import figure_to_svg, interval_dots, learning_curves
from rookery.viz.bars import interval_bars, step_lines
from rookery.viz.dilemma_plots import cross_play_matrix, schelling_curves
from rookery.viz.plots import count_bars, parallel_coordinates

X = [0, 10, 20]
ARMS = {"social": (X, [[0, 1, 2], [0, 3, 6]]), "solo": (X, [[0, 1, 1]])}
THREE_SEEDS = {"social": (X, [[0, 1, 2], [0, 2, 4], [0, 3, 6]])}


def bold(figure):
    return [line.get_ydata() for line in figure.axes[0].lines if line.get_linewidth() > 2]


def test_curves_by_hand():
    figure = learning_curves(ARMS)
    means = bold(figure)
    np.testing.assert_array_equal(means[0], [0, 2, 4])
    np.testing.assert_array_equal(means[1], [0, 1, 1])
    assert len([line for line in figure.axes[0].lines if line.get_linewidth() < 1]) == 3  # one a seed
    assert not figure.axes[0].collections  # no band for one or two seeds
    (band,) = learning_curves(THREE_SEEDS).axes[0].collections
    corners = band.get_paths()[0].vertices
    ends = corners[corners[:, 0] == 20][:, 1]
    # Mean 4, standard error 2 / √3, and Student's t with two degrees of freedom: 4.303 of them on either side.
    np.testing.assert_allclose((ends.min(), ends.max()), (4 - 4.9683, 4 + 4.9683), atol=1e-3)


def test_unmeasured_points_are_gaps():
    figure = learning_curves({"a": (X, [[0, np.nan, 2], [0, 3, 6]])})
    np.testing.assert_array_equal(bold(figure)[0], [0, np.nan, 4])
    figure_to_svg(figure)


def test_labels_levels_and_seeds_are_written():
    figure = learning_curves(ARMS, reference_levels={"experts": 3, "stop after one goal": 1}, title="T")
    svg = figure_to_svg(figure)
    words = "environment steps|return per episode|experts|stop after one goal|social (2 seeds)|solo (1 seed)"
    for word in words.split("|"):
        assert word in svg
    heights = [line.get_ydata()[0] for line in figure.axes[0].lines[-2:]]
    assert heights == [3, 1]


def test_many_steps_are_counted_in_millions():
    svg = figure_to_svg(learning_curves({"a": ([0, 2e7], [[0, 1]])}))
    assert "20M" in svg


def test_svg_is_an_element_and_equal_for_equal_figures():
    svg = figure_to_svg(learning_curves(ARMS))
    assert svg.startswith("<svg")
    assert svg.endswith("</svg>")
    assert "metadata" not in svg
    assert svg == figure_to_svg(learning_curves(ARMS))


@pytest.mark.parametrize("name", ["$x^2$", r"$\frac{", "_hidden", "<b>&", "a\nb"])
def test_any_name_will_do(name):
    arms = {name: (X, [[0, 1, 2], [1, 2, 4]])}
    for figure in (
        learning_curves(arms, reference_levels={name: 1}, title=name, xlabel=name, ylabel=name),
        interval_dots({name: [1, 2]}, reference_levels={name: 1.5}, title=name, xlabel=name),
        count_bars({name: {name: 1}}, title=name, xlabel=name),
        parallel_coordinates({name: [name, "a", "b"], "lr": ["1", "2", "3"]}, [1.0, 2.0, 3.0], name),
        interval_bars({name: (1.0, 0.0, 2.0)}, title=name, xlabel=name),
        step_lines({name: [1.0, 2.0]}, title=name, xlabel=name, ylabel=name),
        cross_play_matrix([name], np.ones((1, 1)), title=name, label=name),
        schelling_curves([(1.0, 0.0, 2.0)], [(1.0, 0.0, 2.0)], title=name, ylabel=name),
    ):
        svg = figure_to_svg(figure)
        assert "<b>" not in svg


def test_dots_by_hand():
    figure = interval_dots({"social": [0, 1], "solo": [3]}, reference_levels={"experts": 2})
    lines = figure.axes[0].lines
    dots = [line.get_xdata().tolist() for line in lines if line.get_marker() == "o"]
    means = [line.get_xdata().tolist() for line in lines if line.get_marker() == "D"]
    assert dots == [[0, 1], [3]]
    assert means == [[0.5], [3]]
    assert all(line.get_linewidth() < 3 for line in lines)  # no bar for one or two seeds
    (bar,) = (line for line in interval_dots({"a": [2, 4, 6]}).axes[0].lines if line.get_linewidth() == 3)
    np.testing.assert_allclose(bar.get_xdata(), (4 - 4.9683, 4 + 4.9683), atol=1e-3)
    svg = figure_to_svg(figure)
    assert all(word in svg for word in ("social", "solo", "experts", "95% interval"))


@pytest.mark.parametrize(
    "arms",
    [{}, {"a": (X, [0, 1, 2])}, {"a": (X, [[0, 1]])}, {"a": ([[0]], [[0]])}, {"a": (X, np.zeros((0, 3)))}],
)
def test_curves_that_do_not_fit(arms):
    with pytest.raises(ConfigError):
        learning_curves(arms)


def test_dots_that_do_not_fit():
    for arms in ({}, {"a": []}, {"a": [1, np.nan]}):
        with pytest.raises(ConfigError):
            interval_dots(arms)
    with pytest.raises(ConfigError, match="level 'experts'"):
        interval_dots({"a": [1]}, reference_levels={"experts": np.nan})


def test_bars_are_cut_into_their_kinds():
    figure = count_bars({"with": {"good": 2, "bad": 1}, "a $name_": {"good": 0, "bad": 3}}, xlabel="seeds")
    parts = [
        (bar.get_x(), bar.get_width(), round(bar.get_y() + bar.get_height() / 2)) for bar in figure.axes[0].patches
    ]
    assert parts == [(0, 2, 0), (0, 0, 1), (2, 1, 0), (0, 3, 1)]
    assert [text.get_text() for text in figure.axes[0].texts] == ["2", "", "1", "3"]
    svg = figure_to_svg(figure)
    for word in ("with", "a $name_", "good", "bad", "seeds"):
        assert word in svg


@pytest.mark.parametrize("rows", [{}, {"a": {"x": -1}}, {"a": {"x": 1}, "b": {"y": 1}}])
def test_bars_that_cannot_be(rows):
    with pytest.raises(ConfigError):
        count_bars(rows)


def test_names_of_horizontal_levels_do_not_cover_each_other():
    levels = {"cloning": 9.6, "experts": 9.7, "stop after one goal": 1.0, "3-goal experts": 9.65}
    figure = learning_curves(ARMS, reference_levels=levels)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    ends = {text.get_text(): text.xyann for text in figure.axes[0].texts}
    assert ends["stop after one goal"] == (-3, 3)  # where there is room, at the end


def test_names_of_levels_do_not_cover_each_other():
    """Vertical lines that lie close together: their names are in rows."""
    levels = {"cloning": 1.0, "stop after one goal": 1.2, "experts": 20.0}
    figure = interval_dots({"a": [1.0, 20.0]}, reference_levels=levels, title="Title")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    assert sorted(text.xyann[1] for text in axes.texts) == [3, 3, 15]
    assert max(box.y1 for box in boxes) < axes._left_title.get_window_extent().y0
    assert len({text.xyann for text in interval_dots({"a": [1.0]}, reference_levels={"x": 0.0}).axes[0].texts}) == 1


def test_a_scale_that_is_logarithmic_beyond_a_size():
    figure = interval_dots({"near": [30.0, 31.0], "far": [-3000.0, -40.0]}, linear_up_to=60.0)
    axes = figure.axes[0]
    assert axes.get_xscale() == "symlog"
    assert sorted(axes.get_xticks()) == [-1000, -60, -30, 0, 30, 60]
    figure = learning_curves({"far": ([0, 1], [[30.0, -3000.0]])}, linear_up_to=60.0)
    assert sorted(figure.axes[0].get_yticks()) == [-1000, -60, -30, 0, 30, 60]
