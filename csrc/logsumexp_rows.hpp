// The driver of pairwise_logsumexp. Included inside the target's namespace after logsumexp.hpp.

template <class T>
struct LogsumexpBuffers {
  T *panel, *staging, *terms, *weighted, *row;
  std::size_t size = 0;

  T* take(char* base, std::size_t count) {
    T* p = reinterpret_cast<T*>(base + size);
    size += (count * sizeof(T) + 127) / 64 * 64;
    return p;
  }
  LogsumexpBuffers(char* base, std::ptrdiff_t d, std::ptrdiff_t chunks) {
    constexpr std::size_t W = Tile<T>::W, NR = Tile<T>::NR, l = Simd<T>::lanes;
    const auto D = static_cast<std::size_t>(d), Q = static_cast<std::size_t>(chunks);
    panel = take(base, W * (D + 16));
    staging = take(base, W * (D + l));
    terms = take(base, Q ? NR * W : 0);
    weighted = take(base, Q * NR * W);
    row = take(base, D + 16);
  }
};

inline constexpr double kLog2E = 1.44269504088896340736, kLn2 = 0.69314718055994530942;

// Per-row numbers of a panel, as vectors.
template <class T, int MV>
struct LaneRows {
  Vec<T> squares[MV], inverse[MV], slope[MV];
  IVec<T> group[MV];
};

template <class T, int MV>
void read_rows(const LogsumexpContext<T>& c, std::ptrdiff_t first, int count, const T* squares,
               LaneRows<T, MV>& rows) {
  constexpr int l = Simd<T>::lanes;
  for (int m = 0; m < MV; ++m) {
    rows.squares[m] = load(squares + m * l);
    rows.inverse[m] = inverse_norm<T>(rows.squares[m]);
    for (int i = 0; i < l; ++i) {
      const std::ptrdiff_t r = first + (m * l + i < count ? m * l + i : count - 1);
      rows.slope[m][i] =
          static_cast<T>(c.job->inverse_temperature[r] * c.unit * kLog2E);
      rows.group[m][i] = c.job->mask != 0 ? c.job->x_group[r] : 0;
    }
  }
}

// log-sum-exp of a row in natural units from the state of its lane.
template <class T, int MV>
void write_rows(const LogsumexpContext<T>& c, std::ptrdiff_t first, int count,
                const PanelSum<T, MV>& state, const LaneRows<T, MV>& rows, const T* weighted) {
  constexpr int l = Simd<T>::lanes, W = MV * l;
  for (int r = 0; r < count; ++r) {
    const int m = r / l, i = r % l;
    const double most = state.most[m][i];
    const double sum = static_cast<double>(state.sum[m][i]) + static_cast<double>(state.outer[m][i]);
    const bool empty = !(most > static_cast<double>(kNoTerm<T>) / 2);
    double lse = (most + log2_of(sum)) * kLn2;
    if (c.job->metric == Metric::sqeuclidean)
      lse -= c.job->inverse_temperature[first + r] * c.unit *
             static_cast<double>(rows.squares[m][i]);
    c.job->out[first + r] = empty ? -static_cast<T>(__builtin_inf()) : static_cast<T>(lse);
    for (std::ptrdiff_t q = 0; q < c.job->q; ++q)
      c.job->weighted[(first + r) * c.job->q + q] =
          empty ? T(0) : static_cast<T>(static_cast<double>(weighted[q * W + r]) / sum);
  }
}

// Whether inverse temperature times the largest possible distance leaves the dtype.
template <class T>
bool exponent_overflows(const LogsumexpContext<T>& c, T square, double beta) {
  const double reach = __builtin_sqrt(static_cast<double>(square)) + c.y_norm;
  return !(beta * c.unit * kLog2E * (reach * reach + 1) < static_cast<double>(kLargeSquare<T>));
}

// One row in float64 from beginning to end, for values that leave the range of the dtype.
template <class T>
void wide_logsumexp(const LogsumexpContext<T>& c, const T* x, std::ptrdiff_t i) {
  const LogsumexpJob<T>& job = *c.job;
  const auto exponent = [&](std::ptrdiff_t j) {
    if (job.mask != 0 && (job.x_group[i] == job.y_group[j]) != (job.mask == 1))
      return -__builtin_inf();
    const double beta = job.inverse_temperature[i];
    const double z = beta == 0 ? 0 : -beta * c.exact.wide_distance(x, c.exact.value(x, j));
    return job.log_weight == nullptr ? z : z + job.log_weight[j];
  };
  double most = -__builtin_inf(), sum = 0;
  for (std::ptrdiff_t j = 0; j < job.Y.rows; ++j) most = exponent(j) > most ? exponent(j) : most;
  const bool empty = most == -__builtin_inf();
  for (std::ptrdiff_t q = 0; q < job.q; ++q) job.weighted[i * job.q + q] = 0;
  for (std::ptrdiff_t j = 0; j < job.Y.rows && !empty; ++j) sum += exp_of(exponent(j) - most);
  for (std::ptrdiff_t j = 0; j < job.Y.rows && !empty; ++j)
    for (std::ptrdiff_t q = 0; q < job.q; ++q)
      job.weighted[i * job.q + q] +=
          static_cast<T>(exp_of(exponent(j) - most) / sum * static_cast<double>(job.values[j * job.q + q]));
  job.out[i] = static_cast<T>(empty ? most : most + log2_of(sum) * kLn2);
}

