// One step of (tempered) PLSA over a sparse table. Included inside the target's namespace.
//
// Rows of both factors are divided by their largest entry. With s = w.h and q = v / s, row i gets
// w * sum q h and column j gets h * sum q w, so cells only add q h and q w, and the factors before
// the sums are multiplied once at the end. The powers 2 and 3 are the same with w^beta and h^beta;
// other powers need every share by itself.
//
// Cells of a row are taken in chunks: their sums, then quotients and logarithms, then what they add.
// Rows are taken in blocks, and columns of a block in ranges whose rows of H and of its sums stay in
// the second-level cache.

inline constexpr std::ptrdiff_t kPlsaRows = 128;
inline constexpr std::ptrdiff_t kPlsaCache = 1 << 18;  // bytes of a range of columns
inline constexpr double kLargeCount = 0x1p60;          // larger counts are scaled beforehand

template <class T>
struct PlsaContext {
  const PlsaJob<T>* job;
  const double *H, *powered;  // rows `stride` apart, zeros behind each; powered = H^beta or H
  std::ptrdiff_t vectors, stride, ranges;
  double scale;  // of counts
  Scratch* scratch;
};

// What is summed in a leaf: (m, stride) for columns, (m) shares of cells without a component, then
// the log-likelihood and how many counts were too large.
template <class T>
inline std::ptrdiff_t plsa_size(const PlsaContext<T>& c) {
  return c.job->table.m * (c.stride + 1) + 2;
}

// A row over its largest entry, which is returned.
template <class T>
inline double scaled_row(const T* x, std::ptrdiff_t k, double* out) {
  const double most = largest_entry(x, k), divisor = most > 0 ? most : 1;
  for (std::ptrdiff_t t = 0; t < k; ++t) out[t] = static_cast<double>(x[t]) / divisor;
  return divisor;
}
inline void power_row(const double* x, std::ptrdiff_t k, double power, double* out) {
  for (std::ptrdiff_t t = 0; t < k; ++t) out[t] = power == 2 ? x[t] * x[t] : x[t] * x[t] * x[t];
}

// s = the sums of the products of a chunk; its missing cells repeat the last one.
template <int N>
CL_INLINE void plsa_sums(const double* H, std::ptrdiff_t stride, Vectors<N> vectors, const double* w,
                         const std::int32_t* columns, std::ptrdiff_t count, double* s) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  for (std::ptrdiff_t first = 0; first < count; first += l) {
    Vec<double> sum[l];
#pragma GCC unroll 8
    for (std::ptrdiff_t r = 0; r < l; ++r) {
      const double* h = H + columns[first + r < count ? first + r : count - 1] * stride;
      sum[r] = load(w) * load(h);
      for (std::ptrdiff_t u = 1; u < vectors(); ++u) sum[r] = fma(load(w + u * l), load(h + u * l), sum[r]);
    }
    store(s + first, lane_sums(sum));
  }
}

// v log2 s, added up; false if a cell has no component.
CL_INLINE bool plsa_likelihood(const double* s, const double* v, std::ptrdiff_t count, Vec<double>& sum) {
  IVec<double> empty = {};
  for (std::ptrdiff_t first = 0; first < count; first += Simd<double>::lanes) {
    const Vec<double> x = load(s + first);
    const IVec<double> none = x < splat(kLeastShare);
    empty |= none;
    sum += load(v + first) * log2_normal(none ? splat(1.0) : x);
  }
  return movemask(empty) == 0;
}

// Cells without a component are uniform and have a quotient of 0.
inline void plsa_empty(const double* s, double* v, double* q, const std::int32_t* columns,
                       std::ptrdiff_t count, std::ptrdiff_t k, double* row, double* uniform,
                       double* likelihood) {
  for (std::ptrdiff_t cell = 0; cell < count; ++cell) {
    if (s[cell] >= kLeastShare) continue;
    const double share = v[cell] / static_cast<double>(k);
    *row += share;
    uniform[columns[cell]] += share;
    if (v[cell] > 0) *likelihood = -__builtin_inf();
    q[cell] = 0;
  }
}

