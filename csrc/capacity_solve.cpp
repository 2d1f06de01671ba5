#include "capacity_solve.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include <limits>
#include <optional>
#include <vector>

#include "capacity_paths.hpp"
#include "sum_tree.hpp"

namespace cl {
namespace {

constexpr std::ptrdiff_t kWidth = 8;          // most columns of a list, at first
constexpr std::ptrdiff_t kHotWidth = 128, kSampleWidth = 24;  // of lists of samples
constexpr std::ptrdiff_t kFirstRows = 16, kSampleRows = 64, kFewTimes = 4;  // of the samples, for each cluster
constexpr std::ptrdiff_t kLeastSample = 1024;
constexpr std::ptrdiff_t kArgminRows = 1 << 16;
constexpr int kRounds = 12;  // of certification before lists are made wider
// Temperatures and reaches, in units of the typical difference between the two cheapest columns.
constexpr double kMild = 0.5, kWarm = 0.3, kCool = 0.12, kCold = 0.04, kColdest = 0.01;
constexpr double kTemperatures = 9;  // that the list of a sample reaches: e^-9 is nothing
constexpr double kReach = 2;
constexpr double kNear = 0.3;  // moves that a search looks at first
constexpr std::int64_t kJoining = 8;   // rows of each cluster, at least, that are offered clusters that it has no path to
constexpr std::ptrdiff_t kGrain = 1024;
constexpr std::size_t kFallen = 8;     // columns that are looked at one by one, in place of all
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Rows spread over all of them, each at a place of its stretch that follows no rhythm.
std::vector<std::ptrdiff_t> sample_rows(std::ptrdiff_t n, std::ptrdiff_t size) {
  std::vector<std::ptrdiff_t> rows(static_cast<std::size_t>(size));
  std::uint64_t state = 0x9e3779b97f4a7c15u;
  for (std::ptrdiff_t j = 0; j < size; ++j) {
    const std::ptrdiff_t begin = j * n / size, end = (j + 1) * n / size;
    state = state * 6364136223846793005u + 1442695040888963407u;
    rows[static_cast<std::size_t>(j)] = begin + static_cast<std::ptrdiff_t>((state >> 33) % static_cast<std::uint64_t>(end - begin));
  }
  return rows;
}

// How much the price of a column has changed, and which.
using Drift = std::pair<double, std::int32_t>;

// Changes since each epoch of lists, the largest falls first.
struct Drifts {
  Drifts(const Candidates& lists, const double* prices) : of(lists.references.size()) {
    for (std::size_t e = 0; e < of.size(); ++e) {
      for (std::int32_t c = 0; c < lists.k; ++c) {
        of[e].push_back({prices[c] - lists.references[e][static_cast<std::size_t>(c)], c});
        largest = std::max(largest, std::abs(prices[c]));
      }
      std::sort(of[e].begin(), of[e].end());
    }
  }
  std::vector<std::vector<Drift>> of;
  double largest = 0;  // price
};

// What the list of a row leaves open about its label.
enum class Doubt { none, some, many };

// The rows that all workers found, in rising order.
std::vector<std::ptrdiff_t> joined(const std::vector<std::vector<std::ptrdiff_t>>& parts) {
  std::vector<std::ptrdiff_t> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  std::sort(all.begin(), all.end());
  return all;
}

template <class T>
class Solve {
 public:
  explicit Solve(CapacityJob<T>& job)
      : job_(job), n_(job.source.n), k_(job.source.k), smooth_(job.sizes, n_, k_, job.threads) {}

  Status run() {
    const Status status = find_prices();
    if (status != Status::ok) return status;
    double reach = unit_ > 0 ? std::max(kReach, kTemperatures * std::min(share_, kMild)) * unit_ : kInfinity;
    for (std::ptrdiff_t width = std::min(share_ > kWarm ? 2 * kWidth : kWidth, k_);; width = std::min(2 * width, k_), reach *= 8) {
      const Status found = with_lists(width, width == k_ ? kInfinity : reach);
      if (found != Status::ok || proved_) return found;
    }
  }

