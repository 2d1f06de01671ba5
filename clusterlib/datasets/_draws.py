"""What every generator does first: a source of random numbers, classes, weights, a dtype."""

from numbers import Integral

import numpy as np

from clusterlib.validation import check_random_state

__all__ = [
    "checked_dtype",
    "checked_weights",
    "class_codes",
    "random_generator",
    "seeded_generator",
]


def random_generator(random_state):
    """Turn ``random_state`` into a NumPy generator by drawing one integer from it.

    Parameters
    ----------
    random_state : None, int or RandomState
        As everywhere in scikit-learn.

    Returns
    -------
    rng : numpy.random.Generator
        The same for the same integer.

    Examples
    --------
    >>> from clusterlib.datasets._draws import random_generator
    >>> bool(random_generator(0).random() == random_generator(0).random())
    True
    """
    return np.random.default_rng(check_random_state(random_state).randint(2**31 - 1))


def seeded_generator(random_state):
    """Turn ``random_state`` into a NumPy generator that has an integer as its own seed.

    For data that a few lines of NumPy draw as well: there ``default_rng(seed)`` is what everyone
    writes, and the same integer gives the same numbers.

    Parameters
    ----------
    random_state : None, int or RandomState
        As everywhere in scikit-learn.

    Returns
    -------
    rng : numpy.random.Generator
        ``default_rng(random_state)`` for an integer, else that of :func:`random_generator`.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.datasets._draws import seeded_generator
    >>> bool(seeded_generator(3).random() == np.random.default_rng(3).random())
    True
    """
    check_random_state(random_state)  # refuses what is no seed
    if isinstance(random_state, Integral):
        return np.random.default_rng(int(random_state))
    return random_generator(random_state)


def class_codes(y):
    """Number the classes of y in sorted order.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels that can be sorted.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The distinct labels.
    codes : ndarray of shape (n_samples,), intp
        ``classes[codes]`` equals y.

    Raises
    ------
    ValueError
        If y has not one dimension or is empty.

    Examples
    --------
    >>> from clusterlib.datasets._draws import class_codes
    >>> class_codes(["b", "a", "b"])[1].tolist()
    [1, 0, 1]
    """
    y = np.asarray(y)
    if y.ndim != 1 or not len(y):
        raise ValueError(f"y must have 1 dimension and at least 1 label, got shape {y.shape}")
    return np.unique(y, return_inverse=True)


def checked_weights(weights, n_components):
    """Return the shares of mixture components as probabilities.

    Parameters
    ----------
    weights : None or array-like of shape (n_components,)
        At least 0, scaled to sum to 1; None stands for equal shares.
    n_components : int
        How many there have to be.

    Returns
    -------
    weights : ndarray of shape (n_components,), float64
        Probabilities.

    Raises
    ------
    ValueError
        If the shape is wrong, or a weight is negative or not finite, or all are 0.

    Examples
    --------
    >>> from clusterlib.datasets._draws import checked_weights
    >>> checked_weights([3, 1], 2)
    array([0.75, 0.25])
    """
    if weights is None:
        return np.full(n_components, 1 / n_components)
    weights = np.asarray(weights, dtype=np.float64)
    if weights.shape != (n_components,):
        raise ValueError(
            f"weights must have shape (n_components,)=({n_components},), got {weights.shape}"
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ValueError(f"weights must be finite, at least 0 and not all 0, got {weights}")
    weights = weights / weights.max()
    return weights / weights.sum()


def checked_dtype(dtype):
    """Return float32 or float64 as a dtype.

    Parameters
    ----------
    dtype : dtype-like
        What the user gave.

    Returns
    -------
    dtype : dtype
        One of the two.

    Raises
    ------
    ValueError
        If it is another one.

    Examples
    --------
    >>> from clusterlib.datasets._draws import checked_dtype
    >>> checked_dtype("float32")
    dtype('float32')
    """
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, got {dtype}")
    return dtype
