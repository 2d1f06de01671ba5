"""What a fit has to say when it ended badly: each thing once, and what helps."""

import warnings

from sklearn.exceptions import ConvergenceWarning

__all__ = ["warn_of_few_clusters", "warn_of_no_convergence"]

# warn, the function here, fit of the estimator, its caller.
_STACKLEVEL = 3


def warn_of_no_convergence(estimator, steps, remaining, cures):
    """Warn if ``max_iter`` came before any other end; a callback's stop is no reason."""
    if not estimator.converged_ and estimator.n_iter_ >= estimator.max_iter:
        warnings.warn(
            f"{type(estimator).__name__} did not converge in max_iter={estimator.max_iter} "
            f"{steps}: {remaining}. Raise {cures}.",
            ConvergenceWarning,
            stacklevel=_STACKLEVEL,
        )


def warn_of_few_clusters(estimator):
    """Warn if rows with weight belong to fewer clusters than were asked for."""
    n_used = int((estimator.cluster_sizes_ != 0).sum())
    if n_used < estimator.n_clusters:
        warnings.warn(
            f"{type(estimator).__name__} found {n_used} different clusters, fewer than "
            f"n_clusters={estimator.n_clusters}. X may have too few different rows: lower "
            "n_clusters.",
            ConvergenceWarning,
            stacklevel=_STACKLEVEL,
        )
