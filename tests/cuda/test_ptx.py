"""L2: the PTX of every kernel does what the emulated source does, and nothing that is forbidden.

Each launch of each case runs twice from the same memory: emulated by g++, and simulated from the
PTX that nvcc makes of it.
"""

import json

import numpy as np
import pytest

from clusterlib.kernels._cupy.runtime import use
from tests.cuda.cases import CASES
from tests.cuda.compiling import find_nvcc
from tests.cuda.counting import BASELINE, COUNTED, SHAPE, measure
from tests.cuda.emul.arrays import as_host, host_copies_refused
from tests.cuda.ptxsim.runtime import SimulatedRuntime

pytestmark = pytest.mark.skipif(
    find_nvcc() is None, reason="nvcc was found neither in PATH nor in /usr/local/cuda or a wheel"
)

# Fused or not, in units of the rounding of what a kernel works in and of the largest number of an array.
SEVERAL_ROUNDINGS = 64
# What another version of the compiler may do.
WORSE = 1.05


class ComparedRuntime(SimulatedRuntime):
    """Compares what a simulated launch leaves in memory with what the emulated one does."""

    def launch(self, instance, grid, *args):
        arrays = [as_host(arg) for arg in args if isinstance(arg, np.ndarray) and arg.ndim]
        before = [array.copy() for array in arrays]
        super(SimulatedRuntime, self).launch(instance, grid, *args)
        emulated = [array.copy() for array in arrays]
        for array, content in zip(arrays, before, strict=True):
            array[...] = content
        super().launch(instance, grid, *args)
        for i, (array, expected) in enumerate(zip(arrays, emulated, strict=True)):
            where = f"array argument {i} of {instance.kernel}, grid {grid}"
            if array.dtype.kind != "f":
                np.testing.assert_array_equal(array, expected, err_msg=where)
                continue
            finite = np.abs(expected[np.isfinite(expected)])
            works_in = np.float32 if "float" in instance.kernel else array.dtype
            bound = SEVERAL_ROUNDINGS * np.finfo(works_in).eps
            np.testing.assert_allclose(
                array, expected, bound, bound * finite.max(initial=0), err_msg=where
            )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_compiled_kernels_do_what_the_source_says(case, compiler):
    runtime = ComparedRuntime()
    with use(runtime), host_copies_refused():
        case.run(runtime)
    assert runtime.launched


@pytest.mark.parametrize("name", COUNTED)
def test_counters_are_not_worse_than_before(name):
    before = json.loads(BASELINE.read_text("utf-8"))[name]
    counted = measure(name)
    assert set(counted) == set(before), "python -m tests.cuda.counting --write-baseline"
    for kernel, quantities in counted.items():
        assert set(quantities) == set(before[kernel])
        for quantity, value in quantities.items():
            assert value <= before[kernel][quantity] * WORSE, (kernel, quantity)


ASSIGNMENTS = [name for name in COUNTED if name.startswith("assign")]


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_assignments_multiply_and_load_no_more_than_they_have_to(name):
    (counts,) = measure(name).values()
    n, m, d = SHAPE
    products = n * (32 if "32 columns" in name else m) * d
    # On tensor cores a product is three of halves.
    wanted = (0, 3 * products) if "tensor" in name else (products, 0)
    assert (counts["fused"], counts["tensor"]) == pytest.approx(wanted, rel=0.05)
    assert counts["load sectors / ideal"] <= 1.1
    assert counts["wavefronts / ideal"] <= 1.05


@pytest.mark.parametrize("name", ["assign single", "assign double", "assign single, 32 columns"])
def test_warps_of_an_assignment_seldom_wait_for_shared_memory(name):
    # A lane that asks for 16 bytes of its own makes four wavefronts of a request of its warp, so
    # the bound holds only where lanes beside each other ask for the same bytes.
    (counts,) = measure(name).values()
    assert counts["wavefronts / request"] <= 1.3


def test_baseline_names_what_is_counted_and_nothing_else():
    assert set(json.loads(BASELINE.read_text("utf-8"))) == set(COUNTED)
