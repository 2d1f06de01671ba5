"""The fit of BalancedKMeans: check, start from plain k-means, balance, search, keep the best."""

from typing import NamedTuple

import numpy as np

from clusterlib.base import FitReport, pass_progress, progress_log
from clusterlib.blocks import Blocks, as_blocks
from clusterlib.cluster._restarts import weights_of_directions
from clusterlib.cluster._starts import MAX_SEED, Starts
from clusterlib.solvers import (
    RowDraws,
    assign_priced,
    balanced_heuristic,
    balanced_lloyd,
    balanced_stream,
    interior_prices,
    lloyd,
    scatter,
    swap_centers,
)
from clusterlib.validation import (
    CenterMetric,
    SizeAssignment,
    Start,
    check_random_state,
    checked_choice,
    checked_equal_weight,
    checked_flag,
    checked_integer,
    checked_matrix,
    checked_n_samples,
    checked_range,
    checked_real,
    checked_sizes,
    checked_verbose,
)

__all__ = ["fit_balanced", "is_spherical", "is_streamed"]

# Plain k-means is only where the balanced iteration starts: its last digits are of no use.
_PLAIN_TOL = 1e-4
# Of the inertia, up to which a gap is rounding, and prices may be moved as those of an optimum.
_ROUNDING = 1e-9
_NO_NUMBERS = (
    "clusters have no numbers before they are found, so give init as an array of centres for bounds "
    "of single clusters"
)


class _Options(NamedTuple):
    """Checked parameters of a fit."""

    starts: Starts
    assignment: SizeAssignment
    spherical: bool
    exchange: bool
    n_swaps: int
    max_iter: int
    tol: float

    @classmethod
    def of(cls, estimator):
        options = cls(
            Starts.of(estimator, default_n_init=1),
            checked_choice("assignment", estimator.assignment, SizeAssignment),
            is_spherical(estimator),
            checked_flag("exchange", estimator.exchange),
            checked_integer("n_swaps", estimator.n_swaps, 0),
            checked_integer("max_iter", estimator.max_iter, 1),
            checked_real("tol", estimator.tol, 0),
        )
        if options.n_swaps and options.assignment is not SizeAssignment.EXACT:
            raise ValueError(
                f"n_swaps must be 0 unless assignment='exact'; got n_swaps={options.n_swaps} and "
                f"assignment={estimator.assignment!r}"
            )
        return options

    @property
    def is_streamed(self):
        """Whether rows are read block by block."""
        return self.assignment is SizeAssignment.STREAMED

    def is_optimal(self, result):
        """Whether labels are of least cost, so that prices may be anywhere in their intervals."""
        proven = self.is_streamed and result.dual_gap <= _ROUNDING * result.inertia
        return proven or self.assignment is SizeAssignment.EXACT

    @property
    def most_reports(self):
        """How many iterations and tries a start may report."""
        return self.max_iter + (self.n_swaps + self.max_iter if self.n_swaps else 0)


def is_spherical(estimator):
    """Whether the metric of an estimator compares directions."""
    return checked_choice("metric", estimator.metric, CenterMetric) is CenterMetric.COSINE


def is_streamed(estimator):
    """Whether an estimator assigns rows that are read block by block."""
    kind = checked_choice("assignment", estimator.assignment, SizeAssignment)
    return kind is SizeAssignment.STREAMED


