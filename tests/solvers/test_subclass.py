"""Classes cut into subclasses: how many, how large, and as cheap as these sizes allow."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from clusterlib.blocks import MemmapBlocks
from clusterlib.config import config_context
from clusterlib.solvers import assign_within, split_classes, subclass_counts, unit_rows
from clusterlib.solvers.subclass import piece_sizes

METRICS = {False: "sqeuclidean", True: "cosine"}
SIZES = [60, 25, 9]


def tail(seed=0, d=5, dtype=np.float64):
    """Three classes of falling size, their rows shuffled."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.repeat(np.arange(3), SIZES))
    return (rng.normal(size=(len(codes), d)) + codes[:, None]).astype(dtype), codes


def split(X, codes, counts=(7, 3, 1), seeds=(1, 2, 3), **options):
    return split_classes(X, codes, np.array(counts), seeds, **options)


@pytest.mark.parametrize("threshold", [1, 2, 7, 10, 64])
def test_sizes_keep_what_the_rules_promise(threshold):
    sizes = np.arange(1, 300)
    for capped in (True, False):
        counts = subclass_counts(sizes, threshold, capped=capped)
        least, most = np.array([piece_sizes(n, m) for n, m in zip(sizes, counts, strict=True)]).T
        assert (most - least <= 1).all() and (least >= 1).all()
        assert (counts[sizes <= threshold] == 1).all()
        if capped:
            assert (most <= threshold).all()
            assert (counts == np.ceil(sizes / threshold)).all()
        else:
            large = sizes >= threshold
            assert (least[large] >= threshold).all() and (most <= 2 * threshold - 1).all()
            assert (counts[large] == sizes[large] // threshold).all()


def test_rounding_down_with_an_upper_limit_would_leave_rows_over():
    # Why there are two rules: 95 rows do not fit into nine subclasses of at most ten.
    assert subclass_counts([95], 10, capped=False) * 10 < 95
    assert subclass_counts([95], 10, capped=True) * 10 >= 95


@pytest.mark.parametrize("spherical", [False, True])
def test_groups_of_equal_size_are_found(spherical):
    rng = np.random.default_rng(0)
    places = 9 * np.eye(6)
    groups = rng.permutation(np.repeat(np.arange(6), 8))
    X = places[groups] + 0.3 * rng.normal(size=(48, 6))
    codes = groups // 3  # three groups in each class
    result = split(X, codes, (3, 3), (0, 0), spherical=spherical)
    assert len({*zip(groups, result.labels, strict=True)}) == 6
    assert_array_equal(result.parent, [0, 0, 0, 1, 1, 1])
    assert_array_equal(result.parent[result.labels], codes)
    assert result.converged.all()
    for j in range(6):
        members = X[result.labels == j]
        center = unit_rows(members).sum(axis=0, keepdims=True) if spherical else members.mean(0)
        expected = unit_rows(center)[0] if spherical else center
        assert_allclose(result.centers[j], expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spherical", [False, True])
def test_no_assignment_of_these_sizes_is_cheaper(spherical, dtype):
    X, codes = tail(dtype=dtype)
    result = split(X, codes, spherical=spherical)
    assert result.labels.dtype == np.int32 and result.centers.dtype == dtype
    for c, (size, count) in enumerate(zip(SIZES, (7, 3, 1), strict=True)):
        first = (0, 7, 10)[c]
        rows, labels = X[codes == c].astype(np.float64), result.labels[codes == c] - first
        sizes = np.bincount(labels, minlength=count)
        assert len(sizes) == count
        assert {*sizes} <= {*piece_sizes(size, count)}
        centers = result.centers[first : first + count].astype(np.float64)
        costs = cdist(rows, centers, METRICS[spherical])
        # The same sizes, clusters as copies of their centres: a square assignment problem.
        copies = np.repeat(costs, sizes, axis=1)
        best = copies[linear_sum_assignment(copies)].sum()
        assert_allclose(costs[np.arange(size), labels].sum(), best, rtol=1e-9)
        assert_allclose(result.inertias[c], best, rtol=1e-5 if dtype is np.float32 else 1e-9)
        assert result.dual_gaps[c] <= 1e-9 * best


def test_a_class_that_stays_whole_is_its_mean():
    X, codes = tail()
    flat = split(X, codes, (1, 1, 1))
    sphere = split(X, codes, (1, 1, 1), spherical=True)
    assert_array_equal(flat.labels, codes)
    for c in range(3):
        rows = X[codes == c]
        assert_allclose(flat.centers[c], rows.mean(axis=0), rtol=1e-12)
        assert_allclose(flat.inertias[c], ((rows - rows.mean(axis=0)) ** 2).sum(), rtol=1e-12)
        assert_allclose(np.linalg.norm(sphere.centers[c]), 1, rtol=1e-12)
        total = unit_rows(rows).sum(axis=0)
        assert_allclose(sphere.inertias[c], len(rows) - np.linalg.norm(total), rtol=1e-10)
    assert_array_equal(flat.n_iter, [1, 1, 1])
    assert_array_equal(flat.prices, np.zeros(3))


@pytest.mark.parametrize("spherical", [False, True])
def test_rows_that_were_cut_find_their_subclass_again(spherical):
    X, codes = tail(seed=3)
    result = split(X, codes, spherical=spherical)
    assert result.converged.all()
    parts = result.centers, result.parent, result.prices
    assert_array_equal(assign_within(X, codes, *parts, spherical=spherical), result.labels)
    rows = np.random.default_rng(0).permutation(len(X))[:20]
    again = assign_within(X[rows], codes[rows], *parts, spherical=spherical)
    assert_array_equal(again, result.labels[rows])
    # Without prices the nearest centre wins, and sizes are no longer kept.
    nearest = assign_within(
        X, codes, result.centers, result.parent, 0 * result.prices, spherical=spherical
    )
    costs = cdist(X, result.centers, METRICS[spherical])
    costs[result.parent != codes[:, None]] = np.inf
    assert_array_equal(nearest, costs.argmin(axis=1))
    assert (nearest != result.labels).any()


@pytest.mark.parametrize("spherical", [False, True])
def test_no_price_ties_a_row_to_two_subclasses(spherical):
    # Paths to the optimum end with ties, which the smallest rounding decides for a row.
    for seed in range(3):
        X = np.random.default_rng(seed).normal(size=(600, 5))
        result = split(X, np.zeros(600, dtype=int), (60,), (seed,), spherical=spherical)
        sums = cdist(X, result.centers, METRICS[spherical]) + result.prices
        assert_array_equal(sums.argmin(axis=1), result.labels)
        assert np.diff(np.sort(sums, axis=1)[:, :2]).min() > 1e-6 * sums.max()


def test_each_class_is_cut_as_if_it_were_alone():
    X, codes = tail()
    together = split(X, codes)
    alone = split(X[codes == 1], np.zeros(25, dtype=int), (3,), (2,))
    assert_array_equal(together.labels[codes == 1] - 7, alone.labels)
    assert_array_equal(together.centers[7:10], alone.centers)
    assert together.inertias[1] == alone.inertias[0]


def test_the_order_of_the_rows_does_not_matter():
    X, codes = tail()
    order = np.random.default_rng(5).permutation(len(X))
    one, other = split(X, codes), split(X[order], codes[order])
    assert_array_equal(one.labels[order], other.labels)
    assert_allclose(one.centers, other.centers, rtol=1e-10)


@pytest.mark.parametrize("scale", [2.0**-40, 2.0**40])
@pytest.mark.parametrize("spherical", [False, True])
def test_scale_does_not_matter(scale, spherical):
    X, codes = tail()
    one, other = (split(factor * X, codes, spherical=spherical) for factor in (1.0, scale))
    assert_array_equal(one.labels, other.labels)
    unit = 1.0 if spherical else scale**2
    assert_allclose(other.inertias, unit * one.inertias, rtol=1e-12)
    assert_allclose(other.prices, unit * one.prices, rtol=1e-9)


def test_threads_blocks_and_files_change_no_bit(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6000, 3))
    codes = (rng.random(6000) < 0.1).astype(int)
    np.save(tmp_path / "X.npy", X)
    blocks = MemmapBlocks(np.load(tmp_path / "X.npy", mmap_mode="r"), block_rows=4096)
    options = {"counts": (3, 1), "seeds": (0, 1), "max_iter": 2}
    expected = split(X, codes, **options)
    for n_threads in (1, 2):
        with config_context(n_threads=n_threads):
            found = split(blocks, codes, **options)
            for name, value in found._asdict().items():
                assert_array_equal(value, getattr(expected, name), err_msg=name)


def test_more_starts_are_no_worse_and_a_seed_is_an_answer():
    X, codes = tail()
    totals = [split(X, codes, n_init=n).inertias.sum() for n in (1, 4, 16)]
    assert totals == sorted(totals, reverse=True) and totals[2] < totals[0]
    assert_array_equal(split(X, codes).labels, split(X, codes).labels)
    assert (split(X, codes).labels != split(X, codes, seeds=(4, 5, 6)).labels).any()


def test_the_last_iteration_is_told():
    X, codes = tail()
    short, seen = split(X, codes, max_iter=1), []
    assert not short.converged[0] and short.n_iter[0] == 1 and short.converged[2]
    whole = split(X, codes, on_class=lambda c, inertia: seen.append((c, inertia)))
    assert seen == [*enumerate(whole.inertias)]


@pytest.mark.parametrize("spherical", [False, True])
def test_equal_rows_are_dealt_out(spherical):
    X, codes = np.full((23, 2), 3.0), np.zeros(23, dtype=int)
    result = split(X, codes, (4,), (0,), spherical=spherical)
    assert sorted(np.bincount(result.labels)) == [5, 6, 6, 6]
    assert_allclose(result.inertias, 0, atol=1e-12)
    assert np.isfinite(result.centers).all()


def test_rows_of_zeros_fill_up_and_move_no_centre():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), 8)
    X = np.eye(3)[groups] + 0.01 * rng.normal(size=(24, 3))
    X[[0, 9, 17]] = 0
    result = split(X, np.zeros(24, dtype=int), (3,), (0,), spherical=True)
    assert_array_equal(np.bincount(result.labels), [8, 8, 8])
    assert_allclose(np.abs(result.centers).max(axis=1), 1, atol=1e-3)
    assert_allclose(result.inertias, 3, atol=0.02)  # each row of zeros costs 1


def test_as_many_subclasses_as_rows():
    X, codes = tail()
    result = split(X, codes, SIZES)
    assert_array_equal(np.sort(result.labels), np.arange(sum(SIZES)))
    assert_allclose(result.inertias, 0, atol=1e-12)
