"""The fit and the batches of SinkhornClustering."""

import numpy as np

from clusterlib.base import FitReport, all_or_nothing, pass_progress, progress_log
from clusterlib.blocks import Blocks, as_blocks, map_reduce
from clusterlib.cluster._starts import MAX_SEED, Starts
from clusterlib.solvers import (
    RowDraws,
    cluster_weights,
    pull_prototypes,
    row_norms,
    sinkhorn_means,
    weight_of_directions,
)
from clusterlib.validation import (
    Prior,
    check_random_state,
    checked_code_epsilon,
    checked_flag,
    checked_integer,
    checked_lengths,
    checked_matrix,
    checked_n_samples,
    checked_prior,
    checked_range,
    checked_real,
    checked_same_clusters,
    checked_same_side,
    checked_sample_weight,
    checked_verbose,
)

__all__ = ["fit_prototypes", "follow_prototypes"]


class _Options:
    """Checked parameters of an estimator."""

    def __init__(self, estimator):
        self.starts = Starts.of(estimator, default_n_init=10)
        self.kind, self.log_prior = checked_prior(estimator.prior, self.starts.n_clusters)
        n_iters = estimator.n_iters
        if n_iters is not None:
            n_iters = checked_integer("n_iters", n_iters, 1)
        self.codes = {
            "epsilon": checked_code_epsilon(estimator.epsilon),
            "n_iters": n_iters,
            "normalize": checked_flag("normalize", estimator.normalize),
            "estimate": self.kind is Prior.ESTIMATE,
        }
        self.max_iter = checked_integer("max_iter", estimator.max_iter, 1)
        self.tol = checked_real("tol", estimator.tol, 0)
        self.queue_size = checked_integer("queue_size", estimator.queue_size, 0)
        self.decay = checked_real("decay", estimator.decay, 0, 1)
        self.verbose = checked_verbose(estimator.verbose)
        checked_real("temperature", estimator.temperature, 0, low_open=True)

    def draws(self, blocks, weight):
        """The order of the rows, for starts that are drawn from it; refuses unfit rows."""
        if not self.codes["normalize"]:
            longest = map_reduce(_longest, max, blocks)
            checked_lengths(np.array([longest]), self.codes["epsilon"])
        if not self.starts.needs_order(blocks):
            _check_directions(weight_of_directions(blocks, weight) > 0)
            return None
        # Rows of zeros are no directions to draw.
        directed = row_norms(blocks) > 0 if weight is None else weight * (row_norms(blocks) > 0)
        _check_directions(directed.any())
        return RowDraws(blocks, directed.astype(np.float64))


def _longest(rows):
    return float(row_norms(rows).max(initial=0.0))


def _check_directions(any_direction):
    if not any_direction:
        raise ValueError(
            "X has no row with a direction: every row (with a weight above zero) is zero, and "
            "prototypes are directions"
        )


def fit_prototypes(estimator, X, sample_weight):
    """Fit SinkhornClustering: check, seed, alternate codes and prototypes, keep the best.

    Parameters
    ----------
    estimator : SinkhornClustering
        Gets the fitted attributes.
    X : array-like, data frame or carrier of shape (n_samples, n_features)
        As the user gave it.
    sample_weight : None, float or array-like of shape (n_samples,)
        As the user gave it.
    """
    options = _Options(estimator)
    starts = options.starts
    random_state = check_random_state(estimator.random_state)
    seeds = random_state.randint(MAX_SEED, size=starts.n_init)
    with all_or_nothing(estimator) as attempt:
        X = checked_matrix(estimator, X, reset=True)
        weight = checked_sample_weight(sample_weight, X.shape[0], beside=X)
        checked_n_samples(starts.n_clusters, X.shape[0], weight)
        if isinstance(X, np.ndarray | Blocks):  # not on a device
            checked_range(X)
        _fit_checked(estimator, options, X, weight, seeds, attempt)


def _fit_checked(estimator, options, X, weight, seeds, attempt):
    starts, blocks = options.starts, as_blocks(X)
    # The likelihood of estimated shares has better and worse maxima: it is climbed from two sides.
    approaches = (True, False) if options.kind is Prior.ESTIMATE else (True,)
    best = None
    with progress_log(options.verbose), pass_progress(estimator, blocks):
        draws = options.draws(blocks, weight)
        report = FitReport(estimator, X, weight, starts.n_init * len(approaches))
        stopped = False
        for seed in seeds:
            source = X if starts.is_called else blocks
            centers = starts.centers(source, draws, seed, sample_weight=weight, spherical=True)
            for balance_first in approaches:
                report.begin_start(options.max_iter)
                result = sinkhorn_means(
                    blocks,
                    centers,
                    log_prior=options.log_prior,
                    balance_first=balance_first,
                    sample_weight=weight,
                    max_iter=options.max_iter,
                    tol=options.tol,
                    callback=_reporting(report, blocks, options, attempt),
                    **options.codes,
                )
                if best is None or result.objective > best.objective:
                    best = result
                kept = blocks.like(best.centers)
                stopped = report.end_start(lambda kept=kept: {"cluster_centers_": kept})
                if stopped:
                    break
            if stopped:
                break
        _store(estimator, best, blocks, weight)
        estimator.queue_ = _empty_queue(blocks)
        report.end(lambda: {"cluster_centers_": blocks.like(best.centers)})


