// Posteriors of rows with a domain, and their sums by domain. Included inside the target's
// namespace.
//
// Blocks of kCells rows: products and their sums, then quotients and logarithms of these, then what
// is added to the domains. A block with numbers near the ends of the range goes row by row.

// What the vector code takes: see kLeastShare, of which these leave room for the largest of h and D.
inline constexpr double kPosteriorLow = 0x1p-120, kPosteriorHigh = 0x1p50;

template <class T>
struct PosteriorContext {
  const PosteriorJob<T>* job;
  const T *D, *tail;        // copies of D and of the last rows of H, zeros behind them
  std::ptrdiff_t tail_row;  // the first row in `tail`
  std::ptrdiff_t vectors, stride;
  bool moderate;  // no entry of D is too large for the vector code
  Scratch* scratch;

  const T* row(std::ptrdiff_t i) const {
    return i < tail_row ? job->H + i * job->k : tail + (i - tail_row) * job->k;
  }
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
  const double share = job.q > 0 ? 1.0 / static_cast<double>(job.q) : 1;
  for (std::ptrdiff_t c = 0; c < job.q; ++c)
    for (std::ptrdiff_t t = 0; t < k; ++t)
      h[t] += share * static_cast<double>(job.H[job.neighbors[i * job.q + c] * k + t]);
  for (std::ptrdiff_t t = 0; t < k; ++t) h[t] += job.floor;
  if (largest_entry(h, k) == 0)
    for (std::ptrdiff_t t = 0; t < k; ++t) h[t] = 1;
  return true;
}

// Rows one by one, for numbers of any size; false if one is not allowed.
template <class T>
inline bool posterior_strange(const PosteriorContext<T>& c, std::ptrdiff_t begin, std::ptrdiff_t end,
                              double* sums, double* work) {
  const PosteriorJob<T>& job = *c.job;
  const std::ptrdiff_t k = job.k, step = (job.beta == 1 ? 1 : 2) * c.stride;
  double *h = work, *p = h + k, *g = p + k;
  for (std::ptrdiff_t i = begin; i < end; ++i) {
    if (!prior_row(job, i, h)) return false;
    const std::ptrdiff_t d = job.domains[i];
    const double w = job.weight == nullptr ? 1.0 : job.weight[i];
    cell_power(h, job.tau, k, g);
    const double logarithm = cell_products(g, job.D + d * k, k, p);
    if (w > 0) sums[job.r * step] += w * logarithm;
    cell_shares(p, job.beta, k, g);
    for (std::ptrdiff_t t = 0; t < k; ++t) {
      sums[d * step + t] += w * g[t];
      if (job.beta != 1) sums[d * step + c.stride + t] += w * p[t];
      if (job.responsibilities != nullptr) job.responsibilities[i * k + t] = static_cast<T>(g[t]);
      if (job.posterior != nullptr) job.posterior[i * k + t] = static_cast<T>(p[t]);
    }
  }
  return true;
}

// Writes a row of an output; whole vectors may run over what is written later, not over `end`.
template <class T, int N>
CL_INLINE void write_row(T* out, std::ptrdiff_t i, std::ptrdiff_t end, std::ptrdiff_t k, Vectors<N> vectors,
                         const double* values, Vec<double> factor) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  if ((end - i) * k >= vectors() * l) {
    for (std::ptrdiff_t u = 0; u < vectors(); ++u) store_as(out + i * k + u * l, load(values + u * l) * factor);
  } else {
    for (std::ptrdiff_t t = 0; t < k; ++t) out[i * k + t] = static_cast<T>(values[t] * factor[0]);
  }
}

template <class T, int N, bool PLAIN>
CL_INLINE void prefetch_domain(const PosteriorContext<T>& c, std::ptrdiff_t i, Vectors<N> vectors, const double* sums) {
  const std::ptrdiff_t d = c.job->domains[i], bytes = vectors() * static_cast<std::ptrdiff_t>(sizeof(Vec<double>));
  prefetch_row(sums + d * (PLAIN ? 1 : 2) * c.stride, (PLAIN ? 1 : 2) * bytes);
  for (std::ptrdiff_t b = 0; b < bytes * static_cast<std::ptrdiff_t>(sizeof(T)) / 8; b += 64)
    __builtin_prefetch(reinterpret_cast<const char*>(c.D + d * c.job->k) + b);
}