 private:
  std::unique_ptr<CostSource<T>> sample(std::ptrdiff_t rows_per_cluster) const {
    return job_.source.sample(sample_rows(n_, std::min(n_, std::max(kLeastSample, rows_per_cluster * k_))));
  }

  // Prices of samples, from hot to cool.
  Status find_prices() {
    const bool free = std::all_of(job_.sizes.low, job_.sizes.low + k_, [](std::int64_t low) { return low == 0; }) &&
                      std::all_of(job_.sizes.high, job_.sizes.high + k_, [this](std::int64_t high) { return high >= n_; });
    if (free) {
      std::fill_n(job_.prices, k_, 0.0);
      return Status::ok;
    }
    const auto few = sample(kFirstRows);
    const double weight = static_cast<double>(n_) / static_cast<double>(few->n);
    const FirstPrices first = first_prices(*few, job_.sizes, weight, kWarm, job_.threads, job_.prices);
    unit_ = first.unit;
    share_ = first.share;
    job_.pause();
    if (first.status != Status::ok || unit_ == 0 || n_ < kFewTimes * kSampleRows * k_) return first.status;
    const auto more = sample(kSampleRows);
    Status status = Status::ok;
    for (const double share : {share_, kMild, kCool})
      if (share <= share_ && status == Status::ok) {
        status = newton(*more, share);
        share_ = share;
      }
    return status;
  }

  // Newton steps on the lists of a sample.
  Status newton(const CostSource<T>& sample, double share) {
    Candidates lists(sample.n, k_, share > kWarm ? kHotWidth : kSampleWidth);
    const Selection how{job_.prices, kTemperatures * share * unit_, false, job_.threads};
    const Status status = select_rows(sample, 0, sample.n, how, lists);
    if (status == Status::ok) smooth_.improve(lists, share * unit_, 6, 0.01, job_.prices);
    job_.pause();
    return status;
  }

  // Newton steps on the lists of all rows, the colder the more rows a cluster has.
  void cool(const Candidates& lists, std::initializer_list<double> shares) {
    const double coldest = std::clamp(1.5 * static_cast<double>(k_) / static_cast<double>(n_), kColdest, kCold);
    if (unit_ > 0)
      for (const double share : shares) {
        if (share > share_ || (share < coldest && share < kCold)) continue;
        smooth_.improve(lists, share * unit_, 2, std::min(0.01, 0.1 * share), job_.prices);
        job_.pause();
      }
    // A price that the smoothed bounds leave near 0 is 0, where the size may be anything between.
    for (std::ptrdiff_t c = 0; c < k_; ++c)
      if (job_.sizes.low[c] < job_.sizes.high[c] && std::abs(job_.prices[c]) <= coldest * unit_) job_.prices[c] = 0;
    for_rows(n_, kGrain, job_.threads, [&](std::ptrdiff_t begin, std::ptrdiff_t end, int) {
      for (std::ptrdiff_t i = begin; i < end; ++i)
        job_.labels[i] = lists.index[i * lists.m + lists.best(i, job_.prices)];
    });
  }

  Status with_lists(std::ptrdiff_t width, double reach) {
    reach_ = reach;
    Candidates lists(n_, k_, width);
    const Status status = select_rows(job_.source, 0, n_, {job_.prices, reach, true, job_.threads}, lists);
    if (status != Status::ok) return status;
    cool(lists, {kMild, kWarm, kCool, kCold, kColdest});
    std::optional<CapacityPaths> paths;
    for (int round = 0; round < kRounds && !proved_; ++round) {
      if (!paths) paths.emplace(lists, job_.sizes, kNear * unit_, job_.prices, job_.labels);
      const std::ptrdiff_t before = paths->count;
      const bool found = paths->run(job_.pause);
      job_.n_paths += paths->count - before;
      const Status next = found ? certify(lists, *paths) : connect(lists, *paths);
      if (next != Status::ok) return next;
      if (proved_ || wrong_ <= k_) continue;
      // Prices are better found for many rows at once.
      cool(lists, {kCool, kCold});
      paths.reset();
    }
    if (proved_) sum_up(lists);
    return Status::ok;
  }

