"""Bad and unusual input of BalancedKMeans: what is given, which error, what it says."""

import tracemalloc
from importlib import import_module

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from clusterlib.cluster import BalancedKMeans
from clusterlib.kernels import available_backends
from clusterlib.validation import checked_equal_weight, checked_sizes

X = np.random.default_rng(0).normal(size=(100, 3))
ASSIGNMENTS = ["exact", "sinkhorn", "greedy"]

PARAMETERS = [
    ({"size_min": 34}, ValueError, "size_min=34 asks for 102 rows in n_clusters=3 .* are 100; all"),
    ({"size_max": 33}, ValueError, "size_max=33 leaves room for 99 rows .* there are 100; allowed"),
    ({"size_min": 30, "size_max": 29}, ValueError, "size_min must not be above size_max; got 30 a"),
    ({"size_min": -1}, ValueError, r"size_min must be an int in \[0, inf\); got -1"),
    ({"size_max": 40.0}, TypeError, r"size_max must be an int .* got 40.0"),
    ({"size_min": True}, TypeError, "size_min must be an int .* got True"),
    ({"size_max": "40"}, TypeError, "size_max must be an int .* got '40'"),
    (
        {"size_min": [1, [2]]},
        ValueError,
        r"size_min must be an int or an array .* got \[1, \[2\]\]",
    ),
    ({"size_min": [], "init": X[:3]}, ValueError, r"size_min .* shape .*\(3,\); got \(0,\)"),
    (
        {"size_min": [1, 2, 3]},
        ValueError,
        "size_min must be an int, not an array: clusters have no",
    ),
    (
        {"size_min": [0.5, 1, 2]},
        TypeError,
        "size_min must be an int or an array of ints; got dtype",
    ),
    ({"size_max": [50, 60], "init": X[:3]}, ValueError, r"size_max .* shape .*\(3,\); got \(2,\)"),
    (
        {"size_max": [50, 60, -1], "init": X[:3]},
        ValueError,
        "not be negative; got -1 for cluster 2",
    ),
    (
        {"size_min": [9, 9, 9], "size_max": [100, 8, 100], "init": X[:3]},
        ValueError,
        r"got 9 and 8 \(cluster 1\)",
    ),
    (
        {"size_max": [50, 40, 9], "init": X[:3]},
        ValueError,
        r"size_max=\[50, 40, 9\] leaves room for",
    ),
    ({"n_clusters": 101}, ValueError, "n_clusters=101 must not be above n_samples=100"),
    ({"n_clusters": 0}, ValueError, r"n_clusters must be an int in \[1, inf\); got 0"),
    ({"assignment": "auction"}, ValueError, "assignment must be one of 'exact', 'sinkhorn', 'gre"),
    ({"assignment": None}, TypeError, "assignment must be one of .* got None"),
    ({"metric": "euclidean"}, ValueError, "metric must be one of 'sqeuclidean', 'cosine'; got"),
    ({"metric": 2}, TypeError, "metric must be one of .* got 2"),
    ({"exchange": 1}, TypeError, "exchange must be True or False; got 1"),
    ({"n_swaps": -1}, ValueError, r"n_swaps must be an int in \[0, inf\); got -1"),
    ({"n_swaps": 2, "assignment": "greedy"}, ValueError, "n_swaps must be 0 unless assignment='ex"),
    ({"max_iter": 0}, ValueError, r"max_iter must be an int in \[1, inf\); got 0"),
    ({"tol": -1.0}, ValueError, r"tol must be a float in \[0, inf\); got -1.0"),
    ({"n_init": 0}, ValueError, "n_init must be an int"),
    ({"init": "kmeans++"}, ValueError, "init must be one of"),
    ({"init": X[:4]}, ValueError, r"init must have shape .*\(3, 3\); got \(4, 3\)"),
    ({"verbose": -1}, ValueError, "verbose must be an int"),
    ({"random_state": "seed"}, ValueError, "cannot be used to seed"),
]

DATA = [
    ("nan", np.where(np.eye(100, 3) == 1, np.nan, X), ValueError, "NaN"),
    ("infinity", np.where(np.eye(100, 3) == 1, np.inf, X), ValueError, "infinity"),
    ("one dimension", X[:, 0], ValueError, "2D array"),
    ("no rows", X[:0], ValueError, "0 sample"),
    ("strings", np.full((9, 2), "a"), ValueError, "."),
    ("complex", X.astype(complex), ValueError, "Complex"),
    ("sparse", sparse.csr_array(X), TypeError, "Sparse"),
]


