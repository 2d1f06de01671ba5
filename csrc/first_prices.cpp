#include <algorithm>
#include <cmath>

#include <limits>
#include <vector>

#include "capacity_prices.hpp"

namespace cl {
namespace {

constexpr double kHottest = 2.0;   // temperatures: in units of the typical difference,
constexpr double kMostHot = 64;
constexpr double kSpread = 0.2;    // and at least this part of how far the mean cost is from the smallest
constexpr double kCooling = 0.4;
constexpr int kSweeps = 20;        // at one temperature
constexpr double kEnough = 0.02;   // rows in excess, as a share, that end one
constexpr double kStall = 0.85;    // of the excess, left after a sweep: groups of columns that hardly see others
constexpr double kRelaxation = 1.4;

struct Spread {
  double unit;   // the median difference between the two smallest costs of a row, their mean where most are 0
  double whole;  // the mean cost above the smallest one
  double widest;  // the largest one
};

// Takes the smallest cost of each row from it.
template <class T>
Spread center_rows(T* costs, std::ptrdiff_t n, std::ptrdiff_t k) {
  if (k == 1) return {0, 0, 0};
  std::vector<double> gaps(static_cast<std::size_t>(n));
  double sum = 0, whole = 0, widest = 0;
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    T* row = costs + i * k;
    T first = std::numeric_limits<T>::infinity(), second = first;
    for (std::ptrdiff_t c = 0; c < k; ++c) {
      second = std::min(second, std::max(first, row[c]));
      first = std::min(first, row[c]);
    }
    T total = 0;
    for (std::ptrdiff_t c = 0; c < k; ++c) {
      row[c] -= first;
      total += row[c];
      widest = std::max(widest, static_cast<double>(row[c]));
    }
    whole += static_cast<double>(total);
    sum += gaps[static_cast<std::size_t>(i)] = static_cast<double>(second) - static_cast<double>(first);
  }
  const auto middle = gaps.begin() + n / 2;
  std::nth_element(gaps.begin(), middle, gaps.end());
  return {*middle > 0 ? *middle : sum / static_cast<double>(n), whole / static_cast<double>(n * k),
          widest};
}

// The price at which a column whose load would be `load` at the price 0 keeps its bounds: the
// proximal step of the bounds.
double kept_price(double load, double low, double high, double epsilon) {
  const double tiny = 1e-3;
  if (load > high) return epsilon * std::log(load / std::max(high, tiny));
  if (load < low) return epsilon * std::log(std::max(load, tiny) / low);
  return 0;
}

}  // namespace

template <class T>
FirstPrices first_prices(const CostSource<T>& sample, const SizeBounds& sizes, double weight, double share,
                         int threads, double* prices) {
  const std::ptrdiff_t n = sample.n, k = sample.k;
  std::vector<T> costs(static_cast<std::size_t>(n * k));
  const Status status = sample.block(0, n, costs.data(), threads);
  if (status != Status::ok) return {status, 0, 0};
  const Spread spread = center_rows(costs.data(), n, k);
  const double unit = spread.unit;
  if (unit == 0) return {status, 0, 0};
  for (std::ptrdiff_t c = 0; c < k; ++c) prices[c] = std::clamp(prices[c], -spread.widest, spread.widest);
  std::vector<double> log_a(static_cast<std::size_t>(n)), f(log_a), g(static_cast<std::size_t>(k)), loads(g);
  SinkhornJob<T> job;
  job.X = {costs.data(), n, k, k, 1};
  job.n = n;
  job.m = k;
  job.log_a = log_a.data();
  job.f = f.data();
  job.g = g.data();
  job.f_max = std::numeric_limits<double>::infinity();
  job.column_sums = loads.data();
  job.threads = threads;
  const bool hinted = std::any_of(prices, prices + k, [](double p) { return p != 0; });
  double hot = hinted ? share : std::max({share, kHottest, std::min(kMostHot, kSpread * spread.whole / unit)});
  std::vector<double> kept(prices, prices + k);  // of the last temperature that converged
  double reached = hot;
  for (bool stalled = false;; hot = std::max(share, hot * kCooling)) {
    const double epsilon = job.epsilon = hot * unit;
    double before = std::numeric_limits<double>::infinity();
    for (int sweep = 0; sweep < kSweeps; ++sweep) {
      for (std::size_t c = 0; c < g.size(); ++c) g[c] = -prices[c];
      active_target().kernels<T>().sinkhorn_sweep(job);
      double moved = 0;
      for (std::ptrdiff_t c = 0; c < k; ++c) {
        const double load = weight * loads[static_cast<std::size_t>(c)];
        const double free = load * std::exp(std::min(prices[c] / epsilon, 600.0));
        const double next = kept_price(free, static_cast<double>(sizes.low[c]), static_cast<double>(sizes.high[c]), epsilon);
        moved += std::abs(load * std::expm1(std::clamp((prices[c] - next) / epsilon, -40.0, 1.0)));
        prices[c] += kRelaxation * (next - prices[c]);
      }
      const double excess = moved / (2 * weight * static_cast<double>(n));
      stalled = excess > kEnough && sweep > 3 && excess > kStall * before;
      if (excess < kEnough || stalled) break;
      before = excess;
    }
    if (stalled) break;
    kept.assign(prices, prices + k);
    reached = hot;
    if (hot <= share) break;
  }
  std::copy(kept.begin(), kept.end(), prices);
  return {Status::ok, unit, reached};
}

template FirstPrices first_prices(const CostSource<float>&, const SizeBounds&, double, double, int, double*);
template FirstPrices first_prices(const CostSource<double>&, const SizeBounds&, double, double, int, double*);

}  // namespace cl
