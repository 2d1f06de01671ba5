"""Estimators can be stored without pickles, and read with none but the types that are listed."""

import re
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

from tests.estimators.cases import ESTIMATORS, blobs
from tests.source_rules import ROOT

skops = pytest.importorskip("skops.io")
PAGE = ROOT / "docs" / "guide" / "persistence.rst"


def listed_types():
    """Name of an estimator -> types that the page lists for it."""
    rows = re.findall(r"^   \* - ``(\w+)``\n     - (.+)$", PAGE.read_text(), flags=re.MULTILINE)
    return {name: re.findall(r"``([\w.]+)``", types) for name, types in rows}


def answers(estimator, X):
    """What a fitted estimator says of rows, by all the methods it has for that."""
    methods = ("predict", "predict_proba", "transform")
    return {name: getattr(estimator, name)(X) for name in methods if hasattr(estimator, name)}


@pytest.fixture(scope="module", params=ESTIMATORS, ids=repr)
def fitted(request):
    X, y = blobs(60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of too few clusters, and of a target that is not given
        return clone(request.param).fit(np.abs(X), y)


def own_types(stored):
    """Types in what was stored that are ours; those of classifiers from elsewhere are theirs."""
    types = skops.get_untrusted_types(data=stored)
    return {name for name in types if name.startswith("clusterlib.")}


def test_it_comes_back_with_the_listed_types_alone(fitted):
    stored = skops.dumps(fitted)
    assert own_types(stored) <= set(listed_types()[type(fitted).__name__])
    again = skops.loads(stored, trusted=skops.get_untrusted_types(data=stored))
    assert vars(again).keys() == vars(fitted).keys()
    X = np.abs(blobs(20, seed=1)[0])
    found, expected = answers(again, X), answers(fitted, X)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert_array_equal(found[name], values, err_msg=name)


def test_every_estimator_is_listed():
    assert sorted(listed_types()) == sorted({type(kind).__name__ for kind in ESTIMATORS})


def test_no_type_is_trusted_unasked():
    with pytest.raises(skops.exceptions.UntrustedTypesFoundException, match="KMeans"):
        skops.loads(skops.dumps(ESTIMATORS[0]))
