"""Wrong labels by class as bars, by label as a curve, and by pairs of classes as a matrix."""

import sys
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from clusterlib.imbalance import RepresentationCalibrator
from clusterlib.plotting import LabelQualityDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

Y = np.array(list("bbbbaaaaaaccc"))
QUALITY = np.array([1.0, 0.9, 0.75, 0.25, 1, 1, 1, 1, 0.5, 0, 1, 0.9, 0.1])
TRANSITION = np.array([[0.9, 0.06, 0.04], [0.25, 0.5, 0.25], [0.01, 0.19, 0.8]])


def fitted(y=Y, quality=QUALITY, transition=TRANSITION, weight=None):
    """What an estimator has after fit."""
    classes, codes = np.unique(y, return_inverse=True)
    right = quality if weight is None else weight * quality
    return SimpleNamespace(
        classes_=classes,
        label_quality_=quality,
        transition_matrix_=transition,
        effective_counts_=np.bincount(codes, weights=right),
    )


@pytest.fixture
def pyplot():
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def heights_of(display):
    return np.array([[bar.get_height() for bar in bars] for bars in display.ax_.containers])


def texts_of(display):
    return [text.get_text() for text in display.ax_.texts]


def names_of(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def marks_of(display):
    """Places of triangles; none without a line."""
    return [line.get_xdata().tolist() for line in display.ax_.lines]


def test_bars_are_labels_right_and_wrong(pyplot):
    display = LabelQualityDisplay.from_estimator(fitted(), Y)
    np.testing.assert_array_equal(display.order_, [0, 1, 2])
    right, wrong = heights_of(display)
    np.testing.assert_allclose(right, [4.5, 2.9, 2.0])
    np.testing.assert_allclose(wrong, [1.5, 1.1, 1.0])
    bottoms = [bar.get_y() for bar in display.ax_.containers[1]]
    np.testing.assert_allclose(bottoms, right)
    assert names_of(display.ax_.xaxis) == ["a", "b", "c"]
    assert texts_of(display) == ["25", "28", "33"]  # % of the labels
    assert display.ax_.get_yscale() == "linear" and display.ax_.get_ylim()[1] > 6
    assert marks_of(display) == [[1, 2]]  # less than 4 are right
    told = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert told == [
        "expected to be wrong (in %)",
        "expected to be right",
        "fewer than 4 expected to be right",
    ]
    display.figure_.canvas.draw()


def test_frequent_labels_come_first_and_weights_count(pyplot):
    weight = np.where(Y == "c", 5.0, 1.0)
    display = LabelQualityDisplay.from_estimator(fitted(weight=weight), Y, sample_weight=weight)
    np.testing.assert_array_equal(display.order_, [2, 0, 1])
    right, wrong = heights_of(display)
    np.testing.assert_allclose(right, [10, 4.5, 2.9])
    np.testing.assert_allclose(right + wrong, [15, 6, 4])
    assert names_of(display.ax_.xaxis) == ["c", "a", "b"]
    assert marks_of(display) == [[2]]
    # Ties keep the order of the classes, and enough right labels have no triangle.
    even = np.repeat(["u", "v"], 6)
    sure = fitted(even, np.full(12, 0.9), np.eye(2))
    display = LabelQualityDisplay.from_estimator(sure, even, class_names=["one", "two"])
    np.testing.assert_array_equal(display.order_, [0, 1])
    assert names_of(display.ax_.xaxis) == ["one", "two"] and marks_of(display) == []


def test_a_long_tail_gets_a_logarithmic_axis_unless_told_otherwise(pyplot):
    for n_first, scale in ((19, "linear"), (20, "log")):
        y = np.array(["a"] * n_first + ["b"])
        display = LabelQualityDisplay.from_estimator(
            fitted(y, np.full(len(y), 0.8), np.eye(2)), list(y)
        )
        assert display.ax_.get_yscale() == scale
    assert 0 < display.ax_.get_ylim()[0] < 0.8
    display.figure_.canvas.draw()
    assert display.plot(log=False).ax_.get_yscale() == "linear"
    short = LabelQualityDisplay.from_estimator(fitted(), Y, log=True)
    assert short.ax_.get_yscale() == "log"


def curve_of(display):
    """Ends of the steps, their heights, and the dot."""
    curve, dot = display.ax_.lines
    return curve.get_xdata(), curve.get_ydata(), (*dot.get_xdata(), *dot.get_ydata())


def area_of(filled):
    """Area of a polygon."""
    [path] = filled.get_paths()
    x, y = path.vertices.T
    return 0.5 * abs(x @ np.roll(y, -1) - y @ np.roll(x, -1))


def test_the_area_above_the_curve_is_expected_to_be_wrong(pyplot):
    for weight in (None, np.arange(13.0)):
        estimator = fitted(weight=weight)
        display = LabelQualityDisplay.from_estimator(estimator, sample_weight=weight, kind=None)
        ends, quality, dot = curve_of(display)
        np.testing.assert_array_equal(quality[1:], np.sort(QUALITY))
        assert ends[0] == 0 and ends[-1] == pytest.approx(1)
        expected = np.average(1 - QUALITY, weights=weight)
        assert np.diff(ends) @ (1 - quality[1:]) == pytest.approx(expected)
        assert display.ax_.lines[0].get_drawstyle() == "steps-pre"
        above, below = (area_of(filled) for filled in display.ax_.collections)
        assert (above, below) == (pytest.approx(expected), pytest.approx(1 - expected))
        doubted = np.average(QUALITY < 0.5, weights=weight)
        assert dot == (pytest.approx(doubted), 0.5)
        [told] = texts_of(display)
        assert told == f"{expected:.1%} expected wrong (orange area)\n{doubted:.1%} below 0.5 (dot)"
        display.figure_.canvas.draw()


def test_of_many_labels_some_points_are_drawn(pyplot):
    quality = np.random.default_rng(0).random(50_000)
    y = np.repeat(["a", "b"], 25_000)
    display = LabelQualityDisplay.from_estimator(fitted(y, quality, np.eye(2)), kind="quality")
    ends, curve, _ = curve_of(display)
    assert len(ends) == 2001
    np.testing.assert_allclose(curve, ends, atol=0.01)  # evenly distributed
    assert curve[-1] == quality.max()


def test_transitions_are_ordered_like_the_bars(pyplot):
    display = LabelQualityDisplay.from_estimator(fitted(), Y, kind="transition")
    [image] = display.ax_.images
    np.testing.assert_array_equal(image.get_array(), TRANSITION)
    assert image.get_clim() == (0, 1)  # pictures of two fits may be compared
    cells = {text.get_position(): text.get_text() for text in display.ax_.texts}
    numbered = {(0, 0): ".90", (1, 0): ".06", (0, 1): ".25", (1, 1): ".50", (2, 1): ".25"}
    assert cells == numbered | {(1, 2): ".19", (2, 2): ".80"}  # columns first
    weight = np.where(Y == "c", 5.0, 1.0)
    other = LabelQualityDisplay.from_estimator(fitted(weight=weight), kind="transition")
    order = [2, 0, 1]  # by the labels that are right, as no y was given
    np.testing.assert_array_equal(other.order_, order)
    np.testing.assert_array_equal(other.ax_.images[0].get_array(), TRANSITION[np.ix_(order, order)])
    assert names_of(other.ax_.xaxis) == names_of(other.ax_.yaxis) == ["c", "a", "b"]
    assert "label" in other.ax_.get_xlabel() and "class" in other.ax_.get_ylabel()
    other.figure_.canvas.draw()


def test_the_largest_errors_of_many_classes_are_listed(pyplot):
    names = np.array([f"class {k:02d} with a name that is long" for k in range(60)])
    y = np.repeat(names, 5)
    transition = 0.7 * np.eye(60) + 0.0001
    for k in range(12):
        transition[k, (7 * k + 5) % 60] = 0.1 + 0.01 * k
    transition[20, 30] = 0.04  # not worth a word
    estimator = fitted(y, np.full(300, 0.9), transition)
    display = LabelQualityDisplay.from_estimator(estimator, y, kind="transition")
    [told] = texts_of(display)
    lines = told.split("\n")
    assert lines[0] == "largest errors:" and len(lines) == 9
    assert lines[1] == "class 11 … is long → class 22 … is long  .21"
    [marks] = display.ax_.lines
    rows, columns = marks.get_ydata(), marks.get_xdata()
    np.testing.assert_allclose(transition[rows, columns], 0.21 - 0.01 * np.arange(8))
    display.figure_.canvas.draw()
    estimator.transition_matrix_ = np.eye(60)
    clean = LabelQualityDisplay.from_estimator(estimator, y, kind="transition")
    assert texts_of(clean) == [] and len(clean.ax_.lines) == 0


@pytest.mark.parametrize("n_classes", [30, 100, 300])
def test_names_do_not_overlap(pyplot, n_classes):
    names = np.array([f"{k:03d} and so on and so on" for k in range(n_classes)])
    y = np.repeat(names, 2)
    estimator = fitted(y, np.full(2 * n_classes, 0.9), np.eye(n_classes))
    for kind in ("classes", "transition"):
        display = LabelQualityDisplay.from_estimator(estimator, y, kind=kind)
        display.figure_.canvas.draw()
        shown = display.ax_.get_xticklabels()
        assert all(len(text.get_text()) == 18 for text in shown)
        assert len(shown) == n_classes if n_classes == 30 else len(shown) > 40
        # Fewer names than classes are still below their classes, here numbers.
        assert [int(text.get_text()[:3]) for text in shown] == display.ax_.get_xticks().tolist()
        boxes = [text.get_window_extent() for text in shown]
        gaps = [right.x0 - left.x1 for left, right in pairwise(boxes)]
        assert min(gaps) > -1  # pixels
        assert min(text.get_fontsize() for text in shown) >= 5.5


def test_shares_above_bars_do_not_overlap(pyplot):
    for n_classes, angle in ((8, 0), (60, 90), (300, None)):
        y = np.repeat(np.arange(n_classes), 3)
        estimator = fitted(y, np.full(3 * n_classes, 0.5), np.eye(n_classes))
        display = LabelQualityDisplay.from_estimator(estimator, y)
        display.figure_.canvas.draw()
        texts = display.ax_.texts
        assert {text.get_rotation() for text in texts} == ({angle} if angle is not None else set())
        boxes = [text.get_window_extent() for text in texts]
        assert all(a.x1 < b.x0 + 1 for a, b in pairwise(boxes))


def test_a_calibrator_is_drawn(pyplot):
    rng = np.random.default_rng(0)
    y = np.repeat(["cat", "dog", "eel"], [60, 30, 10])
    X = rng.normal(size=(100, 4)) + 6 * np.eye(4)[np.searchsorted(["cat", "dog", "eel"], y)]
    y[:12] = "dog"
    calibrator = RepresentationCalibrator(shrinkage=20).fit(X, y)
    display = LabelQualityDisplay.from_estimator(calibrator, y)
    right, wrong = heights_of(display)
    np.testing.assert_allclose(right, calibrator.effective_counts_)
    np.testing.assert_allclose(right + wrong, [48, 42, 10])
    assert wrong[1] == pytest.approx(12, abs=0.5)
    for kind in ("quality", "transition"):
        assert display.plot(kind) is display
    weight = rng.integers(1, 3, size=100).astype(float)
    calibrator.fit(X, y, sample_weight=weight)
    display = LabelQualityDisplay.from_estimator(calibrator, y, sample_weight=weight)
    right = heights_of(display)[0]
    np.testing.assert_allclose(right, calibrator.effective_counts_[display.order_])
    calibrator.set_params(recovery="paper").fit(X, y)
    with pytest.raises(
        AttributeError, match="this RepresentationCalibrator has no label_quality_;"
    ):
        LabelQualityDisplay.from_estimator(calibrator, y)


def test_given_axes_are_used(pyplot):
    figure, axes = pyplot.subplots(1, 3)
    display = LabelQualityDisplay.from_estimator(fitted(), Y, ax=axes[1])
    assert display.ax_ is axes[1] and display.figure_ is figure
    assert display.plot("quality", ax=axes[0]).ax_ is axes[0]
    assert display.plot("transition").figure_ is not figure
    with pytest.raises(TypeError, match="ax must be one matplotlib Axes, got ndarray"):
        display.plot(ax=axes)


def test_numbers_without_an_estimator(pyplot):
    display = LabelQualityDisplay(
        QUALITY,
        effective_counts=np.array([4.0, 0.0, 2.0]),
        transition=TRANSITION,
        class_names=np.array(["a", "b", "c"]),
        label_counts=np.array([5, 0, 4]),
    ).plot()
    np.testing.assert_array_equal(display.order_, [0, 2, 1])
    np.testing.assert_array_equal(heights_of(display).sum(axis=0), [5, 4, 0])
    assert texts_of(display) == ["20", "50", "0"]
    display.plot(log=True).figure_.canvas.draw()


@pytest.mark.parametrize(
    ("y", "options", "error", "message"),
    [
        (Y[1:], {}, ValueError, r"y must have shape \(13,\) as in fit, got \(12,\)"),
        (Y[:, None], {}, ValueError, r"got \(13, 1\)"),
        (np.where(Y == "a", "z", Y), {}, ValueError, "labels of the fit, got 'z'"),
        (np.arange(13), {}, ValueError, "labels of the fit, got 0"),
        (Y[::-1], {}, ValueError, "those of fit, in its order: by them .* labels of class"),
        (Y, {"sample_weight": np.full(13, 2.0)}, ValueError, "y and sample_weight must be those"),
        (Y, {"sample_weight": np.ones(12)}, ValueError, r"sample_weight must have shape \(13,\)"),
        *(
            (y, {"sample_weight": np.r_[np.ones(12), value]}, ValueError, "must be finite, not neg")
            for y in (Y, None)
            for value in (np.nan, np.inf, -1.0)
        ),
        (
            None,
            {"sample_weight": np.zeros(13)},
            ValueError,
            "not negative and not all 0, as in fit",
        ),
        (Y, {"class_names": ["a", "b"]}, ValueError, r"class_names must have shape \(3,\), got"),
        (Y, {"kind": "rows"}, ValueError, "kind must be one of .*'quality', .* got 'rows'"),
        (None, {"kind": "classes"}, ValueError, "kind='classes' counts labels: pass y"),
        (Y, {"log": "yes"}, TypeError, "log must be True, False or None; got 'yes'"),
    ],
)
def test_wrong_input_is_refused(pyplot, y, options, error, message):
    with pytest.raises(error, match=message):
        LabelQualityDisplay.from_estimator(fitted(), y, **options)
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize(("count", "scale"), [(0.0, "linear"), (0.1, "log"), (30.0, "linear")])
def test_a_class_without_labels_is_no_long_tail(pyplot, count, scale):
    counts = np.array([100.0, count, 50.0])
    display = LabelQualityDisplay(
        QUALITY,
        effective_counts=counts,
        transition=TRANSITION,
        class_names=np.array(["a", "b", "c"]),
        label_counts=counts,
    ).plot()
    assert display.ax_.get_yscale() == scale
    assert count == 0 or display.ax_.get_ylim()[0] < count


def test_rounding_makes_no_labels_wrong(pyplot):
    counts = np.array([5, 1, 4])
    right, wrong = heights_of(
        LabelQualityDisplay(
            QUALITY,
            effective_counts=np.nextafter(counts, np.inf),
            transition=TRANSITION,
            class_names=np.array(["a", "b", "c"]),
            label_counts=counts,
        ).plot()
    )
    np.testing.assert_array_equal(right, [5, 4, 1])
    np.testing.assert_array_equal(wrong, 0)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_another_order_is_refused_whatever_the_scale_of_the_weights(pyplot, scale):
    weight = np.full(13, scale)
    estimator = fitted(weight=weight)
    LabelQualityDisplay.from_estimator(estimator, Y, sample_weight=weight)
    with pytest.raises(ValueError, match="those of fit, in its order"):
        LabelQualityDisplay.from_estimator(estimator, Y[::-1], sample_weight=weight)


def test_absent_matplotlib_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'LabelQualityDisplay .*"clusterlib-native\[plot\]"'):
        LabelQualityDisplay.from_estimator(fitted(), Y)
