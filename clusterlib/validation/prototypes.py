"""Parameters and data of classifiers that align prototypes: marginals, mixing, episodes."""

from enum import Enum
from numbers import Real

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from clusterlib.blocks import is_carried
from clusterlib.validation.arrays import validated_arrays
from clusterlib.validation.carriers import checked_carrier, takes_carrier
from clusterlib.validation.device import checked_on_host
from clusterlib.validation.parameters import checked_choice, checked_integer, checked_real

__all__ = [
    "Marginals",
    "Mix",
    "Normalization",
    "PrototypeRule",
    "checked_classes",
    "checked_episodes",
    "checked_magnitude",
    "checked_marginals",
    "checked_mix",
    "checked_n_passes",
    "checked_normalization",
]

_SHARES_AGREE = 1e-6


class Marginals(Enum):
    """What is known about the sizes of the classes among the queries."""

    ADAPTIVE = "adaptive"
    UNIFORM = "uniform"
    GIVEN = "an array of shares"


class Mix(Enum):
    """How much of a moved prototype comes from the queries."""

    AUTO = "auto"
    MASS = "mass"
    FIXED = "a number"


class Normalization(Enum):
    """What is done to each row of features."""

    STANDARDIZE = "standardize"
    L2 = "l2"
    NONE = "nothing"


class PrototypeRule(Enum):
    """How queries are classified once prototypes are aligned."""

    NEAREST = "nearest"
    LOGISTIC = "logistic"


def checked_marginals(marginals, n_classes=None):
    """Say what is known about the class sizes of the queries.

    Parameters
    ----------
    marginals : "adaptive", "uniform" or array-like of shape (n_classes,)
        The parameter of an estimator; shares are not negative and sum to 1 within 1e-6.
    n_classes : int, default=None
        How many shares there have to be; None takes any number.

    Returns
    -------
    kind : Marginals
        The kind.
    shares : None or ndarray of shape (n_classes,), float64
        Given shares with a sum of 1; None for the other kinds.

    Raises
    ------
    TypeError, ValueError
        For anything else.

    Examples
    --------
    >>> from clusterlib.validation import checked_marginals
    >>> checked_marginals([0.75, 0.25], 2)
    (<Marginals.GIVEN: 'an array of shares'>, array([0.75, 0.25]))
    """
    if isinstance(marginals, str) or np.ndim(marginals) == 0:
        try:
            kind = checked_choice("marginals", marginals, [Marginals.ADAPTIVE, Marginals.UNIFORM])
        except (TypeError, ValueError) as error:
            message = str(error).replace("; got", " or an array of shares; got")
            raise type(error)(message) from None
        return kind, None
    try:
        shares = np.array(marginals, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"marginals must hold real numbers: {error}") from error
    if shares.ndim != 1 or n_classes not in {None, len(shares)}:
        wanted = "(n_classes,)" if n_classes is None else f"(n_classes,)=({n_classes},)"
        raise ValueError(f"marginals must have shape {wanted}; got {shares.shape}")
    if not (np.isfinite(shares).all() and (shares >= 0).all()):
        raise ValueError(f"marginals must be finite and not negative; got {marginals!r}")
    total = shares.sum()
    if abs(total - 1) > _SHARES_AGREE:
        raise ValueError(f"marginals must sum to 1; got {marginals!r} with a sum of {total:.6g}")
    return Marginals.GIVEN, shares / total


def checked_mix(mix):
    """Say how much of a moved prototype comes from the queries.

    Parameters
    ----------
    mix : "auto", "mass" or float in [0, 1]
        The parameter of an estimator.

    Returns
    -------
    kind : Mix
        The kind.
    share : float or None
        The number, if it is one.

    Raises
    ------
    TypeError, ValueError
        For anything else.

    Examples
    --------
    >>> from clusterlib.validation import checked_mix
    >>> checked_mix("mass"), checked_mix(0.7)
    ((<Mix.MASS: 'mass'>, None), (<Mix.FIXED: 'a number'>, 0.7))
    """
    if isinstance(mix, Real) and not isinstance(mix, (bool, np.bool_)):
        return Mix.FIXED, checked_real("mix", mix, 0, 1)
    try:
        return checked_choice("mix", mix, [Mix.AUTO, Mix.MASS]), None
    except (TypeError, ValueError) as error:
        message = str(error).replace("; got", " or a float in [0, 1]; got")
        raise type(error)(message) from None


