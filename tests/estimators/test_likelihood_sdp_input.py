"""Bad and unusual input of LikelihoodAdjustedSDP."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from clusterlib.cluster import LikelihoodAdjustedSDP
from tests.estimators.cases import blobs

METHODS = ["predict", "predict_proba", "score_samples", "score", "bic", "aic"]
X, y = blobs(n=60)
KNOWN = np.tile(0.25 * np.eye(3), (3, 1, 1))


def groups(**options):
    return LikelihoodAdjustedSDP(**({"n_clusters": 3, "n_init": 2, "random_state": 0} | options))


def spoiled(matrices, place, value):
    matrices = matrices.copy()
    matrices[place] = value
    return matrices


PARAMETERS = [
    ("n_clusters", 0, ValueError, r"n_clusters must be an int in \[1, inf\); got 0"),
    ("n_clusters", 3.0, TypeError, "n_clusters .* got 3.0"),
    ("n_clusters", 61, ValueError, "n_clusters=61 must not be above n_samples=60"),
    ("covariance_type", "fill", ValueError, "one of 'auto', 'full', 'tied', .* got 'fill'"),
    ("covariance_type", None, TypeError, "covariance_type must be one of .* got None"),
    ("weights", "uniform", ValueError, "one of 'auto', 'equal', 'estimated'; got 'uniform'"),
    ("weights", [0.5, 0.5], TypeError, "weights must be one of"),
    ("trace", "each", ValueError, "trace must be one of 'group', 'total'; got 'each'"),
    ("update", "soft", ValueError, "update must be one of 'lifted', 'hard'; got 'soft'"),
    ("init", "kmeans", ValueError, "'k-means', 'random' or an array of labels; got 'kmeans'"),
    ("init", 3, TypeError, "or an array of labels; got 3"),
    ("init", y[:59], ValueError, r"init must have shape \(n_samples,\)=\(60,\); got \(59,\)"),
    ("init", np.eye(60, 3, dtype=int), ValueError, r"got \(60, 3\)"),
    ("init", y + 1, ValueError, r"labels in \[0, n_clusters - 1=2\]; got 3 in row"),
    ("init", y - 1, ValueError, "got -1 in row"),
    ("init", y + 0.5, TypeError, "init must hold integers, .* got dtype float64"),
    ("init", ["a"] * 60, TypeError, "init must hold integers"),
    ("n_init", 0, ValueError, r"n_init must be an int in \[1, inf\); got 0"),
    ("n_init", "auto", TypeError, "n_init .* got 'auto'"),
    ("rank", 0, ValueError, r"rank must be an int in \[1, inf\); got 0"),
    ("rank", None, TypeError, "rank .* got None"),
    ("n_components", 0, ValueError, r"int in \[1, n_features=3\]; got 0"),
    ("n_components", 4, ValueError, r"int in \[1, n_features=3\]; got 4"),
    ("n_components", "all", ValueError, "'auto', an int .* or None; got 'all'"),
    ("n_components", 2.0, TypeError, "n_components .* got 2.0"),
    ("max_iter", 0, ValueError, r"max_iter must be an int in \[1, inf\); got 0"),
    ("tol", 0, ValueError, r"tol must be a float in \(0, inf\); got 0"),
    ("tol", np.nan, ValueError, "tol .* got nan"),
    ("verbose", "yes", TypeError, "verbose .* got 'yes'"),
    ("random_state", -1, ValueError, "."),
    ("covariances", KNOWN[:2], ValueError, r"n_features\)=\(3, 3, 3\); got \(2, 3, 3\)"),
    ("covariances", KNOWN[0], ValueError, r"got \(3, 3\)"),
    ("covariances", 1.0, ValueError, r"got \(\)"),
    ("covariances", [["a"]], TypeError, "covariances must hold real numbers"),
    ("covariances", KNOWN * 1j, TypeError, "covariances must hold real numbers"),
    ("covariances", spoiled(KNOWN, (1, 0, 0), np.nan), ValueError, "contains NaN or infinity"),
    ("covariances", spoiled(KNOWN, (1, 0, 2), 0.1), ValueError, "symmetric; those of group 1"),
    ("covariances", spoiled(KNOWN, (2, 1, 1), -0.5), ValueError, "eigenvalue of group 2 is -0.5"),
    ("covariances", spoiled(KNOWN, (2, 1, 1), 0.0), ValueError, "eigenvalue of group 2 is 0"),
]


@pytest.mark.parametrize(("name", "value", "error", "message"), PARAMETERS)
def test_parameters(name, value, error, message):
    estimator = groups(**{name: value})
    with pytest.raises(error, match=message):
        estimator.fit(X)
    assert {key for key in vars(estimator) if key.endswith("_")} == set()


@pytest.mark.parametrize(
    ("shape", "wrong", "message"),
    [
        ("full", np.ones((3, 3)), r"\(3, 3, 3\); got \(3, 3\)"),
        ("tied", np.ones((3, 3, 3)), r"\(n_features, n_features\)=\(3, 3\); got \(3, 3, 3\)"),
        ("diag", np.ones(3), r"\(n_clusters, n_features\)=\(3, 3\); got \(3,\)"),
        ("spherical", np.ones((3, 1)), r"\(n_clusters,\)=\(3,\); got \(3, 1\)"),
        ("diag", [[1, 1, 1], [1, 0, 1], [1, 1, 1]], "smallest eigenvalue of group 1 is 0"),
        ("spherical", [1.0, 1.0, -2.0], "smallest eigenvalue of group 2 is -2"),
    ],
)
def test_known_covariances_have_the_shape_of_their_type(shape, wrong, message):
    with pytest.raises(ValueError, match=message):
        groups(covariance_type=shape, covariances=wrong).fit(X)


def test_known_covariances_that_no_factorisation_survives(monkeypatch):
    def failing(*_, **__):
        raise np.linalg.LinAlgError("Matrix is not positive definite")

    monkeypatch.setattr("clusterlib.cluster._group_fit.likelihood_sdp", failing)
    with pytest.raises(ValueError, match="differ by too many orders of magnitude .* check the"):
        groups(covariances=KNOWN).fit(X)
    with pytest.raises(np.linalg.LinAlgError):  # nobody's input: not to be explained away
        groups().fit(X)


@pytest.mark.parametrize("factor", [1e30, 1e40, 1e120])
def test_known_covariances_of_another_scale_than_the_rows(factor):
    with pytest.raises(ValueError, match="differ by too many orders of magnitude .* check the"):
        groups(covariances=KNOWN * factor).fit(X)


def test_one_known_covariance_may_be_huge():
    known = np.stack([np.eye(3), 1e30 * np.eye(3), np.eye(3)])
    with pytest.warns(ConvergenceWarning, match="found 2 different clusters"):
        estimator = groups(covariances=known).fit(X)
    assert np.isfinite(estimator.log_likelihood_)
    assert_array_equal(estimator.predict(X), estimator.labels_)


def test_known_covariances_belong_to_all_features():
    with pytest.raises(ValueError, match="n_components=2 cannot be combined with known covar"):
        groups(covariances=KNOWN, n_components=2).fit(X)
    for n_components in ("auto", None, 3):
        estimator = groups(covariances=KNOWN, n_components=n_components).fit(X)
        assert estimator.components_ is None


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (np.where(np.arange(3) == 1, np.nan, X), ValueError, "NaN"),
        (np.where(np.arange(3) == 1, np.inf, X), ValueError, "infinity"),
        (X[:, 0], ValueError, "2D array"),
        (X[:0], ValueError, "0 sample"),
        (X.astype(complex), ValueError, "Complex"),
        (sparse.csr_array(X), TypeError, "Sparse"),
    ],
    ids=["nan", "infinity", "one_dimension", "no_rows", "complex", "sparse"],
)
@pytest.mark.parametrize("method", ["fit", *METHODS])
def test_data(method, data, error, message):
    estimator = groups()
    if method != "fit":
        estimator.fit(X)
    with pytest.raises(error, match=message):
        getattr(estimator, method)(data)


@pytest.mark.parametrize("method", METHODS)
def test_not_fitted(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(groups(), method)(X)


@pytest.mark.parametrize("method", METHODS)
def test_another_number_of_features(method):
    with pytest.raises(ValueError, match="2 features, but .* expecting 3"):
        getattr(groups().fit(X), method)(X[:, :2])


@pytest.mark.parametrize("n_samples", [9, 60])
@pytest.mark.parametrize("value", [0.0, 7.0, 0.1, 0.3, 1e8 / 3])  # most have a rounded mean
@pytest.mark.parametrize("options", [{}, {"covariances": [np.eye(2)] * 2}])
def test_rows_that_are_all_the_same(n_samples, value, options):
    message = f"all rows of X are the same .n_samples={n_samples}"
    with pytest.raises(ValueError, match=message):
        groups(n_clusters=2, **options).fit(np.full((n_samples, 2), value))


def test_rows_that_differ_by_rounding():
    data = np.full((9, 2), 0.1)
    data[0] += np.spacing(0.1)
    with pytest.raises(ValueError, match="all rows of X are the same .n_samples=9"):
        groups(n_clusters=2).fit(data)


def test_constant_feature_among_known_covariances():
    estimator = groups(n_clusters=2, covariances=[np.eye(4)] * 2)
    estimator.fit(np.column_stack([X, np.full(len(X), 0.1)]))
    assert_array_equal(estimator.means_[:, 3], [0.1, 0.1])


@pytest.mark.parametrize("factor", [1e-150, 1e150, 1e300])
def test_squares_that_leave_the_numbers(factor):
    with pytest.raises(ValueError, match="whose square leaves float64; multiply X by"):
        groups().fit(X * factor)


def test_sums_that_leave_the_numbers():
    with pytest.raises(ValueError, match="whose square leaves float64; multiply X by"):
        groups().fit(np.linspace(0.0, 1.7e308, 20)[:, None])


def assert_finite(estimator, data):
    for name in ("means_", "covariances_", "weights_", "memberships_", "log_likelihood_"):
        assert np.isfinite(getattr(estimator, name)).all()
    for method in METHODS:
        assert np.isfinite(getattr(estimator, method)(data)).all()
    assert_array_equal(estimator.predict(data), estimator.labels_)
    assert_allclose(estimator.memberships_.sum(axis=1), 1, rtol=1e-10)


def test_too_few_different_rows_warn_once():
    data = np.repeat([[0.0, 1.0], [3.0, 2.0]], 5, axis=0)
    with pytest.warns(ConvergenceWarning) as caught:
        estimator = groups().fit(data)
    assert len(caught) == 1
    assert "found 2 different clusters, fewer than n_clusters=3" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert_finite(estimator, data)


def test_too_few_rounds_warn_once():
    data = np.random.default_rng(0).normal(size=(200, 3))
    with pytest.warns(ConvergenceWarning) as caught:
        estimator = groups(init="random", n_init=1, max_iter=1, n_clusters=6).fit(data)
    assert len(caught) == 1
    assert "did not converge in max_iter=1 rounds" in str(caught[0].message)
    assert "Raise max_iter" in str(caught[0].message)
    assert caught[0].filename == __file__
    assert not estimator.converged_
    assert_finite(estimator, data)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("covariance_type", ["auto", "full", "tied", "diag", "spherical"])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(np.repeat(X[:12], 5, axis=0), id="duplicated_rows"),
        pytest.param(np.c_[X, X[:, 0] + X[:, 1]], id="collinear_features"),
        pytest.param(np.c_[X, np.full(60, 0.1)], id="constant_column"),
        pytest.param(np.c_[X, np.zeros((60, 30))], id="constant_columns"),
        pytest.param(X[:4], id="fewer_rows_than_a_covariance_needs"),
        pytest.param(np.random.default_rng(0).normal(size=(9, 40)), id="more_features_than_rows"),
        pytest.param(np.r_[X, [[1e6, 0, 0]]], id="a_row_far_away"),
        pytest.param(X[:, :1], id="one_feature"),
        pytest.param(np.r_[np.zeros((50, 3)), np.eye(3)], id="nearly_all_the_same"),
    ],
)
def test_unusual_data(covariance_type, data):
    assert_finite(groups(covariance_type=covariance_type).fit(data), data)


def test_fewer_directions_than_asked_for_warn_once():
    data = np.c_[X, X[:, 0] - X[:, 1]]
    for n_components in (None, 4):
        with pytest.warns(UserWarning, match="rank of X about its mean is 3, less") as caught:
            estimator = groups(n_components=n_components).fit(data)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert estimator.components_.shape == (3, 4)
        assert estimator.noise_variance_ == 0
    assert groups().fit(data).components_.shape == (3, 4)  # nobody asked for more: no warning


def test_one_cluster():
    estimator = groups(n_clusters=1, covariance_type="full").fit(X)
    assert_array_equal(estimator.labels_, np.zeros(60))
    assert_allclose(estimator.means_[0], X.mean(axis=0))
    assert_allclose(estimator.predict_proba(X), 1)
    assert_finite(estimator, X)
    assert_array_equal(groups(n_clusters=1).fit([[1.0, 2.0], [3.0, 5.0]]).labels_, [0, 0])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_as_many_clusters_as_rows():
    for covariance_type in ("auto", "full", "spherical"):
        data = X[:5]
        assert_finite(groups(n_clusters=5, covariance_type=covariance_type).fit(data), data)


def test_rows_of_any_size_are_assigned():
    estimator = groups().fit(X)
    far = X[:3] * np.array([[1e30], [1e150], [1e300]])
    assert_allclose(estimator.predict_proba(far).sum(axis=1), 1)
    assert np.isfinite(estimator.score_samples(far)).all()


def test_interruption_leaves_what_was_there(monkeypatch):
    estimator = groups().fit(X)
    before = dict(vars(estimator))

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("clusterlib.cluster._group_fit.likelihood_sdp", interrupted)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X[:, :2])
    for name in ("labels_", "means_", "n_features_in_"):
        assert vars(estimator)[name] is before[name]
    assert_array_equal(estimator.predict(X), estimator.labels_)
    with pytest.raises(KeyboardInterrupt):
        groups().fit(X)
    with pytest.raises(NotFittedError):
        groups().predict(X)


def test_interruption_of_the_storing_leaves_what_was_there(monkeypatch):
    estimator = groups().fit(X)
    before = dict(vars(estimator))

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("clusterlib.cluster._group_fit._n_parameters", interrupted)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X[:, :2])
    assert vars(estimator).keys() == before.keys()
    for name, value in before.items():
        assert vars(estimator)[name] is value
