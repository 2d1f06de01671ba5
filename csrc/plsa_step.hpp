// One step of (tempered) PLSA over a sparse table. Included inside the target's namespace.

template <class T>
struct PlsaContext {
  const PlsaJob<T>* job;
  Scratch* scratch;
};

// Sums of a leaf: (m, k) of the columns, then the log-likelihood.
template <class T>
void plsa_leaf(void* context, std::ptrdiff_t leaf, double* sums, int worker) {
  const auto& c = *static_cast<PlsaContext<T>*>(context);
  const PlsaJob<T>& job = *c.job;
  const MixtureTable<T>& table = job.table;
  const std::ptrdiff_t k = table.k;
  double *p = reinterpret_cast<double*>(c.scratch->slice(worker)), *g = p + k, *row = g + k;
  for (std::int64_t i = job.leaves[leaf]; i < job.leaves[leaf + 1]; ++i) {
    for (std::ptrdiff_t t = 0; t < k; ++t) row[t] = 0;
    for (std::int64_t cell = table.indptr[i]; cell < table.indptr[i + 1]; ++cell) {
      const std::ptrdiff_t j = table.indices[cell];
      const double v = static_cast<double>(table.data[cell]);
      const double logarithm = cell_products(job.W + i * k, table.H + j * k, k, p);
      if (v > 0) sums[table.m * k] += v * logarithm;
      cell_shares(p, job.beta, k, g);
      for (std::ptrdiff_t t = 0; t < k; ++t) {
        row[t] += v * g[t];
        sums[j * k + t] += v * g[t];
      }
    }
    for (std::ptrdiff_t t = 0; t < k; ++t) job.W_sums[i * k + t] = static_cast<T>(row[t]);
  }
}

template <class T>
double plsa_step(const PlsaJob<T>& job) {
  const std::ptrdiff_t size = job.table.m * job.table.k;
  const int threads = resolve_threads(job.threads, job.n_leaves);
  Scratch scratch(static_cast<std::size_t>(3 * job.table.k) * sizeof(double), threads);
  Scratch total(static_cast<std::size_t>(size + 1) * sizeof(double), 1);
  PlsaContext<T> context{&job, &scratch};
  double* sums = reinterpret_cast<double*>(total.slice(0));
  sum_over_leaves(job.n_leaves, size + 1, threads, plsa_leaf<T>, &context, sums);
  for (std::ptrdiff_t i = 0; i < size; ++i) job.H_sums[i] = static_cast<T>(sums[i]);
  return sums[size];
}
