// Posteriors of rows with a domain, and their sums by domain. Included inside the target's
// namespace.

template <class T>
struct PosteriorContext {
  const PosteriorJob<T>* job;
  Scratch* scratch;
};

// h = row i of H, or the mean over its neighbours, plus the floor; false for what is not allowed.
template <class T>
inline bool prior_row(const PosteriorJob<T>& job, std::ptrdiff_t i, double* h) {
  const std::ptrdiff_t k = job.k;
  const T* own = job.H + i * k;
  for (std::ptrdiff_t t = 0; t < k; ++t) {
    if (!(own[t] >= 0 && static_cast<double>(own[t]) < __builtin_inf())) return false;
    h[t] = job.q > 0 ? 0 : static_cast<double>(own[t]);
  }
  for (std::ptrdiff_t c = 0; c < job.q; ++c)
    for (std::ptrdiff_t t = 0; t < k; ++t)
      h[t] += static_cast<double>(job.H[job.neighbors[i * job.q + c] * k + t]);
  for (std::ptrdiff_t t = 0; t < k; ++t)
    h[t] = (job.q > 0 ? h[t] / static_cast<double>(job.q) : h[t]) + job.floor;
  if (largest_entry(h, k) == 0)
    for (std::ptrdiff_t t = 0; t < k; ++t) h[t] = 1;
  return true;
}

// Sums of a leaf: (r, k) counts, (r, k) totals, then the log-likelihood.
template <class T>
void posterior_leaf(void* context, std::ptrdiff_t leaf, double* sums, int worker) {
  const auto& c = *static_cast<PosteriorContext<T>*>(context);
  const PosteriorJob<T>& job = *c.job;
  const std::ptrdiff_t k = job.k, size = job.r * k;
  const std::ptrdiff_t begin = leaf * job.leaf_rows;
  const std::ptrdiff_t end = begin + job.leaf_rows < job.n ? begin + job.leaf_rows : job.n;
  double *h = reinterpret_cast<double*>(c.scratch->slice(worker)), *p = h + k, *g = p + k;
  for (std::ptrdiff_t i = begin; i < end; ++i) {
    if (!prior_row(job, i, h)) {
      sums[2 * size] = __builtin_nan("");
      return;
    }
    const std::ptrdiff_t d = job.domains[i];
    const double w = job.weight == nullptr ? 1.0 : job.weight[i];
    cell_power(h, job.tau, k, g);
    const double logarithm = cell_products(g, job.D + d * k, k, p);
    if (w > 0) sums[2 * size] += w * logarithm;
    cell_shares(p, job.beta, k, g);
    for (std::ptrdiff_t t = 0; t < k; ++t) {
      sums[d * k + t] += w * g[t];
      sums[size + d * k + t] += w * p[t];
      if (job.responsibilities != nullptr) job.responsibilities[i * k + t] = static_cast<T>(g[t]);
      if (job.posterior != nullptr) job.posterior[i * k + t] = static_cast<T>(p[t]);
    }
  }
}

template <class T>
double tempered_posterior(const PosteriorJob<T>& job) {
  const std::ptrdiff_t size = job.r * job.k;
  const std::ptrdiff_t leaves = (job.n + job.leaf_rows - 1) / job.leaf_rows;
  const int threads = resolve_threads(job.threads, leaves);
  Scratch scratch(static_cast<std::size_t>(3 * job.k) * sizeof(double), threads);
  Scratch total(static_cast<std::size_t>(2 * size + 1) * sizeof(double), 1);
  PosteriorContext<T> context{&job, &scratch};
  double* sums = reinterpret_cast<double*>(total.slice(0));
  sum_over_leaves(leaves, 2 * size + 1, threads, posterior_leaf<T>, &context, sums);
  for (std::ptrdiff_t i = 0; i < size; ++i) {
    job.counts[i] = sums[i];
    job.totals[i] = sums[size + i];
  }
  return sums[2 * size];
}
