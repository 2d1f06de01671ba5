"""Alternating directions for the dual of the relaxation, beside plain ones on whole matrices."""

import numpy as np
import pytest
from scipy.optimize import brentq

from clusterlib.solvers.sdp_dual import project_spectrum, solve_dual


def projected(values, total):
    """``min(1, max(0, values - t))`` with the t that a root finder gives."""

    def surplus(t):
        return np.clip(values - t, 0.0, 1.0).sum() - total

    low, high = values.min() - 1.0, values.max()
    if surplus(low) <= 0 or surplus(high) >= 0:
        return np.clip(values - (low if surplus(low) <= 0 else high), 0.0, 1.0)
    return np.clip(values - brentq(surplus, low, high, xtol=1e-14), 0.0, 1.0)


@pytest.mark.parametrize("total", [0, 1, 2, 5, 8, 9])
@pytest.mark.parametrize("spread", [0.2, 1.0, 5.0])
def test_spectra_are_projected_as_a_root_finder_says(spread, total):
    values = spread * np.random.default_rng(total).normal(size=9)
    found = project_spectrum(values, total)
    assert found.sum() == pytest.approx(total)
    np.testing.assert_allclose(found, projected(values, total), atol=1e-9)


@pytest.mark.parametrize(
    ("values", "total", "expected"),
    [
        ([3.0, 3.0], 1, [0.5, 0.5]),
        ([2.0, 0.9, 0.2], 1, [1.0, 0.0, 0.0]),
        ([1.0, 0.5], 1, [0.75, 0.25]),
        ([0.0, 0.0, 0.0, 0.0], 3, [0.75] * 4),
        ([-4.0, 7.0], 2, [1.0, 1.0]),
    ],
)
def test_spectra_projected_by_hand(values, total, expected):
    np.testing.assert_allclose(project_spectrum(np.array(values), total), expected, atol=1e-15)


