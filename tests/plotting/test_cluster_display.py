"""The display shows what the estimator has found."""

import sys

import numpy as np
import pytest
from sklearn import cluster as sklearn_cluster

from clusterlib.cluster import (
    KMeans,
    MiniBatchKMeans,
    SDPClustering,
    SinkhornClustering,
    SphericalKMeans,
)
from clusterlib.datasets import make_gaussian_mixture, make_von_mises_fisher
from clusterlib.plotting import ClusterDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture
def pyplot():
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


@pytest.fixture(scope="module")
def X():
    return make_gaussian_mixture(600, 7, n_components=5, weights=[5, 4, 3, 2, 1], random_state=0)[0]


def drawn_points(ax):
    return [np.asarray(collection.get_offsets()) for collection in ax.collections]


@pytest.mark.parametrize(
    "estimator",
    [
        KMeans(5, random_state=0),
        MiniBatchKMeans(5, batch_size=64, random_state=0),
        sklearn_cluster.KMeans(5, n_init=1, random_state=0),
    ],
    ids=lambda estimator: type(estimator).__module__ + type(estimator).__name__,
)
def test_views_show_the_fitted_attributes(pyplot, X, estimator):
    estimator = estimator.fit(X)
    display = ClusterDisplay.from_estimator(estimator, X)
    sizes, history, plane = display.ax_
    assert display.figure_ is sizes.figure
    sizes_drawn = sizes.patches[0].get_data().values
    np.testing.assert_array_equal(sizes_drawn, np.sort(np.bincount(estimator.labels_))[::-1])
    expected = getattr(estimator, "history_", [])
    np.testing.assert_array_equal(history.lines[0].get_ydata(), expected)
    rows, centers = drawn_points(plane)
    assert rows.shape == (600, 2) and centers.shape == (5, 2)
    np.testing.assert_array_equal(plane.collections[0].get_array(), estimator.labels_)
    display.figure_.canvas.draw()


@pytest.mark.parametrize(
    ("estimator", "names", "scale"),
    [
        (KMeans(5, random_state=0), ("iteration", "squared moves of centres"), "log"),
        (MiniBatchKMeans(5, random_state=0), ("batch", "mean cost of a batch"), "log"),
        (SinkhornClustering(5, random_state=0), ("iteration", "objective"), "linear"),
        (SDPClustering(5, random_state=0), ("record", "error of the trace"), "log"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_course_of_a_fit_has_its_name(pyplot, X, estimator, names, scale):
    course = ClusterDisplay.from_estimator(estimator.fit(X)).ax_[1]
    assert (course.get_xlabel(), course.get_ylabel()) == names
    assert course.get_yscale() == scale
    (line,) = course.lines
    values = estimator.history_
    np.testing.assert_array_equal(line.get_ydata(), values[:, 2] if values.ndim == 2 else values)


def test_plane_is_the_one_in_which_clusters_differ_most(pyplot, X):
    estimator = KMeans(5, random_state=0).fit(X)
    display = ClusterDisplay.from_estimator(estimator, X)
    centers, sizes = estimator.cluster_centers_, estimator.cluster_sizes_
    between = np.cov(centers.T, fweights=sizes.astype(int), bias=True)
    variances, axes = np.linalg.eigh(between)
    shown = np.cov(display.projected_centers.T, fweights=sizes.astype(int), bias=True)
    np.testing.assert_allclose(shown, np.diag(variances[::-1][:2]), atol=1e-10)
    ratio = variances[-2:].sum() / variances.sum()
    assert display.explained_variance_ratio == pytest.approx(ratio)
    # The same map for rows: the mean of the drawn rows of a cluster is its drawn centre.
    means = [display.projected_rows[estimator.labels_ == c].mean(axis=0) for c in range(5)]
    np.testing.assert_allclose(means, display.projected_centers, atol=1e-10)
    assert f"{ratio:.0%}" in display.ax_[2].get_title()
    assert abs(axes[:, -1] @ (centers[0] - centers[1])) == pytest.approx(
        abs(display.projected_centers[0, 0] - display.projected_centers[1, 0])
    )


def test_directions_are_drawn_on_the_sphere(pyplot):
    X, _ = make_von_mises_fisher(300, 6, n_components=3, random_state=0)
    scaled = X * np.linspace(0.01, 100, 300)[:, None]
    estimator = SphericalKMeans(3, random_state=0).fit(X)
    np.testing.assert_allclose(
        ClusterDisplay.from_estimator(estimator, scaled).projected_rows,
        ClusterDisplay.from_estimator(estimator, X).projected_rows,
        atol=1e-12,
    )


def test_many_rows_are_thinned_and_labelled(pyplot, X):
    estimator = KMeans(5, random_state=0).fit(X)
    display = ClusterDisplay.from_estimator(estimator, X, max_rows=100)
    assert display.projected_rows.shape == (100, 2)
    new = ClusterDisplay.from_estimator(estimator, X[:50])
    np.testing.assert_array_equal(new.labels, estimator.predict(X[:50]))


def test_estimator_without_rows_or_history(pyplot, X):
    estimator = MiniBatchKMeans(5, compute_labels=False, random_state=0).partial_fit(X)
    display = ClusterDisplay.from_estimator(estimator)
    assert display.projected_rows is None and len(drawn_points(display.ax_[2])) == 1
    assert len(display.history) == 0
    np.testing.assert_array_equal(display.cluster_sizes, estimator.counts_)
    display.figure_.canvas.draw()


@pytest.mark.parametrize(("n_clusters", "n_features"), [(1, 3), (2, 1), (1, 1), (4, 1)])
def test_plane_of_few_clusters_or_features(pyplot, n_clusters, n_features):
    X = np.random.default_rng(0).normal(size=(30, n_features))
    display = ClusterDisplay.from_estimator(KMeans(n_clusters, random_state=0).fit(X), X)
    assert display.projected_centers.shape == (n_clusters, 2)
    assert display.explained_variance_ratio == pytest.approx(1.0)
    display.figure_.canvas.draw()


def test_given_axes_are_used(pyplot, X):
    figure, axes = pyplot.subplots(1, 3)
    display = ClusterDisplay.from_estimator(KMeans(5, random_state=0).fit(X), X, ax=axes)
    assert display.figure_ is figure and all(a is b for a, b in zip(display.ax_, axes, strict=True))
    again = display.plot()
    assert again is display and display.figure_ is not figure
    with pytest.raises(ValueError, match="3 axes"):
        display.plot(ax=axes[:2])


def test_wrong_input_is_refused(pyplot, X):
    with pytest.raises(AttributeError, match="KMeans is not fitted"):
        ClusterDisplay.from_estimator(KMeans(5), X)
    estimator = KMeans(5, random_state=0).fit(X)
    with pytest.raises(ValueError, match=r"\(n_samples, 7\)"):
        ClusterDisplay.from_estimator(estimator, X[:, :3])
    with pytest.raises(ValueError, match="max_rows"):
        ClusterDisplay.from_estimator(estimator, X, max_rows=0)


def test_absent_matplotlib_is_named(X, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'pip install "clusterlib-native\[plot\]"'):
        ClusterDisplay.from_estimator(KMeans(5, random_state=0).fit(X), X)
