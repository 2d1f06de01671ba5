"""Parameters and data of latent label shift: domains, numbers of classes, discriminators."""

from enum import Enum

import numpy as np
from sklearn.utils.validation import validate_data

from clusterlib.validation.parameters import checked_choice, checked_integer

__all__ = [
    "Adjustment",
    "Discriminator",
    "DomainShares",
    "Factorizer",
    "ShiftMethod",
    "Student",
    "checked_class_clusters",
    "checked_cross_fit",
    "checked_different_rows",
    "checked_discriminator",
    "checked_domain_codes",
    "checked_domains",
    "checked_level",
    "checked_n_classes",
    "checked_new_domain",
    "checked_number_or_auto",
    "checked_probabilities",
    "checked_student",
]

# How far from 1 the probabilities of a classifier may sum up, which may be float32.
_SUM_TOLERANCE = 1e-3


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


def checked_domains(estimator, X, y):
    """Check rows whose target is their domain, and number the domains.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_`` and ``feature_names_in_``.
    X : array-like or data frame of shape (n_samples, n_features)
        Rows; float32 and float64 pass as they are, all else becomes float64.
    y : array-like of shape (n_samples,)
        Domain of each row: strings, integers, or anything that can be sorted.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float32 or float64
        The rows.
    domains : ndarray of shape (n_domains,)
        Distinct domains, sorted, two at least.
    codes : ndarray of shape (n_samples,), int32
        ``domains[codes]`` equals y.

    Raises
    ------
    ValueError
        For NaN, y of another length, no y, a single domain, or y that is continuous.
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
    X, y = validate_data(estimator, X, y, dtype=[np.float64, np.float32], order=None)
    if y.dtype.kind == "f" and (y != np.floor(y)).any():
        row = int(np.argmax(y != np.floor(y)))
        raise ValueError(
            f"y must hold the domain of each row, a name or a whole number; got {y[row]!r} in row "
            f"{row}, which looks like a continuous target"
        )
    try:
        domains, codes = np.unique(y, return_inverse=True)
    except TypeError as error:
        raise TypeError(f"y must hold domains that can be sorted: {error}") from error
    if len(domains) < 2:
        raise ValueError(
            f"y must hold at least 2 domains, since classes are told apart by how often they occur "
            f"in each; got 1 class of domains, {domains[0]!r}, with n_samples={len(X)}"
        )
    return X, domains, codes.astype(np.int32)


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


def checked_different_rows(n_different):
    """Refuse rows that are all the same, from which no class can be read: a ValueError.

    Examples
    --------
    >>> from clusterlib.validation import checked_different_rows
    >>> checked_different_rows(2)
    """
    if n_different < 2:
        raise ValueError("all rows of X are the same: nothing in them tells one class from another")


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
    values = np.atleast_1d(values).tolist()
    found = [codes.get(value, -1) for value in values]
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
    name = np.asarray(domain).tolist()  # a NumPy scalar and its Python twin are one name
    if name in codes:
        raise ValueError(
            f"domain {name!r} was seen by fit, which has estimated its class shares already: they "
            "are in label_marginals_"
        )
    return name


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
