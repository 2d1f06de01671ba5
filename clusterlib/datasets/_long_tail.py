"""Long tails cut out of any labelled data."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

import numpy as np

from clusterlib.datasets._draws import class_codes, random_generator
from clusterlib.validation import checked_flag, checked_integer, checked_real

if TYPE_CHECKING:
    from typing import Literal

    from clusterlib.typing import Array, ArrayLike, IndexArray, RandomState

__all__ = ["make_long_tail"]


@overload
def make_long_tail(
    X: ArrayLike,
    y: ArrayLike,
    *,
    imbalance_ratio: float = ...,
    n_max: int | None = ...,
    class_order: ArrayLike | None = ...,
    return_indices: Literal[False] = ...,
    random_state: RandomState = ...,
) -> tuple[Array, Array]: ...
@overload
def make_long_tail(
    X: ArrayLike,
    y: ArrayLike,
    *,
    imbalance_ratio: float = ...,
    n_max: int | None = ...,
    class_order: ArrayLike | None = ...,
    return_indices: Literal[True],
    random_state: RandomState = ...,
) -> tuple[Array, Array, IndexArray]: ...
def make_long_tail(
    X: ArrayLike,
    y: ArrayLike,
    *,
    imbalance_ratio: float = 100.0,
    n_max: int | None = None,
    class_order: ArrayLike | None = None,
    return_indices: bool = False,
    random_state: RandomState = None,
) -> tuple[Array, Array] | tuple[Array, Array, IndexArray]:
    """Subsample labelled data so that the class sizes fall geometrically.

    Class c of K, counted from the head, keeps ``n_max imbalance_ratio^(-c / (K - 1))`` rows,
    rounded, at least one: the usual long-tailed version of a balanced set [1]_.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Anything with a row for each label.
    y : array-like of shape (n_samples,)
        Class labels that can be sorted.
    imbalance_ratio : float, default=100.0
        Size of the head divided by the size of the last class, at least 1.
    n_max : int, default=None
        Rows of the head class. None takes the most for which every class has enough rows.
    class_order : array-like of shape (n_classes,), default=None
        All classes, the head first. None takes them in sorted order.
    return_indices : bool, default=False
        Whether to return the positions of the kept rows, too.
    random_state : None, int or RandomState, default=None
        Which rows are kept.

    Returns
    -------
    X : ndarray of shape (n_kept, ...)
        The kept rows in their old order, in the dtype of X.
    y : ndarray of shape (n_kept,)
        Their labels, in the dtype of y.
    indices : ndarray of shape (n_kept,), intp
        Their positions, increasing; only with ``return_indices``.

    Raises
    ------
    ValueError
        If X and y differ in length, ``class_order`` is not a permutation of the classes, a class
        has too few rows, or a number is out of range.
    TypeError
        If a number is of the wrong kind.

    References
    ----------
    .. [1] Y. Cui, M. Jia, T.-Y. Lin, Y. Song, S. Belongie, "Class-balanced loss based on
       effective number of samples", CVPR 2019, section 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.datasets import make_long_tail
    >>> X, y = np.arange(300).reshape(300, 1), np.repeat([0, 1, 2], 100)
    >>> X, y = make_long_tail(X, y, imbalance_ratio=25, random_state=0)
    >>> np.bincount(y)
    array([100,  20,   4])
    """
    X, (classes, codes) = np.asarray(X), class_codes(y)
    if X.ndim == 0 or len(X) != len(codes):
        raise ValueError(f"X must have a row for each of the {len(codes)} labels, got {X.shape}")
    imbalance_ratio = checked_real("imbalance_ratio", imbalance_ratio, 1)
    return_indices = checked_flag("return_indices", return_indices)
    order = _positions(classes, class_order)
    shares = imbalance_ratio ** -(np.arange(len(classes)) / max(1, len(classes) - 1))
    available = np.bincount(codes)[order]
    if n_max is None:
        n_max = int((available / shares).min())
    n_max = checked_integer("n_max", n_max, 1)
    sizes = np.maximum(1, np.floor(n_max * shares + 0.5).astype(np.intp))
    if (short := sizes > available).any():
        c = int(np.argmax(short))
        raise ValueError(
            f"class {classes[order[c]]!r} has {available[c]} rows, n_max={n_max} asks for {sizes[c]}"
        )
    rng = random_generator(random_state)
    kept = [
        rng.choice(np.flatnonzero(codes == label), size, replace=False)
        for label, size in zip(order, sizes, strict=True)
    ]
    indices = np.sort(np.concatenate(kept))
    answer = X[indices], classes[codes[indices]]
    return (*answer, indices) if return_indices else answer


def _positions(classes, class_order):
    """Positions among the sorted classes, the head first."""
    if class_order is None:
        return np.arange(len(classes))
    wanted = np.asarray(class_order)
    if wanted.shape != classes.shape or not np.array_equal(np.sort(wanted), classes):
        raise ValueError(
            f"class_order must list each of {classes.tolist()} once, got {class_order}"
        )
    return np.searchsorted(classes, wanted)