// Vector u of h of row i; `least` falls below 0 if a number of H is not allowed, except for those
// that make the sum of h infinite or NaN.
template <class T, bool SIMPLE>
CL_INLINE Vec<double> posterior_prior(const PosteriorContext<T>& c, std::ptrdiff_t i, const T* own, std::ptrdiff_t u,
                                      bool last, IVec<double> mask, Vec<double>& least) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  const PosteriorJob<T>& job = *c.job;
  Vec<double> x = load_as<double>(own + u * l);
  if (last) x = masked(x, mask);
  least = vmin(least, x);
  if (SIMPLE) return x;
  if (job.q > 0) {
    least = x < splat(static_cast<double>(__builtin_inf())) ? least : splat(-1.0);
    const Vec<double> share = splat(1.0 / static_cast<double>(job.q));
    x = Vec<double>{};
    for (std::ptrdiff_t n = 0; n < job.q; ++n)
      x += share * load_as<double>(c.row(job.neighbors[i * job.q + n]) + u * l);
  }
  x += splat(job.floor);
  if (job.tau != 1) x = plain_power(x, job.tau);
  return last ? masked(x, mask) : x;
}

// What a block keeps: rows of P and of G, sums of products and of h, weights.
struct PosteriorBlock {
  double *P, *G;
  alignas(64) double a[kCells], b[kCells], g[kCells], w[kCells];
};

// Products of a block with its rows of D in P, their sums in a, those of h in b; squares or cubes of
// the products in G and their sums in g.
template <class T, int N, bool SIMPLE, Tempering KIND>
CL_INLINE void posterior_products(const PosteriorContext<T>& c, std::ptrdiff_t begin, std::ptrdiff_t count,
                                  Vectors<N> vectors, IVec<double> mask, PosteriorBlock& block, Vec<double>& least) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  const PosteriorJob<T>& job = *c.job;
  const IVec<double> cube = isplat<double>(job.beta == 3 ? -1 : 0);
  for (std::ptrdiff_t first = 0; first < count; first += l) {
    Vec<double> a[l], b[l], g[l];
#pragma GCC unroll 8
    for (std::ptrdiff_t r = 0; r < l; ++r) {
      const std::ptrdiff_t row = first + r < count ? first + r : count - 1;
      double *P = block.P + row * c.stride, *G = block.G + row * c.stride;
      const T *own = c.row(begin + row), *D = c.D + job.domains[begin + row] * job.k;
      a[r] = b[r] = g[r] = Vec<double>{};
      for (std::ptrdiff_t u = 0; u < vectors(); ++u) {
        const Vec<double> h = posterior_prior<T, SIMPLE>(c, begin + row, own, u, u == vectors() - 1, mask, least);
        const Vec<double> p = h * load_as<double>(D + u * l);
        b[r] += h;
        a[r] += p;
        store(P + u * l, p);
        if (KIND != kIntegerPower) continue;
        const Vec<double> raised = integer_power(p, cube);
        g[r] += raised;
        store(G + u * l, raised);
      }
    }
    store(block.a + first, lane_sums(a));
    store(block.b + first, lane_sums(b));
    if (KIND == kIntegerPower) store(block.g + first, lane_sums(g));
  }
}

// 1 / a in a, and w log2(a / b) to the likelihood; false if some are out of range. Without weights
// the logarithm is taken of the product of four of these quotients, for which the range leaves room.
CL_INLINE bool posterior_quotients(PosteriorBlock& block, bool weighted, std::ptrdiff_t count,
                                   Vec<double>& likelihood) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  const Vec<double> one = splat(1.0);
  IVec<double> fine = ~IVec<double>{};
  Vec<double> sum = {}, above = one, below = one;
  std::ptrdiff_t factors = 0;
  for (std::ptrdiff_t first = 0; first < count; first += l) {
    const Vec<double> a = load(block.a + first), b = load(block.b + first), w = load(block.w + first);
    const IVec<double> in = (a >= splat(kPosteriorLow)) & (b >= splat(kPosteriorLow)) &
                            (b <= splat(kPosteriorHigh)) & (a <= splat(1 / kPosteriorLow));
    fine &= in;
    store(block.a + first, one / a);
    if (weighted) {
      sum += w * log2_normal(in ? a / b : one);
    } else {
      const IVec<double> there = in & (w > Vec<double>{});
      above *= there ? a : one;
      below *= there ? b : one;
      if (++factors == 4 || first + l >= count) {
        sum += log2_normal(above / below);
        above = below = one;
        factors = 0;
      }
    }
  }
  if (movemask(~fine) != 0) return false;
  likelihood += sum;
  return true;
}

