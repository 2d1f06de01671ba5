"""Bounds of the likelihood-adjusted program for given covariances, from a partition."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.linalg import LinAlgError, cholesky, solve_triangular
from scipy.sparse.linalg import ArpackError, eigsh

from clusterlib.kernels.checks import as_matrix, as_numeric, as_vector, check_finite
from clusterlib.solvers.eigenvalue_bounds import UNIT, dot_error, largest_pairs, proved_top_sum
from clusterlib.solvers.low_rank_likelihood import Trace
from clusterlib.solvers.partition_certificate import checked_partition
from clusterlib.solvers.transport_problem import checked_member, checked_real

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, IntArray

__all__ = ["LikelihoodCertificate", "certify_likelihood"]

_MOST_ROWS = 5000
_DENSE_ROWS = 400
_FARTHEST = 1e140  # squared distance, whose square is still a number of float64
_SLACK = 1e-9  # relative, by which rounding may bring a bound below the value of the partition
# Multipliers of the traces, in units of the largest eigenvalue of the whitened scatter.
_FIRST_FACTORS = (0.6, 1.0, 1.6)
_STEP, _LARGEST_FACTOR = 1.5, 20.0
_SEARCH_ROWS = 600
_LEAST_LEVEL = 1e-3  # in the units of the value, which are those of log-likelihoods
_N_REFINEMENTS = 3
_N_BISECTIONS = 20
# Of the sum of a group's own slack, what the slack of another group may keep; 1 and 0 proved less.
_SHARE = 0.5
_GOLDEN = 0.381966


class LikelihoodCertificate(NamedTuple):
    """What :func:`certify_likelihood` found.

    Attributes
    ----------
    upper_value : float
        No feasible memberships have a larger ``sum_k <A_k, Z_k>``, and no partition either.
    value : float
        That of the given partition: twice its classification log-likelihood with the best means,
        plus ``n p log(2 pi)``.
    certified : bool
        Whether the two differ by no more than ``tol`` for each row.
    rigorous : bool
        Whether the rounding of everything after the whitening is accounted for: always.
    history : ndarray of shape (n_tried, 4), float64
        Whether the multipliers between groups were of rank one, whether there were any inside of
        groups, the factor of the multipliers of the traces, and the bound before it was proved.
    """

    upper_value: float
    value: float
    certified: bool
    rigorous: bool
    history: Float64Array


def certify_likelihood(
    X: Array,
    labels: IntArray,
    covariances: Float64Array,
    *,
    log_weights: Array | None = None,
    trace: Trace | str = Trace.GROUP,
    tol: float = 1e-6,
) -> LikelihoodCertificate:
    """Bound the value of every clustering by groups with given covariances.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Rows, n <= 5000.
    labels : ndarray of shape (n,), int
        A partition, from 0 to K - 1, with no group empty; the better, the better the bound.
    covariances : ndarray of shape (K, p, p), float64
        Symmetric and positive definite.
    log_weights : ndarray of shape (K,), default=None
        ``log pi``; None leaves the weights out.
    trace : Trace or str, default="group"
        What the traces of the groups have to be: "group", 1 for each, or "total", K for all.
    tol : float, default=1e-6
        Gap for each row up to which the partition counts as certified.

    Returns
    -------
    certificate : LikelihoodCertificate
        A bound that is true for any partition it is built from.

    Raises
    ------
    ValueError
        For too many rows, wrong shapes, NaN or infinity, labels out of range, groups without rows,
        covariances that are not positive definite, and distances that leave float64.
    ArithmeticError
        For a bound below the value of the partition: an error of this library.

    Notes
    -----
    For any vector a and any ``N_k >= 0``, weak duality gives ``sum_k <A_k, Z_k> <= 1'a + sum_k
    l_k``, l_k the largest eigenvalue of ``S_k = A_k + N_k - (a 1' + 1 a') / 2``, and for one trace
    K times the largest of all instead of their sum. With the scores ``q_k(i) = -log|S_k| + 2 log
    pi_k - (x_i - m_k)' S_k^-1 (x_i - m_k)``, ``a_i = q_k(i) - t_k / n_k`` makes the indicator of
    group k an eigenvector of S_k for t_k on the rows of the group, and 1'a plus all t_k the value
    of the partition. Between two groups, N_k is either of rank one and makes the sums of S_k 0, or
    removes all negative entries, and it may be positive inside of other groups; the t_k are
    searched along a line, and the best bound counts.

    The rows whitened by each covariance, in float64, are what the bound is true for. About 10 K
    extreme eigenvalues of n x n matrices and K Cholesky factorisations: O(K n^3) time, 24 n^2
    bytes.

    References
    ----------
    .. [1] Y. Zhuang, X. Chen, Y. Yang, "Likelihood adjusted semidefinite programs for clustering
       heterogeneous data", International Conference on Machine Learning, 2023 (the program).

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import certify_likelihood
    >>> X = np.array([[0.0], [1.0], [20.0], [24.0]])
    >>> covariances = np.array([[[0.25]], [[4.0]]])
    >>> certify_likelihood(X, [0, 0, 1, 1], covariances).certified
    True
    """
    X = as_matrix("X", X)
    if len(X) > _MOST_ROWS:
        raise ValueError(f"X may have at most {_MOST_ROWS} rows here, got {len(X)}")
    check_finite("X", X)
    factors, offsets = _checked_covariances(covariances, X.shape[1])
    if log_weights is not None:
        offsets = offsets + 2.0 * as_vector("log_weights", log_weights, len(factors))
    labels = checked_partition(labels, len(X), len(factors))
    tol = checked_real("tol", tol, low=0.0)
    dual = _Dual(X, labels, factors, offsets, checked_member("trace", trace, Trace))
    best, tried = _best_multipliers(dual, X, factors, offsets)
    upper = dual.proved(*best)
    scale = abs(dual.value) + dual.size
    if upper < dual.value - _SLACK * scale:
        raise ArithmeticError(
            f"the bound {upper!r} is below the value {dual.value!r} of the given partition; "
            "this is an error of the library, please report it"
        )
    certified = bool(upper - dual.value <= tol * len(X))
    return LikelihoodCertificate(
        float(max(upper, dual.value)), dual.value, certified, True, np.array(tried)
    )


def _checked_covariances(covariances, n_features):
    """Cholesky factors, and ``-log|S_k|`` of every group."""
    covariances = as_numeric("covariances", covariances).astype(np.float64)
    wanted = f"(n_groups, {n_features}, {n_features})"
    if (
        covariances.ndim != 3
        or covariances.shape[1:] != (n_features, n_features)
        or not len(covariances)
    ):
        raise ValueError(f"covariances must have shape {wanted}, got {covariances.shape}")
    check_finite("covariances", covariances)
    factors = np.empty_like(covariances)
    for k, covariance in enumerate(covariances):
        if not np.allclose(covariance, covariance.T, rtol=1e-8, atol=0.0):
            raise ValueError(f"covariances must be symmetric, got that of group {k} otherwise")
        try:
            factors[k] = cholesky(covariance, lower=True)
        except LinAlgError:
            raise ValueError(
                f"covariances must be positive definite, got that of group {k} otherwise"
            ) from None
    log_determinants = 2.0 * np.log(np.einsum("kii->ki", factors)).sum(axis=1)
    return factors, -log_determinants


def _refuse_far_rows(farthest):
    if not farthest < _FARTHEST:
        raise ValueError(
            "covariances and the spread of the rows of X differ by too many orders of magnitude "
            f"for float64: squared distances reach {farthest:.3g}; check the units of both"
        )


class _Kind(NamedTuple):
    """How multipliers N_k >= 0 are chosen.

    Attributes
    ----------
    is_product : bool
        Between two groups, of rank one, such that both sums of the slack are 0; else they remove
        its negative entries.
    is_raised : bool
        Inside another group than k, as large as keeps the slack of k at most that of the other
        group; else 0.
    """

    is_product: bool
    is_raised: bool


_KINDS = [_Kind(a, b) for a in (True, False) for b in (False, True)]


class _Dual:
    """Slack matrices of one partition as functions of the multipliers of the traces."""

    def __init__(self, X, labels, factors, offsets, trace):
        self.labels, self.trace, self.offsets = labels, trace, offsets
        self.n_groups = len(factors)
        self.members = [np.flatnonzero(labels == k) for k in range(self.n_groups)]
        self.sizes = np.array([len(rows) for rows in self.members])
        rows = X.astype(np.float64)
        self.whitened, self.squares = [], []
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is too far
            for k, factor in enumerate(factors):
                # A_k has differences of rows alone: any origin will do, and this one is near.
                deviations = rows - rows[labels == k].mean(axis=0)
                y = solve_triangular(factor, deviations.T, lower=True, check_finite=False).T
                self.whitened.append(y)
                self.squares.append(np.square(y).sum(axis=1))
        _refuse_far_rows(float(np.max(self.squares)))
        own = np.arange(len(rows))
        scores = offsets[:, None] - np.array(self.squares)
        self.scores = scores[labels, own]
        self.value = float(self.scores.sum())
        self.size = float(np.abs(self.scores).sum())
        scatters = [np.linalg.norm(y[labels == k], 2) ** 2 for k, y in enumerate(self.whitened)]
        # Inside of another group, the diagonal of a slack exceeds the group's own by up to the
        # difference of the offsets; and one row has no scatter, but a trace.
        self._levels = np.array(scatters) + float(np.ptp(offsets)) + _LEAST_LEVEL
        self._common = np.full(self.n_groups, max(self._levels))
        if trace is Trace.GROUP:
            # Where covariances are alike, slacks also have the eigenvalues of other groups.
            self._levels = np.array(self.eigenvalues(1.0, _KINDS[0])[0])

    def alpha(self, factor, kind):
        """The multiplier of the sums of rows, and the sum of its entries."""
        is_common = kind.is_raised or self.trace is Trace.TOTAL
        shares = factor * (self._common if is_common else self._levels) / self.sizes
        alpha = self.scores - shares[self.labels]
        return alpha, float(alpha.sum())

    def slack(self, k, alpha, kind):
        """S_k, and a bound of the norm of its rounding errors."""
        S, error = self._without_multipliers(k, alpha, slice(None))
        for a, rows in enumerate(self.members):
            for b in range(a):
                here, there = np.ix_(rows, self.members[b]), np.ix_(self.members[b], rows)
                S[here] = _cancelled(S[here], kind)
                S[there] = S[here].T
            if kind.is_raised and a != k:
                own, own_error = self._without_multipliers(a, alpha, rows)
                S[np.ix_(rows, rows)] = _raised(S[np.ix_(rows, rows)], own)
                error += own_error
        return S, error

    def _without_multipliers(self, k, alpha, rows):
        """``A_k - (a 1' + 1 a') / 2`` on some rows, and a bound of its rounding errors."""
        y, alpha = self.whitened[k][rows], alpha[rows]
        squares = self.squares[k][rows]
        half = 0.5 * (squares + alpha - self.offsets[k])
        S = y @ y.T
        S -= half[:, None]
        S -= half
        n, p = y.shape
        terms = float(squares.sum()) + 2.0 * np.sqrt(n) * float(np.linalg.norm(half))
        # Errors of offsets and alpha come in through their magnitudes.
        terms += 2.0 * n * (abs(self.offsets[k]) + float(np.abs(alpha).max()))
        return S, dot_error(p + 8) * terms

    def combined(self, eigenvalues):
        """What the traces make of the largest eigenvalues of the groups."""
        if self.trace is Trace.GROUP:
            return float(sum(eigenvalues))
        return self.n_groups * float(max(eigenvalues))

    def eigenvalues(self, factor, kind):
        """The largest one of every slack, as an eigensolver sees it, and the sum of alpha."""
        alpha, total = self.alpha(factor, kind)
        slacks = (self.slack(k, alpha, kind)[0] for k in range(self.n_groups))
        return [float(_top_pairs(S)[0][0]) for S in slacks], total

    def estimated(self, factor, kind):
        """The bound, not proved."""
        values, total = self.eigenvalues(factor, kind)
        return total + self.combined(values)

    def proved(self, factor, kind):
        """The bound, rounded upwards."""
        alpha, total = self.alpha(factor, kind)
        bounds = []
        for k in range(self.n_groups):
            S, error = self.slack(k, alpha, kind)
            vectors = _top_pairs(S)[1]
            bounds.append(proved_top_sum(S, 1, vectors, error=error))
        size = float(np.abs(alpha).sum()) + sum(bounds) + self.size
        return total + self.combined(bounds) + (dot_error(len(alpha)) + 8.0 * UNIT) * size


def _cancelled(block, kind):
    """A slack between two groups, plus multipliers."""
    if not kind.is_product:
        return np.maximum(block, 0.0)
    u = np.maximum(-block.sum(axis=1), 0.0)
    v = np.maximum(-block.sum(axis=0), 0.0)
    if not (u.any() and v.any()):
        return block
    return block + np.outer(u, v) / np.sqrt(u.sum() * v.sum())


def _raised(block, own):
    """The slack of another group, plus multipliers that make it the group's own, less a constant.

    Entries that are above that anyway would make the eigenvalue of ones too large; the constant
    brings the sum of all entries down to a part of that of the own slack.
    """
    diagonal = block.diagonal().copy()
    wanted = _SHARE * float(own.sum()) - float(diagonal.sum())
    low, high = 0.0, float(np.abs(own - block).max())
    for _ in range(_N_BISECTIONS):
        middle = 0.5 * (low + high)
        raised = np.maximum(block, own - middle)
        if float(raised.sum()) - float(raised.diagonal().sum()) > wanted:
            low = middle
        else:
            high = middle
    raised = np.maximum(block, own - high)
    np.fill_diagonal(raised, diagonal)
    return raised


def _top_pairs(matrix):
    """At least two of the largest eigenvalues, descending, and their vectors."""
    n = len(matrix)
    if n > _DENSE_ROWS:
        start = np.random.default_rng(n).standard_normal(n)
        try:
            values, vectors = eigsh(matrix, k=3, which="LA", v0=start, tol=1e-9, maxiter=300)
            order = np.argsort(-values)
            return values[order], vectors[:, order]
        except ArpackError:
            pass
    return largest_pairs(matrix, 2)


def _best_multipliers(dual, X, factors, offsets):
    """Factor and kind of the best bound, and all that was tried: kind, factor and bound.

    Kinds are searched on every few rows of each group, and compared on all rows.
    """
    step = -(-len(X) // _SEARCH_ROWS)
    rows = np.sort(np.concatenate([members[::step] for members in dual.members]))
    sample = dual if step == 1 else _Dual(X[rows], dual.labels[rows], factors, offsets, dual.trace)
    searches = []
    for kind in _KINDS:
        factor = _Search(sample, kind).best(_FIRST_FACTORS)
        searches.append(_Search(dual, kind, factor))
    best = min(searches, key=lambda search: search.value(search.start))
    factor = best.best((best.start / _STEP, best.start, best.start * _STEP))
    tried = [(*s.kind, *pair) for s in searches for pair in sorted(s.values.items())]
    return (factor, best.kind), tried


class _Search:
    """The bound as a function of one factor of all multipliers of the traces."""

    def __init__(self, dual, kind, start=1.0):
        self.dual, self.kind, self.start, self.values = dual, kind, start, {}
        self._tight = dual.value + 1e-10 * (abs(dual.value) + dual.size)

    def value(self, factor):
        if factor not in self.values:
            self.values[factor] = self.dual.estimated(factor, self.kind)
        return self.values[factor]

    def best(self, bracket):
        """The best factor that is found from three of growing size."""
        low, middle, high = bracket
        is_done = self.value(middle) <= self._tight
        while not is_done and high < _LARGEST_FACTOR and self.value(high) < self.value(middle):
            low, middle, high = middle, high, _STEP * high
            is_done = self.value(middle) <= self._tight
        for _ in range(0 if is_done else _N_REFINEMENTS):
            is_right = high - middle > middle - low
            probe = middle + _GOLDEN * ((high - middle) if is_right else (low - middle))
            if self.value(probe) < self.value(middle):
                low, high = (middle, high) if is_right else (low, middle)
                middle = probe
            elif is_right:
                high = probe
            else:
                low = probe
        return min(self.values, key=self.values.get)
