"""Sums of columns over scores beside whole matrices of exponentials, in range and out of it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import logsumexp

from clusterlib.solvers.score_sweeps import ScoreSweeps

OPTIONS = {"n_threads": None, "backend": None}


def sweeps_of(scores, epsilon=0.2, *, used=None, precise=False):
    used = np.ones(scores.shape[1], dtype=bool) if used is None else used
    return ScoreSweeps(scores, epsilon, used, precise, OPTIONS)


def scores_of(n=700, k=6, dtype=np.float64, scale=1.0, seed=0):
    return (scale * np.random.default_rng(seed).uniform(-1, 1, size=(n, k))).astype(dtype)


@pytest.mark.parametrize("n", [1, 255, 256, 257, 700, 3000])
@pytest.mark.parametrize("precise", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_and_codes(dtype, precise, n):
    scores = scores_of(n, dtype=dtype)
    used = np.array([True, True, False, True, True, True])
    sweeps = sweeps_of(scores, used=used, precise=precise)
    wide, tol = scores.astype(np.float64) / 0.2, 1e-5 if dtype is np.float32 else 1e-12
    expected = np.where(used, logsumexp(wide, axis=0), -np.inf)
    assert_allclose(sweeps.first_logs(), expected, rtol=tol)
    loads = np.where(used, np.linspace(-1, 1, 6), -np.inf)
    rows = logsumexp(wide + loads, axis=1, keepdims=True)
    expected = np.where(used, logsumexp(wide - rows, axis=0), -np.inf)
    assert_allclose(sweeps.logs(loads), expected, rtol=tol, atol=tol)
    out = np.empty_like(scores)
    assert sweeps.codes(loads, out) is out
    assert_allclose(out, np.exp(wide + loads - rows), rtol=10 * tol, atol=tol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("exponent", "fits"), [(-0.98, 1), (-1.02, 0), (0.98, 1), (1.02, 0)])
def test_sums_out_of_range_are_none_or_worked_out(dtype, exponent, fits):
    # The limits are a little inside of what float32 and float64 hold.
    limit = np.log(1e30 if dtype is np.float32 else 1e290)
    scores = np.zeros((1, 2), dtype=dtype)
    scores[0, 1] = exponent * limit
    logs = sweeps_of(scores, 1.0).first_logs()
    if fits:
        assert_allclose(logs, scores[0], atol=1e-5 * limit)
    else:
        assert logs is None
    # A column that nobody uses may have any sum.
    assert sweeps_of(scores, 1.0, used=np.array([True, False])).first_logs()[0] == 0.0
    assert_allclose(sweeps_of(scores, 1.0, precise=True).first_logs(), scores[0], rtol=1e-6)


@pytest.mark.parametrize("n", [3, 256, 900])
@pytest.mark.parametrize("scale", [50.0, 1e4])
def test_precise_sums_have_no_range(n, scale):
    scores = scores_of(n, dtype=np.float32, scale=scale)
    sweeps = sweeps_of(scores, precise=True)
    wide = scores.astype(np.float64) / 0.2
    assert_allclose(sweeps.first_logs(), logsumexp(wide, axis=0), rtol=1e-12)
    loads = np.linspace(-3, 3, 6) * scale
    expected = logsumexp(wide - logsumexp(wide + loads, axis=1, keepdims=True), axis=0)
    assert_allclose(sweeps.logs(loads), expected, rtol=1e-9, atol=1e-9)


def test_narrow_scores_leave_their_range_after_loads():
    scores = scores_of(50, dtype=np.float32)
    loads = np.array([0.0, 0, 0, 0, 0, -100.0])
    sweeps = sweeps_of(scores)
    assert sweeps.logs(loads) is None or np.isfinite(sweeps.logs(loads)).all()
    assert_allclose(
        sweeps_of(scores, precise=True).logs(loads)[5],
        logsumexp(scores[:, 5] / 0.2 - logsumexp(scores / 0.2 + loads, axis=1)),
        rtol=1e-6,
    )


def test_no_rows_have_no_sums():
    sweeps = sweeps_of(scores_of(0))
    assert_allclose(sweeps.first_logs(), np.full(6, -np.inf))
    assert_allclose(sweeps.logs(np.zeros(6)), np.full(6, -np.inf))


@pytest.mark.parametrize("value", [np.nan, -np.inf])
@pytest.mark.parametrize("row", [0, 400, 699])
def test_scores_that_are_not_finite_are_named(value, row):
    scores = scores_of()
    scores[row, 2] = value
    with pytest.raises(ValueError, match="scores contain"):
        sweeps_of(scores).first_logs()


def test_many_blocks_of_rows_give_the_same_bits():
    # More bytes than are looked at at once, so that partial sums are merged.
    scores = scores_of(2100, 512)
    logs = sweeps_of(scores).first_logs()
    assert_allclose(logs, np.log(np.exp(scores / 0.2).sum(axis=0)), rtol=1e-12)
