"""Shares of classes by domain: points with intervals, or bars that fill up."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from clusterlib.plotting import LabelMarginalDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture
def pyplot():
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.fixture
def marginals():
    return np.random.default_rng(0).dirichlet(np.ones(3), size=5)


def around(marginals, reach=0.05):
    return np.clip([marginals - reach, marginals + reach], 0, 1)


def legend_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_bars_fill_up(pyplot, marginals):
    display = LabelMarginalDisplay.from_marginals(marginals)
    bars = np.array(display.ax_.patches).reshape(3, 5)
    for y in range(3):
        for d in range(5):
            assert bars[y, d].get_height() == pytest.approx(marginals[d, y])
            assert bars[y, d].get_y() == pytest.approx(marginals[d, :y].sum())
            assert bars[y, d].get_x() + bars[y, d].get_width() / 2 == pytest.approx(d)
    assert legend_of(display) == ["0", "1", "2"]
    display.figure_.canvas.draw()


def test_points_stand_in_their_intervals(pyplot, marginals):
    interval = around(marginals)
    display = LabelMarginalDisplay.from_marginals(
        marginals, interval=interval, domain_names=list("abcde"), class_names=["x", "y", "z"]
    )
    points = [line for line in display.ax_.lines if line.get_marker() == "o"]
    assert len(points) == len(display.ax_.collections) == 3
    for y, (line, bars) in enumerate(zip(points, display.ax_.collections, strict=True)):
        np.testing.assert_array_equal(line.get_ydata(), marginals[:, y])
        ends = np.array([segment[:, 1] for segment in bars.get_segments()])
        np.testing.assert_array_equal(ends.T, interval[:, :, y])
        places = np.array([segment[0, 0] for segment in bars.get_segments()])
        np.testing.assert_array_equal(places, line.get_xdata())
        np.testing.assert_array_equal(np.round(places), np.arange(5))
    assert legend_of(display) == ["x", "y", "z"]
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == list("abcde")
    assert display.ax_.get_ylim() == (0, 1)


def test_fitted_shares_are_drawn(pyplot, marginals):
    names, interval = np.array(list("abcde")), around(marginals)
    fitted = SimpleNamespace(label_marginals_=marginals, domains_=names)
    plain = LabelMarginalDisplay.from_estimator(fitted, class_names=["x", "y", "z"])
    assert plain.interval is None and legend_of(plain) == ["x", "y", "z"]
    np.testing.assert_array_equal(plain.domain_names, names)
    pair = SimpleNamespace(lower=interval[0], upper=interval[1])
    for given in (interval, pair):
        display = LabelMarginalDisplay.from_estimator(fitted, interval=given)
        np.testing.assert_array_equal(display.interval, interval)
    fitted.label_marginals_interval_ = interval
    np.testing.assert_array_equal(LabelMarginalDisplay.from_estimator(fitted).interval, interval)


def test_many_domains_and_classes_lose_their_names(pyplot):
    many = np.random.default_rng(0).dirichlet(np.ones(30), size=60)
    display = LabelMarginalDisplay.from_marginals(many, interval=around(many))
    assert display.ax_.get_legend() is None
    assert len(display.ax_.get_xticks()) < 60
    display.figure_.canvas.draw()


def test_one_domain_of_one_class(pyplot):
    display = LabelMarginalDisplay.from_marginals([[1.0]], interval=[[[0.9]], [[1.0]]])
    display.figure_.canvas.draw()
    assert display.ax_.get_xlim() == (-0.5, 0.5)


def test_given_axes_are_used(pyplot, marginals):
    figure, (left, right) = pyplot.subplots(1, 2)
    display = LabelMarginalDisplay.from_marginals(marginals, ax=right)
    assert display.ax_ is right and display.figure_ is figure
    again = display.plot()
    assert again is display and display.figure_ is not figure
    with pytest.raises(TypeError, match="ax must be one matplotlib Axes, got ndarray"):
        display.plot(ax=np.array([left, right]))


@pytest.mark.parametrize(
    ("marginals", "options", "message"),
    [
        (np.ones(3), {}, r"matrix with entries, got shape \(3,\)"),
        (np.ones((0, 2)), {}, r"matrix with entries, got shape \(0, 2\)"),
        ([[1.5, -0.5]], {}, "negative or NaN, got -0.5"),
        ([[np.nan, 1.0]], {}, "negative or NaN, got nan"),
        ([[0.5, 0.5], [0.5, 0.25]], {}, "sum to 1, row 1 sums to 0.75"),
        ([[1.0, 0.0]], {"domain_names": "ab"}, r"domain_names must have shape \(1,\), got \(\)"),
        ([[1.0, 0.0]], {"class_names": ["a"]}, r"class_names must have shape \(2,\), got \(1,\)"),
        ([[1.0, 0.0]], {"interval": [[0, 1]]}, r"shape \(2, 1, 2\), got \(1, 2\)"),
        ([[1.0, 0.0]], {"interval": [[[0.5, 0]], [[0.4, 1]]]}, "must not be above the upper ends"),
        ([[1.0, 0.0]], {"interval": [[[0.5, np.nan]], [[1, 1]]]}, "upper ends, or NaN"),
    ],
)
def test_wrong_input_is_refused(pyplot, marginals, options, message):
    with pytest.raises(ValueError, match=message):
        LabelMarginalDisplay.from_marginals(marginals, **options)
    assert pyplot.get_fignums() == []


def test_estimators_without_shares_are_named():
    with pytest.raises(AttributeError, match="this SimpleNamespace has no label_marginals_; call"):
        LabelMarginalDisplay.from_estimator(SimpleNamespace())


def test_absent_matplotlib_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'LabelMarginalDisplay .*"clusterlib-native\[plot\]"'):
        LabelMarginalDisplay.from_marginals([[1.0]])
