"""Certificates of partitions: never for one that is not optimal, always for those far apart."""

import itertools
import tracemalloc

import numpy as np
import pytest

from clusterlib.solvers import certify_partition
from clusterlib.solvers.partition_certificate import checked_clusters


def balls(n, p, n_clusters, separation, seed=0):
    """Normal balls around multiples of basis vectors, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_clusters
    centers = np.eye(n_clusters, p) * separation / np.sqrt(2)
    return centers[labels] + rng.normal(size=(n, p)), labels


def cost(X, labels):
    return sum(
        float(np.square(X[labels == k] - X[labels == k].mean(axis=0)).sum())
        for k in np.unique(labels)
    )


def partitions(n, n_clusters):
    """Every partition of n rows into exactly so many clusters."""
    for rest in itertools.product(range(n_clusters), repeat=n - 1):
        labels = np.array((0, *rest))
        firsts = [labels.tolist().index(k) for k in range(n_clusters) if k in rest or k == 0]
        if len(firsts) == n_clusters and firsts == sorted(firsts):
            yield labels


@pytest.mark.parametrize("n_clusters", [2, 3])
def test_certified_partitions_are_optimal(n_clusters):
    rng = np.random.default_rng(n_clusters)
    n_certified = 0
    for trial in range(40):
        spread = rng.choice([0.05, 0.3, 1.0])
        centers = rng.normal(size=(n_clusters, 2))
        X = centers[np.arange(8) % n_clusters] + spread * rng.normal(size=(8, 2))
        if trial % 4 == 0:
            X = np.round(2 * X)  # ties
        tried = list(partitions(8, n_clusters))
        costs = np.array([cost(X, labels) for labels in tried])
        for index in [int(costs.argmin()), *rng.integers(0, len(tried), 10)]:
            if certify_partition(X, tried[index]).certified:
                n_certified += 1
                assert costs[index] <= costs.min() + 1e-12 * np.square(X).sum()
    assert n_certified > 10


@pytest.mark.parametrize("n", [500, 2000])
@pytest.mark.parametrize("separation", [9.5, 11.0])
@pytest.mark.parametrize("seed", range(4))
def test_distant_balls_are_certified(n, separation, seed):
    certificate = certify_partition(*balls(n, 20, 4, separation, seed))
    assert certificate.certified
    assert certificate.rigorous
    assert 0 < certificate.largest_eigenvalue <= certificate.z


def test_corrected_multipliers_certify_closer_balls():
    X, labels = balls(500, 20, 4, 8.25, 1)
    assert certify_partition(X, labels).method == "corrected"
    assert certify_partition(X, labels).certified


@pytest.mark.parametrize("seed", range(5))
def test_perturbed_labels_are_never_certified(seed):
    X, labels = balls(300, 10, 3, 12.0, seed)
    assert certify_partition(X, labels).certified
    rng = np.random.default_rng(seed)
    moved, swapped = labels.copy(), labels.copy()
    moved[rng.integers(300)] += 1
    moved %= 3
    i, j = np.flatnonzero(labels == 0)[seed], np.flatnonzero(labels == 1)[seed]
    swapped[[i, j]] = swapped[[j, i]]
    for wrong in (moved, swapped, rng.permutation(labels), rng.integers(0, 3, 300)):
        assert not certify_partition(X, wrong).certified


def test_merged_and_split_balls_are_not_certified():
    X, labels = balls(400, 5, 4, 12.0)
    wrong = np.where(labels == 1, 0, np.where(labels == 3, 2, labels))
    wrong[(labels == 2) & (X[:, 0] > 0)] = 1
    wrong[(labels == 0) & (X[:, 1] > 0)] = 3
    assert not certify_partition(X, wrong, n_clusters=4).certified


def dense_eigenvalue(X, labels, z):
    """Largest eigenvalue of A + N off the partition, by the definition of rank-one multipliers."""
    sizes = np.bincount(labels).astype(float)
    means = np.array([X[labels == k].mean(axis=0) for k in range(len(sizes))])
    distances = np.square(X[:, None] - means).sum(axis=2)
    own = distances[np.arange(len(X)), labels]
    N = np.zeros((len(X), len(X)))
    for a, b in itertools.permutations(range(len(sizes)), 2):
        shift = z * (1 / sizes[a] + 1 / sizes[b])
        u = 0.5 * sizes[b] * (distances[:, b] - own - shift)[labels == a]
        v = 0.5 * sizes[a] * (distances[:, a] - own - shift)[labels == b]
        np.testing.assert_allclose(u.sum(), v.sum(), rtol=1e-9)
        assert min(u.min(), v.min()) >= 0
        N[np.ix_(labels == a, labels == b)] = np.outer(u, v) / u.sum()
    indicators = np.eye(len(sizes))[labels]
    off = np.eye(len(X)) - indicators @ np.diag(1 / sizes) @ indicators.T
    return np.linalg.eigvalsh(off @ (X @ X.T + N) @ off)[-1]


@pytest.mark.parametrize(("p", "n_clusters"), [(8, 3), (2, 4), (3, 6)])  # both forms of the core
def test_eigenvalue_is_that_of_the_dense_matrix(p, n_clusters):
    X, labels = balls(150, max(p, n_clusters), n_clusters, 14.0)
    if p < n_clusters:
        rng = np.random.default_rng(1)
        X = 20.0 * rng.normal(size=(n_clusters, p))[labels] + rng.normal(size=(150, p))
    labels = np.where(np.arange(150) < 20, 0, labels)  # unequal sizes
    X[:20] += X[labels == 0][-1] - X[:20] + np.random.default_rng(2).normal(size=X[:20].shape)
    certificate = certify_partition(X, labels)
    assert certificate.method == "rank one"
    exact = dense_eigenvalue(X - X.mean(axis=0), labels, certificate.z)
    assert exact <= certificate.largest_eigenvalue <= exact * (1 + 1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_units_and_origin_do_not_matter(scale, offset):
    X, labels = balls(300, 10, 3, 11.0)
    plain, moved = certify_partition(X, labels), certify_partition(scale * (X + offset), labels)
    assert moved.certified
    np.testing.assert_allclose(moved.z, plain.z * scale**2, rtol=1e-5)
    np.testing.assert_allclose(moved.cost, plain.cost * scale**2, rtol=1e-8)


def test_narrow_rows_far_from_the_origin():
    X, labels = balls(300, 10, 3, 11.0)
    assert certify_partition((X + 1e4).astype(np.float32), labels).certified


def test_order_and_names_do_not_matter():
    X, labels = balls(300, 10, 3, 9.0)
    order = np.random.default_rng(0).permutation(300)
    plain, other = certify_partition(X, labels), certify_partition(X[order], 2 - labels[order])
    assert plain.certified
    assert other.certified
    np.testing.assert_allclose(other.z, plain.z, rtol=1e-9)


def test_more_features_than_rows():
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    X = rng.normal(size=(40, 100)) + 40.0 * labels[:, None]
    certificate = certify_partition(X, labels)
    assert certificate.certified
    np.testing.assert_allclose(certificate.cost, cost(X, labels), rtol=1e-9)
    assert not certify_partition(X, (labels + (np.arange(40) == 3)) % 2).certified


def test_trivial_partitions():
    X = np.random.default_rng(0).normal(size=(6, 2))
    one, all_rows = certify_partition(X, np.zeros(6, int)), certify_partition(X, np.arange(6))
    assert one.certified
    assert all_rows.certified
    assert one.method == all_rows.method == "trivial"
    np.testing.assert_allclose(one.cost, cost(X, np.zeros(6)))
    np.testing.assert_allclose(all_rows.cost, 0.0, atol=1e-14)


def test_duplicated_rows():
    points = np.array([[0.0, 0.0], [5.0, 1.0], [9.0, 9.0]])
    labels = np.repeat(np.arange(3), 7)
    assert certify_partition(points[labels] + 0.1, labels).certified  # costs nothing
    labels[0] = 1
    assert not certify_partition(points[np.repeat(np.arange(3), 7)], labels).certified
    # Copies of one row in two clusters: no cluster is nearer.
    X = np.array([[0.0], [0.0], [1.0], [1.0], [4.0], [4.0]])
    assert not certify_partition(X, [0, 1, 0, 0, 1, 1]).certified


def test_constant_features_change_nothing():
    X, labels = balls(200, 4, 3, 11.0)
    plain = certify_partition(X, labels)
    wide = certify_partition(np.column_stack([X, np.full(200, 0.1)]), labels)
    assert wide.certified
    np.testing.assert_allclose(wide[1:4], plain[1:4], rtol=1e-9)


def test_many_rows_take_no_square_memory():
    X, labels = balls(100_000, 20, 4, 11.0)
    tracemalloc.start()
    certificate = certify_partition(X, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert certificate.certified
    assert peak < 6 * X.nbytes


@pytest.mark.parametrize(
    ("labels", "options", "error", "message"),
    [
        ([0, 0, 2, 2], {}, ValueError, "label 1 of 3"),
        ([0, 0, 1, 1], {"n_clusters": 3}, ValueError, "label 2 of 3"),
        ([0, 0, -1, 1], {}, ValueError, "from 0 to 1, got -1"),
        ([0, 1, 2, 1], {"n_clusters": 2}, ValueError, "from 0 to 1, got 2"),
        ([0, 1, 1], {}, ValueError, r"shape \(4,\), got \(3,\)"),
        ([0.0, 1.0, 1.0, 0.0], {}, TypeError, "integers, got dtype float64"),
        ([0, 0, 1, 1], {"n_clusters": 2.0}, TypeError, "n_clusters must be an integer, got 2.0"),
        ([0, 0, 1, 1], {"n_clusters": 0}, ValueError, "n_clusters must be from 1"),
    ],
)
def test_bad_labels(labels, options, error, message):
    with pytest.raises(error, match=message):
        certify_partition(np.arange(4.0)[:, None], labels, **options)


def test_bad_rows():
    with pytest.raises(ValueError, match="NaN or infinity"):
        certify_partition(np.array([[0.0], [np.nan]]), [0, 1])
    with pytest.raises(ValueError, match="2 dimensions"):
        certify_partition(np.arange(3.0), [0, 1, 1])


@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_squares_that_leave_the_numbers(factor):
    X, labels = balls(30, 2, 2, 14.0)
    with pytest.raises(ValueError, match="whose square leaves float64; multiply X by"):
        certify_partition(factor * X, labels)


def plain_geometry(X, labels):
    """Sizes, squared distances of the means, and the margins of all rows."""
    sizes = np.bincount(labels).astype(float)
    means = np.array([X[labels == k].mean(axis=0) for k in range(len(sizes))])
    distances = np.square(X[:, None] - means).sum(axis=2)
    margins = distances - distances[np.arange(len(X)), labels][:, None]
    return sizes, np.square(means[:, None] - means).sum(axis=2), margins


def test_z_is_the_largest_that_leaves_multipliers_nonnegative():
    X, labels = balls(90, 6, 3, 13.0)
    labels = np.where((np.arange(90) < 30) & (labels == 1), 0, labels)
    X += 14.0 * (np.eye(3, 6)[labels] - np.eye(3, 6)[np.arange(90) % 3]) / np.sqrt(2)
    certificate = certify_partition(X, labels)
    assert certificate.certified
    sizes, _, margins = plain_geometry(X, labels)
    limits = [
        margins[i, b] / (1 / sizes[labels[i]] + 1 / sizes[b])
        for i, b in itertools.product(range(90), range(3))
        if b != labels[i]
    ]
    # It is a little smaller, by the rounding of the margins.
    np.testing.assert_allclose(certificate.z, min(limits), rtol=1e-9)
    assert certificate.z < min(limits)
    np.testing.assert_allclose(certificate.cost, cost(X, labels), rtol=1e-12)


def test_clusters_that_are_too_wide_are_not_tried():
    # Rows -1 and 1 have the scatter 2. Two such clusters D apart have z = D (D - 2), which is 2
    # at D = 1 + root 3 = 2.732.
    for distance, method in ((2.72, "none"), (2.74, "rank one"), (1.99, "none")):
        X = np.array([-1.0, 1.0, distance - 1, distance + 1])[:, None]
        certificate = certify_partition(X, [0, 0, 1, 1])
        assert (certificate.method == "none") == (method == "none")
        if method == "none":
            assert certificate[:3] == (False, 0.0, np.inf)
        else:
            np.testing.assert_allclose(certificate.z, distance * (distance - 2), rtol=1e-9)
        np.testing.assert_allclose(certificate.cost, 4.0)


def test_equal_rows_are_trivial_and_nearly_equal_ones_are_not():
    points = np.array([[0.0], [5.0], [9.0]])[np.repeat(np.arange(3), 4)]
    labels = np.repeat(np.arange(3), 4)
    equal = certify_partition(points, labels)
    assert equal == (True, 0.0, 0.0, 0.0, "trivial")
    points[3] += 1e-13
    near = certify_partition(points, labels)
    assert near.method == "rank one"
    assert near.certified


def test_the_cost_of_many_features_is_without_what_makes_them_few():
    # The squared distances are enlarged by a rounding of the total, which is 10^6 of the cost here.
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    X = rng.normal(size=(40, 100)) + 4000.0 * labels[:, None]
    certificate = certify_partition(X, labels)
    np.testing.assert_allclose(certificate.cost, cost(X, labels), rtol=1e-7)


@pytest.mark.parametrize(
    ("cores", "method"),
    [((10, 1200), "rank one"), ((9, 1200), "corrected"), ((9, 15), "none"), ((9, 16), "corrected")],
)
def test_matrices_up_to_a_size_are_tried(monkeypatch, cores, method):
    # Of rank one: p + K (K - 1) = 10 columns, less than K p. Corrected ones have 6 more at least.
    monkeypatch.setattr("clusterlib.solvers.partition_certificate._LARGEST_CORE", cores[0])
    monkeypatch.setattr("clusterlib.solvers.partition_certificate._CORRECTED_CORE", cores[1])
    certificate = certify_partition(*balls(120, 4, 3, 14.0))
    assert certificate.method == method
    assert certificate.certified == (method != "none")


def test_no_rows_are_no_partition():
    with pytest.raises(ValueError, match="labels must name at least 1 row, got none"):
        checked_clusters(np.zeros(0, dtype=int), 0)
    assert checked_clusters(np.zeros(1, dtype=int), 1)[1] == 1
    assert checked_clusters(np.array([1, 0]), 2)[1] == 2
    assert checked_clusters(np.array([1, 0]), 2, 5)[1] == 5
    with pytest.raises(ValueError, match="labels must be from 0 to 0, got -2"):
        checked_clusters(np.array([-1, -2]), 2)
