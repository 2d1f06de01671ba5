"""Bounds that let rows be skipped change no label, however tight they are."""

import numpy as np
import pytest

from clusterlib.blocks import ArrayBlocks, as_blocks
from clusterlib.config import config_context
from clusterlib.kernels import pairwise_argmin
from clusterlib.solvers import unit_rows
from clusterlib.solvers.geometry import Flat, Sphere
from clusterlib.solvers.labelling import Labelling
from tests.solvers.test_oversampling import PostedBlocks


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1.0, 1e-4])
def test_a_row_changes_sides_by_a_small_part_of_the_moves(scale, dtype):
    # Two centres move to the right by 1; the rows at 0 then lie nearer to the second by 0.0005.
    # Bounds that follow the moves by 0.1 % too little would keep the rows where they are; finer
    # margins are below what the 16-bit screen tells apart, and no bound is that tight.
    X = np.zeros((400, 1), dtype=dtype)
    others = np.linspace(5.0, 10.0, 60)
    before = np.array([-1.0, 2.9995, *others], dtype=dtype)[:, None] * dtype(scale)
    after = np.array([-2.0, 1.9995, *others], dtype=dtype)[:, None] * dtype(scale)
    labelling = Labelling(as_blocks(X), len(before), Flat)
    # The first step bounds a sample of the rows; what it finds lets the third bound all of them.
    for centers, label in [(before, 0), (before, 0), (before, 0), (after, 1)]:
        labelling.step(centers)
        np.testing.assert_array_equal(labelling.labels, np.full(400, label))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_stay_those_of_the_nearest_centres_while_they_settle(dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 4)).astype(dtype)
    weight = rng.uniform(0.5, 2.0, size=3000)
    centers = X[:40].copy()
    labelling = Labelling(as_blocks(X), 40, Flat, weight)
    for _ in range(25):
        sums, weights = labelling.step(centers)
        labels = pairwise_argmin(X, centers)
        np.testing.assert_array_equal(labelling.labels, labels)
        np.testing.assert_allclose(weights, np.bincount(labels, weight, 40), rtol=1e-12)
        for feature in range(4):
            expected = np.bincount(labels, weight * X[:, feature], 40)
            np.testing.assert_allclose(sums[:, feature], expected, atol=1e-10 * weight.sum())
        centers = (sums / weights[:, None]).astype(dtype)


def test_bounds_are_kept_for_many_centres_in_flat_space_alone():
    blocks = as_blocks(np.zeros((5, 2)))
    assert Labelling(blocks, 32, Flat).keeps_bounds
    assert not Labelling(blocks, 31, Flat).keeps_bounds
    assert not Labelling(blocks, 32, Sphere).keeps_bounds


def test_bounds_beside_a_file_take_no_more_than_a_block(tmp_path):
    np.save(tmp_path / "X.npy", np.zeros((4096 * 3, 2)))
    n_bytes = 4096 * 3 * 68  # of a row: a bound above and 16 below, in float32
    for block_bytes, keeps in ((n_bytes, True), (n_bytes - 1, False)):
        with config_context(block_bytes=block_bytes):
            blocks = as_blocks(tmp_path / "X.npy", block_rows=4096)
            assert Labelling(blocks, 32, Flat).keeps_bounds == keeps


@pytest.mark.parametrize("n_clusters", [5, 40])
@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("kind", [ArrayBlocks, PostedBlocks])
def test_totals_of_blocks_add_up(n_clusters, spherical, kind):
    X = np.random.default_rng(0).normal(size=(9000, 3))
    X[11] = 0.0
    weight = np.random.default_rng(1).uniform(0.5, 2.0, size=9000)
    points = unit_rows(X) if spherical else X
    labelling = Labelling(kind(X, 4096), n_clusters, Sphere if spherical else Flat, weight)
    centers = points[:n_clusters].copy()
    for _ in range(4):  # with bounds from the second step on
        sums, weights = labelling.step(centers)
        labels = pairwise_argmin(X, centers, metric="cosine" if spherical else "sqeuclidean")
        counted = weight * (X != 0).any(axis=1) if spherical else weight
        np.testing.assert_allclose(
            sums,
            [(counted * (labels == k)) @ points for k in range(n_clusters)],
            atol=1e-9,
        )
        if not spherical:
            np.testing.assert_allclose(weights, np.bincount(labels, weight, n_clusters))
        if kind is ArrayBlocks:
            np.testing.assert_array_equal(labelling.labels, labels)
        centers = 0.9 * centers + 0.1 * np.roll(centers, 1, axis=0)
        centers = unit_rows(centers) if spherical else centers
