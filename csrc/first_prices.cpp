#include <algorithm>
#include <cmath>

#include <limits>
#include <vector>

#include "capacity_prices.hpp"

namespace cl {
namespace {

constexpr double kHottest = 2.0;   // temperatures: in units of the typical difference,
constexpr double kMostHot = 64;
constexpr double kMostUnits = 1e30;  // that a cost is taken for
constexpr double kGoodHint = 0.2;  // rows in excess, as a share, at prices that are worth starting from
constexpr std::ptrdiff_t kFewCosts = 1 << 20;  // that one thread sweeps over
constexpr double kSpread = 0.2;    // and at least this part of how far the mean cost is from the smallest
constexpr double kCooling = 0.5;
constexpr int kSweeps = 20;        // at one temperature
constexpr double kEnough = 0.02;   // rows in excess, as a share, that end one
constexpr double kStall = 0.9;    // of the excess, left after a sweep: groups of columns that hardly see others
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

// Costs in units, in float32, which is enough to start from.
template <class T>
std::vector<float> in_units(const std::vector<T>& costs, double unit) {
  std::vector<float> scaled(costs.size());
  const double inverse = 1 / unit;
  for (std::size_t i = 0; i < costs.size(); ++i)
    scaled[i] = static_cast<float>(std::min(static_cast<double>(costs[i]) * inverse, kMostUnits));
  return scaled;
}

// Sweeps over the costs of a sample, each of whose rows stands for `weight` rows.
class Sweeps {
 public:
  Sweeps(const float* costs, std::ptrdiff_t n, std::ptrdiff_t k, const SizeBounds& sizes, double weight, int threads)
      : sizes_(sizes), weight_(weight), log_a_(static_cast<std::size_t>(n)), f_(log_a_),
        g_(static_cast<std::size_t>(k)), loads_(g_) {
    job_.X = {costs, n, k, k, 1};
    job_.n = n;
    job_.m = k;
    job_.log_a = log_a_.data();
    job_.f = f_.data();
    job_.g = g_.data();
    job_.f_max = std::numeric_limits<double>::infinity();
    job_.column_sums = loads_.data();
    job_.threads = n * k < kFewCosts ? 1 : threads;
  }

  // Moves prices by `relaxation` steps of Sinkhorn's iteration; returns the share of rows in excess
  // before.
  double sweep(double epsilon, double relaxation, std::vector<double>& prices) {
    job_.epsilon = epsilon;
    for (std::size_t c = 0; c < g_.size(); ++c) g_[c] = -prices[c];
    active_target().kernels<float>().sinkhorn_sweep(job_);
    double moved = 0;
    for (std::size_t c = 0; c < g_.size(); ++c) {
      const double load = weight_ * loads_[c], free = load * std::exp(std::min(prices[c] / epsilon, 600.0));
      const double next = kept_price(free, static_cast<double>(sizes_.low[c]), static_cast<double>(sizes_.high[c]), epsilon);
      moved += std::abs(load * std::expm1(std::clamp((prices[c] - next) / epsilon, -40.0, 1.0)));
      prices[c] += relaxation * (next - prices[c]);
    }
    return moved / (2 * weight_ * static_cast<double>(job_.n));
  }

 private:
  SizeBounds sizes_;
  double weight_;
  std::vector<double> log_a_, f_, g_, loads_;
  SinkhornJob<float> job_;
};

// One temperature; false if it got slow.
bool settle(Sweeps& sweeps, double epsilon, std::vector<double>& prices) {
  double before = std::numeric_limits<double>::infinity();
  for (int it = 0; it < kSweeps; ++it) {
    const double excess = sweeps.sweep(epsilon, kRelaxation, prices);
    if (excess < kEnough) break;
    if (it > 3 && excess > kStall * before) return false;
    before = excess;
  }
  return true;
}

}  // namespace

template <class T>
FirstPrices first_prices(const CostSource<T>& sample, const SizeBounds& sizes, double weight, double share,
                         int threads, double* prices) {
  const std::ptrdiff_t n = sample.n, k = sample.k;
  std::vector<T> costs(static_cast<std::size_t>(n * k));
  const T* stored;
  const Status status = sample.block(0, n, costs.data(), stored, threads);
  if (status != Status::ok) return {status, 0, 0, false};
  if (stored != costs.data()) std::copy(stored, stored + n * k, costs.begin());
  const Spread spread = center_rows(costs.data(), n, k);
  const double unit = spread.unit;
  if (unit == 0) return {status, 0, 0, false};
  const std::vector<float> scaled = in_units(costs, unit);
  Sweeps sweeps(scaled.data(), n, k, sizes, weight, threads);
  std::vector<double> now(static_cast<std::size_t>(k));
  if (std::any_of(prices, prices + k, [](double p) { return p != 0; })) {
    for (std::ptrdiff_t c = 0; c < k; ++c) {
      prices[c] = std::clamp(prices[c], -spread.widest, spread.widest);
      now[static_cast<std::size_t>(c)] = prices[c] / unit;
    }
    if (sweeps.sweep(share, 0, now) < kGoodHint) return {Status::ok, unit, share, true};
    std::fill(now.begin(), now.end(), 0.0);  // a bad hint is worse than none
  }
  double hot = std::max({share, kHottest, std::min(kMostHot, kSpread * spread.whole / unit)}), reached = hot;
  for (;; hot = std::max(share, hot * kCooling)) {
    if (!settle(sweeps, hot, now)) break;
    std::transform(now.begin(), now.end(), prices, [&](double p) { return p * unit; });
    reached = hot;
    if (hot <= share) break;
  }
  return {Status::ok, unit, reached, false};
}

template FirstPrices first_prices(const CostSource<float>&, const SizeBounds&, double, double, int, double*);
template FirstPrices first_prices(const CostSource<double>&, const SizeBounds&, double, double, int, double*);

}  // namespace cl
