"""Arrays as scikit-learn checks them, with errors that say where the trouble is."""

import numpy as np
import scipy.sparse
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

__all__ = ["validated_arrays"]

_OPTIONS = {"dtype": [np.float64, np.float32], "order": None}


def validated_arrays(estimator, X, *y, **options):
    """Call ``validate_data`` of scikit-learn, and tell more about what it refuses.

    Parameters
    ----------
    estimator : estimator
        Whose data they are.
    X : array-like or data frame of shape (n_samples, n_features)
        Finite numbers; float32 and float64 pass uncopied, all else becomes float64.
    *y : array-like of shape (n_samples,)
        Handed on if it is given.
    **options : dict
        Handed on.

    Returns
    -------
    arrays : ndarray or tuple of ndarray
        What ``validate_data`` returns.

    Raises
    ------
    ValueError
        As scikit-learn says it; for NaN and infinity with their number and the first place, for
        text with the column that holds it.
    TypeError
        For sparse data, with the carrier for it where the estimator reads blocks.

    Examples
    --------
    >>> from clusterlib.cluster import KMeans
    >>> from clusterlib.validation.arrays import validated_arrays
    >>> validated_arrays(KMeans(), [[1, 2]])
    array([[1., 2.]])
    """
    try:
        return validate_data(estimator, X, *y, **_OPTIONS, **options)
    except ValueError as error:
        raise ValueError(_explained(X, str(error))) from None
    except OverflowError as error:  # an int beyond all floats
        raise ValueError(f"X must hold numbers within float64: {error}") from None
    except TypeError as error:
        if scipy.sparse.issparse(X) and getattr(estimator, "_reads_blocks", False):
            raise TypeError(
                f"{error} Or pass clusterlib.blocks.CsrBlocks(X), which makes it dense block by "
                "block."
            ) from None
        raise


def _explained(X, message):
    """The message, and where in X that is which it is about."""
    if message.startswith(("Input X contains NaN", "Input X contains infinity")):
        return message.partition("\n")[0] + _where_not_finite(X)
    if message.startswith("could not convert string to float"):
        return f"X must hold numbers{_column_of_text(X)}: {message}"
    return message


def _where_not_finite(X):
    finite = np.isfinite(check_array(X, **_OPTIONS, ensure_all_finite=False))
    row, column = np.unravel_index(np.argmin(finite), finite.shape)
    name = f" ({X.columns[column]!r})" if hasattr(X, "columns") else ""
    return (
        f" {finite.size - np.count_nonzero(finite)} of its {finite.size} values are not finite, "
        f"the first in row {row}, column {column}{name}: drop such rows, or fill them in first."
    )


def _column_of_text(X):
    """Which column of a data frame holds what is no number."""
    for name in getattr(X, "columns", ()):
        try:
            np.asarray(X[name], dtype=np.float64)
        except (OverflowError, TypeError, ValueError):
            return f", column {name!r} does not"
    return ""