class Plain:
    """The iteration on whole matrices: T, its absolute values and N, written out."""

    def __init__(self, rows, start, n_clusters, rng):
        self.n, self.K, self.rng = len(rows), n_clusters, rng
        A = rows @ rows.T
        self.unit = np.linalg.norm(rows, 2) ** 2
        self.A, self.rho, self.T = A / self.unit, 2.0, start @ start.T
        self.center = np.eye(self.n) - 1.0 / self.n
        width = 24 + 2 * n_clusters
        self.dense = self.n <= 100 or width > self.n // 3
        if not self.dense:
            given = np.concatenate([start, rows / np.sqrt(self.unit)], axis=1)[:, : width // 2]
            self.V = self.widened(given, width)
            for _ in range(3):
                self.V = np.linalg.qr(self.matrix() @ self.V)[0]

    def widened(self, vectors, width):
        more = self.rng.standard_normal((self.n, width - vectors.shape[1]))
        return np.linalg.qr(self.center @ np.concatenate([vectors, more], axis=1))[0]

    def matrix(self):
        return self.center @ (np.abs(self.T) + self.A / self.rho) @ self.center

    def spectrum(self):
        if self.dense:
            values, vectors = np.linalg.eigh(self.matrix())
            self.V = vectors[:, -24:]
        else:
            self.V = np.linalg.qr(self.matrix() @ self.V)[0]
            values, turn = np.linalg.eigh(self.V.T @ self.matrix() @ self.V)
            self.V = vectors = self.V @ turn
        kept = projected(values, self.K - 1)
        if not self.dense and (kept > 0).sum() > 0.6 * len(kept):
            width = len(kept) * 3 // 2
            self.dense = width > self.n // 3
            if not self.dense:
                self.V = self.widened(self.V, width)
        self.seen = vectors[:, kept > 1e-12]
        self.Z = (vectors * kept) @ vectors.T + 1.0 / self.n

    def step(self):
        before = np.maximum(self.T, 0)
        self.T = self.T + 1.6 * (self.Z - before)
        Y = np.maximum(self.T, 0)
        norm = np.linalg.norm
        self.norms = norm(self.Z - Y), norm(Y - before), norm(Y), norm(Y - self.T)

    def look(self):
        """Objective, estimated bound and residual."""
        N = -self.rho * np.minimum(self.T, 0)
        values = np.linalg.eigvalsh(self.seen.T @ (self.A + N) @ self.seen)
        top = np.maximum(np.sort(values)[::-1][: self.K - 1], 0).sum()
        bound = (top + N.sum() / self.n) * self.unit
        return (self.A * self.Z).sum() * self.unit, bound, self.norms[0] / self.norms[2]

    def balance(self):
        primal = self.norms[0] / np.sqrt(self.norms[2])
        dual = self.norms[1] / np.sqrt(self.norms[3])
        factor = 1.3 if primal > 2 * dual else 1 / 1.3 if dual > 2 * primal else 1.0
        self.rho *= factor
        self.T = np.where(self.T < 0, self.T / factor, self.T)

    def run(self, tol, max_iter, prove):
        history, bounds, converged, n = [], [], False, 0
        self.spectrum()
        while n < max_iter and not converged:
            n += 1
            self.step()
            is_proved = False
            if n % 10 == 0 or n == max_iter:
                objective, bound, residual = self.look()
                history.append((n, objective, bound, residual))
                if abs(bound - objective) <= tol / 4 and residual <= 2e-4:
                    bounds.append(prove(-self.unit * self.rho * np.minimum(self.T, 0), self.V))
                    is_proved, converged = True, min(bounds) - objective <= tol
                if n > 10:
                    self.balance()
            if not converged:
                self.spectrum()
        if not is_proved:
            bounds.append(prove(-self.unit * self.rho * np.minimum(self.T, 0), self.V))
        return min(bounds), n, converged, np.array(history)


def problem(n=40, p=3, n_clusters=3, apart=2.0, scale=1.0, seed=0):
    rng = np.random.default_rng(seed)
    cluster = np.arange(n) % n_clusters
    rows = apart * rng.normal(size=(n_clusters, p))[cluster] + rng.normal(size=(n, p))
    start = np.eye(n_clusters)[cluster] / np.sqrt(np.bincount(cluster))
    rows = scale * (rows - rows.mean(axis=0))
    # Signs of both kinds, so that |T| has no more directions of no size at all.
    return rows, n_clusters, start + 0.1 * rng.normal(size=start.shape)


class Prover:
    """A true bound from all eigenvalues; remembers what it was asked."""

    def __init__(self, rows, n_clusters):
        self.rows, self.K, self.asked = rows, n_clusters, []

    def __call__(self, N, vectors):
        self.asked.append((N.copy(), vectors.copy()))
        center = np.eye(len(N)) - 1.0 / len(N)
        values = np.linalg.eigvalsh(center @ (self.rows @ self.rows.T + N) @ center)
        return np.maximum(values[::-1][: self.K - 1], 0).sum() + N.sum() / len(N)


def both(given, tol, max_iter):
    rows, n_clusters, start = given
    provers = [Prover(rows, n_clusters) for _ in range(2)]
    plain = Plain(rows, start, n_clusters, np.random.default_rng(7))
    expected = plain.run(tol, max_iter, provers[1])
    found = solve_dual(
        rows, n_clusters, start, provers[0], tol=tol, max_iter=max_iter, dtype=np.float64,
        rng=np.random.default_rng(7),
    )  # fmt: skip
    assert len(provers[0].asked) == len(provers[1].asked)
    for (N, vectors), (M, others) in zip(*(prover.asked for prover in provers), strict=True):
        np.testing.assert_allclose(N, M, atol=1e-6 * np.abs(M).max())
        np.testing.assert_allclose(np.abs(N - N.T).max(), 0, atol=1e-12 * np.abs(N).max())
        np.testing.assert_allclose(vectors @ vectors.T, others @ others.T, atol=1e-4)
    return found, expected


CASES = {
    "apart": {},
    "overlapping": {"apart": 0.7, "seed": 1},
    "scaled": {"scale": 1000.0, "apart": 1.0, "seed": 2},
    "many": {"n": 60, "p": 8, "n_clusters": 12, "apart": 1.0, "seed": 3},
    "few vectors": {"n": 120, "apart": 1.5, "seed": 4},
    "more vectors": {"n": 160, "p": 20, "apart": 0.3, "seed": 5},
    "tiles": {"n": 300, "p": 6, "n_clusters": 4, "apart": 0.8, "seed": 6},
}


@pytest.mark.parametrize("max_iter", [1, 7, 10, 13, 45])
@pytest.mark.parametrize("case", CASES)
def test_every_look_is_that_of_whole_matrices(case, max_iter):
    given = problem(**CASES[case])
    found, (bound, n_iter, converged, history) = both(given, 1e-9, max_iter)
    assert found.n_iter == n_iter == max_iter
    assert not found.converged
    assert not converged
    assert not found.interrupted
    np.testing.assert_allclose(found.history, history, rtol=1e-5)
    assert found.bound == pytest.approx(bound, rel=1e-6)
    assert found.objective == history[-1, 1] or found.objective == pytest.approx(history[-1, 1])


@pytest.mark.parametrize("case", ["apart", "scaled", "few vectors"])
@pytest.mark.parametrize("part", [1e-2, 1e-4])
def test_it_ends_when_a_proved_bound_meets_the_objective(case, part):
    rows, *given = problem(**CASES[case])
    tol = part * np.square(rows).sum()
    found, (bound, n_iter, converged, history) = both((rows, *given), tol, 800)
    assert found.converged
    assert converged
    assert found.n_iter == n_iter
    assert found.bound == pytest.approx(bound, rel=1e-6)
    assert 0 < len(history) == len(found.history)
    assert found.bound - found.objective <= tol


def test_narrow_matrices_say_nearly_the_same():
    rows, n_clusters, start = problem(**CASES["few vectors"])
    found = [
        solve_dual(
            rows, n_clusters, start, Prover(rows, n_clusters), tol=1e-9, max_iter=30, dtype=dtype,
            rng=np.random.default_rng(7),
        )
        for dtype in (np.float32, np.float64)
    ]  # fmt: skip
    np.testing.assert_allclose(found[0].history, found[1].history, rtol=2e-2)
    assert found[0].history.dtype == np.float64
    assert found[0].bound == pytest.approx(found[1].bound, rel=1e-4)


@pytest.mark.parametrize("stop", [1, 2])
def test_a_callback_ends_it_with_a_proof(stop):
    rows, n_clusters, start = problem()
    seen = []
    prover = Prover(rows, n_clusters)
    found = solve_dual(
        rows, n_clusters, start, prover, tol=1e-12, max_iter=99, dtype=np.float64,
        rng=np.random.default_rng(0), callback=lambda *look: seen.append(look) or len(seen) == stop,
    )  # fmt: skip
    assert found.n_iter == 10 * stop
    assert len(prover.asked) == 1
    assert not found.interrupted
    np.testing.assert_array_equal(found.history, seen)


def test_an_interrupt_keeps_the_bound_so_far(caplog):
    rows, n_clusters, start = problem()

    def callback(*look):
        raise KeyboardInterrupt

    prover = Prover(rows, n_clusters)
    with caplog.at_level("INFO", logger="clusterlib"):
        found = solve_dual(
            rows, n_clusters, start, prover, tol=1e-12, max_iter=99, dtype=np.float64,
            rng=np.random.default_rng(0), callback=callback,
        )  # fmt: skip
    assert found.interrupted
    assert not found.converged
    assert found.n_iter == 10
    assert len(found.history) == 1
    assert found.bound == prover(*prover.asked[0])
    assert "after 10 iterations" in caplog.text
