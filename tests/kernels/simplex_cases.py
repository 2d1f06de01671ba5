"""Programs for the descent on the simplex, and the error bounds its contract promises."""

from typing import NamedTuple

import numpy as np

from clusterlib.kernels import pack_rows, simplex_descent, unpack_rows
from clusterlib.kernels._reference.simplex import Problem
from clusterlib.kernels.simplex_constants import SMALLEST_SHARE

# "trace": one group and one constraint; "groups": each group with a constraint of its own,
# precisions and linear terms; "total": the same groups under one constraint.
FORMS = ["trace", "groups", "total"]


class Program(NamedTuple):
    """A program in tiles, and how many rows it has."""

    X: np.ndarray
    W: np.ndarray
    n_rows: int
    options: dict

    def problem(self):
        """The same in float64, as the reference sees it."""
        rows = [
            None if tiles is None else unpack_rows(tiles, self.n_rows).astype(np.float64)
            for tiles in (self.X, self.options["linear"])
        ]
        r = self.W.shape[1]
        group, constraint = (
            np.zeros(r, int) if self.options[name] is None else self.options[name]
            for name in ("group", "constraint")
        )
        numbers = [np.asarray(self.options[name]) for name in ("target", "multiplier", "penalty")]
        return Problem(*rows, self.options["precisions"], group, constraint, *numbers)


def factor(rng, n, r):
    """Rows inside the simplex that lean towards a column each."""
    return 0.7 * rng.dirichlet(np.full(r, 5.0), size=n) + 0.3 * np.eye(r)[rng.integers(r, size=n)]


def program(form, n, p, r, dtype=np.float64, seed=0):
    """Rows in four clusters, scaled as the contract asks for; W is a point inside the simplex."""
    rng = np.random.default_rng([n, p, r, seed])
    X = rng.normal(0.0, 3.0, size=(4, p))[rng.integers(4, size=n)] + rng.normal(size=(n, p))
    X /= np.linalg.norm(X, 2)
    W = pack_rows(factor(rng, n, r), dtype=dtype)
    options = dict.fromkeys(("group", "constraint", "linear", "precisions"))
    options |= {"target": [min(4.0, (1 + r) / 2)], "multiplier": [0.1], "penalty": 0.3}
    if form != "trace":
        n_groups = min(3, r)
        roots = rng.normal(size=(n_groups, p, p))
        precisions = roots @ roots.transpose(0, 2, 1)
        options["precisions"] = precisions / np.linalg.norm(precisions, 2, axis=(1, 2)).max()
        options["linear"] = pack_rows(rng.normal(size=(n, n_groups)) / (3 * n), dtype=dtype)
        options["group"] = np.arange(r) % n_groups
    if form == "groups":
        options["constraint"] = options["group"]
        options["target"] = np.full(n_groups, 1.0)
        options["multiplier"] = np.array([0.1, -0.2, 0.3])[:n_groups]
    return Program(pack_rows(X, dtype=dtype), W, n, options)


def descend(case, **options):
    """The factor in rows, and what the descent returns; the program is left as it is."""
    W = case.W.copy()
    result = simplex_descent(case.X, W, case.n_rows, **case.options | options)
    assert result.history.dtype == np.float64 and result.history.shape[1:] == (2,)
    assert not W[-1, :, case.n_rows - 16 * len(W) or 16 :].any()
    return unpack_rows(W, case.n_rows), result


def unit_roundoff(dtype):
    return np.finfo(dtype).eps / 2


# Rounding of a sum in units of u: the rows of a leaf are added in at least 4 lanes, thus 256 terms
# with their products; lanes and leaves are added in float64.
SUM_ERROR = 258


def terms_of_gradient(case, W):
    """The largest sum of magnitudes that makes an entry of n times the gradient, times its metric."""
    problem = case.problem()
    d = np.maximum(W.sum(axis=0), 1e-12)
    M = np.abs(problem.X).T @ W
    B = M
    if problem.precisions is not None:
        B = np.einsum("cij,jc->ic", np.abs(problem.precisions[problem.group]), M)
    q, t = (B * M).sum(axis=0), (W * W).sum(axis=0)
    violation = np.bincount(problem.constraint, t / d, minlength=len(problem.target))
    mu = np.abs(problem.multiplier) + problem.penalty * (violation + np.abs(problem.target))
    mu = mu[problem.constraint]
    terms = q / d**2 + mu * t / d**2 + 2 * mu / d * W + 2 * np.abs(problem.X) @ (B / d)
    if problem.linear is not None:
        terms += np.abs(problem.linear[:, problem.group])
    metric = np.maximum(d * W.shape[1] / len(W), SMALLEST_SHARE)
    return len(W) * (terms * metric).max()


def step_error(case, W, step):
    """Bound of the error of an entry of the factor after one step.

    An entry of y = W - step metric gradient is wrong by the sums behind its coefficients and by the
    product over p features. The projection moves two points no farther apart in the metric, whose
    r entries differ by r / metric at most, and adds its own sums of r terms.
    """
    u = unit_roundoff(case.X.dtype)
    p, r = case.X.shape[1], W.shape[1]
    gradient = 4 * (SUM_ERROR + p + 8) * u * step * terms_of_gradient(case, W)
    return 2 * (gradient + (r + 8) * u)


def assert_values_of(case, W, result, n_iters):
    """The values that are returned are those of the factor that is returned.

    Products and linear terms are those of the first factor and of every step, sizes and squares
    those of the last; all go by the sums of their magnitudes.
    """
    u = unit_roundoff(case.X.dtype)
    problem, W = case.problem(), W.astype(np.float64)
    _, f, violation, _ = problem.evaluate(W)
    d = np.maximum(W.sum(axis=0), 1e-12)
    # A step moves an entry by 1 at most, so products of a step have no terms above |X|.
    moved = 2 * n_iters * SUM_ERROR * u * np.linalg.norm(np.abs(problem.X).sum(axis=0))
    length = np.linalg.norm(np.abs(problem.X).T @ W, axis=0)
    error = np.where(W.any(axis=0), (2 * moved + SUM_ERROR * u * length) * length + moved**2, 0) / d
    if problem.linear is not None:
        error += 2 * n_iters * SUM_ERROR * u * np.abs(problem.linear).sum()
    assert abs(result.history[-1, 0] - f) <= error.sum()
    bound = 2 * (SUM_ERROR + 4) * u * (violation + problem.target + 1)
    assert np.all(np.abs(result.violation - violation) <= bound)
    assert np.all(np.abs(result.sizes - W.sum(axis=0)) <= SUM_ERROR * u * d)