  // The cheapest cluster, at these prices, of those that no path came to, and its cost.
  struct Apart {
    std::vector<std::int32_t> column;
    std::vector<double> cost;
  };
  Status find_apart(const CapacityPaths& paths, Apart& apart) const {
    std::vector<double> prices(job_.prices, job_.prices + k_);
    std::vector<std::int32_t> columns;
    for (std::int32_t c = 0; c < k_; ++c) {
      if (paths.reached(c))
        prices[static_cast<std::size_t>(c)] = kInfinity;
      else
        columns.push_back(c);
    }
    const std::size_t count = columns.size();
    Candidates lists(n_, k_, 1);
    const Status status = count > kFallen ? select_rows(job_.source, 0, n_, {prices.data(), 0, true, job_.threads}, lists)
                                          : Status::ok;
    for_rows(n_, kGrain, job_.threads, [&](std::ptrdiff_t begin, std::ptrdiff_t end, int) {
      double costs[kFallen];
      for (std::ptrdiff_t i = begin; i < end; ++i) {
        const auto s = static_cast<std::size_t>(i);
        apart.column[s] = count > kFallen ? lists.index[i] : columns[0];
        apart.cost[s] = lists.base[i];
        if (count > kFallen) continue;
        job_.source.pairs(i, columns.data(), static_cast<std::ptrdiff_t>(count), costs);
        std::size_t best = 0;
        for (std::size_t q = 1; q < count; ++q)
          if (costs[q] + prices[static_cast<std::size_t>(columns[q])] < costs[best] + prices[static_cast<std::size_t>(columns[best])])
            best = q;
        apart.column[s] = columns[best];
        apart.cost[s] = costs[best];
      }
    });
    return status;
  }

  // Where no path came to some clusters: gives the rows of each other cluster that move there at the
  // least cost the cheapest of them as a column, as many rows as are in excess.
  Status connect(Candidates& lists, CapacityPaths& paths) {
    Apart apart{std::vector<std::int32_t>(static_cast<std::size_t>(n_)), std::vector<double>(static_cast<std::size_t>(n_))};
    const Status status = find_apart(paths, apart);
    wrong_ = paths.excess();
    const auto most = static_cast<std::size_t>(std::max<std::int64_t>(kJoining, wrong_));
    using Move = std::pair<double, std::int32_t>;
    std::vector<std::vector<Move>> least(static_cast<std::size_t>(k_));  // heaps, the dearest in front
    for (std::ptrdiff_t i = 0; i < n_; ++i) {
      if (!paths.reached(job_.labels[i])) continue;
      const auto s = static_cast<std::size_t>(i);
      auto& heap = least[static_cast<std::size_t>(job_.labels[i])];
      const double there = apart.cost[s] - lists.base[i] + job_.prices[apart.column[s]];
      const Move move{there - value_of(lists, i, job_.labels[i]), static_cast<std::int32_t>(i)};
      if (heap.size() == most && !(move < heap.front())) continue;
      if (heap.size() == most) {
        std::pop_heap(heap.begin(), heap.end());
        heap.pop_back();
      }
      heap.push_back(move);
      std::push_heap(heap.begin(), heap.end());
    }
    for (const auto& heap : least)
      for (const Move& move : heap) {
        const std::int32_t i = move.second, b = apart.column[static_cast<std::size_t>(i)];
        if (!lists.has(i, b)) lists.add(i, b, apart.cost[static_cast<std::size_t>(i)], job_.labels[i]);
        paths.change(i, lists.index[i * lists.m + lists.best(i, job_.prices)]);
      }
    return status;
  }

