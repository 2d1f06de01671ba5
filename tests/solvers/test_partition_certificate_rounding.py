"""What a proof adds for rounding: it covers wrong margins, and is the sum that it says."""

import itertools

import numpy as np
import pytest

from clusterlib.solvers.partition_certificate import _Attempts
from clusterlib.solvers.partition_geometry import checked_geometry
from tests.solvers.test_partition_certificate import balls, dense_eigenvalue, plain_geometry


def test_certificates_hold_when_margins_are_wrong():
    """The bound with a margin error covers matrices whose margins are off by that much."""
    X, labels = balls(60, 4, 3, 13.0)
    geometry = checked_geometry(X, labels)
    attempts = _Attempts(geometry)
    z = 0.7 * float((geometry.smallest_margins / geometry.inverse_sizes).min())
    rng = np.random.default_rng(0)
    sorted_labels = np.sort(labels)
    exact = dense_eigenvalue(geometry.rows, sorted_labels, z)
    plain = attempts._perturbation(z, {})
    assert 0 <= plain < 1e-9 * exact
    error = 1e-3 * geometry.squared_distances.max()
    attempts._margin_error = error
    bound = attempts._perturbation(z, {})
    changes = []
    for shape in ("rows", "clusters"):
        for _ in range(20):
            signs = rng.choice([-1.0, 1.0], size=geometry.margins.shape)
            if shape == "clusters":
                signs = rng.choice([-1.0, 1.0], size=(3, 3))[sorted_labels]
            changes.append(spectral_change(geometry, z, 0.999 * error * signs))
    assert max(changes) <= bound
    assert bound <= 40 * max(changes)
    # It is the sum over pairs of what errors of u, of v and of s do to a product of columns.
    sizes, distances, margins = plain_geometry(geometry.rows, sorted_labels)
    expected = 0.0
    for a, b in itertools.permutations(range(3), 2):
        shrunk = distances[a, b] - z * (1 / sizes[a] + 1 / sizes[b])
        relative, s = 2 * error / shrunk, sizes[a] * sizes[b] * shrunk / 2
        (u, off_u), (v, off_v) = (
            (
                sizes[j] / 2 * np.linalg.norm(margins[sorted_labels == i, j] - distances[i, j]),
                sizes[j] / 2 * np.sqrt(sizes[i]) * error,
            )
            for i, j in ((a, b), (b, a))
        )
        expected += (off_u * v + u * off_v + off_u * off_v + relative * u * v) / s
    np.testing.assert_allclose(bound, expected, rtol=1e-9)


def spectral_change(geometry, z, errors):
    """Norm of what errors of the margins change in N, off the partition."""
    N, changed = (multipliers(geometry, geometry.margins + e, z) for e in (0.0, errors))
    labels = np.repeat(np.arange(geometry.n_clusters), geometry.sizes.astype(int))
    indicators = np.eye(geometry.n_clusters)[labels]
    off = np.eye(len(labels)) - indicators / geometry.sizes @ indicators.T
    return np.abs(np.linalg.eigvalsh(off @ (changed - N) @ off)).max()


def multipliers(geometry, margins, z):
    """N of rank one between clusters, with s from the exact sums."""
    g, N = geometry, np.zeros((len(geometry.rows),) * 2)
    for a, b in itertools.permutations(range(g.n_clusters), 2):
        here, there = slice(*g.starts[a : a + 2]), slice(*g.starts[b : b + 2])
        shift = z * g.inverse_sizes[a, b]
        u = g.sizes[b] / 2 * (margins[here, b] - shift)
        v = g.sizes[a] / 2 * (margins[there, a] - shift)
        N[here, there] = np.outer(u, v) / np.sqrt(u.sum() * v.sum())
    return N


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9, 1.2])
def test_corrected_multipliers_have_a_perturbation_of_their_own(share):
    X, labels = balls(90, 4, 3, 10.0)
    geometry = checked_geometry(X, labels)
    attempts = _Attempts(geometry)
    z = 0.5 * float((geometry.smallest_margins / geometry.inverse_sizes).min())
    attempts._margin_error = error = 1e-9
    plain = attempts._perturbation(z, {})
    assert attempts._perturbation(z, {(0, 1): 0.0}) == plain
    one, other = (attempts._perturbation(z, {(0, 1): t}) - plain for t in (1e-3, 2e-3))
    np.testing.assert_allclose(other, 2 * one, rtol=1e-4)
    assert one > 0
    # Beyond what the strength leaves to rounding, the multipliers might be negative.
    radii = [
        np.linalg.norm(geometry.within(k, geometry.chunks_of(k)[0]), axis=1).max() for k in (0, 1)
    ]
    shrunk = geometry.squared_distances[0, 1] - z * geometry.inverse_sizes[0, 1]
    relative = 2 * error / shrunk + geometry.sum_error
    strength = share * 1e-6 / (20 * radii[0] * radii[1] * 8 * relative)
    assert np.isinf(attempts._perturbation(z, {(0, 1): strength})) == (share > 1)
    # Errors of u, at most its length, times v, and the other way round, and of s.
    sizes = geometry.sizes
    lengths = attempts._lengths_of_columns
    s = sizes[0] * sizes[1] * shrunk / 2
    u, v = (lengths[i, 1 - i] + s / np.sqrt(sizes[i]) for i in (0, 1))
    off_u, off_v = (
        np.sqrt(sizes[i]) * sizes[1 - i] / 2 * error + geometry.sum_error * w
        for i, w in ((0, u), (1, v))
    )
    rounded = off_u * v + u * off_v + off_u * off_v + 2 * error / shrunk * u * v
    least = 1e-3 * 20 * radii[0] * radii[1] * rounded / s
    assert least <= one <= 64 * least
