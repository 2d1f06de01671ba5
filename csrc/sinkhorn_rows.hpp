// The exponentials of a group of rows of the cost, from a stored matrix. Included inside the
// target's namespace.
//
// A source of costs has a type `value` that is calculated in, ROWS rows in a group, and
//   open(first, count, memory)          makes the rows [first, first + count) ready
//   row_part(group, r)                  a part of k C_rj that is the same for all j, or 0
//   fill<RAW>(group, G, F, e, ld, out)  e[r][j] = 2^(t_rj + F_r), out[r] = sum over j;
//                                       RAW: e[r][j] = t_rj, out[r] = its maximum
//   cost(i, j)                          C_ij in float64
// with t_rj = G_j - k C_rj + row_part and k = log2(e) / epsilon. G is padded to `ld` with kNoTerm;
// the padding of e becomes 0.

// Columns that are summed in one register before an outer sum takes over, so that rounding grows
// with the square root of a row's length.
inline constexpr std::ptrdiff_t kStrip = 512;

inline constexpr std::ptrdiff_t kAhead = 256;  // columns that are asked for in advance

template <class T, class S>
struct StoredCost {
  typedef T value;
  static constexpr int ROWS = 8;
  struct Group {
    const S* rows[ROWS];
  };

  Matrix<S> C;
  T slope;  // k

  std::size_t bytes() const {
    return C.contiguous_rows() ? 0 : sizeof(S) * static_cast<std::size_t>(ROWS * C.cols);
  }

  Group open(std::ptrdiff_t first, int count, char* memory) const {
    Group group;
    for (int r = 0; r < ROWS; ++r) {
      const std::ptrdiff_t i = first + (r < count ? r : count - 1);
      group.rows[r] = contiguous_row(C, i, memory + static_cast<std::size_t>(r * C.cols) * sizeof(S));
    }
    return group;
  }

  template <bool RAW>
  CL_INLINE void step(const Group& group, Vec<T> g, std::ptrdiff_t j, std::ptrdiff_t left, const T* F,
                      T* e, std::ptrdiff_t ld, Vec<T>* sum) const {
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) {
      const S* c = group.rows[r] + j;
      // The machine's own prefetching ends at every page of every row.
      if (!RAW) __builtin_prefetch(c + kAhead, 0, 2);
      const Vec<T> cost = left >= Simd<T>::lanes ? load_as<T>(c) : load_some_as<T>(c, left);
      const Vec<T> t = fma(cost, splat(-slope), g);
      const Vec<T> x = RAW ? t : exp2_any<T>(t + splat(F[r]));
      store(e + r * ld + j, x);
      sum[r] = RAW ? vmax(sum[r], x) : sum[r] + x;
    }
  }

  template <bool RAW>
  void fill(const Group& group, const T* G, const T* F, T* e, std::ptrdiff_t ld, double* out) const {
    constexpr int l = Simd<T>::lanes;
    const std::ptrdiff_t m = C.cols;
    Vec<T> outer[ROWS];
    for (int r = 0; r < ROWS; ++r) outer[r] = RAW ? splat(kNoTerm<T>) : Vec<T>{};
    for (std::ptrdiff_t begin = 0; begin < m; begin += kStrip) {
      const std::ptrdiff_t end = begin + kStrip < m ? begin + kStrip : m;
      Vec<T> sum[ROWS];
#pragma GCC unroll 8
      for (int r = 0; r < ROWS; ++r) sum[r] = RAW ? outer[r] : Vec<T>{};
      std::ptrdiff_t j = begin;
      for (; j + l <= end; j += l) step<RAW>(group, load(G + j), j, l, F, e, ld, sum);
      if (j < end) step<RAW>(group, load(G + j), j, end - j, F, e, ld, sum);
#pragma GCC unroll 8
      for (int r = 0; r < ROWS; ++r) outer[r] = RAW ? sum[r] : outer[r] + sum[r];
    }
    for (int r = 0; r < ROWS; ++r) out[r] = RAW ? max_lanes<T>(outer[r]) : sum_lanes<T>(outer[r]);
  }

  double row_part(const Group&, int) const { return 0.0; }

  double cost(std::ptrdiff_t i, std::ptrdiff_t j) const { return static_cast<double>(C.at(i, j)); }
};
