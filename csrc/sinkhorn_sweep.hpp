// One pass over the cost: row potentials from column potentials and the column sums of the plan
// that they make, with one exponential per entry. Included inside the target's namespace.
// docs/kernels/sinkhorn.md has the derivation. Everything is in base 2: k = log2(e) / epsilon.

inline constexpr int kMostRows = 16;                // of a group, and lanes for their numbers
inline constexpr std::ptrdiff_t kFlushRows = 64;    // rows summed in the type of e

// What a sweep reads and writes besides the cost; R right-hand sides, one after the other.
template <class T>
struct SweepTask {
  std::ptrdiff_t n, m, ld, R;
  const double *log2_a, *a;  // (R, n) and room for a vector
  double* f;                 // (R, n)
  const T* G;                // (R, ld): k g, kNoTerm where there is no column
  double k, tau_a, f_max;
  bool update_f;
  // The plan is written on request (R = 1): rows `plan_stride` apart, of 4 or 8 bytes an item.
  void* plan = nullptr;
  int plan_item = 0;
  std::ptrdiff_t plan_stride = 0;
  double* row_sums = nullptr;
  const double* row_weight = nullptr;  // column sums of squares, weighted, follow the column sums
};

template <class Source>
struct SweepContext {
  const Source* source;
  SweepTask<typename Source::value> task;
  Scratch* scratch;
};

template <class Source>
struct SweepBuffers {
  typedef typename Source::value T;
  T *e, *sums, *squares;
  char* rows;
  std::size_t size;
  SweepBuffers(char* base, const Source& source, std::ptrdiff_t ld, std::ptrdiff_t R) {
    const auto row = sizeof(T) * static_cast<std::size_t>(ld);
    const auto sides = static_cast<std::size_t>(R);
    e = reinterpret_cast<T*>(base);
    sums = reinterpret_cast<T*>(base + row * Source::ROWS);
    squares = reinterpret_cast<T*>(base + row * (Source::ROWS + sides));
    rows = base + row * (Source::ROWS + sides + 1);
    size = row * (Source::ROWS + sides + 1) + source.bytes() + 64;
  }
};

// The numbers of a group's rows: shift F in base 2, sums of the shifted exponentials, factors.
struct GroupRows {
  alignas(64) double shift[kMostRows], total[kMostRows], factor[kMostRows];
  double part[kMostRows];   // row_part of the source
  bool absent[kMostRows];   // no weight, or past the end
  bool overflow = false;    // some entries of the plan are beyond the type
};

// Whether a sum of exponentials with the shift of the last iteration can be trusted.
template <class T>
CL_INLINE bool is_safe(double total) {
  return sizeof(T) == 4 ? total > 0x1p-40 && total < 0x1p100 : total > 0x1p-500 && total < 0x1p900;
}

// Shift of each row: what makes its sum 1 if its potential has not changed.
template <class T>
CL_INLINE void choose_shifts(const SweepTask<T>& task, std::ptrdiff_t first, int count, const double* f,
                             const double* log2_a, GroupRows& rows, T* F) {
  for (int r = 0; r < kMostRows; ++r) {
    const std::ptrdiff_t i = first + (r < count ? r : 0);
    double shift = f[i] * task.k - (task.update_f ? log2_a[i] : 0.0);
    const bool known = shift > -1e30 && shift < 1e30;
    rows.absent[r] = r >= count || (task.update_f ? log2_a[i] == -__builtin_inf() : !known);
    F[r] = rows.absent[r] ? kNoTerm<T> : static_cast<T>((known ? shift : 0.0) - rows.part[r]);
    rows.shift[r] = static_cast<double>(F[r]) + rows.part[r];
  }
}

// Sums that left the range: all rows of the group are shifted by their maximum instead.
template <class Source>
void shift_by_maximum(const Source& source, const typename Source::Group& group,
                      const SweepTask<typename Source::value>& task, const typename Source::value* G,
                      typename Source::value* e, GroupRows& rows) {
  typedef typename Source::value T;
  double most[kMostRows];
  source.template fill<true>(group, G, nullptr, e, task.ld, most);
  for (int r = 0; r < Source::ROWS; ++r) {
    const T top = rows.absent[r] ? -kNoTerm<T> : static_cast<T>(most[r]);
    const Vec<T> shift = splat(-top);
    T* row = e + r * task.ld;
    Vec<T> outer = {};
    for (std::ptrdiff_t begin = 0; begin < task.m; begin += kStrip) {
      Vec<T> sum = {};
      for (std::ptrdiff_t j = begin; j < begin + kStrip && j < task.m; j += Simd<T>::lanes) {
        const Vec<T> x = exp2_any<T>(load(row + j) + shift);
        store(row + j, x);
        sum += x;
      }
      outer += sum;
    }
    rows.shift[r] = rows.part[r] - static_cast<double>(top);
    rows.total[r] = sum_lanes<T>(outer);
  }
}

