// The cheapest column of every row at given prices.
#include <algorithm>
#include <numeric>
#include <vector>

#include "capacity_solve.hpp"

namespace cl {
namespace {

constexpr std::ptrdiff_t kArgminRows = 1 << 16;  // rows that have lists at once
constexpr std::ptrdiff_t kGrain = 1 << 13;

}  // namespace

template <class T>
Status assign_at_prices(const CostSource<T>& source, const double* prices, std::int32_t* labels, int threads) {
  const std::ptrdiff_t width = std::min<std::ptrdiff_t>(4, source.k), most = std::min(source.n, kArgminRows);
  Candidates lists(most, source.k, width);
  for (std::ptrdiff_t at = 0; at < source.n; at += most) {
    const std::ptrdiff_t count = std::min(most, source.n - at);
    const Status status = select_rows(source, at, at + count, {prices, 0, true, threads, false}, lists);
    if (status != Status::ok) return status;
    const int workers = resolve_threads(threads, (count + kGrain - 1) / kGrain);
    Scratch scratch(sizeof(double) * static_cast<std::size_t>(source.k), workers);
    std::vector<std::int32_t> all(static_cast<std::size_t>(source.k));
    std::iota(all.begin(), all.end(), 0);
    for_rows(count, kGrain, workers, [&](std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
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

template Status assign_at_prices(const CostSource<float>&, const double*, std::int32_t*, int);
template Status assign_at_prices(const CostSource<double>&, const double*, std::int32_t*, int);

}  // namespace cl