def checked_n_passes(n_passes):
    """Return the number of passes as int, at least 1, or None for "auto".

    Examples
    --------
    >>> from clusterlib.validation import checked_n_passes
    >>> checked_n_passes("auto") is None, checked_n_passes(5)
    (True, 5)
    """
    if isinstance(n_passes, str):
        if n_passes != "auto":
            raise ValueError(f"n_passes must be 'auto' or an int in [1, inf); got {n_passes!r}")
        return None
    return checked_integer("n_passes", n_passes, 1)


def checked_normalization(normalize, n_features):
    """Say what is done to each row of features.

    Parameters
    ----------
    normalize : "standardize", "l2" or None
        The parameter of an estimator.
    n_features : int
        A single feature cannot be standardised over the features of its row.

    Returns
    -------
    kind : Normalization
        The kind.

    Raises
    ------
    TypeError, ValueError
        For anything else, and for "standardize" with a single feature.

    Examples
    --------
    >>> from clusterlib.validation import checked_normalization
    >>> checked_normalization("l2", 3)
    <Normalization.L2: 'l2'>
    """
    if normalize is None:
        return Normalization.NONE
    try:
        kind = checked_choice("normalize", normalize, [Normalization.STANDARDIZE, Normalization.L2])
    except (TypeError, ValueError) as error:
        raise type(error)(str(error).replace("; got", " or None; got")) from None
    if kind is Normalization.STANDARDIZE and n_features == 1:
        raise ValueError(
            "normalize='standardize' works on the features of each row and needs at least 2; got "
            "n_features=1. Pass normalize=None"
        )
    return kind


def checked_magnitude(name, X):
    """Refuse numbers whose squared distances leave the range of their dtype: a ValueError.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.validation import checked_magnitude
    >>> checked_magnitude("X", np.ones((2, 3)))
    """
    largest = float(np.abs(X).max(initial=0.0))
    limit = float(np.sqrt(np.finfo(X.dtype).max / (16.0 * max(1, X.shape[-1]))))
    if largest > limit:
        raise ValueError(
            f"{name} has a value of magnitude {largest:.3g}; squared distances of {X.dtype} rows "
            f"need magnitudes of at most {limit:.3g}"
        )


def checked_classes(estimator, X, y):
    """Check labelled rows and number their classes.

    Parameters
    ----------
    estimator : estimator
        Gets ``n_features_in_`` and ``feature_names_in_``.
    X : array-like, data frame or carrier of shape (n_samples, n_features)
        Rows; float32 and float64 pass as they are, all else becomes float64. What is read block by
        block becomes a carrier or is refused, as :func:`checked_matrix` does.
    y : array-like of shape (n_samples,)
        Numbers or strings.

    Returns
    -------
    X : ndarray or Blocks of shape (n_samples, n_features), float32 or float64
        The rows.
    classes : ndarray of shape (n_classes,)
        Distinct labels, sorted, in the dtype of y.
    codes : ndarray of shape (n_samples,), intp
        ``classes[codes]`` equals y.

    Raises
    ------
    ValueError
        For NaN, y of another length, no y, or y that is continuous.
    TypeError
        For rows that are read block by block, unless the estimator reads blocks.

    Examples
    --------
    >>> from sklearn.neighbors import NearestCentroid
    >>> from clusterlib.validation import checked_classes
    >>> checked_classes(NearestCentroid(), [[1.0], [2.0]], ["b", "a"])[1].tolist()
    ['a', 'b']
    """
    checked_on_host(estimator, X)
    checked_on_host(estimator, y, "y")
    if is_carried(X) and takes_carrier(estimator, X):
        X, y = _carrier_and_target(estimator, X, y)
    else:
        X, y = validated_arrays(estimator, X, y)
    check_classification_targets(y)
    return X, *np.unique(y, return_inverse=True)


