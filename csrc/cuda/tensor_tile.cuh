// The tile on tensor cores: three products of halves of the fraction instead of one product.
//
// x = big + small with ten bits each, and x y = small big + big small + big big up to 2^-21 of
// |x| |y|, which is near float32. Tensor cores cut sums off instead of rounding them: they add up
// sixteen features alone, which float32 additions put together.
// docs/kernels/cuda_pairwise.md bounds the rest.
//
// Rows are copied into shared memory while those of two steps before are being multiplied, which
// takes no registers; they are shifted, scaled and split when they are read from there.
#pragma once
#include "tile.cuh"

namespace cl {

// BM rows by BN columns for a block, 16 features at a time; a warp multiplies MT x 16 rows with
// all BN columns.
template <int BM_, int BN_, int MT, bool ALIGNED = true>
struct TensorTile {
  using Scalar = float;
  static constexpr int BM = BM_, BN = BN_, BK = 16;
  static constexpr int TM = 2 * MT, TN = BN / 4;
  static constexpr int TX = 4;  // lanes that share rows
  static constexpr int threads = BM / (16 * MT) * 32;
  static constexpr int resident = 3;
  static constexpr int stages = 3;
  static constexpr int stride = BK + 4;
  static constexpr int width = ALIGNED ? 4 : 1;
  static constexpr int steps = BK / 8;
  // The rows of X, those of Y, and the shift.
  static constexpr int rows = BM + BN + 1;
  using Stage = float[rows][stride];
  static_assert(BN % 8 == 0 && BM % (16 * MT) == 0, "whole fragments");
  static_assert(stages * rows * stride * 4 <= 48 * 1024, "shared memory");

  CL_DEVICE static int first_row() { return static_cast<int>(threadIdx.x) / 32 * (16 * MT); }
  CL_DEVICE static int group() { return static_cast<int>(threadIdx.x) % 32 / 4; }
  CL_DEVICE static int place() { return static_cast<int>(threadIdx.x) % 4; }
  CL_DEVICE static int row(int i) { return first_row() + i / 2 * 16 + i % 2 * 8 + group(); }
  CL_DEVICE static int column(int j) { return j / 2 * 8 + place() * 2 + j % 2; }

  // Begins to copy ROWS rows of a matrix to `at` and below; what does not exist becomes 0.
  template <int ROWS>
  CL_DEVICE static void copy_rows(Stage& stage, int at, const RowSource<float>& source,
                                  long long first, int feature) {
    constexpr int across = BK / width, apart = threads / across;
    const int f = static_cast<int>(threadIdx.x) % across * width;
    const int r = static_cast<int>(threadIdx.x) / across;
    const float* p = source.data + (first + r) * source.features + feature + f;
    const long long left = feature + f < source.features ? source.rows - first - r : 0;
#pragma unroll
    for (int e = 0; e < ROWS / apart; ++e) {
      const bool there = e * apart < left;
      copy_async<width>(&stage[at + r + e * apart][f], there ? p : source.data, there);
      p += static_cast<long long>(apart) * source.features;
    }
  }

  CL_DEVICE static void copy_stage(Stage& stage, const RowSource<float>& X, long long row0,
                                   const RowSource<float>& Y, long long column0, int feature) {
    static_assert(BM * BK / width % threads == 0 && BN * BK / width % threads == 0, "passes");
    copy_rows<BM>(stage, 0, X, row0, feature);
    copy_rows<BN>(stage, BM, Y, column0, feature);
    if (threadIdx.x < BK) {
      const int f = feature + static_cast<int>(threadIdx.x);
      const bool there = X.shift && f < X.features;
      copy_async<1>(&stage[BM + BN][threadIdx.x], there ? X.shift + f : X.data, there);
    }
  }

  CL_DEVICE static void split(float x, float& big, float& small) {
    big = leading_bits(x);
    small = x - big;
  }

  // acc += the products of one stage.
  CL_DEVICE static void multiply(Stage& stage, float scale, float (&acc)[TM][TN]) {
    float big_a[steps][MT][4], small_a[steps][MT][4];
#pragma unroll
    for (int s = 0; s < steps; ++s)
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const int f = s * 8 + place() + e / 2 * 4;
        const float shift = stage[BM + BN][f];
#pragma unroll
        for (int i = 0; i < MT; ++i)
          split((stage[first_row() + i * 16 + e % 2 * 8 + group()][f] - shift) * scale,
                big_a[s][i][e], small_a[s][i][e]);
      }
#pragma unroll
    for (int j = 0; j < TN; j += 2) {
      float big_b[steps][2], small_b[steps][2];
#pragma unroll
      for (int s = 0; s < steps; ++s)
#pragma unroll
        for (int e = 0; e < 2; ++e)
          split(stage[BM + j * 4 + group()][s * 8 + place() + e * 4], big_b[s][e], small_b[s][e]);
#pragma unroll
      for (int i = 0; i < MT; ++i) {
        float c0 = 0.0f, c1 = 0.0f, c2 = 0.0f, c3 = 0.0f;
#pragma unroll
        for (int s = 0; s < steps; ++s) {
          multiply_fragments(c0, c1, c2, c3, small_a[s][i], big_b[s]);
          multiply_fragments(c0, c1, c2, c3, big_a[s][i], small_b[s]);
        }
#pragma unroll
        for (int s = 0; s < steps; ++s)
          multiply_fragments(c0, c1, c2, c3, big_a[s][i], big_b[s]);
        acc[2 * i][j] += c0, acc[2 * i][j + 1] += c1;
        acc[2 * i + 1][j] += c2, acc[2 * i + 1][j + 1] += c3;
      }
    }
  }

  // Hands every tile of columns to reduce(acc, column0), columns ascending.
  template <class Reduce>
  CL_DEVICE static void sweep(const RowSource<float>& X, long long row0,
                              const RowSource<float>& Y, Reduce& reduce) {
    CL_SHARED(float, ring, [stages][rows][stride]);
    long long next_column = 0;  // what is copied next
    int next_feature = 0;
    auto copy_next = [&](int stage) {
      if (next_column < Y.rows) {
        copy_stage(ring[stage], X, row0, Y, next_column, next_feature);
        next_feature += BK;
        if (next_feature >= X.features) next_feature = 0, next_column += BN;
      }
      close_copies();  // a group without copies counts as well
    };
#pragma unroll
    for (int stage = 0; stage < stages - 1; ++stage) copy_next(stage);
    int stage = 0, free_stage = stages - 1;
    for (long long column0 = 0; column0 < Y.rows; column0 += BN) {
      float acc[TM][TN];
#pragma unroll
      for (int i = 0; i < TM; ++i)
#pragma unroll
        for (int j = 0; j < TN; ++j) acc[i][j] = 0.0f;
      for (int feature = 0; feature < X.features; feature += BK) {
        await_copies<stages - 2>();
        __syncthreads();  // everybody's copies are there, and the free stage has been read
        copy_next(free_stage);
        multiply(ring[stage], X.scale, acc);
        free_stage = stage;
        stage = stage + 1 == stages ? 0 : stage + 1;
      }
      reduce(acc, column0);
    }
  }
};

}  // namespace cl
