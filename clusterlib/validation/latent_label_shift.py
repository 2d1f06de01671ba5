"""Parameters of latent label shift: numbers of classes, discriminators, students, exponents."""

from enum import Enum

import numpy as np

from clusterlib.validation.parameters import checked_choice, checked_integer, checked_real

__all__ = [
    "Adjustment",
    "Discriminator",
    "DomainShares",
    "Factorizer",
    "ShiftMethod",
    "Student",
    "checked_class_clusters",
    "checked_cross_fit",
    "checked_discriminator",
    "checked_level",
    "checked_n_classes",
    "checked_number_or_auto",
    "checked_student",
    "checked_tau",
]


class ShiftMethod(Enum):
    """How classes are found from domains."""

    TEMPERED = "tempered"
    DDFA = "ddfa"


class Factorizer(Enum):
    """How the table of clusters and domains is taken apart."""

    NMF = "nmf"
    ANCHOR = "anchor"


class Adjustment(Enum):
    """How probabilities of domains become probabilities of classes."""

    PINV = "pinv"
    KL = "kl"


class DomainShares(Enum):
    """Whether domains count by their rows, or alike."""

    EMPIRICAL = "empirical"
    UNIFORM = "uniform"


class Discriminator(Enum):
    """What tells the domains of a row apart."""

    AUTO = "auto"
    NEIGHBORS = "neighbors"
    LOGISTIC = "logistic"
    GIVEN = "a classifier"


class Student(Enum):
    """What is trained on the classes that were found."""

    NONE = "nothing"
    AUTO = "auto"
    GIVEN = "a classifier"


def checked_class_clusters(n_clusters, n_classes, n_samples):
    """Refuse fewer clusters than classes, or more than rows: a ValueError.

    Examples
    --------
    >>> from clusterlib.validation import checked_class_clusters
    >>> checked_class_clusters(20, 10, 1000)
    """
    if not n_classes <= n_clusters <= n_samples:
        raise ValueError(
            f"n_clusters must be an int in [n_classes={n_classes}, n_samples={n_samples}], as a "
            f"class is told by clusters of its own; got {n_clusters}"
        )


def checked_n_classes(n_classes, n_domains):
    """Return the number of classes, an int from 1 to the number of domains, or None for "auto".

    Parameters
    ----------
    n_classes : int or "auto"
        The parameter of an estimator.
    n_domains : int
        Domains there are.

    Returns
    -------
    n_classes : int or None
        None where it is to be chosen.

    Raises
    ------
    TypeError, ValueError
        For anything else, with the reason where classes are more than domains.

    Examples
    --------
    >>> from clusterlib.validation import checked_n_classes
    >>> checked_n_classes(3, 5), checked_n_classes("auto", 5)
    (3, None)
    """
    n_classes = checked_number_or_auto("n_classes", n_classes, 1)
    if n_classes is not None and n_classes > n_domains:
        raise ValueError(
            f"n_classes={n_classes} must not be above the number of domains, {n_domains}: the class "
            "shares of the domains cannot have the rank n_classes then, and different classes "
            "explain the rows equally well. Lower n_classes, or split domains"
        )
    return n_classes


def checked_number_or_auto(name, value, low, high=None, *, high_name=None):
    """Return an integer parameter as int, or None for "auto".

    Examples
    --------
    >>> from clusterlib.validation import checked_number_or_auto
    >>> checked_number_or_auto("n_init", "auto", 1), checked_number_or_auto("n_init", 5, 1)
    (None, 5)
    """
    if isinstance(value, str) and value == "auto":
        return None
    try:
        return checked_integer(name, value, low, high, high_name=high_name)
    except (TypeError, ValueError) as error:
        kind = ValueError if isinstance(value, str) else type(error)
        raise kind(str(error).replace("must be an int", "must be 'auto' or an int")) from None


def checked_tau(tau):
    """Return the exponent tau, a float above 0, or None for "auto".

    Examples
    --------
    >>> from clusterlib.validation import checked_tau
    >>> checked_tau("auto"), checked_tau(1)
    (None, 1.0)
    """
    if isinstance(tau, str) and tau == "auto":
        return None
    try:
        return checked_real("tau", tau, 0, low_open=True)
    except (TypeError, ValueError) as error:
        kind = ValueError if isinstance(tau, str) else type(error)
        raise kind(str(error).replace("must be a float", "must be 'auto' or a float")) from None


def checked_cross_fit(cross_fit):
    """Return the number of folds: 5 for True, 0 (all rows in sample) for False, or an int >= 2.

    Examples
    --------
    >>> from clusterlib.validation import checked_cross_fit
    >>> checked_cross_fit(True), checked_cross_fit(False), checked_cross_fit(10)
    (5, 0, 10)
    """
    if isinstance(cross_fit, (bool, np.bool_)):
        return 5 if cross_fit else 0
    try:
        return checked_integer("cross_fit", cross_fit, 2)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("must be", "must be True, False or")) from None


def checked_discriminator(discriminator):
    """Say what tells domains apart.

    Parameters
    ----------
    discriminator : {"auto", "neighbors", "logistic"} or classifier
        The parameter of an estimator; a classifier needs ``fit`` and ``predict_proba``.

    Returns
    -------
    kind : Discriminator
        The kind.

    Raises
    ------
    TypeError, ValueError
        For anything else.

    Examples
    --------
    >>> from clusterlib.validation import checked_discriminator
    >>> checked_discriminator("neighbors")
    <Discriminator.NEIGHBORS: 'neighbors'>
    """
    named = [Discriminator.AUTO, Discriminator.NEIGHBORS, Discriminator.LOGISTIC]
    return _classifier_or_choice("discriminator", discriminator, named, Discriminator.GIVEN)


def checked_student(student):
    """Say what is trained on the classes that were found: None, "auto" or a classifier.

    Examples
    --------
    >>> from clusterlib.validation import checked_student
    >>> checked_student(None), checked_student("auto")
    (<Student.NONE: 'nothing'>, <Student.AUTO: 'auto'>)
    """
    if student is None:
        return Student.NONE
    try:
        return _classifier_or_choice("student", student, [Student.AUTO], Student.GIVEN)
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("must be", "must be None,", 1)) from None


def _classifier_or_choice(name, value, members, given):
    if hasattr(value, "fit") and not isinstance(value, type):
        if not hasattr(value, "predict_proba"):
            raise TypeError(f"{name} must have predict_proba; {value!r} has none")
        return given
    try:
        return checked_choice(name, value, members)
    except (TypeError, ValueError) as error:
        message = str(error).replace("; got", " or a classifier with predict_proba; got")
        raise type(error)(message) from None


def checked_level(level):
    """Return the coverage of an interval, a float strictly between 0 and 1.

    Examples
    --------
    >>> from clusterlib.validation import checked_level
    >>> checked_level(0.95)
    0.95
    """
    if isinstance(level, (bool, np.bool_)) or not isinstance(level, (float, np.floating)):
        raise TypeError(f"level must be a float in (0, 1); got {level!r}")
    if not 0 < level < 1:
        raise ValueError(f"level must be a float in (0, 1); got {level!r}")
    return float(level)
