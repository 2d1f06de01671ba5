"""Arguments of the sweeps over non-negative factors that are refused."""

import numpy as np
import pytest

from clusterlib.kernels import hals_sweep, masked_hals_sweep
from tests.helpers import BAD_MATRICES, DTYPES

N, M, K = 70, 9, 4


def plain(dtype=np.float64):
    """Arguments of hals_sweep that are accepted."""
    rng = np.random.default_rng(0)
    W, H = rng.gamma(1.0, size=(N, K)), rng.gamma(1.0, size=(K, M))
    return {"W": W.astype(dtype), "R": (W @ H @ H.T).astype(dtype), "G": H @ H.T}


def masked(dtype=np.float64):
    """Arguments of masked_hals_sweep that are accepted."""
    rng = np.random.default_rng(1)
    arrays = {"W": (N, K), "X": (N, M), "V": (N, M), "H": (K, M)}
    return {name: rng.gamma(1.0, size=shape).astype(dtype) for name, shape in arrays.items()}


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def misaligned(array):
    view = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


W, X = plain()["W"], masked()["X"]
FACTORS = [
    ([[1.0]], TypeError, "W must be a float32 or float64 array, got list"),
    (None, TypeError, "W must be a float32 or float64 array, got NoneType"),
    (W.astype(int), TypeError, "W must be a float32 or float64 array, got int64"),
    (W.astype(">f8"), TypeError, "W must be a float32 or float64 array, got >f8"),
    (W[0], ValueError, r"W must have shape \(n, k\) with at least 1 column, got \(4,\)"),
    (W[:, :0], ValueError, r"W must have shape \(n, k\) with at least 1 column, got \(70, 0\)"),
    (W.T.copy().T, ValueError, "W must be C-contiguous, aligned and writeable"),
    (W[::2], ValueError, "W must be C-contiguous, aligned and writeable"),
    (read_only(W), ValueError, "W must be C-contiguous, aligned and writeable"),
    (misaligned(W), ValueError, "W must be C-contiguous, aligned and writeable"),
    (W.astype(np.float32), TypeError, "must have the dtype of W, float32, got float64"),
]
OPTIONS = [
    ({"n_sweeps": 0}, ValueError, "n_sweeps must be from 1 to"),
    ({"n_sweeps": -1}, ValueError, "n_sweeps must be from 1 to"),
    ({"n_sweeps": 1.0}, TypeError, "n_sweeps must be an integer, got 1.0"),
    ({"n_sweeps": True}, TypeError, "n_sweeps must be an integer, got True"),
    ({"n_threads": 0}, ValueError, "n_threads must be from 1"),
    ({"n_threads": 1.5}, TypeError, "n_threads must be an integer, got 1.5"),
    ({"backend": "cuda"}, ValueError, "backend must be None or one of"),
]
PLAIN = [
    *[({"W": value}, error, message) for value, error, message in FACTORS],
    ({"W": W[:5]}, ValueError, r"R must have shape \(5, 4\), got \(70, 4\)"),
    ({"R": W[:, :3]}, ValueError, r"R must have shape \(70, 4\), got \(70, 3\)"),
    ({"R": W.astype(np.float32)}, TypeError, "R must have the dtype of W, float64, got float32"),
    ({"G": np.eye(3)}, ValueError, r"G must have shape \(4, 4\), got \(3, 3\)"),
    ({"G": np.ones(4)}, ValueError, r"G must have shape \(4, 4\), got \(4,\)"),
    ({"G": None}, TypeError, "G must be an array of numbers, got None"),
    ({"G": np.full((4, 4), "a")}, TypeError, "G must be an array of real numbers"),
    ({"G": np.full((4, 4), np.nan)}, ValueError, "G contains NaN or infinity"),
    ({"G": np.diag([1.0, 1.0, 1.0, np.inf])}, ValueError, "G contains NaN or infinity"),
    *OPTIONS,
]  # fmt: skip
MASKED = [
    *[({"W": value}, error, message) for value, error, message in FACTORS],
    ({"W": W[:5]}, ValueError, r"X must have shape \(5, 9\), got \(70, 9\)"),
    ({"X": X[:, :8]}, ValueError, r"V must have shape \(70, 8\), got \(70, 9\)"),
    ({"V": X[:, :1]}, ValueError, r"V must have shape \(70, 9\), got \(70, 1\)"),
    ({"V": X.astype(np.float32)}, TypeError, "V must have the dtype of W, float64, got float32"),
    ({"H": X[:3]}, ValueError, r"H must have shape \(4, 9\), got \(3, 9\)"),
    ({"H": X[:4].T}, ValueError, r"H must have shape \(4, 9\), got \(9, 4\)"),
    ({"H": X[:4].astype(np.float32)}, TypeError, "H must have the dtype of W"),
    ({"l1": -0.1}, ValueError, "l1 must be finite and at least 0, got -0.1"),
    ({"l1": np.nan}, ValueError, "l1 must be finite and at least 0, got nan"),
    ({"l2": -0.1}, ValueError, "l2 must be finite and at least 0, got -0.1"),
    ({"l2": np.inf}, ValueError, "l2 must be finite and at least 0, got inf"),
    ({"l2": [0.1, 0.2]}, TypeError, r"l2 must be a number, got \[0.1, 0.2\]"),
    ({"l1": "large"}, TypeError, "l1 must be a number, got 'large'"),
    *OPTIONS,
]
CASES = [(hals_sweep, plain, *case) for case in PLAIN]
CASES += [(masked_hals_sweep, masked, *case) for case in MASKED]


