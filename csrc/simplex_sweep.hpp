// One projected gradient step of a factor whose rows lie in the simplex. Included inside the
// target's namespace.
//
// Rows come in tiles of 16: element (row, column) of a tile lies at [column * 16 + row], so lanes
// are rows and nothing is ever turned around. A step reads X and W once: rows of X that a product
// X C has brought into the cache are used again for X'D, D being what the step has changed.

// Columns whose steps on a tile are held in registers together.
template <class T>
inline constexpr int kProductColumns = [] {
  constexpr int vectors = kTileRows / Simd<T>::lanes, registers = CL_VECTOR_BYTES == 64 ? 24 : 12;
  constexpr int columns = registers / vectors;
  return columns < 1 ? 1 : columns > 12 ? 12 : columns;
}();

// The steps of NC columns from c on: y = keep W + base + length (X C + scale linear). `bound` becomes
// the largest (y - 1) / metric of each row.
template <int NC, class T>
void step_columns(const StepJob<T>& job, std::ptrdiff_t tile, std::ptrdiff_t c, T* y, Vec<T>* bound) {
  constexpr int l = Simd<T>::lanes, vectors = kTileRows / l;
  const T *x = job.X + tile * job.p * kTileRows, *w = job.W + (tile * job.r + c) * kTileRows;
  Vec<T> sum[NC][vectors] = {};
  for (std::ptrdiff_t j = 0; j < job.p; ++j) {
    Vec<T> row[vectors];
    for (int v = 0; v < vectors; ++v) row[v] = load(x + j * kTileRows + v * l);
#pragma GCC unroll 12
    for (int i = 0; i < NC; ++i) {
      const Vec<T> factor = splat(job.C[j * job.r + c + i]);
      for (int v = 0; v < vectors; ++v) sum[i][v] = fma(row[v], factor, sum[i][v]);
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < NC; ++i) {
    const Vec<T> keep = splat(job.keep[c + i]), base = splat(job.base[c + i]),
                 length = splat(job.length[c + i]), inverse = splat(job.inverse[c + i]);
    const T* linear = job.linear == nullptr
                          ? nullptr
                          : job.linear + (tile * job.groups + job.group[c + i]) * kTileRows;
    for (int v = 0; v < vectors; ++v) {
      Vec<T> slope = sum[i][v];
      if (linear != nullptr) slope = fma(splat(job.scale), load(linear + v * l), slope);
      const Vec<T> step = fma(length, slope, fma(keep, load(w + i * kTileRows + v * l), base));
      bound[v] = vmax(bound[v], (step - splat(T(1))) * inverse);
      store(y + (c + i) * kTileRows + v * l, step);
    }
  }
}

template <int NC, class T>
void steps_of(int columns, const StepJob<T>& job, std::ptrdiff_t tile, std::ptrdiff_t c, T* y, Vec<T>* bound) {
  if (columns == NC) return step_columns<NC>(job, tile, c, y, bound);
  if constexpr (NC > 1) steps_of<NC - 1>(columns, job, tile, c, y, bound);
}

// The steps of a tile, before they are projected.
template <class T>
CL_INLINE void steps_of_tile(const StepJob<T>& job, std::ptrdiff_t tile, T* y, Vec<T>* bound) {
  for (int v = 0; v < kTileRows / Simd<T>::lanes; ++v) bound[v] = splat(-static_cast<T>(__builtin_inf()));
  const std::ptrdiff_t parts = (job.r + kProductColumns<T> - 1) / kProductColumns<T>;
  for (std::ptrdiff_t part = 0; part < parts; ++part) {
    const std::ptrdiff_t begin = part * job.r / parts, end = (part + 1) * job.r / parts;
    steps_of<kProductColumns<T>>(static_cast<int>(end - begin), job, tile, begin, y, bound);
  }
}

// Sums of a column besides its products.
inline constexpr int kStepSums = 6;

template <class T>
struct StepPass {
  StepJob<T> job;
  std::ptrdiff_t tiles, block;  // tiles in all, and those that are used while they are in the cache
  Scratch* scratch;
};

// What one worker holds: the steps of a tile, the changes of a block of tiles, and running sums in
// vectors, `width` for each column: those of StepJob::sums.
template <class T>
struct StepBuffers {
  T *step, *change, *sums;
  static std::size_t bytes(const StepPass<T>& c) {
    const std::ptrdiff_t r = c.job.r, l = Simd<T>::lanes;
    return sizeof(T) * static_cast<std::size_t>(kTileRows * r * (1 + c.block) + l * r * (c.job.p + kStepSums));
  }
  StepBuffers(const StepPass<T>& c, int worker) {
    sums = reinterpret_cast<T*>(c.scratch->slice(worker));
    step = sums + Simd<T>::lanes * c.job.r * (c.job.p + kStepSums);
    change = step + kTileRows * c.job.r;
  }
};

// Lanes beyond the last row hold zeros.
template <class T>
CL_INLINE void clear_missing(T* tile, std::ptrdiff_t r, std::ptrdiff_t rows) {
  for (std::ptrdiff_t c = 0; c < r; ++c)
    for (std::ptrdiff_t i = rows; i < kTileRows; ++i) tile[c * kTileRows + i] = 0;
}

template <class T>
CL_INLINE void step_of_tile(const StepJob<T>& job, std::ptrdiff_t tile, T* y, T* change) {
  constexpr int l = Simd<T>::lanes;
  const std::ptrdiff_t size = job.r * kTileRows;
  const T* w = job.W + tile * size;
  T* next = job.next + tile * size;
  Vec<T> bound[kTileRows / l];
  steps_of_tile(job, tile, y, bound);
  for (int v = 0; v < kTileRows / l; v += kProjected<T>)
    project_rows<kProjected<T>, true>(y + v * l, job.metric, job.r, bound + v,
                                      [&, v](std::ptrdiff_t at, Vec<T> value) {
                                        store(next + at + v * l, value);
                                        store(change + at + v * l, value - load(w + at + v * l));
                                      });
  if ((tile + 1) * kTileRows > job.n) {
    clear_missing(next, job.r, job.n - tile * kTileRows);
    clear_missing(change, job.r, job.n - tile * kTileRows);
  }
}

// sums[c][j] += X_j * D_c over some tiles, for J features and NC columns.
template <int J, int NC, class T>
void cross_columns(const T* x, std::ptrdiff_t p, const T* d, std::ptrdiff_t r, std::ptrdiff_t tiles,
                   T* sums) {
  constexpr int l = Simd<T>::lanes;
  Vec<T> sum[NC][J];
#pragma GCC unroll 8
  for (int c = 0; c < NC; ++c)
    for (int j = 0; j < J; ++j) sum[c][j] = load(sums + (c * (p + kStepSums) + j) * l);
  for (std::ptrdiff_t t = 0; t < tiles; ++t, x += p * kTileRows, d += r * kTileRows)
    for (std::ptrdiff_t v = 0; v < kTileRows; v += l) {
      Vec<T> row[J];
#pragma GCC unroll 8
      for (int j = 0; j < J; ++j) row[j] = load(x + j * kTileRows + v);
#pragma GCC unroll 8
      for (int c = 0; c < NC; ++c) {
        const Vec<T> change = load(d + c * kTileRows + v);
#pragma GCC unroll 8
        for (int j = 0; j < J; ++j) sum[c][j] = fma(row[j], change, sum[c][j]);
      }
    }
#pragma GCC unroll 8
  for (int c = 0; c < NC; ++c)
    for (int j = 0; j < J; ++j) store(sums + (c * (p + kStepSums) + j) * l, sum[c][j]);
}

inline constexpr int kCross = CL_VECTOR_BYTES == 64 ? 4 : 2;

template <int NC, class T>
void cross_of(int columns, const T* x, std::ptrdiff_t p, const T* d, std::ptrdiff_t r,
              std::ptrdiff_t tiles, T* sums) {
  if (columns == NC) {
    std::ptrdiff_t j = 0;
    for (; j + kCross <= p; j += kCross)
      cross_columns<kCross, NC>(x + j * kTileRows, p, d, r, tiles, sums + j * Simd<T>::lanes);
    for (; j < p; ++j)
      cross_columns<1, NC>(x + j * kTileRows, p, d, r, tiles, sums + j * Simd<T>::lanes);
    return;
  }
  if constexpr (NC > 1) cross_of<NC - 1>(columns, x, p, d, r, tiles, sums);
}

// The sums of a column that need no X: D, D^2, D W, linear D, W + D and (W + D)^2.
template <class T>
void add_column(const StepJob<T>& job, std::ptrdiff_t first, std::ptrdiff_t tiles, std::ptrdiff_t c,
                const T* d, T* sums) {
  constexpr int l = Simd<T>::lanes;
  const std::ptrdiff_t begin = (first * job.r + c) * kTileRows, stride = job.r * kTileRows;
  const T *w = job.W + begin, *next = job.next == nullptr ? w : job.next + begin;
  const T* linear = job.linear == nullptr
                        ? nullptr
                        : job.linear + (first * job.groups + job.group[c]) * kTileRows;
  Vec<T> sum[kStepSums];
  for (int i = 0; i < kStepSums; ++i) sum[i] = load(sums + i * l);
  for (std::ptrdiff_t t = 0; t < tiles; ++t) {
    for (std::ptrdiff_t v = 0; v < kTileRows; v += l) {
      const Vec<T> change = load(d + t * stride + v), after = load(next + t * stride + v);
      sum[0] += change;
      sum[1] = fma(change, change, sum[1]);
      sum[2] = fma(change, load(w + t * stride + v), sum[2]);
      if (linear != nullptr) sum[3] = fma(change, load(linear + t * job.groups * kTileRows + v), sum[3]);
      sum[4] += after;
      sum[5] = fma(after, after, sum[5]);
    }
  }
  for (int i = 0; i < kStepSums; ++i) store(sums + i * l, sum[i]);
}

template <class T>
void add_block(const StepJob<T>& job, std::ptrdiff_t first, std::ptrdiff_t tiles, const T* d, T* sums) {
  constexpr int l = Simd<T>::lanes;
  const T* x = job.X + first * job.p * kTileRows;
  const std::ptrdiff_t width = (job.p + kStepSums) * l;
  for (std::ptrdiff_t c = 0; c < job.r; c += 4)
    cross_of<4>(static_cast<int>(job.r - c < 4 ? job.r - c : 4), x, job.p, d + c * kTileRows, job.r,
                tiles, sums + c * width);
  for (std::ptrdiff_t c = 0; c < job.r; ++c)
    add_column(job, first, tiles, c, d + c * kTileRows, sums + c * width + job.p * l);
}

template <class T>
void step_leaf(void* context, std::ptrdiff_t leaf, double* out, int worker) {
  const auto& c = *static_cast<StepPass<T>*>(context);
  constexpr int l = Simd<T>::lanes;
  const std::ptrdiff_t size = c.job.r * (c.job.p + kStepSums);
  const StepBuffers<T> buffers(c, worker);
  for (std::ptrdiff_t i = 0; i < size * l; ++i) buffers.sums[i] = 0;
  const std::ptrdiff_t begin = leaf * kDescentTiles;
  const std::ptrdiff_t end = begin + kDescentTiles < c.tiles ? begin + kDescentTiles : c.tiles;
  for (std::ptrdiff_t first = begin; first < end; first += c.block) {
    const std::ptrdiff_t tiles = end - first < c.block ? end - first : c.block;
    const T* d = buffers.change;
    if (c.job.next == nullptr)
      d = c.job.W + first * c.job.r * kTileRows;
    else
      for (std::ptrdiff_t t = 0; t < tiles; ++t)
        step_of_tile(c.job, first + t, buffers.step, buffers.change + t * c.job.r * kTileRows);
    add_block(c.job, first, tiles, d, buffers.sums);
  }
  for (std::ptrdiff_t i = 0; i < size; ++i) out[i] += sum_lanes<T>(load(buffers.sums + i * l));
}

// Rows of a block, whose X should stay in the first-level cache.
inline std::ptrdiff_t block_tiles(std::ptrdiff_t tile_bytes) {
  const std::ptrdiff_t fitting = (std::ptrdiff_t(1) << 15) / tile_bytes;
  return fitting < 4 ? 4 : fitting > kDescentTiles ? kDescentTiles : fitting;
}

template <class T>
void simplex_sweep(const StepJob<T>& job) {
  const std::ptrdiff_t tiles = (job.n + kTileRows - 1) / kTileRows;
  const std::ptrdiff_t leaves = (tiles + kDescentTiles - 1) / kDescentTiles;
  const auto tile_bytes = static_cast<std::ptrdiff_t>(sizeof(T)) * kTileRows * job.p;
  StepPass<T> pass{job, tiles, block_tiles(tile_bytes), nullptr};
  const int threads = sweep_threads(job.threads, leaves, job.n * job.r * 8);
  Scratch scratch(StepBuffers<T>::bytes(pass), threads);
  pass.scratch = &scratch;
  sum_over_leaves(leaves, job.r * (job.p + kStepSums), threads, step_leaf<T>, &pass, job.sums);
}

// The largest distance of an entry of the gradient from the mean of its row, for a job whose lengths
// are 1; one thread, once.
template <class T>
double steepest(const StepJob<T>& job) {
  const Scratch scratch(sizeof(T) * static_cast<std::size_t>(kTileRows * job.r), 1);
  T* y = reinterpret_cast<T*>(scratch.slice(0));
  Vec<T> bound[kTileRows / Simd<T>::lanes];
  double most = 0;
  for (std::ptrdiff_t tile = 0; tile * kTileRows < job.n; ++tile) {
    const T* w = job.W + tile * job.r * kTileRows;
    steps_of_tile(job, tile, y, bound);
    for (std::ptrdiff_t i = 0; i < kTileRows && tile * kTileRows + i < job.n; ++i) {
      double mean = 0;
      for (std::ptrdiff_t c = 0; c < job.r; ++c) mean += static_cast<double>(w[c * kTileRows + i] - y[c * kTileRows + i]);
      mean /= static_cast<double>(job.r);
      for (std::ptrdiff_t c = 0; c < job.r; ++c) {
        const double distance =
            __builtin_fabs(static_cast<double>(w[c * kTileRows + i] - y[c * kTileRows + i]) - mean);
        most = most > distance ? most : distance;
      }
    }
  }
  return most;
}
