"""Every estimator fits rows that are read block by block as it fits an array, or says what else to do."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone

from clusterlib.cluster import LikelihoodAdjustedSDP
from clusterlib.decomposition import SimplexNMF, masked_cross_validation
from clusterlib.imbalance import (
    NoisyLabelClassifier,
    RepresentationCalibrator,
    SubclassBalancer,
    SubclassClassifier,
)
from clusterlib.transport import OTPrototypeClassifier, SinkhornTransport
from tests.carriers import CARRIERS
from tests.estimators.cases import ESTIMATORS, blobs

REFUSED = "X is read block by block .* needs all rows in memory at once: "
ALTERNATIVES = {
    LikelihoodAdjustedSDP: "sample of the rows",
    NoisyLabelClassifier: "RepresentationCalibrator",
    OTPrototypeClassifier: "rows of an episode",
    SimplexNMF: "fit it to a sample",
    SinkhornTransport: "fit it to samples of both domains",
    SubclassBalancer: "sample of the rows of each class",
    SubclassClassifier: "sample of the rows of each class",
}
# "batches" are a function of the program before a carrier is made of them; the other is a carrier.
NAMES = ["batches", "elsewhere"]


def rows():
    X, y = blobs(60)
    return np.abs(X), y


def numbers(estimator):
    """Public fitted attributes that are arrays or numbers."""
    kinds = (np.ndarray, np.number, int, float, str)
    return {
        name: value
        for name, value in vars(estimator).items()
        if name.endswith("_") and not name.startswith("_") and isinstance(value, kinds)
    }


def seeded(estimator):
    estimator = clone(estimator)
    if "random_state" in estimator.get_params(deep=False):
        estimator.set_params(random_state=0)
    if "batches" in estimator.get_params(deep=False):
        estimator.set_params(batches="in_order")  # random ones are for arrays
    return estimator


@pytest.mark.filterwarnings("ignore")  # of few rows and iterations, alike in both fits
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_a_carrier_is_fitted_as_an_array_or_refused(estimator, tmp_path):
    X, y = rows()
    refusals = 0
    for name in NAMES:
        found = seeded(estimator)
        try:
            found.fit(CARRIERS[name](X, tmp_path), y)
        except TypeError as error:
            refusals += 1
            text = str(error)
            assert text.startswith("X ") or " X " in text
            assert type(estimator).__name__ in text
            alternative = text.partition("at once: ")[2]
            assert len(alternative.split()) > 3
            assert ALTERNATIVES.get(type(estimator), "") in alternative
            continue
        expected = numbers(seeded(estimator).fit(X, y))
        assert expected
        for attribute, value in expected.items():
            kept = vars(found)[attribute]
            if attribute == "posteriors_" and kept is None:
                continue  # rows times classes, which are not kept beside rows that are elsewhere
            assert_array_equal(kept, value, err_msg=f"{name}: {attribute}")
    assert refusals in (0, len(NAMES))
    assert refusals or type(estimator) not in ALTERNATIVES


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_methods_answer_or_refuse(estimator, tmp_path):
    """Rows that nobody has fitted get the answers of an array, or a TypeError that names them."""
    X, y = rows()
    model = seeded(estimator).fit(X, y)
    blocks = CARRIERS["elsewhere"](X, tmp_path)
    for method in ("predict", "predict_proba", "transform", "score_samples", "score"):
        if not hasattr(model, method):
            continue
        beside = (y,) if method == "score" else ()
        try:
            found = getattr(model, method)(blocks, *beside)
        except TypeError as error:
            assert "read block by block" in str(error), method
            continue
        assert_array_equal(found, getattr(model, method)(X, *beside), err_msg=method)


@pytest.mark.parametrize(
    "estimator", [*ALTERNATIVES, RepresentationCalibrator], ids=lambda e: e.__name__
)
def test_other_ways_to_give_rows_refuse_carriers(estimator, tmp_path):
    X, y = rows()
    blocks = CARRIERS["file"](X, tmp_path)
    for method in ("fit_resample", "fit_predict", "fit_transform", "partial_fit"):
        if hasattr(estimator, method):
            with pytest.raises(TypeError, match="X is read block by block"):
                getattr(estimator(), method)(blocks, y)


def test_second_matrices_are_refused_by_name(tmp_path):
    X, _ = rows()
    with pytest.raises(TypeError, match="target: X is read block by block"):
        SinkhornTransport().fit(X, target=CARRIERS["file"](X, tmp_path))
    with pytest.raises(TypeError, match=REFUSED + "fit it to a sample"):
        masked_cross_validation(SimplexNMF(), CARRIERS["batches"](X, tmp_path), [2])


@pytest.mark.filterwarnings("ignore:SinkhornTransport was given no target")
@pytest.mark.parametrize("estimator", ALTERNATIVES, ids=lambda e: e.__name__)
def test_memory_maps_are_arrays_for_those_that_need_all_rows(estimator, tmp_path):
    X, y = rows()
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    found = numbers(seeded(estimator()).fit(mapped, y))
    for attribute, value in numbers(seeded(estimator()).fit(X, y)).items():
        assert_array_equal(found[attribute], value, err_msg=attribute)


@pytest.mark.parametrize("n_components", [None, 2])
@pytest.mark.parametrize("carrier", CARRIERS)
def test_groups_of_a_sample_are_found_in_all_rows(carrier, n_components, tmp_path):
    X = blobs(9001, d=4)[0]
    model = LikelihoodAdjustedSDP(3, n_init=1, n_components=n_components, random_state=0)
    model.fit(X[:300])
    blocks = CARRIERS[carrier](X, tmp_path)
    for method in ("predict", "predict_proba", "score_samples", "bic"):
        assert_array_equal(getattr(model, method)(blocks), getattr(model, method)(X))
    assert len(np.unique(model.predict(blocks))) == 3
    with pytest.raises(ValueError, match="X has 3 features"):
        model.predict(CARRIERS["elsewhere"](X[:, :3], tmp_path))
