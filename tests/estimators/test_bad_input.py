"""Bad input of estimators, one table: what is given, which error, what it says."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from clusterlib.cluster import KMeans, MiniBatchKMeans, SphericalKMeans
from tests.estimators.cases import CLASSES, blobs

X = blobs()[0]
ONES = np.ones(len(X))


def changed(array, value):
    array = np.array(array, dtype=float)
    array[-1, ..., 0] = value
    return array


def weights(value):
    return np.r_[ONES[1:], value]


PARAMETERS = [
    ("n_clusters", 0, ValueError, r"n_clusters must be an int in \[1, inf\); got 0"),
    ("n_clusters", -1, ValueError, r"got -1"),
    ("n_clusters", 2.0, TypeError, r"n_clusters must be an int .* got 2.0"),
    ("n_clusters", True, TypeError, r"got True"),
    ("n_clusters", "8", TypeError, r"got '8'"),
    ("n_clusters", None, TypeError, r"got None"),
    ("n_clusters", 151, ValueError, r"n_clusters=151 must not be above n_samples=150"),
    ("n_init", 0, ValueError, r"n_init must be an int in \[1, inf\); got 0"),
    ("n_init", "many", ValueError, r"n_init must be 'auto' or an int .* got 'many'"),
    ("n_init", 1.5, TypeError, r"got 1.5"),
    ("max_iter", 0, ValueError, r"max_iter must be an int in \[1, inf\); got 0"),
    ("max_iter", 10.0, TypeError, r"max_iter .* got 10.0"),
    ("tol", -1e-9, ValueError, r"tol must be a float in \[0, inf\); got -1e-09"),
    ("tol", np.nan, ValueError, r"got nan"),
    ("tol", np.inf, ValueError, r"got inf"),
    ("tol", "small", TypeError, r"tol .* got 'small'"),
    ("verbose", -1, ValueError, r"verbose must be an int in \[0, inf\); got -1"),
    ("verbose", "yes", TypeError, r"verbose .* got 'yes'"),
    ("random_state", -1, ValueError, r"."),
    ("random_state", "seed", ValueError, r"'seed' cannot be used to seed"),
    (
        "init",
        "kmeans++",
        ValueError,
        r"'auto', 'k-means\+\+', 'k-means\|\|', 'random', a callable or an array .* got",
    ),
    ("init", 7, TypeError, r"init must be one of .* got 7"),
    ("init", X[:4], ValueError, r"init must have shape .*\(3, 3\); got \(4, 3\)"),
    ("init", X[:3, :2], ValueError, r"init must have shape .*\(3, 3\); got \(3, 2\)"),
    ("init", changed(X[:3], np.nan), ValueError, r"init contains NaN or infinity"),
    ("init", changed(X[:3], np.inf), ValueError, r"init contains NaN or infinity"),
    ("init", [["a", "b", "c"]] * 3, TypeError, r"init must hold real numbers"),
    ("init", lambda *_, **__: X[:1], ValueError, r"init must have shape"),
]

MINI_BATCH_PARAMETERS = [
    ("batch_size", 0, ValueError, r"batch_size must be an int in \[1, inf\); got 0"),
    ("batch_size", 1e3, TypeError, r"batch_size .* got 1000.0"),
    ("max_no_improvement", 0, ValueError, r"max_no_improvement .* got 0"),
    ("init_size", 2, ValueError, r"init_size must be an int in \[3, inf\); got 2"),
    ("reassignment_ratio", 1.5, ValueError, r"reassignment_ratio .* \[0, 1\]; got 1.5"),
    ("reassignment_ratio", -0.1, ValueError, r"got -0.1"),
    ("compute_labels", 1, TypeError, r"compute_labels must be True or False; got 1"),
]

DATA = [
    ("nan", changed(X, np.nan), ValueError, "NaN"),
    ("infinity", changed(X, np.inf), ValueError, "infinity"),
    ("minus infinity", changed(X, -np.inf), ValueError, "infinity"),
    ("one dimension", X[:, 0], ValueError, "2D array"),
    ("three dimensions", X[None], ValueError, "dim 3"),
    ("no rows", X[:0], ValueError, "0 sample"),
    ("no features", X[:, :0], ValueError, "0 feature"),
    ("scalar", 3.0, ValueError, "2D array"),
    ("None", None, ValueError, "."),
    ("complex", X.astype(complex), ValueError, "Complex"),
    ("strings", np.full((9, 2), "a"), ValueError, "."),
    ("ragged", [[1.0, 2.0], [3.0]], ValueError, "."),
    ("sparse", sparse.csr_array(X), TypeError, "Sparse"),
    ("objects", np.full((9, 2), object()), TypeError, "."),
]

WEIGHTS = [
    ("nan", weights(np.nan), ValueError, "finite and not negative; got nan in row 149"),
    ("infinity", weights(np.inf), ValueError, "got inf in row 149"),
    ("negative", weights(-1), ValueError, r"got -1.0 in row 149"),
    ("zeros", 0 * ONES, ValueError, "finite sum above zero; got 0.0"),
    ("zero", 0, ValueError, "finite sum above zero"),
    ("overflow", 1e308 * ONES, ValueError, "finite sum above zero; got inf"),
    ("too few", ONES[1:], ValueError, r"shape .*\(150,\); got \(149,\)"),
    ("two dimensions", ONES[:, None], ValueError, r"got \(150, 1\)"),
    ("strings", ["a"] * 150, TypeError, "sample_weight must hold real numbers"),
    ("complex", [1 + 2j] * 150, TypeError, "sample_weight must hold real numbers: got complex128"),
    ("two rows", np.r_[1, 1, 0 * ONES[2:]], ValueError, "n_samples=2 .*weight above zero"),
]


@pytest.fixture(params=CLASSES, ids=lambda cls: cls.__name__)
def estimator(request):
    return request.param(n_clusters=3, random_state=0)


@pytest.mark.parametrize(("name", "value", "error", "message"), PARAMETERS)
def test_parameters(estimator, name, value, error, message):
    with pytest.raises(error, match=message):
        estimator.set_params(**{name: value}).fit(X)
    assert not hasattr(estimator, "cluster_centers_")


@pytest.mark.parametrize(("name", "value", "error", "message"), MINI_BATCH_PARAMETERS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_mini_batch_parameters(method, name, value, error, message):
    estimator = MiniBatchKMeans(3, **{name: value})
    with pytest.raises(error, match=message):
        getattr(estimator, method)(X)


@pytest.mark.parametrize(
    ("data", "error", "message"), [r[1:] for r in DATA], ids=[r[0] for r in DATA]
)
@pytest.mark.parametrize("method", ["fit", "predict", "transform", "score"])
def test_data(estimator, method, data, error, message):
    if method != "fit":
        estimator.fit(X)
    with pytest.raises(error, match=message):
        getattr(estimator, method)(data)


@pytest.mark.parametrize(
    ("weight", "error", "message"), [r[1:] for r in WEIGHTS], ids=[r[0] for r in WEIGHTS]
)
def test_weights(estimator, weight, error, message):
    with pytest.raises(error, match=message):
        estimator.fit(X, sample_weight=weight)
    if "n_samples" not in message:
        with pytest.raises(error, match=message):
            estimator.set_params(init="k-means++").fit(X).score(X, sample_weight=weight)


@pytest.mark.parametrize("method", ["predict", "transform", "score"])
def test_not_fitted(estimator, method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(estimator, method)(X)


@pytest.mark.parametrize("method", ["predict", "transform", "score"])
def test_another_number_of_features(estimator, method):
    estimator.fit(X)
    with pytest.raises(ValueError, match="2 features, but .* expecting 3"):
        getattr(estimator, method)(X[:, :2])


def test_centres_that_somebody_spoiled(estimator):
    estimator.fit(X)
    estimator.cluster_centers_[0, 0] = np.nan
    with pytest.raises(ValueError, match="Y contains NaN or infinity"):
        estimator.predict(X)


def test_partial_fit():
    estimator = MiniBatchKMeans(3, random_state=0)
    with pytest.raises(ValueError, match="n_clusters=3 must not be above n_samples=2"):
        estimator.partial_fit(X[:2])
    estimator.partial_fit(X).partial_fit(X[:1])
    with pytest.raises(ValueError, match="2 features, but .* expecting 3"):
        estimator.partial_fit(X[:, :2])
    with pytest.raises(ValueError, match="finite and not negative"):
        estimator.partial_fit(X, sample_weight=weights(-1))
    with pytest.raises(ValueError, match="n_clusters=4 cannot .* has 3"):
        estimator.set_params(n_clusters=4).partial_fit(X)


@pytest.mark.parametrize(
    ("n_assign", "error", "message"),
    [
        (0, ValueError, r"n_assign must be an int in \[1, n_clusters=3\]; got 0"),
        (4, ValueError, r"got 4"),
        (1.0, TypeError, r"got 1.0"),
    ],
)
def test_several_clusters(n_assign, error, message):
    estimator = SphericalKMeans(3, random_state=0).fit(X)
    with pytest.raises(error, match=message):
        estimator.assign(X, n_assign=n_assign)


def test_no_directions():
    with pytest.raises(ValueError, match="no row with a direction"):
        SphericalKMeans(2).fit(np.zeros((5, 3)))
    with pytest.raises(ValueError, match="no row with a direction"):
        SphericalKMeans(2).fit(np.r_[np.eye(3), np.zeros((3, 3))], sample_weight=[0] * 3 + [1] * 3)
    with pytest.raises(ValueError, match="init has a row of zeros"):
        SphericalKMeans(2, init=[[1.0, 0, 0], [0, 0, 0]]).fit(X)


def test_a_failed_fit_leaves_the_parameters(estimator):
    before = clone(estimator).get_params()
    with pytest.raises(ValueError, match="NaN"):
        estimator.fit(changed(X, np.nan))
    assert estimator.get_params() == before


# What is unusual but not bad.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_too_few_different_rows_warn_once(estimator, init, dtype):
    data = np.repeat(np.eye(3, dtype=dtype)[:2], 5, axis=0)
    estimator.set_params(init=init, n_init=1)
    with pytest.warns(ConvergenceWarning) as caught:
        estimator.fit(data)
    assert len(caught) == 1
    assert "found 2 different clusters, fewer than n_clusters=3" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert np.isfinite(estimator.cluster_centers_).all()
    assert len(np.unique(estimator.labels_)) == 2
    np.testing.assert_allclose(estimator.inertia_, 0, atol=1e-12)


def test_constant_rows(estimator):
    with pytest.warns(ConvergenceWarning, match="found 1 different clusters"):
        estimator.fit(np.full((9, 2), 7.0))
    assert (estimator.labels_ == estimator.labels_[0]).all()
    np.testing.assert_allclose(estimator.inertia_, 0, atol=1e-12)


@pytest.mark.parametrize("cls", [KMeans, SphericalKMeans])
def test_too_few_iterations_warn_once(cls):
    data = np.random.default_rng(0).normal(size=(300, 3))
    with pytest.warns(ConvergenceWarning) as caught:
        estimator = cls(8, max_iter=2, random_state=0).fit(data)
    assert len(caught) == 1
    assert "did not converge in max_iter=2 iterations" in str(caught[0].message)
    assert "Raise max_iter or tol" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert not estimator.converged_


def test_too_few_passes_warn_once():
    data = np.random.default_rng(0).normal(size=(300, 3))
    estimator = MiniBatchKMeans(8, batch_size=100, max_iter=1, random_state=0)
    with pytest.warns(ConvergenceWarning) as caught:
        estimator.fit(data)
    assert len(caught) == 1
    assert "did not converge in max_iter=1 passes" in str(caught[0].message)
    assert caught[0].filename == __file__
    estimator.set_params(max_no_improvement=None).fit(data)  # nobody asked for an end: no warning


@pytest.mark.parametrize("init", ["k-means++", "random"])
@pytest.mark.parametrize("cls", [KMeans, SphericalKMeans])
def test_as_many_clusters_as_rows(cls, init):
    data = np.eye(4)[:3] + 1e-3
    estimator = cls(3, init=init, tol=0.0, random_state=0).fit(data)
    assert sorted(estimator.labels_) == [0, 1, 2]
    np.testing.assert_allclose(estimator.inertia_, 0, atol=1e-12)


def test_one_row(estimator):
    estimator.set_params(n_clusters=1).fit([[1.0, 2.0]])
    assert estimator.labels_.tolist() == [0]


def test_single_precision_far_from_the_origin():
    data, y = blobs(dtype=np.float32)
    for cls in (KMeans, MiniBatchKMeans):
        estimator = cls(3, random_state=0).fit(data + np.float32(1e6))
        groups = {tuple(np.unique(estimator.labels_[y == j])) for j in range(3)}
        assert len(groups) == 3
        assert all(len(group) == 1 for group in groups)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_row_far_away(dtype):
    data = X.astype(dtype)
    data[5] = 1e18
    estimator = KMeans(2, random_state=0, tol=0.0).fit(data)
    assert np.flatnonzero(estimator.labels_ == estimator.labels_[5]).tolist() == [5]
    sphere = SphericalKMeans(3, random_state=0).fit(data)
    assert np.isfinite(sphere.cluster_centers_).all()