// Adds q h to the row and q w to the columns of a chunk.
template <int N>
CL_INLINE void plsa_add(const double* H, std::ptrdiff_t stride, Vectors<N> vectors, const double* w,
                        const std::int32_t* columns, std::ptrdiff_t count, const double* q, double* row,
                        double* sums) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  constexpr int kept = N > 0 ? N : 1;
  Vec<double> own[kept], left[kept];
  if (N > 0)
    for (int u = 0; u < N; ++u) own[u] = load(row + u * l), left[u] = load(w + u * l);
  for (std::ptrdiff_t cell = 0; cell < count; ++cell) {
    const double* h = H + columns[cell] * stride;
    double* sum = sums + columns[cell] * stride;
    const Vec<double> factor = splat(q[cell]);
    for (std::ptrdiff_t u = 0; u < vectors(); ++u) {
      if (N > 0) {
        own[u % kept] = fma(factor, load(h + u * l), own[u % kept]);
        store(sum + u * l, fma(factor, left[u % kept], load(sum + u * l)));
      } else {
        store(row + u * l, fma(factor, load(h + u * l), load(row + u * l)));
        store(sum + u * l, fma(factor, load(w + u * l), load(sum + u * l)));
      }
    }
  }
  if (N > 0)
    for (int u = 0; u < N; ++u) store(row + u * l, own[u]);
}

// The same for shares to any power, which are worked out one after the other.
inline void plsa_add_powers(const double* H, std::ptrdiff_t stride, std::ptrdiff_t vectors, double power,
                            const double* w, const std::int32_t* columns, std::ptrdiff_t count,
                            const double* s, const double* v, double* row, double* sums, double* shares) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  for (std::ptrdiff_t cell = 0; cell < count; ++cell) {
    if (s[cell] < kLeastShare) continue;
    const double* h = H + columns[cell] * stride;
    double* sum = sums + columns[cell] * stride;
    const Vec<double> inverse = splat(1 / s[cell]);
    for (std::ptrdiff_t u = 0; u < vectors; ++u)
      store(shares + u * l, load(w + u * l) * load(h + u * l) * inverse);
    const double total = sum_lanes<double>(raise_row(shares, Vectors<0>{vectors}, power));
    const Vec<double> factor = splat(v[cell] / total);
    for (std::ptrdiff_t u = 0; u < vectors; ++u) {
      const Vec<double> g = load(shares + u * l) * factor;
      store(row + u * l, load(row + u * l) + g);
      store(sum + u * l, load(sum + u * l) + g);
    }
  }
}

// Adds a chunk of cells of row i. `w` and `raised` are its scaled row and its power.
template <class T, int N, Tempering KIND>
CL_INLINE void plsa_chunk(const PlsaContext<T>& c, std::int64_t first, std::ptrdiff_t count, const double* w,
                          const double* raised, double* sums, double* row, double* uniform_row,
                          double* shares, Vec<double>& likelihood) {
  const Vectors<N> vectors{c.vectors};
  const MixtureTable<T>& table = c.job->table;
  const std::int32_t* columns = table.indices + first;
  alignas(64) double s[kCells], v[kCells], q[kCells];
  for (std::ptrdiff_t cell = 0; cell < kCells; ++cell)
    v[cell] = cell < count ? static_cast<double>(table.data[first + cell]) * c.scale : 0;
  plsa_sums(c.H, c.stride, vectors, w, columns, count, s);
  double* tail = sums + table.m * (c.stride + 1);
  const bool full = plsa_likelihood(s, v, count, likelihood);
  if (KIND == kIntegerPower) plsa_sums(c.powered, c.stride, vectors, raised, columns, count, q);
  IVec<double> large = {};
  for (std::ptrdiff_t i = 0; i < count; i += Simd<double>::lanes) {
    large |= load(v + i) > splat(kLargeCount);
    store(q + i, load(v + i) / load((KIND == kIntegerPower ? q : s) + i));
  }
  if (movemask(large) != 0) tail[1] += 1;
  if (!full) plsa_empty(s, v, q, columns, count, table.k, uniform_row, sums + table.m * c.stride, tail);
  if (KIND == kAnyPower)
    plsa_add_powers(c.H, c.stride, c.vectors, c.job->beta, w, columns, count, s, v, row, sums, shares);
  else
    plsa_add(c.powered, c.stride, vectors, raised, columns, count, q, row, sums);
}

