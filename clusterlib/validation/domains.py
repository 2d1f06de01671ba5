"""Data of latent label shift: rows with domains, names of domains, probabilities of classifiers."""

import numpy as np
from sklearn.utils.validation import validate_data

from clusterlib.blocks import is_carried
from clusterlib.validation.arrays import validated_arrays
from clusterlib.validation.balanced import checked_range
from clusterlib.validation.carriers import checked_carrier, takes_carrier
from clusterlib.validation.device import checked_on_host

__all__ = [
    "checked_different_rows",
    "checked_domain_codes",
    "checked_domains",
    "checked_fitted_rows",
    "checked_new_domain",
    "checked_probabilities",
    "domain_names",
]

# How far from 1 the probabilities of a classifier may sum up, which may be float32.
_SUM_TOLERANCE = 1e-3


def checked_domains(estimator, X, y):
    """Check rows whose target is their domain, and number the domains.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_`` and ``feature_names_in_``.
    X : array-like, data frame or carrier of shape (n_samples, n_features)
        Rows; float32 and float64 pass as they are, all else becomes float64.
    y : array-like of shape (n_samples,)
        Domain of each row: strings, integers, or anything that can be sorted.

    Returns
    -------
    X : ndarray or Blocks of shape (n_samples, n_features), float32 or float64
        The rows; a carrier where they are read block by block.
    domains : ndarray of shape (n_domains,)
        Distinct domains, sorted, two at least.
    codes : ndarray of shape (n_samples,), int32
        ``domains[codes]`` equals y.

    Raises
    ------
    ValueError
        For NaN, squares that leave float64, y of another length, no y, a single domain, or y that
        is continuous.
    TypeError
        For sparse X, or domains that cannot be sorted.

    Examples
    --------
    >>> from sklearn.base import BaseEstimator
    >>> from clusterlib.validation import checked_domains
    >>> _, domains, codes = checked_domains(BaseEstimator(), [[1.0], [2.0], [3.0]], ["b", "a", "b"])
    >>> domains.tolist(), codes.tolist()
    (['a', 'b'], [1, 0, 1])
    """
    checked_on_host(estimator, X)
    checked_on_host(estimator, y, "y")
    if is_carried(X) and takes_carrier(estimator, X):
        X = checked_carrier(estimator, X, reset=True)
        y = validate_data(estimator, y=y)
        if len(y) != X.shape[0]:
            raise ValueError(
                "Found input variables with inconsistent numbers of samples: "
                f"{[X.shape[0], len(y)]}"
            )
    else:
        X, y = validated_arrays(estimator, X, y)
    if y.dtype.kind == "f" and (y != np.floor(y)).any():
        row = int(np.argmax(y != np.floor(y)))
        raise ValueError(
            f"y must hold the domain of each row, a name or a whole number; got {y[row]!r} in row "
            f"{row}, which looks like a continuous target"
        )
    if y.dtype.kind in "mM" and np.isnat(y).any():
        raise ValueError(
            f"y must hold a domain for each row; got NaT in row {np.isnat(y).argmax()}"
        )
    try:
        domains, codes = np.unique(y, return_inverse=True)
    except TypeError as error:
        raise TypeError(f"y must hold domains that can be sorted: {error}") from error
    if len(domains) < 2:
        raise ValueError(
            f"y must hold at least 2 domains, since classes are told apart by how often they occur "
            f"in each; got 1 class of domains, {domains.tolist()[0]!r}, with n_samples={X.shape[0]}"
        )
    checked_range(X)  # last, because it reads the rows of a carrier
    return X, domains, codes.astype(np.int32)


def domain_names(domains):
    """Return domains as Python objects that are equal, and hash alike, if the domains are the same.

    Parameters
    ----------
    domains : array-like
        One domain, or several.

    Returns
    -------
    names : object or list of object
        Dates are datetimes, whatever their unit, to the microsecond.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.validation import domain_names
    >>> domain_names(np.array([3, 5])), domain_names(np.str_("a"))
    ([3, 5], 'a')
    >>> domain_names(np.datetime64("2026-05-01", "ns")) == domain_names(np.datetime64("2026-05"))
    True
    """
    domains = np.asarray(domains)
    if domains.dtype.kind in "mM":  # days are dates, and nanoseconds integers
        domains = domains.astype(f"{domains.dtype.kind}8[us]")
    return domains.tolist()


