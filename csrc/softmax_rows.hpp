// Softmax of rows. Included inside the target's namespace, after sinkhorn_math.hpp and
// turned_rows.hpp.
//
// Short rows are turned, so that lanes are rows: no maximum or sum across lanes, no tail. Longer
// rows go one by one, lanes are columns. Which it is depends on the number of columns alone.

inline constexpr std::ptrdiff_t kTurnedColumns = 256;
inline constexpr std::ptrdiff_t kSumRun = 64;  // terms added before an outer level takes over
template <class T>
inline constexpr int kSoftmaxRows = 2 * Simd<T>::lanes;

// A bit of the sign for NaN and plus infinity.
template <class T>
CL_INLINE IVec<T> spoiled_lanes(Vec<T> z) {
  return ~(z < splat(static_cast<T>(__builtin_inf())));
}

// Normalises a turned strip: tile[c * R + i]. lse is NaN where a score is NaN or plus infinity,
// minus infinity where all are.
template <class T>
CL_INLINE void softmax_strip(const T* log_weight, std::ptrdiff_t k, T* tile, T* lse,
                             std::int32_t* labels) {
  constexpr int l = Simd<T>::lanes, R = kSoftmaxRows<T>;
  const T infinity = static_cast<T>(__builtin_inf());
  Vec<T> most[2], sum[2] = {}, outer[2] = {};
  IVec<T> column[2] = {}, spoiled[2] = {};
  most[0] = most[1] = splat(-infinity);
  for (std::ptrdiff_t c = 0; c < k; ++c)
    for (int v = 0; v < 2; ++v) {
      T* at = tile + c * R + v * l;
      Vec<T> z = load(at);
      if (log_weight != nullptr) {
        z += splat(log_weight[c]);
        store(at, z);
      }
      spoiled[v] |= spoiled_lanes<T>(z);
      const IVec<T> above = z > most[v];
      column[v] = above ? isplat<T>(c) : column[v];
      most[v] = above ? z : most[v];
    }
  const Vec<T> unit = splat(static_cast<T>(kLog2E));
  for (std::ptrdiff_t c = 0; c < k; ++c) {
    for (int v = 0; v < 2; ++v) {
      T* at = tile + c * R + v * l;
      const Vec<T> term = exp2_negative((load(at) - most[v]) * unit);
      store(at, term);
      sum[v] += term;
    }
    if (c % kSumRun == kSumRun - 1)
      for (int v = 0; v < 2; ++v) {
        outer[v] += sum[v];
        sum[v] = Vec<T>{};
      }
  }
  Vec<T> inverse[2];
  for (int v = 0; v < 2; ++v) {
    const Vec<T> total = outer[v] + sum[v];
    inverse[v] = splat(T(1)) / total;
    Vec<T> result = fma(log2_any<T>(total), splat(static_cast<T>(kLn2)), most[v]);
    result = most[v] == splat(-infinity) ? most[v] : result;
    store(lse + v * l, spoiled[v] ? splat(static_cast<T>(__builtin_nan(""))) : result);
    for (int i = 0; labels != nullptr && i < l; ++i)
      labels[v * l + i] = static_cast<std::int32_t>(column[v][i]);
  }
  for (std::ptrdiff_t c = 0; c < k; ++c)
    for (int v = 0; v < 2; ++v) {
      T* at = tile + c * R + v * l;
      store(at, load(at) * inverse[v]);
    }
}

