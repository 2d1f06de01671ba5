"""What is kept of the classes of many rows: sums in leaves, whatever the blocks."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.blocks import as_blocks
from clusterlib.solvers import frozen_em, row_classes, scaled_label_shift
from clusterlib.solvers.row_classes import cluster_domain_counts

RNG = np.random.default_rng(0)
N, K, R = 30_001, 5, 4
POOLED = RNG.dirichlet(np.full(K, 0.3), N) + 1e-9
POOLED /= POOLED.sum(axis=1, keepdims=True)
DOMAINS = RNG.integers(0, R, N).astype(np.int32)
D = RNG.dirichlet(np.ones(R), K).T


def cut(dtype=np.float64):
    """The same probabilities in eight blocks, in four and in one."""
    pooled = POOLED.astype(dtype)
    return [as_blocks(pooled, block_rows=rows) for rows in (4096, 8192, 2**20)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_do_not_change_a_bit(dtype):
    many, several, one = (row_classes(b, D, DOMAINS, keep_posteriors=True) for b in cut(dtype))
    for other in (several, many):
        for name in one._fields:
            assert_array_equal(getattr(other, name), getattr(one, name), err_msg=name)


def test_what_is_kept_is_what_it_is_called():
    found = row_classes(POOLED, D, DOMAINS, keep_posteriors=True)
    joint = POOLED * D[DOMAINS]
    assert_allclose(found.likelihoods, joint.sum(axis=1))
    assert_allclose(found.posteriors, joint / joint.sum(axis=1, keepdims=True))
    assert_array_equal(found.labels, joint.argmax(axis=1))
    assert_allclose(found.entropies, -(POOLED * np.log(POOLED)).sum(axis=1))
    assert_allclose(found.source_prior, POOLED.mean(axis=0))
    assert row_classes(POOLED, D, DOMAINS).posteriors is None


@pytest.mark.parametrize("r", [R, 700])
def test_frozen_em_of_blocks(r):
    """With many domains the kernel alone would take longer leaves."""
    domains = np.random.default_rng(r).integers(0, r, N).astype(np.int32)
    start = np.full((r, K), 1 / r)
    fits = [frozen_em(blocks, start, domains, max_iter=5) for blocks in cut()]
    array = frozen_em(POOLED, start, domains, max_iter=5)
    for fit in fits:
        assert fit.posteriors is None
        assert_array_equal(fit.domain_given_class, fits[0].domain_given_class)
        assert_array_equal(fit.history, fits[0].history)
        assert_allclose(fit.domain_given_class, array.domain_given_class, rtol=1e-10)
        assert_allclose(fit.marginals, array.marginals, rtol=1e-10)


def test_counts_of_clusters():
    centers = POOLED[:3]
    found = [cluster_domain_counts(blocks, centers, DOMAINS, R) for blocks in cut()]
    nearest = np.square(POOLED[:, None] - centers).sum(axis=2).argmin(axis=1)
    expected = np.zeros((3, R))
    np.add.at(expected, (nearest, DOMAINS), 1)
    for counts in found:
        assert_array_equal(counts, expected)


def test_classes_that_are_read_again_have_the_bits_of_kept_ones():
    rng = np.random.default_rng(1)
    classes = rng.choice(4, 9_000, p=[0.1, 0.4, 0.2, 0.3])
    X = 3.0 * np.eye(4)[classes] + rng.normal(size=(9_000, 4))
    domains = np.where(rng.random(9_000) < 0.6, classes, rng.integers(0, 4, 9_000))
    kept, again = (
        scaled_label_shift(
            X,
            domains.astype(np.int32),
            4,
            4,
            rng=np.random.default_rng(2),
            n_micro=100,
            keep_posteriors=keep,
        )
        for keep in (True, False)
    )
    assert (again.posteriors, again.pooled) == (None, None)
    assert_array_equal(kept.posteriors.argmax(axis=1), again.rows.labels)
    for name in ("labels", "likelihoods", "entropies", "source_prior"):
        assert_array_equal(getattr(kept.rows, name), getattr(again.rows, name), err_msg=name)
    assert_array_equal(kept.marginals, again.marginals)


def test_a_row_that_its_domain_rules_out_keeps_what_it_looks_like():
    pooled = np.array([[0.0, 1.0], [0.25, 0.75]])
    domains = np.zeros(2, dtype=np.int32)
    found = row_classes(pooled, np.array([[1.0, 0.0], [0.0, 1.0]]), domains, keep_posteriors=True)
    np.testing.assert_array_equal(found.posteriors, [[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_array_equal(found.labels, [1, 0])