def _reporting(report, blocks, options, attempt):
    def callback(centers, history):
        attempt.last_state = lambda: _begun(options, blocks, centers)
        message = f"objective {history[-1]:.9g}"
        return report.end_iteration(message, lambda: {"cluster_centers_": blocks.like(centers)})

    return callback


def _store(estimator, result, blocks, weight):
    estimator.cluster_centers_ = blocks.like(result.centers)
    estimator.labels_ = blocks.like(result.labels)
    estimator.prior_ = result.prior
    estimator.marginal_error_ = float(np.abs(result.sums - result.prior).sum())
    estimator.code_entropy_ = result.entropy
    estimator.objective_ = result.objective
    estimator.history_ = result.history
    estimator.angle_ = result.angle
    estimator.n_iter_ = result.n_iter
    estimator.n_sweeps_ = result.n_sweeps
    estimator.converged_ = result.converged
    labels = blocks.to_host(result.labels)
    estimator.cluster_sizes_ = blocks.like(cluster_weights(labels, len(result.centers), weight))
    total = len(result.labels) if weight is None else float(weight.sum())
    estimator.counts_ = total * result.sums
    estimator.vectors_ = result.vectors
    estimator.n_steps_ = 0


def _begun(options, blocks, centers):
    """Prototypes that have seen nothing yet, or are all that is left of a fit."""
    return {
        "cluster_centers_": blocks.like(centers),
        "vectors_": np.zeros(centers.shape),
        "counts_": np.zeros(len(centers)),
        "prior_": np.exp(options.log_prior),
        "n_steps_": 0,
        "queue_": _empty_queue(blocks),
    }


def _empty_queue(blocks):
    return blocks.like(blocks.zeros((0, blocks.n_features), blocks.dtype))


def follow_prototypes(estimator, X):
    """Take one batch into SinkhornClustering.

    Parameters
    ----------
    estimator : SinkhornClustering
        Gets, or changes, the fitted attributes.
    X : array-like or data frame of shape (n_samples, n_features)
        The batch, as the user gave it.
    """
    options = _Options(estimator)
    with all_or_nothing(estimator):
        _follow(estimator, options, X)


def _follow(estimator, options, X):
    is_first = not hasattr(estimator, "cluster_centers_")
    X = _one_batch(checked_matrix(estimator, X, reset=is_first))
    if isinstance(X, np.ndarray | Blocks):  # not on a device
        checked_range(X, tiny=not is_first)
    blocks = as_blocks(X)
    if is_first:
        _begin(estimator, options, X, blocks)
    else:
        checked_same_side(estimator, X, estimator.cluster_centers_)
        checked_same_clusters(options.starts.n_clusters, estimator.cluster_centers_)
        if not options.codes["normalize"]:
            checked_lengths(row_norms(blocks), options.codes["epsilon"])
    log_prior = options.log_prior
    if options.kind is Prior.ESTIMATE:
        log_prior = np.log(estimator.prior_)
    centers = blocks.to_host(estimator.cluster_centers_)
    rows = blocks.rows(0, blocks.n_samples)
    rows = rows.astype(centers.dtype, copy=False)
    queue = blocks.from_host(estimator.queue_)
    pulled = pull_prototypes(
        rows,
        centers,
        estimator.vectors_,
        estimator.counts_,
        queue=queue if 0 < len(queue) == options.queue_size else None,
        log_prior=log_prior,
        decay=options.decay,
        **options.codes,
    )
    # Only now, so that a batch never meets itself; the oldest rows fall out at the end.
    estimator.queue_ = blocks.like(np.concatenate([rows, queue])[: options.queue_size])
    estimator.cluster_centers_ = blocks.like(pulled.centers)
    estimator.vectors_, estimator.counts_ = pulled.vectors, pulled.counts
    estimator.labels_ = blocks.like(pulled.labels)
    estimator.prior_ = pulled.prior
    estimator.marginal_error_ = pulled.error
    estimator.n_steps_ += 1


def _one_batch(X):
    """Rows in memory: codes share out the rows of a batch, and the queue keeps some of them."""
    blocks = as_blocks(X)
    if blocks.in_memory:
        return X
    if len(blocks) > 1:
        raise ValueError(
            f"partial_fit takes one batch, whose codes depend on all its rows; got {len(blocks)} "
            f"blocks of {blocks.block_rows} rows. Use fit, which reads X block by block, or call "
            "partial_fit with each batch in turn"
        )
    [block] = blocks
    return block.array


def _begin(estimator, options, X, blocks):
    """First prototypes on the rows of the first batch."""
    starts = options.starts
    checked_n_samples(starts.n_clusters, blocks.n_samples, None)
    draws = options.draws(blocks, None)
    seed = int(check_random_state(estimator.random_state).randint(MAX_SEED))
    source = X if starts.is_called else blocks
    centers = starts.centers(source, draws, seed, spherical=True)
    vars(estimator).update(_begun(options, blocks, centers))
