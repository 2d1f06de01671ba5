"""The fit of the estimators that run Lloyd's iteration from several starts."""

import numpy as np

from clusterlib.base import FitReport, all_or_nothing, pass_progress, progress_log
from clusterlib.blocks import Blocks, as_blocks
from clusterlib.cluster._checkpoint import Checkpoint, FitState, checked_checkpoint, digest
from clusterlib.cluster._starts import MAX_SEED, Starts
from clusterlib.solvers import (
    RowDraws,
    assign,
    cluster_weights,
    lloyd,
    row_norms,
    scatter,
    weight_of_directions,
)
from clusterlib.validation import (
    Start,
    check_random_state,
    checked_flag,
    checked_integer,
    checked_matrix,
    checked_n_samples,
    checked_range,
    checked_real,
    checked_same_clusters,
    checked_sample_weight,
    checked_verbose,
)

__all__ = ["fit_lloyd", "weights_of_directions"]


def fit_lloyd(estimator, X, sample_weight, *, spherical):
    """Fit KMeans or SphericalKMeans: check, seed, iterate, keep the best.

    Parameters
    ----------
    estimator : KMeans or SphericalKMeans
        Gets the fitted attributes.
    X : array-like, data frame or carrier of shape (n_samples, n_features)
        As the user gave it.
    sample_weight : None, float or array-like of shape (n_samples,)
        As the user gave it.
    spherical : bool
        Which geometry.
    """
    previous = getattr(estimator, "cluster_centers_", None)
    starts = Starts.of(estimator, default_n_init=10)
    if not checked_flag("warm_start", estimator.warm_start):
        previous = None
    if previous is not None:
        checked_same_clusters(starts.n_clusters, previous)
    max_iter = checked_integer("max_iter", estimator.max_iter, 1)
    tol = checked_real("tol", estimator.tol, 0)
    verbose = checked_verbose(estimator.verbose)
    path = checked_checkpoint(estimator.checkpoint)
    random_state = check_random_state(estimator.random_state)
    with all_or_nothing(estimator) as attempt:
        X = checked_matrix(estimator, X, reset=previous is None)
        weight = checked_sample_weight(sample_weight, X.shape[0], beside=X)
        checked_n_samples(starts.n_clusters, X.shape[0], weight)
        # Squares of a carrier are seen in the first iteration, without a pass of their own.
        if isinstance(X, np.ndarray | Blocks if spherical else np.ndarray):
            checked_range(X, tiny=spherical)
        blocks = as_blocks(X)
        identity = {} if path is None else _identity(estimator, starts, blocks, weight, spherical)
        checkpoint = Checkpoint(path, identity)
        resumed = checkpoint.load()
        if resumed is None and previous is not None:
            starts = starts.from_centers(previous)
        seeds = random_state.randint(MAX_SEED, size=starts.n_init)
        with progress_log(verbose), pass_progress(estimator, blocks):
            if tol > 0:
                tol *= scatter(blocks, sample_weight=weight, spherical=spherical)
            if resumed is not None:
                checkpoint.check_tol(resumed, tol)
            runs = _Runs(estimator, X, blocks, weight, spherical, checkpoint, resumed)
            attempt.last_state = runs.last_state
            runs.run(starts, seeds, max_iter, tol)


def weights_of_directions(blocks, weight):
    """Weights without rows of zeros, which are no directions to draw."""
    has_direction = row_norms(blocks) > 0
    directed = has_direction.astype(np.float64) if weight is None else weight * has_direction
    _check_directions(directed.any())
    return directed


def _check_directions(any_direction):
    if not any_direction:
        raise ValueError(
            "X has no row with a direction: every row (with a weight above zero) is zero, and "
            "spherical k-means compares directions"
        )


def _identity(estimator, starts, blocks, weight, spherical):
    """What a checkpoint has to agree with; not how this fit would start without one."""
    random_state, init = estimator.random_state, starts.kind.value
    if starts.kind is Start.GIVEN:
        init = f"{init} ({digest(starts.centers(blocks, None, None, spherical=spherical))})"
    return {
        "estimator": type(estimator).__name__,
        "n_samples": blocks.n_samples,
        "n_features": blocks.n_features,
        "dtype": str(blocks.dtype),
        "n_clusters": starts.n_clusters,
        "n_init": starts.n_init,
        "init": init,
        "tol": float(estimator.tol),
        "random_state": random_state if isinstance(random_state, int) else "not an int",
        "sample_weight": "None" if weight is None else f"an array ({digest(weight)})",
    }


