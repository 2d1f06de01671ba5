"""Codes of SwAV: equal to the released procedure, for any scale, epsilon and spread over workers."""

import threading

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import sinkhorn_assign

# Exponents go up to 1 / 0.05, and are rounded twice.
ROUNDING = {dtype: 2 / 0.05 * np.finfo(dtype).eps for dtype in (np.float32, np.float64)}


def released(scores, epsilon, n_iters, prior=None):
    """The steps of the paper's code, as published: prototypes first, samples last."""
    Q = np.exp(np.asarray(scores, dtype=np.float64) / epsilon).T
    n_prototypes, n_samples = Q.shape
    shares = np.full(n_prototypes, 1 / n_prototypes) if prior is None else np.asarray(prior)
    Q /= Q.sum()
    for _ in range(n_iters):
        masses = Q.sum(axis=1, keepdims=True)
        Q /= np.where(masses > 0, masses, 1.0)
        Q *= shares[:, None]
        Q /= Q.sum(axis=0, keepdims=True)
        Q /= n_samples
    return (Q * n_samples).T


def cosines(n, k, d=16, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    rows, prototypes = (rng.normal(size=(length, d)) for length in (n, k))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    prototypes /= np.linalg.norm(prototypes, axis=1, keepdims=True)
    return (rows @ prototypes.T).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_iters", [1, 3, 10])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (300, 17), (1100, 40)])
def test_are_those_of_the_released_procedure(shape, n_iters, dtype):
    scores = cosines(*shape, dtype=dtype)
    codes = sinkhorn_assign(scores, n_iters=n_iters)
    assert codes.dtype == dtype
    assert_allclose(codes, released(scores, 0.05, n_iters), atol=ROUNDING[dtype])


@pytest.mark.parametrize("epsilon", [0.5, 0.05, 0.02, 0.01, 0.004])
def test_both_forms_give_the_same(epsilon):
    """Small epsilons leave float32, where the log form takes over, but not float64."""
    scores = cosines(500, 12, dtype=np.float32)
    for n_iters in (1, 3):
        expected = released(scores.astype(np.float64), epsilon, n_iters)
        # The exponents have |scores| / epsilon times the rounding of the scores.
        assert_allclose(
            sinkhorn_assign(scores, epsilon, n_iters=n_iters), expected, atol=4e-7 / epsilon
        )


def test_a_prior_is_what_columns_get():
    scores = cosines(400, 6)
    prior = np.array([4.0, 1.0, 0.0, 2.0, 2.0, 1.0])
    codes = sinkhorn_assign(scores, prior=prior, n_iters=None, tol=1e-10)
    assert_allclose(codes.mean(axis=0), prior / 10, atol=1e-10)
    assert_allclose(codes.sum(axis=1), 1, rtol=1e-14)
    assert_array_equal(codes[:, 2], 0)
    three = sinkhorn_assign(scores, prior=prior, n_iters=3)
    assert_allclose(three, released(scores, 0.05, 3, prior / 10), atol=1e-13)
    # Shares do not depend on the scale of the prior, however large.
    huge = sinkhorn_assign(scores, prior=prior * 1e300, n_iters=3)
    assert_allclose(huge, three, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_to_tolerance_columns_are_exact(dtype):
    scores = cosines(900, 30, dtype=dtype)
    codes = sinkhorn_assign(scores, n_iters=None, tol=1e-6).astype(np.float64)
    assert np.abs(codes.mean(axis=0) - 1 / 30).sum() < 2e-6
    # Rows times columns: log codes are scores / epsilon plus a number for each row and column.
    remainder = np.log(codes) - scores / 0.05
    remainder -= remainder.mean(axis=0)
    remainder -= remainder.mean(axis=1, keepdims=True)
    assert_allclose(remainder, 0, atol=1e-4 if dtype is np.float32 else 1e-10)


def test_max_iter_ends_it():
    scores = cosines(200, 9)
    few = sinkhorn_assign(scores, 0.01, n_iters=None, tol=0.0, max_iter=2)
    assert np.abs(few.mean(axis=0) - 1 / 9).sum() > 1e-4
    # Two steps of the columns after the first one: what three normalisations do.
    assert_allclose(few, released(scores, 0.01, 3), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e3, 1e8, 1e30])
@pytest.mark.parametrize("epsilon", [1e-6, 0.05, 10.0])
def test_no_scale_gives_nan(epsilon, scale, dtype):
    scores = (scale * cosines(120, 8)).astype(dtype)
    for n_iters in (3, None):
        codes = sinkhorn_assign(scores, epsilon, n_iters=n_iters, max_iter=30)
        assert_allclose(codes.sum(axis=1), 1, atol=1e-5)
        assert (codes >= 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_that_underflow_are_found_again(dtype):
    scores = cosines(300, 5).round(3)
    low = scores.copy()
    low[:, 3] -= 64.0  # exp(-64 / 0.02) is no number any more
    # What is added to a column goes into its potential.
    codes, expected = (sinkhorn_assign(s.astype(dtype), 0.02, n_iters=10) for s in (low, scores))
    assert_allclose(codes, expected, atol=64 / 0.02 * 2 * np.finfo(dtype).eps)


def test_lost_columns_after_the_first_step_too():
    """A row far above the others takes all of the first sums; columns are empty without it."""
    scores = cosines(300, 5)
    scores[0] += [90.0, 0, 0, 0, 0]
    codes = sinkhorn_assign(scores, 0.05, n_iters=None, max_iter=5000)
    assert_allclose(codes.mean(axis=0), 0.2, atol=1e-6)
    assert_allclose(codes[0], [1, 0, 0, 0, 0], atol=1e-12)


def test_columns_whose_share_is_near_the_smallest_number():
    """Their sums leave float64 under the potentials; logarithms do not."""
    scores = np.array([[-60.0, 0, -30, -60, 0], [0, 0, -60, -16, -60], [0, -30, -30, -16, -30]])
    log_prior = np.log([0.1, 0.2, 0.3, 0.4, 1e-300])
    exponents = scores / 0.01
    # The same steps on logarithms: columns get their shares, then rows are normalised.
    rows = np.zeros((3, 1))
    for _ in range(4):
        columns = log_prior + np.log(3) - np.logaddexp.reduce(exponents - rows, axis=0)
        rows = np.logaddexp.reduce(exponents + columns, axis=1)[:, None]
    codes = sinkhorn_assign(scores, 0.01, n_iters=4, prior=np.exp(log_prior))
    assert_allclose(codes, np.exp(exponents + columns - rows), rtol=1e-9, atol=1e-290)


def test_ties_and_constant_scores_are_shared_out():
    codes = sinkhorn_assign(np.full((10, 4), 0.3), n_iters=3)
    assert_allclose(codes, 0.25, rtol=1e-14)
    assert_allclose(sinkhorn_assign([[0.1, 0.9]], n_iters=None), [[0.5, 0.5]], atol=1e-6)
    assert sinkhorn_assign(np.empty((0, 3))).shape == (0, 3)


class Workers:
    """Threads that meet wherever one of them calls ``all_reduce``."""

    def __init__(self, n_workers):
        self.barrier = threading.Barrier(n_workers, timeout=60)
        self.n_workers = n_workers
        self.values = [None] * n_workers

    def all_reduce(self, rank):
        def reduce(values, operation):
            self.values[rank] = np.array(values)
            self.barrier.wait()
            merged = {"sum": np.sum, "max": np.max}[operation](self.values, axis=0)
            self.barrier.wait()
            return merged

        return reduce

    def run(self, function, parts):
        answers = [None] * self.n_workers

        def work(rank):
            try:
                answers[rank] = function(parts[rank], all_reduce=self.all_reduce(rank))
            except threading.BrokenBarrierError:
                pass
            except Exception:
                self.barrier.abort()
                raise

        threads = [threading.Thread(target=work, args=(rank,)) for rank in range(self.n_workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return np.concatenate(answers)


@pytest.mark.parametrize("cuts", [[500], [1, 2, 700], [256, 512, 768], [0, 300, 300]])
@pytest.mark.parametrize("epsilon", [0.05, 0.001])
@pytest.mark.parametrize("n_iters", [3, None])
def test_workers_change_nothing(n_iters, epsilon, cuts):
    scores = cosines(1000, 11, dtype=np.float32)
    options = {"n_iters": n_iters, "max_iter": 40}
    parts = np.split(scores, cuts)

    def codes(part, all_reduce):
        return sinkhorn_assign(part, epsilon, all_reduce=all_reduce, **options)

    together = Workers(len(parts)).run(codes, parts)
    # Sums of columns are float64; their rounding is all that the cut changes.
    assert_allclose(together, sinkhorn_assign(scores, epsilon, **options), atol=2e-6)


def test_workers_leave_the_range_together():
    """Rows of one worker need logarithms: all of them have to turn to the log form."""
    scores = np.r_[cosines(200, 5, dtype=np.float32), 1e4 * cosines(100, 5, seed=1)]
    scores = scores.astype(np.float32)

    def codes(part, all_reduce):
        return sinkhorn_assign(part, all_reduce=all_reduce)

    together = Workers(2).run(codes, [scores[:200], scores[200:]])
    assert_allclose(together, sinkhorn_assign(scores), atol=1e-6)


def test_threads_and_backends_change_nothing():
    scores = cosines(1500, 9, dtype=np.float32)
    for epsilon in (0.05, 0.002):
        one = sinkhorn_assign(scores, epsilon, n_threads=1)
        assert_array_equal(sinkhorn_assign(scores, epsilon, n_threads=3), one)
        assert_array_equal(sinkhorn_assign(np.asfortranarray(scores), epsilon), one)
        for backend in ("reference", "numba"):
            other = sinkhorn_assign(scores, epsilon, backend=backend)
            assert_allclose(other, one, atol=5e-7 / epsilon)


def test_scores_are_read_only_and_out_is_used():
    scores = cosines(50, 4)
    scores.flags.writeable = False
    out = np.empty_like(scores)
    assert sinkhorn_assign(scores, out=out) is out
    assert_array_equal(out, sinkhorn_assign(scores))
    assert_array_equal(sinkhorn_assign(scores.tolist()), out)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epsilon": 0}, ValueError, "epsilon must be positive and finite, got 0"),
        ({"epsilon": -0.05}, ValueError, "epsilon .* got -0.05"),
        ({"epsilon": np.nan}, ValueError, "epsilon .* got nan"),
        ({"epsilon": "small"}, TypeError, "epsilon must be a number"),
        ({"n_iters": 0}, ValueError, "n_iters"),
        ({"n_iters": 3.0}, TypeError, "n_iters"),
        ({"max_iter": 0}, ValueError, "max_iter"),
        ({"tol": -1.0}, ValueError, "tol"),
        ({"prior": [0.5, 0.5]}, ValueError, r"prior must have shape \(3,\), got \(2,\)"),
        ({"prior": [0.5, -0.5, 1]}, ValueError, "prior must be .* at least 0, got -0.5 at index 1"),
        ({"prior": [np.nan, 1, 1]}, ValueError, "prior .* got nan at index 0"),
        ({"prior": [0, 0, 0]}, ValueError, "prior must have a share above 0"),
        ({"out": np.empty((2, 3))}, ValueError, "out must be an array of shape"),
        ({"out": np.empty((4, 3), np.float32)}, ValueError, "out must be an array of shape"),
        ({"out": np.empty((3, 4)).T}, ValueError, "out must be C-contiguous"),
        ({"backend": "abacus"}, ValueError, "backend"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        sinkhorn_assign(np.zeros((4, 3)), **arguments)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("epsilon", [0.05, 1e-4])
def test_scores_have_to_be_finite(value, epsilon):
    scores = cosines(600, 3)
    scores[599, 1] = value
    with pytest.raises(ValueError, match="scores contains NaN or infinity"):
        sinkhorn_assign(scores, epsilon)


def test_out_must_not_be_the_scores():
    scores = cosines(5, 3)
    with pytest.raises(ValueError, match="out must not overlap scores"):
        sinkhorn_assign(scores, out=scores)


@pytest.mark.parametrize("scores", [np.zeros(3), np.zeros((2, 3, 4)), np.zeros((3, 0))])
def test_scores_have_to_be_a_matrix(scores):
    with pytest.raises(ValueError, match="scores must have shape"):
        sinkhorn_assign(scores)
