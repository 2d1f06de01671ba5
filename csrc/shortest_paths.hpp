// Linear assignment: rows bid for columns first, what is left follows shortest augmenting paths.
// Included inside the target's namespace.
//
// All v start at 0 and only fall, and only of columns that have a row: what is true of cost - v >= u
// stays true, and columns that stay alone keep v = 0.

constexpr std::ptrdiff_t kBids = 4;            // of every row, on average
constexpr std::ptrdiff_t kNone = -1, kUnknown = -2;
constexpr std::ptrdiff_t kPatience = 1 << 25;  // costs that are read between two looks for signals

template <class T>
class ShortestPaths {
 public:
  static constexpr std::ptrdiff_t l = Simd<double>::lanes;

  explicit ShortestPaths(const LinearJob<T>& job)
      : job_(job), rows_(job.C, job.sign), lists_(rows_), n_(rows_.n), m_(rows_.m), n_groups_(rows_.n_groups),
        room_(n_groups_ * kGroup),
        memory_(8 * static_cast<std::size_t>(5 * room_ + 3 * n_groups_ + m_ + 8 * n_ + lists_.size()), 1) {
    char* at = memory_.slice(0);
    take(at, room_, v_, w_, d_, alone_, pred_);  // first, for their alignment
    take(at, n_groups_, least_, open_, untaken_), take(at, m_, row_of_);
    take(at, n_, free_, scanned_, distance_, touched_, pending_, event_, shift_, edge_);
    lists_.place(at);
    for (std::ptrdiff_t j = 0; j < room_; ++j) v_[j] = 0, alone_[j] = j < m_ ? 0 : kNever;
    for (std::ptrdiff_t j = 0; j < m_; ++j) row_of_[j] = -1;
    for (std::ptrdiff_t g = 0; g < n_groups_; ++g) untaken_[g] = 1;
    for (std::ptrdiff_t i = 0; i < n_; ++i) job_.columns[i] = -1, touched_[i] = 0, edge_[i] = kUnknown;
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
  // A column without a row among those that cost a row `value`; -1 if there is none.
  std::ptrdiff_t tied(std::ptrdiff_t i, double value) const {
    std::ptrdiff_t found = -1;
    rows_.each(i, [&](std::ptrdiff_t j, Vec<double> c) {
      const unsigned mask = movemask((c - load(v_ + j) == splat(value)) & (load(alone_ + j) == splat(0.0)));
      if (mask != 0 && found < 0) found = j + __builtin_ctz(mask);
    });
    return found;
  }

  void give(std::ptrdiff_t j, std::ptrdiff_t i) {
    row_of_[j] = i, job_.columns[i] = j, alone_[j] = kNever, untaken_[j / kGroup] = 0;
  }

  // Every row takes its best column, from another row if it can pay more.
  LinearStatus bid_all() {
    double largest = 0;
    std::ptrdiff_t budget = kBids * n_, paid = budget;
    for (std::ptrdiff_t next = 0; next < n_; ++next) {
      bool seen = false;
      for (std::ptrdiff_t i = next; i >= 0;) {
        const Bid bid = seen ? again(i) : rows_.template best<true>(i, v_);
        --budget;
        if (!seen) {
          largest = bid.largest > largest ? bid.largest : largest;
          const bool in_range = largest * static_cast<double>(32 * (n_ + 1)) < kNever;
          if (!bid.sound || !in_range) return LinearStatus::bad_cost;
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

  Bid again(std::ptrdiff_t i) {
    Bid bid;
    if (lists_.best(i, v_, bid)) return bid;
    lists_.make(i, v_);
    return rows_.template best<false>(i, v_);
  }

  // Returns the row that has lost its column, or -1.
  std::ptrdiff_t place(std::ptrdiff_t i, const Bid& bid) {
    std::ptrdiff_t j = bid.column, owner = row_of_[j];
    const double lowered = v_[j] - (bid.second - bid.first);
    if (owner >= 0 && !(lowered < v_[j])) {
      if ((j = tied(i, bid.first)) < 0) {
        free_[n_free_++] = i;
        return -1;
      }
      owner = -1;
    } else if (lowered > -kNever) {
      v_[j] = lowered;
    }
    give(j, i);
    job_.u[i] = lower(rows_.at(i, j) - v_[j], bid.second);
    return owner;
  }

  LinearStatus augment(std::ptrdiff_t start) {
    std::ptrdiff_t n_scanned = 0, j = -1, i = start;
    double shift = 0, bound = kNever;
    for (std::ptrdiff_t q = 0; q < room_; ++q) w_[q] = v_[q], d_[q] = kNever;
    for (std::ptrdiff_t g = 0; g < n_groups_; ++g) least_[g] = kNever, open_[g] = kGroup;
    n_pending_ = 0, soonest_ = kNever;
    for (;;) {
      touched_[i] = 1;
      bound = reach(i, shift, bound);
      while ((j = nearest()), soonest_ < lower(bound, j < 0 ? kNever : d_[j])) bound = catch_up(bound);
      if (j < 0) return LinearStatus::infeasible;
      const double mu = d_[j];
      if (mu >= bound) j = alone_at(bound);
      if (row_of_[j] < 0) break;
      i = row_of_[j];
      scanned_[n_scanned] = j, distance_[n_scanned++] = mu;
      shift = rows_.at(i, j) - v_[j] - mu;
      w_[j] = -kNever, d_[j] = kNever;
      close(j / kGroup);
    }
    for (std::ptrdiff_t k = 0; k < n_pending_; ++k) lists_.was_of_use(pending_[k]);
    // Rounding may have let a later column be nearer; v must not rise for all that.
    for (std::ptrdiff_t k = 0; k < n_scanned; ++k) v_[scanned_[k]] += lower(0, distance_[k] - bound);
    do {
      i = pred_[j];
      const std::ptrdiff_t before = job_.columns[i];
      give(j, i);
      j = before;
    } while (i != start);
    return patient(n_scanned + 2) ? LinearStatus::ok : LinearStatus::interrupted;
  }

  // Distances over row i to the columns of its list; to all others once they could matter.
  double reach(std::ptrdiff_t i, double shift, double bound) {
    if (!lists_.has(i)) {
      bound = relax(i, shift, bound);
      lists_.make(i, v_);
      return bound;
    }
    lists_.each(i, [&](std::ptrdiff_t j, double c) {
      bound = meet(i, j, c - w_[j] - shift, bound);
    });
    const double event = lists_.limit(i) - shift;
    pending_[n_pending_] = i, event_[n_pending_] = event, shift_[n_pending_++] = shift;
    soonest_ = lower(soonest_, event);
    return bound;
  }

  // The row whose columns outside of the list could matter first.
  double catch_up(double bound) {
    std::ptrdiff_t k = 0;
    while (event_[k] != soonest_) ++k;
    const std::ptrdiff_t i = pending_[k];
    bound = relax(i, shift_[k], bound);
    --n_pending_;
    pending_[k] = pending_[n_pending_], event_[k] = event_[n_pending_], shift_[k] = shift_[n_pending_];
    soonest_ = kNever;
    for (k = 0; k < n_pending_; ++k) soonest_ = lower(soonest_, event_[k]);
    lists_.was_not_enough(i);
    lists_.make(i, v_);
    return bound;
  }

  // Column j is at most so far, over row i.
  CL_INLINE double meet(std::ptrdiff_t i, std::ptrdiff_t j, double t, double bound) {
    if (!(t < d_[j] && t <= bound)) return bound;
    d_[j] = t, pred_[j] = i;
    least_[j / kGroup] = lower(least_[j / kGroup], t);
    return alone_[j] == 0 ? t : bound;
  }

  // The cheapest column of a row in the groups of which no column has a row; -1 if there is none.
  std::ptrdiff_t edge(std::ptrdiff_t i) {
    const std::ptrdiff_t known = edge_[i];
    if (known == kNone || (known >= 0 && untaken_[known / kGroup])) return known;
    Vec<double> first = splat(kNever);
    IVec<double> column = isplat<double>(kNone), lane;
    for (std::ptrdiff_t q = 0; q < l; ++q) lane[q] = q;
    for (std::ptrdiff_t g = 0; g < n_groups_; ++g) {
      if (!untaken_[g]) continue;
      rows_.group(i, g, [&](std::ptrdiff_t j, Vec<double> c) {
        column = c < first ? lane + isplat<double>(j) : column;
        first = vmin(c, first);
      });
    }
    std::ptrdiff_t k = 0;
    for (std::ptrdiff_t q = 1; q < l; ++q)
      if (first[q] < first[k] || (first[q] == first[k] && column[q] < column[k])) k = q;
    return edge_[i] = column[k];
  }

  // Distance of the nearest column without a row.
  double nearest_alone(std::ptrdiff_t i, double shift) const {
    Vec<double> best = splat(kNever);
    rows_.each(i, [&](std::ptrdiff_t j, Vec<double> c) {
      best = vmin(best, c - load(v_ + j) - shift + load(alone_ + j));
    });
    return lowest(best);
  }

  // Distances over row i; those above the nearest column without a row are of no use.
  double relax(std::ptrdiff_t i, double shift, double bound) {
    if (bound == kNever) bound = nearest_alone(i, shift);
    const std::ptrdiff_t end = edge(i);
    if (end >= 0) bound = meet(i, end, rows_.at(i, end) - w_[end] - shift, bound);
    const Vec<double> away = splat(shift);
    const IVec<double> from = isplat<double>(i);
    Vec<double> limit = splat(bound);
    for (std::ptrdiff_t g = 0; g < n_groups_; ++g) {
      if (open_[g] == 0 || untaken_[g]) continue;
      Vec<double> least = splat(kNever), ended = least;
      unsigned found = 0;
      rows_.group(i, g, [&](std::ptrdiff_t j, Vec<double> c) {
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
    const Vec<double> least = splat(least_[group]);
    for (std::ptrdiff_t j = group * kGroup;; j += l)
      if (const unsigned mask = movemask(load(d_ + j) == least)) return j + __builtin_ctz(mask);
  }

  std::ptrdiff_t alone_at(double bound) const {
    std::ptrdiff_t j = 0;
    while (!(alone_[j] == 0 && d_[j] == bound)) ++j;
    return j;
  }

  // Row potentials that hold to the last bit: of rows whose surroundings have changed since.
  void finish() {
    Bid bid;
    for (std::ptrdiff_t i = 0; i < n_; ++i)
      if (touched_[i]) {
        if (!lists_.best(i, v_, bid)) bid = rows_.template best<false>(i, v_);
        job_.u[i] = bid.first;
      }
  }

  bool patient(std::ptrdiff_t rows) {
    read_ += rows * m_;
    if (read_ < kPatience) return true;
    read_ = 0;
    return job_.go_on();
  }

  LinearJob<T> job_;
  CostRows<T> rows_;
  RowLists<T> lists_;
  std::ptrdiff_t n_, m_, n_groups_, room_, n_free_ = 0, n_pending_ = 0, read_ = 0;
  double soonest_ = kNever;
  Scratch memory_;
  // By column: v, that of columns whose distance is not final (-inf), distances, 0 without a row (inf).
  double *v_, *w_, *d_, *alone_;
  std::int64_t *pred_, *row_of_;
  double* least_;        // distance, by group
  std::int64_t* open_;   // columns that are not final, by group
  std::int64_t* untaken_;  // whether no column has a row, by group
  std::int64_t *free_, *scanned_, *touched_, *pending_, *edge_;
  double *distance_, *event_, *shift_;
};

template <class T>
LinearStatus linear_assignment(const LinearJob<T>& job) {
  return ShortestPaths<T>(job).run();
}
