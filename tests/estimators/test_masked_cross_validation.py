"""The number of components from cells that are held out."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from clusterlib.decomposition import SimplexNMF, masked_cross_validation


def product(n=60, m=20, k=3, noise=0.05, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.gamma(0.5, size=(n, k)) @ rng.gamma(0.5, size=(k, m))
    return np.maximum(X + noise * rng.normal(size=(n, m)), 0)


@pytest.mark.parametrize("seed", range(2))
def test_number_of_components_is_found(seed):
    X = product(seed=seed)
    model = SimplexNMF(random_state=0)
    result = masked_cross_validation(model, X, range(1, 5), n_splits=3, random_state=0)
    assert_array_equal(result.n_components, [1, 2, 3, 4])
    assert result.errors.shape == (4, 3)
    assert result.simplest == 3
    assert result.best >= 3
    assert result.errors[:2].mean() > 2 * result.errors[2].mean()
    assert model.n_components == 2  # the estimator is left alone


def test_held_out_cells_are_not_seen():
    X = product()
    model = SimplexNMF(random_state=0)
    one = masked_cross_validation(model, X, [3, 3, 2], n_splits=2, random_state=1)
    other = masked_cross_validation(model, X, [2, 3], n_splits=2, random_state=1)
    assert_array_equal(one.errors, other.errors)
    # An error is that of a fit to the other cells: larger than of one to all of them.
    fitted = SimplexNMF(3, random_state=0, max_iter=2000).fit(X)
    everything = fitted.reconstruction_err_ / np.sqrt(X.size)
    assert other.errors[1].mean() > everything


def test_missing_cells_belong_to_no_split():
    X = product()
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    model = SimplexNMF(missing_values=np.nan, random_state=0)
    result = masked_cross_validation(model, X, [1, 3], n_splits=3, random_state=0)
    assert np.isfinite(result.errors).all()
    assert result.best == 3


def test_bad_arguments_are_refused():
    X, model = product(), SimplexNMF()
    with pytest.raises(TypeError, match="n_components must hold the numbers to try; got 3"):
        masked_cross_validation(model, X, 3)
    with pytest.raises(ValueError, match="must hold one number to try"):
        masked_cross_validation(model, X, [])
    with pytest.raises(ValueError, match="n_components must be an int"):
        masked_cross_validation(model, X, [0, 1])
    with pytest.raises(ValueError, match="n_splits must be an int"):
        masked_cross_validation(model, X, [1], n_splits=1)
    with pytest.raises(ValueError, match="n_splits must be an int in .*n_cells=4"):
        masked_cross_validation(model, np.ones((2, 2)), [1], n_splits=5)
    with pytest.raises(ValueError, match="cell_weight need loss='frobenius'"):
        masked_cross_validation(SimplexNMF(weights="simplex"), X, [1])
