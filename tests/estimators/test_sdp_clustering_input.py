"""Bad and unusual input of SDPClustering."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from clusterlib.cluster import SDPClustering
from tests.estimators.cases import blobs

X = blobs()[0]
NUMBERS = ["cluster_centers_", "inertia_", "objective_", "lower_bound_", "optimality_gap_"]


def sdp(**options):
    return SDPClustering(**({"n_clusters": 3, "random_state": 0} | options))


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("n_clusters", 0, ValueError, r"n_clusters must be an int in \[1, inf\); got 0"),
        ("n_clusters", 2.0, TypeError, "n_clusters must be an int .* got 2.0"),
        ("n_clusters", 151, ValueError, "n_clusters=151 must not be above n_samples=150"),
        ("solver", "SCS", ValueError, "'auto', 'low_rank', 'sketch', 'cvxpy'; got 'SCS'"),
        ("solver", "exact", ValueError, "solver must be one of .* got 'exact'"),
        ("solver", None, TypeError, "solver must be one of .* got None"),
        ("certify", True, TypeError, "'none', 'fast', 'block', 'full'; got True"),
        ("certify", "exact", ValueError, "certify must be one of .* got 'exact'"),
        ("rank", 2, ValueError, r"rank must be an int in \[3, n_samples=150\]; got 2"),
        ("rank", 151, ValueError, r"rank must be an int in \[3, n_samples=150\]; got 151"),
        ("rank", "2K", TypeError, "rank must be an int"),
        ("n_init", 0, ValueError, r"n_init must be an int in \[1, inf\); got 0"),
        ("n_init", "auto", TypeError, "n_init must be an int"),
        ("n_kmeans", -1, ValueError, r"n_kmeans must be an int in \[0, inf\); got -1"),
        ("sketch_size", 2, ValueError, r"sketch_size must be an int in \[3, inf\); got 2"),
        ("sketch_size", 0.1, TypeError, "sketch_size must be an int"),
        ("n_sketches", 0, ValueError, r"n_sketches must be an int in \[1, inf\); got 0"),
        ("max_iter", 0, ValueError, r"max_iter must be an int in \[1, inf\); got 0"),
        ("max_iter", 10.0, TypeError, "max_iter must be an int"),
        ("tol", 0, ValueError, r"tol must be a float in \(0, inf\); got 0"),
        ("tol", np.nan, ValueError, "tol must be a float .* got nan"),
        ("allow_large", 1, TypeError, "allow_large must be True or False; got 1"),
        ("verbose", "yes", TypeError, "verbose"),
        ("random_state", "seed", ValueError, "seed"),
    ],
)
def test_parameters(name, value, error, message):
    estimator = sdp(**{name: value})
    with pytest.raises(error, match=message):
        estimator.fit(X)
    assert not hasattr(estimator, "cluster_centers_")


def with_value(value):
    bad = X.copy()
    bad[7, 1] = value
    return bad


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (X[:, 0], "2D array"),
        (X[:0], "0 sample"),
        (X[:, :0], "0 feature"),
        (with_value(np.nan), "NaN"),
        (with_value(np.inf), "infinity"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "predict", "transform", "score"])
def test_data(method, data, message):
    estimator = sdp() if method == "fit" else sdp().fit(X)
    with pytest.raises(ValueError, match=message):
        getattr(estimator, method)(data)


@pytest.mark.parametrize("solver", ["auto", "sketch"])
def test_squares_beyond_the_range_are_refused(solver):
    estimator = sdp(solver=solver, sketch_size=10)
    with pytest.raises(ValueError, match="overflow float64; divide X by"):
        estimator.fit(X * 1e160)
    with pytest.raises(ValueError, match="underflow float64; multiply X by"):
        estimator.fit(X * 1e-170)
    assert not hasattr(estimator, "cluster_centers_")


def test_more_rows_than_the_reference_takes():
    data = np.random.default_rng(0).normal(size=(201, 2))
    with pytest.raises(ValueError, match=r"above 200 rows; got n_samples=201.*allow_large=True"):
        sdp(solver="cvxpy").fit(data)


def test_the_reference_may_be_forced(monkeypatch):
    pytest.importorskip("cvxpy")
    from clusterlib.cluster import _sdp_fit

    monkeypatch.setattr(_sdp_fit, "CVXPY_ROWS", 20)
    data = blobs(n=21)[0]
    with pytest.raises(ValueError, match="above 20 rows; got n_samples=21"):
        sdp(solver="cvxpy").fit(data)
    assert sdp(solver="cvxpy", allow_large=True).fit(data).solver_ == "cvxpy"


def test_without_cvxpy_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    estimator = sdp(solver="cvxpy")
    with pytest.raises(ImportError, match=r"clusterlib-native\[cvx\]"):
        estimator.fit(X)
    assert not hasattr(estimator, "cluster_centers_")


@pytest.mark.parametrize("solver", ["auto", "low_rank", "sketch"])
def test_more_rows_than_the_full_certificate_takes(solver):
    data = np.random.default_rng(0).normal(size=(10_001, 1))
    with pytest.raises(ValueError, match="at most 10000 rows; got n_samples=10001.*'block'"):
        sdp(certify="full", solver=solver).fit(data)


@pytest.mark.parametrize("method", ["predict", "transform", "score", "membership_matrix"])
def test_not_fitted(method):
    arguments = () if method == "membership_matrix" else (X,)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(sdp(), method)(*arguments)
    assert not hasattr(sdp(), "membership_")


def test_no_weights():
    with pytest.raises(TypeError, match="sample_weight"):
        sdp().fit(X, sample_weight=np.ones(len(X)))


@pytest.mark.parametrize("solver", ["low_rank", "sketch"])
def test_an_early_end_warns_once_and_keeps_the_best(solver):
    data = np.random.default_rng(0).normal(size=(300, 3))
    estimator = sdp(n_clusters=5, max_iter=2, solver=solver, sketch_size=100)
    with pytest.warns(ConvergenceWarning) as caught:
        estimator.fit(data)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "did not converge in" in message
    assert "misses its constraints by" in message
    assert "Raise max_iter or tol" in message
    assert caught[0].filename == __file__
    assert not estimator.converged_
    assert_array_equal(estimator.predict(data), estimator.labels_)
    for name in NUMBERS:
        assert np.isfinite(getattr(estimator, name)).all()


def test_an_early_end_of_the_reference_warns_too():
    pytest.importorskip("cvxpy")
    with pytest.warns(ConvergenceWarning, match="Raise max_iter or tol"):
        estimator = sdp(solver="cvxpy", max_iter=5).fit(X[:20])
    assert np.isfinite(estimator.inertia_)


# What is unusual but not bad.


@pytest.mark.parametrize("certify", ["none", "full"])
@pytest.mark.parametrize("solver", ["auto", "low_rank", "sketch", "cvxpy"])
def test_one_cluster(solver, certify):
    estimator = sdp(n_clusters=1, solver=solver, certify=certify).fit(X)
    assert_allclose(estimator.cluster_centers_[0], X.mean(axis=0))
    assert_allclose(estimator.inertia_, np.square(X - X.mean(axis=0)).sum())
    assert_allclose(estimator.objective_, 0, atol=1e-9 * estimator.inertia_)
    assert estimator.solver_ == "exact"
    assert estimator.rounding_ == "only choice"
    assert estimator.certificate_ == "exact"
    assert estimator.optimality_gap_ == 0
    assert_array_equal(estimator.membership_, np.ones((150, 1)))


@pytest.mark.parametrize("certify", ["none", "fast"])
def test_as_many_clusters_as_rows(certify):
    estimator = sdp(n_clusters=20, certify=certify).fit(X[:20])
    assert_array_equal(np.sort(estimator.labels_), np.arange(20))
    assert estimator.inertia_ == 0
    assert estimator.optimality_gap_ == 0
    assert estimator.certificate_ == "exact"
    assert_allclose(estimator.membership_matrix(), np.eye(20))


def test_one_cluster_fewer_than_rows():
    estimator = sdp(n_clusters=19, certify="fast").fit(X[:20])
    assert len(np.unique(estimator.labels_)) == 19
    assert estimator.certificate_ in ("exact", "bound")


def test_one_row():
    estimator = sdp(n_clusters=1).fit([[1.0, 2.0]])
    assert estimator.labels_.tolist() == [0]
    assert estimator.inertia_ == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("solver", ["low_rank", "sketch", "cvxpy"])
def test_too_few_different_rows_warn_once(solver, dtype):
    data = np.repeat(np.eye(3, dtype=dtype)[:2], 5, axis=0)
    estimator = sdp(solver=solver, sketch_size=5, certify="fast")
    with pytest.warns(ConvergenceWarning) as caught:
        estimator.fit(data)
    assert len(caught) == 1
    assert "found 2 different clusters, fewer than n_clusters=3" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert estimator.inertia_ == 0
    assert estimator.certificate_ == "exact"
    assert np.isfinite(estimator.cluster_centers_).all()


@pytest.mark.parametrize("solver", ["low_rank", "sketch"])
def test_equal_rows(solver):
    estimator = sdp(solver=solver, sketch_size=5)
    with pytest.warns(ConvergenceWarning, match="found 1 different clusters"):
        estimator.fit(np.full((9, 2), 7.0))
    assert (estimator.labels_ == estimator.labels_[0]).all()
    for name in NUMBERS:
        assert np.isfinite(getattr(estimator, name)).all()


def test_as_many_clusters_as_different_rows():
    data = np.repeat(np.eye(3), 4, axis=0)
    estimator = sdp().fit(data)
    assert estimator.inertia_ == 0
    assert_array_equal(np.bincount(estimator.labels_), [4, 4, 4])


@pytest.mark.parametrize("certify", ["none", "fast", "full"])
def test_duplicates_collinear_and_constant_features(certify):
    column = np.repeat(X[:, :1], 2, axis=0)
    data = np.c_[column, -3 * column, np.full(300, 5.0)]
    estimator = sdp(certify=certify).fit(data)
    for name in NUMBERS:
        assert np.isfinite(getattr(estimator, name)).all()
    assert_array_equal(estimator.labels_[::2], estimator.labels_[1::2])
    assert_array_equal(estimator.cluster_centers_[:, 2], 5.0)


@pytest.mark.parametrize("solver", ["low_rank", "sketch"])
def test_one_row_far_away(solver):
    data = X.copy()
    data[5] = 1e9
    estimator = sdp(n_clusters=2, solver=solver, sketch_size=20, certify="fast").fit(data)
    assert np.flatnonzero(estimator.labels_ == estimator.labels_[5]).tolist() == [5]


def test_more_features_than_rows():
    data = np.random.default_rng(0).normal(size=(12, 50)) + 9 * np.eye(3, 50).repeat(4, axis=0)
    estimator = sdp(certify="fast").fit(data)
    assert sorted(np.bincount(estimator.labels_)) == [4, 4, 4]


def test_more_columns_than_rows_are_cut():
    estimator = sdp(n_clusters=5).fit(X[:6])
    assert estimator.membership_.shape[1] <= 6
    assert len(np.unique(estimator.labels_)) == 5


@pytest.mark.parametrize("n_clusters", [1, 3])
def test_centres_in_single_precision_raise_no_bound(n_clusters):
    """Far from the origin rounded centres cost more than the means: the bound must not."""
    data = (1e6 + 8 * X).astype(np.float32)
    estimator = sdp(n_clusters=n_clusters, certify="fast").fit(data)
    assert estimator.certificate_ == "exact"
    rows = data.astype(np.float64)
    cost = 0.0
    for k in range(n_clusters):
        members = rows[estimator.labels_ == k]
        cost += np.square(members - members.mean(axis=0)).sum()
    assert estimator.inertia_ > cost
    assert_allclose(estimator.lower_bound_, cost, rtol=1e-9)
    assert 0 < estimator.optimality_gap_ < 1e-3
