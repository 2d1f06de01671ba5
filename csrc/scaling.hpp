// Fused products with a stored kernel: K is read once for u = h(K v) and s = K' u. Included inside
// the target's namespace.
//
// A group of rows stays in the cache between its two uses, and the next group is asked for during
// the second one, when memory would stand still otherwise. h is division (u = a / K v, a Sinkhorn
// scaling) or multiplication (u = weight * K v, a Hessian product).

template <class T>
struct KernelPass {
  Matrix<T> K;
  const T* v;         // (ld), zero padding
  std::ptrdiff_t ld;
  const double* row;  // a or weight
  double* u;          // (n) or null
  bool divide;
  double lost;        // scaling of a row whose sum has vanished
  Scratch* scratch;
};

// Rows whose groups of 4 fit the first-level cache beside v and the sums; longer ones go by 8
// through the second level, where fewer passes over the sums matter more.
inline constexpr std::ptrdiff_t kShortRow = 8192;  // bytes

// a / b; `otherwise`, a scaling beyond the limit, where that is no positive finite number because
// all entries have vanished.
inline double quotient(double a, double b, double otherwise) {
  const double ratio = a / b;
  return ratio > 0 && ratio - ratio == 0 ? ratio : otherwise;
}

template <int ROWS, class T>
CL_INLINE void dot_step(const T* const* rows, Vec<T> x, std::ptrdiff_t j, std::ptrdiff_t left, Vec<T>* sum) {
#pragma GCC unroll 8
  for (int r = 0; r < ROWS; ++r) {
    const Vec<T> k = left >= Simd<T>::lanes ? load(rows[r] + j) : load_some_as<T>(rows[r] + j, left);
    sum[r] = fma(k, x, sum[r]);
  }
}

// total[r] = K_r . v, by strips as in sinkhorn_rows.hpp.
template <int ROWS, class T>
void dot_rows(const KernelPass<T>& c, const T* const* rows, double* total) {
  constexpr int l = Simd<T>::lanes;
  const std::ptrdiff_t m = c.K.cols;
  Vec<T> outer[ROWS] = {};
  for (std::ptrdiff_t begin = 0; begin < m; begin += kStrip) {
    const std::ptrdiff_t end = begin + kStrip < m ? begin + kStrip : m;
    Vec<T> sum[ROWS] = {};
    std::ptrdiff_t j = begin;
    for (; j + l <= end; j += l) dot_step<ROWS>(rows, load(c.v + j), j, l, sum);
    if (j < end) dot_step<ROWS>(rows, load(c.v + j), j, end - j, sum);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) outer[r] += sum[r];
  }
  for (int r = 0; r < ROWS; ++r) total[r] = sum_lanes<T>(outer[r]);
}

// sums += u_r K_r; `next` is where the next group of rows begins.
template <int ROWS, class T>
void add_kernel_rows(const KernelPass<T>& c, const T* const* rows, const T* next, const T* u, T* sums) {
  constexpr int l = Simd<T>::lanes, level = ROWS == 4 ? 3 : 2;
  const std::ptrdiff_t m = c.K.cols;
  Vec<T> factor[ROWS];
  for (int r = 0; r < ROWS; ++r) factor[r] = splat(u[r]);
  std::ptrdiff_t j = 0;
  for (; j + l <= m; j += l) {
    Vec<T> s = load(sums + j);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) s = fma(load(rows[r] + j), factor[r], s);
    store(sums + j, s);
#pragma GCC unroll 8
    for (int r = 0; r < ROWS; ++r) __builtin_prefetch(next + j * ROWS + r * l, 0, level);
  }
  for (; j < m; ++j)
    for (int r = 0; r < ROWS; ++r) sums[j] += rows[r][j] * u[r];
}

template <int ROWS, class T>
void kernel_rows(const KernelPass<T>& c, std::ptrdiff_t begin, std::ptrdiff_t end, T* sums, double* out) {
  char* copies = reinterpret_cast<char*>(sums + c.ld);
  for (std::ptrdiff_t i = begin; i < end; i += ROWS) {
    const T* rows[ROWS];
    double total[ROWS];
    T u[ROWS];
    for (int r = 0; r < ROWS; ++r)
      rows[r] = contiguous_row(c.K, i + r < end ? i + r : end - 1,
                               copies + static_cast<std::size_t>(r * c.K.cols) * sizeof(T));
    dot_rows<ROWS>(c, rows, total);
    for (int r = 0; r < ROWS; ++r) {
      const double row = i + r < end ? c.row[i + r] : 0.0;
      const double value = row == 0 ? 0.0 : c.divide ? quotient(row, total[r], c.lost) : row * total[r];
      if (c.u != nullptr && i + r < end) c.u[i + r] = value;
      u[r] = static_cast<T>(value);
    }
    add_kernel_rows<ROWS>(c, rows, c.K.row(i + ROWS < c.K.rows ? i + ROWS : i), u, sums);
    if ((i + ROWS - begin) % kFlushRows == 0 || i + ROWS >= end) flush(sums, c.K.cols, out);
  }
}

