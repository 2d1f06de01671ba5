"""Tail classes that borrow from the head: worked examples, invariants, and what it does to means."""

import numpy as np
import pytest

from clusterlib.solvers import (
    HeadWeights,
    RidgeKind,
    calibrate_tail,
    class_inliers,
    inlier_gaussians,
    sample_gaussians,
)

SIZES = np.array([60, 40, 30, 10])
MEANS = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
COVARIANCES = np.array(
    [np.eye(2), np.diag([2.0, 0.5]), [[1.0, 0.3], [0.3, 1.0]], 0.2 * np.eye(2)], dtype=float
)


def random_classes(rng, n_classes=12, d=4):
    factors = rng.normal(size=(n_classes, d, d))
    sizes = rng.permutation(np.arange(5, 5 + 9 * n_classes, 9))
    return sizes, rng.normal(size=(n_classes, d)), factors @ factors.transpose(0, 2, 1)


def test_worked_example():
    result = calibrate_tail(SIZES, MEANS, COVARIANCES)
    np.testing.assert_array_equal(result.head_classes, [0, 1])
    np.testing.assert_array_equal(result.neighbors, [[-1, -1], [-1, -1], [0, 1], [0, 1]])
    np.testing.assert_allclose(result.weights[2:], [[0.509434, 0.490566], [0.6, 0.4]], atol=5e-7)
    np.testing.assert_array_equal(result.gamma, [0, 0, 0.3, 0.3])
    np.testing.assert_allclose(result.means[2:], [[0.294340, 2.1], [0.94, 0.70]], atol=5e-7)
    np.testing.assert_allclose(
        result.covariances[2:],
        [[[1.247170, 0.31], [0.31, 1.026415]], [[0.66, 0.10], [0.10, 0.48]]],
        atol=5e-7,
    )
    np.testing.assert_array_equal(result.means[:2], MEANS[:2])
    np.testing.assert_array_equal(result.covariances[:2], COVARIANCES[:2])
    np.testing.assert_array_equal(result.weights[:2], 0.0)


def test_the_input_is_left_alone():
    means, covariances = MEANS.copy(), COVARIANCES.copy()
    result = calibrate_tail(SIZES, means, covariances)
    result.means[:], result.covariances[:] = -1.0, -1.0
    np.testing.assert_array_equal(means, MEANS)
    np.testing.assert_array_equal(covariances, COVARIANCES)


@pytest.mark.parametrize(
    ("sizes", "head"),
    [
        ([50, 30, 20], [0]),
        ([49, 31, 20], [0, 1]),
        ([20, 20, 20, 20], [0, 1]),
        ([10, 30, 30, 25], [1, 2]),
        ([1, 1, 1], [0, 1]),
        ([3, 1, 9], [2]),
    ],
)
def test_the_head_is_the_shortest_prefix_with_half_of_the_rows(sizes, head):
    n_classes = len(sizes)
    means = np.arange(n_classes, dtype=float)[:, None]
    result = calibrate_tail(np.array(sizes), means, np.ones((n_classes, 1, 1)))
    np.testing.assert_array_equal(result.head_classes, head)


@pytest.mark.parametrize(("ratio", "n_classes", "n_head"), [(10, 10, 3), (100, 10, 2)])
def test_heads_of_exponential_sizes(ratio, n_classes, n_head):
    sizes = np.round(5000 * ratio ** (-np.arange(n_classes) / (n_classes - 1))).astype(int)
    means = np.arange(n_classes, dtype=float)[:, None]
    result = calibrate_tail(sizes, means, np.ones((n_classes, 1, 1)))
    assert len(result.head_classes) == n_head
    assert result.neighbors.shape == (n_classes, min(3, n_head))


@pytest.mark.parametrize("sizes", [[7], [9, 1], [1, 9], [5, 5]])
@pytest.mark.parametrize("gamma", [0.3, None])
def test_two_classes_or_one_do_not_change(sizes, gamma):
    k = len(sizes)
    result = calibrate_tail(np.array(sizes), MEANS[:k], COVARIANCES[:k], gamma=gamma)
    np.testing.assert_array_equal(result.means, MEANS[:k])
    np.testing.assert_array_equal(result.covariances, COVARIANCES[:k])
    assert sorted(result.head_classes) == list(range(k))
    assert (result.neighbors == -1).all()
    np.testing.assert_array_equal(result.gamma, 0.0)


