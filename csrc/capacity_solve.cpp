#include "capacity_solve.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include "capacity_paths.hpp"
#include "doubts.hpp"
#include "sum_tree.hpp"

namespace cl {
namespace {

constexpr std::ptrdiff_t kWidth = 8;          // most columns of a list, at first
constexpr std::ptrdiff_t kHotWidth = 128, kSampleWidth = 24;  // of lists of samples
constexpr std::ptrdiff_t kFirstRows = 16, kSampleRows = 64, kFewTimes = 4;  // of the samples, for each cluster
constexpr std::ptrdiff_t kLeastSample = 1024;
constexpr int kRounds = 60, kMostApart = 8;  // of certification, and of connecting, before lists are made wider
constexpr std::ptrdiff_t kAllValues = 1 << 22;  // costs that are listed all when lists get wider
// Temperatures and reaches, in units of the typical difference between the two cheapest columns.
constexpr double kMild = 0.5, kWarm = 0.3, kCool = 0.1, kCold = 0.03, kColdest = 0.01;
constexpr double kTolerance = 0.1;   // rows in excess, as a share, for each unit of temperature
constexpr double kStalledTolerance = 0.01;  // where groups hardly see each other, at most
constexpr double kFewRows = 0.002;    // as a share: in excess
constexpr double kTemperatures = 7;  // that the list of a sample reaches: e^-7 is next to nothing
constexpr double kReach = 2;
constexpr double kLeash = 0.6;  // of the reach, that prices may move on lists
constexpr double kNear = 0.3;  // moves that a search looks at first
constexpr std::int64_t kJoining = 8;   // rows of each cluster, at least, that are offered clusters that it has no path to
constexpr std::ptrdiff_t kGrain = 1 << 13;  // rows, for which a thread is worth its start
constexpr std::size_t kSomeRows = 1 << 16;  // that are copied at once
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

template <class T>
class Solve {
 public:
  explicit Solve(CapacityJob<T>& job)
      : job_(job), n_(job.source.n), k_(job.source.k), few_(n_ < kFewTimes * kSampleRows * k_),
        smooth_(job.sizes, n_, k_, job.threads) {}

