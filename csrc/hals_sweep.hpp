// Coordinate descent on the normal equations of non-negative least squares, rows in lanes.
// Included inside the target's namespace. docs/kernels/nonnegative.md has the derivation.
//
// A strip of rows is turned into columns once for all sweeps. z_t = (R_t - sum_(s != t) w_s G_st) /
// G_tt is gathered for a block of components that stay in registers, first from the components
// outside the block; those inside follow one after the other.

#if defined(CL_TARGET_NEON)
inline constexpr int kHalsVectors = 4;  // as many registers as with AVX-512
#else
inline constexpr int kHalsVectors = CL_VECTOR_BYTES == 64 ? 4 : 2;
#endif
inline constexpr int kHalsColumns = 6;
template <class T>
inline constexpr int kHalsRows = kHalsVectors * Simd<T>::lanes;

// Components of a block: parts that differ by 1 at most.
struct HalsBlocks {
  std::ptrdiff_t k, count;
  explicit HalsBlocks(std::ptrdiff_t components)
      : k(components), count((components + kHalsColumns - 1) / kHalsColumns) {}
  std::ptrdiff_t begin(std::ptrdiff_t block) const { return block * k / count; }
};

// What all strips read: 1 / G_tt, 0 for components that stay, and -G_st / G_tt, block by block with
// the components of a block side by side.
template <class T>
struct HalsFactors {
  T *inverse, *share;
  static std::size_t bytes(std::ptrdiff_t k) { return sizeof(T) * static_cast<std::size_t>(k + k * k); }
  HalsFactors(char* memory, const double* G, const HalsBlocks& blocks)
      : inverse(reinterpret_cast<T*>(memory)), share(inverse + blocks.k) {
    constexpr double tiny = sizeof(T) == 4 ? 0x1p-126 : 0x1p-1022;
    const std::ptrdiff_t k = blocks.k;
    for (std::ptrdiff_t block = 0; block < blocks.count; ++block) {
      const std::ptrdiff_t begin = blocks.begin(block), size = blocks.begin(block + 1) - begin;
      for (std::ptrdiff_t c = 0; c < size; ++c) {
        const std::ptrdiff_t t = begin + c;
        const double diagonal = G[t * k + t];
        const bool stays = !(diagonal >= tiny);
        inverse[t] = stays ? T(0) : static_cast<T>(1 / diagonal);
        for (std::ptrdiff_t s = 0; s < k; ++s)
          share[begin * k + s * size + c] = stays ? T(0) : static_cast<T>(-G[s * k + t] / diagonal);
      }
    }
  }
};

// z[c] += w_s times the share of s, for components [first, last).
template <int NC, class T>
CL_INLINE void gather_components(const T* w, const T* share, std::ptrdiff_t first, std::ptrdiff_t last,
                                 Vec<T> (&z)[NC][kHalsVectors]) {
  constexpr int l = Simd<T>::lanes;
  for (std::ptrdiff_t s = first; s < last; ++s) {
    Vec<T> row[kHalsVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kHalsVectors; ++v) row[v] = load(w + s * kHalsRows<T> + v * l);
#pragma GCC unroll 8
    for (int c = 0; c < NC; ++c) {
      const Vec<T> factor = splat(share[s * NC + c]);
#pragma GCC unroll 4
      for (int v = 0; v < kHalsVectors; ++v) z[c][v] = fma(row[v], factor, z[c][v]);
    }
  }
}

// One sweep over the components [begin, begin + NC) of a strip.
template <int NC, class T>
void sweep_block(T* w, const T* r, const HalsFactors<T>& factors, std::ptrdiff_t begin, std::ptrdiff_t k,
                 Vec<T>* squares) {
  constexpr int l = Simd<T>::lanes, V = kHalsVectors, rows = kHalsRows<T>;
  const T *share = factors.share + begin * k, *inside = share + begin * NC;
  T* own = w + begin * rows;
  Vec<T> z[NC][V];
#pragma GCC unroll 8
  for (int c = 0; c < NC; ++c) {
    const T inverse = factors.inverse[begin + c];
    const T* source = inverse == 0 ? own + c * rows : r + (begin + c) * rows;
    const Vec<T> factor = splat(inverse == 0 ? T(1) : inverse);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) z[c][v] = load(source + v * l) * factor;
  }
  // What has changed last is needed last.
  gather_components<NC>(w, share, begin + NC, k, z);
  gather_components<NC>(w, share, 0, begin, z);
#pragma GCC unroll 8
  for (int s = 1; s < NC; ++s)
#pragma GCC unroll 8
    for (int c = 0; c < s; ++c)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        z[c][v] = fma(load(own + s * rows + v * l), splat(inside[s * NC + c]), z[c][v]);
  const Vec<T> zero = {};
