// The fixed tree that sums of leaves merge by.
#pragma once
#include "device.cuh"

namespace cl {

// Merges `Fan` leaves at a time, neighbours first; one thread for each group of them and number.
// leaves is (count, width), merged (ceil(count / Fan), width). A leaf that is not there counts as
// 0, which carries an odd last one up: the sums are those of a tree of any size.
template <class T, int Fan>
__global__ void __launch_bounds__(256)
    merge_leaves(const T* __restrict__ leaves, long long count, long long width,
                 T* __restrict__ merged) {
  const long long at = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  const long long group = at / width, number = at % width;
  if (group * Fan < count) {
    T value[Fan];
#pragma unroll
    for (int i = 0; i < Fan; ++i) {
      const long long leaf = group * Fan + i;
      value[i] = leaf < count ? leaves[leaf * width + number] : T(0);
    }
#pragma unroll
    for (int apart = 1; apart < Fan; apart *= 2)
#pragma unroll
      for (int i = 0; i < Fan; i += 2 * apart) value[i] += value[i + apart];
    merged[at] = value[0];
  }
}

}  // namespace cl
