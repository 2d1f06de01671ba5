"""row_softmax: posteriors within the bound, exact labels, and rows that have no posterior."""

import numpy as np
import pytest

from clusterlib.kernels import row_softmax
from tests.helpers import BAD_MATRICES, COPIED_LAYOUTS, DTYPES, LAYOUTS, SIZES

# Around the places where an implementation may change: a register, a strip, a run of terms.
COLUMNS = [*SIZES[1:], 64, 255, 256, 300, 1024, 1025, 3001]


def problem(n, k, dtype, seed=0):
    rng = np.random.default_rng([n, k, seed])
    scores = (rng.standard_normal((n, k)) * rng.choice([0.01, 1, 30], (n, 1))).astype(dtype)
    log_weight = np.log(rng.dirichlet(np.ones(k)) + 1e-12)
    return scores, log_weight


def exactly(scores, log_weight):
    """Posteriors, normalisers and distances to the top of each row, in extended precision."""
    z = scores if log_weight is None else scores + log_weight.astype(scores.dtype)
    z = z.astype(np.longdouble)
    most = z.max(axis=1, keepdims=True, initial=-np.inf)
    exponentials = np.exp(z - most)
    total = exponentials.sum(axis=1, keepdims=True)
    return exponentials / total, (most + np.log(total))[:, 0], most - z