// Other powers: normalised products in G, raised, and their sums in g.
template <class T, int N>
CL_INLINE void posterior_powers(const PosteriorContext<T>& c, std::ptrdiff_t count, Vectors<N> vectors,
                                PosteriorBlock& block) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  for (std::ptrdiff_t row = 0; row < count; ++row) {
    const double* P = block.P + row * c.stride;
    double* G = block.G + row * c.stride;
    for (std::ptrdiff_t u = 0; u < vectors(); ++u) store(G + u * l, load(P + u * l) * splat(block.a[row]));
    block.g[row] = sum_lanes<double>(raise_row(G, vectors, c.job->beta));
  }
}

// Adds the rows of a block to their domains and writes them out.
template <class T, int N, bool PLAIN>
CL_INLINE void posterior_add(const PosteriorContext<T>& c, std::ptrdiff_t begin, std::ptrdiff_t count,
                             std::ptrdiff_t end, Vectors<N> vectors, PosteriorBlock& block, double* sums) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  const PosteriorJob<T>& job = *c.job;
  const std::ptrdiff_t step = (PLAIN ? 1 : 2) * c.stride;
  if (!PLAIN)
    for (std::ptrdiff_t first = 0; first < count; first += l)
      store(block.g + first, splat(1.0) / load(block.g + first));
  for (std::ptrdiff_t row = 0; row < count; ++row) {
    const std::ptrdiff_t i = begin + row;
    const double *P = block.P + row * c.stride, *G = PLAIN ? P : block.G + row * c.stride;
    double* counts = sums + job.domains[i] * step;
    const Vec<double> weight = splat(block.w[row]), p = splat(block.a[row]);
    const Vec<double> g = PLAIN ? p : splat(block.g[row]), g_weight = g * weight, p_weight = p * weight;
    for (std::ptrdiff_t u = 0; u < vectors(); ++u) {
      store(counts + u * l, fma(load(G + u * l), g_weight, load(counts + u * l)));
      if (!PLAIN)
        store(counts + c.stride + u * l, fma(load(P + u * l), p_weight, load(counts + c.stride + u * l)));
    }
    if (job.responsibilities != nullptr) write_row(job.responsibilities, i, end, job.k, vectors, G, g);
    if (job.posterior != nullptr) write_row(job.posterior, i, end, job.k, vectors, P, p);
  }
}

// Sums of a leaf: rows of counts, with totals behind each unless beta is 1; then the log-likelihood.
template <class T, int N, bool SIMPLE, Tempering KIND>
void posterior_leaf(void* context, std::ptrdiff_t leaf, double* sums, int worker) {
  const auto& c = *static_cast<PosteriorContext<T>*>(context);
  const PosteriorJob<T>& job = *c.job;
  const std::ptrdiff_t begin = leaf * job.leaf_rows, size = job.r * (KIND == kPlain ? 1 : 2) * c.stride;
  const std::ptrdiff_t end = begin + job.leaf_rows < job.n ? begin + job.leaf_rows : job.n;
  const Vectors<N> vectors{c.vectors};
  const IVec<double> mask = row_mask(job.k, c.vectors);
  PosteriorBlock block;
  block.P = reinterpret_cast<double*>(c.scratch->slice(worker));
  block.G = block.P + kCells * c.stride;
  Vec<double> likelihood = {};
  for (std::ptrdiff_t first = begin; first < end; first += kCells) {
    const std::ptrdiff_t count = end - first < kCells ? end - first : kCells;
    Vec<double> least = {};
    for (std::ptrdiff_t row = 0; row < kCells; ++row) {
      block.w[row] = row >= count ? 0 : job.weight == nullptr ? 1 : job.weight[first + row];
      if (first + kCells + row < end) prefetch_domain<T, N, KIND == kPlain>(c, first + kCells + row, vectors, sums);
    }
    posterior_products<T, N, SIMPLE, KIND>(c, first, count, vectors, mask, block, least);
    const bool fine = c.moderate && movemask(least < Vec<double>{}) == 0 &&
                      posterior_quotients(block, job.weight != nullptr, count, likelihood);
    if (fine) {
      if (KIND == kAnyPower) posterior_powers(c, count, vectors, block);
      posterior_add<T, N, KIND == kPlain>(c, first, count, end, vectors, block, sums);
    } else if (!posterior_strange(c, first, first + count, sums, block.P)) {
      sums[size] = __builtin_nan("");
      return;
    }
  }
  sums[size] += sum_lanes<double>(likelihood) * 0.69314718055994530942;
}