template <class T>
void logsumexp_panel(LogsumexpContext<T>& c, std::ptrdiff_t first, int count,
                     const LogsumexpBuffers<T>& buf) {
  constexpr int MV = Tile<T>::MV, NR = Tile<T>::NR, W = Tile<T>::W;
  constexpr std::ptrdiff_t run = 64;  // blocks summed before the outer level takes over
  const std::ptrdiff_t d = c.job->X.cols;
  T squares[W];
  pack_matrix_rows<MV, W>(c.job->X, first, count, c.exact.setup.shift, row_scale(c.exact), buf.panel, squares,
                          buf.staging);
  if (!panel_is_finite(c.job->X, first, count, squares)) {
    __atomic_store_n(&c.status, static_cast<int>(Status::x_not_finite), __ATOMIC_RELAXED);
    return;
  }
  LaneRows<T, MV> rows;
  read_rows<T, MV>(c, first, count, squares, rows);
  PanelSum<T, MV> state;
  for (int m = 0; m < MV; ++m) {
    state.most[m] = splat(kNoTerm<T>);
    state.sum[m] = state.outer[m] = Vec<T>{};
  }
  for (std::ptrdiff_t q = 0; q < c.chunks * NR * W; ++q) buf.weighted[q] = 0;
  T* terms = c.chunks > 0 ? buf.terms : nullptr;
  for (std::ptrdiff_t b = 0; b < c.columns.blocks; ++b) {
    Vec<T> acc[NR][MV];
#pragma GCC unroll 32
    for (int j = 0; j < NR; ++j)
#pragma GCC unroll 4
      for (int m = 0; m < MV; ++m) acc[j][m] = splat(c.columns.bias[b * NR + j]);
    multiply_tile<T, MV, NR>(buf.panel, c.columns.packed + b * NR * d, d, acc);
    exponents<T, MV, NR>(c, b, rows.slope, rows.squares, rows.inverse, rows.group, acc);
    add_block<T, MV, NR>(c, b, acc, state, terms, buf.weighted);
    if (b % run == run - 1)
      for (int m = 0; m < MV; ++m) {
        state.outer[m] += state.sum[m];
        state.sum[m] = Vec<T>{};
      }
  }
  write_rows<T, MV>(c, first, count, state, rows, buf.weighted);
  for (int r = 0; r < count; ++r)
    if (c.wild || is_wild(c.job->X, first + r, c.job->metric, squares[r]) ||
        exponent_overflows(c, squares[r], c.job->inverse_temperature[first + r]))
      wide_logsumexp(c, contiguous_row(c.job->X, first + r, reinterpret_cast<char*>(buf.row)),
                     first + r);
}

template <class T>
void logsumexp_body(void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
  constexpr int W = Tile<T>::W;
  auto& c = *static_cast<LogsumexpContext<T>*>(context);
  const LogsumexpBuffers<T> buf(c.scratch->slice(worker), c.job->X.cols, c.chunks);
  for (std::ptrdiff_t i = begin; i < end; i += W)
    logsumexp_panel(c, i, static_cast<int>(end - i < W ? end - i : W), buf);
}

// Weights in base 2 with "no term" for -inf and for padding; values as chunks of NR columns.
template <class T>
void pack_terms(const LogsumexpJob<T>& job, std::ptrdiff_t padded, std::ptrdiff_t chunks,
                T* log_weight, T* values) {
  constexpr int NR = Tile<T>::NR;
  for (std::ptrdiff_t j = 0; j < padded; ++j) {
    const double w = job.log_weight == nullptr || j >= job.Y.rows ? 0.0 : job.log_weight[j];
    const bool none = j >= job.Y.rows || w * kLog2E < static_cast<double>(kNoTerm<T>);
    log_weight[j] = none ? kNoTerm<T> : static_cast<T>(w * kLog2E);
  }
  for (std::ptrdiff_t q = 0; q < chunks * NR; ++q)
    for (std::ptrdiff_t j = 0; j < padded; ++j)
      values[(q / NR * padded + j) * NR + q % NR] =
          q < job.q && j < job.Y.rows ? job.values[j * job.q + q] : T(0);
}

template <class T>
Status logsumexp(const LogsumexpJob<T>& job) {
  constexpr int NR = Tile<T>::NR, W = Tile<T>::W;
  const Screening<T> screening(job.X, job.Y, job.metric, job.threads);
  if (!screening.setup.finite) return Status::y_not_finite;
  const std::ptrdiff_t chunks = job.values == nullptr ? 0 : (job.q + NR - 1) / NR;
  const std::ptrdiff_t padded = (job.Y.rows + NR - 1) / NR * NR;
  const int threads = resolve_threads(job.threads, (job.X.rows + W - 1) / W);
  const Scratch columns(column_bytes(job.Y), 1);
  const Scratch terms(sizeof(T) * static_cast<std::size_t>(padded * (1 + chunks * NR)), 1);
  Scratch scratch(LogsumexpBuffers<T>(nullptr, job.X.cols, chunks).size, threads);
  T* log_weight = reinterpret_cast<T*>(terms.slice(0));
  pack_terms(job, padded, chunks, log_weight, log_weight + padded);
  LogsumexpContext<T> c{&job, {job.Y, job.metric, screening.setup}, {}, log_weight,
                        log_weight + padded, chunks, 1.0, 0.0, false, &scratch, 0};
  c.columns = pack_columns(c.exact, columns.slice(0));
  for (int i = scale_power(c.exact); i > 0; --i) c.unit /= static_cast<double>(row_scale(c.exact));
  c.y_norm = largest_norm(job.Y, screening.setup, job.metric) *
             static_cast<double>(row_scale(c.exact) / screening.setup.y_scale);
  c.wild = out_of_range(c.columns.bias, padded);
  parallel_for(job.X.rows, W, threads, logsumexp_body<T>, &c);
  return static_cast<Status>(c.status);
}
