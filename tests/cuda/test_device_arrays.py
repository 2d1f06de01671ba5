"""The arrays of the emulated device refuse what CuPy's refuse, and say where they are."""

import inspect
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from clusterlib.kernels._cupy.checks import as_device_matrix
from clusterlib.kernels._cupy.runtime import CupyRuntime, use
from clusterlib.kernels.dispatch import is_device_array
from tests.cuda.emul.arrays import DeviceArray, as_host, host_copies_refused
from tests.cuda.emul.emulator import EmulatedRuntime

RUNTIME = EmulatedRuntime(instances=())
HOST = np.arange(12, dtype=np.float64).reshape(3, 4)


@pytest.fixture
def array():
    return RUNTIME.to_device(HOST)


@pytest.mark.parametrize(
    "compute",
    [
        lambda a: a + 1,
        lambda a: np.float64(2) * a,
        lambda a: a[1],
        lambda a: a[1, 2],
        lambda a: a[a > 3],
        lambda a: a.T @ a,
        lambda a: a.sum(),
        lambda a: a.mean(1),
        lambda a: a.max(0),
        lambda a: a.astype(np.float32),
        lambda a: a.copy().ravel(),
        lambda a: np.sqrt(a),
        lambda a: np.where(a > 3, a, 0),
        lambda a: np.isnan(a).any(),
        lambda a: np.nonzero(a)[0],
        lambda a: np.concatenate([a, a]),
        lambda a: np.add(a, a, out=a.copy()),
    ],
)
def test_results_stay_on_the_device(array, compute):
    result = compute(array)
    assert isinstance(result, DeviceArray)
    assert is_device_array(result)
    expected = compute(HOST)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(as_host(result), expected)


@pytest.mark.parametrize(
    "compute",
    [
        lambda a: a + HOST,
        lambda a: HOST + a,
        lambda a: np.where(a > 3, a, HOST),
        lambda a: np.concatenate([a, HOST]),
        lambda a: np.multiply(a, a, out=HOST.copy()),
        lambda a: np.multiply(HOST, HOST, out=a),
        lambda a: a.__setitem__(..., HOST),
        lambda a: HOST @ a.T,
    ],
)
def test_host_and_device_do_not_mix(array, compute):
    with pytest.raises(TypeError, match="numpy.ndarray"):
        compute(array)
    np.testing.assert_array_equal(as_host(array), HOST)


@pytest.mark.parametrize(
    "convert", [np.asarray, np.array, np.asanyarray, np.ascontiguousarray], ids=str
)
def test_conversions_can_be_refused(array, convert):
    name = convert.__name__
    with host_copies_refused():
        with pytest.raises(TypeError, match="implicit conversion of a device array"):
            getattr(np, name)(array)
        np.testing.assert_array_equal(getattr(np, name)(HOST), HOST)
    np.testing.assert_array_equal(getattr(np, name)(as_host(array)), HOST)


def test_transfers_and_allocations_of_the_runtime(array):
    home = RUNTIME.to_host(array)
    assert type(home) is np.ndarray
    home[0, 0] = -1
    assert float(array[0, 0]) == 0
    assert RUNTIME.owns(array)
    assert not RUNTIME.owns(home)
    for refused in (RUNTIME.asarray, RUNTIME.to_host):
        with pytest.raises(TypeError, match="no array of the device: ndarray"):
            refused(home)
    for shape in ((), (0,), (3, 0), (5,), (2, 3)):
        for dtype in (np.float32, np.float64, np.int32, np.int64, np.uint8, np.bool_):
            empty, zeros = RUNTIME.empty(shape, dtype), RUNTIME.zeros(shape, dtype)
            assert empty.shape == zeros.shape == shape
            assert empty.dtype == zeros.dtype == dtype
            assert empty.ctypes.data % 256 == zeros.ctypes.data % 256 == 0
            assert not as_host(zeros).any()
            if np.dtype(dtype).kind == "f":
                assert np.isnan(as_host(empty)).all()


