"""Sinkhorn iterations of one right-hand side with dense matrices in float64, for comparison."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp


@dataclass
class Dense:
    """``C`` of shape (n, m), weights ``a`` and ``b``, penalties ``rho`` and epsilon."""

    C: np.ndarray
    a: np.ndarray
    b: np.ndarray
    rho: tuple = (np.inf, np.inf)
    epsilon: float = 1.0

    def tau(self, side):
        """``rho / (rho + epsilon)``."""
        rho = self.rho[side]
        return 1.0 / (1.0 + self.epsilon / rho) if rho else 0.0

    def rows(self, g):
        """The best f for a g."""
        with np.errstate(divide="ignore"):
            log_a = np.log(self.a)
        g, here = np.where(self.b > 0, g, -np.inf), self.a > 0
        f = np.full(len(self.a), -np.inf)
        f[here] = (log_a - logsumexp((g - self.C) / self.epsilon, axis=1))[here]
        f[here] *= self.tau(0) * self.epsilon
        return f

    def plan(self, f, g):
        """Of two potentials."""
        with np.errstate(over="ignore"):
            return np.exp((f[:, None] + np.where(self.b > 0, g, -np.inf) - self.C) / self.epsilon)

    def dual(self, f, g):
        """The dual objective."""
        total = -self.epsilon * self.plan(f, g).sum()
        for weight, potential, rho in ((self.a, f, self.rho[0]), (self.b, g, self.rho[1])):
            w, p = weight[weight > 0], potential[weight > 0]
            total += w @ p if np.isinf(rho) else rho * (w @ (1 - np.exp(-p / rho))) if rho else 0.0
        return total

    def target(self, f, g):
        """Where a plain step takes g."""
        sums = self.plan(f, g).sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            target = self.tau(1) * (g + self.epsilon * (np.log(self.b) - np.log(sums)))
        return np.where(self.b > 0, target, -np.inf)

    def error(self, f, g):
        """The mass that a plain step would move."""
        sums, here = self.plan(f, g).sum(axis=0), self.b > 0
        change = (self.target(f, g)[here] - g[here]) / self.epsilon
        return (sums[here] * np.abs(np.expm1(change))).sum()

    def translated(self, f, g):
        """Both potentials moved against each other so that the dual is largest."""
        if not all(0 < rho < np.inf for rho in self.rho):
            return f, g
        (rho_a, rho_b), here, there = self.rho, self.a > 0, self.b > 0
        t = np.log((self.a[here] * np.exp(-f[here] / rho_a)).sum())
        t -= np.log((self.b[there] * np.exp(-g[there] / rho_b)).sum())
        t *= rho_a * rho_b / (rho_a + rho_b)
        return f + t, g - t

    def step(self, g):
        """One iteration: f and g that were looked at, their error and dual, and the next g."""
        f, g = self.translated(self.rows(g), g)
        return f, g, self.error(f, g), self.dual(f, g), self.target(f, g)


def random_weights(length, rng):
    """Of sum 1."""
    weights = rng.uniform(0.2, 1.0, size=length)
    return weights / weights.sum()
