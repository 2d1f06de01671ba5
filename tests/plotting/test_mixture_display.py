"""The ellipses are those of the covariances, in whatever shape and coordinates they are kept."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from clusterlib.cluster import LikelihoodAdjustedSDP
from clusterlib.datasets import make_heterogeneous_mixture
from clusterlib.plotting import MixtureDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture
def pyplot():
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def fitted(setting, **options):
    """A fit that found the truth."""
    mixture = make_heterogeneous_mixture(setting, 90, random_state=0, **options)
    return mixture.X, SimpleNamespace(
        means_=mixture.means,
        covariances_=mixture.covariances,
        covariance_type_="full",
        weights_=mixture.weights,
        labels_=mixture.labels,
        components_=None,
    )


def on_ellipse(ellipse, n_points=7):
    """Some points of a drawn ellipse."""
    turn = np.linspace(0, 2 * np.pi, n_points, endpoint=False)
    return ellipse.get_patch_transform().transform(np.column_stack([np.cos(turn), np.sin(turn)]))


def assert_ellipses_are(display, means, covariances):
    assert len(display.ax_.patches) == 2 * len(means)
    for number, ellipse in enumerate(display.ax_.patches):
        mean, covariance = means[number // 2], covariances[number // 2]
        deviations = on_ellipse(ellipse) - mean
        squares = np.einsum("ij,jk,ik->i", deviations, np.linalg.inv(covariance), deviations)
        np.testing.assert_allclose(squares, (1 + number % 2) ** 2, rtol=1e-9)


def test_two_features_are_drawn_as_they_are(pyplot):
    X, estimator = fitted("elongated")
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    estimator.covariances_ = turn @ estimator.covariances_ @ turn.T
    display = MixtureDisplay.from_estimator(estimator, X)
    assert_ellipses_are(display, estimator.means_, estimator.covariances_)
    rows, means = display.ax_.collections
    np.testing.assert_array_equal(rows.get_offsets(), X)
    np.testing.assert_array_equal(means.get_offsets(), estimator.means_)
    colors = rows.get_facecolors()[:, :3]
    for group in range(3):
        edges = display.ax_.patches[2 * group].get_edgecolor()[:3]
        assert (colors[estimator.labels_ == group] == edges).all()
    assert display.ax_.get_xlabel() == "feature 0" and display.ax_.get_title() == ""
    display.figure_.canvas.draw()


def test_chosen_features_are_the_axes(pyplot):
    X, estimator = fitted("crossed")
    display = MixtureDisplay.from_estimator(estimator, X, features=(3, 1))
    chosen = [3, 1]
    assert_ellipses_are(
        display, estimator.means_[:, chosen], estimator.covariances_[:, chosen][:, :, chosen]
    )
    np.testing.assert_array_equal(display.rows, X[:, chosen])
    assert display.axis_names == ("feature 3", "feature 1")


def test_principal_axes_of_the_mixture(pyplot):
    X, estimator = fitted("crossed")
    display = MixtureDisplay.from_estimator(estimator, X)
    mean = estimator.weights_ @ estimator.means_
    deviations = estimator.means_ - mean
    total = np.einsum("k,kij->ij", estimator.weights_, estimator.covariances_)
    total += (deviations.T * estimator.weights_) @ deviations
    variances, directions = np.linalg.eigh(total)
    axes = directions[:, [-1, -2]]
    axes *= np.sign(np.sum(axes * (display.rows.T @ (X - mean)).T, axis=0))
    np.testing.assert_allclose(display.rows, (X - mean) @ axes, atol=1e-9)
    assert_ellipses_are(display, deviations @ axes, axes.T @ estimator.covariances_ @ axes)
    share = variances[-2:].sum() / variances.sum()
    assert display.title == f"{share:.0%} of the variance of the mixture"


@pytest.mark.parametrize(
    ("kind", "covariances"),
    [
        ("tied", [[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 3.0]]),
        ("diag", [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]),
        ("spherical", [1.0, 4.0, 9.0]),
    ],
)
def test_covariances_of_any_shape(pyplot, kind, covariances):
    """As many groups as features, where only the kind tells a tied from a diagonal shape."""
    covariances = np.array(covariances)
    matrices = {
        "tied": lambda: np.repeat(covariances[None], 3, axis=0),
        "diag": lambda: covariances[:, :, None] * np.eye(3),
        "spherical": lambda: covariances[:, None, None] * np.eye(3),
    }[kind]()
    means = np.arange(9.0).reshape(3, 3) ** 2
    for name in ("covariance_type", "covariance_type_"):
        estimator = SimpleNamespace(means_=means, covariances_=covariances, **{name: kind})
        display = MixtureDisplay.from_estimator(estimator, features=(0, 1))
        assert_ellipses_are(display, means[:, :2], matrices[:, :2, :2])
        assert display.rows is None


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_mixtures_of_scikit_learn(pyplot, kind):
    X, _ = fitted("crossed")
    mixture = GaussianMixture(3, covariance_type=kind, random_state=0).fit(X)
    display = MixtureDisplay.from_estimator(mixture, X, features=[0, 2])
    np.testing.assert_array_equal(display.labels, mixture.predict(X))
    precisions = mixture.precisions_
    if kind == "full":
        covariances = np.linalg.inv(precisions)
    elif kind == "tied":
        covariances = np.repeat(np.linalg.inv(precisions)[None], 3, axis=0)
    else:
        covariances = (1 / precisions.reshape(3, -1))[:, :, None] * np.eye(4)
    assert_ellipses_are(display, mixture.means_[:, [0, 2]], covariances[:, [0, 2]][:, :, [0, 2]])


@pytest.mark.parametrize("features", [None, (0, 4)])
def test_covariances_on_components_are_lifted(pyplot, features):
    """With noise in the other directions, they are covariances of all features."""
    X, estimator = fitted("long_axes", n_features=6)
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 3)))[0].T
    small = axes @ estimator.covariances_ @ axes.T
    lifted = axes.T @ small @ axes + 0.7 * (np.eye(6) - axes.T @ axes)
    estimator.means_ = estimator.means_ @ axes.T @ axes
    estimator.covariances_, estimator.components_ = small, axes
    estimator.noise_variance_ = 0.7
    display = MixtureDisplay.from_estimator(estimator, X, features=features)
    estimator.covariances_, estimator.components_ = lifted, None
    expected = MixtureDisplay.from_estimator(estimator, X, features=features)
    signs = np.sign(np.sum(display.rows * expected.rows, axis=0))
    np.testing.assert_allclose(display.rows * signs, expected.rows, atol=1e-8)
    np.testing.assert_allclose(
        display.covariances * np.outer(signs, signs), expected.covariances, atol=1e-8
    )
    assert display.title == expected.title


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_groups_found_on_components_lie_around_their_rows(pyplot, kind):
    X, _ = fitted("long_axes", n_features=20)
    estimator = LikelihoodAdjustedSDP(
        3, covariance_type=kind, n_components=6, n_init=2, random_state=0
    ).fit(X)
    display = MixtureDisplay.from_estimator(estimator, X)
    np.testing.assert_array_equal(display.labels, estimator.labels_)
    assert display.covariances.shape == (3, 2, 2)
    precisions = np.linalg.inv(display.covariances)[estimator.labels_]
    deviations = display.rows - display.means[estimator.labels_]
    squares = np.einsum("ij,ijk,ik->i", deviations, precisions, deviations)
    # 2 on average for the covariance of the rows; a diagonal one lets the plane be wider.
    assert 0.8 <= squares.mean() <= 2.4


def test_many_rows_are_thinned_and_labelled(pyplot):
    X, estimator = fitted("crossed")
    display = MixtureDisplay.from_estimator(estimator, X, max_rows=10)
    assert display.rows.shape == (10, 2) and len(display.labels) == 10
    estimator.predict = lambda rows: np.ones(len(rows), dtype=int)
    new = MixtureDisplay.from_estimator(estimator, X[:20])
    np.testing.assert_array_equal(new.labels, np.ones(20))


def test_one_feature_and_one_group(pyplot):
    estimator = SimpleNamespace(means_=np.array([[3.0]]), covariances_=np.array([4.0]))
    display = MixtureDisplay.from_estimator(estimator)
    first, second = display.ax_.patches
    assert (first.width, first.height, second.width) == pytest.approx((4, 0, 8))
    assert display.title == "100% of the variance of the mixture"
    display.figure_.canvas.draw()


def test_given_axes_are_used(pyplot):
    _, estimator = fitted("crossed")
    figure, (left, right) = pyplot.subplots(1, 2)
    display = MixtureDisplay.from_estimator(estimator, ax=right)
    assert display.ax_ is right and display.figure_ is figure
    again = display.plot()
    assert again is display and display.figure_ is not figure
    with pytest.raises(TypeError, match="ax must be one matplotlib Axes, got ndarray"):
        display.plot(ax=np.array([left, right]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"X": np.ones((4, 3))}, r"X must have shape \(n_samples, 4\), got \(4, 3\)"),
        ({"X": np.ones((9, 4)), "max_rows": 0}, "max_rows must be at least 1, got 0"),
        ({"features": (0, 4)}, r"two different columns from 0 to 3, got \[0, 4\]"),
        ({"features": (1, 1)}, r"two different columns from 0 to 3, got \[1, 1\]"),
        ({"features": (0, 1, 2)}, r"two different columns from 0 to 3, got \[0, 1, 2\]"),
        ({"features": (0, 1.0)}, r"two different columns from 0 to 3, got \[0, 1.0\]"),
    ],
)
def test_wrong_input_is_refused(pyplot, options, message):
    _, estimator = fitted("crossed")
    with pytest.raises(ValueError, match=message):
        MixtureDisplay.from_estimator(estimator, **options)
    assert pyplot.get_fignums() == []


def test_what_is_no_mixture_is_named(pyplot):
    with pytest.raises(AttributeError, match="this SimpleNamespace has no means_"):
        MixtureDisplay.from_estimator(SimpleNamespace())
    _, estimator = fitted("crossed")
    estimator.covariances_ = np.ones((3, 5))
    with pytest.raises(ValueError, match=r"covariances_ of shape \(3, 5\) do not belong to 3"):
        MixtureDisplay.from_estimator(estimator)


def test_absent_matplotlib_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'MixtureDisplay .*"clusterlib-native\[plot\]"'):
        MixtureDisplay(np.zeros((1, 2)), np.eye(2)[None]).plot()
