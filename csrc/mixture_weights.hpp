// Weights of known components for every row of a sparse table, by expectation maximisation.
// Included inside the target's namespace.

template <class T>
struct WeightsContext {
  const WeightsJob<T>* job;
  Scratch* scratch;
  std::ptrdiff_t longest;
};

// w becomes the next iterate; returns the largest move of an entry.
inline double iterate_weights(const double* rows, const double* v, std::ptrdiff_t count, std::ptrdiff_t k,
                              double* w, double* after) {
  double total = 0, moved = 0;
  for (std::ptrdiff_t t = 0; t < k; ++t) after[t] = 0;
  for (std::ptrdiff_t c = 0; c < count; ++c) {
    double s = 0;
    for (std::ptrdiff_t t = 0; t < k; ++t) s += rows[c * k + t] * w[t];
    if (s < kLeastShare) continue;
    const double q = v[c] / s;
    for (std::ptrdiff_t t = 0; t < k; ++t) after[t] += q * rows[c * k + t];
  }
  for (std::ptrdiff_t t = 0; t < k; ++t) {
    after[t] *= w[t];
    total += after[t];
  }
  for (std::ptrdiff_t t = 0; total > 0 && t < k; ++t) {
    const double next = after[t] / total, move = __builtin_fabs(next - w[t]);
    moved = move > moved ? move : moved;
    w[t] = next;
  }
  return moved;
}

template <class T>
void weights_chunk(void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
  const auto& c = *static_cast<WeightsContext<T>*>(context);
  const MixtureTable<T>& table = c.job->table;
  const std::ptrdiff_t k = table.k;
  double *rows = reinterpret_cast<double*>(c.scratch->slice(worker)), *v = rows + c.longest * k;
  double *w = v + c.longest, *after = w + k;
  for (std::ptrdiff_t i = begin; i < end; ++i) {
    const std::ptrdiff_t first = table.indptr[i], count = table.indptr[i + 1] - first;
    const double most_v = largest_entry(table.data + first, count);
    for (std::ptrdiff_t cell = 0; cell < count; ++cell) {
      const T* source = table.H + table.indices[first + cell] * k;
      const double most = largest_entry(source, k);
      v[cell] = most_v > 0 ? static_cast<double>(table.data[first + cell]) / most_v : 0;
      for (std::ptrdiff_t t = 0; t < k; ++t)
        rows[cell * k + t] = most > 0 ? static_cast<double>(source[t]) / most : 0;
    }
    T* W = c.job->W + i * k;
    const double most = largest_entry(W, k);
    for (std::ptrdiff_t t = 0; t < k; ++t) after[t] = most > 0 ? static_cast<double>(W[t]) : 1;
    cell_power(after, 1, k, w);
    std::int64_t done = 0;
    while (done < c.job->max_iter) {
      ++done;
      if (iterate_weights(rows, v, count, k, w, after) <= c.job->tol) break;
    }
    c.job->n_iter[i] = static_cast<std::int32_t>(done);
    for (std::ptrdiff_t t = 0; t < k; ++t) W[t] = static_cast<T>(w[t]);
  }
}

template <class T>
void mixture_weights(const WeightsJob<T>& job) {
  constexpr std::ptrdiff_t grain = 64;
  const MixtureTable<T>& table = job.table;
  const int threads = resolve_threads(job.threads, (table.n + grain - 1) / grain);
  std::ptrdiff_t longest = 0;
  for (std::ptrdiff_t i = 0; i < table.n; ++i) {
    const std::ptrdiff_t count = table.indptr[i + 1] - table.indptr[i];
    longest = count > longest ? count : longest;
  }
  Scratch scratch(static_cast<std::size_t>((longest + 2) * (table.k + 1)) * sizeof(double), threads);
  WeightsContext<T> context{&job, &scratch, longest};
  parallel_for(table.n, grain, threads, weights_chunk<T>, &context);
}
