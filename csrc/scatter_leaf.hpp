// Products of the columns of chosen rows, in float64: one block of the scatter of a class. Included
// inside the target's namespace.
//
// Rows are gathered into panels of columns, a few at a time: vectors along one side of the block,
// scalars along the other, as the register tile wants them. An entry is one chain of multiply-adds
// for each run of kScatterDepth rows, whatever block of the scatter it lies in.

inline constexpr std::ptrdiff_t kScatterDepth = 128;

template <class T>
struct ScatterPanels {
  static constexpr int l = Simd<double>::lanes, W = Tile<double>::W, NR = Tile<double>::NR;
  static_assert(NR % l == 0 && W % l == 0, "a vector stays in one panel");
  double *lanes, *scalars;

  // panel[column / width][row][column % width] = root (x - mean), for columns [first, first + count),
  // zeros up to a whole panel.
  static CL_INLINE void pack(const T* x, std::ptrdiff_t step, const double* mean, std::ptrdiff_t count,
                             double root, std::ptrdiff_t row, int width, double* panel) {
    const Vec<double> scale = splat(root);
    double* out = panel + row * width;
    std::ptrdiff_t p = 0;
    int within = 0;
    const auto put = [&](Vec<double> v) {
      store(out + within, v);
      within += l;
      if (within == width) {
        within = 0;
        out += kScatterDepth * width;
      }
    };
    for (; step == 1 && p + l <= count; p += l) put((load_as<double>(x + p) - load(mean + p)) * scale);
    while (p < count || within != 0) {
      Vec<double> v = {};
      for (int i = 0; i < l && p < count; ++i, ++p)
        v[i] = (static_cast<double>(x[p * step]) - mean[p]) * root;
      put(v);
    }
  }
};

// Adds the rows [begin, end) of a class to a block of its scatter: sums[j][i] += z_i z_j with z =
// sqrt(w) (x - mean), i in `columns` contiguous, padded to `stride`. On the diagonal only what lies on
// it or above is defined, and the sums of sqrt(w) z follow.
template <class T>
void scatter_leaf(const ScatterBlock<T>& block, std::ptrdiff_t begin, std::ptrdiff_t end, double* sums,
                  double* scratch) {
  typedef ScatterPanels<T> Panels;
  constexpr int l = Panels::l, W = Panels::W, NR = Panels::NR, MV = Tile<double>::MV;
  const bool diagonal = block.first == block.second;
  double* lanes = scratch;
  double* scalars = lanes + block.stride * kScatterDepth;
  double* residual = sums + block.stride * block.other_stride;
  for (std::ptrdiff_t at = begin; at < end; at += kScatterDepth) {
    const std::ptrdiff_t depth = end - at < kScatterDepth ? end - at : kScatterDepth;
    for (std::ptrdiff_t r = 0; r < depth; ++r) {
      const std::ptrdiff_t i = block.rows[at + r];
      const T* x = block.X.row(i);
      const std::ptrdiff_t step = block.X.col_stride;
      if (r + 4 < depth && step == 1) {
        const T* ahead = block.X.row(block.rows[at + r + 4]);
        for (std::ptrdiff_t p = 0; p < block.columns; p += 64 / static_cast<int>(sizeof(T))) {
          __builtin_prefetch(ahead + block.first + p);
          if (!diagonal) __builtin_prefetch(ahead + block.second + p);
        }
      }
      const double root = block.weight == nullptr ? 1.0 : __builtin_sqrt(block.weight[i]);
      Panels::pack(x + block.first * step, step, block.mean + block.first, block.columns, root, r, W, lanes);
      Panels::pack(x + block.second * step, step, block.mean + block.second, block.other_columns, root, r,
                   NR, scalars);
      if (diagonal)
        for (std::ptrdiff_t p = 0; p < block.stride; p += l) {
          const double* z = lanes + p / W * W * kScatterDepth + r * W + p % W;
          store(residual + p, fma(load(z), splat(root), load(residual + p)));
        }
    }
    for (std::ptrdiff_t b = 0; b < block.other_stride; b += NR)
      for (std::ptrdiff_t a = diagonal ? b / W * W : 0; a < block.stride; a += W) {
        Vec<double> acc[NR][MV] = {};
        multiply_tile<double, MV, NR>(lanes + a * kScatterDepth, scalars + b * kScatterDepth, depth, acc);
#pragma GCC unroll 32
        for (int j = 0; j < NR; ++j)
#pragma GCC unroll 4
          for (int m = 0; m < MV; ++m) {
            double* out = sums + (b + j) * block.stride + a + m * l;
            store(out, load(out) + acc[j][m]);
          }
      }
  }
}

inline constexpr ScatterShape kScatterShape = {Tile<double>::W, Tile<double>::NR, kScatterDepth};