@pytest.mark.parametrize("weights", HeadWeights)
@pytest.mark.parametrize("ridge", RidgeKind)
@pytest.mark.parametrize("q", [1, 2, 3, 50])
def test_formulas_class_by_class(weights, ridge, q):
    sizes, means, covariances = random_classes(np.random.default_rng(q))
    result = calibrate_tail(
        sizes, means, covariances, n_neighbors=q, gamma=0.2, alpha=0.7, ridge=ridge, weights=weights
    )
    head = list(result.head_classes)
    assert len(head) >= 4
    for k in range(len(sizes)):
        if k in head:
            continue
        d = {c: ((means[c] - means[k]) ** 2).sum() for c in head}
        near = sorted(head, key=d.get)[:q]
        raw = {
            HeadWeights.PAPER: [sizes[c] * d[c] for c in near],
            HeadWeights.INVERSE: [sizes[c] / d[c] for c in near],
            HeadWeights.SIZE: [sizes[c] for c in near],
        }[weights]
        w = np.array(raw) / sum(raw)
        np.testing.assert_array_equal(result.neighbors[k], near)
        np.testing.assert_allclose(result.weights[k], w, rtol=1e-12)
        mean = sum(a * means[c] for a, c in zip(w, near, strict=True))
        np.testing.assert_allclose(result.means[k], 0.2 * mean + 0.8 * means[k], rtol=1e-12)
        covariance = sum(a * covariances[c] for a, c in zip(w, near, strict=True))
        added = 0.7 * (np.ones((4, 4)) if ridge is RidgeKind.ONES else np.eye(4))
        np.testing.assert_allclose(
            result.covariances[k], 0.2 * covariance + 0.8 * covariances[k] + added, rtol=1e-10
        )


@pytest.mark.parametrize("weights", HeadWeights)
@pytest.mark.parametrize("gamma", [0.4, None])
def test_classes_in_another_order_are_the_same_classes(weights, gamma):
    rng = np.random.default_rng(0)
    sizes, means, covariances = random_classes(rng)
    order = rng.permutation(len(sizes))
    options = {"weights": weights, "gamma": gamma}
    plain = calibrate_tail(sizes, means, covariances, **options)
    moved = calibrate_tail(sizes[order], means[order], covariances[order], **options)
    np.testing.assert_array_equal(order[moved.head_classes], plain.head_classes)
    np.testing.assert_allclose(moved.means, plain.means[order], rtol=1e-12)
    np.testing.assert_allclose(moved.covariances, plain.covariances[order], rtol=1e-12)
    np.testing.assert_allclose(moved.gamma, plain.gamma[order], rtol=1e-12)
    tail = plain.gamma[order] > 0
    np.testing.assert_array_equal(order[moved.neighbors[tail]], plain.neighbors[order][tail])


@pytest.mark.parametrize("weights", HeadWeights)
@pytest.mark.parametrize("gamma", [0.4, None])
@pytest.mark.parametrize("scale", [1e-60, 3.0, 1e60])
def test_units_and_origin_do_not_matter(weights, gamma, scale):
    sizes, means, covariances = random_classes(np.random.default_rng(1))
    options = {"weights": weights, "gamma": gamma}
    plain = calibrate_tail(sizes, means, covariances, **options)
    moved = calibrate_tail(
        sizes, scale * (means + 2), scale**2 * covariances, alpha=0.1 * scale**2, **options
    )
    np.testing.assert_allclose(moved.means / scale - 2, plain.means, atol=1e-11)
    np.testing.assert_allclose(moved.covariances / scale**2, plain.covariances, rtol=1e-10)
    np.testing.assert_allclose(moved.gamma, plain.gamma, rtol=1e-10)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [(HeadWeights.PAPER, [0, 1]), (HeadWeights.INVERSE, [1, 0]), (HeadWeights.SIZE, [0.6, 0.4])],
)
def test_a_head_class_in_the_same_place(weights, expected):
    means = MEANS.copy()
    means[3] = means[0]
    result = calibrate_tail(SIZES, means, COVARIANCES, weights=weights)
    np.testing.assert_allclose(result.weights[3], expected, rtol=1e-12)


@pytest.mark.parametrize("weights", HeadWeights)
def test_all_classes_in_one_place_are_weighted_by_size(weights):
    result = calibrate_tail(SIZES, np.ones((4, 2)), COVARIANCES, weights=weights, gamma=None)
    np.testing.assert_allclose(result.weights[2:], [[0.6, 0.4]] * 2, rtol=1e-12)
    np.testing.assert_array_equal(result.means, np.ones((4, 2)))
    np.testing.assert_array_equal(result.gamma[2:], 1.0)


