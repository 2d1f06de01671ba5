// Projection of rows onto the probability simplex, one row in each lane. Included inside the
// target's namespace.
//
// The nearest point to y in the metric sum_c (w_c - y_c)^2 / s_c is w = max(y - s theta, 0), where
// theta makes the entries sum to 1. Michelot's iteration: theta = (sum of the entries above s theta
// - 1) / the sum of their s, from below; every step drops entries for good, so it ends after r
// steps at most, and after 3 or 4 as a rule. Without `s` all are 1: the Euclidean projection.

// `bound` starts an iteration for VECTORS * lanes rows: an entry is 1 at most, so theta >= (y_c - 1) /
// s_c for all c, and the largest of these leaves numbers near 1 or below, none too large for the 1.
// Plain rows take their largest entry instead, which keeps more digits: theta >= -1. Entries of a
// column are kTileRows apart from the next; `finish` gets the place of each vector and its value.
template <int VECTORS, bool SCALED, class T, class Finish>
CL_INLINE void project_rows(T* y, const T* s, std::ptrdiff_t r, Vec<T>* bound, Finish finish) {
  constexpr int l = Simd<T>::lanes;
  const Vec<T> one = splat(T(1)), zero = {};
  // Rounding may have raised it by nearly this, and no entry is left above a theta that is too large.
  constexpr T rounding = sizeof(T) == 4 ? T(0x1p-21) : T(0x1p-50);
  if (SCALED)
    for (int v = 0; v < VECTORS; ++v) bound[v] -= splat(rounding) * vmax(bound[v], -bound[v]);
  Vec<T> sum[VECTORS] = {}, theta[VECTORS];
  T scales = 0;
  for (std::ptrdiff_t c = 0; c < r; ++c) {
    const Vec<T> scale = SCALED ? splat(s[c]) : one;
    scales += SCALED ? s[c] : T(1);
    for (int v = 0; v < VECTORS; ++v) {
      const Vec<T> shifted = load(y + c * kTileRows + v * l) - scale * bound[v];
      store(y + c * kTileRows + v * l, shifted);
      sum[v] += shifted;
    }
  }
  for (int v = 0; v < VECTORS; ++v)
    theta[v] = vmax((sum[v] - one) / splat(scales), SCALED ? zero : -one);
  for (std::ptrdiff_t step = 0; step < r; ++step) {
    Vec<T> above[VECTORS] = {}, count[VECTORS] = {};
    for (std::ptrdiff_t c = 0; c < r; ++c) {
      const Vec<T> scale = SCALED ? splat(s[c]) : one;
      for (int v = 0; v < VECTORS; ++v) {
        const Vec<T> entry = load(y + c * kTileRows + v * l);
        const auto inside = entry > (SCALED ? scale * theta[v] : theta[v]);
        above[v] += inside ? entry : zero;
        count[v] += inside ? scale : zero;
      }
    }
    unsigned moved = 0;
    for (int v = 0; v < VECTORS; ++v) {
      const Vec<T> next = (above[v] - one) / count[v];
      moved |= movemask(next > theta[v]);
      theta[v] = next > theta[v] ? next : theta[v];
    }
    if (moved == 0) break;
  }
  for (std::ptrdiff_t c = 0; c < r; ++c) {
    const Vec<T> scale = SCALED ? splat(s[c]) : one;
    for (int v = 0; v < VECTORS; ++v)
      finish(c * kTileRows + v * l,
             vmax(load(y + c * kTileRows + v * l) - (SCALED ? scale * theta[v] : theta[v]), zero));
  }
}

// Vectors that are worked on together, so that one's latency hides behind the other's.
template <class T>
inline constexpr int kProjected = kTileRows / Simd<T>::lanes < 2 ? 1 : 2;

// The Euclidean projection of a tile, in place.
template <class T>
CL_INLINE void project_tile(T* y, std::ptrdiff_t r) {
  constexpr int l = Simd<T>::lanes;
  for (T* rows = y; rows < y + kTileRows; rows += kProjected<T> * l) {
    Vec<T> bound[kProjected<T>];
    for (int v = 0; v < kProjected<T>; ++v) {
      bound[v] = load(rows + v * l);
      for (std::ptrdiff_t c = 1; c < r; ++c) bound[v] = vmax(bound[v], load(rows + c * kTileRows + v * l));
    }
    project_rows<kProjected<T>, false>(rows, rows, r, bound,
                                       [rows](std::ptrdiff_t at, Vec<T> w) { store(rows + at, w); });
  }
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