def fit_balanced(estimator, X, sample_weight):
    """Fit a BalancedKMeans.

    Parameters
    ----------
    estimator : BalancedKMeans
        Gets the fitted attributes.
    X : array-like, data frame or carrier of shape (n_samples, n_features)
        As the user gave it.
    sample_weight : None, float or array-like of shape (n_samples,)
        As the user gave it.
    """
    options = _Options.of(estimator)
    verbose = checked_verbose(estimator.verbose)
    random_state = check_random_state(estimator.random_state)
    X = checked_matrix(estimator, X, reset=True)
    counts, weight = checked_equal_weight(sample_weight, X.shape[0])
    if counts is not None and isinstance(X, Blocks):
        raise ValueError(
            "sample_weight must be above 0 for rows that are read block by block; leave out rows "
            f"by giving X without them; got {np.count_nonzero(~counts)} zeros"
        )
    starts = options.starts
    checked_n_samples(starts.n_clusters, X.shape[0], counts)
    rows = X if counts is None else X[counts]
    per_cluster = None if starts.kind is Start.GIVEN else _NO_NUMBERS
    bounds = checked_sizes(
        estimator.size_min,
        estimator.size_max,
        starts.n_clusters,
        rows.shape[0],
        per_cluster=per_cluster,
    )
    blocks = as_blocks(rows)
    checked_range(blocks)
    directed = weights_of_directions(blocks, None) if options.spherical else None
    draws = RowDraws(blocks, directed) if starts.needs_order(blocks) else None
    seeds = random_state.randint(MAX_SEED, size=starts.n_init)
    with progress_log(verbose), pass_progress(estimator, blocks):
        everywhere = np.ones(X.shape[0]) if counts is None else counts
        metadata = None if sample_weight is None else weight * everywhere
        report = FitReport(estimator, X, metadata, starts.n_init)
        best = None
        for seed in seeds:
            report.begin_start(options.most_reports)
            found = _fit_start(rows, weight, bounds, draws, seed, options, report)
            # Starts that end in the same clusters have the same bits: the first one is kept.
            if best is None or found.inertia < best.inertia:
                best = found
            if report.end_start(lambda best=best: _attributes(best.centers, best.prices)):
                break
        if options.is_optimal(best):
            # Prices as the search leaves them tie some rows to the last bit.
            arguments = rows, best.centers, best.labels, best.prices, *bounds
            prices = interior_prices(*arguments, spherical=options.spherical)
            best = best._replace(prices=prices)
        _store(estimator, best, X, counts, weight, options.spherical)
        report.end(lambda: _attributes(best.centers, best.prices))


def _fit_start(rows, weight, bounds, draws, seed, options, report):
    """Balanced k-means from one start, searched as the options say; reports the weighted inertia."""
    spherical = options.spherical
    blocks = as_blocks(rows)
    source = rows if options.starts.is_called else blocks
    centers = options.starts.centers(source, draws, seed, spherical=spherical)
    if options.starts.kind is not Start.GIVEN:
        tol = _PLAIN_TOL * scatter(blocks, spherical=spherical)
        centers = lloyd(
            blocks, centers, max_iter=options.max_iter, tol=tol, spherical=spherical
        ).centers
    stopped = []

    def callback(centers, prices, history):
        message = f"inertia {weight * history[-1]:.6g}"
        stopped[:] = [report.end_iteration(message, lambda: _attributes(centers, prices))]
        return stopped[0]

    common = {
        "spherical": spherical,
        "max_iter": options.max_iter,
        "tol": options.tol,
        "callback": callback,
    }
    if options.is_streamed:
        return balanced_stream(blocks, centers, *bounds, **common)
    if options.assignment is not SizeAssignment.EXACT:
        entropic = options.assignment is SizeAssignment.SINKHORN
        return balanced_heuristic(rows, centers, *bounds, entropic=entropic, **common)
    common["exchange"] = options.exchange
    found = balanced_lloyd(rows, centers, *bounds, **common)
    if options.n_swaps and not stopped[-1]:
        rng = np.random.default_rng([seed, options.n_swaps])
        found = swap_centers(rows, found, *bounds, options.n_swaps, rng, **common)
    return found


def _attributes(centers, prices):
    return {"cluster_centers_": centers, "prices_": prices}


def _store(estimator, result, X, counts, weight, spherical):
    estimator.cluster_centers_ = result.centers
    estimator.prices_ = result.prices
    estimator.labels_ = result.labels
    if counts is not None:
        estimator.labels_ = assign_priced(X, result.centers, result.prices, spherical=spherical)
        estimator.labels_[counts] = result.labels
    estimator.inertia_ = weight * result.inertia
    # An assignment without cost is optimal whatever the prices are.
    estimator.dual_gap_ = result.dual_gap / result.inertia if result.inertia > 0 else 0.0
    estimator.n_iter_ = result.n_iter
    estimator.converged_ = result.converged
    estimator.history_ = weight * result.history
    estimator.cluster_sizes_ = np.bincount(result.labels, minlength=len(result.centers))