// One long row: z may be out.
template <class T>
void softmax_row(const T* z, std::ptrdiff_t k, T* out, T* lse, std::int32_t* label) {
  constexpr int l = Simd<T>::lanes;
  const T infinity = static_cast<T>(__builtin_inf());
  const std::ptrdiff_t whole = k / l * l;
  Vec<T> top = splat(-infinity);
  IVec<T> spoiled = {};
  for (std::ptrdiff_t p = 0; p < whole; p += l) {
    const Vec<T> v = load(z + p);
    spoiled |= spoiled_lanes<T>(v);
    top = vmax(top, v);
  }
  bool wrong = movemask(spoiled) != 0;
  T most = max_lanes<T>(top);
  for (std::ptrdiff_t p = whole; p < k; ++p) {
    wrong = wrong || !(z[p] < infinity);
    most = most > z[p] ? most : z[p];
  }
  *lse = wrong ? static_cast<T>(__builtin_nan("")) : most;
  if (label != nullptr) *label = 0;
  if (wrong || most == -infinity) return;
  if (label != nullptr) {
    std::ptrdiff_t p = 0;
    while (p < whole && movemask(load(z + p) == splat(most)) == 0) p += l;
    while (z[p] != most) ++p;
    *label = static_cast<std::int32_t>(p);
  }
  const Vec<T> shift = splat(most), unit = splat(static_cast<T>(kLog2E));
  double total = 0;
  for (std::ptrdiff_t begin = 0; begin < whole; begin += kSumRun * l) {
    const std::ptrdiff_t end = begin + kSumRun * l < whole ? begin + kSumRun * l : whole;
    Vec<T> sum = {};
    for (std::ptrdiff_t p = begin; p < end; p += l) {
      const Vec<T> term = exp2_negative((load(z + p) - shift) * unit);
      store(out + p, term);
      sum += term;
    }
    total += sum_lanes<T>(sum);
  }
  if (whole < k) {
    const Vec<T> term = exp2_negative((load_some_as<T>(z + whole, k - whole) - shift) * unit);
    for (std::ptrdiff_t i = 0; i < k - whole; ++i) {
      out[whole + i] = term[i];
      total += static_cast<double>(term[i]);
    }
  }
  *lse = static_cast<T>(static_cast<double>(most) + log2_of(total) * kLn2);
  const T inverse = static_cast<T>(1 / total);
  for (std::ptrdiff_t p = 0; p < whole; p += l) store(out + p, load(out + p) * splat(inverse));
  for (std::ptrdiff_t p = whole; p < k; ++p) out[p] *= inverse;
}

template <class T>
struct SoftmaxPass {
  const SoftmaxJob<T>* job;
  Scratch* scratch;
};

template <class T>
void softmax_strips(const SoftmaxJob<T>& job, std::ptrdiff_t begin, std::ptrdiff_t end, T* tile) {
  constexpr int R = kSoftmaxRows<T>;
  const std::ptrdiff_t k = job.scores.cols;
  T lse[R];
  std::int32_t labels[R];
  for (std::ptrdiff_t first = begin; first < end; first += R) {
    const std::ptrdiff_t count = end - first < R ? end - first : R;
    turn_rows<R>(job.scores, first, count, tile, [](int, Vec<T>) {});
    softmax_strip(job.log_weight, k, tile, lse, job.labels != nullptr ? labels : nullptr);
    turn_back<R>(tile, k, count, job.posteriors + first * k);
    for (std::ptrdiff_t i = 0; i < count; ++i) job.lse[first + i] = lse[i];
    for (std::ptrdiff_t i = 0; job.labels != nullptr && i < count; ++i)
      job.labels[first + i] = labels[i];
  }
}

template <class T>
void softmax_long_rows(const SoftmaxJob<T>& job, std::ptrdiff_t begin, std::ptrdiff_t end) {
  const std::ptrdiff_t k = job.scores.cols, step = job.scores.col_stride;
  for (std::ptrdiff_t i = begin; i < end; ++i) {
    const T* z = job.scores.row(i);
    T* out = job.posteriors + i * k;
    if (job.log_weight != nullptr || step != 1) {
      for (std::ptrdiff_t p = 0; p < k; ++p)
        out[p] = job.log_weight != nullptr ? z[p * step] + job.log_weight[p] : z[p * step];
      z = out;
    }
    softmax_row(z, k, out, job.lse + i, job.labels != nullptr ? job.labels + i : nullptr);
  }
}

template <class T>
void softmax_body(void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
  const auto& pass = *static_cast<const SoftmaxPass<T>*>(context);
  if (pass.job->scores.cols <= kTurnedColumns)
    softmax_strips(*pass.job, begin, end, reinterpret_cast<T*>(pass.scratch->slice(worker)));
  else
    softmax_long_rows(*pass.job, begin, end);
}

template <class T>
void row_softmax(const SoftmaxJob<T>& job) {
  constexpr std::ptrdiff_t R = kSoftmaxRows<T>;
  const std::ptrdiff_t k = job.scores.cols;
  const bool turned = k <= kTurnedColumns;
  const std::ptrdiff_t grain = turned ? R * (1 + 32768 / (R * k)) : 1 + 65536 / k;
  const int threads = resolve_threads(job.threads, (job.scores.rows + grain - 1) / grain);
  Scratch scratch(turned ? sizeof(T) * static_cast<std::size_t>(R * k) : 0, threads);
  SoftmaxPass<T> pass{&job, &scratch};
  parallel_for(job.scores.rows, grain, threads, softmax_body<T>, &pass);
}
