"""The plane shows distances between the corners as they are, and rows where they are."""

from types import SimpleNamespace

import numpy as np
import pytest

from clusterlib.plotting import DomainSimplexDisplay

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")


@pytest.fixture
def pyplot():
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def mixtures(n=60, k=3, r=5, seed=0):
    """Exact rows of a simplex, its corners, and the weights of the rows."""
    rng = np.random.default_rng(seed)
    D, w = rng.dirichlet(np.ones(r), size=k).T, rng.dirichlet(np.full(k, 0.4), size=n)
    return w @ D.T, D, w


def test_three_corners_keep_all_distances(pyplot):
    f, D, _ = mixtures()
    shares = np.array([0.1, 0.2, 0.3, 0.15, 0.25])
    display = DomainSimplexDisplay.from_probabilities(f, D, shares=shares)
    exact = np.concatenate([D.T, f]) / np.sqrt(shares)
    drawn = np.concatenate([display.corners, display.points])
    wanted = np.linalg.norm(exact[:, None] - exact, axis=2)
    found = np.linalg.norm(drawn[:, None] - drawn, axis=2)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_rows_are_the_same_mixtures_in_the_plane(pyplot):
    f, D, w = mixtures(k=5, r=8)
    display = DomainSimplexDisplay.from_probabilities(f, D)
    np.testing.assert_allclose(display.points, w @ display.corners, atol=1e-12)


def test_two_classes_lie_on_a_line_and_noise_beside_it(pyplot):
    f, D, _ = mixtures(k=2)
    display = DomainSimplexDisplay.from_probabilities(f, D)
    np.testing.assert_allclose(display.points[:, 1], 0.0, atol=1e-12)
    noisy = f + 0.01 * np.random.default_rng(1).normal(size=f.shape)
    display = DomainSimplexDisplay.from_probabilities(noisy, D)
    assert display.points[:, 1].std() > 1e-3
    np.testing.assert_allclose(display.corners[:, 1], 0.0, atol=1e-12)


def test_corners_that_are_the_same_still_give_a_picture(pyplot):
    f, D, _ = mixtures()
    same = np.repeat(D[:, :1], 3, axis=1)
    display = DomainSimplexDisplay.from_probabilities(f, same)
    assert np.isfinite(display.points).all()
    np.testing.assert_allclose(display.corners, 0.0, atol=1e-12)


def test_classes_choose_rows_and_corners(pyplot):
    f, D, w = mixtures(k=5, r=8, n=200)
    labels = w.argmax(axis=1)
    display = DomainSimplexDisplay.from_probabilities(f, D, labels=labels, classes=[4, 1, 2])
    assert display.class_names.tolist() == [1, 2, 4] and display.corners.shape == (3, 2)
    wanted = labels[np.isin(labels, [1, 2, 4])]
    np.testing.assert_array_equal(display.class_names[display.labels], wanted)


def test_labels_default_to_the_nearest_corner(pyplot):
    f, D, _ = mixtures()
    shares = f.mean(axis=0)
    distances = (((f[:, None] - D.T) ** 2) / shares).sum(axis=2)
    display = DomainSimplexDisplay.from_probabilities(f, D)
    np.testing.assert_array_equal(display.labels, distances.argmin(axis=1))


def test_many_rows_are_thinned_evenly(pyplot):
    f, D, _ = mixtures(n=1000)
    few = DomainSimplexDisplay.from_probabilities(f, D, max_rows=10, labels=np.zeros(1000, int))
    assert len(few.points) == len(few.labels) == 10


def test_the_picture_holds_rows_corners_edges_and_names(pyplot):
    f, D, _ = mixtures(k=4)
    _, ax = pyplot.subplots()
    display = DomainSimplexDisplay.from_probabilities(f, D, ax=ax)
    assert display.ax_ is ax and display.figure_ is ax.figure
    rows, corners = ax.collections
    np.testing.assert_array_equal(rows.get_offsets(), display.points)
    np.testing.assert_array_equal(corners.get_offsets(), display.corners)
    assert len(ax.lines) == 6
    assert [text.get_text() for text in ax.texts] == ["0", "1", "2", "3"]
    display.figure_.canvas.draw()


def test_an_estimator_is_asked_for_everything(pyplot):
    f, D, w = mixtures()
    model = SimpleNamespace(
        domain_probabilities=lambda X: f[X],
        predict=lambda X: w[X].argmax(axis=1),
        domain_given_class_=D,
        domain_shares_=np.full(5, 0.2),
    )
    rows = np.arange(30)
    display = DomainSimplexDisplay.from_estimator(model, rows)
    np.testing.assert_array_equal(display.labels, w[:30].argmax(axis=1))
    with pytest.raises(AttributeError, match="SimpleNamespace has no domain_given_class_"):
        DomainSimplexDisplay.from_estimator(
            SimpleNamespace(domain_probabilities=model.domain_probabilities), rows
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"f": np.ones((3, 4))}, "f must have a column"),
        ({"f": np.full((3, 5), np.nan)}, "must be finite"),
        ({"domain_given_class": np.ones((5, 1))}, "at least 2 classes, got 1"),
        ({"shares": [0.5, 0.5]}, "shares must be 5 numbers"),
        ({"labels": [0]}, r"labels must have shape \(60,\), got \(1,\)"),
        ({"labels": np.full(60, 7)}, "no row belongs to the classes"),
        ({"classes": [0]}, "classes must be at least 2"),
        ({"classes": [0, 3]}, "from 0 to 2"),
        ({"max_rows": 0}, "max_rows must be an integer of at least 1, got 0"),
    ],
)
def test_bad_input_is_named(options, message):
    f, D, _ = mixtures()
    with pytest.raises(ValueError, match=message):
        DomainSimplexDisplay.from_probabilities(**{"f": f, "domain_given_class": D} | options)


def test_only_axes_are_axes():
    f, D, _ = mixtures()
    with pytest.raises(TypeError, match="ax must be one matplotlib Axes, got str"):
        DomainSimplexDisplay.from_probabilities(f, D, ax="here")
