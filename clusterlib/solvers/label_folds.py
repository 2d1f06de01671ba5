"""Rows and folds for choices that leave rows out, where every class has to stay."""

import numpy as np

__all__ = ["N_FOLDS", "label_folds", "paired_loss", "stratified_rows"]

N_FOLDS = 3


def stratified_rows(codes, sample_weight, max_rows, rng):
    """Draw about so many rows, of each class in proportion.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), int
        Labels from 0 on.
    sample_weight : ndarray of shape (n_samples,) or None
        Rows of weight 0 are not drawn.
    max_rows : int
        All rows are returned if they are no more than this.
    rng : numpy.random.Generator
        Draws them.

    Returns
    -------
    rows : ndarray, intp
        Positions, rising. Each class has one row for each fold at least, if it has so many.
    """
    counted = np.arange(len(codes)) if sample_weight is None else np.flatnonzero(sample_weight)
    if len(counted) <= max_rows:
        return counted
    codes = codes[counted]
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    sizes = np.bincount(codes)
    kept = np.maximum(np.minimum(sizes, N_FOLDS), sizes * max_rows // len(codes))
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return counted[np.sort(order[rank < np.repeat(kept, sizes)])]


def label_folds(codes, rng):
    """Deal rows to folds, so that no class is missing when a fold is left out.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), int
        Labels from 0 on.
    rng : numpy.random.Generator
        Deals them.

    Returns
    -------
    folds : ndarray of shape (n_samples,), intp
        From 0 to ``N_FOLDS - 1``; -1 for the only row of a class, which is never left out.
    """
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    folds = np.empty(len(codes), dtype=np.intp)
    # Dealt in turn: the rows of a class, if two or more, are in different folds.
    folds[order] = np.arange(len(codes)) % N_FOLDS
    folds[np.bincount(codes)[codes] == 1] = -1
    return folds


def paired_loss(best, other, share):
    """Mean and standard error of what one choice loses beside the best on the same rows.

    Parameters
    ----------
    best, other : ndarray of shape (n_samples,), float64
        Scores of rows.
    share : ndarray of shape (n_samples,), float64
        Weights of mean 1. A row is one observation whatever its weight.

    Returns
    -------
    loss : float
        Weighted mean of the differences.
    error : float
        Its standard error; NaN for a single row.
    """
    loss = best - other
    mean_loss = (share * loss).mean()
    with np.errstate(invalid="ignore"):
        spread = np.square(share * (loss - mean_loss)).sum() / np.float64(len(loss) - 1)
    return mean_loss, np.sqrt(spread / len(loss))
