"""The number of components, by predicting cells that were held out."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from clusterlib.decomposition._nmf_fit import MAX_SEED
from clusterlib.validation import (
    check_random_state,
    checked_candidates,
    checked_cell_weight,
    checked_integer,
    checked_missing_values,
    checked_nonnegative_matrix,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clusterlib.decomposition._simplex_nmf import SimplexNMF
    from clusterlib.typing import ArrayLike, Float64Array, Int64Array, RandomState

__all__ = ["MaskedCrossValidation", "masked_cross_validation"]


class MaskedCrossValidation(NamedTuple):
    """Errors on cells that were held out.

    Attributes
    ----------
    n_components : ndarray of shape (n_candidates,), int64
        Numbers that were tried.
    errors : ndarray of shape (n_candidates, n_splits), float64
        Root mean square error over the cells of each split.
    standard_errors : ndarray of shape (n_candidates,), float64
        Of the mean difference to the best number, split by split; 0 for the best.
    best : int
        The number with the lowest mean error.
    simplest : int
        The lowest number whose mean error is within one standard error of that.
    """

    n_components: Int64Array
    errors: Float64Array
    standard_errors: Float64Array
    best: int
    simplest: int


def masked_cross_validation(
    estimator: SimplexNMF,
    X: ArrayLike,
    n_components: Iterable[int],
    *,
    n_splits: int = 5,
    random_state: RandomState = None,
) -> MaskedCrossValidation:
    """Try numbers of components, and predict cells that the fit has not seen.

    Cells are dealt to splits at random. In turn each split gets the weight 0, the estimator is
    fitted to the others, and its product is compared with the cells left out. Too few components
    miss structure, too many follow noise, and both raise the error; that of a fit to all cells
    only falls.

    Parameters
    ----------
    estimator : SimplexNMF
        With ``loss="frobenius"`` and non-negative weights; cloned, not changed.
    X : array-like or data frame of shape (n_samples, n_features)
        Dense numbers >= 0; with ``missing_values=nan`` cells that are NaN belong to no split.
    n_components : iterable of int
        Numbers to try.
    n_splits : int, default=5
        Number of splits, 2 at least.
    random_state : int, RandomState instance or None, default=None
        Deals the cells.

    Returns
    -------
    result : MaskedCrossValidation
        Errors and the choice.

    Raises
    ------
    ValueError
        For an estimator that knows no weights of cells, sparse X, or fewer cells than splits.

    Notes
    -----
    ``len(n_components) n_splits`` fits with weights of cells; none of them warns when ``max_iter``
    ends it, as the cells held out are the judge. Nothing else than the choice of the
    cells is random if the estimator has a seed.

    References
    ----------
    .. [1] A. B. Owen and P. O. Perry, "Bi-cross-validation of the SVD and the nonnegative matrix
       factorization", Ann. Appl. Stat. 3(2), 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.decomposition import SimplexNMF, masked_cross_validation
    >>> rng = np.random.default_rng(0)
    >>> X = rng.gamma(0.5, size=(60, 3)) @ rng.gamma(0.5, size=(3, 20)) + 0.05 * rng.random((60, 20))
    >>> model = SimplexNMF(random_state=0)
    >>> masked_cross_validation(model, X, [1, 2, 3, 4], random_state=0).best
    3
    """
    candidates = checked_candidates(n_components)
    n_splits = checked_integer("n_splits", n_splits, 2)
    missing = checked_missing_values(estimator.missing_values)
    X = checked_nonnegative_matrix(clone(estimator), X, reset=True, missing=missing)
    dense = checked_cell_weight(np.ones(X.shape), X, missing=missing)
    rng = np.random.default_rng(check_random_state(random_state).randint(MAX_SEED))
    cells = np.flatnonzero(dense)
    checked_integer("n_splits", n_splits, 2, len(cells), high_name="n_cells")
    dealt = np.array_split(rng.permutation(cells), n_splits)
    errors = np.empty((len(candidates), n_splits))
    for column, held_out in enumerate(dealt):
        weight = dense.copy()
        weight.flat[held_out] = 0
        for row, candidate in enumerate(candidates):
            model = clone(estimator).set_params(n_components=candidate)
            errors[row, column] = _error(model, X, weight, held_out)
    means = errors.mean(axis=1)
    lowest = int(np.argmin(means))
    standard = (errors - errors[lowest]).std(axis=1, ddof=1) / np.sqrt(n_splits)
    simplest = int(np.argmax(means - means[lowest] <= standard))
    numbers = np.array(candidates, dtype=np.int64)
    best, simplest = candidates[lowest], candidates[simplest]
    return MaskedCrossValidation(numbers, errors, standard, best, simplest)


def _error(model, X, weight, held_out):
    """Root mean square error of the cells that a fit does not see."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", ".*nothing that is known bounds them", UserWarning)
        W = model.fit_transform(X, cell_weight=weight)
    predicted = model.inverse_transform(W).flat[held_out].astype(np.float64)
    return np.sqrt(np.mean(np.square(predicted - X.flat[held_out])))
