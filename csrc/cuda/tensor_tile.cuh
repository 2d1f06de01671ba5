// The tile on tensor cores: three products of halves of the fraction instead of one product.
//
// x = big + small with ten bits each, and x y = small big + big small + big big up to 2^-21 of
// |x| |y|, which is near float32. Tensor cores cut sums off instead of rounding them: they add up
// eight features alone, which float32 additions put together.
// docs/kernels/cuda_pairwise.md bounds the rest.
#pragma once
#include "tile.cuh"

namespace cl {

// BM rows by BN columns for a block, BK features at a time; a warp multiplies MT x 16 rows with
// all BN columns.
template <int BM_, int BN_, int BK_, int MT, bool ALIGNED = true>
struct TensorTile {
  using Scalar = float;
  static constexpr int BM = BM_, BN = BN_, BK = BK_;
  static constexpr int TM = 2 * MT, TN = BN / 4;
  static constexpr int TX = 4;  // lanes that share rows
  static constexpr int threads = BM / (16 * MT) * 32;
  static constexpr int resident = 2;
  static constexpr bool aligned = ALIGNED;
  static constexpr int stride = BK + 4;
  static_assert(BK % 8 == 0 && BN % 8 == 0 && BM % (16 * MT) == 0, "whole fragments");
  static_assert((BM + BN) * stride * 4 <= 48 * 1024, "shared memory");

  CL_DEVICE static int first_row() { return static_cast<int>(threadIdx.x) / 32 * (16 * MT); }
  CL_DEVICE static int group() { return static_cast<int>(threadIdx.x) % 32 / 4; }
  CL_DEVICE static int place() { return static_cast<int>(threadIdx.x) % 4; }
  CL_DEVICE static int row(int i) { return first_row() + i / 2 * 16 + i % 2 * 8 + group(); }
  CL_DEVICE static int column(int j) { return j / 2 * 8 + place() * 2 + j % 2; }

  template <class XS, class YS>
  CL_DEVICE static void multiply(XS& xs, YS& ys, int depth, float (&acc)[TM][TN]) {
#pragma unroll 1
    for (int f = 0; f < depth; f += 8) {
      float big_a[MT][4], small_a[MT][4];
#pragma unroll
      for (int i = 0; i < MT; ++i)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          split(xs[first_row() + i * 16 + e % 2 * 8 + group()][f + place() + e / 2 * 4],
                big_a[i][e], small_a[i][e]);
#pragma unroll
      for (int j = 0; j < TN; j += 2) {
        float big_b[2], small_b[2];
#pragma unroll
        for (int e = 0; e < 2; ++e)
          split(ys[j * 4 + group()][f + place() + e * 4], big_b[e], small_b[e]);
#pragma unroll
        for (int i = 0; i < MT; ++i) {
          float c0 = 0.0f, c1 = 0.0f, c2 = 0.0f, c3 = 0.0f;
          multiply_fragments(c0, c1, c2, c3, small_a[i], big_b);
          multiply_fragments(c0, c1, c2, c3, big_a[i], small_b);
          multiply_fragments(c0, c1, c2, c3, big_a[i], big_b);
          acc[2 * i][j] += c0, acc[2 * i][j + 1] += c1;
          acc[2 * i + 1][j] += c2, acc[2 * i + 1][j + 1] += c3;
        }
      }
    }
  }

  CL_DEVICE static void split(float x, float& big, float& small) {
    big = leading_bits(x);
    small = x - big;
  }
};

}  // namespace cl
