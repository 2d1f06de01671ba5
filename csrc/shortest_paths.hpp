// Linear assignment: rows bid for columns first, what is left follows shortest augmenting paths.
// Included inside the target's namespace.
//
// Prices v start at 0 and only fall, and only of columns that have a row: what is true of
// cost - price >= u stays true, and columns that stay alone keep v = 0. Costs and prices are float64
// whatever the type of C.

constexpr std::ptrdiff_t kGroup = 64;              // columns that share a least distance
constexpr std::ptrdiff_t kPatience = 1 << 25;      // costs that are read between two looks for signals
constexpr std::ptrdiff_t kBids = 4;                // of every row, on average
constexpr double kNever = __builtin_inf();

// Numbers of C in lanes of float64, beginning with `p`.
CL_INLINE Vec<double> wide(const double* p) { return load(p); }
CL_INLINE Vec<double> wide(const float* p) {
  typedef float half __attribute__((vector_size(CL_VECTOR_BYTES / 2), aligned(4)));
  return __builtin_convertvector(*reinterpret_cast<const half*>(p), Vec<double>);
}

CL_INLINE double lower(double a, double b) { return a < b ? a : b; }
CL_INLINE double lowest(Vec<double> v) {
  double least = v[0];
  for (std::ptrdiff_t q = 1; q < Simd<double>::lanes; ++q) least = lower(least, v[q]);
  return least;
}

// Least cost - price of a row, its column, and the least one of the others.
struct Bid {
  double first, second, largest;  // largest: magnitude of a finite cost
  std::ptrdiff_t column;
  bool sound;                     // neither NaN nor -inf among the costs
};

template <class T>
class ShortestPaths {
 public:
  static constexpr std::ptrdiff_t l = Simd<double>::lanes;

  explicit ShortestPaths(const LinearJob<T>& job)
      : job_(job), n_(job.C.rows), m_(job.C.cols), n_groups_((m_ + kGroup - 1) / kGroup), room_(n_groups_ * kGroup),
        memory_(sizeof(double) * static_cast<std::size_t>(5 * room_ + 2 * n_groups_ + m_ + 4 * n_ + 8), 1) {
    double* at = reinterpret_cast<double*>(memory_.slice(0));
    const auto take = [&](std::ptrdiff_t size) { return at += size, at - size; };
    v_ = take(room_), w_ = take(room_), d_ = take(room_), alone_ = take(room_);
    pred_ = reinterpret_cast<std::int64_t*>(take(room_));
    least_ = take(n_groups_);
    open_ = reinterpret_cast<std::int64_t*>(take(n_groups_));
    row_of_ = reinterpret_cast<std::int64_t*>(take(m_));
    free_ = reinterpret_cast<std::int64_t*>(take(n_));
    scanned_ = reinterpret_cast<std::int64_t*>(take(n_));
    distance_ = take(n_);
    touched_ = reinterpret_cast<std::int64_t*>(take(n_));
    for (std::ptrdiff_t j = 0; j < room_; ++j) v_[j] = 0, alone_[j] = j < m_ ? 0 : kNever;
    for (std::ptrdiff_t j = 0; j < m_; ++j) row_of_[j] = -1;
    for (std::ptrdiff_t i = 0; i < n_; ++i) job_.columns[i] = -1, touched_[i] = 0;
  }

  LinearStatus run() {
    LinearStatus status = bid_all();
    for (std::ptrdiff_t k = 0; k < n_free_ && status == LinearStatus::ok; ++k)
      status = augment(free_[k]);
    if (status != LinearStatus::ok) return status;
    for (std::ptrdiff_t j = 0; j < m_; ++j) job_.v[j] = v_[j];
    finish();
    return status;
  }

 private:
  // Calls f(first column, costs) for the vectors of a group of a row; the last one is padded.
  template <class F>
  CL_INLINE void group_costs(const T* row, std::ptrdiff_t g, F f) const {
    const Vec<double> sign = splat(job_.sign);
    std::ptrdiff_t j = g * kGroup;
    if (j + kGroup <= m_) {
      for (std::ptrdiff_t q = 0; q < kGroup; q += l) f(j + q, wide(row + j + q) * sign);
      return;
    }
    for (; j + l <= m_; j += l) f(j, wide(row + j) * sign);
    if (j < m_) f(j, last(row));
  }

  template <class F>
  CL_INLINE void costs(std::ptrdiff_t i, F f) const {
    const T* row = job_.C.row(i);
    for (std::ptrdiff_t g = 0; g < n_groups_; ++g) group_costs(row, g, f);
  }

