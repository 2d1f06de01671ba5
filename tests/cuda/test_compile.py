"""L0: every instance compiles for every architecture and takes what it took before.

L0b: the text that is compiled on the user's machine passes NVRTC, which knows no header.
"""

import json

import pytest

from clusterlib.kernels._cupy.binaries import COMPILE_OPTIONS
from clusterlib.kernels._cupy.runtime import source_text
from tests.cuda import nvrtc
from tests.cuda.compiling import (
    ARCHITECTURES,
    BASELINE,
    compile_kernels,
    compile_source,
    find_nvcc,
    instances_by_source,
)
from tests.cuda.emul.build import at_once

MOST_SHARED = 48 * 1024
MORE_REGISTERS = 8  # what another version of the compiler may take

needs_nvcc = pytest.mark.skipif(
    find_nvcc() is None, reason="nvcc was found neither in PATH nor in /usr/local/cuda or a wheel"
)
needs_nvrtc = pytest.mark.skipif(
    not nvrtc.is_available(), reason="libnvrtc was found neither in a wheel nor in /usr/local/cuda"
)


@pytest.fixture(scope="session")
def compiled_ahead(request):
    """The sources that tests will ask for have been compiled."""
    items = [item for item in request.session.items if "compiled_ahead" in item.fixturenames]
    at_once(compile_source, {item.callspec.params["source"] for item in items})


every_source = pytest.mark.parametrize("source", instances_by_source())


@needs_nvcc
@every_source
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_instances_take_no_more_than_before(compiled_ahead, source, arch):
    before = json.loads(BASELINE.read_text("utf-8"))[arch].get(source, {})
    usage = compile_source(source).usage[arch]
    assert set(usage) == set(before), "python -m tests.cuda.compiling --write-baseline"
    for kernel, used in usage.items():
        assert (used.spill_stores, used.spill_loads) == (0, 0), f"{kernel} spills: {used}"
        assert used.registers <= before[kernel]["registers"] + MORE_REGISTERS, kernel
        assert used.shared == before[kernel]["shared"], kernel
        assert used.shared <= MOST_SHARED, kernel


@needs_nvcc
@every_source
def test_registers_leave_room_for_a_block(compiled_ahead, source):
    for instance in instances_by_source()[source]:
        for arch, usage in compile_source(source).usage.items():
            used = usage[instance.kernel]
            assert used.registers * instance.threads <= 65536, (instance.kernel, arch)


def test_baseline_names_the_instances_and_no_others():
    named = {source: {i.kernel for i in found} for source, found in instances_by_source().items()}
    for arch, of_arch in json.loads(BASELINE.read_text("utf-8")).items():
        assert arch in ARCHITECTURES
        assert {source: set(kernels) for source, kernels in of_arch.items()} == named


@needs_nvcc
def test_spills_are_seen():
    # 65536 registers for 1024 threads leave 64, fewer than 200 sums that live at once.
    text = """
    template <class T>
    __global__ void __launch_bounds__(1024) many(const T* x, T* y, int rounds) {
      T sums[200];
    #pragma unroll
      for (int i = 0; i < 200; ++i) sums[i] = x[i * 1024 + threadIdx.x];
      for (int r = 0; r < rounds; ++r)
    #pragma unroll
        for (int i = 0; i < 200; ++i) sums[i] = sums[i] * sums[(i + 7) % 200] + x[r];
    #pragma unroll
      for (int i = 0; i < 200; ++i) y[i * 1024 + threadIdx.x] = sums[i];
    }
    """
    compiled = compile_kernels(text, ["many<float>"], architectures=ARCHITECTURES[:1])
    for used in compiled.usage.values():
        assert used["many<float>"].spill_stores > 0 < used["many<float>"].spill_loads


@needs_nvcc
def test_names_of_kernels_are_resolved_through_aliases():
    text = """
    template <class T, int N> struct Block {};
    template <class T> using Wide = Block<T, 32>;
    template <class T> using Narrow = Block<T, 8>;
    template <class B> __global__ void fill(float* y) {
      __shared__ B rows[1024 * sizeof(B)]; (void)rows; y[0] = 1.f;
    }
    template <int N> __global__ void fill(int* y) { __shared__ int s[N]; s[0] = *y; *y = s[0]; }
    namespace inner { __global__ void plain(const float* x, float* y) { *y = *x; } }
    """
    kernels = ["fill<Wide<float>>", "fill<Narrow<float>>", "fill<Wide<double>>", "inner::plain"]
    symbols = compile_kernels(text, kernels, architectures=ARCHITECTURES[:1]).symbols
    assert symbols["inner::plain"] == "_ZN5inner5plainEPKfPf"
    assert ["Li32" in symbols[kernel] for kernel in kernels] == [True, False, True, False]
    assert ["IdLi" in symbols[kernel] for kernel in kernels] == [False, False, True, False]


@needs_nvrtc
@every_source
def test_text_for_the_runtime_compiles_and_has_every_kernel(source):
    kernels = [instance.kernel for instance in instances_by_source()[source]]
    program = nvrtc.compile_text(
        source_text(source), kernels, (*COMPILE_OPTIONS, "-arch=compute_90")
    )
    assert set(program.symbols) == set(kernels)
    for kernel, symbol in program.symbols.items():
        assert f".entry {symbol}(" in program.ptx, kernel


@needs_nvrtc
def test_headers_are_out_of_reach_of_the_runtime():
    with pytest.raises(nvrtc.CompileError, match="cuda_fp16.h"):
        nvrtc.compile_text("#include <cuda_fp16.h>\n", [], COMPILE_OPTIONS)