def test_gamma_of_least_error():
    result = calibrate_tail(SIZES, MEANS, COVARIANCES, gamma=None)
    # Class 3: borrowed mean (0.8, 0), trace 0.4; class 2: (0.981132, 0), trace 2.
    expected = [0.4 / 10 / (0.2**2 + 1), 2 / 30 / (0.981132**2 + 9)]
    np.testing.assert_allclose(result.gamma[[3, 2]], expected, rtol=1e-6)
    np.testing.assert_array_equal(
        calibrate_tail(SIZES, 1e-3 * MEANS, COVARIANCES, gamma=None).gamma[2:], 1.0
    )
    assert calibrate_tail(SIZES, 1e3 * MEANS, COVARIANCES, gamma=None).gamma.max() < 1e-5


def test_a_class_of_one_row_borrows_as_if_it_varied_like_its_neighbors():
    sizes, covariances = np.array([60, 40, 30, 1]), COVARIANCES.copy()
    covariances[3] = 0.0
    result = calibrate_tail(sizes, MEANS, covariances, gamma=None)
    # Borrowed trace: 0.6 * 2 + 0.4 * 2.5 = 2.2, of one row, at a squared distance of 1.04.
    assert result.gamma[3] == 1.0
    covariances[:] = 0.0
    result = calibrate_tail(sizes, MEANS, covariances, gamma=None)
    np.testing.assert_array_equal(result.gamma, 0.0)
    np.testing.assert_array_equal(result.means, MEANS)
    # Without variance and distance there is nothing to borrow.
    result = calibrate_tail(sizes, np.ones_like(MEANS), covariances, gamma=None)
    np.testing.assert_array_equal(result.gamma, 0.0)
    np.testing.assert_array_equal(result.means, 1.0)