#pragma GCC unroll 8
  for (int c = 0; c < NC; ++c)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const Vec<T> after = vmax(zero, z[c][v]);  // in this order NaN stays
      const Vec<T> change = after - load(own + c * rows + v * l);
      squares[v] = fma(change, change, squares[v]);
      store(own + c * rows + v * l, after);
#pragma GCC unroll 8
      for (int u = c + 1; u < NC; ++u) z[u][v] = fma(after, splat(inside[c * NC + u]), z[u][v]);
    }
}

template <int NC, class T>
void sweep_block_of(std::ptrdiff_t size, T* w, const T* r, const HalsFactors<T>& factors,
                    std::ptrdiff_t begin, std::ptrdiff_t k, Vec<T>* squares) {
  if (size == NC) return sweep_block<NC>(w, r, factors, begin, k, squares);
  if constexpr (NC > 1) sweep_block_of<NC - 1>(size, w, r, factors, begin, k, squares);
}

template <class T>
struct HalsPass {
  HalsJob<T> job;
  HalsBlocks blocks;
  HalsFactors<T> factors;
  Scratch* scratch;
};

// Turns a strip; false if W is negative or R not finite. That W is finite is seen by its changes.
template <class T>
CL_INLINE bool read_strip(const HalsJob<T>& job, std::ptrdiff_t first, std::ptrdiff_t count, T* w, T* r) {
  const Matrix<T> W{job.W, job.n, job.k, job.k, 1};
  Vec<T> least[kPiece<T>] = {};
  IVec<T> bits[kPiece<T>] = {};
  turn_rows<kHalsRows<T>>(W, first, count, w, [&](int chain, Vec<T> x) { least[chain] = vmin(least[chain], x); });
  turn_rows<kHalsRows<T>>(job.R, first, count, r, [&](int chain, Vec<T> x) {
    bits[chain] |= reinterpret_cast<IVec<T>>(x * Vec<T>{});  // 0 or -0 unless it is not finite
  });
  for (int chain = 1; chain < kPiece<T>; ++chain) {
    least[0] = vmin(least[0], least[chain]);
    bits[0] |= bits[chain];
  }
  const IVec<T> beyond = (bits[0] << 1) != IVec<T>{}, below = least[0] < Vec<T>{};
  return movemask(beyond | below) == 0;
}

template <class T>
void hals_leaf(void* context, std::ptrdiff_t leaf, double* moves, int worker) {
  const auto& c = *static_cast<HalsPass<T>*>(context);
  const HalsJob<T>& job = c.job;
  constexpr std::ptrdiff_t rows = kHalsRows<T>;
  static_assert(kSweepRows % rows == 0, "a leaf is whole strips");
  T* w = reinterpret_cast<T*>(c.scratch->slice(worker));
  T* r = w + job.k * rows;
  const std::ptrdiff_t begin = leaf * kSweepRows;
  const std::ptrdiff_t end = begin + kSweepRows < job.n ? begin + kSweepRows : job.n;
  for (std::ptrdiff_t i = begin; i < end; i += rows) {
    const std::ptrdiff_t count = end - i < rows ? end - i : rows;
    if (!read_strip(job, i, count, w, r)) {
      moves[0] = __builtin_nan("");
      continue;
    }
    double all = 0;
    for (std::ptrdiff_t sweep = 0; sweep < job.n_sweeps; ++sweep) {
      Vec<T> squares[kHalsVectors] = {};
      for (std::ptrdiff_t block = 0; block < c.blocks.count; ++block) {
        const std::ptrdiff_t first = c.blocks.begin(block), size = c.blocks.begin(block + 1) - first;
        sweep_block_of<kHalsColumns>(size, w, r, c.factors, first, job.k, squares);
      }
      for (int v = 1; v < kHalsVectors; ++v) squares[0] += squares[v];
      const double sum = sum_lanes<T>(squares[0]);
      moves[sweep] += sum;
      all += sum;
    }
    if (all - all == 0) turn_back<rows>(w, job.k, count, job.W + i * job.k);
  }
}

template <class T>
void hals_sweep(const HalsJob<T>& job) {
  const std::ptrdiff_t leaves = (job.n + kSweepRows - 1) / kSweepRows;
  const int threads = sweep_threads(job.threads, leaves, job.n * job.k * job.k / 4);
  const HalsBlocks blocks(job.k);
  Scratch shared(HalsFactors<T>::bytes(job.k), 1);
  Scratch strips(sizeof(T) * static_cast<std::size_t>(2 * job.k * kHalsRows<T>), threads);
  HalsPass<T> pass{job, blocks, HalsFactors<T>(shared.slice(0), job.G, blocks), &strips};
  sum_over_leaves(leaves, job.n_sweeps, threads, hals_leaf<T>, &pass, job.moves);
}
