"""Scores of a partition: accuracy under the best matching, and balance of the sizes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from clusterlib.kernels.checks import as_vector, checked_integer
from clusterlib.metrics._labels import contingency_table, encode_labels

if TYPE_CHECKING:
    from clusterlib.typing import Array, ArrayLike, Weights

__all__ = ["ClusterBalance", "cluster_balance", "clustering_accuracy", "matched_labels"]


class _Matching(NamedTuple):
    classes: np.ndarray
    table: np.ndarray  # (n_classes, n_clusters), a cluster of noise left out
    cluster_of_row: np.ndarray  # -1 for noise
    class_of_cluster: np.ndarray  # -1 for a cluster without a class
    total_weight: float


def _noise_code(clusters, noise_label):
    """Position of the noise label among the clusters, -1 if there is none."""
    if noise_label is None:
        return -1
    return next((i for i, cluster in enumerate(clusters) if cluster == noise_label), -1)


def _match(y_true, y_pred, sample_weight, noise_label):
    """Match clusters to classes one to one so that the common weight is largest."""
    classes, true_codes = encode_labels("y_true", y_true)
    clusters, pred_codes = encode_labels("y_pred", y_pred, len(true_codes))
    if sample_weight is not None:
        sample_weight = as_vector("sample_weight", sample_weight, len(true_codes), low=0.0)
    table = contingency_table(true_codes, pred_codes, (len(classes), len(clusters)), sample_weight)
    total_weight = math.fsum(table[table > 0])
    noise = _noise_code(clusters, noise_label)
    if noise >= 0:
        table = np.delete(table, noise, axis=1)
        pred_codes = np.where(pred_codes == noise, -1, pred_codes - (pred_codes > noise))
    matched_classes, matched_clusters = linear_sum_assignment(table, maximize=True)
    class_of_cluster = np.full(table.shape[1], -1)
    class_of_cluster[matched_clusters] = matched_classes
    return _Matching(classes, table, pred_codes, class_of_cluster, total_weight)


def clustering_accuracy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: Weights = None,
    normalize: bool = True,
    noise_label: object = None,
) -> float:
    """Accuracy of a clustering under the best one-to-one matching of clusters to classes.

    The matching maximises the weight of the samples whose cluster is matched to their class (the
    Hungarian method on the contingency table [1]_); it is the usual score of deep clustering and
    of category discovery [2]_. Names of clusters do not matter. With more clusters than classes
    the clusters left over count as wrong, with fewer the classes left over do.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True classes: numbers, strings, booleans or hashable objects.
    y_pred : array-like of shape (n_samples,)
        Clusters, of any such type, not necessarily the type of ``y_true``.
    sample_weight : float or array-like of shape (n_samples,), default=None
        Finite weights of at least 0; an integer weight counts as repetition. None means 1.
    normalize : bool, default=True
        Whether to divide by the total weight.
    noise_label : object, default=None
        Cluster label of samples that belong to no cluster (-1 for density-based methods): they
        count as wrong. None takes every label as a cluster, -1 too.

    Returns
    -------
    accuracy : float
        In [0, 1], 1 for a perfect clustering; the matched weight if ``normalize`` is False.

    Raises
    ------
    ValueError
        If the labels are empty, not one-dimensional, of different lengths or missing, a weight is
        negative or not finite, or all weights are 0 and ``normalize`` is True.
    TypeError
        If a label is not hashable.

    See Also
    --------
    matched_labels : The clusters renamed by the same matching.

    Notes
    -----
    O(n log n + K^3) time and O(n + K^2) memory, K the larger number of labels.

    The mis-clustering error, which papers on mixtures and semidefinite programs report, is
    ``1 - clustering_accuracy(y_true, y_pred)``.

    References
    ----------
    .. [1] D. F. Crouse, "On implementing 2D rectangular assignment algorithms", IEEE Transactions
       on Aerospace and Electronic Systems 52(4), 2016.
    .. [2] J. Xie, R. Girshick, A. Farhadi, "Unsupervised deep embedding for clustering analysis",
       ICML 2016, equation 10.

    Examples
    --------
    >>> from clusterlib.metrics import clustering_accuracy
    >>> clustering_accuracy(["a", "a", "b", "b"], [1, 1, 0, 1])
    0.75
    >>> clustering_accuracy(["a", "a", "b", "b"], [1, 1, 0, -1], noise_label=-1)
    0.75
    """
    matching = _match(y_true, y_pred, sample_weight, noise_label)
    matched = matching.class_of_cluster >= 0
    agreement = matching.table[matching.class_of_cluster[matched], matched]
    # fsum rounds once, so a part never exceeds the whole and a perfect clustering scores 1.0.
    agreement = math.fsum(agreement)
    if not normalize:
        return agreement
    if matching.total_weight == 0:
        raise ValueError("sample_weight must not be 0 everywhere")
    return agreement / matching.total_weight


def matched_labels(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: Weights = None,
    noise_label: object = None,
    unmatched: object = None,
) -> Array:
    """Rename clusters to the classes they match best, one to one.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True classes: numbers, strings, booleans or hashable objects.
    y_pred : array-like of shape (n_samples,)
        Clusters, of any such type.
    sample_weight : float or array-like of shape (n_samples,), default=None
        Finite weights of at least 0. None means 1.
    noise_label : object, default=None
        Cluster label of samples that belong to no cluster; they get ``unmatched``. None takes
        every label as a cluster.
    unmatched : object, default=None
        Label for clusters left over when there are more of them than classes, and for noise. None
        means -1 for numeric classes, ``""`` for strings and None for anything else.

    Returns
    -------
    labels : ndarray of shape (n_samples,)
        ``mean(labels == y_true)`` is :func:`clustering_accuracy`. The dtype is that of the
        classes, widened where ``unmatched`` does not fit; boolean classes become int8 then.

    Raises
    ------
    ValueError
        If ``unmatched`` is needed and is itself a class; otherwise as
        :func:`clustering_accuracy`.
    TypeError
        If a label is not hashable.

    Notes
    -----
    O(n log n + K^3) time and O(n + K^2) memory. A cluster may be matched to a class with which it
    shares nothing if that is all that is left.

    Examples
    --------
    >>> from clusterlib.metrics import matched_labels
    >>> matched_labels(["a", "a", "b", "b"], [1, 1, 0, 1]).tolist()
    ['a', 'a', 'b', 'a']
    >>> matched_labels([5, 5, 6, 6], [0, 0, 1, 2]).tolist()
    [5, 5, 6, -1]
    """
    matching = _match(y_true, y_pred, sample_weight, noise_label)
    class_of_row = np.where(
        matching.cluster_of_row >= 0,
        np.append(matching.class_of_cluster, -1)[matching.cluster_of_row],
        -1,
    )
    classes = matching.classes
    if (class_of_row >= 0).all():
        return classes[class_of_row]
    if unmatched is None:
        unmatched = {"i": -1, "u": -1, "f": -1, "b": -1, "U": ""}.get(classes.dtype.kind)
    if any(unmatched == label for label in classes):
        raise ValueError(
            f"there are clusters without a class, and their label {unmatched!r} is itself a "
            "class; choose another with unmatched"
        )
    return _append_label(classes, unmatched)[class_of_row]


def _append_label(classes, label):
    """Append a label, so that index -1 finds it; the dtype grows as far as it has to."""
    added = np.asarray(label)
    alike = added.ndim == 0 and (
        added.dtype.kind == classes.dtype.kind
        or {added.dtype.kind, classes.dtype.kind} <= set("iufb")
    )
    dtype = np.result_type(classes.dtype, np.min_scalar_type(label)) if alike else object
    labels = np.empty(len(classes) + 1, dtype=dtype)
    labels[:-1] = classes
    labels[-1] = label
    return labels


class ClusterBalance(NamedTuple):
    """How evenly samples spread over clusters; p are the shares of the K clusters.

    Attributes
    ----------
    normalized_entropy : float
        ``-sum p log p / log K`` in [0, 1]; 1 for equal sizes (and for K = 1), 0 if one cluster
        has everything. Also called evenness.
    effective_clusters : float
        ``exp(-sum p log p)`` in [1, K], the number of equal clusters with the same entropy.
    imbalance_ratio : float
        Largest size divided by the smallest; infinite if a cluster is empty.
    imbalance_factor : float
        ``K sum p^2`` in [1, K]: by how much a search of the own cluster is slower than with equal
        sizes.
    """

    normalized_entropy: float
    effective_clusters: float
    imbalance_ratio: float
    imbalance_factor: float


def cluster_balance(
    labels: ArrayLike,
    *,
    n_clusters: int | None = None,
    sample_weight: Weights = None,
    noise_label: object = None,
) -> ClusterBalance:
    """Measure how evenly samples spread over clusters, without knowing the classes.

    Parameters
    ----------
    labels : array-like of shape (n_samples,)
        Cluster of each sample: numbers, strings, booleans or hashable objects.
    n_clusters : int, default=None
        Number of clusters, those without a sample included. None counts the labels that occur.
    sample_weight : float or array-like of shape (n_samples,), default=None
        Finite weights of at least 0, not all 0. None means 1.
    noise_label : object, default=None
        Label of samples that belong to no cluster and are left out. None leaves out nothing.

    Returns
    -------
    balance : ClusterBalance
        ``normalized_entropy``, ``effective_clusters``, ``imbalance_ratio`` and
        ``imbalance_factor``.

    Raises
    ------
    ValueError
        If the labels are empty, not one-dimensional or missing, all are noise, ``n_clusters`` is
        below the number of labels that occur, or the weights are negative, not finite or all 0.
    TypeError
        If a label is not hashable or ``n_clusters`` not an integer.

    Notes
    -----
    O(n log n) time and O(n + K) memory. The entropy is the evenness of ecology [1]_, its
    exponential the Hill number of order 1 [2]_; ``imbalance_factor`` is what vector search
    libraries print for their coarse quantizers.

    References
    ----------
    .. [1] E. C. Pielou, "The measurement of diversity in different types of biological
       collections", Journal of Theoretical Biology 13, 1966.
    .. [2] M. O. Hill, "Diversity and evenness: a unifying notation and its consequences",
       Ecology 54(2), 1973.

    Examples
    --------
    >>> from clusterlib.metrics import cluster_balance
    >>> cluster_balance([0, 0, 1, 1, 2, 2]).imbalance_ratio
    1.0

    Sizes that are known already are weights of one label each:

    >>> cluster_balance(range(3), sample_weight=[30, 10, 10]).imbalance_ratio
    3.0
    """
    clusters, codes = encode_labels("labels", labels)
    weight = np.ones(len(codes))
    if sample_weight is not None:
        weight = as_vector("sample_weight", sample_weight, len(codes), low=0.0)
    sizes = np.bincount(codes, weights=weight, minlength=len(clusters))
    noise = _noise_code(clusters, noise_label)
    if noise >= 0:
        sizes = np.delete(sizes, noise)
    if not sizes.any():
        raise ValueError("no sample with a weight above 0 belongs to a cluster")
    if n_clusters is not None:
        n_clusters = checked_integer("n_clusters", n_clusters, 1, 2**31 - 1)
        if n_clusters < len(sizes):
            raise ValueError(f"n_clusters={n_clusters}, but labels name {len(sizes)} clusters")
        sizes = np.append(sizes, np.zeros(n_clusters - len(sizes)))
    shares = sizes / sizes.max()  # first to at most 1, so that the sum cannot overflow
    shares /= shares.sum()
    present = shares[shares > 0]
    entropy = max(0.0, -float(present @ np.log(present)))
    smallest = float(sizes.min())
    return ClusterBalance(
        normalized_entropy=min(1.0, entropy / math.log(len(sizes))) if len(sizes) > 1 else 1.0,
        effective_clusters=min(float(len(sizes)), math.exp(entropy)),
        imbalance_ratio=float(sizes.max()) / smallest if smallest > 0 else math.inf,
        imbalance_factor=max(1.0, len(sizes) * float(shares @ shares)),
    )
