"""The dissimilarities every pairwise kernel knows; small always means close."""

from enum import IntEnum

__all__ = ["Metric"]


class Metric(IntEnum):
    """Dissimilarity between a row x of X and a row y of Y, both of length d.

    The strings of the public functions are turned into members of this enumeration once, at the
    door; its integer values are shared with the native code.

    Attributes
    ----------
    SQEUCLIDEAN : int
        ``sum_p (x_p - y_p)^2``, "sqeuclidean".
    EUCLIDEAN : int
        ``sqrt(sum_p (x_p - y_p)^2)``, "euclidean".
    COSINE : int
        ``1 - <x, y> / (|x| |y|)``, "cosine"; a row of zeros has similarity 0, so D = 1.
    INNER_PRODUCT : int
        ``-<x, y>``, "inner_product".

    Examples
    --------
    >>> from clusterlib.kernels import Metric
    >>> Metric["COSINE"]
    <Metric.COSINE: 2>
    """

    SQEUCLIDEAN = 0
    EUCLIDEAN = 1
    COSINE = 2
    INNER_PRODUCT = 3
