"""The multipliers behind bounds of likelihoods: dense matrices by their definition, and searches."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import brentq
from scipy.sparse.linalg import ArpackError, eigsh

from clusterlib.solvers import Trace, certify_likelihood
from clusterlib.solvers.likelihood_certificate import _KINDS, _Dual, _Search, _top_pairs
from tests.solvers.test_likelihood_certificate import groups


def dense_program(X, covariances, log_weights):
    """The matrices A_k, and the offsets ``-log|S_k| + 2 log pi_k``."""
    offsets = -np.linalg.slogdet(covariances)[1] + 2 * log_weights
    matrices = []
    for covariance, offset in zip(covariances, offsets, strict=True):
        differences = X[:, None] - X
        distances = np.einsum("ijp,pq,ijq->ij", differences, np.linalg.inv(covariance), differences)
        matrices.append(offset - 0.5 * distances)
    return np.array(matrices), offsets


def cancelled(block, is_product):
    if not is_product:
        return np.maximum(block, 0)
    u, v = np.maximum(-block.sum(axis=1), 0), np.maximum(-block.sum(axis=0), 0)
    return block + np.outer(u, v) / np.sqrt(u.sum() * v.sum()) if u.any() and v.any() else block


def raised(block, own):
    """As large as own, less the least constant that leaves half of the sum of own."""
    diagonal = np.diag(block.diagonal())

    def excess(constant):
        found = np.maximum(block, own - constant)
        return found.sum() - found.trace() + diagonal.sum() - own.sum() / 2

    most = np.abs(own - block).max()
    if excess(most) > 0:
        constant = most
    else:
        constant = brentq(excess, 0, most, xtol=1e-13) if excess(0.0) > 0 else 0.0
    found = np.maximum(block, own - constant)
    return found - np.diag(found.diagonal()) + diagonal


class DenseDual:
    """Bounds for one partition from dense matrices."""

    def __init__(self, X, labels, covariances, log_weights, trace):
        self.A, self.offsets = dense_program(X, covariances, log_weights)
        self.labels, self.trace, self.X = labels, trace, X
        self.sizes = np.bincount(labels)
        self.scores, scatters = np.empty(len(X)), []
        for k, covariance in enumerate(covariances):
            rows = labels == k
            y = X[rows] - X[rows].mean(axis=0)
            distances = np.einsum("ip,pq,iq->i", y, np.linalg.inv(covariance), y)
            self.scores[rows] = self.offsets[k] - distances
            root = np.linalg.inv(np.linalg.cholesky(covariance))
            scatters.append(np.linalg.eigvalsh(root @ (y.T @ y) @ root.T)[-1])
        levels = np.array(scatters) + np.ptp(self.offsets) + 1e-3
        self.common = np.full(len(levels), levels.max())
        self.levels = levels
        if trace == "group":
            alpha = self.scores - (levels / self.sizes)[labels]
            self.levels = np.array(self.eigenvalues(alpha, True, False))

    def eigenvalues(self, alpha, is_product, is_raised):
        members = [np.flatnonzero(self.labels == k) for k in range(len(self.A))]
        plain = self.A - (alpha[:, None] + alpha) / 2
        found = []
        for k in range(len(self.A)):
            S = plain[k].copy()
            for a, here in enumerate(members):
                for b, there in enumerate(members):
                    if a > b:
                        block = cancelled(S[np.ix_(here, there)], is_product)
                        S[np.ix_(here, there)], S[np.ix_(there, here)] = block, block.T
                if is_raised and a != k:
                    inside = np.ix_(here, here)
                    S[inside] = raised(S[inside], plain[a][inside])
            found.append(np.linalg.eigvalsh(S)[-1])
        return found

    def bound(self, is_product, is_raised, factor):
        levels = self.common if is_raised or self.trace == "total" else self.levels
        alpha = self.scores - (factor * levels / self.sizes)[self.labels]
        values = self.eigenvalues(alpha, is_product, is_raised)
        top = sum(values) if self.trace == "group" else len(values) * max(values)
        return alpha.sum() + top


@pytest.mark.parametrize("trace", ["group", "total"])
@pytest.mark.parametrize("separation", [3.0, 7.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_bounds_that_were_tried_are_those_of_dense_matrices(trace, separation, weighted):
    X, labels, covariances = groups(40, 3, 3, separation)
    labels = np.where(np.arange(40) < 12, 0, labels)  # unequal sizes, and not the best
    covariances = covariances * np.array([1.0, 0.5, 2.0])[:, None, None]
    log_weights = np.log([0.5, 0.2, 0.3]) if weighted else None
    found = certify_likelihood(X, labels, covariances, log_weights=log_weights, trace=trace)
    given = log_weights if weighted else np.zeros(3)
    dense = DenseDual(X, labels, covariances, given, trace)
    assert {tuple(row[:2]) for row in found.history} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    for is_product, is_raised, factor, bound in found.history:
        expected = dense.bound(bool(is_product), bool(is_raised), factor)
        # The constant of raised multipliers is bisected to a part of 2^-20.
        tolerance = 1e-5 if is_raised else 1e-9
        assert_allclose(bound, expected, atol=tolerance * np.abs(dense.scores).sum())
    lowest = found.history[:, 3].min()
    size = np.abs(found.history[:, 3]).max() + np.abs(dense.scores).sum()
    assert 0 <= found.upper_value - lowest <= 1e-9 * size
    assert_allclose(found.value, dense.scores.sum(), rtol=1e-12)


def test_the_last_factors_are_around_the_best_of_the_first():
    X, labels, covariances = groups(40, 3, 3, 3.0)
    history = certify_likelihood(X, labels, covariances).history
    kinds = {tuple(row[:2]): [] for row in history}
    for *kind, factor, bound in history:
        kinds[tuple(kind)].append((bound, factor))
    counts = sorted(map(len, kinds.values()))
    assert counts[:3] == [1, 1, 1]  # kinds that were not the best are measured once
    assert counts[3] >= 4
    # The winner is the kind that is the best at its first factor.
    winner = next(kind for kind, tried in kinds.items() if len(tried) > 1)
    others = [tried[0][0] for kind, tried in kinds.items() if kind != winner]
    assert min(kinds[winner])[0] <= min(others)


class Curve:
    """A bound that is a function of the factor alone."""

    value, size = 0.0, 1.0

    def __init__(self, function):
        self.function, self.asked = function, []

    def estimated(self, factor, kind):
        self.asked.append(factor)
        return self.function(factor)


def test_a_search_refines_by_golden_sections():
    curve = Curve(lambda factor: abs(factor - 0.9) + 1.0)
    best = _Search(curve, None).best((0.6, 1.0, 1.6))
    right = 1.0 + 0.381966 * 0.6  # the larger side first, and it is no better
    left = 1.0 - 0.381966 * 0.4  # better: then the middle of 0.6 and 1
    last = left - 0.381966 * (left - 0.6)
    assert_allclose(sorted(curve.asked), sorted([1.0, 1.6, right, left, last]), rtol=1e-12)
    assert best == pytest.approx(left)
    curve = Curve(lambda factor: abs(factor - 1.28) + 1.0)
    best = _Search(curve, None).best((0.6, 1.0, 1.6))
    first = 1.0 + 0.381966 * 0.6  # better: then it lies between 1 and 1.6
    second = first + 0.381966 * (1.6 - first)  # worse
    third = first - 0.381966 * (first - 1.0)
    assert_allclose(sorted(curve.asked), sorted([1.0, 1.6, first, second, third]), rtol=1e-12)
    assert best in curve.asked
    assert best == min(curve.asked, key=curve.function)


def test_a_search_goes_up_as_long_as_it_pays():
    curve = Curve(lambda factor: 100.0 - factor)
    best = _Search(curve, None).best((0.6, 1.0, 1.6))
    ladder = [1.0, *(1.6 * 1.5**i for i in range(8))]  # the first above 20 is the last
    assert_allclose(sorted(curve.asked)[: len(ladder) - 1], ladder[:-1], rtol=1e-12)
    assert best == max(curve.asked)
    assert ladder[-1] * 1.5 > max(curve.asked) > ladder[-2]


@pytest.mark.parametrize("excess", [0.5e-10, 2e-10])
def test_a_search_ends_where_the_bound_is_tight(excess):
    curve = Curve(lambda factor: excess)
    curve.value, curve.size = 0.0, 1.0
    _Search(curve, None).best((0.6, 1.0, 1.6))
    assert (len(curve.asked) == 1) == (excess < 1e-10)


def test_many_rows_are_searched_on_every_few(monkeypatch):
    X, labels, covariances = groups(90, 3, 3, 4.0)
    sizes = []
    estimated = _Dual.estimated

    def recorded(dual, factor, kind):
        sizes.append(np.bincount(dual.labels).tolist())
        return estimated(dual, factor, kind)

    monkeypatch.setattr(_Dual, "estimated", recorded)
    monkeypatch.setattr("clusterlib.solvers.likelihood_certificate._SEARCH_ROWS", 31)
    labels = np.where(np.arange(90) < 20, 0, labels)
    found = certify_likelihood(X, labels, covariances)
    first = [-(-int(size) // 3) for size in np.bincount(labels)]
    assert sizes[0] == first
    assert sizes[-1] == np.bincount(labels).tolist()
    at_all_rows = sum(each == sizes[-1] for each in sizes)
    assert at_all_rows == len(found.history)


def test_certified_means_within_the_tolerance():
    X, labels, covariances = groups(40, 3, 3, 3.0)
    gap = np.subtract(*certify_likelihood(X, labels, covariances)[:2]) / 40
    assert gap > 1e-3
    for tol, certified in ((gap * (1 - 1e-9), False), (gap * (1 + 1e-9), True)):
        assert certify_likelihood(X, labels, covariances, tol=tol).certified is certified


@pytest.mark.parametrize("below", [0.5e-9, 2e-9])
def test_a_bound_below_the_value_is_an_error_beyond_rounding(monkeypatch, below):
    X, labels, covariances = groups(40, 3, 3, 12.0)
    value = certify_likelihood(X, labels, covariances).value
    size = np.abs(DenseDual(X, labels, covariances, np.zeros(3), "group").scores).sum()
    bound = value - below * (abs(value) + size)
    monkeypatch.setattr(_Dual, "proved", lambda *_: bound)
    if below > 1e-9:
        with pytest.raises(ArithmeticError, match="below the value"):
            certify_likelihood(X, labels, covariances)
    else:
        assert certify_likelihood(X, labels, covariances).upper_value == value


@pytest.mark.parametrize("square", [0.9e140, 1.1e140])
def test_squared_distances_up_to_a_limit(square):
    X, labels = np.array([[0.0], [0.0], [1.0], [1.0]]) * np.sqrt(square), [0, 0, 1, 1]
    if square > 1e140:
        with pytest.raises(ValueError, match="squared distances reach 1.1e"):
            certify_likelihood(X, labels, np.ones((2, 1, 1)))
    else:
        assert certify_likelihood(X, labels, np.ones((2, 1, 1))).value == 0.0


@pytest.mark.parametrize(("error", "allowed"), [(0.9e-8, True), (1.2e-8, False)])
def test_covariances_may_be_asymmetric_by_rounding(error, allowed):
    covariances = np.array([[[1.0, 0.5], [0.5 * (1 + error), 1.0]]])
    X, labels = np.arange(8.0).reshape(4, 2) ** 2, np.zeros(4, dtype=int)
    if allowed:
        plain = certify_likelihood(X, labels, np.array([[[1.0, 0.5], [0.5, 1.0]]]))
        assert_allclose(certify_likelihood(X, labels, covariances).value, plain.value, rtol=1e-7)
    else:
        with pytest.raises(ValueError, match="symmetric, got that of group 0"):
            certify_likelihood(X, labels, covariances)


def test_history_is_sorted_and_numbers_are_plain():
    X, labels, covariances = groups(30, 2, 2, 3.0)
    found = certify_likelihood(X, labels, covariances)
    winner = [row for row in found.history if (found.history[:, :2] == row[:2]).all(1).sum() > 1]
    assert_array_equal(np.argsort([row[2] for row in winner]), np.arange(len(winner)))
    assert [type(each) for each in found[:4]] == [float, float, bool, bool]


@pytest.mark.parametrize("n", [30, 400, 401])
@pytest.mark.parametrize("fails", [False, True])
def test_top_pairs_are_those_of_a_dense_solver(monkeypatch, n, fails):
    module = "clusterlib.solvers.likelihood_certificate"
    calls = []

    def solver(matrix, **options):
        calls.append(options)
        if fails:
            raise ArpackError(-9)
        return eigsh(matrix, **options)

    monkeypatch.setattr(f"{module}.eigsh", solver)
    rng = np.random.default_rng(0)
    root = rng.normal(size=(n, 6)) * [9.0, 7.0, 5.0, 3.0, 2.0, 1.0]
    matrix = root @ root.T - 0.5 * np.eye(n)
    values, vectors = _top_pairs(matrix)
    exact = np.linalg.eigvalsh(matrix)[::-1]
    assert len(values) >= 2
    assert_allclose(values, exact[: len(values)], rtol=1e-7)
    assert_allclose(matrix @ vectors, vectors * values, atol=1e-5 * exact[0])
    assert len(calls) == (n > 400)


def test_rounding_of_slacks_is_covered():
    X, labels, covariances = groups(40, 3, 3, 5.0)
    X = X + 1e3
    factors = np.linalg.cholesky(covariances)
    offsets = -np.linalg.slogdet(covariances)[1]
    dual = _Dual(X, labels, factors, offsets, Trace.GROUP)
    for kind in _KINDS[::2]:  # without raised multipliers
        alpha, _ = dual.alpha(1.0, kind)
        for k in range(3):
            y = dual.whitened[k].astype(np.longdouble)
            squares = np.square(y).sum(axis=1)
            half = (squares + alpha - offsets[k]) / 2
            exact = y @ y.T - half[:, None] - half
            found, error = dual._without_multipliers(k, alpha, slice(None))
            actual = np.linalg.norm((found - exact).astype(float), 2)
            size = np.linalg.norm(found, 2) + np.abs(alpha).max() * 40
            assert 0 < actual <= error <= 1e-12 * size
            _, raised_error = dual.slack(k, alpha, _KINDS[1])
            others = sum(
                dual._without_multipliers(a, alpha, dual.members[a])[1] for a in range(3) if a != k
            )
            assert_allclose(raised_error, error + others, rtol=1e-12)
