"""The fit of SDPClustering: choose a solver, relax, round, certify, store."""

from typing import NamedTuple

import numpy as np

from clusterlib.base import FitReport, all_or_nothing, pass_progress, progress_log
from clusterlib.blocks import as_blocks
from clusterlib.cluster._sdp_bound import certified
from clusterlib.cluster._starts import MAX_SEED
from clusterlib.solvers import (
    CVXPY_ROWS,
    RoundedPartition,
    Rounding,
    RowDraws,
    default_rank,
    default_sketch_size,
    kmeans_plusplus,
    lloyd,
    low_rank_sdp,
    round_factor,
    round_membership,
    sketch_sdp,
    solve_sdp_reference,
    squared_spread,
)
from clusterlib.validation import (
    Certification,
    RelaxationSolver,
    check_random_state,
    checked_certifiable,
    checked_choice,
    checked_flag,
    checked_integer,
    checked_matrix,
    checked_n_samples,
    checked_pair_rows,
    checked_rank,
    checked_real,
    checked_reference_rows,
    checked_sketch_size,
    checked_spread,
    checked_verbose,
)

__all__ = ["fit_relaxation"]

# Entries of the factor, 32 MB of them, above which "auto" takes a sketch.
_MOST_ENTRIES = 4_000_000
# Iterations that nobody has limited, and those of cvxpy, which are cheap and many.
_MOST_ITERATIONS = {False: 5_000, True: 50_000}
# Rows up to which certify="full" has memory for matrices of all pairs.
_PAIR_ROWS = 10_000
_OFFERED = [each for each in RelaxationSolver if each is not RelaxationSolver.EXACT]
# Violation of the trace, as a share of it, above which a start has failed.
_FAILED = 1e-3


class _Found(NamedTuple):
    """What a solver says, in the words of the estimator."""

    partition: RoundedPartition
    solver: RelaxationSolver
    objective: float = -np.inf
    factor: np.ndarray | None = None
    matrix: np.ndarray | None = None
    upper_value: float = np.inf
    trace_error: float = 0.0
    residual: float = 0.0
    n_iter: int = 0
    converged: bool = True
    history: np.ndarray = np.empty((0, 4))


class _Options:
    """Checked parameters of an estimator and what follows from the size of its data."""

    def __init__(self, estimator):
        self.n_clusters = checked_integer("n_clusters", estimator.n_clusters, 1)
        self.solver = checked_choice("solver", estimator.solver, _OFFERED)
        self.certify = checked_choice("certify", estimator.certify, Certification)
        self.rank = estimator.rank
        self.n_init = checked_integer("n_init", estimator.n_init, 1)
        self.n_kmeans = checked_integer("n_kmeans", estimator.n_kmeans, 0)
        self.sketch_size = checked_sketch_size(estimator.sketch_size, self.n_clusters)
        self.n_sketches = checked_integer("n_sketches", estimator.n_sketches, 1)
        self.max_iter = estimator.max_iter
        if self.max_iter is None:
            self.max_iter = _MOST_ITERATIONS[self.solver is RelaxationSolver.CVXPY]
        self.max_iter = checked_integer("max_iter", self.max_iter, 1)
        self.tol = checked_real("tol", estimator.tol, 0, low_open=True)
        self.allow_large = checked_flag("allow_large", estimator.allow_large)
        self.verbose = checked_verbose(estimator.verbose)

    def meet(self, n_samples):
        """Complete the options with the number of rows, and refuse what does not go with it."""
        checked_n_samples(self.n_clusters, n_samples, None)
        self.rank = checked_rank(self.rank, self.n_clusters, n_samples)
        if self.rank is None:
            self.rank = default_rank(n_samples, self.n_clusters)
        if self.sketch_size is None:
            self.sketch_size = default_sketch_size(self.n_clusters, self.rank)
        if self.solver is RelaxationSolver.CVXPY:
            checked_reference_rows(n_samples, CVXPY_ROWS, allow_large=self.allow_large)
        if self.certify is Certification.FULL:
            checked_pair_rows(n_samples, _PAIR_ROWS)
        if self.n_clusters in (1, n_samples):
            self.solver = RelaxationSolver.EXACT
        if self.solver is RelaxationSolver.AUTO and n_samples * self.rank > _MOST_ENTRIES:
            self.solver = RelaxationSolver.SKETCH
        sketched = self.solver is RelaxationSolver.SKETCH and self.sketch_size < n_samples
        if self.solver in (RelaxationSolver.AUTO, RelaxationSolver.SKETCH) and not sketched:
            self.solver = RelaxationSolver.LOW_RANK


