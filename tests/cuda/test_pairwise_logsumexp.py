"""The streaming log-sum-exp for CUDA devices, emulated: within the bound of its contract."""

import numpy as np
import pytest
from scipy.special import logsumexp

from clusterlib.kernels import pairwise_logsumexp
from clusterlib.kernels._cupy import pairwise_sums
from clusterlib.kernels._cupy.runtime import use
from tests.cuda.emul.emulator import ORDERS, EmulatedRuntime
from tests.cuda.test_pairwise_distances import KINDS, SHAPES, rows
from tests.helpers import DTYPES, METRICS
from tests.kernels.test_logsumexp import MASKS, bounds, exact_scores


def on_device(runtime, X, Y, **options):
    """Call with device copies of all arrays; results on the host."""
    options = {
        key: runtime.to_device(value) if isinstance(value, np.ndarray) else value
        for key, value in options.items()
    }
    result = pairwise_logsumexp(runtime.to_device(X), runtime.to_device(Y), **options)
    if isinstance(result, tuple):
        return tuple(runtime.to_host(part) for part in result)
    return runtime.to_host(result)


def check(
    runtime, X, Y, metric="sqeuclidean", beta=1.0, log_weight=None, mask=None, groups=None, q=0
):
    n, m = len(X), len(Y)
    x_group, y_group = groups if mask else (None, None)
    allowed = (x_group[:, None] == y_group) == (mask == "same") if mask else True
    w = np.zeros(m) if log_weight is None else log_weight
    wide = np.broadcast_to(np.asarray(beta, dtype=np.float64), (n,))
    scores, D = exact_scores(X, Y, metric, wide, w, allowed)
    with np.errstate(divide="ignore"):  # SciPy takes the logarithm of an empty sum
        expected = logsumexp(scores, axis=1) if m else np.full(n, -np.inf)
    values = np.random.default_rng(q).uniform(-1, 1, (m, q)).astype(X.dtype) if q else None
    result = on_device(
        runtime, X, Y, metric=metric, inverse_temperature=beta, log_weight=log_weight, mask=mask,
        x_group=x_group, y_group=y_group, values=values,
    )  # fmt: skip
    lse, weighted = result if q else (result, None)
    assert lse.dtype == X.dtype and lse.shape == (n,)
    empty = expected == -np.inf
    assert np.array_equal(lse == -np.inf, empty)
    bound = bounds(X, Y, metric, wide, scores, D, expected)
    assert np.all(np.abs(lse[~empty] - expected[~empty]) <= bound[~empty]), (n, m, X.shape[1])
    if q:
        assert weighted.dtype == X.dtype and weighted.shape == (n, q)
        assert np.all(weighted[empty] == 0)
        shares = np.exp(scores[~empty] - expected[~empty, None])
        # Each share is off by a factor e^(2 bound): bound for its exponent, bound for the sum.
        error = np.abs(weighted[~empty] - shares @ values.astype(np.float64))
        with np.errstate(over="ignore"):  # no bound at all where distances underflow
            assert np.all(error <= 2 * np.expm1(2 * bound[~empty, None]))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_shapes(emulated, dtype, metric):
    for i, (n, m, d) in enumerate(SHAPES):
        rng = np.random.default_rng(i)
        X, Y = rows(n, d, dtype, 2 * i), rows(m, d, dtype, 2 * i + 1)
        groups = rng.integers(0, 3, n), rng.integers(0, 3, m)
        log_weight = None if i % 3 == 0 else rng.standard_normal(m)
        beta = rng.uniform(0, 2, n).astype(dtype)
        check(
            emulated, X, Y, metric, beta, log_weight, MASKS[i % 3], groups, q=(0, 1, 5, 33)[i % 4]
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_rows(emulated, dtype):
    X, nothing = rows(3, 2, dtype), np.empty((0, 2), dtype)
    lse, weighted = on_device(emulated, X, nothing, values=np.empty((0, 4), dtype))
    assert np.array_equal(lse, np.full(3, -np.inf)) and np.array_equal(weighted, np.zeros((3, 4)))
    lse, weighted = on_device(emulated, nothing, X, values=X)
    assert lse.shape == (0,) and weighted.shape == (0, 2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sharp_and_flat_temperatures(emulated, dtype):
    X, Y = rows(65, 8, dtype, 1), rows(33, 8, dtype, 2)
    for beta in (0.0, 1e-6, 30.0, 1e4, np.geomspace(1e-3, 1e3, 65)):
        check(emulated, X, Y, beta=beta, q=3)


@pytest.mark.parametrize("dtype", DTYPES)
def test_parts_of_the_columns_are_put_together(emulation, dtype):
    X, Y = rows(5, 3, dtype, 1), rows(1100, 3, dtype, 2)
    log_weight = np.linspace(-300, 300, 1100)
    for options in ({}, {"log_weight": log_weight}, {"log_weight": log_weight[::-1].copy()}):
        check(emulation, X, Y, **options)
        sums = [grid for kernel, grid in emulation.launched if "logsumexp_tiles" in kernel.kernel]
        assert sums[-1] == (4,)  # five tiles of 64 columns each, three in the last
    only_last = np.where(np.arange(1100) < 1090, -np.inf, 0.0)
    check(emulation, X, Y, log_weight=only_last, q=2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_chunks_of_the_softmax(emulation, monkeypatch, dtype):
    X, Y = rows(70, 4, dtype, 1), rows(101, 4, dtype, 2)
    groups = np.arange(70) % 3, np.arange(101) % 3
    values = rows(101, 5, dtype, 3)
    whole = on_device(emulation, X, Y, values=values)
    monkeypatch.setattr(pairwise_sums, "_CHUNK_COLUMNS", 40)
    monkeypatch.setattr(pairwise_sums, "_CHUNK_BYTES", 40 * 16 * np.dtype(dtype).itemsize)
    launches = len(emulation.launched)
    chunks = on_device(emulation, X, Y, values=values)
    softmax = [k for k, _ in emulation.launched[launches:] if "softmax_tiles" in k.kernel]
    assert len(softmax) == 15
    assert np.array_equal(whole[0], chunks[0])
    assert np.allclose(whole[1], chunks[1], rtol=0, atol=8 * np.finfo(dtype).eps)
    for mask in MASKS:
        check(emulation, X, Y, mask=mask, groups=groups, log_weight=np.sin(np.arange(101.0)), q=3)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_scales_and_offsets(emulated, dtype, metric):
    power = {"cosine": 0, "euclidean": 1}.get(metric, 2)
    for scale in [1e-22, 1e18] if dtype == np.float32 else [1e-150, 1e140]:
        X, Y = rows(33, 9, dtype, 1, scale), rows(35, 9, dtype, 2, scale)
        beta = 1.0 / scale**power
        check(emulated, X, Y, metric, beta, q=2)
        # The bound of the contract allows anything where squares underflow.
        options = {"metric": metric, "inverse_temperature": beta, "backend": "reference"}
        expected = pairwise_logsumexp(X.astype(np.float64), Y.astype(np.float64), **options)
        del options["backend"]
        lse = on_device(emulated, X, Y, **options)
        assert np.allclose(lse, expected, rtol=0, atol=500 * np.finfo(dtype).eps)
    X, Y = rows(33, 9, dtype, 3) + 1000, rows(35, 9, dtype, 4) + 1000
    check(emulated, X, Y, metric, 0.1 if metric != "inner_product" else 1e-6, q=2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_inverse_temperature_is_the_mean_of_the_allowed_rows(emulated, dtype):
    X, Y = np.array([[5.0], [-3.0]], dtype), np.array([[1.0], [2.0], [6.0]], dtype)
    lse, mean = on_device(emulated, X, Y, inverse_temperature=0.0, values=Y)
    tolerance = 4 * np.finfo(dtype).eps
    assert np.allclose(lse, np.log(3.0), rtol=tolerance)
    assert np.allclose(mean, 3.0, rtol=tolerance)
    far = np.array([[1e160], [-1e160]]) if dtype == np.float64 else Y  # distances are infinite
    assert np.allclose(
        on_device(emulated, X, far.astype(dtype), inverse_temperature=0.0), np.log(len(far))
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_of_zero_leave_rows_out(emulated, dtype):
    X, Y = rows(17, 5, dtype, 1), rows(70, 5, dtype, 2)
    kept = np.arange(70) % 3 == 0
    log_weight = np.where(kept, 0.25, -np.inf)
    check(emulated, X, Y, log_weight=log_weight, q=2)
    fewer = on_device(emulated, X, Y[kept], log_weight=0.25, values=Y[kept])
    for got, wanted in zip(
        on_device(emulated, X, Y, log_weight=log_weight, values=Y), fewer, strict=True
    ):
        assert np.allclose(got, wanted, rtol=0, atol=100 * np.finfo(dtype).eps)
    lse, weighted = on_device(emulated, X, Y, log_weight=-np.inf, values=Y)
    assert np.all(np.isneginf(lse)) and np.array_equal(weighted, np.zeros((17, 5)))


def test_weights_of_zero_win_over_infinite_products(emulated):
    X, Y = np.full((1, 2), 1e200), np.array([[1e200, 1e200], [0.0, 0.0]])
    log_weight = np.array([-np.inf, 0.5])
    lse = on_device(emulated, X, Y, metric="inner_product", log_weight=log_weight)
    assert np.array_equal(lse, [0.5])


def test_no_allowed_column_is_minus_infinity_and_zero(emulated):
    X, Y = np.zeros((3, 2)), np.ones((4, 2))
    groups = {"x_group": np.array([1, 2, 1]), "y_group": np.array([1, 1, 1, 1])}
    lse, weighted = on_device(emulated, X, Y, mask="different", values=Y, **groups)
    assert np.array_equal(np.isneginf(lse), [True, False, True])
    assert np.array_equal(weighted, [[0, 0], [1, 1], [0, 0]])


def test_group_numbers_may_be_any_integers(emulated):
    X, big = np.zeros((2, 1)), np.array([2**62, -(2**62)])
    groups = {"x_group": big, "y_group": big + [0, 1]}
    assert np.array_equal(on_device(emulated, X, X, mask="same", **groups), [0.0, -np.inf])
    narrow = {"x_group": np.array([1, 2], np.uint8), "y_group": np.array([2, 2], np.int32)}
    same = on_device(emulated, X, X, mask="same", **narrow)
    assert np.allclose(same, [-np.inf, np.log(2.0)], rtol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_common_shift_of_the_weights_only_shifts(emulated, dtype):
    # Exponents far outside the range of exp: only their differences may matter.
    X, Y = rows(9, 4, dtype, 8), rows(33, 4, dtype, 9)
    near, mean = on_device(emulated, X, Y, values=Y)
    for shift in (-(2.0**12), 2.0**12):
        far, far_mean = on_device(emulated, X, Y, log_weight=np.full(33, shift), values=Y)
        tolerance = 2.0**12 * 16 * np.finfo(dtype).eps
        assert np.allclose(far - dtype(shift), near, rtol=0, atol=tolerance)
        assert np.allclose(far_mean, mean, rtol=0, atol=4 * tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
def test_distances_that_overflow_carry_no_weight(emulated, dtype):
    big = 3e19 if dtype == np.float32 else 3e160
    X, Y = np.zeros((1, 2), dtype), np.array([[1.0, 0.0], [big, big]], dtype)
    values = np.array([[2.0], [5.0]], dtype)
    lse, weighted = on_device(emulated, X, Y, values=values)
    # The near row is rounded away beside the far one: its distance is 0 up to the bound.
    assert -1.0 - 1e-6 <= lse[0] <= 0.0 and np.allclose(weighted, 2.0, rtol=1e-6)
    if dtype == np.float64:  # a float32 distance is finite in the prepared units
        lse = on_device(emulated, X, Y[1:], inverse_temperature=1e-300)
        assert np.array_equal(lse, [-np.inf])


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_depend_on_no_order(compiler, dtype):
    for n, m, d in [*KINDS, (5, 600, 3)]:
        X, Y = rows(n, d, dtype, 1), rows(m, d, dtype, 2)
        results = []
        for order in ORDERS:
            with use(EmulatedRuntime(order, seed=7)) as runtime:
                results.append(on_device(runtime, X, Y, values=Y))
        for part in range(2):
            assert all(np.array_equal(results[0][part], other[part]) for other in results[1:])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(emulated, value):
    good, bad = rows(40, 5, np.float32), rows(40, 5, np.float32)
    bad[33, 4] = value
    for X, Y, name in ((good, bad, "Y"), (bad, good, "X")):
        with pytest.raises(ValueError, match=f"{name} contains NaN or infinity"):
            on_device(emulated, X, Y)
    with pytest.raises(ValueError, match="values contains NaN or infinity"):
        on_device(emulated, good, good, values=bad)
    with pytest.raises(ValueError, match="log_weight must be finite"):
        on_device(emulated, good, good, log_weight=abs(bad[:, 4].astype(np.float64)))


def test_bad_arguments(emulated):
    X = rows(3, 2, np.float32)
    device = emulated.to_device(X)
    with pytest.raises(TypeError, match="Y is on the host"):
        pairwise_logsumexp(device, X)
    for name, value in (("values", X), ("log_weight", X[:, 0]), ("inverse_temperature", X[:, 0])):
        with pytest.raises(TypeError, match=f"{name} is on the host"):
            pairwise_logsumexp(device, device, **{name: value})
    with pytest.raises(ValueError, match="inverse_temperature must be finite and at least 0"):
        pairwise_logsumexp(device, device, inverse_temperature=-1.0)
    with pytest.raises(ValueError, match="log_weight must be a scalar or have shape"):
        pairwise_logsumexp(device, device, log_weight=emulated.zeros((2,), np.float64))
    with pytest.raises(ValueError, match=r"values must have shape \(3, q\)"):
        pairwise_logsumexp(device, device, values=device[:2])
    with pytest.raises(ValueError, match=r"values must have shape \(3, q\), got \(3,\)"):
        pairwise_logsumexp(device, device, values=device[:, 0])
    with pytest.raises(ValueError, match="needs x_group"):
        pairwise_logsumexp(device, device, mask="same")
    far = emulated.to_device(np.full(3, 2**63, np.uint64))
    with pytest.raises(ValueError, match="x_group must fit into int64, got 9223372036854775808"):
        pairwise_logsumexp(device, device, mask="same", x_group=far, y_group=far)
    with pytest.raises(ValueError, match="mask is None"):
        pairwise_logsumexp(device, device, x_group=emulated.zeros((3,), np.int64))
    with pytest.raises(TypeError, match="x_group must hold integers"):
        pairwise_logsumexp(device, device, mask="same", x_group=device[:, 0], y_group=device[:, 0])


def test_values_without_columns(emulated):
    X, Y = np.ones((3, 2)), np.ones((4, 2))
    lse, weighted = on_device(emulated, X, Y, values=np.ones((4, 0)))
    assert lse.shape == (3,) and weighted.shape == (3, 0)


def test_numbers_may_lie_on_the_device(emulated):
    X, Y = np.eye(3), np.ones((4, 3))
    expected = on_device(emulated, X, Y, inverse_temperature=0.5)
    assert np.array_equal(on_device(emulated, X, Y, inverse_temperature=np.array(0.5)), expected)
