"""Parameters and data of the estimators that factorise non-negative matrices."""

from enum import Enum

import numpy as np
import scipy.sparse
from sklearn.utils.validation import check_array, validate_data

from clusterlib.blocks import is_carried
from clusterlib.validation.carriers import takes_carrier
from clusterlib.validation.device import checked_on_host
from clusterlib.validation.parameters import checked_choice, checked_integer, checked_real

__all__ = [
    "FactorLoss",
    "FactorStart",
    "WeightSet",
    "checked_candidates",
    "checked_cell_weight",
    "checked_factor_options",
    "checked_factor_start",
    "checked_missing_values",
    "checked_nonnegative_matrix",
    "checked_penalties",
    "checked_weights",
]

# Squares of larger numbers, or their sum, may leave float64.
_LARGEST = 1e140
_MASKING = (
    "Set missing_values=np.nan to leave out cells that are NaN, or give cell_weight with zeros for "
    "the cells to leave out"
)


class FactorLoss(Enum):
    """What is minimised between a matrix and the product of its factors."""

    FROBENIUS = "frobenius"
    KULLBACK_LEIBLER = "kullback-leibler"


class WeightSet(Enum):
    """Where the weights of a row may lie."""

    NONNEGATIVE = "nonnegative"
    SIMPLEX = "simplex"


class FactorStart(Enum):
    """Where components start."""

    AUTO = "auto"
    RANDOM = "random"
    VERTICES = "successive_projection"
    SINGULAR = "svd"
    GIVEN = "given"


def checked_missing_values(missing_values):
    """Return whether NaN stands for a missing cell; None and NaN are the only choices.

    Examples
    --------
    >>> from clusterlib.validation import checked_missing_values
    >>> checked_missing_values(float("nan")), checked_missing_values(None)
    (True, False)
    """
    if missing_values is None:
        return False
    if isinstance(missing_values, float | np.floating) and np.isnan(missing_values):
        return True
    raise ValueError(f"missing_values must be None or nan; got {missing_values!r}")


def checked_nonnegative_matrix(estimator, X, *, reset, missing=False):
    """Check non-negative data, dense or sparse, and remember or compare its features.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_`` and ``feature_names_in_`` with ``reset``.
    X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
        float32 and float64 stay, all else becomes float64; dense arrays pass uncopied in any
        layout.
    reset : bool
        True in ``fit``, False elsewhere.
    missing : bool, default=False
        Whether a dense X may hold NaN.

    Returns
    -------
    X : ndarray or CSR array of shape (n_samples, n_features), float32 or float64
        The same values; a sparse one without duplicates, with 32-bit indices.

    Raises
    ------
    ValueError, TypeError
        For negative values, infinity, NaN unless they are missing values, and complex data; for rows
        that are read block by block, but for memory maps.

    Examples
    --------
    >>> from sklearn.decomposition import NMF
    >>> from clusterlib.validation import checked_nonnegative_matrix
    >>> checked_nonnegative_matrix(NMF(), [[1, 2]], reset=True)
    array([[1., 2.]])
    """
    checked_on_host(estimator, X)
    if is_carried(X):
        takes_carrier(estimator, X)  # refuses all but memory maps
    options = {"dtype": [np.float64, np.float32], "order": None, "accept_sparse": "csr"}
    finite = "allow-nan" if missing else True
    try:
        X = validate_data(estimator, X, reset=reset, ensure_all_finite=finite, **options)
    except ValueError as error:
        if "contains NaN" not in str(error):
            raise
        raise ValueError(f"Input X contains NaN. {_MASKING}") from None
    except OverflowError as error:  # an int beyond all floats
        raise ValueError(f"X must hold numbers within float64: {error}") from None
    sparse = scipy.sparse.issparse(X)
    values = X.data if sparse else X
    if sparse and missing and np.isnan(values).any():
        raise ValueError(
            "Input X contains NaN and is sparse; a sparse X stands for its zeros, too, so that "
            "missing values need a dense one"
        )
    with np.errstate(invalid="ignore"):
        negative = values.size and np.nanmin(values, initial=0) < 0
    if negative:
        name = type(estimator).__name__
        raise ValueError(
            f"Negative values in data passed to {name}: X must hold numbers >= 0; got "
            f"{np.nanmin(values)}"
        )
    if values.size and values.dtype == np.float64 and np.nanmax(values, initial=0) > _LARGEST:
        raise ValueError(
            f"X must hold numbers up to {_LARGEST:g}, whose squares can be summed; got "
            f"{np.nanmax(values)}. Divide X by a power of ten"
        )
    return _canonical(X) if sparse else X


