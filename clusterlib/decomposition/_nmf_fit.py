"""The fit of SimplexNMF: scale, start, descend, choose, store."""

import numpy as np

from clusterlib.base import FitReport, progress_log
from clusterlib.decomposition._nmf_units import (
    divided,
    in_units,
    power_of_two,
    reconstruction_error,
)
from clusterlib.solvers import (
    LeastSquares,
    MaskedLeastSquares,
    alternate,
    filled_by_margins,
    matched_components,
    plsa,
    random_components,
    singular_components,
    vertex_components,
)
from clusterlib.validation import (
    FactorLoss,
    FactorStart,
    WeightSet,
    check_random_state,
    checked_cell_weight,
    checked_choice,
    checked_factor_options,
    checked_factor_start,
    checked_integer,
    checked_missing_values,
    checked_nonnegative_matrix,
    checked_penalties,
    checked_real,
    checked_sample_weight,
    checked_verbose,
)

__all__ = ["MAX_SEED", "MOST_ENTRIES", "FactorOptions", "fit_factors"]

MAX_SEED = np.iinfo(np.int32).max
# Part of the squares of X that counts as an error where the fit is exact and has a volume.
_LEAST_ERROR = 1e-6
# Entries of the weights of starts that are worked on together.
MOST_ENTRIES = 1 << 25
# Reconstructions above so many times the largest known value are warned of.
_BEYOND = 10


