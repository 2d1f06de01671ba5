"""Sweeps of many small problems beside dense iterations of each, and numbers just inside limits."""

import re

import numpy as np
import pytest

from clusterlib.solvers import sinkhorn_batch
from tests.solvers.dense_sinkhorn import Dense, random_weights


def problems(masses, rho, epsilon, n=6, m=5, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for mass, eps in zip(masses, np.broadcast_to(epsilon, len(masses)), strict=True):
        a, b = mass * random_weights(n, rng), mass * random_weights(m, rng)
        b *= 1.0 if np.isinf(rho).all() else rng.uniform(0.5, 2.0)
        found.append(Dense(rng.uniform(size=(n, m)), a, b, rho, float(eps)))
    return found


def stacked(dense, **options):
    costs, a, b = (np.stack([getattr(one, name) for one in dense]) for name in ("C", "a", "b"))
    epsilon = np.array([one.epsilon for one in dense])
    (rho_a, rho_b) = dense[0].rho
    return sinkhorn_batch(costs, epsilon, a=a, b=b, rho_a=rho_a, rho_b=rho_b, **options)


@pytest.mark.parametrize("max_iter", [1, 2, 5])
@pytest.mark.parametrize("epsilon", [0.1, (0.1, 0.2, 0.1, 0.3)])
@pytest.mark.parametrize("rho", [(np.inf, np.inf), (0.3, np.inf), (np.inf, 0.2), (0.4, 0.3)])
def test_every_sweep_is_that_of_dense_matrices(rho, epsilon, max_iter):
    dense = problems([1.0, 40.0, 0.2, 3.0], rho, epsilon)
    found = stacked(dense, max_iter=max_iter, tol=0.0)
    assert (found.n_iter == max_iter).all()
    for k, one in enumerate(dense):
        g, mass = np.zeros(5), min(one.a.sum(), one.b.sum())
        for _ in range(max_iter):
            f, at, error, _, g = one.step(g)
        assert found.marginal_error[k] == pytest.approx(error / mass, rel=1e-9)
        # The last step of the columns may or may not have been taken with the rows it belongs to.
        plan = one.plan(found.f[k], found.g[k])
        sums = np.abs(plan - one.plan(f, g)).sum(), np.abs(plan - one.plan(f, at)).sum()
        assert min(sums) < 1e-9 * mass


@pytest.mark.parametrize("tol", [1e-2, 1e-6])
@pytest.mark.parametrize("rho", [(np.inf, np.inf), (np.inf, 0.2), (0.4, 0.3)])
def test_problems_stop_one_by_one(rho, tol):
    dense = problems([1.0, 40.0, 0.2, 3.0], rho, 0.1)
    found = stacked(dense, tol=tol)
    assert found.converged.all()
    masses = [min(one.a.sum(), one.b.sum()) for one in dense]
    for k, one in enumerate(dense):
        unit = masses[k] if np.isinf(rho).all() else min(masses)
        g, n, error = np.zeros(5), 0, np.inf
        while error > tol * unit:
            _, _, error, _, g = one.step(g)
            n += 1
        assert found.n_iter[k] == n
        assert found.marginal_error[k] == pytest.approx(error / masses[k], rel=1e-6)


def test_a_start_is_used_and_left_alone():
    dense = problems([1.0, 2.0], (np.inf, np.inf), 0.1)
    start = np.random.default_rng(1).uniform(size=(2, 5))
    kept = start.copy()
    found = stacked(dense, g=start, max_iter=1, tol=0.0)
    np.testing.assert_array_equal(start, kept)
    for k, one in enumerate(dense):
        # With weights that are divided by their mass, potentials of the rows are shifted.
        error = one.step(start[k])[2]
        assert found.marginal_error[k] == pytest.approx(error / one.a.sum())


@pytest.mark.parametrize("given", ["a", "b", "both", "none"])
def test_missing_weights_spread_the_mass_of_the_other_side(given):
    dense = problems([1.0, 3.0], (np.inf, np.inf), 0.2)
    a, b, C = (np.stack([getattr(one, name) for one in dense]) for name in ("a", "b", "C"))
    found = sinkhorn_batch(
        C, 0.2, a=a if given in ("a", "both") else None, b=b if given in ("b", "both") else None,
        tol=1e-12,
    )  # fmt: skip
    mass = np.ones(2) if given == "none" else np.array([1.0, 3.0])
    rows = a if given in ("a", "both") else np.repeat(mass[:, None] / 6, 6, axis=1)
    columns = b if given in ("b", "both") else np.repeat(mass[:, None] / 5, 5, axis=1)
    np.testing.assert_allclose(found.plans().sum(axis=2), rows, rtol=1e-10)
    np.testing.assert_allclose(found.plans().sum(axis=1), columns, rtol=1e-10)


def test_shared_sides_of_any_mass():
    C = np.random.default_rng(0).uniform(size=(3, 2, 4))
    found = sinkhorn_batch(C, 0.3, a=[1.0, 5.0], tol=1e-12).plans()
    np.testing.assert_allclose(found.sum(axis=1), np.full((3, 4), 1.5))
    found = sinkhorn_batch(C, 0.3, b=[1.0, 2.0, 3.0, 2.0], tol=1e-12).plans()
    np.testing.assert_allclose(found.sum(axis=2), np.full((3, 2), 4.0))


@pytest.mark.parametrize("scale", [1.0, -50.0, 1e8])
def test_the_smallest_epsilon_goes_with_the_largest_cost(scale):
    C = scale * np.array([[[0.0, 1.0], [0.5, 0.25]]])
    size = abs(scale)
    assert sinkhorn_batch(C, 1.001e-12 * size, max_iter=1).epsilon[0] == 1.001e-12 * size
    with pytest.raises(
        ValueError, match=re.escape(f"least {1e-12 * size:.3g} for costs up to {size:.3g}")
    ):
        sinkhorn_batch(C, 0.999e-12 * size, max_iter=1)


@pytest.mark.parametrize(
    ("size", "narrow"), [(0.99e-12, False), (1.01e-12, True), (0.99e24, True), (1.01e24, False)]
)
def test_narrow_costs_are_widened_outside_of_its_comfort(size, narrow):
    C = np.array([[[0.0, 1.0], [0.5, 0.25]]], dtype=np.float32) * np.float32(size)
    found = sinkhorn_batch(C, 0.1 * size, tol=1e-4)
    assert found.costs.dtype == (np.float32 if narrow else np.float64)
    assert found.converged.all()
    assert sinkhorn_batch(np.zeros((1, 2, 2), np.float32), 1.0).costs.dtype == np.float32
    assert sinkhorn_batch(np.zeros((1, 2, 2), np.int8), 1.0).costs.dtype == np.float64


def test_refusals_beside_the_limits():
    C = np.ones((3, 2, 4))
    for bad in (np.ones((3, 2)), np.ones((1, 3, 2, 4)), np.ones((3, 2, 0))):
        with pytest.raises(ValueError, match=r"costs must have shape \(B, n, m\)"):
            sinkhorn_batch(bad, 1.0)
    for bad in (np.ones((3, 3)), np.full((3, 4), np.nan)):
        with pytest.raises(ValueError, match=r"g must hold finite potentials of shape \(3, 4\)"):
            sinkhorn_batch(C, 1.0, g=bad)
    with pytest.raises(ValueError, match="b must hold one side, or one for each of the 3"):
        sinkhorn_batch(C, 1.0, b=np.ones((2, 4)))
    with pytest.raises(ValueError, match="max_iter must be from 1"):
        sinkhorn_batch(C, 1.0, max_iter=0)
    found = sinkhorn_batch(C, 1.0, max_iter=1)
    for bad in (np.ones(4), np.ones((1, 1, 4, 2)), np.ones((2, 4, 2)), np.ones((3, 5, 2))):
        with pytest.raises(ValueError, match=r"values must have shape \(3, 4, q\) or \(4, q\)"):
            found.barycentric_maps(bad)
    assert repr(found) == (
        "SinkhornBatchResult(shape=(3, 2, 4), n_converged=3, "
        f"largest_error={found.marginal_error.max():.2g})"
    )
