// Weights of known components for every row of a sparse table, by expectation maximisation.
// Included inside the target's namespace.
//
// The rows of H that a row of the table needs are gathered once, in tiles of as many cells as a
// vector has lanes: entry t of all cells of a tile is one vector. Sums over components then need no
// sum across lanes, and sums over cells one for each lane.

template <class T>
struct WeightsContext {
  const WeightsJob<T>* job;
  Scratch* scratch;
  std::ptrdiff_t longest, stride;  // tiles, entries
};

// A row of the table ready for iterations.
struct GatheredRow {
  std::ptrdiff_t tiles, k, stride;
  double *H, *v, *q;   // (tiles, stride, lanes), (tiles, lanes) twice
  double *w, *after;   // (stride)
};

// q = v / (H w) for tiles [first, first + TILES); cells whose sum vanishes have 0 and are marked.
template <int TILES>
CL_INLINE void weight_quotients(const GatheredRow& row, std::ptrdiff_t first, IVec<double>& unseen) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  const double* H = row.H + first * row.stride * l;
  Vec<double> even[TILES] = {}, odd[TILES] = {};
  for (std::ptrdiff_t t = 0; t < row.k; t += 2) {
    const Vec<double> w0 = splat(row.w[t]), w1 = splat(row.w[t + 1]);
#pragma GCC unroll 4
    for (int i = 0; i < TILES; ++i) {
      const double* h = H + (i * row.stride + t) * l;
      even[i] = fma(w0, load(h), even[i]);
      odd[i] = fma(w1, load(h + l), odd[i]);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < TILES; ++i) {
    const Vec<double> s = even[i] + odd[i], v = load(row.v + (first + i) * l), zero = {};
    const IVec<double> none = s < splat(kLeastShare);
    unseen |= none & (v > zero);
    store(row.q + (first + i) * l, none ? zero : v / s);
  }
}

// w becomes the next iterate; false if no entry has moved by more than tol. The counts sum to 1, so
// that the weights do, unless a cell is left out.
CL_INLINE bool iterate_weights(const GatheredRow& row, double tol) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  std::ptrdiff_t tile = 0;
  IVec<double> unseen = {};
  for (; tile + 4 <= row.tiles; tile += 4) weight_quotients<4>(row, tile, unseen);
  for (; tile + 2 <= row.tiles; tile += 2) weight_quotients<2>(row, tile, unseen);
  for (; tile < row.tiles; ++tile) weight_quotients<1>(row, tile, unseen);
  Vec<double> sums = {};
  for (std::ptrdiff_t t = 0; t < row.stride; t += l) {
    Vec<double> sum[l] = {};
    for (tile = 0; tile < row.tiles; ++tile) {
      const double* h = row.H + (tile * row.stride + t) * l;
      const Vec<double> q = load(row.q + tile * l);
#pragma GCC unroll 8
      for (std::ptrdiff_t i = 0; i < l; ++i) sum[i] = fma(q, load(h + i * l), sum[i]);
    }
    const Vec<double> next = load(row.w + t) * lane_sums(sum);
    store(row.after + t, next);
    sums += next;
  }
  if (movemask(unseen) != 0) {
    const double total = sum_lanes<double>(sums);
    if (!(total > 0)) return false;
    for (std::ptrdiff_t t = 0; t < row.stride; t += l) store(row.after + t, load(row.after + t) / splat(total));
  }
  IVec<double> moved = {};
  for (std::ptrdiff_t t = 0; t < row.stride; t += l) {
    const Vec<double> w = load(row.w + t), next = load(row.after + t);
    moved |= vmax(next - w, w - next) > splat(tol);
    store(row.w + t, next);
  }
  return movemask(moved) != 0;
}

// Gathers row i of the table; rows of H are divided by their largest entry, counts by theirs and by
// their sum. False if there is nothing in it.
template <class T>
inline bool gather_row(const WeightsContext<T>& c, std::ptrdiff_t i, GatheredRow& row) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  const MixtureTable<T>& table = c.job->table;
  const std::ptrdiff_t first = table.indptr[i], count = table.indptr[i + 1] - first;
  const double largest = largest_entry(table.data + first, count);
  double total = 0;
  row.tiles = (count + l - 1) / l;
  for (std::ptrdiff_t cell = 0; cell < row.tiles * l; ++cell) {
    double* out = row.H + cell / l * c.stride * l + cell % l;
    const T* h = cell < count ? table.H + table.indices[first + cell] * table.k : nullptr;
    const double most = h != nullptr ? largest_entry(h, table.k) : 0;
    row.v[cell] = most > 0 && largest > 0 ? static_cast<double>(table.data[first + cell]) / largest : 0;
    total += row.v[cell];
    for (std::ptrdiff_t t = 0; t < c.stride; ++t)
      out[t * l] = most > 0 && t < table.k ? static_cast<double>(h[t]) / most : 0;
  }
  const T* start = c.job->W + i * table.k;
  const bool uniform = largest_entry(start, table.k) == 0;
  for (std::ptrdiff_t t = 0; t < c.stride; ++t)
    row.after[t] = t >= table.k ? 0 : uniform ? 1 : static_cast<double>(start[t]);
  cell_power(row.after, 1, c.stride, row.w);
  for (std::ptrdiff_t cell = 0; total > 0 && cell < row.tiles * l; ++cell) row.v[cell] /= total;
  return total > 0;
}

template <class T>
void weights_chunk(void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  const auto& c = *static_cast<WeightsContext<T>*>(context);
  const std::ptrdiff_t k = c.job->table.k;
  GatheredRow row;
  row.k = k;
  row.stride = c.stride;
  row.H = reinterpret_cast<double*>(c.scratch->slice(worker));
  row.v = row.H + c.longest * c.stride * l;
  row.q = row.v + c.longest * l;
  row.w = row.q + c.longest * l;
  row.after = row.w + c.stride;
  for (std::ptrdiff_t i = begin; i < end; ++i) {
    std::int64_t done = 1;
    if (gather_row(c, i, row))
      while (iterate_weights(row, c.job->tol) && done < c.job->max_iter) ++done;
    c.job->n_iter[i] = static_cast<std::int32_t>(done);
    for (std::ptrdiff_t t = 0; t < c.stride; ++t) row.after[t] = row.w[t];
    cell_power(row.after, 1, c.stride, row.w);
    for (std::ptrdiff_t t = 0; t < k; ++t) c.job->W[i * k + t] = static_cast<T>(row.w[t]);
  }
}

template <class T>
void mixture_weights(const WeightsJob<T>& job) {
  constexpr std::ptrdiff_t grain = 64, l = Simd<double>::lanes;
  const MixtureTable<T>& table = job.table;
  const std::ptrdiff_t stride = (table.k + l - 1) / l * l;
  const int threads = resolve_threads(job.threads, (table.n + grain - 1) / grain);
  std::ptrdiff_t longest = 0;
  for (std::ptrdiff_t i = 0; i < table.n; ++i) {
    const std::ptrdiff_t count = table.indptr[i + 1] - table.indptr[i];
    longest = count > longest ? count : longest;
  }
  const std::ptrdiff_t tiles = (longest + l - 1) / l;
  Scratch scratch(static_cast<std::size_t>(tiles * l * (stride + 2) + 2 * stride) * sizeof(double), threads);
  WeightsContext<T> context{&job, &scratch, tiles, stride};
  parallel_for(table.n, grain, threads, weights_chunk<T>, &context);
}
