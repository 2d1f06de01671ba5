"""Where costs lie and how vectors get there, with arrays that only claim to be on a device."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from clusterlib.solvers import sides
from clusterlib.solvers.sides import HOST, DeviceSide, check_on_host, side_of


class Device(np.ndarray):
    """An array that the library takes for one on a device."""


class Runtime:
    """What moves arrays between the host and that device, and counts it."""

    def __init__(self):
        self.n_up = self.n_down = 0

    def empty(self, shape, dtype):
        return np.empty(shape, dtype).view(Device)

    def zeros(self, shape, dtype):
        return np.zeros(shape, dtype).view(Device)

    def asarray(self, array):
        assert isinstance(array, Device)
        return array

    def to_device(self, array):
        self.n_up += 1
        return array.copy().view(Device)

    def to_host(self, array):
        self.n_down += 1
        return np.array(array)

    def like(self, array, original):
        assert isinstance(array, Device)
        return "like", type(original), array


class Sums(NamedTuple):
    total: object
    out: object


@pytest.fixture
def runtime(monkeypatch):
    found = Runtime()
    monkeypatch.setattr(sides, "active", lambda: found)
    monkeypatch.setattr(sides, "is_device_array", lambda array: isinstance(array, Device))
    return found


def on_device(values, dtype=np.float64):
    return np.array(values, dtype=dtype).view(Device)


@pytest.mark.usefixtures("runtime")
def test_sides_are_told_by_the_array():
    assert side_of(np.zeros(3)) is HOST
    assert side_of([1.0]) is HOST
    assert HOST.on_host
    side = side_of(on_device([1.0]))
    assert isinstance(side, DeviceSide)
    assert not side.on_host
    with pytest.raises(TypeError, match="cost is on a CUDA device and solve works on host arrays"):
        check_on_host("solve", "cost", on_device([1.0]))
    with pytest.raises(TypeError, match=r"pass cupy.asnumpy\(cost\)"):
        check_on_host("solve", "cost", on_device([1.0]))

    class Cost:
        side = DeviceSide(None)

    with pytest.raises(TypeError, match="pass points from the host to PointCost"):
        check_on_host("solve", "cost", Cost())
    check_on_host("solve", "cost", np.zeros(2))
    Cost.side = HOST
    check_on_host("solve", "cost", Cost())


@pytest.mark.usefixtures("runtime")
def test_nothing_moves_on_the_host():
    array = np.arange(3.0)
    for move in (HOST.native, HOST.beside, HOST.to_host, HOST.like):
        assert move(array) is array
    assert HOST.numbers("a", None) is None
    assert_array_equal(HOST.numbers("a", [1, 2]), [1, 2])
    with pytest.raises(TypeError, match="a is on a CUDA device and the costs are on the host"):
        HOST.numbers("a", on_device([1.0]))
    with pytest.raises(ValueError, match="values"):
        HOST.values(np.ones((2, 3)), 4)
    assert HOST.values(np.ones((4, 3), np.float32), 4).dtype == np.float64
    assert HOST.call(lambda *args, **options: (args, options), 1, 2, written=(3,), x=4) == (
        (1, 2),
        {"x": 4},
    )


def test_vectors_go_up_and_results_come_down(runtime):
    side, array = DeviceSide("original"), np.arange(3.0)
    up = side.beside(array)
    assert isinstance(up, Device)
    assert up is not array
    assert side.beside(up) is up
    assert side.native(up) is up
    assert side.beside(2.5) == 2.5
    assert runtime.n_up == 1
    down = side.to_host(up)
    assert type(down) is np.ndarray
    assert side.to_host(array) is array
    assert runtime.n_down == 1
    word, kind, moved = side.like(array)
    assert (word, kind) == ("like", str)
    assert_array_equal(moved, array)
    assert side.empty((2, 3), np.float32).shape == (2, 3)
    assert_array_equal(side.zeros(4, np.float64), np.zeros(4))
    assert side.numbers("a", None) is None
    numbers = side.numbers("a", on_device([1.0, 2.0]))
    assert type(numbers) is np.ndarray
    assert_array_equal(side.numbers("a", [3, 4]), [3, 4])


@pytest.mark.parametrize("as_tuple", [None, tuple, Sums])
def test_kernels_are_called_with_copies(runtime, as_tuple):
    side = DeviceSide("original")
    f, g, out = np.zeros(3), np.ones(3), on_device([0.0, 0.0])

    def kernel(first, second, third, *, scale, out):
        assert isinstance(first, Device)
        assert isinstance(second, Device)
        assert isinstance(scale, Device)
        assert third == 7
        first += 1.0
        second += 5.0
        out += 2.0
        total = second * scale
        return (
            total if as_tuple is None else (Sums(total, out) if as_tuple is Sums else (total, out))
        )

    found = side.call(kernel, f, g, 7, written=(f,), scale=np.full(3, 2.0), out=out)
    assert_array_equal(f, np.ones(3))  # written, and brought back
    assert_array_equal(g, np.ones(3))  # a copy was changed
    assert_array_equal(out, [2.0, 2.0])
    total = found
    if as_tuple is not None:
        total, same = found
        assert same is out
        assert isinstance(found, as_tuple)
    assert type(total) is np.ndarray
    assert_array_equal(total, np.full(3, 12.0))
    assert runtime.n_down == 2


@pytest.mark.usefixtures("runtime")
def test_rows_on_a_device_are_looked_at_in_chunks(monkeypatch):
    monkeypatch.setattr(sides, "_CHUNK_VALUES", 6)
    side, rows = DeviceSide(None), on_device(np.ones((7, 2)))
    side.check_finite("X", rows)
    for row in (0, 2, 3, 6):
        bad = rows.copy()
        bad[row, 1] = np.nan
        with pytest.raises(ValueError, match="X contains NaN or infinity"):
            side.check_finite("X", bad)
    monkeypatch.setattr(sides, "_CHUNK_VALUES", 1)
    side.check_finite("X", rows)


@pytest.mark.usefixtures("runtime")
def test_values_on_a_device(monkeypatch):
    monkeypatch.setattr(sides, "as_device_matrix", lambda name, values: values)
    side = DeviceSide(None)
    found = side.values(on_device(np.ones((4, 2)), np.float32), 4)
    assert found.dtype == np.float64
    with pytest.raises(ValueError, match=r"values must have shape \(3, q\), got \(4, 2\)"):
        side.values(on_device(np.ones((4, 2))), 3)
    with pytest.raises(ValueError, match="values contains NaN"):
        side.values(on_device(np.full((4, 2), np.nan)), 4)
