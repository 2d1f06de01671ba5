"""SubclassBalancer: what it refuses, and what it says then."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from clusterlib.imbalance import SubclassBalancer
from tests.estimators.test_subclass_balancer import NAMES, tail


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("delta", 0, ValueError, r"delta must be an int in \[1, inf\); got 0"),
        ("delta", 2.5, TypeError, r"got 2.5"),
        ("size_rule", "floor", ValueError, "size_rule must be one of 'cap', 'code'; got 'floor'"),
        ("size_rule", None, TypeError, "got None"),
        ("metric", "euclidean", ValueError, "metric must be one of 'sqeuclidean', 'cosine'; got"),
        ("n_init", 0, ValueError, r"n_init must be an int in \[1, inf\); got 0"),
        ("n_init", "auto", TypeError, "got 'auto'"),
        ("max_iter", 0, ValueError, r"max_iter must be an int in \[1, inf\); got 0"),
        ("verbose", -1, ValueError, "verbose must be an int"),
        ("random_state", "seed", ValueError, "seed"),
    ],
)
def test_parameters(name, value, error, message):
    balancer = SubclassBalancer(**{name: value})
    with pytest.raises(error, match=message):
        balancer.fit(*tail())
    assert not hasattr(balancer, "subclass_labels_")


def changed(label, row=3):
    y = tail()[1].astype(object)
    y[row] = label
    return y


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (None, ValueError, "requires y to be passed"),
        (changed(None), ValueError, "y has the missing label None in row 3"),
        (changed(np.nan), ValueError, "missing label nan in row 3; every row needs its class"),
        (changed(np.nan).tolist(), ValueError, "missing label nan in row 3"),
        (changed(None)[:, None], ValueError, "missing label None in row 3"),
        (changed(7).tolist(), TypeError, "labels of one kind, numbers or strings; got int, str"),
        (np.array(["2020", "NaT"] * 47, "M8[Y]"), ValueError, "missing label .*NaT.* in row 1"),
        (np.r_[np.ones(93), np.nan], ValueError, "NaN"),
        (changed(7), TypeError, "labels of one kind, numbers or strings; got int, str"),
        (NAMES[np.zeros(93, int)], ValueError, "inconsistent numbers of samples"),
        (np.linspace(0, 1, 94), ValueError, "Unknown label type: continuous"),
        (np.zeros((94, 2), int), ValueError, "1d array|1-dimensional|bad input shape"),
    ],
)
def test_labels(y, error, message):
    with pytest.raises(error, match=message):
        SubclassBalancer().fit(tail()[0], y)


def test_missing_labels_of_pandas():
    pandas = pytest.importorskip("pandas")
    y = pandas.Series(changed(pandas.NA), dtype="string")
    with pytest.raises(ValueError, match="missing label .* in row 3"):
        SubclassBalancer().fit(tail()[0], y)


@pytest.mark.parametrize("scale", [1e-200, 1e-152, 1e134, 1e200])
@pytest.mark.parametrize("metric", ["cosine", "sqeuclidean"])
def test_rows_whose_squares_leave_the_numbers(metric, scale):
    X, y = tail()
    with pytest.raises(ValueError, match="X must have its largest absolute value .* Scale X"):
        SubclassBalancer(metric=metric).fit(scale * X, y)
    balancer = SubclassBalancer(metric=metric, random_state=0).fit(X, y)
    for classes in (None, y):
        with pytest.raises(ValueError, match="X must have its largest absolute value .* Scale X"):
            balancer.predict(scale * X, classes)
    for inside in (1e-149, 1e131):
        assert_array_equal(clone(balancer).fit_predict(inside * X, y), balancer.subclass_labels_)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("method", ["fit", "fit_resample", "predict"])
def test_rows(method, bad):
    X, y = tail()
    balancer = SubclassBalancer(random_state=0).fit(X, y)
    X = X.copy()
    X[5, 2] = bad
    with pytest.raises(ValueError, match="NaN|infinity"):
        getattr(balancer, method)(X, y)


def test_predictions_that_cannot_be():
    X, y = tail()
    with pytest.raises(NotFittedError):
        SubclassBalancer().predict(X)
    balancer = SubclassBalancer(random_state=0).fit(X, y)
    with pytest.raises(ValueError, match="5 features, but .* expecting 6"):
        balancer.predict(X[:, :5])
    with pytest.raises(ValueError, match="a class for each of the 94 rows of X; got 93"):
        balancer.predict(X, y[1:])
    with pytest.raises(ValueError, match="label 'yak', which fit has not seen"):
        balancer.predict(X[:2], ["yak", "ape"])
    with pytest.raises(TypeError, match="labels of one kind, numbers or strings; got int, str"):
        balancer.predict(X[:2], [1, "ape"])
    with pytest.raises(ValueError, match=r"labels must be in \[0, n_subclasses=10\); got 10"):
        balancer.to_classes([0, 10])
    with pytest.raises(ValueError, match="got -1"):
        balancer.to_classes(-1)
    with pytest.raises(TypeError, match="numbers of subclasses, integers; got float64"):
        balancer.to_classes([0.5])
    assert balancer.to_classes([]).shape == (0,)