  Vec<double> last(const T* row) const {
    double rest[l];
    for (std::ptrdiff_t j = m_ / l * l, k = 0; k < l; ++k)
      rest[k] = j + k < m_ ? static_cast<double>(row[j + k]) * job_.sign : kNever;
    return load(rest);
  }

  template <bool CHECK>
  Bid best_of(std::ptrdiff_t i) const {
    Vec<double> first = splat(kNever), second = first, largest = {};
    IVec<double> column = isplat<double>(-1), wrong = {}, here;
    for (std::ptrdiff_t k = 0; k < l; ++k) here[k] = k;
    costs(i, [&](std::ptrdiff_t j, Vec<double> c) {
      const Vec<double> t = c - load(v_ + j);
      second = vmin(second, vmax(first, t));
      column = t < first ? here : column;
      first = vmin(t, first);
      here += l;
      if (CHECK) {
        wrong |= ~(c > -splat(kNever));
        largest = vmax(largest, c < splat(kNever) ? vmax(c, -c) : largest);
      }
    });
    std::ptrdiff_t k = 0;
    for (std::ptrdiff_t q = 1; q < l; ++q)
      if (first[q] < first[k] || (first[q] == first[k] && column[q] < column[k])) k = q;
    Bid bid{first[k], second[k], 0, column[k], movemask(wrong) == 0};
    for (std::ptrdiff_t q = 0; q < l; ++q) {
      if (q != k && first[q] < bid.second) bid.second = first[q];
      if (CHECK && largest[q] > bid.largest) bid.largest = largest[q];
    }
    return bid;
  }

  // A column without a row among those that cost a row `value`; -1 if there is none.
  std::ptrdiff_t tied(std::ptrdiff_t i, double value) const {
    std::ptrdiff_t found = -1;
    costs(i, [&](std::ptrdiff_t j, Vec<double> c) {
      const unsigned mask = movemask((c - load(v_ + j) == splat(value)) & (load(alone_ + j) == splat(0.0)));
      if (mask != 0 && found < 0) found = j + __builtin_ctz(mask);
    });
    return found;
  }

  void give(std::ptrdiff_t j, std::ptrdiff_t i) {
    row_of_[j] = i, job_.columns[i] = j, alone_[j] = kNever;
  }

  double cost(std::ptrdiff_t i, std::ptrdiff_t j) const {
    return static_cast<double>(job_.C.row(i)[j]) * job_.sign;
  }

  // Every row takes its best column, from another row if it can pay more.
  LinearStatus bid_all() {
    double largest = 0;
    std::ptrdiff_t budget = kBids * n_, paid = budget;
    for (std::ptrdiff_t next = 0; next < n_; ++next) {
      bool seen = false;
      for (std::ptrdiff_t i = next; i >= 0;) {
        const Bid bid = seen ? best_of<false>(i) : best_of<true>(i);
        --budget;
        if (!seen) {
          largest = bid.largest > largest ? bid.largest : largest;
          if (!bid.sound || !(largest * static_cast<double>(32 * (n_ + 1)) < kNever)) return LinearStatus::bad_cost;
          if (bid.column < 0) return LinearStatus::infeasible;
          seen = true;
        }
        i = place(i, bid);
        if (i >= 0 && budget <= 0) {
          free_[n_free_++] = i;
          i = -1;
        }
      }
      if (!patient(paid - budget)) return LinearStatus::interrupted;
      paid = budget;
    }
    return LinearStatus::ok;
  }

  // Returns the row that has lost its column, or -1.
  std::ptrdiff_t place(std::ptrdiff_t i, const Bid& bid) {
    std::ptrdiff_t j = bid.column, owner = row_of_[j];
    const double price = v_[j] - (bid.second - bid.first);
    if (owner >= 0 && !(price < v_[j])) {
      if ((j = tied(i, bid.first)) < 0) {
        free_[n_free_++] = i;
        return -1;
      }
      owner = -1;
    } else if (price > -kNever) {
      v_[j] = price;
    }
    give(j, i);
    const double left = cost(i, j) - v_[j];
    job_.u[i] = left < bid.second ? left : bid.second;
    return owner;
  }

