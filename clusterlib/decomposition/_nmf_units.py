"""Between the units of the user and those in which squares stay in range; weights and errors."""

import numpy as np
import scipy.sparse

from clusterlib.solvers import (
    count_weights,
    divergence,
    nonnegative_weights,
    simplex_weights,
    squared_error,
)

__all__ = ["divided", "in_units", "power_of_two", "reconstruction_error", "weights_of_rows"]

# Values of X, as powers of two, of which squares can be summed in their dtype.
_RANGE = {"float32": 20, "float64": 200}


def in_units(W, H, options, unit):
    """Factors of rows that were divided by ``unit``, in the units of the user."""
    if options.simplex and options.counts:
        sums = W.sum(axis=1, dtype=np.float64, keepdims=True)
        even = np.full(W.shape, 1 / W.shape[1])
        return np.divide(W, sums, out=even, where=sums > 0).astype(W.dtype), H
    scale = H.dtype.type(unit)
    return (W, H * scale) if options.simplex else (W * scale, H)


def power_of_two(X, cell_weight=None):
    """What to divide X by so that squares stay in range: 1 if they do already."""
    values = X.data if scipy.sparse.issparse(X) else X
    if cell_weight is not None:
        values = values[cell_weight > 0]
    largest = float(values.max(initial=0))
    exponent = int(np.frexp(largest)[1])
    if largest == 0 or abs(exponent) <= _RANGE[X.dtype.name]:
        return 1.0
    return 2.0 ** (exponent - 1)


def divided(X, unit, *, counts=False):
    """X divided by a power of two, as a CSR array for counts."""
    if unit != 1.0:
        exponent = 1 - int(np.frexp(unit)[1])
        if scipy.sparse.issparse(X):
            X = scipy.sparse.csr_array(
                (np.ldexp(X.data, exponent), X.indices, X.indptr), shape=X.shape
            )
        else:
            X = np.ldexp(X, exponent)
    if counts and not scipy.sparse.issparse(X):
        X = scipy.sparse.csr_array(X)
    return X


def weights_of_rows(options, components, X, cell_weight):
    """Weights of checked rows for fitted components.

    Parameters
    ----------
    options : FactorOptions
        Of the estimator.
    components : ndarray of shape (n_components, n_features)
        In the units of the user.
    X : ndarray or CSR array of shape (n_samples, n_features), float32 or float64
        Checked rows.
    cell_weight : None or ndarray of shape (n_samples, n_features)
        Checked weights of cells.

    Returns
    -------
    W : ndarray of shape (n_samples, n_components), dtype of X
        Each row depends on the same row of X alone.
    """
    unit = power_of_two(X, cell_weight)
    if options.simplex and not options.counts:
        unit = power_of_two(components)
    rows = divided(X, unit, counts=options.counts)
    scale = unit if options.simplex and not options.counts else 1.0
    Ht = np.ascontiguousarray(components.T / scale, dtype=X.dtype)
    if options.counts:
        return in_units(count_weights(rows, Ht), Ht.T, options, unit)[0]
    if cell_weight is not None:
        W = options.problem(rows, cell_weight, None, unit).weights(Ht)
        return in_units(W, Ht.T, options, unit)[0]
    penalties = options.scaled_penalties(X, None, unit)
    wide = Ht.astype(np.float64)
    gram = wide.T @ wide + penalties["l2"][0] * np.eye(Ht.shape[1])
    R = np.asarray(rows @ Ht)
    if options.simplex:
        return simplex_weights(R, gram)
    W = nonnegative_weights(R - R.dtype.type(penalties["l1"][0]), gram)
    return in_units(W, Ht.T, options, unit)[0]


def reconstruction_error(options, components, X, W, sample_weight, cell_weight):
    """Square root of twice the divergence of X from the product of its factors, as scikit-learn.

    Parameters
    ----------
    options : FactorOptions
        Of the estimator.
    components : ndarray of shape (n_components, n_features)
        In the units of the user.
    X : ndarray or CSR array of shape (n_samples, n_features), float32 or float64
        Checked rows.
    W : ndarray of shape (n_samples, n_components)
        Their weights.
    sample_weight, cell_weight : None or ndarray
        Checked weights of rows and cells.

    Returns
    -------
    error : float
        The Frobenius norm of the difference, for that loss.
    """
    if options.counts:
        rows = divided(X, 1.0, counts=True)
        if options.simplex:
            W = W * np.asarray(rows.sum(axis=1, dtype=np.float64)).reshape(-1, 1)
        return float(np.sqrt(2 * divergence(rows, W, components.T, sample_weight)))
    return float(np.sqrt(squared_error(X, W, components.T, sample_weight, cell_weight)))