class _Runs:
    """The starts of one fit, one after the other; knows what to keep if they are broken off."""

    def __init__(self, estimator, X, blocks, weight, spherical, checkpoint, resumed):
        self.estimator, self.X, self.blocks, self.weight = estimator, X, blocks, weight
        self.spherical, self.checkpoint = spherical, checkpoint
        self.resumed, self.state = resumed, None

    def run(self, starts, seeds, max_iter, tol):
        """Fit the estimator."""
        resumed, first, best = self.resumed, 0, None
        if resumed is not None:
            seeds, first, best = resumed.seeds, resumed.start, resumed.best
        draws = None
        if resumed is None or first + 1 < len(seeds):  # or no start is left to be drawn
            draws = self._draws(starts)
        report = FitReport(self.estimator, self.X, self.weight, len(seeds), first)
        for number in range(first, len(seeds)):
            if resumed is None or number > first:
                self._seed(starts, draws, seeds, number, best, tol)
            else:
                self.state = resumed
            report.begin_start(max_iter)
            result = self._iterate(report, max_iter, tol)
            # Starts that end in the same clusters have the same bits: the first is kept.
            if best is None or result.inertia < best.inertia:
                best = result
            if report.end_start(self._reconstruction(best.centers)):
                break
        self._store(best)
        self.checkpoint.remove()
        report.end(self._reconstruction(best.centers))

    def _draws(self, starts):
        """The order of the rows, for starts that are drawn from it."""
        blocks, weight = self.blocks, self.weight
        if starts.needs_order(blocks):
            directed = weights_of_directions(blocks, weight) if self.spherical else weight
            return RowDraws(blocks, directed)
        if self.spherical:
            _check_directions(weight_of_directions(blocks, weight) > 0)
        return None

    def _seed(self, starts, draws, seeds, number, best, tol):
        centers = starts.centers(
            self.X if starts.is_called else self.blocks,
            draws,
            seeds[number],
            sample_weight=self.weight,
            spherical=self.spherical,
        )
        self.state = FitState(seeds, number, centers, np.zeros(0), 0, best, tol)

    def _iterate(self, report, max_iter, tol):
        """Run the start that ``state`` says, from where it is."""
        begun = self.state

        def callback(centers, history, n_relocated):
            # A pass, where squares seem to be no numbers or all 0. Directions are, and may stay.
            starts_still = history[-1] == 0 and len(begun.history) + len(history) == 1
            if not self.spherical and (starts_still or not np.isfinite(history[-1])):
                checked_range(self.blocks)
            self.state = begun._replace(
                centers=centers,
                history=np.append(begun.history, history),
                n_relocated=begun.n_relocated + n_relocated,
            )
            self.checkpoint.save(self.state)
            message = f"squared moves of the centres {history[-1]:.6g}"
            return report.end_iteration(message, self._reconstruction(centers))

        n_done = len(begun.history)
        has_converged = n_done > 0 and begun.history[-1] <= tol
        result = lloyd(
            self.blocks,
            begun.centers,
            sample_weight=self.weight,
            max_iter=0 if has_converged else max(0, max_iter - n_done),
            tol=tol,
            spherical=self.spherical,
            callback=callback,
        )
        return result._replace(
            n_iter=n_done + result.n_iter,
            converged=result.converged or has_converged,
            n_relocated=begun.n_relocated + result.n_relocated,
            history=np.append(begun.history, result.history),
        )

    def _reconstruction(self, centers):
        return lambda: {"cluster_centers_": self.blocks.like(centers)}

    def last_state(self):
        """Centres of the last iteration, to predict with and to go on from after Ctrl-C."""
        state = self.state
        if state is not None and len(state.history) == 0:
            state = state.best  # this start has done nothing yet
        if state is None:
            return {}
        return {
            "cluster_centers_": self.blocks.like(state.centers),
            "n_iter_": len(state.history),
            "converged_": False,
            "history_": state.history,
            "n_relocated_": state.n_relocated,
        }

    def _store(self, result):
        estimator, blocks = self.estimator, self.blocks
        labels = result.labels
        if labels is None:  # of a start that ended before a checkpoint
            labels = assign(blocks, result.centers, spherical=self.spherical)
        estimator.cluster_centers_ = blocks.like(result.centers)
        estimator.labels_ = blocks.like(labels)
        estimator.inertia_ = result.inertia
        estimator.n_iter_ = result.n_iter
        estimator.converged_ = result.converged
        estimator.history_ = result.history
        estimator.n_relocated_ = result.n_relocated
        sizes = cluster_weights(blocks.to_host(labels), len(result.centers), self.weight)
        estimator.cluster_sizes_ = blocks.like(sizes)
