"""Sketch and lift: as good as k-means on all rows, for any carrier, whatever the sketch misses."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.blocks import as_blocks
from clusterlib.config import config_context
from clusterlib.metrics import clustering_accuracy
from clusterlib.solvers import (
    Rounding,
    assign,
    costs_of_assignment,
    default_sketch_size,
    kmeans_plusplus,
    lloyd,
    mean_row,
    sketch_sdp,
    squared_spread,
)
from clusterlib.solvers.sdp_sketch import _averaged, _balanced_draw


def generator(seed=0):
    return np.random.default_rng(seed)


def mixture(n=20_000, k=4, p=6, separation=6.0, seed=0, dtype=np.float64, shares=None):
    rng = generator(seed)
    y = rng.choice(k, size=n, p=shares)
    X = separation / np.sqrt(2) * np.eye(k, p)[y] + rng.normal(size=(n, p))
    return X.astype(dtype), y


def best_of_kmeans(X, k, n_starts=5):
    rng = generator(99)
    return min(lloyd(X, kmeans_plusplus(X, k, rng).centers).inertia for _ in range(n_starts))


@pytest.mark.parametrize("separation", [3.0, 6.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_costs_next_to_nothing_above_k_means(separation, dtype):
    X, _ = mixture(separation=separation, dtype=dtype)
    result = sketch_sdp(X, 4, generator(), sketch_size=1000)
    assert result.inertia <= 1.001 * best_of_kmeans(X, 4)
    assert result.converged
    assert result.centers.dtype == dtype


def test_labels_are_those_of_the_centres():
    X, _ = mixture()
    result = sketch_sdp(X, 4, generator(), sketch_size=500)
    assert_array_equal(result.labels, assign(X, result.centers))
    costs = costs_of_assignment(X, result.centers, result.labels)
    assert_allclose(result.inertia, costs.sum(), rtol=1e-12)


def test_history_records_every_candidate_and_the_best_is_kept():
    X, _ = mixture(separation=3.0)
    result = sketch_sdp(X, 4, generator(), sketch_size=400, n_rounds=3)
    assert result.history.shape == (6, 4)  # pilot, three rounds, average, end
    assert result.inertia == result.history[:, 1].min()
    assert result.n_iter == result.history[-1, 0] > 0
    assert (np.diff(result.history[:, 0]) >= 0).all()
    assert result.trace_error == result.history[:, 2].max()
    single = sketch_sdp(X, 4, generator(), sketch_size=400, n_rounds=1)
    assert single.history.shape == (3, 4)  # a single round has no average


def test_a_rare_cluster_is_found():
    """A uniform sample of 400 has four rows of it; the balanced one has a quarter."""
    X, y = mixture(shares=[0.01, 0.33, 0.33, 0.33], separation=9.0)
    result = sketch_sdp(X, 4, generator(), sketch_size=400)
    assert clustering_accuracy(y, result.labels) > 0.999


def test_a_balanced_draw_has_as_many_rows_of_every_cluster():
    labels = np.repeat(np.arange(3), [100, 1000, 10_000]).astype(np.int32)
    counts = np.zeros(3)
    for seed in range(50):
        rows = _balanced_draw(labels, 3, 60, generator(seed))
        assert len(np.unique(rows)) == 60
        counts += np.bincount(labels[rows], minlength=3)
    # Without replacement the 100 rows run short a little: shares of a third, within noise.
    assert_allclose(counts / counts.sum(), [0.31, 0.34, 0.35], atol=0.03)


def test_rounds_are_matched_before_they_are_averaged():
    reference = 5 * np.eye(4)
    shuffled = [reference[order] + 0.1 for order in ([2, 0, 3, 1], [1, 0, 3, 2])]
    assert_allclose(_averaged(shuffled, reference), reference + 0.1)


def test_averaging_pays_where_clusters_overlap():
    X, _ = mixture(separation=3.0, n=40_000)
    history = sketch_sdp(X, 4, generator(), sketch_size=400, n_rounds=6).history
    assert history[-2, 1] < history[1:-2, 1].mean()


@pytest.mark.parametrize("carrier", ["blocks", "memory_mapped", "fortran"])
def test_carriers_change_no_bit(carrier, tmp_path):
    X, _ = mixture(dtype=np.float32)
    expected = sketch_sdp(X, 4, generator(), sketch_size=500)
    other = X
    if carrier == "blocks":
        other = as_blocks(X, block_rows=4096)
    elif carrier == "memory_mapped":
        np.save(tmp_path / "X.npy", X)
        other = np.load(tmp_path / "X.npy", mmap_mode="r")
    else:
        other = np.asfortranarray(X)
    with config_context(block_bytes=4096 * 24):
        result = sketch_sdp(other, 4, generator(), sketch_size=500)
    assert_array_equal(result.labels, expected.labels)
    assert_array_equal(result.centers, expected.centers)
    assert_array_equal(result.history, expected.history)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_threads_change_no_bit(n_threads):
    X, _ = mixture()
    expected = sketch_sdp(X, 4, generator(), sketch_size=500)
    with config_context(n_threads=n_threads):
        result = sketch_sdp(X, 4, generator(), sketch_size=500, n_threads=n_threads)
    assert_array_equal(result.centers, expected.centers)
    assert_array_equal(result.labels, expected.labels)


@pytest.mark.parametrize("scale", [2.0**-20, 2.0**20])
def test_powers_of_two_change_no_label(scale):
    X, _ = mixture()
    expected = sketch_sdp(X, 4, generator(), sketch_size=500).labels
    assert_array_equal(sketch_sdp(scale * X, 4, generator(), sketch_size=500).labels, expected)


@pytest.mark.parametrize(("scale", "offset"), [(1e-6, 0), (1e6, 0), (1.0, 1e6)])
def test_scales_and_offsets_change_no_label_where_clusters_are_apart(scale, offset):
    X, _ = mixture(separation=12.0)
    expected = sketch_sdp(X, 4, generator(), sketch_size=500).labels
    other = sketch_sdp(scale * X + offset, 4, generator(), sketch_size=500).labels
    assert clustering_accuracy(other, expected) == 1


def test_the_callback_sees_every_round_and_may_stop():
    X, _ = mixture()
    seen = []

    def callback(centers, costs):
        seen.append((centers.shape, list(costs)))
        return len(seen) == 2

    result = sketch_sdp(X, 4, generator(), sketch_size=500, n_rounds=5, callback=callback)
    assert [shape for shape, _ in seen] == [(4, 6), (4, 6)]
    assert_array_equal(seen[1][1], result.history[:3, 1])
    assert len(result.history) == 5


def test_without_clusters_it_ends_near_k_means_too():
    X = generator().normal(size=(20_000, 5))
    result = sketch_sdp(X, 6, generator(), sketch_size=600)
    assert result.inertia <= 1.005 * best_of_kmeans(X, 6, n_starts=2)


def test_few_iterations_are_reported():
    X, _ = mixture(separation=3.0)
    result = sketch_sdp(X, 4, generator(), sketch_size=500, max_iter=3)
    assert not result.converged
    assert np.isfinite(result.inertia)


def test_fewer_different_rows_than_clusters_need_no_relaxation():
    X = np.repeat(np.eye(2), 3000, axis=0)
    result = sketch_sdp(X, 3, generator(), sketch_size=100)
    assert result.inertia == 0
    assert result.n_iter == 0
    assert result.rounding is Rounding.KMEANS


def test_sizes_of_sketches():
    assert default_sketch_size(2, 4) == 2000
    assert default_sketch_size(8, 16) == 6400
    assert default_sketch_size(50, 100) == 10_000  # of a million entries
    assert default_sketch_size(100, 200) == 5000
    assert default_sketch_size(1000, 2000) == 20_000  # 20 rows for each cluster


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_spread_is_that_of_double_precision(dtype):
    X = (1e4 + generator().normal(size=(9000, 3))).astype(dtype)
    wide = X.astype(np.float64)
    assert_allclose(mean_row(X), wide.mean(axis=0), rtol=1e-14)
    assert_allclose(squared_spread(X), np.square(wide - wide.mean(axis=0)).sum(), rtol=1e-12)
    assert squared_spread(np.full((3, 2), 1e300) * [[1], [-1], [0]]) == np.inf
