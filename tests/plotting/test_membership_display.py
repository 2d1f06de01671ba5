"""The heat map shows W D^-1 W' in the order of the clusters, averaged where it is large."""

import itertools
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from clusterlib.cluster import SDPClustering
from clusterlib.datasets import make_gaussian_mixture, make_separated_mixture
from clusterlib.plotting import MembershipDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture
def pyplot():
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.fixture
def soft():
    """A factor with more columns than clusters, and the labels of its pairs of columns."""
    W = np.random.default_rng(0).dirichlet(np.full(6, 0.2), size=40)
    return W, W.argmax(axis=1) // 2


def dense(W, labels):
    """Z_ij sqrt(n_i n_j) in the order of the picture, with the matrix of all pairs."""
    Z = W @ np.diag(1 / W.sum(axis=0)) @ W.T
    weights = np.sqrt(np.bincount(labels))[labels]
    order = np.lexsort((-W.max(axis=1), W.argmax(axis=1), labels))
    return (Z * weights[:, None] * weights)[np.ix_(order, order)]


def drawn(display):
    (mesh,) = display.ax_.collections
    return np.asarray(mesh.get_array()).reshape(display.together.shape)


def test_a_partition_gives_black_squares(pyplot):
    labels = np.array([2, 0, 0, 1, 2, 0, 0])
    display = MembershipDisplay.from_membership(np.eye(3)[labels])
    expected = np.zeros((7, 7))
    for part in (slice(0, 4), slice(4, 5), slice(5, 7)):
        expected[part, part] = 1
    np.testing.assert_allclose(drawn(display), expected, atol=1e-15)
    np.testing.assert_array_equal(display.cluster_edges, [0, 4, 5, 7])
    np.testing.assert_array_equal(display.cluster_names, [0, 1, 2])
    horizontal = [set(line.get_ydata()) for line in display.ax_.lines[::2]]
    vertical = [set(line.get_xdata()) for line in display.ax_.lines[1::2]]
    assert horizontal == vertical == [{4}, {5}]
    assert display.ax_.get_ylim() == (7, 0) and display.ax_.get_xlim() == (0, 7)
    display.figure_.canvas.draw()


def test_every_pair_of_rows_is_shown_while_there_is_room(pyplot, soft):
    W, labels = soft
    display = MembershipDisplay.from_membership(W, labels=labels)
    np.testing.assert_allclose(display.together, dense(W, labels), atol=1e-14)
    np.testing.assert_array_equal(display.cell_edges, np.arange(41))


@pytest.mark.parametrize("max_cells", [3, 7, 16, 39])
def test_cells_are_means_over_their_rows(pyplot, soft, max_cells):
    W, labels = soft
    display = MembershipDisplay.from_membership(W, labels=labels, max_cells=max_cells)
    edges, together = display.cell_edges, dense(W, labels)
    assert len(edges) - 1 <= max_cells and set(display.cluster_edges) <= set(edges)
    assert (np.diff(edges) >= 1).all() and edges[0] == 0 and edges[-1] == 40
    for i, rows in enumerate(itertools.pairwise(edges)):
        for j, columns in enumerate(itertools.pairwise(edges)):
            expected = together[slice(*rows), slice(*columns)].mean()
            assert display.together[i, j] == pytest.approx(expected, abs=1e-14)


def test_many_rows_need_no_matrix_of_all_pairs(pyplot):
    n = 200_000  # whose pairs would take 320 GB
    labels = np.arange(n) % 3
    display = MembershipDisplay.from_membership(np.eye(5)[labels], labels=labels, max_cells=60)
    assert display.together.shape[0] <= 60
    assert set(np.round(display.together.ravel(), 12)) == {0.0, 1.0}


def test_fitted_memberships_are_drawn(pyplot, soft):
    W, labels = soft
    for name in ("membership_", "memberships_"):
        estimator = SimpleNamespace(labels_=labels, **{name: W})
        display = MembershipDisplay.from_estimator(estimator)
        np.testing.assert_allclose(display.together, dense(W, labels), atol=1e-14)


