"""Reduction side of this backend: what is done with the values of a tile."""

import math

import numpy as np

from clusterlib.kernels._numba.compiling import compiled

__all__ = ["argmin_rows", "count_rows", "logsumexp_rows", "topk_rows"]


@compiled
def argmin_rows(values, labels, smallest):
    """Lowest index of the smallest value of each row."""
    for i in range(values.shape[0]):
        best, label = values[i, 0], 0
        for j in range(1, values.shape[1]):
            if values[i, j] < best:
                best, label = values[i, j], j
        smallest[i], labels[i] = best, label


@compiled
def topk_rows(values, indices, smallest):
    """The k smallest values of each row by sorted insertion, lower index first on ties."""
    k = indices.shape[1]
    for i in range(values.shape[0]):
        kept = 0
        for j in range(values.shape[1]):
            value = values[i, j]
            if kept == k and not value < smallest[i, k - 1]:
                continue
            place = min(kept, k - 1)
            while place > 0 and value < smallest[i, place - 1]:
                smallest[i, place], indices[i, place] = (
                    smallest[i, place - 1],
                    indices[i, place - 1],
                )
                place -= 1
            smallest[i, place], indices[i, place] = value, j
            kept = min(kept + 1, k)


@compiled
def _scores_of_row(distances, beta, log_weight, group, y_group, mask, scores):
    """Write the exponents of one row over its distances; return the largest."""
    highest = -np.inf
    for j in range(distances.shape[0]):
        allowed = mask == 0 or (group == y_group[j]) == (mask == 1)
        if not allowed or log_weight[j] == -np.inf:
            scores[j] = -np.inf
        elif beta > 0.0:  # 0 * inf would be NaN
            scores[j] = log_weight[j] - beta * distances[j]
        else:
            scores[j] = log_weight[j]
        highest = max(highest, scores[j])
    return highest


@compiled
def logsumexp_rows(distances, beta, log_weight, x_group, y_group, mask, averaged, lse, weighted):
    """Log-sum-exp of each row and the softmax-weighted sums of ``averaged``."""
    scores = np.empty(distances.shape[1])
    for i in range(distances.shape[0]):
        highest = _scores_of_row(
            distances[i], beta[i], log_weight, x_group[i], y_group, mask, scores
        )
        weighted[i, :] = 0.0
        if highest == -np.inf:
            lse[i] = -np.inf
            continue
        total = 0.0
        for j in range(distances.shape[1]):
            if scores[j] > -np.inf:
                share = math.exp(scores[j] - highest)
                total += share
                for q in range(averaged.shape[1]):
                    weighted[i, q] += share * averaged[j, q]
        lse[i] = highest + math.log(total)
        for q in range(averaged.shape[1]):
            weighted[i, q] /= total


@compiled
def count_rows(distances, threshold, counts):
    """How many distances of each row do not exceed its threshold."""
    for i in range(distances.shape[0]):
        count = 0
        for j in range(distances.shape[1]):
            if distances[i, j] <= threshold[i]:
                count += 1
        counts[i] = count