def checked_different_rows(n_different):
    """Refuse rows that are all the same, from which no class can be read: a ValueError.

    Examples
    --------
    >>> from clusterlib.validation import checked_different_rows
    >>> checked_different_rows(2)
    """
    if n_different < 2:
        raise ValueError("all rows of X are the same: nothing in them tells one class from another")


def checked_domain_codes(domain, codes, n_samples, *, name="domain"):
    """Find the domains of rows among those that are known.

    Parameters
    ----------
    domain : object or array-like of shape (n_samples,)
        One domain for all rows, or one for each.
    codes : dict
        Number of each known domain.
    n_samples : int
        Rows there are.
    name : str, default="domain"
        Name of the argument for messages.

    Returns
    -------
    codes : ndarray of shape (n_samples,), int32
        Numbers of the domains.

    Raises
    ------
    ValueError
        For a domain that is not known, or another number of domains than rows.
    TypeError
        For what cannot be the name of a domain.

    Examples
    --------
    >>> from clusterlib.validation import checked_domain_codes
    >>> checked_domain_codes("b", {"a": 0, "b": 1}, 3)
    array([1, 1, 1], dtype=int32)
    """
    values = np.asarray(domain)
    if values.ndim and values.shape != (n_samples,):
        raise ValueError(
            f"{name} must be one domain or have shape (n_samples,)=({n_samples},), one for each row; "
            f"got {values.shape}"
        )
    values = domain_names(np.atleast_1d(values))
    try:
        found = [codes.get(value, -1) for value in values]
    except TypeError as error:
        raise TypeError(f"{name} must hold names of domains: {error}") from error
    if -1 in found:
        raise ValueError(
            f"{name} has {values[found.index(-1)]!r}, which was not seen by fit. Estimate its class "
            "shares from its rows with adapt, or leave domain out for all domains together; folds "
            "of a search have to be stratified by domains"
        )
    return np.ascontiguousarray(np.broadcast_to(np.array(found, dtype=np.int32), (n_samples,)))


def checked_new_domain(domain, codes):
    """Return the name of a new domain, or None; one that ``fit`` has seen is a ValueError.

    Examples
    --------
    >>> from clusterlib.validation import checked_new_domain
    >>> checked_new_domain("c", {"a": 0, "b": 1})
    'c'
    """
    if domain is None:
        return None
    if np.ndim(domain):
        raise ValueError(f"domain must be the name of one new domain; got {domain!r}")
    name = domain_names(domain)
    try:
        is_known = name in codes
    except TypeError as error:
        raise TypeError(f"domain must be the name of one new domain: {error}") from error
    if is_known:
        raise ValueError(
            f"domain {name!r} was seen by fit, which has estimated its class shares already: they "
            "are in label_marginals_"
        )
    return name


def checked_fitted_rows(fitted_rows):
    """Refuse to fit again what was not fitted by neighbours of single rows: a ValueError.

    Examples
    --------
    >>> from clusterlib.validation import checked_fitted_rows
    >>> checked_fitted_rows(("rows",))
    ('rows',)
    """
    if fitted_rows is None:
        raise ValueError(
            "refits to simulated data are there for method='tempered' with discriminator="
            "'neighbors' and without micro-clusters only"
        )
    return fitted_rows


def checked_probabilities(name, probabilities, shape):
    """Check what ``predict_proba`` of a classifier has returned.

    Parameters
    ----------
    name : str
        Name of the parameter the classifier came by.
    probabilities : array-like
        What it returned.
    shape : tuple
        Shape it must have.

    Returns
    -------
    probabilities : ndarray, float64
        Rows of sum 1.

    Raises
    ------
    ValueError
        For another shape, NaN, numbers below 0, or rows whose sum is not 1 within 1e-3.

    Examples
    --------
    >>> from clusterlib.validation import checked_probabilities
    >>> checked_probabilities("discriminator", [[0.25, 0.75]], (1, 2))
    array([[0.25, 0.75]])
    """
    found = np.asarray(probabilities, dtype=np.float64)
    if found.shape != shape:
        raise ValueError(f"{name}: predict_proba must have shape {shape}; got {found.shape}")
    sums = found.sum(axis=1, keepdims=True)
    if not ((found >= 0).all() and (np.abs(sums - 1.0) <= _SUM_TOLERANCE).all()):
        raise ValueError(
            f"{name}: predict_proba must return probabilities, at least 0 and of sum 1 in each row"
        )
    return found / sums
