"""Parameters of estimators that share rows out among prototypes."""

from enum import Enum

import numpy as np

from clusterlib.validation.parameters import checked_choice, checked_real

__all__ = ["Prior", "checked_code_epsilon", "checked_lengths", "checked_prior"]

_LEAST_EPSILON = 1e-6
_LONGEST = 1e6


class Prior(Enum):
    """Where the shares of the prototypes come from."""

    UNIFORM = "uniform"
    ESTIMATE = "estimate"
    GIVEN = "an array of shares"


def checked_prior(prior, n_clusters):
    """Say which shares the prototypes should have.

    Parameters
    ----------
    prior : {"uniform", "estimate"} or array-like of shape (n_clusters,)
        The parameter of an estimator. Given shares have to be finite and above 0.
    n_clusters : int
        How many there have to be.

    Returns
    -------
    kind : Prior
        Where they come from.
    log_share : ndarray of shape (n_clusters,), float64
        Their logarithms: of equal ones unless they are given, whose sum need not be 1.

    Raises
    ------
    TypeError, ValueError
        For anything else.

    Examples
    --------
    >>> from clusterlib.validation import checked_prior
    >>> kind, log_share = checked_prior([3, 1], 2)
    >>> kind, log_share.round(2)
    (<Prior.GIVEN: 'an array of shares'>, array([-0.29, -1.39]))
    """
    if prior is None or isinstance(prior, str) or np.ndim(prior) == 0:
        try:
            kind = checked_choice("prior", prior, [Prior.UNIFORM, Prior.ESTIMATE])
        except (TypeError, ValueError) as error:
            message = str(error).replace("; got", " or an array of shares; got")
            raise type(error)(message) from None
        return kind, np.full(n_clusters, -np.log(n_clusters))
    try:
        shares = np.asarray(prior, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"prior must hold real numbers: {error}") from error
    if shares.shape != (n_clusters,):
        raise ValueError(f"prior must have shape (n_clusters,)=({n_clusters},); got {shares.shape}")
    wrong = ~(np.isfinite(shares) & (shares > 0))
    if wrong.any():
        cluster = int(np.argmax(wrong))
        raise ValueError(
            f"prior must be finite and above zero; got {shares[cluster]} for cluster {cluster}"
        )
    shares = shares / shares.max()  # whose sum cannot overflow
    return Prior.GIVEN, np.log(shares / shares.sum())


def checked_code_epsilon(epsilon):
    """Return the entropic strength of codes as float, at least 1e-6.

    Similarities of directions are at most 1 and rounded to 6e-8 in float32: below a millionth,
    codes would be made of rounding.

    Examples
    --------
    >>> from clusterlib.validation import checked_code_epsilon
    >>> checked_code_epsilon(0.05)
    0.05
    """
    return checked_real("epsilon", epsilon, _LEAST_EPSILON)


def checked_lengths(norms, epsilon):
    """Refuse rows too long to be compared without normalisation: a ValueError.

    Parameters
    ----------
    norms : ndarray of shape (n_samples,), float64
        Lengths of the rows.
    epsilon : float
        Entropic strength.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.validation import checked_lengths
    >>> checked_lengths(np.ones(3), 0.05)
    """
    longest = float(norms.max(initial=0.0))
    if longest > _LONGEST * epsilon:
        raise ValueError(
            f"with normalize=False rows must not be longer than {_LONGEST:g} * epsilon="
            f"{_LONGEST * epsilon:g}; got a row of length {longest:.3g}. Set normalize=True, or "
            "scale X or epsilon"
        )