def assert_within_bound(result, scores, log_weight):
    posteriors, lse, below = exactly(scores, log_weight)
    u = np.finfo(scores.dtype).eps / 2
    least = 2.0**-100 if scores.dtype == np.float32 else 2.0**-1000
    assert result.posteriors.dtype == result.lse.dtype == scores.dtype
    # The bound of the contract; what is excluded (-inf) has a posterior of exactly 0.
    allowed = (3 * np.where(np.isfinite(below), below, 0) + 120) * u * posteriors
    error = np.abs(result.posteriors - posteriors)
    assert (error <= np.where(posteriors >= least, allowed, least)).all()
    assert (result.posteriors[np.isinf(below)] == 0).all()
    assert (np.abs(result.lse - lse) <= (np.abs(lse) + 120) * u).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_sizes(backend, dtype):
    for i, k in enumerate(COLUMNS):
        n = SIZES[i % len(SIZES)]
        scores, weight = problem(n, k, dtype)
        for log_weight in (None, weight):
            result = row_softmax(scores, log_weight=log_weight, return_labels=True, backend=backend)
            assert_within_bound(result, scores, log_weight)
            z = scores if log_weight is None else scores + log_weight.astype(dtype)
            assert result.labels.dtype == np.int32
            assert np.array_equal(result.labels, z.argmax(axis=1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("k", [5, 33, 1500])
def test_any_magnitude(backend, dtype, k):
    # Rows a long way from 0, and spreads between nothing and more than the range of an exponential.
    rng = np.random.default_rng(k)
    largest = 1e37 if dtype == np.float32 else 1e307
    rows = [rng.standard_normal(k) * spread for spread in (1e-30, 1, 1e3, largest)]
    rows += [rng.standard_normal(k) + shift for shift in (-1e4, 1e4)]
    scores = np.array(rows).astype(dtype)
    assert_within_bound(row_softmax(scores, backend=backend), scores, None)


@pytest.mark.parametrize("k", [1, 2, 17, 40, 1024, 2000])
def test_ties_go_to_the_lowest_column(backend, k):
    scores = np.zeros((50, k), dtype=np.float32)
    rng = np.random.default_rng(k)
    for i in range(len(scores)):
        scores[i, rng.integers(0, k, 3)] = 1.0
    scores[0] = 0.0
    scores[1] = [-0.0] * (k // 2) + [0.0] * (k - k // 2)
    result = row_softmax(scores, return_labels=True, backend=backend)
    assert np.array_equal(result.labels, scores.argmax(axis=1))
    assert np.array_equal(result.posteriors[0], np.full(k, result.posteriors[0, 0]))
    assert row_softmax(scores, backend=backend).labels is None


@pytest.mark.parametrize("k", [2, 9, 64, 1025])
def test_minus_infinity_excludes(backend, k):
    scores, log_weight = problem(33, k, np.float64)
    scores[::2, 0] = -np.inf
    scores[1, :-1] = -np.inf
    log_weight[-2] = -np.inf
    scores[:, -1] = 0.5
    result = row_softmax(scores, log_weight=log_weight, return_labels=True, backend=backend)
    assert_within_bound(result, scores, log_weight)
    assert (result.posteriors[:, -2] == 0).all()
    assert result.posteriors[1, -1] == 1.0
    assert result.labels[1] == k - 1


def test_a_number_as_weight_moves_the_normaliser_alone(backend):
    scores = problem(9, 7, np.float64)[0]
    plain, moved = (row_softmax(scores, log_weight=w, backend=backend) for w in (None, 0.5))
    assert np.allclose(moved.lse, plain.lse + 0.5, rtol=0, atol=1e-13)
    assert np.allclose(moved.posteriors, plain.posteriors, rtol=1e-13, atol=0)


@pytest.mark.parametrize("k", [10, 1300])
def test_in_place_and_into_an_array(backend, k):
    scores, log_weight = problem(70, k, np.float32)
    options = {"log_weight": log_weight, "return_labels": True, "backend": backend}
    expected = row_softmax(scores, **options)
    out = np.empty_like(scores)
    into = row_softmax(scores, out=out, **options)
    assert into.posteriors is out
    own = scores.copy()
    in_place = row_softmax(own, out=own, **options)
    assert in_place.posteriors is own
    for result in (into, in_place):
        for got, wanted in zip(result, expected, strict=True):
            assert np.array_equal(got, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
def test_layouts_and_threads_give_the_same_bits(backend, layout, dtype, tmp_path):
    arrange = (LAYOUTS | COPIED_LAYOUTS)[layout]
    for n, k in [(1500, 33), (257, 10), (40, 1100)]:
        scores, log_weight = problem(n, k, dtype)
        options = {"log_weight": log_weight, "return_labels": True, "backend": backend}
        expected = row_softmax(scores, n_threads=1, **options)
        for n_threads in (1, 3):
            result = row_softmax(arrange(scores, tmp_path), n_threads=n_threads, **options)
            for got, wanted in zip(result, expected, strict=True):
                assert np.array_equal(got, wanted)


@pytest.mark.parametrize("k", [1, 4, 65, 1030])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_a_score_is_found_anywhere(backend, value, k):
    for row, column in [(0, 0), (0, k - 1), (38, k // 2), (37, k - 1)]:
        scores = np.zeros((39, k), dtype=np.float32)
        scores[row, column] = value
        with pytest.raises(ValueError, match=rf"finite or -inf, got NaN or \+inf in row {row}$"):
            row_softmax(scores, return_labels=True, backend=backend)


@pytest.mark.parametrize("k", [1, 4, 65, 1030])
def test_a_row_without_any_class_is_refused(backend, k):
    scores = np.zeros((21, k))
    scores[20] = -np.inf
    with pytest.raises(ValueError, match="all scores of row 20"):
        row_softmax(scores, backend=backend)
    with pytest.raises(ValueError, match="all scores of row 0"):
        row_softmax(scores, log_weight=-np.inf, backend=backend)


def test_sums_beyond_the_range_are_refused(backend):
    scores = np.array([[3e38, 0.0]], dtype=np.float32)
    with pytest.raises(ValueError, match="scores \\(with log_weight\\) must be finite"):
        row_softmax(scores, log_weight=[3e38, 0.0], backend=backend)
    with pytest.raises(ValueError, match="scores \\(with log_weight\\) must be finite"):
        row_softmax(scores, log_weight=[1e300, 0.0], backend=backend)


# Scores have rules of their own for what is not finite.
@pytest.mark.parametrize(
    "bad", [b for b in BAD_MATRICES if b.name != "nan" and "inf" not in b.name], ids=str
)
def test_bad_matrices(bad):
    with pytest.raises(bad.error, match=bad.message.format(name="scores")):
        row_softmax(bad.make(np.arange(35.0).reshape(7, 5)))


def test_bad_arguments():
    scores = np.zeros((3, 2))
    for log_weight, message in [
        (np.nan, "log_weight must be finite"),
        (np.inf, "log_weight must be finite"),
        ([0.0], r"log_weight must be a scalar or have shape \(2,\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            row_softmax(scores, log_weight=log_weight)
    with pytest.raises(TypeError, match="out must be a numpy array"):
        row_softmax(scores, out=[0.0])
    for out, message in [
        (np.zeros((3, 2), dtype=np.float32), "out must have shape"),
        (np.zeros((2, 3)), "out must have shape"),
        (np.zeros((2, 3)).T, "out must be C-contiguous"),
    ]:
        with pytest.raises(ValueError, match=message):
            row_softmax(scores, out=out)
    shared = np.zeros((4, 2))
    with pytest.raises(ValueError, match="out must be scores itself or not overlap"):
        row_softmax(shared[1:], out=shared[:-1])
    with pytest.raises(ValueError, match="n_threads must be from 1"):
        row_softmax(scores, n_threads=0)
    with pytest.raises(ValueError, match="backend must be None or one of"):
        row_softmax(scores, backend="fast")