template <class T, Tempering KIND>
LeafTerms posterior_leaf_of(bool simple, std::ptrdiff_t vectors) {
  if (!simple) return posterior_leaf<T, 0, false, KIND>;
  if constexpr (KIND != kAnyPower) {
    if constexpr (Simd<double>::lanes < 8)
      if (vectors == 5) return posterior_leaf<T, 5, true, KIND>;
    if (vectors == 1) return posterior_leaf<T, 1, true, KIND>;
    if (vectors == 2) return posterior_leaf<T, 2, true, KIND>;
    if (vectors == 3) return posterior_leaf<T, 3, true, KIND>;
  }
  return posterior_leaf<T, 0, true, KIND>;
}

// A copy of rows with zeros behind the last one, so that whole vectors can be read.
template <class T>
inline void copy_with_room(const T* rows, std::ptrdiff_t size, std::ptrdiff_t room, T* out) {
  for (std::ptrdiff_t x = 0; x < size + room; ++x) out[x] = x < size ? rows[x] : T(0);
}

template <class T>
double tempered_posterior(const PosteriorJob<T>& job) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  const std::ptrdiff_t k = job.k, vectors = (k + l - 1) / l, stride = vectors * l;
  const Tempering kind = tempering(job.beta);
  const bool plain = kind == kPlain, simple = job.q == 0 && job.floor == 0 && job.tau == 1;
  const std::ptrdiff_t leaves = (job.n + job.leaf_rows - 1) / job.leaf_rows;
  const int threads = resolve_threads(job.threads, leaves);
  // Whole vectors from the row before `tail_row` end within H.
  const std::ptrdiff_t beyond = (stride + k - 1) / k;
  const std::ptrdiff_t tail_row = job.n > beyond ? job.n - beyond : 0, tail = (job.n - tail_row) * k;
  Scratch copies(static_cast<std::size_t>(job.r * k + tail + 2 * stride) * sizeof(T), 1);
  T *D = reinterpret_cast<T*>(copies.slice(0)), *rest = D + job.r * k + stride;
  copy_with_room(job.D, job.r * k, stride, D);
  copy_with_room(job.H + tail_row * k, tail, stride, rest);
  Scratch scratch(static_cast<std::size_t>(2 * kCells * stride + 3 * k) * sizeof(double), threads);
  const bool moderate = largest_entry(job.D, job.r * k) <= kPosteriorHigh;
  PosteriorContext<T> context{&job, D, rest, tail_row, vectors, stride, moderate, &scratch};
  const std::ptrdiff_t step = (plain ? 1 : 2) * stride, size = job.r * step + 1;
  Scratch total(static_cast<std::size_t>(size) * sizeof(double), 1);
  double* sums = reinterpret_cast<double*>(total.slice(0));
  const LeafTerms leaf = kind == kPlain          ? posterior_leaf_of<T, kPlain>(simple, vectors)
                         : kind == kIntegerPower ? posterior_leaf_of<T, kIntegerPower>(simple, vectors)
                                                 : posterior_leaf_of<T, kAnyPower>(simple, vectors);
  sum_over_leaves(leaves, size, threads, leaf, &context, sums);
  for (std::ptrdiff_t d = 0; d < job.r; ++d)
    for (std::ptrdiff_t t = 0; t < k; ++t) {
      job.counts[d * k + t] = sums[d * step + t];
      job.totals[d * k + t] = sums[d * step + (plain ? 0 : stride) + t];
    }
  return sums[size - 1];
}
