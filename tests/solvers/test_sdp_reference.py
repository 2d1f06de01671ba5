"""The written-down semidefinite programs against likelihoods, enumeration and closed forms."""

import itertools
import sys

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from clusterlib.datasets import make_heterogeneous_mixture, make_separated_mixture
from clusterlib.solvers import (
    likelihood_gram,
    likelihood_reference_rows,
    solve_likelihood_sdp_reference,
    solve_sdp_reference,
)


@pytest.fixture
def needs_cvxpy():
    pytest.importorskip("cvxpy")


def random_problem(seed, n=40, p=3, n_groups=3):
    """Rows far from the origin, covariances, shares, and labels that use every group."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n_groups, p, p))
    covariances = factors @ factors.transpose(0, 2, 1) + 0.1 * np.eye(p)
    labels = rng.permutation(np.arange(n) % n_groups)
    X = rng.normal(size=(n, p)) + 3 * labels[:, None] - 50
    return X, covariances, np.log(rng.dirichlet(np.full(n_groups, 4.0))), labels


def indicators(labels, n_groups):
    """Z_k = 1 1' / n_k on the rows of group k."""
    members = (labels == np.arange(n_groups)[:, None]).astype(np.float64)
    sizes = np.maximum(members.sum(axis=1), 1)
    return members[:, :, None] * members[:, None, :] / sizes[:, None, None]


def profiled_log_likelihood(X, labels, covariances, log_weights=None):
    """Log-likelihood of labels at the means of the groups, by the densities of scipy."""
    value = 0.0
    for group, covariance in enumerate(covariances):
        rows = X[labels == group]
        if len(rows):
            value += multivariate_normal.logpdf(rows, rows.mean(axis=0), covariance).sum()
            value += 0.0 if log_weights is None else len(rows) * log_weights[group]
    return value