def fit_relaxation(estimator, X):
    """Fit SDPClustering.

    Parameters
    ----------
    estimator : SDPClustering
        Gets the fitted attributes, all of them at the end.
    X : array-like, data frame or carrier of shape (n_samples, n_features)
        As the user gave it.

    Returns
    -------
    early : bool
        Whether the solver gave up, rather than converged or was stopped by a callback.
    """
    options = _Options(estimator)
    random_state = check_random_state(estimator.random_state)
    is_map = isinstance(X, np.memmap)
    with all_or_nothing(estimator):
        X = checked_matrix(estimator, X, reset=True)
        options.meet(X.shape[0])
        blocks = as_blocks(X)
        if is_map and options.certify is not Certification.NONE:
            blocks = _read(blocks)  # a memory map is an array as well, which certificates need
        checked_certifiable(options.certify, options.solver, in_memory=blocks.in_memory)
        with progress_log(options.verbose), pass_progress(estimator, blocks):
            blocks = _where_solved(blocks, options.solver)
            return _fit_blocks(estimator, X, blocks, options, random_state)


def _where_solved(blocks, solver):
    """The rows where the solver wants them: all in memory, unless it takes samples."""
    if blocks.in_memory or solver in (RelaxationSolver.SKETCH, RelaxationSolver.EXACT):
        return blocks
    return _read(blocks)


def _read(blocks):
    """All rows, in memory."""
    rows = np.empty(blocks.shape, dtype=blocks.dtype)
    for block in blocks:
        rows[block.start : block.stop] = block.array
    return as_blocks(rows)


def _fit_blocks(estimator, X, blocks, options, random_state):
    """Solve, certify and store; tell whether the solver gave up."""
    total = squared_spread(blocks)
    # Looking for different rows takes a sort, and is needed where none seem to differ only.
    checked_spread(total, RowDraws(blocks).n_groups if total < 1e-200 else 2)
    rng = np.random.default_rng(random_state.randint(MAX_SEED))
    report = FitReport(estimator, X, None, options.n_init)
    found = _SOLVE[options.solver](blocks, total, options, rng, report)
    value = total - found.partition.inertia
    if value > found.objective + 10 * options.tol * total:
        # Every partition is a point of the relaxation: here it is clearly the better one.
        found = found._replace(objective=value, factor=None, matrix=None)
    bound = certified(
        blocks,
        total,
        found.partition,
        options.n_clusters,
        options.certify,
        factor=found.factor,
        upper_value=found.upper_value,
    )
    _store(estimator, found, bound, options)
    report.end(lambda: {"cluster_centers_": found.partition.centers})
    may_stop = found.solver is not RelaxationSolver.CVXPY  # cvxpy takes no callback
    return not (found.converged or (may_stop and found.n_iter < options.max_iter))


def _fit_exact(blocks, total, options, rng, report):
    """One cluster, or as many as there are different rows: nothing is left to choose."""
    if options.n_clusters == blocks.n_samples:
        centers = blocks.take(np.arange(blocks.n_samples))
    else:
        centers = kmeans_plusplus(blocks, options.n_clusters, rng).centers
    report.begin_start(options.max_iter)
    result = lloyd(blocks, centers)
    report.end_start(lambda: {"cluster_centers_": result.centers})
    partition = RoundedPartition(result.labels, result.centers, result.inertia, Rounding.ONLY)
    return _Found(partition, RelaxationSolver.EXACT)


def _fit_low_rank(blocks, total, options, rng, report):
    draws = RowDraws(blocks)
    if draws.n_groups <= options.n_clusters:
        return _fit_exact(blocks, total, options, rng, report)
    rows = blocks.rows(0, blocks.n_samples)
    best = partition = None
    for start in range(options.n_init):
        report.begin_start(None)
        result = low_rank_sdp(
            rows,
            options.n_clusters,
            rank=options.rank,
            tol=options.tol,
            max_iter=options.max_iter,
            rng=rng,
            callback=_reporting(report, blocks, options, draws),
        )
        best = max(best or result, result, key=lambda each: _rating(each, options.n_clusters))
        rounded = round_membership(
            blocks,
            result.W,
            options.n_clusters,
            rng,
            n_kmeans=options.n_kmeans if start == 0 else 0,
            draws=draws,
        )
        if partition is None or rounded.inertia < partition.inertia:
            partition = rounded
        if report.end_start(lambda best=partition: {"cluster_centers_": best.centers}):
            break
    return _Found(
        partition,
        RelaxationSolver.LOW_RANK,
        objective=best.objective,
        factor=best.W,
        trace_error=best.trace_error,
        residual=best.residual,
        n_iter=best.n_iter,
        converged=best.converged,
        history=best.history,
    )