def test_gaussians_of_inliers():
    rng = np.random.default_rng(0)
    X, codes = rng.normal(size=(50, 3)), rng.integers(0, 3, size=50)
    inliers = rng.random(50) < 0.7
    inliers[np.flatnonzero(codes == 2)[1:]] = False
    inliers[np.flatnonzero(codes == 2)[0]] = True
    means, covariances = inlier_gaussians(X, codes, 4, inliers)
    for k in range(2):
        rows = X[inliers & (codes == k)]
        np.testing.assert_allclose(means[k], rows.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(covariances[k], np.cov(rows.T), rtol=1e-12)
    np.testing.assert_array_equal(means[2:], [X[np.flatnonzero(codes == 2)[0]], np.zeros(3)])
    np.testing.assert_array_equal(covariances[2:], 0.0)


def test_drawn_rows_have_the_moments_they_are_drawn_from():
    counts = np.array([20000, 0, 30000, 1])
    rows, codes = sample_gaussians(MEANS, COVARIANCES, counts, np.random.default_rng(0))
    np.testing.assert_array_equal(np.bincount(codes), counts)
    assert (np.diff(codes) >= 0).all()
    for k in (0, 2):
        own = rows[codes == k]
        # Five standard errors: variances of the entries are at most 2.
        np.testing.assert_allclose(own.mean(axis=0), MEANS[k], atol=5 / np.sqrt(len(own)))
        np.testing.assert_allclose(np.cov(own.T), COVARIANCES[k], atol=7.1 / np.sqrt(len(own)))


def test_drawn_rows_are_those_of_the_generator():
    counts = np.array([3, 2, 0, 4])
    first = sample_gaussians(MEANS, COVARIANCES, counts, np.random.default_rng(7))[0]
    second = sample_gaussians(MEANS, COVARIANCES, counts, np.random.default_rng(7))[0]
    np.testing.assert_array_equal(first, second)
    # The symmetric root of the identity is the identity, whichever eigenvectors were found.
    np.testing.assert_allclose(first[:3], np.random.default_rng(7).normal(size=(3, 2)), rtol=1e-12)


@pytest.mark.parametrize(
    "covariance", [np.diag([1.0, 0.0, -0.5]), np.zeros((3, 3)), np.ones((3, 3))]
)
def test_singular_and_indefinite_covariances(covariance):
    rows, _ = sample_gaussians(
        np.ones((1, 3)), covariance[None], np.array([50]), np.random.default_rng(0)
    )
    eigenvalues, vectors = np.linalg.eigh(covariance)
    dead = vectors[:, eigenvalues <= 1e-12]
    np.testing.assert_allclose((rows - 1) @ dead, 0.0, atol=1e-7)
    alive = (rows - 1) @ vectors[:, eigenvalues > 1e-12]
    assert (np.abs(alive).max(axis=0) > 0.5).all()


def test_no_rows_to_draw():
    rows, codes = sample_gaussians(MEANS, COVARIANCES, np.zeros(4, int), np.random.default_rng(0))
    assert rows.shape == (0, 2)
    assert codes.shape == (0,)


# What borrowing does to the means of rare classes: the figures of docs/methods/rcal.md.
N_CLASSES, N_FEATURES, NOISE, N_SEEDS = 20, 32, 0.4, 20


def long_tail(rng):
    """Rows of 20 Gaussians in 5 groups, 600 to 12 of them, their classes, and the means."""
    sizes = np.round(600 * 50.0 ** (-np.arange(N_CLASSES) / (N_CLASSES - 1))).astype(int)
    rng.shuffle(sizes)
    groups = rng.normal(scale=0.65, size=(5, N_FEATURES))
    means = groups[np.arange(N_CLASSES) % 5] + rng.normal(scale=0.45, size=(N_CLASSES, N_FEATURES))
    factors = rng.normal(size=(N_CLASSES, N_FEATURES, 2 * N_FEATURES))
    covariances = factors @ factors.transpose(0, 2, 1)
    covariances *= N_FEATURES / np.trace(covariances, axis1=1, axis2=2)[:, None, None]
    return *sample_gaussians(means, covariances, sizes, rng), means


def noisy_labels(rng, y, noise):
    """Labels of which a part goes to other classes, by their size or evenly."""
    shares = np.bincount(y) / len(y) if noise == "freq" else np.full(N_CLASSES, 1 / N_CLASSES)
    given = y.copy()
    for i in np.flatnonzero(rng.random(len(y)) < (0.0 if noise == "none" else NOISE)):
        other = np.where(np.arange(N_CLASSES) == y[i], 0.0, shares)
        given[i] = rng.choice(N_CLASSES, p=other / other.sum())
    return given


def errors_of_tail_means(seed, noise):
    """Squared error over the trace within classes, of several means; and shares that LOF keeps."""
    rng = np.random.default_rng(seed)
    X, y, means = long_tail(rng)
    given = noisy_labels(rng, y, noise)
    sizes, inliers = np.bincount(given, minlength=N_CLASSES), class_inliers(X, given, N_CLASSES)
    plain, covariances = inlier_gaussians(X, given, N_CLASSES, np.ones(len(X), dtype=bool))
    tail = np.setdiff1d(
        np.arange(N_CLASSES), calibrate_tail(sizes, plain, covariances).head_classes
    )

    def error(estimate):
        return np.square(estimate - means)[tail].sum(axis=1).mean() / N_FEATURES

    found = {
        "plain": error(plain),
        "after LOF": error(inlier_gaussians(X, given, N_CLASSES, inliers)[0]),
        "right labels": error(inlier_gaussians(X, given, N_CLASSES, given == y)[0]),
        "unmixed": error((plain - NOISE * X.mean(axis=0)) / (1 - NOISE)),
        "kept right": inliers[given == y].mean(),
        "kept wrong": 1.0 if noise == "none" else inliers[given != y].mean(),
    }
    for gamma in (0.1, 0.3, 0.5, None):
        for weights in HeadWeights:
            moved = calibrate_tail(sizes, plain, covariances, gamma=gamma, weights=weights)
            found[weights.value, gamma] = error(moved.means)
    return found


@pytest.fixture(scope="module")
def measured():
    """Noise -> name -> mean over the seeds."""
    return {
        noise: {
            name: np.mean([run[name] for run in runs])
            for runs in [[errors_of_tail_means(seed, noise) for seed in range(N_SEEDS)]]
            for name in runs[0]
        }
        for noise in ("none", "freq", "sym")
    }


def test_without_noise_only_an_estimated_gamma_helps(measured):
    errors = measured["none"]
    assert errors["paper", None] < 0.97 * errors["plain"]
    assert errors["plain"] < errors["paper", 0.1] < errors["paper", 0.3] < errors["paper", 0.5]
    assert errors["paper", 0.3] > 2 * errors["plain"]


@pytest.mark.parametrize("noise", ["freq", "sym"])
def test_under_noise_every_borrowed_mean_is_worse(measured, noise):
    errors = measured[noise]
    for weights in HeadWeights:
        of_gamma = [errors[weights.value, gamma] for gamma in (0.1, 0.3, 0.5)]
        assert errors["plain"] < of_gamma[0] < of_gamma[1] < of_gamma[2]
        assert errors["plain"] < errors[weights.value, None]
    assert errors["inverse", 0.3] < errors["paper", 0.3]
    assert errors["right labels"] < 0.5 * errors["plain"]


def test_noise_by_size_can_be_taken_out_of_the_means(measured):
    assert measured["freq"]["unmixed"] < 0.75 * measured["freq"]["plain"]


@pytest.mark.parametrize("noise", ["freq", "sym"])
def test_outlier_factors_do_not_find_wrong_labels(measured, noise):
    assert measured[noise]["kept wrong"] > 0.95
    assert measured[noise]["kept right"] > 0.99
    np.testing.assert_allclose(measured[noise]["after LOF"], measured[noise]["plain"], rtol=0.02)
