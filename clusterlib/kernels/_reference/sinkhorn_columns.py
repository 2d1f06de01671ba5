"""What follows a Sinkhorn sweep in the reference: step of the columns, error and dual value."""

import numpy as np

__all__ = ["column_step", "logs_to_trust"]

_TRUSTED = 600.0  # |log s| of a column sum that has lost nothing to the range of float64


def logs_to_trust(logs, log_b):
    """Where the logarithm of a column sum may be used; a column without weight needs none."""
    return (np.abs(logs) < _TRUSTED) | (log_b == -np.inf)


def _rho(epsilon, tau):
    """Strength of the penalty that belongs to tau = rho / (rho + epsilon) < 1."""
    return epsilon * tau / (1.0 - tau)


def _log_mass(log_weight, potential, rho):
    """log sum w exp(-potential / rho) over the entries with weight."""
    here = log_weight > -np.inf
    exponents = log_weight[here] - potential[here] / rho
    highest = exponents.max()
    return highest + np.log(np.exp(exponents - highest).sum())


def _dual_term(epsilon, log_weight, potential, tau):
    """<w, potential>, or what the penalty makes of it."""
    here = log_weight > -np.inf
    weight, potential = np.exp(log_weight[here]), potential[here]
    if tau == 1.0:
        return (weight * potential).sum()
    if tau == 0.0:
        return 0.0
    rho = _rho(epsilon, tau)
    exponent = -potential / rho
    # w (exp(x) - 1), where either factor may leave the range and their product stay.
    change = np.where(
        np.abs(exponent) < _TRUSTED,
        weight * np.expm1(np.clip(exponent, -_TRUSTED, _TRUSTED)),
        np.exp(log_weight[here] + exponent) - weight,
    )
    return -rho * change.sum()


def column_step(epsilon, log_a, log_b, f, g, tau_a, tau_b, sums, logs):
    """Return ``(target of g, error, dual value)``; translates f and g if both are penalised.

    Where ``log_b`` is -inf the target means nothing.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if 0.0 < tau_a < 1.0 and 0.0 < tau_b < 1.0:
            rho_a, rho_b = _rho(epsilon, tau_a), _rho(epsilon, tau_b)
            t = rho_a * rho_b / (rho_a + rho_b)
            t *= _log_mass(log_a, f, rho_a) - _log_mass(log_b, g, rho_b)
            f += t
            g -= t
        dual = _dual_term(epsilon, log_a, f, tau_a) + _dual_term(epsilon, log_b, g, tau_b)
        dual -= epsilon * sums.sum()
        target = tau_b * (g + epsilon * (log_b - logs))
        if tau_b == 1.0:
            return target, np.abs(sums - np.exp(log_b)).sum(), dual
        here = log_b > -np.inf
        change = (target[here] - g[here]) / epsilon
        # s |exp(change) - 1|, where the exponential alone may leave the range.
        moved = np.where(
            np.abs(change) < _TRUSTED,
            sums[here] * np.abs(np.expm1(np.clip(change, -_TRUSTED, _TRUSTED))),
            np.abs(np.exp(logs[here] + change) - sums[here]),
        )
        return target, np.nan_to_num(moved, nan=np.inf, posinf=np.inf).sum(), dual
