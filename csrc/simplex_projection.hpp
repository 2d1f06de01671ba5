// Euclidean projection of rows onto the probability simplex, one row in each lane. Included inside
// the target's namespace.
//
// The projection of y is max(y - theta, 0) where theta makes the entries sum to 1. Michelot's
// iteration: theta = (sum of the entries above theta - 1) / their number, from below; every step
// drops entries for good, so it ends after r steps at most, and after 3 or 4 as a rule.

// Entries of `column` are kTileRows apart; rows = VECTORS * lanes of them are projected in place.
template <int VECTORS, class T>
CL_INLINE void project_rows(T* y, std::ptrdiff_t r) {
  constexpr int l = Simd<T>::lanes;
  const Vec<T> one = splat(T(1)), zero = {};
  Vec<T> most[VECTORS], theta[VECTORS];
  for (int v = 0; v < VECTORS; ++v) most[v] = load(y + v * l);
  for (std::ptrdiff_t c = 1; c < r; ++c)
    for (int v = 0; v < VECTORS; ++v) most[v] = vmax(most[v], load(y + c * kTileRows + v * l));
  // With the largest entry at 0 no number is too large for the 1, and theta >= -1.
  Vec<T> sum[VECTORS] = {};
  for (std::ptrdiff_t c = 0; c < r; ++c)
    for (int v = 0; v < VECTORS; ++v) {
      const Vec<T> shifted = load(y + c * kTileRows + v * l) - most[v];
      store(y + c * kTileRows + v * l, shifted);
      sum[v] += shifted;
    }
  for (int v = 0; v < VECTORS; ++v)
    theta[v] = vmax((sum[v] - one) / splat(static_cast<T>(r)), -one);
  for (std::ptrdiff_t step = 0; step < r; ++step) {
    Vec<T> above[VECTORS] = {}, count[VECTORS] = {};
    for (std::ptrdiff_t c = 0; c < r; ++c)
      for (int v = 0; v < VECTORS; ++v) {
        const Vec<T> entry = load(y + c * kTileRows + v * l);
        above[v] += entry > theta[v] ? entry : zero;
        count[v] += entry > theta[v] ? one : zero;
      }
    unsigned moved = 0;
    for (int v = 0; v < VECTORS; ++v) {
      const Vec<T> next = (above[v] - one) / count[v];
      moved |= movemask(next > theta[v]);
      theta[v] = next > theta[v] ? next : theta[v];
    }
    if (moved == 0) break;
  }
  for (std::ptrdiff_t c = 0; c < r; ++c)
    for (int v = 0; v < VECTORS; ++v)
      store(y + c * kTileRows + v * l, vmax(load(y + c * kTileRows + v * l) - theta[v], zero));
}

template <class T>
CL_INLINE void project_tile(T* y, std::ptrdiff_t r) {
  constexpr int vectors = kTileRows / Simd<T>::lanes, step = vectors < 2 ? 1 : 2;
  for (int v = 0; v < vectors; v += step) project_rows<step>(y + v * Simd<T>::lanes, r);
}

template <class T>
struct ProjectionPass {
  Matrix<T> V;
  T* out;
  Scratch* scratch;
};

// Rows of any layout, a tile at a time.
template <class T>
void project_chunk(void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
  const auto& c = *static_cast<ProjectionPass<T>*>(context);
  T* y = reinterpret_cast<T*>(c.scratch->slice(worker));
  const std::ptrdiff_t r = c.V.cols;
  for (std::ptrdiff_t i = begin; i < end; i += kTileRows) {
    const std::ptrdiff_t count = end - i < kTileRows ? end - i : kTileRows;
    for (std::ptrdiff_t row = 0; row < kTileRows; ++row)
      for (std::ptrdiff_t j = 0; j < r; ++j)
        y[j * kTileRows + row] = c.V.at(row < count ? i + row : i, j);
    project_tile(y, r);
    for (std::ptrdiff_t row = 0; row < count; ++row)
      for (std::ptrdiff_t j = 0; j < r; ++j) c.out[(i + row) * r + j] = y[j * kTileRows + row];
  }
}

template <class T>
void simplex_projection(const ProjectionJob<T>& job) {
  constexpr std::ptrdiff_t grain = 64 * kTileRows;
  const int threads = resolve_threads(job.threads, (job.V.rows + grain - 1) / grain);
  Scratch scratch(sizeof(T) * static_cast<std::size_t>(kTileRows * job.V.cols), threads);
  ProjectionPass<T> pass{job.V, job.out, &scratch};
  parallel_for(job.V.rows, grain, threads, project_chunk<T>, &pass);
}
