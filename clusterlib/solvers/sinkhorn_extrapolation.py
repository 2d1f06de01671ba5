"""Sinkhorn sweeps that are extrapolated: Anderson acceleration with a way back."""

from collections import deque

import numpy as np

__all__ = ["extrapolate"]

_MEMORY = 5
_RIDGE = 1e-10
# An error that grows by more than this means that the last extrapolation was none.
_GROWTH = 1.5
_RECOVERY = 3


def extrapolate(sweeps, is_hopeless=None):
    """Sweep until the tolerance is met, mixing the last steps.

    A plain sweep maps g to T(g); the next g is the combination of the last maps whose combined
    residual ``T(g) - g`` is smallest in the norm weighted by b. Where the error has grown instead
    of shrinking, the last good g comes back and a few plain sweeps follow, which never fail.

    Parameters
    ----------
    sweeps : Sweeps
        The solve; its g is moved.
    is_hopeless : callable, default=None
        ``is_hopeless(sweeps)`` after each sweep; True ends the attempt.

    Notes
    -----
    One sweep a step; O(R m) memory for each of the six remembered potentials and residuals.

    References
    ----------
    .. [1] D. G. Anderson, "Iterative procedures for nonlinear integral equations", J. ACM 12(4),
       1965; H. F. Walker and P. Ni, "Anderson acceleration for fixed-point iterations", SIAM J.
       Numer. Anal. 49(4), 2011 (the form with differences).
    """
    g = np.atleast_2d(sweeps.g)  # a view
    weight = np.atleast_2d(sweeps.problem.b)
    weight = weight / weight.sum(axis=1, keepdims=True)
    is_balanced = sweeps.problem.is_balanced
    points, residuals = deque(maxlen=_MEMORY + 1), deque(maxlen=_MEMORY + 1)
    lowest, accepted = np.inf, None
    while sweeps.is_active:
        x = np.where(weight > 0, g, 0.0)
        sweeps.iterate(1)
        if not sweeps.is_active or (is_hopeless is not None and is_hopeless(sweeps)):
            return
        residual = np.where(weight > 0, g, 0.0) - x
        if not residual.any():  # the kernel stopped before the step, to go on in float64
            continue
        if sweeps.error > max(_GROWTH * lowest, sweeps.tol):
            g[:] = np.where(weight > 0, accepted, -np.inf)
            points.clear()
            residuals.clear()
            sweeps.iterate(_RECOVERY)
            lowest, accepted = sweeps.error, np.where(weight > 0, g, 0.0)
            continue
        lowest, accepted = min(lowest, sweeps.error), x
        if is_balanced:  # a constant is nothing to learn from
            residual -= (weight * residual).sum(axis=1, keepdims=True)
        points.append(x)
        residuals.append(residual)
        if len(points) > 1:
            mixed = _mixed(np.array(points), np.array(residuals), weight)
            g[:] = np.where(weight > 0, mixed, -np.inf)


def _mixed(points, residuals, weight):
    """The next g of each right-hand side; points and residuals are (k, R, m)."""
    steps = np.diff(points, axis=0)
    changes = np.diff(residuals, axis=0)
    norms = np.sqrt((weight * changes**2).sum(axis=2, keepdims=True))
    norms[norms == 0] = 1.0
    changes /= norms
    steps /= norms
    weighted = (weight * changes).transpose(1, 0, 2)
    gram = weighted @ changes.transpose(1, 2, 0)
    gram += _RIDGE * np.eye(len(changes))
    wanted = weighted @ residuals[-1][:, :, None]
    mixture = np.linalg.solve(gram, wanted)
    change = (steps + changes).transpose(1, 2, 0) @ mixture
    return points[-1] + residuals[-1] - change[:, :, 0]
