// The cheapest columns of long rows, so that most scans need not read the row. Included inside the
// target's namespace.

constexpr std::ptrdiff_t kListed = 64;     // columns of a row that are kept, at most
constexpr std::ptrdiff_t kRank = 28;       // of 64 least costs: the limit, for 37 columns on average
constexpr std::ptrdiff_t kLongRow = 1200;  // from so many columns on lists are worth their making
constexpr int kStrikes = 3;                // lists without any use until a row has no more

// A list holds the columns with cost - v below a limit, at the v of when it was made. As v only falls,
// all others stay at the limit or above for good.
template <class T>
class RowLists {
 public:
  explicit RowLists(const CostRows<T>& rows) : rows_(rows), most_(rows.m < kLongRow ? 0 : kListed) {}

  std::ptrdiff_t size() const { return (3 + 2 * most_) * rows_.n; }

  void place(char*& at) {
    take(at, rows_.n, count_, strikes_), take(at, rows_.n, limit_);
    take(at, rows_.n * most_, column_), take(at, rows_.n * most_, cost_);
    for (std::ptrdiff_t i = 0; i < rows_.n; ++i)
      count_[i] = 0, limit_[i] = -kNever, strikes_[i] = most_ > 0 ? 0 : kStrikes;
  }

  bool has(std::ptrdiff_t i) const { return count_[i] > 0; }
  double limit(std::ptrdiff_t i) const { return limit_[i]; }

  // Calls f(column, cost) for a list.
  template <class F>
  CL_INLINE void each(std::ptrdiff_t i, F f) const {
    for (std::ptrdiff_t k = i * kListed; k < i * kListed + count_[i]; ++k) f(column_[k], cost_[k]);
  }

  // As CostRows::best; false if the list is not enough.
  bool best(std::ptrdiff_t i, const double* v, Bid& bid) const {
    if (!has(i)) return false;
    bid = Bid{};
    each(i, [&](std::ptrdiff_t j, double c) {
      const double t = c - v[j];
      bid.second = lower(bid.second, t < bid.first ? bid.first : t);
      if (t < bid.first) bid.first = t, bid.column = j;
    });
    return bid.second <= limit_[i];
  }

  void was_of_use(std::ptrdiff_t i) { strikes_[i] = 0; }
  void was_not_enough(std::ptrdiff_t i) { count_[i] = 0, ++strikes_[i]; }

  // Lists row i, unless lists have been of no use to it, or too many columns are alike.
  void make(std::ptrdiff_t i, const double* v) {
    count_[i] = 0;
    if (strikes_[i] >= kStrikes) return;
    double least[kGroup];
    for (std::ptrdiff_t k = 0; k < kGroup; ++k) least[k] = kNever;
    rows_.each(i, [&](std::ptrdiff_t j, Vec<double> c) {
      double* at = least + j % kGroup;
      store(at, vmin(load(at), c - load(v + j)));
    });
    limit_[i] = ranked(least);
    std::ptrdiff_t count = 0;
    const Vec<double> limit = splat(limit_[i]);
    rows_.each(i, [&](std::ptrdiff_t j, Vec<double> c) {
      for (unsigned mask = movemask(c - load(v + j) < limit); mask != 0; mask &= mask - 1, ++count)
        if (count < kListed) column_[i * kListed + count] = j + __builtin_ctz(mask);
    });
    if (count == 0 || count > kListed) return was_not_enough(i);
    count_[i] = count;
    for (std::ptrdiff_t k = i * kListed; k < i * kListed + count; ++k) cost_[k] = rows_.at(i, column_[k]);
  }

 private:
  // The least of the numbers that has kRank smaller ones; infinity if none has.
  static double ranked(const double* x) {
    double found = kNever;
    for (std::ptrdiff_t k = 0; k < kGroup; ++k) {
      if (!(x[k] < found)) continue;
      IVec<double> smaller = {};
      for (std::ptrdiff_t q = 0; q < kGroup; q += Simd<double>::lanes) smaller -= load(x + q) < splat(x[k]);
      std::int64_t count = 0;
      for (std::ptrdiff_t q = 0; q < Simd<double>::lanes; ++q) count += smaller[q];
      if (count >= kRank) found = x[k];
    }
    return found;
  }

  const CostRows<T>& rows_;
  std::ptrdiff_t most_;
  double *limit_ = nullptr, *cost_ = nullptr;
  std::int64_t *count_ = nullptr, *strikes_ = nullptr, *column_ = nullptr;
};