class FactorOptions:
    """Checked parameters of an estimator."""

    def __init__(self, estimator):
        self.n_components = checked_integer("n_components", estimator.n_components, 1)
        self.loss = checked_choice("loss", estimator.loss, FactorLoss)
        self.weights = checked_choice("weights", estimator.weights, WeightSet)
        self.n_init = checked_integer("n_init", estimator.n_init, 1)
        self.min_volume = checked_real("min_volume", estimator.min_volume, 0)
        self.penalties = checked_penalties(estimator.alpha_W, estimator.alpha_H, estimator.l1_ratio)
        self.missing = checked_missing_values(estimator.missing_values)
        self.max_iter = checked_integer("max_iter", estimator.max_iter, 1)
        self.tol = checked_real("tol", estimator.tol, 0)
        self.verbose = checked_verbose(estimator.verbose)
        self.counts = self.loss is FactorLoss.KULLBACK_LEIBLER
        self.simplex = self.weights is WeightSet.SIMPLEX
        self.penalised = bool(self.penalties[0] or self.penalties[1])

    def refuse(self, cell_weight):
        """Refuse what does not go together."""
        checked_factor_options(
            self.loss,
            self.weights,
            min_volume=self.min_volume,
            penalties=self.penalised,
            cells=cell_weight is not None,
        )

    def starts_in_step(self, n_rows):
        """How many starts memory allows to be worked on together."""
        if self.counts:
            return 1
        return max(1, MOST_ENTRIES // max(1, n_rows * self.n_components))

    def most_iterations(self, n_rows):
        """Bound of the iterations of all starts and of the polish, which callbacks are told."""
        size = self.starts_in_step(n_rows)
        return self.max_iter * (-(-self.n_init // size) + bool(self.min_volume))

    def scaled_penalties(self, X, sample_weight, unit):
        """l1 and l2 penalties of weights and components for rows that are divided by ``unit``.

        Beside rows of about 1, the root of the largest number already leaves no factor but 0.
        """
        alpha_weights, alpha_components, ratio = self.penalties
        n_rows = X.shape[0] if sample_weight is None else float(sample_weight.sum())
        of_weights, of_components = alpha_weights * X.shape[1], alpha_components * n_rows
        most = float(np.finfo(X.dtype).max) ** 0.5
        l1 = ratio * of_weights / unit, ratio * of_components / unit / unit
        l2 = (1 - ratio) * of_weights, (1 - ratio) * of_components / unit / unit
        return {"l1": tuple(min(x, most) for x in l1), "l2": tuple(min(x, most) for x in l2)}

    def problem(self, X, cell_weight, sample_weight, unit, volume=0.0):
        """What is minimised, for rows that were divided by ``unit``."""
        penalties = self.scaled_penalties(X, sample_weight, unit)
        if cell_weight is not None:
            return MaskedLeastSquares(X, cell_weight, sample_weight=sample_weight, **penalties)
        return LeastSquares(
            X,
            sample_weight=sample_weight,
            simplex=self.simplex,
            volume=volume,
            **penalties,
        )


def fit_factors(estimator, X, sample_weight, cell_weight):
    """Fit SimplexNMF.

    Parameters
    ----------
    estimator : SimplexNMF
        Gets the fitted attributes, all of them at the end.
    X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
        As the user gave it.
    sample_weight, cell_weight : None or array-like
        Likewise.

    Returns
    -------
    W : ndarray of shape (n_samples, n_components)
        Weights of the rows.
    early : bool
        Whether the iterations ran out, rather than converged or were stopped by a callback.
    unbounded : str
        What to warn of if nothing that is known bounds some cells that are not, or "".
    """
    options = FactorOptions(estimator)
    random_state = check_random_state(estimator.random_state)
    X = checked_nonnegative_matrix(estimator, X, reset=True, missing=options.missing)
    start = checked_factor_start(estimator.init, options.n_components, X.shape[1])
    sample_weight = checked_sample_weight(sample_weight, X.shape[0])
    cell_weight = checked_cell_weight(cell_weight, X, missing=options.missing)
    options.refuse(cell_weight)
    unit = power_of_two(X, cell_weight)
    rows = divided(X, unit, counts=options.counts)
    rng = np.random.default_rng(random_state.randint(MAX_SEED))
    with progress_log(options.verbose):
        report = FitReport(estimator, X, sample_weight, 1)
        starts, anchors = _starts(rows, cell_weight, sample_weight, start, options, rng, unit)
        report.begin_start(options.most_iterations(X.shape[0]))
        stopped = _Reporting(report)
        if options.counts:
            results = _count_results(rows, starts, sample_weight, options, stopped)
        else:
            problem = options.problem(rows, cell_weight, sample_weight, unit)
            results = _square_results(problem, starts, options, stopped)
            estimator._volume = 0.0
            if options.min_volume and not stopped.asked:
                estimator._volume = _volume(problem, results, options)
                results = [
                    _polished(rows, results, sample_weight, estimator._volume, options, stopped)
                ]
        W = _store(estimator, results, anchors, start[0], options, unit, sample_weight)
        estimator.reconstruction_err_ = reconstruction_error(
            options, estimator.components_, X, W, sample_weight, cell_weight
        )
        found = {"components_": estimator.components_}
        report.end_start(lambda: found)
        report.end(lambda: found)
    early = not (estimator.converged_ or stopped.asked)
    return W, early, _unbounded(X, W, estimator.components_, cell_weight)


def _unbounded(X, W, components, cell_weight):
    """What to say of cells left out whose reconstruction is far beyond all that is known."""
    left_out = None if cell_weight is None else cell_weight == 0
    if left_out is None or not left_out.any():
        return ""
    largest = float(X[~left_out].max())
    with np.errstate(over="ignore"):
        n_beyond = np.count_nonzero((W @ components)[left_out] > _BEYOND * largest)
    if not n_beyond:
        return ""
    return (
        f"{n_beyond} of {np.count_nonzero(left_out)} cells left out of the fit are reconstructed "
        f"above {_BEYOND} times the largest known value, {largest:.6g}: nothing that is known "
        "bounds them. Lower n_components, or raise alpha_W and alpha_H."
    )


class _Reporting:
    """Tells the log and callbacks how the descent goes; remembers whether a stop was asked for."""

    def __init__(self, report):
        self._report, self.asked = report, False

    def __call__(self, n_iter, objective, components):
        if not self.asked:
            message = f"objective {objective:.9g}"
            self.asked = self._report.end_iteration(message, lambda: {"components_": components()})
        return self.asked


def _starts(X, cell_weight, sample_weight, start, options, rng, unit):
    """Components of all starts, the first as ``init`` says, and the rows it took."""
    kind, given = start
    if cell_weight is not None:
        X = filled_by_margins(X, cell_weight)
    if kind is FactorStart.AUTO:
        kind = FactorStart.SINGULAR if options.counts else FactorStart.VERTICES
    anchors, first = None, None
    if kind is FactorStart.GIVEN:
        scale = unit if options.simplex and not options.counts else 1.0
        first = (given / scale).astype(X.dtype)
    elif kind is FactorStart.VERTICES:
        first, anchors = vertex_components(
            X, options.n_components, rng, scale_rows=options.counts or not options.simplex,
            blend=options.counts, sample_weight=sample_weight,
        )  # fmt: skip
    elif kind is FactorStart.SINGULAR:
        first = singular_components(X, options.n_components, rng, sample_weight=sample_weight)
    starts = random_components(
        X, options.n_components, rng, n_starts=options.n_init, sample_weight=sample_weight
    )
    if first is not None:
        starts[0] = first
    return starts, anchors


def _square_results(problem, starts, options, stopped):
    """Results of all starts, as many of them in step as memory allows."""
    size = options.starts_in_step(problem.n_rows)

    def callback(n_iter, descents):
        best = min(descents, key=lambda each: each.history[-1])
        return stopped(n_iter, best.history[-1], lambda: best.components)

    results = []
    for first in range(0, len(starts), size):
        results += alternate(
            problem,
            starts[first : first + size],
            max_iter=options.max_iter,
            tol=options.tol,
            callback=callback,
        )
        if stopped.asked:
            break
    return results


def _volume(problem, results, options):
    """Weight of the volume, in proportion to the error of the best result."""
    error = min(each.objective for each in results)
    return options.min_volume * max(error, _LEAST_ERROR * problem.total)


def _polished(X, results, sample_weight, volume, options, stopped):
    """The best result, pulled to a smaller volume."""
    best = min(results, key=lambda each: each.objective)
    polish = options.problem(X, None, sample_weight, 1.0, volume=volume)
    [result] = _square_results(polish, best.H[None], options, stopped)
    return result


def _count_results(X, starts, sample_weight, options, stopped):
    results = []
    for H in starts:
        results.append(
            plsa(
                X,
                H,
                sample_weight=sample_weight,
                max_iter=options.max_iter,
                tol=options.tol,
                callback=stopped,
            )
        )
        if stopped.asked:
            break
    return results


def _store(estimator, results, anchors, start, options, unit, sample_weight):
    """Keep the best start, in the units of the user and in the order of the shares."""
    best = min(range(len(results)), key=lambda each: results[each].objective)
    result = results[best]
    W, H = result.W.copy(), result.H.copy()
    sums = H.sum(axis=1, dtype=np.float64)
    uses = W.sum(axis=0, dtype=np.float64) if sample_weight is None else sample_weight @ W
    mass = uses * sums
    if not (options.simplex or options.penalised):
        # Without a constraint or a penalty the scale is free: components sum to 1.
        factor = np.where(sums > 0, sums, 1.0)
        H, W = (H / factor[:, None]).astype(H.dtype), (W * factor).astype(W.dtype)
        W[:, sums == 0] = 0
    W, H = in_units(W, H, options, unit)
    order = np.arange(len(H))
    if start is not FactorStart.GIVEN:
        order = np.argsort(-mass, kind="stable")
    others = [each.H for place, each in enumerate(results) if place != best]
    power = 1 if options.counts else 2
    estimator.components_ = np.ascontiguousarray(H[order])
    estimator.n_components_ = len(H)
    estimator.n_iter_ = result.n_iter
    estimator.converged_ = result.converged
    estimator.history_ = result.history * unit**power
    estimator.anchors_ = anchors if best == 0 else None
    estimator.shares_ = mass[order] / (mass.sum() or 1.0)
    estimator.condition_ = _condition(H)
    estimator.restart_agreement_ = float(
        np.mean([matched_components(result.H, other)[1].mean() for other in others] or [1.0])
    )
    return np.ascontiguousarray(W[:, order])


def _condition(H):
    """Condition number of the components at length 1; infinity if they are dependent."""
    H = H.astype(np.float64)
    largest = H.max(axis=1, keepdims=True)
    if not largest.all():
        return np.inf
    H = H / largest
    values = np.linalg.svd(H / np.linalg.norm(H, axis=1, keepdims=True), compute_uv=False)
    least = values[-1] if len(values) == len(H) else 0.0
    return float(values[0] / least) if least > 0 else np.inf