def _canonical(X):
    """The same as a CSR array in canonical form with 32-bit column indices."""
    indices = X.indices.astype(np.int32, copy=False)
    result = scipy.sparse.csr_array((X.data, indices, X.indptr), shape=X.shape)
    if not result.has_canonical_format:
        result = result.copy()
        result.sum_duplicates()
    return result


def checked_cell_weight(cell_weight, X, *, missing=False, some=True):
    """Check weights of cells, and let missing values have none.

    Parameters
    ----------
    cell_weight : None or array-like of shape (n_samples, n_features)
        Finite and not negative; booleans count as 0 and 1.
    X : ndarray or CSR array of shape (n_samples, n_features)
        The data.
    missing : bool, default=False
        Whether NaN in X are missing values.
    some : bool, default=True
        Whether weights must not be all zero.

    Returns
    -------
    cell_weight : None or ndarray of shape (n_samples, n_features), dtype of X
        None where all cells count alike.

    Raises
    ------
    ValueError
        For weights of another shape, that are not finite or negative, or all zero, or for sparse X.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.validation import checked_cell_weight
    >>> checked_cell_weight(None, np.array([[1.0, np.nan]]), missing=True)
    array([[1., 0.]])
    """
    if scipy.sparse.issparse(X):
        if cell_weight is not None:
            raise ValueError(
                "cell_weight must be None for sparse X, whose zeros are cells with weights as well: "
                "the weights would be a dense matrix; got both. Use X.toarray()"
            )
        return None
    absent = np.isnan(X) if missing else None
    if cell_weight is None:
        if absent is None or not absent.any():
            return None
        weight = np.ones(X.shape, dtype=X.dtype)
    else:
        options = {"dtype": X.dtype, "copy": absent is not None, "input_name": "cell_weight"}
        try:
            weight = check_array(cell_weight, **options)
        except OverflowError as error:  # an int beyond all floats
            raise ValueError(f"cell_weight must hold numbers within {X.dtype}: {error}") from None
        if weight.shape != X.shape:
            raise ValueError(f"cell_weight must have the shape of X, {X.shape}; got {weight.shape}")
        if weight.min() < 0:
            raise ValueError(f"cell_weight must not be negative; got {weight.min()}")
    if absent is not None:
        weight[absent] = 0
    if some and not weight.any():
        raise ValueError("cell_weight must be above zero in some cell of X; got no cell to fit")
    return weight


def checked_factor_start(init, n_components, n_features):
    """Return where components start, and the components if they are given.

    Parameters
    ----------
    init : {"auto", "random", "successive_projection", "svd"} or array-like of shape \
(n_components, n_features)
        The parameter of an estimator.
    n_components, n_features : int
        Shape of given components.

    Returns
    -------
    start : FactorStart
        GIVEN for an array.
    components : None or ndarray of shape (n_components, n_features), float64
        Non-negative.

    Examples
    --------
    >>> from clusterlib.validation import checked_factor_start
    >>> checked_factor_start("svd", 2, 5)
    (<FactorStart.SINGULAR: 'svd'>, None)
    """
    if isinstance(init, str):
        named = [member for member in FactorStart if member is not FactorStart.GIVEN]
        return checked_choice("init", init, named), None
    try:
        components = check_array(init, dtype=np.float64, input_name="init")
    except (TypeError, ValueError, OverflowError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"init must be a word or a matrix: {error}") from None
    if components.shape != (n_components, n_features):
        raise ValueError(
            f"init must have the shape (n_components, n_features)=({n_components}, {n_features}); "
            f"got {components.shape}"
        )
    if components.min() < 0 or not components.any(axis=1).all():
        raise ValueError("init must hold numbers >= 0, and no component of zeros alone")
    return FactorStart.GIVEN, components


