"""Parameters of estimators: numbers, flags and choices."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_random_state as sklearn_random_state

__all__ = [
    "check_random_state",
    "checked_choice",
    "checked_flag",
    "checked_integer",
    "checked_real",
    "checked_verbose",
]


def _interval(low, high, low_open=False):
    left = f"({low}" if low_open or low is None else f"[{low}"
    return f"{left}, {'inf)' if high is None else f'{high}]'}"


def check_random_state(seed):
    """Turn the parameter ``random_state`` into a generator.

    Parameters
    ----------
    seed : None, int or RandomState
        None stands for the generator of NumPy itself.

    Returns
    -------
    random_state : RandomState
        The one that was given, or a new one.

    Raises
    ------
    ValueError
        For anything else, and for an int that is no seed.

    Examples
    --------
    >>> from clusterlib.validation import check_random_state
    >>> check_random_state(0).randint(10)
    5
    """
    try:
        return sklearn_random_state(seed)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            "random_state must be None, an int in [0, 4294967295] or a RandomState; got "
            f"{seed!r}: {error}"
        ) from None


def checked_integer(name, value, low, high=None, *, high_name=None):
    """Return an integer parameter as int.

    Parameters
    ----------
    name : str
        Name of the parameter for messages.
    value : object
        What the user gave; a bool or a float is refused even if it is integral.
    low, high : int
        Smallest and largest allowed value; ``high=None`` sets no limit.
    high_name : str, default=None
        What the limit is, for the message ("n_samples").

    Returns
    -------
    value : int
        In ``[low, high]``.

    Raises
    ------
    TypeError, ValueError
        If value is not an integer, or out of range.

    Examples
    --------
    >>> from clusterlib.validation import checked_integer
    >>> checked_integer("n_clusters", 0, 1, 150, high_name="n_samples")
    Traceback (most recent call last):
        ...
    ValueError: n_clusters must be an int in [1, n_samples=150]; got 0
    """
    limit = high if high_name is None else f"{high_name}={high}"
    message = f"{name} must be an int in {_interval(low, limit)}; got {value!r}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Integral):
        raise TypeError(message)
    if value < low or (high is not None and value > high):
        raise ValueError(message)
    return int(value)


def checked_real(name, value, low, high=None, *, low_open=False, infinite=False):
    """Return a real parameter as float.

    Parameters
    ----------
    name : str
        Name of the parameter for messages.
    value : object
        What the user gave; a bool is refused.
    low, high : float
        Smallest and largest allowed value; ``high=None`` sets no limit but infinity.
    low_open : bool, default=False
        Whether ``low`` itself is refused.
    infinite : bool, default=False
        Whether infinity is allowed where there is no ``high``.

    Returns
    -------
    value : float
        In the interval, and finite unless asked for; TypeError and ValueError as for integers.

    Examples
    --------
    >>> from clusterlib.validation import checked_real
    >>> checked_real("tol", 1e-4, 0)
    0.0001
    """
    interval = _interval(low, high, low_open)
    interval = interval.replace("inf)", "inf]") if infinite else interval
    message = f"{name} must be a float in {interval}; got {value!r}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, Real):
        raise TypeError(message)
    try:
        value = float(value)
    except OverflowError:  # an int beyond all floats
        raise ValueError(message) from None
    too_low = value <= low if low_open else value < low
    wrong = np.isnan(value) or (np.isinf(value) and not infinite)
    if wrong or too_low or (high is not None and value > high):
        raise ValueError(message)
    return value


def checked_flag(name, value):
    """Return a parameter that is True or False as bool; anything else is a TypeError.

    Examples
    --------
    >>> from clusterlib.validation import checked_flag
    >>> checked_flag("compute_labels", True)
    True
    """
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False; got {value!r}")
    return bool(value)


def checked_verbose(verbose):
    """Return the verbosity as int >= 0; True and False count as 1 and 0.

    Examples
    --------
    >>> from clusterlib.validation import checked_verbose
    >>> checked_verbose(True)
    1
    """
    is_flag = isinstance(verbose, (bool, np.bool_))
    return checked_integer("verbose", int(verbose) if is_flag else verbose, 0)


def checked_choice(name, value, members):
    """Turn a string parameter into a member of an enumeration.

    Parameters
    ----------
    name : str
        Name of the parameter for messages.
    value : object
        What the user gave; TypeError if it is not a string, ValueError if it is no choice.
    members : iterable of Enum members
        The choices; their values are the strings.

    Returns
    -------
    member : Enum member
        The one whose value is ``value``.

    Examples
    --------
    >>> from clusterlib.validation import Start, checked_choice
    >>> checked_choice("init", "random", [Start.RANDOM])
    <Start.RANDOM: 'random'>
    """
    members = list(members)
    for member in members:
        if isinstance(value, str) and member.value == value:
            return member
    allowed = ", ".join(repr(member.value) for member in members)
    kind = ValueError if isinstance(value, str) else TypeError
    raise kind(f"{name} must be one of {allowed}; got {value!r}")
