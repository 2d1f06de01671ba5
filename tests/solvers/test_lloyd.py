"""Lloyd's iteration: invariants, exact fixed points, an independent library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.cluster import KMeans as TheirKMeans

from clusterlib.blocks import as_blocks
from clusterlib.config import config_context
from clusterlib.kernels import pairwise_argmin
from clusterlib.solvers import lloyd, scatter, unit_rows


def data(n=300, d=5, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)


def same(left, right):
    """Every field has the same bits."""
    for one, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(one, other)


def start(X, k, spherical=False):
    return unit_rows(X[:k]) if spherical else X[:k].copy()


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_objective_never_rises(spherical, dtype):
    X = data(dtype=dtype)
    runs = [
        lloyd(X, start(X, 12, spherical), max_iter=m, spherical=spherical) for m in range(1, 12)
    ]
    inertia = np.array([run.inertia for run in runs])
    # Centres are rounded to the dtype of X: costs change by that relative error, squared or not.
    assert (np.diff(inertia) <= 4 * np.finfo(dtype).eps * inertia[:-1]).all()
    assert inertia[-1] < 0.95 * inertia[0]


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_converged_run_is_a_fixed_point(spherical, dtype):
    X = data(dtype=dtype)
    result = lloyd(X, start(X, 7, spherical), spherical=spherical)
    assert result.converged
    assert result.history[-1] == 0
    metric = "cosine" if spherical else "sqeuclidean"
    np.testing.assert_array_equal(result.labels, pairwise_argmin(X, result.centers, metric=metric))
    again = lloyd(X, result.centers, spherical=spherical)
    assert again.n_iter == 1
    same(again[:3], result[:3])
    for j in range(7):
        rows = unit_rows(X[result.labels == j]) if spherical else X[result.labels == j]
        mean = rows.astype(np.float64).mean(axis=0)
        if spherical:
            mean /= np.linalg.norm(mean)
        np.testing.assert_allclose(result.centers[j], mean, atol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("max_iter", [1, 2, 5])
def test_labels_belong_to_the_centres_of_an_unfinished_run(max_iter):
    X = data()
    result = lloyd(X, start(X, 7), max_iter=max_iter)
    assert not result.converged
    assert result.n_iter == len(result.history) == max_iter
    np.testing.assert_array_equal(result.labels, pairwise_argmin(X, result.centers))
    costs = np.square(X - result.centers[result.labels]).sum()
    np.testing.assert_allclose(result.inertia, costs, rtol=1e-12)


@pytest.mark.parametrize("k", [2, 7, 25])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_scikit_learn(k, weighted, dtype):
    X = data(n=500, dtype=dtype)
    weight = np.random.default_rng(3).uniform(0.5, 2, size=500) if weighted else None
    ours = lloyd(X, start(X, k), sample_weight=weight)
    theirs = TheirKMeans(k, init=start(X, k), n_init=1, tol=0, max_iter=300)
    theirs.fit(X, sample_weight=weight)
    np.testing.assert_array_equal(ours.labels, theirs.labels_)
    np.testing.assert_allclose(ours.inertia, theirs.inertia_, rtol=20 * np.finfo(dtype).eps)
    np.testing.assert_allclose(ours.centers, theirs.cluster_centers_, atol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_and_blocks_change_no_bit(spherical, dtype):
    X = data(n=13_000, d=4, dtype=dtype)
    weight = np.random.default_rng(1).uniform(size=len(X))
    arguments = {"sample_weight": weight, "max_iter": 6, "spherical": spherical}
    expected = lloyd(X, start(X, 9, spherical), **arguments)
    for block_rows in (1, 8192, 100_000):
        for n_threads in (1, 2, 3):
            with config_context(n_threads=n_threads):
                blocks = as_blocks(X, block_rows=block_rows)
                same(lloyd(blocks, start(X, 9, spherical), **arguments), expected)


@pytest.mark.parametrize("spherical", [False, True])
def test_a_file_is_as_good_as_an_array(spherical, tmp_path):
    X = data(n=9000, d=4, dtype=np.float32)
    np.save(tmp_path / "X.npy", X)
    blocks = as_blocks(tmp_path / "X.npy", block_rows=4096)
    assert len(blocks) == 3
    arguments = {"max_iter": 4, "spherical": spherical}
    expected = lloyd(X, start(X, 5, spherical), **arguments)
    same(lloyd(blocks, start(X, 5, spherical), **arguments), expected)


@pytest.mark.parametrize("spherical", [False, True])
def test_layouts_change_no_bit(spherical):
    X = data()
    wide = np.zeros((600, 11))
    wide[::2, 1::2] = X
    expected = lloyd(X, start(X, 6, spherical), spherical=spherical)
    for other in (np.asfortranarray(X), wide[::2, 1::2], np.array(X[::-1, ::-1])[::-1, ::-1]):
        same(lloyd(other, start(X, 6, spherical), spherical=spherical), expected)


@pytest.mark.parametrize("spherical", [False, True])
def test_weights_are_repetitions(spherical):
    X = data()
    weight = np.random.default_rng(2).integers(0, 4, size=len(X))
    by_weight = lloyd(
        X, start(X, 6, spherical), sample_weight=weight.astype(float), spherical=spherical
    )
    repeated = np.repeat(X, weight, axis=0)
    by_repetition = lloyd(repeated, start(X, 6, spherical), spherical=spherical)
    np.testing.assert_array_equal(np.repeat(by_weight.labels, weight), by_repetition.labels)
    np.testing.assert_allclose(by_weight.centers, by_repetition.centers, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(by_weight.inertia, by_repetition.inertia, rtol=1e-12)
    assert by_weight.n_iter == by_repetition.n_iter


@pytest.mark.parametrize("factor", [0.25, 4.0, 2.0**40])
def test_scaling_the_weights_scales_the_inertia_alone(factor):
    X = data()
    weight = np.random.default_rng(2).uniform(size=len(X))
    plain = lloyd(X, start(X, 6), sample_weight=weight)
    scaled = lloyd(X, start(X, 6), sample_weight=factor * weight)
    np.testing.assert_array_equal(scaled.centers, plain.centers)
    assert scaled.inertia == factor * plain.inertia


def test_permuting_rows_and_centres_permutes_the_answer():
    X = data()
    rng = np.random.default_rng(4)
    rows, clusters = rng.permutation(len(X)), rng.permutation(6)
    plain = lloyd(X, start(X, 6))
    permuted = lloyd(X[rows], start(X, 6)[clusters])
    np.testing.assert_array_equal(clusters[permuted.labels], plain.labels[rows])
    np.testing.assert_allclose(permuted.centers, plain.centers[clusters], rtol=1e-12, atol=1e-14)


def test_moving_and_scaling_the_data_moves_and_scales_the_centres():
    X = np.round(data() * 64)  # whole numbers: moving by another one is exact
    plain = lloyd(X, start(X, 6))
    moved = lloyd(4 * X + 1024, 4 * start(X, 6) + 1024)
    np.testing.assert_array_equal(moved.labels, plain.labels)
    np.testing.assert_allclose(moved.centers, 4 * plain.centers + 1024, rtol=1e-12)
    np.testing.assert_allclose(moved.inertia, 16 * plain.inertia, rtol=1e-9)


def test_the_sphere_knows_no_lengths():
    X = data()
    lengths = 2.0 ** np.random.default_rng(5).integers(-20, 20, size=(len(X), 1))
    plain = lloyd(X, start(X, 6, True), spherical=True)
    scaled = lloyd(X * lengths, start(X, 6, True), spherical=True)
    np.testing.assert_array_equal(scaled.labels, plain.labels)
    np.testing.assert_allclose(scaled.inertia, plain.inertia, rtol=1e-12)


def test_the_sphere_is_flat_for_directions_close_together():
    rng = np.random.default_rng(6)
    X = np.c_[np.ones(200), 1e-4 * (rng.normal(size=200) + 5 * (np.arange(200) % 2))]
    flat = lloyd(X, X[:2].copy())
    sphere = lloyd(X, unit_rows(X[:2]), spherical=True)
    np.testing.assert_array_equal(sphere.labels, flat.labels)
    np.testing.assert_allclose(2 * sphere.inertia, flat.inertia, rtol=1e-5)


def test_rows_of_zeros_have_no_direction():
    X = data(n=40)
    with_zeros = np.r_[X, np.zeros((3, 5))]
    plain = lloyd(X, start(X, 4, True), spherical=True)
    result = lloyd(with_zeros, start(X, 4, True), spherical=True)
    np.testing.assert_array_equal(result.centers, plain.centers)
    np.testing.assert_array_equal(result.labels, np.r_[plain.labels, np.zeros(3)])
    np.testing.assert_allclose(result.inertia, plain.inertia + 3)


def test_a_weightless_row_has_no_influence():
    X = data(dtype=np.float64)
    far = np.r_[X, np.full((1, 5), 1e100)]
    weight = np.r_[np.ones(len(X)), 0.0]
    plain = lloyd(X, start(X, 5), sample_weight=weight[:-1])
    result = lloyd(far, start(X, 5), sample_weight=weight)
    np.testing.assert_array_equal(result.centers, plain.centers)
    assert result.inertia == plain.inertia
    assert result.n_iter == plain.n_iter
    assert scatter(far, sample_weight=weight) == scatter(X, sample_weight=weight[:-1])


def test_empty_centres_move_to_the_farthest_rows():
    X = np.array([[0.0], [1.0], [2.0], [50.0], [50.0], [80.0]])
    result = lloyd(X, np.array([[1.0], [1000.0], [2000.0]]), max_iter=1)
    assert result.n_relocated == 2
    # The copies of 50 count once; the third centre is the mean of all rows.
    np.testing.assert_array_equal(result.centers.ravel(), [X.mean(), 80.0, 50.0])
    final = lloyd(X, np.array([[1.0], [1000.0], [2000.0]]))
    assert final.inertia == 2.0
    np.testing.assert_array_equal(np.sort(final.centers.ravel()), [1.0, 50.0, 80.0])


def test_the_first_of_equally_far_rows_is_taken():
    X = np.array([[-4.0], [0.0], [4.0]])
    result = lloyd(X, np.array([[0.0], [100.0]]), max_iter=1)
    np.testing.assert_array_equal(result.centers.ravel(), [0.0, -4.0])


def test_no_centre_moves_to_a_weightless_row():
    X = np.array([[0.0], [1.0], [500.0]])
    result = lloyd(
        X, np.array([[0.5], [-1000.0]]), sample_weight=np.array([1.0, 1.0, 0.0]), max_iter=1
    )
    assert result.n_relocated == 1
    assert 500.0 not in result.centers


def test_too_few_different_rows_leave_centres_where_they_are():
    X = np.repeat([[1.0, 2.0], [3.0, 4.0]], 5, axis=0)
    centers = np.array([[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]])
    result = lloyd(X, centers)
    np.testing.assert_array_equal(result.centers, centers)
    assert result.inertia == 0
    assert result.converged


@pytest.mark.parametrize("spherical", [False, True])
def test_repairs_do_not_raise_the_objective(spherical):
    X = data(n=80, d=2)
    bad = np.r_[X[:1], np.full((9, 2), [50.0, 50.0]) + np.arange(9.0)[:, None]]
    bad = unit_rows(bad) if spherical else bad
    runs = [lloyd(X, bad, max_iter=m, spherical=spherical) for m in range(1, 10)]
    assert runs[0].n_relocated > 0
    inertia = np.array([run.inertia for run in runs])
    assert (np.diff(inertia) <= 1e-12 * inertia[:-1]).all()
    assert len(np.unique(runs[-1].labels)) == 10


def test_tol_stops_early():
    X = data()
    exact = lloyd(X, start(X, 8))
    tol = exact.history[3]
    loose = lloyd(X, start(X, 8), tol=tol)
    assert loose.converged
    assert loose.n_iter == np.argmax(exact.history <= tol) + 1 < exact.n_iter


@pytest.mark.parametrize("k", [5, 40])
@pytest.mark.parametrize("scale", [1e-165, 1e-200, 1e-300])
def test_labels_belong_to_centres_whose_squared_moves_are_0_in_double_precision(k, scale):
    X = data(d=2) * scale
    result = lloyd(X, start(X, k))
    labels = pairwise_argmin(X, result.centers)
    assert (labels != pairwise_argmin(X, start(X, k))).any()  # they have moved, and it matters
    np.testing.assert_array_equal(result.labels, labels)


def test_callback_sees_every_iteration_and_may_stop():
    X = data()
    seen = []

    def callback(centers, history, n_relocated):
        seen.append((centers.copy(), list(history)))
        return len(seen) == 3

    result = lloyd(X, start(X, 8), callback=callback)
    assert result.n_iter == 3
    assert not result.converged
    np.testing.assert_array_equal(seen[-1][0], result.centers)
    assert seen[-1][1] == list(result.history)
    np.testing.assert_array_equal(result.labels, pairwise_argmin(X, result.centers))


def test_arguments_are_not_written_to():
    X, centers, weight = data(), start(data(), 5), np.ones(300)
    for array in (X, centers, weight):
        array.flags.writeable = False
    assert lloyd(X, centers, sample_weight=weight).converged


def test_far_from_the_origin_in_single_precision():
    X = data(dtype=np.float32, n=600)
    X += 8.0 * (np.arange(600) % 3)[:, None]
    far = X + np.float32(1e6)
    plain = lloyd(X, start(X, 3))
    result = lloyd(far, start(far, 3))
    # Adding 1e6 rounds to 1/16: labels survive, inertia moves by that much.
    np.testing.assert_array_equal(result.labels, plain.labels)
    np.testing.assert_allclose(result.inertia, plain.inertia, rtol=0.01)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_row_far_away(dtype):
    X = data(dtype=dtype)
    X[11] = 1e18
    result = lloyd(X, np.r_[X[:3], X[11:12]])
    assert result.converged
    assert (result.labels == 3).sum() == 1
    rest = lloyd(np.delete(X, 11, axis=0), start(X, 3))
    np.testing.assert_array_equal(result.centers[:3], rest.centers)


def test_single_precision_squares_may_overflow():
    X = data(dtype=np.float32) * np.float32(1e25)
    result = lloyd(X, start(X, 4))
    assert result.converged
    assert 1e50 < result.inertia < np.inf


def test_scatter_is_the_mean_variance():
    X = data() * [1, 2, 3, 4, 5] + 100
    weight = np.random.default_rng(3).integers(0, 3, size=len(X)).astype(float)
    np.testing.assert_allclose(scatter(X), X.var(axis=0).mean(), rtol=1e-12)
    repeated = np.repeat(X, weight.astype(int), axis=0)
    np.testing.assert_allclose(
        scatter(X, sample_weight=weight), repeated.var(axis=0).mean(), rtol=1e-12
    )
    directions = unit_rows(repeated)
    np.testing.assert_allclose(
        scatter(X, sample_weight=weight, spherical=True),
        directions.var(axis=0).mean(),
        rtol=1e-10,
    )
    assert scatter(np.full((5, 2), 3.0)) == 0


small = st.integers(-8, 8).map(float)


@given(arrays(np.float64, (12, 2), elements=small), st.integers(1, 5))
def test_any_data_end_in_a_fixed_point(X, k):
    result = lloyd(X, X[:k].copy(), max_iter=100)
    assert result.converged
    assert np.isfinite(result.centers).all()
    np.testing.assert_array_equal(result.labels, pairwise_argmin(X, result.centers))
    for j in np.unique(result.labels):
        np.testing.assert_allclose(
            result.centers[j], X[result.labels == j].mean(axis=0), atol=1e-12
        )