def test_contiguous_copies_only_what_is_not(array):
    assert RUNTIME.contiguous(array) is array
    turned = RUNTIME.contiguous(array.T)
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(as_host(turned), HOST.T)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_fill_an_array_of_the_right_kind(dtype):
    A, B = (RUNTIME.to_device(HOST.astype(dtype)[rows]) for rows in ([0, 1, 2], [2, 1]))
    out = RUNTIME.empty((3, 2), dtype)
    RUNTIME.matmul(A, B, out)
    np.testing.assert_array_equal(as_host(out), HOST @ HOST[[2, 1]].T)
    other = np.float64 if dtype == np.float32 else np.float32
    with pytest.raises(TypeError):
        RUNTIME.matmul(A, B, RUNTIME.empty((3, 2), other))
    with pytest.raises(ValueError, match="size"):
        RUNTIME.matmul(A, B, RUNTIME.empty((2, 3), dtype))


def test_the_stand_in_has_the_methods_of_the_runtime():
    def methods(cls):
        functions = inspect.getmembers(cls, inspect.isfunction)
        return {
            name: [(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()]
            for name, f in functions
            if not name.startswith("_")
        }

    real, stand_in = methods(CupyRuntime), methods(EmulatedRuntime)
    assert {name: stand_in.get(name) for name in real} == real


class _Array:
    """As little of ``cupy.ndarray`` as the runtime asks for."""

    def __init__(self, device):
        self.data = SimpleNamespace(device_id=device)


class _Tensor:
    """An array of another library."""

    def __init__(self, device):
        self.device = device

    def __dlpack_device__(self):
        return (2, self.device)


class _Own(_Tensor):
    """A class of a user derived from that of the library."""


@pytest.fixture
def cupy_runtime(monkeypatch, tmp_path):
    """The runtime of a stand-in for CuPy with two devices, of which device 0 is current."""
    cuda = SimpleNamespace(
        getDeviceCount=lambda: 2, getDevice=lambda: 0, CUDARuntimeError=RuntimeError
    )
    cupy = SimpleNamespace(
        ndarray=_Array,
        cuda=SimpleNamespace(runtime=cuda),
        from_dlpack=lambda tensor: _Array(tensor.device),
    )
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path))
    return CupyRuntime()


def test_arrays_of_another_device_are_refused(cupy_runtime):
    for kind in (_Array, _Tensor):
        assert cupy_runtime.asarray(kind(0)).data.device_id == 0
        message = r"on CUDA device 1 .* current one is 0: .* 'with cupy.cuda.Device\(1\):'"
        with pytest.raises(ValueError, match=message):
            cupy_runtime.asarray(kind(1))


def test_results_are_made_by_the_library_of_the_input(cupy_runtime, monkeypatch):
    library = SimpleNamespace(from_dlpack=lambda result: ("tensor", result))
    monkeypatch.setitem(sys.modules, "library", library)
    monkeypatch.setattr(_Tensor, "__module__", "library.tensors")
    result = _Array(0)
    assert cupy_runtime.like(result, _Array(0)) is result
    for kind in (_Tensor, _Own):  # the module of _Own has no from_dlpack
        assert cupy_runtime.like(result, kind(0)) == ("tensor", result)


def test_numbers_of_features_leave_room_for_a_step():
    wide = RUNTIME.zeros((1,), np.float32)
    rows = np.lib.stride_tricks.as_strided(as_host(wide), (1, 2**31 - 512), (4, 0))
    with use(RUNTIME), pytest.raises(ValueError, match="at most 2147482624 features"):
        as_device_matrix("X", rows.view(DeviceArray))


@pytest.mark.parametrize("variable", ["CUPY_TF32", "CUBLAS_EMULATE_SINGLE_PRECISION"])
def test_products_are_not_rounded_where_the_environment_asks_for_it(
    cupy_runtime, monkeypatch, variable
):
    dtypes = []

    def multiply(A, B, out=None):
        dtypes.append(A.dtype.name)
        return np.matmul(A, B, out=out)

    monkeypatch.setattr(sys.modules["cupy"], "matmul", multiply, raising=False)
    A, out = np.eye(2, dtype=np.float32), np.zeros((2, 2), np.float32)
    for value in ("0", "1"):
        monkeypatch.setenv(variable, value)
        cupy_runtime.matmul(A, A, out)
        assert np.array_equal(out, A) and out.dtype == np.float32
    assert dtypes == ["float32", "float64"]