@pytest.mark.parametrize(("parameters", "error", "message"), PARAMETERS)
def test_parameters(parameters, error, message):
    model = BalancedKMeans(3).set_params(**parameters)
    with pytest.raises(error, match=message):
        model.fit(X)
    assert not hasattr(model, "cluster_centers_")


@pytest.mark.parametrize(
    ("data", "error", "message"), [row[1:] for row in DATA], ids=[row[0] for row in DATA]
)
@pytest.mark.parametrize("method", ["fit", "predict", "assign", "score"])
def test_data(method, data, error, message):
    model = BalancedKMeans(3, random_state=0)
    if method != "fit":
        model.fit(X)
    with pytest.raises(error, match=message):
        getattr(model, method)(data)


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        (np.r_[2.0, np.ones(99)], ValueError, r"equal for all rows.* got 2.0 and 1.0 \(row 1\)"),
        (np.zeros(100), ValueError, "finite sum above zero"),
        (-np.ones(100), ValueError, "not negative"),
        (np.ones(99), ValueError, "shape"),
        (np.r_[1, 1, np.zeros(98)], ValueError, "n_samples=2 .*weight above zero"),
    ],
)
def test_weights(weight, error, message):
    with pytest.raises(error, match=message):
        BalancedKMeans(3).fit(X, sample_weight=weight)


def test_bounds_are_those_of_the_rows_that_count():
    weight = np.r_[np.ones(10), np.zeros(90)]
    with pytest.raises(
        ValueError, match="asks for 12 rows in n_clusters=3 clusters, but there are 10"
    ):
        BalancedKMeans(3, size_min=4).fit(X, sample_weight=weight)
    assert checked_equal_weight(3, 2) == (None, 3.0)