def test_the_relaxation_of_k_means_is_drawn(pyplot):
    X, _ = make_separated_mixture(60, 4, n_clusters=3, separation=3, random_state=0)
    estimator = SDPClustering(3, random_state=0).fit(X)
    display = MembershipDisplay.from_estimator(estimator)
    expected = dense(estimator.membership_, estimator.labels_)
    np.testing.assert_allclose(display.together, expected, atol=1e-12)
    # At this separation some rows stay undecided.
    assert ((display.together > 0.05) & (display.together < 0.95)).any()
    np.testing.assert_array_equal(display.cluster_names, np.unique(estimator.labels_))


def test_new_rows_are_drawn_by_their_probabilities(pyplot):
    X, _ = make_gaussian_mixture(60, 2, separation=2, random_state=0)
    mixture = GaussianMixture(3, random_state=0).fit(X)
    display = MembershipDisplay.from_estimator(mixture, X[:30])
    expected = dense(mixture.predict_proba(X[:30]), mixture.predict(X[:30]))
    np.testing.assert_allclose(display.together, expected, atol=1e-14)


def test_names_of_clusters_may_be_strings(pyplot):
    labels = np.array(list("bab"))
    display = MembershipDisplay.from_membership(np.eye(2)[[0, 1, 0]], labels=labels)
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == ["a", "b"]
    np.testing.assert_array_equal(display.cluster_edges, [0, 1, 3])


def test_an_empty_column_and_one_cluster(pyplot):
    W = np.column_stack([np.ones(5), np.zeros(5)])
    display = MembershipDisplay.from_membership(W)
    np.testing.assert_allclose(display.together, 1)
    display.figure_.canvas.draw()


def test_given_axes_are_used(pyplot, soft):
    figure, (left, right) = pyplot.subplots(1, 2)
    display = MembershipDisplay.from_membership(soft[0], ax=right)
    assert display.ax_ is right and display.figure_ is figure
    again = display.plot()
    assert again is display and display.figure_ is not figure
    with pytest.raises(TypeError, match="ax must be one matplotlib Axes, got ndarray"):
        display.plot(ax=np.array([left, right]))


@pytest.mark.parametrize(
    ("W", "options", "message"),
    [
        (np.ones(3), {}, r"matrix with entries, got shape \(3,\)"),
        (np.ones((0, 2)), {}, r"matrix with entries, got shape \(0, 2\)"),
        ([[2.0, -1.0]], {}, "negative or NaN, got -1.0"),
        ([[np.nan, 1.0]], {}, "negative or NaN, got nan"),
        ([[0.5, 0.5], [0.5, 0.25]], {}, "sum to 1, row 1 sums to 0.75"),
        ([[1.0, 0.0]], {"labels": [0, 1]}, r"labels must have shape \(1,\), got \(2,\)"),
        (np.eye(3), {"max_cells": 2}, "at least the 3 clusters, got 2"),
        (np.eye(3), {"max_cells": 4.0}, "max_cells must be an integer"),
    ],
)
def test_wrong_input_is_refused(pyplot, W, options, message):
    with pytest.raises(ValueError, match=message):
        MembershipDisplay.from_membership(W, **options)
    assert pyplot.get_fignums() == []


def test_estimators_without_memberships_are_named(pyplot):
    with pytest.raises(AttributeError, match="this SimpleNamespace has no memberships"):
        MembershipDisplay.from_estimator(SimpleNamespace())
    with pytest.raises(AttributeError, match="no memberships of new rows: no predict_proba"):
        MembershipDisplay.from_estimator(SimpleNamespace(), np.eye(2))


def test_absent_matplotlib_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'MembershipDisplay .*"clusterlib-native\[plot\]"'):
        MembershipDisplay.from_membership(np.eye(2))
