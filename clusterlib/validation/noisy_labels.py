"""Parameters of classifiers that learn from labels that may be wrong."""

from enum import Enum

import numpy as np
from sklearn.utils.validation import has_fit_parameter

from clusterlib.validation.imbalance import checked_class_prior
from clusterlib.validation.parameters import checked_choice, checked_integer, checked_real

__all__ = [
    "Training",
    "checked_auto_choice",
    "checked_counts",
    "checked_prior_shares",
    "checked_training",
    "checked_weighable",
]


class Training(Enum):
    """What a classifier of the user learns from."""

    WEIGHTED = "weighted"
    RESAMPLED = "resampled"


def checked_auto_choice(name, value, kinds, of_auto):
    """Return what "auto" chooses among for a parameter that names one kind otherwise.

    Parameters
    ----------
    name : str
        Of the parameter, for messages.
    value : str
        "auto" or the value of a kind.
    kinds : type of Enum
        All there are.
    of_auto : tuple
        Those that "auto" compares.

    Returns
    -------
    kinds : tuple
        ``of_auto`` for "auto", else the one that is named.

    Raises
    ------
    TypeError, ValueError
        For anything else.

    Examples
    --------
    >>> from clusterlib.validation import Training, checked_auto_choice
    >>> checked_auto_choice("training", "weighted", Training, ())
    (<Training.WEIGHTED: 'weighted'>,)
    """
    if isinstance(value, str) and value == "auto":
        return of_auto
    try:
        return (checked_choice(name, value, kinds),)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error}; 'auto' chooses") from None


def checked_prior_shares(prior, estimated):
    """Return the shares of the classes among rows to come.

    Parameters
    ----------
    prior : str or array-like of shape (n_classes,)
        "uniform", "estimated", or shares or sizes above 0.
    estimated : ndarray of shape (n_classes,), float64
        What "estimated" stands for.

    Returns
    -------
    prior : ndarray of shape (n_classes,), float64
        Of sum 1.

    Raises
    ------
    TypeError, ValueError
        For another word, another shape, or numbers that are not finite and above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.validation import checked_prior_shares
    >>> checked_prior_shares("uniform", np.array([0.9, 0.1]))
    array([0.5, 0.5])
    """
    if isinstance(prior, str):
        if prior == "uniform":
            return np.full(len(estimated), 1 / len(estimated))
        if prior == "estimated":
            return estimated
        raise ValueError(
            f"prior must be 'uniform', 'estimated' or one share for each class; got {prior!r}"
        )
    try:
        return checked_class_prior(prior, len(estimated))
    except (TypeError, ValueError) as error:
        message = str(error).replace("class_prior", "prior").replace("as scores has", "for")
        raise type(error)(message.replace(" columns", " classes in y")) from None


def checked_training(training, mixup, estimator):
    """Return what a classifier of the user learns from, once it is known that it can.

    Parameters
    ----------
    training : str
        The value of a :class:`Training`.
    mixup : float
        At least 0.
    estimator : classifier or None
        As :func:`checked_weighable` wants it; None if there is none.

    Returns
    -------
    training : Training
    mixup : float

    Raises
    ------
    TypeError, ValueError
        For anything else.

    Examples
    --------
    >>> from clusterlib.validation import checked_training
    >>> checked_training("resampled", 0.5, None)
    (<Training.RESAMPLED: 'resampled'>, 0.5)
    """
    training = checked_choice("training", training, Training)
    mixup = checked_real("mixup", mixup, 0)
    if estimator is not None:
        checked_weighable(estimator)
    return training, mixup


def checked_weighable(estimator):
    """Return a classifier whose ``fit`` takes ``sample_weight``; all else is a TypeError.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from clusterlib.validation import checked_weighable
    >>> checked_weighable(GaussianNB())
    GaussianNB()
    """
    if isinstance(estimator, type) or not hasattr(estimator, "fit"):
        raise TypeError(f"estimator must be a classifier, an object with fit; got {estimator!r}")
    if not has_fit_parameter(estimator, "sample_weight"):
        raise TypeError(
            "estimator must take sample_weight in fit, by which labels are trusted; "
            f"{estimator!r} does not"
        )
    return estimator


def checked_counts(counts, n_classes):
    """Check how many rows are wanted of each class.

    Parameters
    ----------
    counts : int or array-like of int of shape (n_classes,)
        At least 0; one number is for each class.
    n_classes : int
        Number of classes.

    Returns
    -------
    counts : ndarray of shape (n_classes,), int64

    Raises
    ------
    TypeError
        For what is no integer.
    ValueError
        For a negative number, or another shape.

    Examples
    --------
    >>> from clusterlib.validation import checked_counts
    >>> checked_counts([0, 3], 2)
    array([0, 3])
    """
    if np.shape(counts) not in ((), (n_classes,)):
        raise ValueError(
            f"counts must be an int or have shape (n_classes,)=({n_classes},); got shape "
            f"{np.shape(counts)}"
        )
    counts = np.broadcast_to(np.asarray(counts), (n_classes,)).tolist()
    return np.array([checked_integer("counts", count, 0) for count in counts], dtype=np.int64)
