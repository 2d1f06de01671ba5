"""Bad and unusual input of SinkhornClustering."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from clusterlib.cluster import SinkhornClustering
from tests.estimators.cases import blobs

RESULTS = ["cluster_centers_", "labels_", "history_", "prior_", "vectors_", "objective_"]


def sinkhorn(**options):
    return SinkhornClustering(**({"n_clusters": 3, "random_state": 0} | options))


X = blobs()[0]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("n_clusters", 0, ValueError, r"n_clusters must be an int in \[1, inf\); got 0"),
        ("n_clusters", 151, ValueError, "n_clusters=151 must not be above n_samples=150"),
        ("epsilon", 0, ValueError, r"epsilon must be a float in \[1e-06, inf\); got 0"),
        ("epsilon", -0.05, ValueError, "epsilon .* got -0.05"),
        ("epsilon", np.nan, ValueError, "epsilon .* got nan"),
        ("epsilon", "small", TypeError, "epsilon .* got 'small'"),
        ("n_iters", 0, ValueError, r"n_iters must be an int in \[1, inf\); got 0"),
        ("n_iters", 3.0, TypeError, "n_iters .* got 3.0"),
        ("prior", "equal", ValueError, "'uniform', 'estimate' or an array of shares; got 'equal'"),
        ("prior", None, TypeError, "prior must be one of .* got None"),
        ("prior", 0.5, TypeError, "prior must be one of .* got 0.5"),
        ("prior", [0.5, 0.5], ValueError, r"prior must have shape .*\(3,\); got \(2,\)"),
        ("prior", [0.5, -0.5, 1], ValueError, "above zero; got -0.5 for cluster 1"),
        ("prior", [0, 0, 0], ValueError, "above zero; got 0.0 for cluster 0"),
        ("prior", [1, 1, np.nan], ValueError, "got nan for cluster 2"),
        ("prior", ["a", "b", "c"], TypeError, "prior must hold real numbers"),
        ("normalize", 1, TypeError, "normalize must be True or False; got 1"),
        ("init", X[:2], ValueError, r"init must have shape .*\(3, 3\); got \(2, 3\)"),
        ("init", np.zeros((3, 3)), ValueError, "init has a row of zeros"),
        ("n_init", 0, ValueError, "n_init"),
        ("max_iter", 0, ValueError, r"max_iter must be an int in \[1, inf\); got 0"),
        ("tol", -1.0, ValueError, "tol"),
        ("queue_size", -1, ValueError, r"queue_size must be an int in \[0, inf\); got -1"),
        ("queue_size", 1.5, TypeError, "queue_size"),
        ("decay", 1.1, ValueError, r"decay must be a float in \[0, 1\]; got 1.1"),
        ("temperature", 0, ValueError, r"temperature must be a float in \(0, inf\); got 0"),
        ("verbose", "yes", TypeError, "verbose"),
    ],
)
def test_parameters(method, name, value, error, message):
    estimator = sinkhorn(**{name: value})
    with pytest.raises(error, match=message):
        getattr(estimator, method)(X)
    assert not hasattr(estimator, "cluster_centers_")


@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "predict_proba", "assign"])
@pytest.mark.parametrize(
    ("data", "message"),
    [(X[:, 0], "2D array"), (X[:0], "0 sample"), (np.full((9, 3), np.nan), "NaN")],
)
def test_data(method, data, message):
    estimator = sinkhorn() if "fit" in method else sinkhorn().fit(X)
    with pytest.raises(ValueError, match=message):
        getattr(estimator, method)(data)


def test_rows_without_directions():
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match="no row with a direction"):
            getattr(sinkhorn(), method)(np.zeros((5, 3)))


def test_long_rows_are_for_normalisation():
    for method in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match="longer than .* Set normalize=True"):
            getattr(sinkhorn(normalize=False), method)(1e5 * X)
    estimator = sinkhorn(normalize=False, epsilon=1.0).partial_fit(X)
    with pytest.raises(ValueError, match="longer than"):
        estimator.partial_fit(1e7 * X)


def test_batches_that_do_not_fit():
    with pytest.raises(ValueError, match="n_clusters=3 must not be above n_samples=2"):
        sinkhorn().partial_fit(X[:2])
    estimator = sinkhorn().partial_fit(X)
    with pytest.raises(ValueError, match="2 features, but .* expecting 3"):
        estimator.partial_fit(X[:, :2])
    with pytest.raises(ValueError, match="n_clusters=4 cannot .* has 3"):
        estimator.set_params(n_clusters=4).partial_fit(X)


@pytest.mark.parametrize("method", ["predict", "transform", "predict_proba", "assign", "score"])
def test_not_fitted(method):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        getattr(sinkhorn(), method)(X)


def test_too_few_iterations_warn_once():
    data = np.random.default_rng(0).normal(size=(300, 3))
    with pytest.warns(ConvergenceWarning) as caught:
        estimator = sinkhorn(n_clusters=8, max_iter=2).fit(data)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "did not converge in max_iter=2 iterations: prototypes still turn by" in message
    assert "Raise max_iter, tol or epsilon" in message
    assert caught[0].filename == __file__
    assert not estimator.converged_


@pytest.mark.parametrize("prior", ["uniform", "estimate"])
def test_too_few_different_rows_warn_once(prior):
    data = np.repeat(np.eye(3)[:2], 5, axis=0)
    with pytest.warns(ConvergenceWarning, match="found 2 different clusters") as caught:
        estimator = sinkhorn(prior=prior).fit(data)
    assert len(caught) == 1
    assert np.isfinite(estimator.cluster_centers_).all()
    with pytest.warns(ConvergenceWarning, match="found 1 different clusters"):
        estimator.fit(np.full((9, 2), 7.0))
    assert_allclose(estimator.assign(np.full((9, 2), 7.0)).sum(axis=1), 1)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("epsilon", [1e-6, 1e-3, 100.0])
@pytest.mark.parametrize("prior", ["uniform", "estimate"])
def test_no_epsilon_gives_nan(prior, epsilon, dtype):
    data = X.astype(dtype)
    data[3] = 0
    data[5] = 1e18
    estimator = sinkhorn(prior=prior, epsilon=epsilon, max_iter=5).fit(data)
    for name in RESULTS:
        assert np.isfinite(getattr(estimator, name)).all()
    assert_allclose(estimator.assign(data).sum(axis=1), 1, rtol=1e-5)
    estimator.partial_fit(data)
    assert np.isfinite(estimator.cluster_centers_).all()


def test_one_row():
    estimator = sinkhorn(n_clusters=1).fit([[1.0, 2.0]])
    assert_array_equal(estimator.labels_, [0])
    assert_allclose(estimator.code_entropy_, 0, atol=1e-12)