@pytest.mark.parametrize("method", ["predict", "transform", "score", "assign"])
def test_not_fitted(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(BalancedKMeans(), method)(X)


def test_batches_that_do_not_fit():
    model = BalancedKMeans(3, random_state=0).fit(X)
    with pytest.raises(ValueError, match="2 features, but .* expecting 3"):
        model.assign(X[:, :2])
    with pytest.raises(ValueError, match="size_max=3 leaves room for 9 rows"):
        model.assign(X, size_max=3)
    with pytest.raises(ValueError, match=r"size_min=\[50, 51, 0\] asks for 101"):
        model.assign(X, size_min=[50, 51, 0])
    assert_array_equal(model.assign(X[:2], size_max=1).shape, (2,))


def test_bounds_of_many_clusters_are_shown_short():
    with pytest.raises(ValueError, match=r"size_max=\[...\] leaves room for 9 rows"):
        checked_sizes(None, np.ones(9, dtype=int), 9, 10)
    low, high = checked_sizes(np.zeros(3, dtype=np.uint64), np.full(3, 2**64 - 1, np.uint64), 3, 9)
    assert (low.tolist(), high.tolist()) == ([0, 0, 0], [9, 9, 9])


@pytest.mark.parametrize("metric", ["sqeuclidean", "cosine"])
@pytest.mark.parametrize("exponent", [-1000, -510, 510, 1000])
def test_values_whose_squares_are_out_of_range(exponent, metric):
    fitted = BalancedKMeans(3, metric=metric, random_state=0).fit(X)
    for method in (
        BalancedKMeans(3, metric=metric).fit,
        fitted.predict,
        fitted.assign,
        fitted.score,
    ):
        with pytest.raises(
            ValueError, match=r"largest absolute value from 3.1e-151 to 4.5e\+133.*Scale"
        ):
            method(X * 2.0**exponent)
    BalancedKMeans(3, random_state=0).fit(np.zeros((5, 3)))


def test_nothing_but_zeros_has_no_directions():
    with pytest.raises(ValueError, match="no row with a direction"):
        BalancedKMeans(2, metric="cosine").fit(np.zeros((5, 3)))


# What is unusual but not bad.


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_different", [1, 2, 5])
def test_equal_rows_are_split_as_sizes_demand(n_different, dtype, assignment):
    data = np.repeat(X[:n_different], 20 // n_different + 1, axis=0)[:20].astype(dtype)
    model = BalancedKMeans(5, assignment=assignment, random_state=0).fit(data)
    assert_array_equal(model.cluster_sizes_, [4] * 5)
    assert np.isfinite(model.cluster_centers_).all()
    assert np.isfinite(model.dual_gap_)
    if n_different == 1:
        assert_allclose(model.inertia_, 0, atol=1e-12)


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_as_many_clusters_as_rows(assignment):
    model = BalancedKMeans(8, assignment=assignment, random_state=0).fit(X[:8])
    assert sorted(model.labels_) == list(range(8))
    assert_allclose(model.inertia_, 0, atol=1e-12)
    assert model.dual_gap_ <= 1e-12


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_one_cluster_and_one_row(assignment):
    model = BalancedKMeans(1, assignment=assignment)
    assert model.fit(X[:1]).labels_.tolist() == [0]
    assert model.fit(X).cluster_sizes_.tolist() == [100]
    assert_allclose(model.inertia_, X.var(axis=0).sum() * 100)


@pytest.mark.parametrize("metric", ["sqeuclidean", "cosine"])
def test_single_precision_far_from_the_origin(metric):
    data = (X + (1e4 if metric == "sqeuclidean" else 0)).astype(np.float32)
    narrow, wide = (
        BalancedKMeans(5, metric=metric, random_state=0).fit(data.astype(dtype))
        for dtype in (np.float32, np.float64)
    )
    assert (np.diff(narrow.history_) <= 0).all()
    assert_array_equal(narrow.cluster_sizes_, [20] * 5)
    assert_allclose(narrow.inertia_, wide.inertia_, rtol=0.05)


def test_one_row_far_away():
    data = X.copy()
    data[7] = 1e18
    model = BalancedKMeans(4, random_state=0).fit(data)
    assert_array_equal(model.cluster_sizes_, [25] * 4)
    loose = BalancedKMeans(4, size_max=60, random_state=0).fit(data)
    assert np.flatnonzero(loose.labels_ == loose.labels_[7]).tolist() == [7]


def test_too_few_iterations_warn_once():
    with pytest.warns(ConvergenceWarning) as caught:
        model = BalancedKMeans(8, max_iter=2, random_state=0).fit(X)
    assert len(caught) == 1
    assert "did not converge in max_iter=2 iterations" in str(caught[0].message)
    assert "Raise max_iter or tol" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert not model.converged_
    assert_array_equal(model.predict(X), model.labels_)


def test_one_iteration_tells_nothing_about_rest():
    with pytest.warns(ConvergenceWarning, match="one iteration cannot show that the inertia rests"):
        BalancedKMeans(8, max_iter=1, random_state=0).fit(X)


def test_empty_clusters_warn_where_sizes_allow_them():
    data = np.repeat(X[:2], 5, axis=0)
    with pytest.warns(
        ConvergenceWarning, match="found 2 different clusters, fewer than n_clusters=3"
    ):
        BalancedKMeans(3, size_min=0, random_state=0).fit(data)
    BalancedKMeans(3, random_state=0).fit(data)  # equal sizes leave no cluster empty


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_clusters_that_have_to_be_empty_are_nothing_to_warn_of(assignment):
    model = BalancedKMeans(3, size_max=[100, 0, 100], init=X[:3], assignment=assignment).fit(X)
    assert model.cluster_sizes_[1] == 0
    assert 1 not in model.predict(X)
    assert model.dual_gap_ < 0.1
    if assignment == "exact":
        assert_array_equal(model.predict(X), model.labels_)


def test_a_failed_fit_leaves_the_parameters():
    model = BalancedKMeans(3, size_min=99)
    before = clone(model).get_params()
    with pytest.raises(ValueError, match="size_min=99"):
        model.fit(X)
    assert model.get_params() == before


def native():
    return import_module("clusterlib.kernels._native")


@pytest.mark.filterwarnings("ignore:.*did not converge")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_fit_needs_less_than_three_times_the_data(dtype):
    if "native" not in available_backends() or not hasattr(native(), "capacity_assignment"):
        pytest.skip("the other backends hold all costs")
    data = np.random.default_rng(0).normal(size=(40_000, 64)).astype(dtype)
    model = BalancedKMeans(100, max_iter=2, random_state=0)
    tracemalloc.start()
    model.fit(data).predict(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * data.nbytes