// How many of the next cells are taken at once: those of a range of columns, if that has an end.
inline std::ptrdiff_t plsa_count(const std::int32_t* columns, std::int64_t left, std::ptrdiff_t bound) {
  const std::ptrdiff_t most = left < kCells ? left : kCells;
  if (most == 0 || bound < 0 || columns[most - 1] < bound) return most;  // as a rule they ascend
  std::ptrdiff_t count = 0;
  while (count < most && columns[count] < bound) ++count;
  return count;
}

// Rows [begin, end), at most kPlsaRows. `cursor` is where each row has come to; whatever the order
// of its cells, the last range takes all that is left.
template <class T, int N, Tempering KIND>
void plsa_block(const PlsaContext<T>& c, std::int64_t begin, std::int64_t end, double* sums, double* memory,
                Vec<double>& likelihood) {
  const MixtureTable<T>& table = c.job->table;
  const std::ptrdiff_t k = table.k, stride = c.stride;
  double *rows = memory, *w = rows + kPlsaRows * stride, *raised = w + stride, *shares = raised + stride;
  double uniform[kPlsaRows] = {}, scales[kPlsaRows];
  std::int64_t cursor[kPlsaRows];
  for (std::int64_t i = begin; i < end; ++i) cursor[i - begin] = table.indptr[i];
  for (std::ptrdiff_t x = 0; x < (end - begin) * stride; ++x) rows[x] = 0;
  for (std::ptrdiff_t range = 1; range <= c.ranges; ++range) {
    const std::ptrdiff_t bound = range < c.ranges ? table.m * range / c.ranges : -1;
    for (std::int64_t i = begin; i < end; ++i) {
      const std::ptrdiff_t own = i - begin;
      scales[own] = scaled_row(c.job->W + i * k, k, w);
      if (KIND == kIntegerPower) power_row(w, k, c.job->beta, raised);
      std::int64_t cell = cursor[own];
      while (const std::ptrdiff_t count = plsa_count(table.indices + cell, table.indptr[i + 1] - cell, bound)) {
        plsa_chunk<T, N, KIND>(c, cell, count, w, KIND == kIntegerPower ? raised : w, sums,
                               rows + own * stride, uniform + own, shares, likelihood);
        cell += count;
      }
      cursor[own] = cell;
      if (range < c.ranges) continue;
      double total = 0;
      for (std::ptrdiff_t t = 0; t < k; ++t) {
        const double factor = KIND == kPlain ? w[t] : KIND == kIntegerPower ? raised[t] : 1;
        const double sum = factor * rows[own * stride + t] + uniform[own];
        c.job->W_sums[i * k + t] = static_cast<T>(sum / c.scale);
        total += sum;
      }
      if (total > 0) sums[table.m * (stride + 1)] += total * __builtin_log(scales[own]);
    }
  }
}

template <class T, int N, Tempering KIND>
void plsa_leaf(void* context, std::ptrdiff_t leaf, double* sums, int worker) {
  const auto& c = *static_cast<PlsaContext<T>*>(context);
  double* memory = reinterpret_cast<double*>(c.scratch->slice(worker));
  for (std::ptrdiff_t t = 0; t < 2 * c.stride; ++t) memory[kPlsaRows * c.stride + t] = 0;
  Vec<double> likelihood = {};
  const std::int64_t end = c.job->leaves[leaf + 1];
  for (std::int64_t i = c.job->leaves[leaf]; i < end; i += kPlsaRows)
    plsa_block<T, N, KIND>(c, i, i + kPlsaRows < end ? i + kPlsaRows : end, sums, memory, likelihood);
  sums[c.job->table.m * (c.stride + 1)] += sum_lanes<double>(likelihood) * 0.69314718055994530942;
}

template <class T, Tempering KIND>
LeafTerms plsa_leaf_of(std::ptrdiff_t vectors) {
  if constexpr (KIND != kAnyPower) {
    if constexpr (Simd<double>::lanes < 8) {
      if (vectors == 4) return plsa_leaf<T, 4, KIND>;
      if (vectors == 5) return plsa_leaf<T, 5, KIND>;
    }
    if (vectors == 1) return plsa_leaf<T, 1, KIND>;
    if (vectors == 2) return plsa_leaf<T, 2, KIND>;
    if (vectors == 3) return plsa_leaf<T, 3, KIND>;
  }
  return plsa_leaf<T, 0, KIND>;
}

