"""Sizes of classes as bars, with their subclasses in front of them."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from clusterlib.plotting import SubclassSizeDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

SIZES, PARENT = np.array([5, 9, 8, 9, 7, 10]), np.array([0, 1, 1, 1, 2, 2])


@pytest.fixture
def pyplot():
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def bars_of(display):
    """(heights, left ends, right ends) of the bars of classes, then of subclasses."""
    return [
        np.array([(b.get_height(), b.get_x(), b.get_x() + b.get_width()) for b in bars]).T
        for bars in display.ax_.containers
    ]


def labels_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def names_of(display):
    return [text.get_text() for text in display.ax_.get_xticklabels()]


def test_classes_fall_and_subclasses_stand_in_them(pyplot):
    display = SubclassSizeDisplay.from_sizes(SIZES, PARENT, threshold=9.5, class_names=list("abc"))
    np.testing.assert_array_equal(display.order_, [1, 2, 0])
    assert names_of(display) == ["b", "c", "a"]
    classes, subclasses = bars_of(display)
    np.testing.assert_array_equal(classes[0], [26, 17, 5])
    for place, sizes in enumerate([[9, 9, 8], [10, 7], [5]]):
        inside = (subclasses[1] >= classes[1, place]) & (subclasses[2] <= classes[2, place])
        heights, left, right = subclasses[:, inside]
        by_place = np.argsort(left)
        np.testing.assert_array_equal(heights[by_place], sizes)
        assert (left[by_place][1:] >= right[by_place][:-1]).all()  # side by side
    [line] = display.ax_.lines
    assert set(line.get_ydata()) == {9.5}
    assert sorted(labels_of(display)) == ["class", "subclass", "threshold"]
    display.figure_.canvas.draw()


def test_a_long_tail_gets_a_logarithmic_axis_unless_told_otherwise(pyplot):
    long = [10] * 10 + [5]  # 20 times
    parent = [0] * 10 + [1]
    assert SubclassSizeDisplay.from_sizes(long, parent).ax_.get_yscale() == "log"
    short = [9] * 11 + [5]  # 19.8 times the smallest class
    assert SubclassSizeDisplay.from_sizes(short, [0] * 11 + [1]).ax_.get_yscale() == "linear"
    assert SubclassSizeDisplay.from_sizes(long, parent, log=False).ax_.get_yscale() == "linear"
    assert SubclassSizeDisplay.from_sizes(SIZES, PARENT).ax_.get_yscale() == "linear"
    logarithmic = SubclassSizeDisplay.from_sizes(SIZES, PARENT, log=True)
    assert logarithmic.ax_.get_yscale() == "log"
    assert 0 < logarithmic.ax_.get_ylim()[0] < 5
    logarithmic.figure_.canvas.draw()


def test_fitted_estimators_are_drawn(pyplot):
    balancer = SimpleNamespace(
        subclass_sizes_=SIZES, parent_=PARENT, threshold_=10, classes_=np.array(["u", "v", "w"])
    )
    display = SubclassSizeDisplay.from_estimator(balancer)
    assert names_of(display) == ["v", "w", "u"]
    assert display.threshold == 10
    wrapped = SubclassSizeDisplay.from_estimator(
        SimpleNamespace(balancer_=balancer), class_names=["x", "y", "z"]
    )
    assert names_of(wrapped) == ["y", "z", "x"]
    np.testing.assert_array_equal(wrapped.subclass_sizes, SIZES)


def test_many_classes_lose_their_names_and_long_names_stand_up(pyplot):
    many = SubclassSizeDisplay.from_sizes(np.arange(1, 61), np.arange(60))
    assert len(many.ax_.get_xticks()) < 60
    long = SubclassSizeDisplay.from_sizes([1, 1, 1], [0, 1, 2], class_names=["x" * 30] * 3)
    assert {text.get_rotation() for text in long.ax_.get_xticklabels()} == {90}
    for display in (many, long):
        display.figure_.canvas.draw()


def test_one_class_without_a_threshold(pyplot):
    display = SubclassSizeDisplay.from_sizes([3], [0])
    assert list(display.ax_.lines) == []
    assert display.ax_.get_xlim() == (-0.6, 0.6)
    display.figure_.canvas.draw()


def test_given_axes_are_used(pyplot):
    figure, (left, right) = pyplot.subplots(1, 2)
    display = SubclassSizeDisplay.from_sizes(SIZES, PARENT, ax=right)
    assert display.ax_ is right and display.figure_ is figure
    again = display.plot()
    assert again is display and display.figure_ is not figure
    with pytest.raises(TypeError, match="ax must be one matplotlib Axes, got ndarray"):
        display.plot(ax=np.array([left, right]))


@pytest.mark.parametrize(
    ("sizes", "parent", "options", "error", "message"),
    [
        ([1, 2], [0], {}, ValueError, r"same length, at least 1; got shapes \(2,\) and \(1,\)"),
        ([], [], {}, ValueError, r"got shapes \(0,\)"),
        ([[1]], [[0]], {}, ValueError, r"got shapes \(1, 1\)"),
        ([1, 0], [0, 1], {}, ValueError, "subclass_sizes must be finite and above 0, got 0"),
        ([1, np.nan], [0, 1], {}, ValueError, "above 0, got nan"),
        ([1, np.inf], [0, 1], {}, ValueError, "above 0, got inf"),
        (["a", "b"], [0, 1], {}, TypeError, "subclass_sizes must hold numbers, got <U1"),
        ([1, 2], [0, 10**12], {}, ValueError, r"got the classes \[0, 1000000000000\]"),
        ([1], [0], {"threshold": "M"}, TypeError, "threshold must be a number or None, got 'M'"),
        ([1, 2], [0.0, 1.0], {}, TypeError, "parent must hold integers, got float64"),
        ([1, 2], [0, 2], {}, ValueError, r"a subclass in each; got the classes \[0, 2\]"),
        ([1, 2], [-1, 0], {}, ValueError, r"from 0 .* got the classes \[-1, 0\]"),
        ([1], [0], {"threshold": 0}, ValueError, "threshold must be finite and above 0, got 0"),
        ([1], [0], {"threshold": np.nan}, ValueError, "above 0, got nan"),
        ([1], [0], {"class_names": "ab"}, ValueError, r"shape \(1,\), got \(\)"),
        ([1], [0], {"log": "yes"}, TypeError, "log must be True, False or None; got 'yes'"),
    ],
)
def test_wrong_input_is_refused(pyplot, sizes, parent, options, error, message):
    with pytest.raises(error, match=message):
        SubclassSizeDisplay.from_sizes(sizes, parent, **options)
    assert pyplot.get_fignums() == []


def test_estimators_without_subclasses_are_named():
    with pytest.raises(AttributeError, match="this SimpleNamespace has no subclass_sizes_; call"):
        SubclassSizeDisplay.from_estimator(SimpleNamespace())


def test_absent_matplotlib_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'SubclassSizeDisplay .*"clusterlib-native\[plot\]"'):
        SubclassSizeDisplay.from_sizes([1], [0])