@pytest.mark.parametrize(
    ("sweep", "good", "arguments", "error", "message"),
    CASES,
    ids=[f"{sweep.__name__}-{'-'.join(a)}-{i}" for i, (sweep, _, a, *_) in enumerate(CASES)],
)
def test_a_sweep_is_refused(sweep, good, arguments, error, message):
    everything = good() | arguments
    before = np.array(everything["W"])
    with pytest.raises(error, match=message):
        sweep(**everything)
    assert np.array_equal(np.array(everything["W"]), before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("sweep", "good"), [(hals_sweep, plain), (masked_hals_sweep, masked)])
def test_what_the_tables_start_from_is_accepted(backend, sweep, good, dtype):
    arguments = good(dtype)
    sweep(**arguments, backend=backend)
    assert np.isfinite(arguments["W"]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_masks_may_be_boolean_and_counts_whole_numbers(backend, dtype):
    one, other = masked(dtype), masked(dtype)
    one["V"], one["X"] = one["V"] > 0.5, one["X"].astype(int)
    other["V"], other["X"] = one["V"].astype(dtype), one["X"].astype(dtype)
    masked_hals_sweep(**one, backend=backend)
    masked_hals_sweep(**other, backend=backend)
    assert one["W"].dtype == dtype and np.array_equal(one["W"], other["W"])


@pytest.mark.parametrize("bad", BAD_MATRICES, ids=str)
@pytest.mark.parametrize(
    ("sweep", "good", "name"),
    [(hals_sweep, plain, "R")] + [(masked_hals_sweep, masked, name) for name in "XVH"],
)
def test_bad_matrices_are_refused(sweep, good, name, bad):
    arguments = good()
    arguments[name] = bad.make(arguments[name])
    with pytest.raises(bad.error, match=bad.message.format(name=name)):
        sweep(**arguments)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -1e-30])
@pytest.mark.parametrize("row", [0, 37, N - 1])
@pytest.mark.parametrize(
    ("sweep", "good", "name"),
    [(hals_sweep, plain, "W"), (hals_sweep, plain, "R")]
    + [(masked_hals_sweep, masked, name) for name in "WXV"],
)
def test_bad_numbers_are_found_and_their_rows_stay(backend, sweep, good, name, row, wrong):
    for column in range(good()[name].shape[1]):
        arguments = good()
        arguments[name][row, column] = wrong
        before = arguments["W"].copy()
        if wrong == -1e-30 and name in "RX":  # these may be negative
            sweep(**arguments, backend=backend)
            continue
        wanted = "contains NaN or infinity"
        if name in "WV" and wrong < 0:
            wanted = "must be at least 0|contains NaN or infinity"
        with pytest.raises(ValueError, match=f"{name} ({wanted})"):
            sweep(**arguments, n_sweeps=2, backend=backend)
        assert np.array_equal(arguments["W"][row], before[row], equal_nan=True)


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e30), (np.float64, 1e250)])
def test_sums_that_leave_the_range_are_refused(backend, dtype, size):
    if backend == "reference":  # which calculates in float64 whatever it is given
        dtype, size = np.float64, 1e250
    arguments = masked(dtype)
    arguments["X"] *= dtype(size)
    arguments["H"] *= dtype(size)
    with pytest.raises(ValueError, match="sums leave the range of float"):
        masked_hals_sweep(**arguments, backend=backend)
    arguments = plain(dtype)
    arguments["W"] *= dtype(size)
    arguments["G"] = np.full((K, K), size) + np.eye(K)
    arguments["G"][0, 0] = 1 / size
    with pytest.raises(ValueError, match="sums leave the range of float"):
        hals_sweep(**arguments, backend=backend)


@pytest.mark.parametrize("dtype", DTYPES)
def test_factors_that_leave_the_range_are_refused(backend, dtype):
    far = dtype(np.sqrt(np.finfo(dtype).max))
    W, one = np.ones((3, 1), dtype), np.ones((3, 1), dtype)
    with pytest.raises(ValueError, match="sums leave the range of float"):
        hals_sweep(W, one * far, np.array([[1 / (4.0 * far)]]), backend=backend)
    with pytest.raises(ValueError, match="sums leave the range of float"):
        masked_hals_sweep(W, one * np.finfo(dtype).max, one, one[:1] / 4, backend=backend)
    assert np.array_equal(W, one)


@pytest.mark.parametrize("dtype", DTYPES)
def test_curvatures_whose_inverse_leaves_the_range_are_refused(backend, dtype):
    limit = 1 / float(np.finfo(dtype).tiny)
    W, R = np.ones((5, 2), dtype), np.full((5, 2), limit, dtype)
    with pytest.raises(ValueError, match="sums leave the range of float"):
        hals_sweep(W, R, np.diag([1.0, 2 * limit]), backend=backend)
    assert np.array_equal(W, np.ones((5, 2)))
    hals_sweep(W, R, np.diag([limit, limit]), backend=backend)
    assert np.array_equal(W, np.ones((5, 2)))


def test_products_that_overlap_the_factor_are_refused():
    arguments = plain()
    arguments["R"] = arguments["W"]
    with pytest.raises(ValueError, match="W must not overlap R in memory"):
        hals_sweep(**arguments)


@pytest.mark.parametrize("name", ["X", "V", "H"])
def test_cells_that_overlap_the_factor_are_refused(name):
    memory = np.ones((N, M + K))
    arguments = masked()
    arguments["W"] = memory.ravel()[: N * K].reshape(N, K)
    arguments[name] = memory[:K, :M] if name == "H" else memory[:, :M]
    with pytest.raises(ValueError, match=f"W must not overlap {name} in memory"):
        masked_hals_sweep(**arguments)