// H over its largest entries, and its power; the largest entries go to `scales`.
template <class T>
inline void plsa_factor(const PlsaJob<T>& job, std::ptrdiff_t stride, bool raise, double* H, double* powered,
                        double* scales) {
  const std::ptrdiff_t m = job.table.m, k = job.table.k;
  for (std::ptrdiff_t j = 0; j < m; ++j) {
    scales[j] = scaled_row(job.table.H + j * k, k, H + j * stride);
    for (std::ptrdiff_t t = k; t < stride; ++t) H[j * stride + t] = 0;
    if (raise) power_row(H + j * stride, stride, job.beta, powered + j * stride);
  }
}

// Writes the sums of columns and returns the log-likelihood.
template <class T>
inline double plsa_finish(const PlsaContext<T>& c, const double* factor, const double* scales, const double* sums) {
  const MixtureTable<T>& table = c.job->table;
  double likelihood = sums[table.m * (c.stride + 1)];
  for (std::ptrdiff_t j = 0; j < table.m; ++j) {
    double total = 0;
    for (std::ptrdiff_t t = 0; t < table.k; ++t) {
      const std::ptrdiff_t at = j * c.stride + t;
      const double sum = (factor == nullptr ? 1 : factor[at]) * sums[at] + sums[table.m * c.stride + j];
      c.job->H_sums[j * table.k + t] = static_cast<T>(sum / c.scale);
      total += sum;
    }
    if (total > 0) likelihood += total * __builtin_log(scales[j]);
  }
  return likelihood / c.scale;
}

template <class T>
double plsa_step(const PlsaJob<T>& job) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  const MixtureTable<T>& table = job.table;
  const std::ptrdiff_t vectors = (table.k + l - 1) / l, stride = vectors * l;
  const Tempering kind = tempering(job.beta);
  const bool raise = kind == kIntegerPower;
  const int threads = resolve_threads(job.threads, job.n_leaves);
  Scratch scratch(static_cast<std::size_t>((kPlsaRows + 3) * stride) * sizeof(double), threads);
  Scratch copies(static_cast<std::size_t>((raise ? 2 : 1) * table.m * stride + table.m) * sizeof(double), 1);
  double* H = reinterpret_cast<double*>(copies.slice(0));
  double *powered = raise ? H + table.m * stride : H, *scales = powered + table.m * stride;
  plsa_factor(job, stride, raise, H, powered, scales);
  // A range is worth it for as many cells of a row as fill a chunk.
  const std::ptrdiff_t wide = table.m * stride * (raise ? 24 : 16) / kPlsaCache;
  const std::ptrdiff_t deep = table.n > 0 ? table.indptr[table.n] / table.n / kCells : 0;
  const std::ptrdiff_t ranges = wide < deep ? wide : deep;
  PlsaContext<T> c{&job, H, powered, vectors, stride, ranges > 1 ? ranges : 1, 1, &scratch};
  Scratch total(static_cast<std::size_t>(plsa_size(c)) * sizeof(double), 1);
  double* sums = reinterpret_cast<double*>(total.slice(0));
  const LeafTerms leaf = kind == kPlain          ? plsa_leaf_of<T, kPlain>(vectors)
                         : kind == kIntegerPower ? plsa_leaf_of<T, kIntegerPower>(vectors)
                                                 : plsa_leaf_of<T, kAnyPower>(vectors);
  sum_over_leaves(job.n_leaves, plsa_size(c), threads, leaf, &c, sums);
  if (sums[plsa_size(c) - 1] > 0) {  // counts of another order: once more, with smaller ones
    c.scale = 1 / largest_entry(table.data, table.indptr[table.n]);
    sum_over_leaves(job.n_leaves, plsa_size(c), threads, leaf, &c, sums);
  }
  return plsa_finish(c, kind == kAnyPower ? nullptr : powered, scales, sums);
}