def checked_penalties(alpha_weights, alpha_components, l1_ratio):
    """Return penalties as (weights, components, l1_ratio); "same" stands for that of the weights.

    Examples
    --------
    >>> from clusterlib.validation import checked_penalties
    >>> checked_penalties(0.5, "same", 0.0)
    (0.5, 0.5, 0.0)
    """
    alpha_weights = checked_real("alpha_W", alpha_weights, 0)
    if isinstance(alpha_components, str) and alpha_components == "same":
        alpha_components = alpha_weights
    elif isinstance(alpha_components, str):
        raise ValueError(f"alpha_H must be a float in [0, inf) or 'same'; got {alpha_components!r}")
    alpha_components = checked_real("alpha_H", alpha_components, 0)
    return alpha_weights, alpha_components, checked_real("l1_ratio", l1_ratio, 0, 1)


def checked_factor_options(loss, weights, *, min_volume, penalties, cells):
    """Refuse what does not go together: a ValueError.

    Parameters
    ----------
    loss : FactorLoss
        What is minimised.
    weights : WeightSet
        Where weights may lie.
    min_volume : float
        Weight of the volume.
    penalties : bool
        Whether there are any.
    cells : bool
        Whether cells have weights or are missing.

    Examples
    --------
    >>> from clusterlib.validation import FactorLoss, WeightSet, checked_factor_options
    >>> options = {"min_volume": 0.01, "penalties": False, "cells": False}
    >>> checked_factor_options(FactorLoss.FROBENIUS, WeightSet.SIMPLEX, **options)
    """
    plain = loss is FactorLoss.FROBENIUS and weights is WeightSet.NONNEGATIVE
    if penalties and not plain:
        raise ValueError(
            "alpha_W and alpha_H must be 0 unless loss='frobenius' and weights='nonnegative'; "
            f"got loss={loss.value!r} and weights={weights.value!r}"
        )
    if cells and not plain:
        raise ValueError(
            "missing values and cell_weight need loss='frobenius' and weights='nonnegative'; got "
            f"loss={loss.value!r} and weights={weights.value!r}"
        )
    if min_volume and (loss is not FactorLoss.FROBENIUS or weights is not WeightSet.SIMPLEX):
        raise ValueError(
            "min_volume must be 0 unless loss='frobenius' and weights='simplex', as components "
            f"could else be shrunk at no cost; got min_volume={min_volume}"
        )


def checked_candidates(n_components):
    """Return different numbers of components in rising order, as a list of int.

    Examples
    --------
    >>> from clusterlib.validation import checked_candidates
    >>> checked_candidates(range(1, 4))
    [1, 2, 3]
    """
    try:
        candidates = list(n_components)
    except TypeError:
        raise TypeError(
            f"n_components must hold the numbers to try; got {n_components!r}"
        ) from None
    if not candidates:
        raise ValueError("n_components must hold one number to try at least; got none")
    return sorted({checked_integer("n_components", each, 1) for each in candidates})


def checked_weights(W, n_components):
    """Check weights that are to be multiplied with components.

    Parameters
    ----------
    W : array-like of shape (n_samples, n_components)
        Finite numbers.
    n_components : int
        Number of components.

    Returns
    -------
    W : ndarray of shape (n_samples, n_components), float32 or float64
        The same values.

    Examples
    --------
    >>> from clusterlib.validation import checked_weights
    >>> checked_weights([[1, 2]], 2)
    array([[1., 2.]])
    """
    W = check_array(W, dtype=[np.float64, np.float32], input_name="W")
    if W.shape[1] != n_components:
        raise ValueError(f"W must have n_components={n_components} columns; got {W.shape[1]}")
    return W
