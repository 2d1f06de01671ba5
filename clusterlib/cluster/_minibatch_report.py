"""What a fit of MiniBatchKMeans has found so far: for the log, callbacks and after Ctrl-C."""

import numpy as np

__all__ = ["attributes_of", "reporting"]


def attributes_of(result, blocks, seed):
    """What a fit has found but for labels, enough to predict with and to go on from.

    Parameters
    ----------
    result : MiniBatchResult
        At the end or before it.
    blocks : Blocks
        The rows.
    seed : int
        Of the fit.

    Returns
    -------
    attributes : dict
        Names and values.
    """
    return {
        "cluster_centers_": blocks.like(result.centers),
        "counts_": result.counts,
        "seed_": seed,
        "n_steps_": result.n_steps,
        "n_iter_": result.n_iter,
        "converged_": result.converged,
        "history_": np.array(result.history),
        "n_relocated_": result.n_reassigned,
        "rows_since_reassignment_": 0,
    }


def reporting(report, blocks, seed, attempt):
    """Tell a report, and what is left of an attempt, about every batch.

    Parameters
    ----------
    report : FitReport
        Gets messages, and says when to stop.
    blocks : Blocks
        The rows.
    seed : int
        Of the fit.
    attempt : object
        Of :func:`clusterlib.base.all_or_nothing`.

    Returns
    -------
    callback : callable
        For :func:`clusterlib.solvers.minibatch`.
    """

    def callback(so_far):
        attempt.last_state = lambda: attributes_of(so_far, blocks, seed)
        message = f"mean cost of a row {so_far.history[-1]:.6g}"
        centers = so_far.centers
        return report.end_iteration(message, lambda: {"cluster_centers_": blocks.like(centers)})

    return callback