  // Adds what may be cheaper than the labels of rows to their lists, and moves those rows. Sets
  // proved_ if none has to.
  Status certify(Candidates& lists, CapacityPaths& paths) {
    const Drifts drifts(lists, job_.prices);
    const int threads = resolve_threads(job_.threads, (n_ + kGrain - 1) / kGrain);
    std::vector<std::vector<std::ptrdiff_t>> doubtful(static_cast<std::size_t>(threads)), open(doubtful);
    for_rows(n_, kGrain, threads, [&](std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
      for (std::ptrdiff_t i = begin; i < end; ++i) {
        const Doubt doubt = look_again(lists, i, drifts.of[lists.epoch[i]]);
        if (doubt == Doubt::some) doubtful[static_cast<std::size_t>(worker)].push_back(i);
        if (doubt == Doubt::many) open[static_cast<std::size_t>(worker)].push_back(i);
      }
    });
    std::vector<std::ptrdiff_t> rows = joined(open);
    const Selection how{job_.prices, reach_, true, job_.threads};
    const Status status = rows.empty() ? Status::ok : select_again(job_.source, rows, how, job_.labels, lists);
    doubtful.push_back(std::move(rows));
    wrong_ = 0;
    for (const std::ptrdiff_t i : joined(doubtful)) {
      const std::int32_t before = job_.labels[i];
      paths.change(i, better_label(lists, i, drifts.largest));
      wrong_ += job_.labels[i] != before;
    }
    proved_ = wrong_ == 0;
    return status;
  }

  // The cheapest column of a row, or its label where the difference is one of rounding, which is left
  // to the gap.
  std::int32_t better_label(const Candidates& lists, std::ptrdiff_t i, double largest_price) const {
    const std::ptrdiff_t best = i * lists.m + lists.best(i, job_.prices);
    const double kept = value_of(lists, i, job_.labels[i]), least = lists.cost[best] + job_.prices[lists.index[best]];
    const double rounding = 4 * std::numeric_limits<double>::epsilon() * (std::abs(kept) + largest_price);
    return kept - least <= rounding ? job_.labels[i] : lists.index[best];
  }

  // Checks one by one the columns that may be cheaper than the label; where these are many, the row
  // stays open.
  Doubt look_again(Candidates& lists, std::ptrdiff_t i, const std::vector<Drift>& drifts) {
    const double own = value_of(lists, i, job_.labels[i]);
    std::size_t count = 0;
    while (count < drifts.size() && own > lists.bound[i] + drifts[count].first)
      if (++count > kFallen) return Doubt::many;
    Doubt doubt = Doubt::none;
    for (std::size_t q = 0; q < count; ++q) {
      const std::int32_t c = drifts[q].second;
      if (lists.has(i, c)) continue;
      double cost;
      job_.source.pairs(i, &c, 1, &cost);
      if (cost - lists.base[i] + job_.prices[c] >= own) continue;
      lists.add(i, c, cost, job_.labels[i]);
      doubt = Doubt::some;
    }
    return doubt;
  }

  double value_of(const Candidates& lists, std::ptrdiff_t i, std::int32_t label) const {
    return lists.cost[lists.place(i, label)] + job_.prices[label];
  }

