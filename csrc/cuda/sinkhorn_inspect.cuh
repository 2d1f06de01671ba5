// A look at the vectors of a Sinkhorn kernel before it starts: one launch and a few numbers for the
// host instead of a question for each condition.
#pragma once
#include "device.cuh"

namespace cl {

constexpr int kInspectThreads = 256;
constexpr int kInspectBlock = 4096;  // entries that a block looks at

// reports is (4, R), zeros before: whether some entry of a row vector, of a column vector is not
// below infinity, and whether some is above minus infinity.
// Rows are (R, n), columns (R, m). `more_rows`, if there are any, are looked at like rows;
// `potentials`, if there are any, have to be finite where columns are above minus infinity.
template <class T>
__global__ void __launch_bounds__(kInspectThreads)
    inspect_sides(long long n, long long m, int sides, int row_blocks, int column_blocks,
                  const T* __restrict__ rows, const T* __restrict__ more_rows,
                  const T* __restrict__ columns, const T* __restrict__ potentials,
                  unsigned* __restrict__ reports) {
  const int blocks = row_blocks + column_blocks;
  const int side = blockIdx.x / blocks, block = blockIdx.x % blocks;
  const bool is_row = block < row_blocks;
  const long long length = is_row ? n : m;
  const T* values = (is_row ? rows : columns) + side * length;
  const T* more = is_row && more_rows ? more_rows + side * length : nullptr;
  const T* potential = !is_row && potentials ? potentials + side * length : nullptr;
  const long long begin = static_cast<long long>(is_row ? block : block - row_blocks) * kInspectBlock;
  bool is_bad = false, is_some = false;
  for (int k = threadIdx.x; k < kInspectBlock; k += kInspectThreads) {
    const long long i = begin + k;
    if (i < length) {
      const T value = values[i];
      const bool counts = value > -infinity<T>();
      is_some = is_some || counts;
      is_bad = is_bad || !(value < infinity<T>()) || (more && !(more[i] < infinity<T>()));
      if (potential && counts) is_bad = is_bad || !is_finite(potential[i]);
    }
  }
  const bool any_bad = __ballot_sync(kFullWarp, is_bad) != 0;
  const bool any_some = __ballot_sync(kFullWarp, is_some) != 0;
  if (threadIdx.x % 32 == 0) {
    unsigned* report = reports + (is_row ? 0 : sides) + side;
    if (any_bad) atomicMax(report, 1u);
    if (any_some) atomicMax(report + 2 * sides, 1u);
  }
}

}  // namespace cl
