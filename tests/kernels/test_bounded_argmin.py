"""bounded_argmin: the labels of pairwise_argmin at every step, and bounds that hold."""

import numpy as np
import pytest

from clusterlib.kernels import BOUND_GROUPS, bounded_argmin, pairwise_argmin, pairwise_distances
from tests.helpers import DTYPES


def clustered(rng, n, d, k, offset=0.0):
    centers = 4 * rng.standard_normal((k, d))
    return centers[rng.integers(0, k, n)] + rng.standard_normal((n, d)) + offset


DATA = {
    "one_feature": lambda rng: clustered(rng, 3000, 1, 40),
    "few_centers": lambda rng: clustered(rng, 3000, 17, 5),
    "many_centers": lambda rng: clustered(rng, 5000, 8, 300),
    "offset": lambda rng: clustered(rng, 3000, 64, 100, offset=1e3),
    "integers": lambda rng: np.round(clustered(rng, 3000, 6, 64)),
    "unstructured": lambda rng: rng.standard_normal((3000, 20)),
    "far_row": lambda rng: np.concatenate([[[1e18] * 9], clustered(rng, 3000, 9, 50)]),
}


class State:
    def __init__(self, n, k):
        self.labels = np.zeros(n, dtype=np.int32)
        self.upper = np.full(n, np.inf, dtype=np.float32)
        self.lower = np.zeros((n, BOUND_GROUPS), dtype=np.float32)
        self.moves = np.zeros(k, dtype=np.float32)

    def step(self, X, centers, **options):
        return bounded_argmin(
            X, centers, self.moves, self.labels, self.upper, self.lower, **options
        )

    def move(self, centers, moved):
        move = np.sqrt(np.square(moved.astype(np.float64) - centers).sum(axis=1))
        self.moves = np.nextafter((move * (1 + 1e-6)).astype(np.float32), np.float32(np.inf))


def means(X, labels, centers):
    moved = centers.copy()
    for j in np.unique(labels):
        moved[j] = X[labels == j].astype(np.float64).mean(axis=0)
    return moved


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", DATA)
def test_labels_stay_exact_while_centers_move(fast_backend, name, dtype, layout):
    rng = np.random.default_rng(5)
    X = layout(DATA[name](rng).astype(dtype))
    k = 5 if name == "few_centers" else 60
    centers = np.ascontiguousarray(X[rng.choice(len(X), k, replace=False)])
    state = State(len(X), k)
    for t in range(12):
        state.step(X, centers, sample=t == 1, n_threads=1 + t % 3, backend=fast_backend)
        assert np.array_equal(state.labels, pairwise_argmin(X, centers, backend=fast_backend)), t
        moved = means(X, state.labels, centers)
        if t == 4:  # beyond what the screen keeps in its bound
            moved[-1] = 1e4
        if t == 8:  # a relocated centre jumps
            moved[3] = X[0]
        state.move(centers, moved)
        centers = moved


@pytest.mark.parametrize("dtype", DTYPES)
def test_bounds_hold(fast_backend, dtype):
    rng = np.random.default_rng(7)
    X = clustered(rng, 2000, 12, 40).astype(dtype)
    centers = X[:50].copy()
    state = State(len(X), 50)
    state.step(X, centers, backend=fast_backend)
    distances = pairwise_distances(
        X.astype(np.float64), centers.astype(np.float64), metric="euclidean", backend="reference"
    )
    rows = np.arange(len(X))
    own = distances[rows, state.labels]
    assert np.all(own <= state.upper)
    distances[rows, state.labels] = np.inf
    # Every other centre belongs to some group, so the least bound is below the nearest of them.
    assert np.all(state.lower.min(axis=1) <= distances.min(axis=1))


def test_bounds_keep_rows_that_are_settled(native_backend):
    rng = np.random.default_rng(3)
    X = clustered(rng, 20_000, 16, 50).astype(np.float32)
    labels = pairwise_argmin(X, X[:50])
    centers = means(X, labels, X[:50])
    state = State(len(X), 50)
    assert state.step(X, centers) == (0, 0)
    bounded, kept = state.step(X, centers)  # nothing has moved
    assert bounded == len(X) and kept > 0.9 * len(X)
    sampled = State(len(X), 50)
    sampled.step(X, centers, sample=True)
    bounded, kept = sampled.step(X, centers, sample=True)
    assert 0 < bounded < len(X) / 8 and kept > 0.9 * bounded


def test_rows_that_are_not_finite_are_refused(backend):
    X = np.zeros((100, 3))
    X[7, 1] = np.nan
    with pytest.raises(ValueError, match="X contains NaN or infinity"):
        State(100, 40).step(X, np.eye(40, 3), backend=backend)


@pytest.mark.parametrize("dtype", DTYPES)
def test_repeated_centers_that_part(fast_backend, dtype):
    # The bounds of rows must know of a repeat, which is nobody's label until it moves.
    rng = np.random.default_rng(9)
    X = clustered(rng, 2000, 6, 40).astype(dtype)
    centers = np.concatenate([X[:40], X[:40]])
    state = State(len(X), 80)
    for t in range(4):
        state.step(X, centers, backend=fast_backend)
        assert np.array_equal(state.labels, pairwise_argmin(X, centers, backend=fast_backend)), t
        moved = centers.copy()
        moved[40:] += dtype(0.02) * rng.standard_normal((40, 6)).astype(dtype)
        state.move(centers, moved)
        centers = moved


BAD_STATE = {
    "moves": (np.zeros(3, np.float32), np.zeros(2)),
    "labels": (np.zeros(4, np.int64), np.zeros(3, np.int32)),
    "upper": (np.zeros(4), [0.0] * 4),
    "lower": (np.zeros((4, 3), np.float32), np.zeros((4, 2 * BOUND_GROUPS), np.float32)[:, ::2]),
}


@pytest.mark.parametrize("name", BAD_STATE)
def test_a_wrong_state_is_refused_by_name(name):
    for value in BAD_STATE[name]:
        state = State(4, 2)
        setattr(state, name, value)
        with pytest.raises(ValueError, match=f"^{name} must be"):
            state.step(np.ones((4, 2)), np.eye(2))


def test_labels_that_are_no_centers_are_refused(native_backend):
    state = State(4, 2)
    state.labels[2] = 2
    with pytest.raises(ValueError, match="labels must be rows of the centers"):
        state.step(np.ones((4, 2)), np.eye(2))


@pytest.mark.parametrize("centers", [np.eye(2, 3), np.eye(2, dtype=np.float32), np.empty((0, 2))])
def test_wrong_centers_are_refused(centers):
    with pytest.raises(ValueError, match=r"centers must have shape \(k, 2\), k >= 1"):
        State(4, len(centers)).step(np.ones((4, 2)), centers)
