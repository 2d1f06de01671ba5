"""The space in which groups are found: all features, or the first principal components."""

from typing import NamedTuple

import numpy as np

from clusterlib.validation import checked_extent

__all__ = ["PrincipalAxes", "PrincipalSpace"]

# Rounding of a matrix of n rows changes its singular values by less than about
# sqrt(n) eps max|X|; directions of that size are none.
_ROUNDINGS = 4


class PrincipalSpace(NamedTuple):
    """Coordinates of rows in some of their principal directions.

    Attributes
    ----------
    coordinates : ndarray of shape (n_samples, q), float64
        Centred rows in the directions of ``axes``; in those of the features if that is None.
    axes : None or ndarray of shape (q, n_features), float64
        Orthonormal.
    rest : ndarray of shape (n_rest,), float64
        Variances along the principal directions that were left out, those along which rows do
        not vary excepted.
    noise_variance : float
        Mean variance over all directions that were left out; 0 if rows do not vary in them.
    """

    coordinates: np.ndarray
    axes: np.ndarray | None
    rest: np.ndarray
    noise_variance: float


class PrincipalAxes(NamedTuple):
    """Principal directions of the rows of a matrix.

    Attributes
    ----------
    centred : ndarray of shape (n_samples, n_features), float64
        Rows less their mean.
    mean : ndarray of shape (n_features,), float64
        That mean.
    variances : ndarray of shape (rank,), float64
        Along the directions in which the rows vary at all, in decreasing order.
    directions : ndarray of shape (rank, n_features), float64
        These directions, each with its largest entry positive.
    unit : float
        A power of two near the largest entry of ``centred``.
    """

    centred: np.ndarray
    mean: np.ndarray
    variances: np.ndarray
    directions: np.ndarray
    unit: float

    @classmethod
    def of(cls, X):
        """Find them for rows of float32 or float64, not all the same.

        By a singular value decomposition: O(n d min(n, d)) time, O(n d) memory. Directions that
        rounding alone could have made are left out; those of features in very different units are
        not, as squares of singular values never are formed. ValueError where
        :func:`checked_extent` refuses the rows.
        """
        centred, mean = _centred(X)
        unit = checked_extent(centred)
        # The triangle of a QR has the same singular values to the same precision.
        factor = np.linalg.qr(centred, mode="r") if len(X) > X.shape[1] else centred
        _, values, directions = np.linalg.svd(factor, full_matrices=False)
        largest = np.abs(directions).argmax(axis=1)
        directions *= np.sign(directions[np.arange(len(directions)), largest])[:, None]
        noise = _ROUNDINGS * np.finfo(X.dtype).eps * np.sqrt(max(X.shape)) * np.abs(X).max()
        rank = int(np.count_nonzero(values > noise))
        if rank == 0:
            checked_extent(centred[:, :0])  # the same but for rounding
        return cls(centred, mean, np.square(values[:rank]) / len(X), directions[:rank], unit)

    def whole(self):
        """The space of all features, as they are."""
        return PrincipalSpace(self.centred, None, np.empty(0), 0.0)

    def space(self, n_components):
        """The space of so many directions, or of as many as there are.

        The whole one, with the features as its axes, if that is all dimensions and rows vary in
        each.
        """
        n_features, rank = self.centred.shape[1], len(self.variances)
        if min(n_components, rank) == n_features:
            return self.whole()
        axes, rest = self.directions[:n_components], self.variances[n_components:]
        noise_variance = float(rest.sum()) / max(n_features - len(axes), 1)
        return PrincipalSpace(self.centred @ axes.T, axes, rest, noise_variance)


def _centred(X):
    """Rows less their mean, and the mean; a feature that does not vary is exactly 0."""
    centred = np.array(X, dtype=np.float64, order="C")  # the same bits for any layout
    is_constant = (centred == centred[0]).all(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):  # such rows are refused
        mean = np.where(is_constant, centred[0], centred.mean(axis=0))
        centred -= mean
    return centred, mean
