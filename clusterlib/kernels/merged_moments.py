"""Moments of classes, and how those of two sets of rows become those of their union."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from clusterlib.typing import Float64Array

__all__ = ["ClassMoments", "merge_moments"]


class ClassMoments(NamedTuple):
    """Weights, means and scatters of classes.

    Attributes
    ----------
    weights : ndarray of shape (n_classes,), float64
        Sum of the weights of the rows of each class.
    means : ndarray of shape (n_classes, d), float64
        Their weighted means; 0 for a class without weight.
    scatters : ndarray of shape (n_classes, d, d), float64
        Their weighted scatters about the mean: ``sum_i w_i (x_i - mean) (x_i - mean)'``. Divided
        by the weights they are covariances.
    """

    weights: Float64Array
    means: Float64Array
    scatters: Float64Array


def merge_moments(left: ClassMoments, right: ClassMoments) -> ClassMoments:
    """Moments of the union of two sets of rows, from those of each: the pairwise update [1]_.

    Parameters
    ----------
    left, right : ClassMoments
        Moments of the same classes and features over disjoint rows, as :func:`class_moments`
        returns them.

    Returns
    -------
    moments : ClassMoments
        Moments over all rows. A side without weight changes no bit of the other.

    Raises
    ------
    ValueError
        For moments of other numbers of classes or features.

    Notes
    -----
    O(n_classes d^2) time and memory. Up to rounding the order of merges does not matter; where bits
    matter, merge in a fixed order. The update adds at most ``6 2^-53`` times the merged scatter's
    own diagonal, ``sqrt(S_aa S_bb)``, to the error of an entry.

    References
    ----------
    .. [1] T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a pairwise algorithm for
       computing sample variances", COMPSTAT 1982.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import class_moments, merge_moments
    >>> X, labels = np.array([[1.0], [2.0], [6.0]]), np.zeros(3, dtype=int)
    >>> parts = [class_moments(X[rows], labels[rows], 1) for rows in (slice(2), slice(2, None))]
    >>> weights, means, scatters = merge_moments(*parts)
    >>> weights, means, scatters
    (array([3.]), array([[3.]]), array([[[14.]]]))
    """
    shapes = [[tuple(part.shape) for part in moments] for moments in (left, right)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"left and right must be moments of the same classes and features, got the shapes "
            f"{shapes[0]} and {shapes[1]}"
        )
    weights = left.weights + right.weights
    share = right.weights / (weights + (weights == 0))
    # The square root goes to both factors, so that the product is symmetric to the last bit.
    root = (left.weights * share) ** 0.5
    move = right.means - left.means
    step = move * root[:, None]
    return ClassMoments(
        weights,
        left.means + move * share[:, None],
        left.scatters + right.scatters + step[:, :, None] * step[:, None, :],
    )