  // Cost and gap, which is what rows could save at these prices.
  void sum_up(const Candidates& lists) {
    // A price may have been left just beside 0 by rounding: then a size between its bounds is no proof
    // of it, and it is 0.
    std::vector<std::int64_t> loads(static_cast<std::size_t>(k_));
    for (std::ptrdiff_t i = 0; i < n_; ++i) ++loads[static_cast<std::size_t>(job_.labels[i])];
    for (std::ptrdiff_t c = 0; c < k_; ++c) {
      const std::int64_t load = loads[static_cast<std::size_t>(c)];
      double& price = job_.prices[c];
      if (price > 0 ? load < job_.sizes.high[c] : load > job_.sizes.low[c]) price = 0;
    }
    struct Context {
      const Solve* self;
      const Candidates* lists;
    } context{this, &lists};
    const auto leaf = [](void* c, std::ptrdiff_t at, double* sums, int) {
      const Solve& s = *static_cast<Context*>(c)->self;
      const Candidates& lists = *static_cast<Context*>(c)->lists;
      const std::ptrdiff_t end = std::min(s.n_, (at + 1) * kSweepRows);
      for (std::ptrdiff_t i = at * kSweepRows; i < end; ++i) {
        const std::ptrdiff_t best = i * lists.m + lists.best(i, s.job_.prices);
        double cost;
        s.job_.source.pairs(i, &s.job_.labels[i], 1, &cost);
        sums[0] += cost;
        sums[1] += s.value_of(lists, i, s.job_.labels[i]) - (lists.cost[best] + s.job_.prices[lists.index[best]]);
      }
    };
    const std::ptrdiff_t leaves = (n_ + kSweepRows - 1) / kSweepRows;
    sum_over_leaves(leaves, 2, resolve_threads(job_.threads, leaves), leaf, &context, job_.sums);
  }

  CapacityJob<T>& job_;
  std::ptrdiff_t n_, k_;
  SmoothPrices smooth_;
  double unit_ = 0, share_ = 0, reach_ = 0;
  std::int64_t wrong_ = 0;  // rows in excess, or at wrong labels
  bool proved_ = false;
};

}  // namespace

template <class T>
Status assign_under_capacities(CapacityJob<T>& job) {
  job.sums[0] = job.sums[1] = 0;
  if (job.source.n == 0) {
    std::fill_n(job.prices, job.source.k, 0.0);
    return Status::ok;
  }
  return Solve<T>(job).run();
}

template <class T>
Status assign_at_prices(const CostSource<T>& source, const double* prices, std::int32_t* labels, int threads) {
  const std::ptrdiff_t width = std::min<std::ptrdiff_t>(4, source.k), most = std::min(source.n, kArgminRows);
  Candidates lists(most, source.k, width);
  for (std::ptrdiff_t at = 0; at < source.n; at += most) {
    const std::ptrdiff_t count = std::min(most, source.n - at);
    const Status status = select_rows(source, at, at + count, {prices, 0, true, threads, false}, lists);
    if (status != Status::ok) return status;
    const int workers = resolve_threads(threads, (count + 255) / 256);
    Scratch scratch(sizeof(double) * static_cast<std::size_t>(source.k), workers);
    std::vector<std::int32_t> all(static_cast<std::size_t>(source.k));
    for (std::size_t c = 0; c < all.size(); ++c) all[c] = static_cast<std::int32_t>(c);
    for_rows(count, 256, workers, [&](std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
      double* costs = reinterpret_cast<double*>(scratch.slice(worker));
      for (std::ptrdiff_t i = begin; i < end; ++i) {
        const std::ptrdiff_t best = i * lists.m + lists.best(i, prices);
        labels[at + i] = lists.index[best];
        if (lists.cost[best] + prices[lists.index[best]] < lists.bound[i]) continue;
        source.pairs(at + i, all.data(), source.k, costs);
        std::int32_t least = 0;
        for (const std::int32_t c : all)
          if (costs[c] + prices[c] < costs[least] + prices[least]) least = c;
        labels[at + i] = least;
      }
    });
  }
  return Status::ok;
}

template Status assign_under_capacities(CapacityJob<float>&);
template Status assign_under_capacities(CapacityJob<double>&);
template Status assign_at_prices(const CostSource<float>&, const double*, std::int32_t*, int);
template Status assign_at_prices(const CostSource<double>&, const double*, std::int32_t*, int);

}  // namespace cl