def kmeans_value(X, labels):
    """<A, Z> of a partition: what the centres explain."""
    centred = X - X.mean(axis=0)
    return sum(
        np.sum(centred[labels == label].sum(axis=0) ** 2) / np.sum(labels == label)
        for label in np.unique(labels)
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_lifted_objective_is_the_log_likelihood(seed, weighted):
    X, covariances, log_weights, labels = random_problem(seed)
    log_weights = log_weights if weighted else None
    A = likelihood_gram(X, covariances, log_weights)
    constant = -X.size * np.log(2 * np.pi) / 2
    for tried in (
        labels,
        np.random.default_rng(seed).integers(0, 3, len(X)),
        np.zeros_like(labels),
    ):
        lifted = np.vdot(A, indicators(tried, 3)) / 2 + constant
        expected = profiled_log_likelihood(X, tried, covariances, log_weights)
        assert lifted == pytest.approx(expected, rel=1e-12)


def test_likelihood_gram_is_its_formula():
    X, covariances, log_weights, _ = random_problem(0, n=9)
    A = likelihood_gram(X, covariances, log_weights)
    for group, covariance in enumerate(covariances):
        for i, j in itertools.product(range(9), repeat=2):
            difference = X[i] - X[j]
            expected = -0.5 * difference @ np.linalg.solve(covariance, difference)
            expected += 2 * log_weights[group] - np.linalg.slogdet(covariance)[1]
            assert A[group, i, j] == pytest.approx(expected, rel=1e-11, abs=1e-11)


@pytest.mark.parametrize("seed", range(3))
def test_invariances_of_the_likelihood_gram(seed):
    X, covariances, log_weights, _ = random_problem(seed)
    A = likelihood_gram(X, covariances, log_weights)
    size = np.abs(A).max()
    moved = likelihood_gram(X + np.array([1.0, -7.0, 30.0]), covariances, log_weights)
    np.testing.assert_allclose(moved, A, atol=1e-12 * size)
    T = np.random.default_rng(seed).normal(size=(3, 3)) + 2 * np.eye(3)
    turned = likelihood_gram(X @ T.T, T @ covariances @ T.T, log_weights)
    constant = -2 * np.linalg.slogdet(T)[1]
    np.testing.assert_allclose(turned, A + constant, atol=1e-11 * size)
    order = [2, 0, 1]
    swapped = likelihood_gram(X, covariances[order], log_weights[order])
    np.testing.assert_array_equal(swapped, A[order])


def test_equal_balls_give_the_gram_of_k_means():
    X, _, _, labels = random_problem(1)
    variance = 2.5
    A = likelihood_gram(X, np.repeat(variance * np.eye(3)[None], 3, axis=0))
    Z = indicators(labels, 3)
    centred = X - X.mean(axis=0)
    constant = -np.sum(centred**2) / variance - X.size * np.log(variance)
    expected = np.vdot(centred @ centred.T, Z.sum(axis=0)) / variance + constant
    assert np.vdot(A, Z) == pytest.approx(expected, rel=1e-12)


def test_singular_covariance_has_no_likelihood():
    with pytest.raises(np.linalg.LinAlgError):
        likelihood_gram(np.eye(3), [np.eye(3), np.diag([1.0, 1.0, 0.0])])


def test_largest_numbers_of_rows():
    assert likelihood_reference_rows(3) == 90
    sizes = [n_groups * likelihood_reference_rows(n_groups) ** 2 for n_groups in range(1, 30)]
    assert max(sizes) <= 3 * 90**2 and min(sizes) > 0.9 * 3 * 90**2


@pytest.mark.usefixtures("needs_cvxpy")
class TestSolutions:
    @pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
    def test_separated_balls_are_found(self, scale):
        X, labels = make_separated_mixture(24, 4, n_clusters=3, separation=8, random_state=0)
        result = solve_sdp_reference(scale * X + 3 * scale, 3)
        assert result.converged and result.status == "optimal" and 1 <= result.n_iter <= 50_000
        np.testing.assert_allclose(result.Z, indicators(labels, 3).sum(axis=0), atol=1e-4)
        value = scale**2 * kmeans_value(X, labels)
        assert result.objective == pytest.approx(value, rel=1e-5)
        assert value * (1 - 1e-12) <= result.upper_value <= value * (1 + 1e-5)

    @pytest.mark.parametrize("separation", [1.0, 2.5])
    def test_both_solvers_agree_and_are_feasible(self, separation):
        X, labels = make_separated_mixture(
            20, 3, n_clusters=3, separation=separation, random_state=1
        )
        first, second = (solve_sdp_reference(X, 3, solver=name) for name in ("SCS", "CLARABEL"))
        assert first.objective == pytest.approx(second.objective, rel=1e-5)
        for result in (first, second):
            assert result.feasibility_error <= 1e-4
            np.testing.assert_array_equal(result.Z, result.Z.T)
            assert result.upper_value == pytest.approx(result.objective, rel=1e-4)
            assert result.upper_value >= kmeans_value(X, labels)

    @pytest.mark.parametrize("max_iter", [1, 25, None])
    @pytest.mark.parametrize("seed", range(4))
    def test_no_partition_exceeds_the_bound(self, seed, max_iter):
        """Even that of a solver which was stopped at once, as any multipliers give a bound."""
        X = np.random.default_rng(seed).normal(size=(8, 2))
        result = solve_sdp_reference(X, 3, max_iter=max_iter)
        assert result.converged == (max_iter is None)
        partitions = (np.array((0, *rest)) for rest in itertools.product(range(3), repeat=7))
        best = max(kmeans_value(X, labels) for labels in partitions)
        assert result.upper_value >= best * (1 - 1e-12)

    def test_one_cluster_and_as_many_as_rows(self):
        X = np.random.default_rng(0).normal(size=(6, 2))
        whole = solve_sdp_reference(X, 1)
        np.testing.assert_allclose(whole.Z, 1 / 6, atol=1e-5)
        assert abs(whole.upper_value) <= 1e-4
        apart = solve_sdp_reference(X, 6)
        np.testing.assert_allclose(apart.Z, np.eye(6), atol=1e-4)
        total = np.sum((X - X.mean(axis=0)) ** 2)
        assert apart.objective == pytest.approx(total, rel=1e-4)
        # The only feasible matrix is the identity: no interior, and multipliers without bounds.
        assert total * (1 - 1e-12) <= apart.upper_value <= 1.01 * total

    def test_equal_rows(self):
        result = solve_sdp_reference(np.ones((5, 2)), 2)
        assert result.objective == 0 and abs(result.upper_value) <= 1e-9
        assert result.feasibility_error <= 1e-4

    @pytest.mark.parametrize("trace", ["group", "total"])
    def test_crossed_groups_are_found_with_their_covariances(self, trace):
        mixture = make_heterogeneous_mixture("crossed", 24, random_state=3)
        X = mixture.X + 3 * mixture.means[mixture.labels]
        log_weights = np.log([0.5, 0.3, 0.2])
        result = solve_likelihood_sdp_reference(
            X, mixture.covariances, log_weights=log_weights, trace=trace
        )
        memberships = result.Z.sum(axis=2)
        np.testing.assert_array_equal(memberships.argmax(axis=0), mixture.labels)
        A = likelihood_gram(X, mixture.covariances, log_weights)
        truth = np.vdot(A, indicators(mixture.labels, 3))
        assert result.upper_value >= truth - 1e-9 * abs(truth)
        assert result.objective == pytest.approx(result.upper_value, rel=1e-4)
        assert result.feasibility_error <= 1e-4

    def test_traces_of_groups_are_tighter_than_their_sum(self):
        mixture = make_heterogeneous_mixture("wide_and_tight", 18, random_state=0)
        values, traces = {}, {}
        for trace in ("group", "total"):
            result = solve_likelihood_sdp_reference(mixture.X, mixture.covariances, trace=trace)
            values[trace] = result.upper_value
            traces[trace] = np.trace(result.Z, axis1=1, axis2=2)
        assert values["total"] > values["group"] + 1e-3 * abs(values["group"])
        np.testing.assert_allclose(traces["group"], 1, atol=1e-4)
        assert traces["total"].sum() == pytest.approx(3, abs=1e-4)
        assert np.abs(traces["total"] - 1).max() > 1e-2

    @pytest.mark.parametrize("trace", ["group", "total"])
    def test_no_labels_exceed_the_bound_of_the_likelihood(self, trace):
        X, covariances, log_weights, _ = random_problem(2, n=7, p=2)
        A = likelihood_gram(X, covariances, log_weights)
        best = max(
            np.vdot(A, indicators(np.array(labels), 3))
            for labels in itertools.product(range(3), repeat=7)
            if len(set(labels)) == 3  # an empty group has trace 0
        )
        for max_iter in (1, None):
            result = solve_likelihood_sdp_reference(
                X, covariances, log_weights=log_weights, trace=trace, max_iter=max_iter
            )
            assert result.upper_value >= best - 1e-9 * abs(best)

    def test_equal_balls_reduce_to_k_means(self):
        X, _ = make_separated_mixture(18, 3, n_clusters=3, separation=3, random_state=0)
        variance = 1.7
        covariances = np.repeat(variance * np.eye(3)[None], 3, axis=0)
        alone = solve_sdp_reference(X, 3, tol=1e-7)
        groups = solve_likelihood_sdp_reference(X, covariances, trace="total", tol=1e-7)
        constant = -np.sum((X - X.mean(axis=0)) ** 2) / variance - X.size * np.log(variance)
        assert groups.objective == pytest.approx(alone.objective / variance + constant, rel=1e-5)
        assert groups.upper_value == pytest.approx(
            alone.upper_value / variance + constant, rel=1e-5
        )

    def test_unknown_options_are_refused(self):
        with pytest.raises(ValueError, match="'MOSEK' is not a valid ConicSolver"):
            solve_sdp_reference(np.eye(3), 2, solver="MOSEK")
        with pytest.raises(ValueError, match="'each' is not a valid Trace"):
            solve_likelihood_sdp_reference(np.eye(3), [np.eye(3)], trace="each")


def test_absent_cvxpy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    with pytest.raises(ImportError, match=r'needs cvxpy: .*"clusterlib-native\[cvx\]"'):
        solve_sdp_reference(np.eye(3), 2)
    with pytest.raises(ImportError, match=r'needs cvxpy: .*"clusterlib-native\[cvx\]"'):
        solve_likelihood_sdp_reference(np.eye(3), [np.eye(3)])