  Status run() {
    const Status status = find_prices();
    if (status != Status::ok) return status;
    double reach = unit_ > 0 ? std::max(kReach, kTemperatures * std::min(share_, kMild)) * unit_ : kInfinity;
    std::ptrdiff_t width = std::min(share_ > kWarm ? 2 * kWidth : kWidth, k_);
    for (;; reach *= 8) {
      const Status found = with_lists(width, width == k_ ? kInfinity : reach);
      if (found != Status::ok || proved_) return found;
      width = n_ * k_ <= kAllValues ? k_ : std::min(4 * width, k_);
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
    share_ = first.known ? kCool : first.share;
    stalled_ = share_ > kWarm;
    job_.pause();
    if (first.status != Status::ok || unit_ == 0 || few_ || first.known) return first.status;
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
    if (status == Status::ok) smooth_.improve(lists, share * unit_, 6, 0.01, kLeash * how.reach, job_.prices);
    job_.pause();
    return status;
  }

  // Newton steps on the lists of all rows, the colder the more rows a cluster has.
  void cool(const Candidates& lists, std::initializer_list<double> shares) {
    const double coldest = std::clamp(8 * static_cast<double>(k_) / static_cast<double>(n_), kColdest, kCool);
    // Few rows are sent along paths faster than by another step.
    const double few = 1.5 * static_cast<double>(k_) / static_cast<double>(n_), enough = few < kFewRows ? few : 0;
    if (unit_ > 0)
      for (const double share : shares) {
        if (share > share_ || share < coldest) continue;
        const double tol = std::max(enough, stalled_ ? std::min(kStalledTolerance, kTolerance * share) : kTolerance * share);
        smooth_.improve(lists, share * unit_, 2, tol, kLeash * reach_, job_.prices);
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
    const Status status = select_rows(job_.source, 0, n_, {job_.prices, reach, true, job_.threads, true, stalled_}, lists);
    if (status != Status::ok) return status;
    cool(lists, {kMild, kWarm, kCool, kCold, kColdest});
    std::optional<CapacityPaths> paths;
    bool jump = false;
    for (int round = 0, apart = 0; round < kRounds && apart < kMostApart && !proved_; ++round, apart += jump) {
      if (!paths) paths.emplace(lists, job_.sizes, few_ ? kInfinity : kNear * unit_, job_.prices,
                                job_.labels);
      const std::ptrdiff_t before = paths->count;
      const PathsEnd end = paths->run(kLeash * reach_, jump, job_.pause);
      job_.n_paths += paths->count - before;
      jump = end == PathsEnd::apart;
      const Status next = jump ? connect(lists, *paths) : certify(lists, *paths, end == PathsEnd::done);
      if (next != Status::ok) return next;
    }
    if (proved_) sum_up(lists);
    return Status::ok;
  }

  // A row of a cluster that paths come to, and the cheapest cluster, at these prices, of those that no
  // path comes to; how much dearer it is there, and the cost.
  struct Way {
    double move;
    std::int32_t row, column;
    double cost;
    bool operator<(const Way& other) const { return move < other.move || (move == other.move && row < other.row); }
  };

  // The cheapest ways out of each cluster, at most `most`: heaps, the dearest in front.
  Status find_ways(const Candidates& lists, const CapacityPaths& paths, std::size_t most,
                   std::vector<std::vector<Way>>& ways) const {
    std::vector<std::int32_t> columns;
    std::vector<double> prices;
    for (std::int32_t c = 0; c < k_; ++c)
      if (!paths.reached(c)) {
        columns.push_back(c);
        prices.push_back(job_.prices[c]);
      }
    std::vector<std::ptrdiff_t> rows;  // none, where only the slack of the bounds is far away
    for (std::ptrdiff_t i = 0; i < n_ && !columns.empty(); ++i)
      if (paths.reached(job_.labels[i])) rows.push_back(i);
    for (std::size_t at = 0; at < rows.size(); at += kSomeRows) {
      const std::vector<std::ptrdiff_t> some(rows.begin() + at, rows.begin() + std::min(rows.size(), at + kSomeRows));
      std::vector<Way> found(some.size());
      Status status = Status::ok;
      if (columns.size() <= kFallen)
        find_few(some, columns, found);
      else
        status = find_many(some, columns, prices, found);
      if (status != Status::ok) return status;
      for (Way& way : found) {
        const std::ptrdiff_t i = way.row;
        way.move = way.cost - lists.base[i] + job_.prices[way.column] - value_of(lists, i, job_.labels[i]);
        auto& heap = ways[static_cast<std::size_t>(job_.labels[i])];
        if (heap.size() == most && !(way < heap.front())) continue;
        heap.push_back(way);
        std::push_heap(heap.begin(), heap.end());
        if (heap.size() <= most) continue;
        std::pop_heap(heap.begin(), heap.end());
        heap.pop_back();
      }
    }
    return Status::ok;
  }

  // The cheapest of a few columns, evaluated one by one.
  void find_few(const std::vector<std::ptrdiff_t>& rows, const std::vector<std::int32_t>& columns,
                  std::vector<Way>& found) const {
    for_rows(static_cast<std::ptrdiff_t>(rows.size()), kGrain, job_.threads, [&](std::ptrdiff_t begin, std::ptrdiff_t end, int) {
      double costs[kFallen];
      for (std::ptrdiff_t r = begin; r < end; ++r) {
        const auto s = static_cast<std::size_t>(r);
        job_.source.pairs(rows[s], columns.data(), static_cast<std::ptrdiff_t>(columns.size()), costs);
        std::size_t best = 0;
        for (std::size_t q = 1; q < columns.size(); ++q)
          if (costs[q] + job_.prices[columns[q]] < costs[best] + job_.prices[columns[best]]) best = q;
        found[s] = {0, static_cast<std::int32_t>(rows[s]), columns[best], costs[best]};
      }
    });
  }

  // The cheapest of many columns.
  Status find_many(const std::vector<std::ptrdiff_t>& rows, const std::vector<std::int32_t>& columns,
                   const std::vector<double>& prices, std::vector<Way>& found) const {
    const auto whole = job_.source.sample(rows);
    const auto source = whole->part(columns);
    Candidates nearest(source->n, source->k, 1);
    const Status status = select_rows(*source, 0, source->n, {prices.data(), 0, true, job_.threads}, nearest);
    for (std::size_t r = 0; r < rows.size() && status == Status::ok; ++r)
      found[r] = {0, static_cast<std::int32_t>(rows[r]), columns[static_cast<std::size_t>(nearest.index[r])], nearest.base[r]};
    return status;
  }

  // Where paths do not come to some clusters: offers these to the rows that move there at the least
  // cost, as many of each other cluster as are in excess.
  Status connect(Candidates& lists, CapacityPaths& paths) {
    std::vector<std::vector<Way>> ways(static_cast<std::size_t>(k_));
    const auto most = static_cast<std::size_t>(std::max<std::int64_t>(kJoining, paths.excess()));
    const Status status = find_ways(lists, paths, most, ways);
    for (const auto& heap : ways)
      for (const Way& way : heap) {
        const std::int32_t i = way.row;
        if (lists.has(i, way.column)) continue;
        const bool full = lists.filled[i] == lists.m;
        lists.add(i, way.column, way.cost, job_.labels[i], job_.prices);
        const std::int32_t label = lists.index[i * lists.m + lists.best(i, job_.prices)];
        if (full || label != job_.labels[i])
          paths.change(i, label);
        else
          paths.extend(i, way.column);
      }
    return status;
  }

  // Adds what may be cheaper than the labels of rows to their lists, and moves those rows. Sets
  // proved_ if none has to and sizes are as they should be.
  Status certify(Candidates& lists, CapacityPaths& paths, bool balanced) {
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
    look_at_all(rows, lists);
    doubtful.push_back(std::move(rows));
    proved_ = balanced;
    for (const std::ptrdiff_t i : joined(doubtful)) {
      const std::int32_t label = better_label(lists, i, drifts.largest);
      proved_ = proved_ && label == job_.labels[i];
      paths.change(i, label);
    }
    return status;
  }

  // Where bounds of the screen prove nothing even at these prices, the costs of all columns do.
  void look_at_all(const std::vector<std::ptrdiff_t>& rows, Candidates& lists) const {
    std::vector<std::int32_t> all(static_cast<std::size_t>(k_));
    std::iota(all.begin(), all.end(), 0);
    for_rows(static_cast<std::ptrdiff_t>(rows.size()), kGrain, job_.threads, [&](std::ptrdiff_t begin, std::ptrdiff_t end, int) {
      std::vector<double> costs(static_cast<std::size_t>(k_));
      for (std::ptrdiff_t r = begin; r < end; ++r) {
        const std::ptrdiff_t i = rows[static_cast<std::size_t>(r)];
        if (value_of(lists, i, job_.labels[i]) <= lists.bound[i]) continue;
        job_.source.pairs(i, all.data(), k_, costs.data());
        std::int32_t least = 0;
        const auto value = [&](std::int32_t c) { return costs[static_cast<std::size_t>(c)] + job_.prices[c]; };
        for (const std::int32_t c : all)
          if (value(c) < value(least)) least = c;
        const double cost = costs[static_cast<std::size_t>(least)];
        if (!lists.has(i, least)) lists.add(i, least, cost, job_.labels[i], job_.prices);
      }
    });
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
      lists.add(i, c, cost, job_.labels[i], job_.prices);
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
    sum_over_leaves(leaves, 2, resolve_threads(job_.threads, (n_ + kGrain - 1) / kGrain), leaf, &context, job_.sums);
  }

  CapacityJob<T>& job_;
  std::ptrdiff_t n_, k_;
  bool few_;  // rows for each cluster: a sample would not save much
  SmoothPrices smooth_;
  double unit_ = 0, share_ = 0, reach_ = 0;
  bool stalled_ = false;  // groups of clusters that hardly see each other
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

template Status assign_under_capacities(CapacityJob<float>&);
template Status assign_under_capacities(CapacityJob<double>&);

}  // namespace cl