template <class T>
void kernel_leaf(void* context, std::ptrdiff_t leaf, double* out, int worker) {
  const auto& c = *static_cast<KernelPass<T>*>(context);
  T* sums = reinterpret_cast<T*>(c.scratch->slice(worker));
  for (std::ptrdiff_t j = 0; j < c.ld; ++j) sums[j] = 0;
  const std::ptrdiff_t begin = leaf * kSweepRows;
  const std::ptrdiff_t end = begin + kSweepRows < c.K.rows ? begin + kSweepRows : c.K.rows;
  if (c.K.cols * static_cast<std::ptrdiff_t>(sizeof(T)) <= kShortRow)
    kernel_rows<4>(c, begin, end, sums, out);
  else
    kernel_rows<8>(c, begin, end, sums, out);
}

template <class T>
void kernel_pass(KernelPass<T>& pass, int threads, double* out) {
  const std::ptrdiff_t leaves = (pass.K.rows + kSweepRows - 1) / kSweepRows;
  threads = sweep_threads(threads, leaves, pass.K.rows * pass.K.cols);
  const std::ptrdiff_t copies = pass.K.contiguous_rows() ? 0 : 8 * pass.K.cols;
  Scratch scratch(sizeof(T) * static_cast<std::size_t>(pass.ld + copies), threads);
  pass.scratch = &scratch;
  sum_over_leaves(leaves, pass.K.cols, threads, kernel_leaf<T>, &pass, out);
}

// Whether the scaling of an atom with weight has grown or shrunk so far that the kernel should
// take it in.
inline int beyond(double scaling, double weight, double limit) {
  return (weight > 0) & !((scaling <= limit) & (scaling * limit >= 1));
}

template <class T>
void scaling(const ScalingJob<T>& job) {
  const std::ptrdiff_t n = job.K.rows, m = job.K.cols, ld = round_up(m, Simd<T>::lanes);
  const Scratch memory((sizeof(T) + sizeof(double)) * static_cast<std::size_t>(ld), 1);
  double* s = reinterpret_cast<double*>(memory.slice(0));
  T* v = reinterpret_cast<T*>(s + ld);
  KernelPass<T> pass{job.K, v, ld, job.a, job.u, true, job.limit * job.limit, nullptr};
  for (*job.n_done = 0; *job.n_done < job.n_iters;) {
    for (std::ptrdiff_t j = 0; j < ld; ++j) {
      if (j < m && job.b[j] == 0) job.v[j] = 0;
      v[j] = j < m ? static_cast<T>(job.v[j]) : T(0);
    }
    kernel_pass(pass, job.threads, s);
    double error = 0;
    for (std::ptrdiff_t j = 0; j < m; ++j) error += __builtin_fabs(static_cast<double>(v[j]) * s[j] - job.b[j]);
    job.history[(*job.n_done)++] = error;
    if (job.tol > 0 && error <= job.tol) return;
    int absorb = 0;
    for (std::ptrdiff_t i = 0; i < n; ++i) absorb |= beyond(job.u[i], job.a[i], job.limit);
    for (std::ptrdiff_t j = 0; j < m; ++j) {
      const double target = job.b[j] == 0 ? 0 : quotient(job.b[j], s[j], job.limit * job.limit);
      job.v[j] = job.relaxation == 1 || job.b[j] == 0
                     ? target
                     : job.v[j] * exp_of(job.relaxation * kLn2 * log2_of(target / job.v[j]));
      absorb |= beyond(job.v[j], job.b[j], job.limit);
    }
    if (absorb != 0) return;
  }
}

template <class T>
void gram(const GramJob<T>& job) {
  const std::ptrdiff_t m = job.K.cols, ld = round_up(m, Simd<T>::lanes);
  const Scratch memory(sizeof(T) * static_cast<std::size_t>(ld), 1);
  T* v = reinterpret_cast<T*>(memory.slice(0));
  for (std::ptrdiff_t j = 0; j < ld; ++j) v[j] = j < m ? static_cast<T>(job.vector[j]) : T(0);
  KernelPass<T> pass{job.K, v, ld, job.weight, nullptr, false, 0, nullptr};
  kernel_pass(pass, job.threads, job.product);
}