def _rating(result, n_clusters):
    """Starts that kept the trace first, the highest objective among them."""
    kept = result.trace_error <= _FAILED * n_clusters
    return kept, result.objective


def _reporting(report, blocks, options, draws):
    """Tell the log and callbacks how the descent goes; it has memberships, but no centres yet."""
    stopped = False

    def attributes():
        rng = np.random.default_rng(0)
        centers = kmeans_plusplus(blocks, options.n_clusters, rng, draws=draws).centers
        return {"cluster_centers_": centers}

    def callback(n_iter, objective, trace_error, residual):
        nonlocal stopped
        if not stopped:  # a stop also ends the attempts that a failed start would be given
            message = (
                f"{n_iter} steps, objective {objective:.9g}, trace off by {trace_error:.3g}, "
                f"residual {residual:.3g}"
            )
            stopped = report.end_iteration(message, attributes)
        return stopped

    return callback


def _fit_sketch(blocks, total, options, rng, report):
    report.begin_start(options.n_sketches)

    def callback(centers, costs):
        message = f"k-means cost {costs[-1]:.9g}"
        return report.end_iteration(message, lambda: {"cluster_centers_": centers})

    result = sketch_sdp(
        blocks,
        options.n_clusters,
        rng,
        sketch_size=options.sketch_size,
        n_rounds=options.n_sketches,
        rank=options.rank,
        tol=options.tol,
        max_iter=options.max_iter,
        callback=callback,
    )
    report.end_start(lambda: {"cluster_centers_": result.centers})
    history = result.history.copy()
    history[:, 1] = total - history[:, 1]
    return _Found(
        RoundedPartition(result.labels, result.centers, result.inertia, result.rounding),
        RelaxationSolver.SKETCH,
        trace_error=result.trace_error,
        residual=result.residual,
        n_iter=result.n_iter,
        converged=result.converged,
        history=history,
    )


def _fit_reference(blocks, total, options, rng, report):
    draws = RowDraws(blocks)
    if draws.n_groups <= options.n_clusters:
        return _fit_exact(blocks, total, options, rng, report)
    report.begin_start(options.max_iter)
    reference = solve_sdp_reference(
        blocks.rows(0, blocks.n_samples),
        options.n_clusters,
        tol=options.tol,
        max_iter=options.max_iter,
    )
    values, vectors = np.linalg.eigh(reference.Z)
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    partition = round_factor(
        blocks, factor, options.n_clusters, rng, n_kmeans=options.n_kmeans, draws=draws
    )
    report.end_start(lambda: {"cluster_centers_": partition.centers})
    # How much of a row's mass lies on the rows of each cluster.
    soft = np.maximum(reference.Z, 0.0) @ np.eye(options.n_clusters)[partition.labels]
    return _Found(
        partition,
        RelaxationSolver.CVXPY,
        objective=reference.objective,
        factor=soft / soft.sum(axis=1, keepdims=True),
        matrix=reference.Z,
        upper_value=reference.upper_value,
        trace_error=reference.feasibility_error,
        n_iter=reference.n_iter,
        converged=reference.converged,
    )


_SOLVE = {
    RelaxationSolver.EXACT: _fit_exact,
    RelaxationSolver.LOW_RANK: _fit_low_rank,
    RelaxationSolver.SKETCH: _fit_sketch,
    RelaxationSolver.CVXPY: _fit_reference,
}


def _store(estimator, found, bound, options):
    partition = found.partition
    estimator.cluster_centers_ = partition.centers
    estimator.labels_ = partition.labels
    estimator.inertia_ = partition.inertia
    estimator.rounding_ = partition.rounding.value
    estimator.cluster_sizes_ = np.bincount(partition.labels, minlength=options.n_clusters).astype(
        np.float64
    )
    estimator._factor_ = found.factor
    estimator._matrix_ = found.matrix
    estimator.objective_ = found.objective
    estimator.trace_error_ = found.trace_error
    estimator.residual_ = found.residual
    estimator.solver_ = found.solver.value
    estimator.n_iter_ = found.n_iter
    estimator.converged_ = found.converged
    estimator.history_ = found.history
    estimator.lower_bound_ = bound.lower_bound
    gap = partition.inertia - bound.lower_bound
    estimator.optimality_gap_ = gap / partition.inertia if gap > 0 else 0.0
    estimator.certificate_ = bound.kind
    estimator.certificate_rigorous_ = bound.rigorous