def _carrier_and_target(estimator, X, y):
    """Check rows that are read block by block and a label for each, as ``validate_data`` does."""
    y = validate_data(estimator, y=y, reset=True)
    X = checked_carrier(estimator, X, reset=True)
    if len(y) != X.shape[0]:
        raise ValueError(
            f"y must hold a label for each of the {X.shape[0]} rows of X; got {len(y)} labels"
        )
    return X, y


def checked_episodes(X, y, queries):
    """Check the episodes of a few-shot problem and number the classes of each.

    Parameters
    ----------
    X : array-like of shape (n_episodes, n_support, n_features)
        Labelled rows of each episode.
    y : array-like of shape (n_support,) or (n_episodes, n_support)
        Their labels, shared by all episodes or one row for each.
    queries : array-like of shape (n_episodes, n_queries, n_features)
        Unlabelled rows, at least one.

    Returns
    -------
    X, queries : ndarray of shape (n_episodes, n_support or n_queries, n_features)
        Both float32, or both float64.
    classes : ndarray of shape (n_episodes, n_classes)
        Sorted labels of each episode, in the dtype of y.
    codes : ndarray of shape (n_episodes, n_support), intp
        ``classes[e, codes[e]]`` equals ``y[e]``.

    Raises
    ------
    ValueError
        For NaN or infinity, shapes that disagree, no rows, or episodes with different numbers of
        classes.
    TypeError
        For what is not an array of numbers, or labels that cannot be sorted.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.validation import checked_episodes
    >>> _, _, classes, codes = checked_episodes(np.zeros((2, 2, 3)), [7, 5], np.zeros((2, 4, 3)))
    >>> classes.tolist(), codes.tolist()
    ([[5, 7], [5, 7]], [[1, 0], [1, 0]])
    """
    X, queries = _checked_rows("X", X), _checked_rows("queries", queries)
    if len(X) != len(queries) or X.shape[2] != queries.shape[2]:
        raise ValueError(
            "X and queries must have as many episodes and features; got shapes "
            f"{X.shape} and {queries.shape}"
        )
    dtype = np.result_type(X, queries)
    X, queries = X.astype(dtype, copy=False), queries.astype(dtype, copy=False)
    y = np.asarray(y)
    if y.shape not in {X.shape[1:2], X.shape[:2]}:
        raise ValueError(
            f"y must have shape {X.shape[1:2]} or {X.shape[:2]}, one label for each row of X; "
            f"got {y.shape}"
        )
    check_classification_targets(y.ravel())
    labels, numbers = np.unique(y, return_inverse=True)
    numbers = np.broadcast_to(numbers.reshape(y.shape), X.shape[:2])
    present = np.zeros((len(X), len(labels)), dtype=bool)
    np.put_along_axis(present, numbers, True, axis=1)
    n_classes = present.sum(axis=1)
    if (n_classes != n_classes[0]).any():
        other = int(np.argmax(n_classes != n_classes[0]))
        raise ValueError(
            f"y must have as many classes in every episode; got {n_classes[0]} in episode 0 and "
            f"{n_classes[other]} in episode {other}: a class without labelled rows has no prototype"
        )
    classes = labels[np.nonzero(present)[1].reshape(len(X), n_classes[0])]
    codes = np.take_along_axis(np.cumsum(present, axis=1) - 1, numbers, axis=1)
    return X, queries, classes, codes


def _checked_rows(name, X):
    X = check_array(
        X, dtype=[np.float64, np.float32], allow_nd=True, ensure_2d=False, input_name=name
    )
    if X.ndim != 3 or 0 in X.shape:
        raise ValueError(
            f"{name} must have shape (n_episodes, n_rows, n_features) with at least one of each; "
            f"got {X.shape}"
        )
    return X
