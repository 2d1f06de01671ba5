"""The picture of an alignment shows queries and the way of each prototype in one plane."""

import sys

import numpy as np
import pytest

from clusterlib.plotting import PrototypeAlignmentDisplay
from clusterlib.transport import OTPrototypeClassifier

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

RNG = np.random.default_rng(0)
QUERIES = RNG.normal(size=(60, 6)) * [5, 3, 1, 0.5, 0.2, 0.1] + 10
BEFORE, AFTER = RNG.normal(size=(2, 3, 6)) + 10
CLASSES = np.array(["ant", "bee", "cat"])
LABELS = CLASSES[RNG.integers(0, 3, size=60)]


@pytest.fixture
def pyplot():
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def drawn_points(display):
    return [np.asarray(collection.get_offsets()) for collection in display.ax_.collections]


def test_points_and_ways_are_drawn(pyplot):
    display = PrototypeAlignmentDisplay.from_alignment(
        QUERIES, BEFORE, AFTER, classes=CLASSES, query_labels=LABELS
    )
    queries, *prototypes = drawn_points(display)
    np.testing.assert_array_equal(queries, display.projected_queries)
    np.testing.assert_array_equal(np.vstack(prototypes[::2]), display.projected_before)
    np.testing.assert_array_equal(np.vstack(prototypes[1::2]), display.projected_after)
    ends = [arrow.xy for arrow in display.ax_.texts]
    starts = [arrow.xyann for arrow in display.ax_.texts]
    np.testing.assert_array_equal(ends, display.projected_after)
    np.testing.assert_array_equal(starts, display.projected_before)
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names == list(CLASSES)
    np.testing.assert_array_equal(CLASSES[display.query_labels], LABELS)
    colours = display.ax_.collections[0].get_facecolor()
    assert len(np.unique(colours, axis=0)) == 3
    display.figure_.canvas.draw()


def test_a_classifier_is_drawn_as_it_classifies(pyplot):
    support = np.repeat(BEFORE, 2, axis=0)
    classifier = OTPrototypeClassifier(normalize="l2").fit(support, np.repeat(CLASSES, 2))
    alignment = classifier.align(QUERIES)
    display = PrototypeAlignmentDisplay.from_estimator(classifier, QUERIES, LABELS)
    expected = PrototypeAlignmentDisplay.from_alignment(
        alignment.queries, alignment.prototypes_before, alignment.prototypes_after
    )
    np.testing.assert_array_equal(display.projected_queries, expected.projected_queries)
    np.testing.assert_array_equal(display.projected_before, expected.projected_before)
    np.testing.assert_array_equal(display.projected_after, expected.projected_after)
    np.testing.assert_array_equal(display.classes, classifier.classes_)
    np.testing.assert_array_equal(CLASSES[display.query_labels], LABELS)
    with pytest.raises(AttributeError, match="OTPrototypeClassifier is not fitted"):
        PrototypeAlignmentDisplay.from_estimator(OTPrototypeClassifier(), QUERIES)


def test_plane_is_the_one_in_which_queries_differ_most(pyplot):
    display = PrototypeAlignmentDisplay.from_alignment(QUERIES, BEFORE, AFTER)
    variances = np.linalg.eigvalsh(np.cov(QUERIES.T, bias=True))[::-1]
    shown = np.cov(display.projected_queries.T, bias=True)
    np.testing.assert_allclose(shown, np.diag(variances[:2]), atol=1e-10)
    ratio = variances[:2].sum() / variances.sum()
    assert display.explained_variance_ratio == pytest.approx(ratio)
    assert f"{ratio:.0%}" in display.ax_.get_title()
    # The same map for all: a prototype that lies on a query is drawn there.
    on_query = PrototypeAlignmentDisplay.from_alignment(QUERIES, BEFORE, QUERIES[:3])
    np.testing.assert_allclose(on_query.projected_after, on_query.projected_queries[:3])


def test_points_of_one_feature_are_drawn(pyplot):
    display = PrototypeAlignmentDisplay.from_alignment(
        QUERIES[:, :1], BEFORE[:, :1], AFTER[:, :1], query_labels=RNG.integers(0, 3, size=60)
    )
    assert not display.projected_queries[:, 1].any()
    display.figure_.canvas.draw()


def test_given_axes_are_used(pyplot):
    figure, (left, right) = pyplot.subplots(1, 2)
    display = PrototypeAlignmentDisplay.from_alignment(QUERIES, BEFORE, AFTER, ax=right)
    assert display.ax_ is right and display.figure_ is figure
    again = display.plot()
    assert again is display and display.figure_ is not figure
    with pytest.raises(TypeError, match="ax must be one matplotlib Axes, got list"):
        display.plot(ax=[left])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"queries": QUERIES[:, :3]}, r"as many features.* got \(60, 3\), \(3, 6\) and \(3, 6\)"),
        ({"after": AFTER[:2]}, r"as many rows; got \(60, 6\), \(3, 6\) and \(2, 6\)"),
        ({"queries": QUERIES[0]}, r"queries must be a matrix with rows, got shape \(6,\)"),
        ({"queries": QUERIES[:0]}, r"queries must be a matrix with rows, got shape \(0, 6\)"),
        ({"classes": CLASSES[:2]}, r"classes must have shape \(3,\), got \(2,\)"),
        ({"query_labels": LABELS[:2]}, r"query_labels must have shape \(60,\), got \(2,\)"),
        ({"query_labels": np.full(60, "dog")}, r"query_labels has .*'dog'.*, which is no class"),
    ],
)
def test_wrong_input_is_refused(pyplot, arguments, message):
    good = {"queries": QUERIES, "before": BEFORE, "after": AFTER, "classes": CLASSES}
    with pytest.raises(ValueError, match=message):
        PrototypeAlignmentDisplay.from_alignment(**(good | arguments))
    assert pyplot.get_fignums() == []


def test_absent_matplotlib_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="PrototypeAlignmentDisplay needs matplotlib"):
        PrototypeAlignmentDisplay.from_alignment(QUERIES, BEFORE, AFTER)