// New potentials, and the factor that turns the shifted exponentials into entries of the plan.
template <class T>
CL_INLINE void finish_rows(const SweepTask<T>& task, std::ptrdiff_t first, int count, double* f,
                           const double* log2_a, const double* a, GroupRows& rows) {
  const bool balanced = task.tau_a == 1.0 && task.f_max == __builtin_inf();
  alignas(64) double potential[kMostRows], logs[kMostRows];
  const int padded = static_cast<int>(round_up(count, Simd<double>::lanes));
  if (task.update_f) {
    map_doubles(rows.total, padded, logs, [](Vec<double> v) { return log2_any<double>(v); });
    for (int r = 0; r < count; ++r) {
      const double step = task.tau_a * (log2_a[first + r] - logs[r] + rows.shift[r]);
      const double most = task.f_max * task.k;
      potential[r] = step < most ? step : most;
      if (rows.absent[r]) potential[r] = -__builtin_inf();
    }
  } else {
    for (int r = 0; r < count; ++r) potential[r] = f[first + r] * task.k;
  }
  for (int r = count; r < padded; ++r) potential[r] = -__builtin_inf();
  for (int r = 0; r < padded; ++r) {
    const double gap = potential[r] - rows.shift[r];
    rows.overflow = rows.overflow || gap > (sizeof(T) == 4 ? 120 : 1000);
    rows.factor[r] = gap > -1e300 ? gap : -1e300;
  }
  map_doubles(rows.factor, padded, rows.factor, [](Vec<double> v) { return exp2_any<double>(v); });
  for (int r = 0; r < kMostRows; ++r) {
    if (rows.absent[r] || rows.overflow) rows.factor[r] = 0;
    else if (balanced && task.update_f) rows.factor[r] = a[first + r] / rows.total[r];
  }
  if (task.update_f)
    for (int r = 0; r < count; ++r) f[first + r] = potential[r] / task.k;
}

// sums[j] += sum over the group of factor * e.
template <int ROWS, class T>
CL_INLINE void add_columns(const T* e, std::ptrdiff_t ld, std::ptrdiff_t m, const double* factor, T* sums) {
  Vec<T> u[ROWS];
  for (int r = 0; r < ROWS; ++r) u[r] = splat(static_cast<T>(factor[r]));
  for (std::ptrdiff_t j = 0; j < m; j += Simd<T>::lanes) {
    Vec<T> s = load(sums + j);
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r) s = fma(load(e + r * ld + j), u[r], s);
    store(sums + j, s);
  }
}

template <class T>
void flush(T* sums, std::ptrdiff_t m, double* out) {
  std::ptrdiff_t j = 0;
  for (; j + 8 <= m; j += 8) store_eight(out + j, load_eight(out + j) + load_eight(sums + j));
  for (; j < m; ++j) out[j] += static_cast<double>(sums[j]);
  for (j = 0; j < m; ++j) sums[j] = 0;
}

// Entries of the plan as numbers of the type of the cost.
template <class T, class S>
void write_plan_row(const T* e, T factor, std::ptrdiff_t m, S* out) {
  for (std::ptrdiff_t j = 0; j < m; ++j) out[j] = static_cast<S>(e[j] * factor);
}

template <class T>
void write_plan(const SweepTask<T>& task, std::ptrdiff_t first, int count, const T* e,
                const GroupRows& rows, T* squares) {
  for (int r = 0; r < count; ++r) {
    const std::ptrdiff_t i = first + r;
    const T factor = static_cast<T>(rows.factor[r]);
    if (task.plan_item == 4)
      write_plan_row(e + r * task.ld, factor, task.m, static_cast<float*>(task.plan) + i * task.plan_stride);
    else
      write_plan_row(e + r * task.ld, factor, task.m, static_cast<double*>(task.plan) + i * task.plan_stride);
    task.row_sums[i] = rows.factor[r] == 0 ? 0 : rows.total[r] * rows.factor[r];
    if (task.row_weight == nullptr) continue;
    const T weight = static_cast<T>(task.row_weight[i]);
    for (std::ptrdiff_t j = 0; j < task.m; j += Simd<T>::lanes) {
      const Vec<T> p = load(e + r * task.ld + j) * splat(factor);
      store(squares + j, fma(p * splat(weight), p, load(squares + j)));
    }
  }
}