  LinearStatus augment(std::ptrdiff_t start) {
    std::ptrdiff_t n_scanned = 0, j = -1, i = start;
    double shift = 0, bound = kNever;
    for (std::ptrdiff_t q = 0; q < room_; ++q) w_[q] = v_[q], d_[q] = kNever;
    for (std::ptrdiff_t g = 0; g < n_groups_; ++g) least_[g] = kNever, open_[g] = kGroup;
    touched_[start] = 1;
    bound = nearest_alone(start);
    for (;;) {
      bound = relax(i, shift, bound);
      j = nearest();
      if (j < 0) return LinearStatus::infeasible;
      const double mu = d_[j];
      if (mu >= bound) j = alone_at(bound);
      if (row_of_[j] < 0) break;
      i = row_of_[j];
      scanned_[n_scanned] = j, distance_[n_scanned++] = mu;
      touched_[i] = 1;
      shift = cost(i, j) - v_[j] - mu;
      w_[j] = -kNever, d_[j] = kNever;
      close(j / kGroup);
    }
    // Rounding may have let a later column be nearer; a price must not rise for all that.
    for (std::ptrdiff_t k = 0; k < n_scanned; ++k) v_[scanned_[k]] += lower(0, distance_[k] - bound);
    do {
      i = pred_[j];
      const std::ptrdiff_t before = job_.columns[i];
      give(j, i);
      j = before;
    } while (i != start);
    return patient(n_scanned + 2) ? LinearStatus::ok : LinearStatus::interrupted;
  }

  // Distance of the nearest column without a row.
  double nearest_alone(std::ptrdiff_t i) const {
    Vec<double> best = splat(kNever);
    costs(i, [&](std::ptrdiff_t j, Vec<double> c) { best = vmin(best, c - load(v_ + j) + load(alone_ + j)); });
    return lowest(best);
  }

  // Distances over row i; those above the nearest column without a row are of no use.
  double relax(std::ptrdiff_t i, double shift, double bound) {
    const T* row = job_.C.row(i);
    const Vec<double> away = splat(shift);
    const IVec<double> from = isplat<double>(i);
    Vec<double> limit = splat(bound);
    for (std::ptrdiff_t g = 0; g < n_groups_; ++g) {
      if (open_[g] == 0) continue;
      Vec<double> least = splat(kNever), ended = least;
      unsigned found = 0;
      group_costs(row, g, [&](std::ptrdiff_t j, Vec<double> c) {
        const Vec<double> t = c - load(w_ + j) - away, before = load(d_ + j);
        const IVec<double> nearer = (t < before) & (t <= limit);
        const unsigned mask = movemask(nearer);
        if (mask == 0) return;
        found |= mask;
        store(d_ + j, nearer ? t : before);
        auto* pred = reinterpret_cast<IVec<double>*>(pred_ + j);
        *pred = nearer ? from : *pred;
        least = vmin(least, nearer ? t : least);
        ended = vmin(ended, t + load(alone_ + j));
      });
      if (found == 0) continue;
      least_[g] = lower(least_[g], lowest(least));
      bound = lower(bound, lowest(ended));
      limit = splat(bound);
    }
    return bound;
  }

  // A column of the group has its distance for good.
  void close(std::ptrdiff_t g) {
    Vec<double> best = splat(kNever);
    for (std::ptrdiff_t j = g * kGroup; j < (g + 1) * kGroup; j += l) best = vmin(best, load(d_ + j));
    least_[g] = lowest(best);
    --open_[g];
  }

  std::ptrdiff_t nearest() const {
    std::ptrdiff_t group = 0;
    for (std::ptrdiff_t g = 1; g < n_groups_; ++g)
      if (least_[g] < least_[group]) group = g;
    if (least_[group] == kNever) return -1;
    std::ptrdiff_t j = group * kGroup;
    while (d_[j] != least_[group]) ++j;
    return j;
  }

  std::ptrdiff_t alone_at(double bound) const {
    std::ptrdiff_t j = 0;
    while (!(alone_[j] == 0 && d_[j] == bound)) ++j;
    return j;
  }

  // Row potentials that hold to the last bit: of rows whose surroundings have changed since.
  void finish() {
    for (std::ptrdiff_t i = 0; i < n_; ++i)
      if (touched_[i]) job_.u[i] = best_of<false>(i).first;
  }

  bool patient(std::ptrdiff_t rows) {
    read_ += rows * m_;
    if (read_ < kPatience) return true;
    read_ = 0;
    return job_.go_on();
  }

  LinearJob<T> job_;
  std::ptrdiff_t n_, m_, n_groups_, room_, n_free_ = 0, read_ = 0;
  Scratch memory_;
  double *v_, *w_, *d_, *alone_, *least_, *distance_;
  std::int64_t *pred_, *open_, *row_of_, *free_, *scanned_, *touched_;
};

template <class T>
LinearStatus linear_assignment(const LinearJob<T>& job) {
  return ShortestPaths<T>(job).run();
}