// Column sums that a damped or a given potential sends out of range become infinite.
template <class Source>
void sweep_group(const SweepContext<Source>& c, std::ptrdiff_t first, int count,
                 const SweepBuffers<Source>& buf, double* out) {
  typedef typename Source::value T;
  const auto& task = c.task;
  const typename Source::Group group = c.source->open(first, count, buf.rows);
  for (std::ptrdiff_t q = 0; q < task.R; ++q) {
    const double *log2_a = task.log2_a + q * task.n, *a = task.a + q * task.n;
    double* f = task.f + q * task.n;
    const T* G = task.G + q * task.ld;
    GroupRows rows;
    T F[kMostRows];
    for (int r = 0; r < kMostRows; ++r)
      rows.part[r] = r < Source::ROWS ? c.source->row_part(group, r) : 0.0;
    choose_shifts(task, first, count, f, log2_a, rows, F);
    c.source->template fill<false>(group, G, F, buf.e, task.ld, rows.total);
    bool safe = true;
    for (int r = 0; r < count; ++r)
      safe = safe && (!task.update_f || rows.absent[r] || is_safe<T>(rows.total[r]));
    if (!safe) shift_by_maximum(*c.source, group, task, G, buf.e, rows);
    finish_rows(task, first, count, f, log2_a, a, rows);
    add_columns<Source::ROWS>(buf.e, task.ld, task.m, rows.factor, buf.sums + q * task.ld);
    for (std::ptrdiff_t j = 0; j < task.m && rows.overflow; ++j) out[q * task.m + j] = __builtin_inf();
    if (task.plan != nullptr) write_plan(task, first, count, buf.e, rows, buf.squares);
  }
}

template <class Source>
void sweep_leaf(void* context, std::ptrdiff_t leaf, double* sums, int worker) {
  const auto& c = *static_cast<SweepContext<Source>*>(context);
  const auto& task = c.task;
  const SweepBuffers<Source> buf(c.scratch->slice(worker), *c.source, task.ld, task.R);
  for (std::ptrdiff_t j = 0; j < (task.R + 1) * task.ld; ++j) buf.sums[j] = 0;
  const std::ptrdiff_t begin = leaf * kSweepRows;
  const std::ptrdiff_t end = begin + kSweepRows < task.n ? begin + kSweepRows : task.n;
  std::ptrdiff_t pending = 0;
  for (std::ptrdiff_t i = begin; i < end; i += Source::ROWS) {
    const int count = static_cast<int>(end - i < Source::ROWS ? end - i : Source::ROWS);
    sweep_group(c, i, count, buf, sums);
    pending += count;
    if (pending < kFlushRows && i + Source::ROWS < end) continue;
    for (std::ptrdiff_t q = 0; q < task.R; ++q) flush(buf.sums + q * task.ld, task.m, sums + q * task.m);
    if (task.row_weight != nullptr) flush(buf.squares, task.m, sums + task.R * task.m);
    pending = 0;
  }
}

// Threads for a pass over `entries`: waking a team takes longer than a short pass.
inline int sweep_threads(int threads, std::ptrdiff_t leaves, std::ptrdiff_t entries) {
  return entries < (1 << 17) ? 1 : resolve_threads(threads, leaves);
}

// out: R times m column sums, and m weighted sums of squares when row weights are given.
template <class Source>
void sweep(const Source& source, const SweepTask<typename Source::value>& task, int threads,
           double* out) {
  const std::ptrdiff_t leaves = (task.n + kSweepRows - 1) / kSweepRows;
  threads = sweep_threads(threads, leaves, task.n * task.m);
  Scratch scratch(SweepBuffers<Source>(nullptr, source, task.ld, task.R).size, threads);
  SweepContext<Source> c{&source, task, &scratch};
  const std::ptrdiff_t size = (task.R + (task.row_weight != nullptr ? 1 : 0)) * task.m;
  sum_over_leaves(leaves, size, threads, sweep_leaf<Source>, &c, out);
}
