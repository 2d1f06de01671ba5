#include "capacity_prices.hpp"

#include <algorithm>
#include <cmath>


namespace cl {
namespace {

constexpr std::ptrdiff_t kGrain = 1 << 13;
constexpr double kUnit = 0x1p-30;
constexpr double kLongest = 8;      // epsilons that a step may move a price
constexpr double kRidge = 1e-3;     // of the mean curvature: clusters that no soft row looks at
constexpr double kDamping = 0.03;   // of the own curvature: groups of clusters that hardly see others
constexpr int kProducts = 60;       // of the conjugate gradients
constexpr double kAccuracy = 1e-3;  // of a step: its direction is approximate anyway

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

SmoothPrices::SmoothPrices(const SizeBounds& sizes, std::ptrdiff_t n, std::ptrdiff_t k, int threads)
    : sizes_(sizes), n_(n), k_(k), threads_(threads), fixed_(std::equal(sizes.low, sizes.low + k, sizes.high)),
      excess_(static_cast<std::size_t>(k)), curvature_(static_cast<std::size_t>(k * k)),
      diagonal_(static_cast<std::size_t>(k)), step_(static_cast<std::size_t>(k)) {}

// The size that a price asks for: size_max above 0, size_min below, and a slope of 2 epsilon
// between, the derivative of a smoothed dual term.
double SmoothPrices::target(std::ptrdiff_t c, double price, double epsilon) const {
  const auto low = static_cast<double>(sizes_.low[c]), high = static_cast<double>(sizes_.high[c]);
  const double share = std::min(1.0, std::max(0.0, 0.5 + 0.5 * price / epsilon));
  return low + share * (high - low);
}

// Fills excess_, and with `curvature` curvature_ and diagonal_; returns the share of rows in excess.
double SmoothPrices::measure(const Candidates& lists, double epsilon, const double* prices, bool curvature) {
  const int threads = resolve_threads(threads_, (lists.n + kGrain - 1) / kGrain);
  const auto k = static_cast<std::size_t>(k_), workers = static_cast<std::size_t>(threads);
  loads_.assign(workers * k, 0);
  if (curvature) common_.assign(workers * k * k, 0);
  const SoftJob job{lists.m, k_, lists.index.get(), lists.filled.get(), lists.cost.get(), prices, epsilon};
  Scratch scratch(sizeof(double) * static_cast<std::size_t>(2 * lists.m + 64), threads);
  for_rows(lists.n, kGrain, threads, [&](std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
    active_target().soft_loads(job, begin, end, &loads_[static_cast<std::size_t>(worker) * k],
                               curvature ? &common_[static_cast<std::size_t>(worker) * k * k] : nullptr,
                               reinterpret_cast<float*>(scratch.slice(worker)));
  });
  // Integers: their sum is the same in any order.
  const double weight = kUnit * static_cast<double>(n_) / static_cast<double>(lists.n);
  const auto total = [&](const std::vector<std::int64_t>& parts, std::size_t size, std::size_t i) {
    std::int64_t sum = 0;
    for (std::size_t w = 0; w < workers; ++w) sum += parts[w * size + i];
    return weight * static_cast<double>(sum);
  };
  double above = 0;
  for (std::size_t c = 0; c < k; ++c) {
    excess_[c] = total(loads_, k, c) - target(static_cast<std::ptrdiff_t>(c), prices[c], epsilon);
    above += std::abs(excess_[c]);
  }
  for (std::size_t a = 0; curvature && a < k; ++a)  // columns rise along a list: only b < a is there
    for (std::size_t b = 0; b < a; ++b)
      curvature_[a * k + b] = curvature_[b * k + a] = total(common_, k * k, a * k + b) / epsilon;
  return 0.5 * above / static_cast<double>(n_);
}

// (diagonal_ - curvature_) x
void SmoothPrices::multiply(const double* x, double* out) const {
  for (std::ptrdiff_t a = 0; a < k_; ++a) {
    const double* row = &curvature_[static_cast<std::size_t>(a * k_)];
    double sum[4] = {};
    std::ptrdiff_t b = 0;
    for (; b + 4 <= k_; b += 4)
      for (int q = 0; q < 4; ++q) sum[q] += row[b + q] * x[b + q];
    for (; b < k_; ++b) sum[0] += row[b] * x[b];
    out[a] = diagonal_[static_cast<std::size_t>(a)] * x[a] - ((sum[0] + sum[1]) + (sum[2] + sum[3]));
  }
}

// step_ = the Newton step, by conjugate gradients with the diagonal as preconditioner.
void SmoothPrices::solve() {
  const auto k = static_cast<std::size_t>(k_);
  std::vector<double> residual = excess_, direction(k), scaled(k), image(k);
  step_.assign(k, 0.0);
  for (std::size_t c = 0; c < k; ++c) direction[c] = scaled[c] = residual[c] / diagonal_[c];
  double size = dot(residual, scaled);
  const double enough = kAccuracy * kAccuracy * size;
  for (int it = 0; it < kProducts && size > enough; ++it) {
    multiply(direction.data(), image.data());
    const double along = dot(direction, image);
    if (!(along > 0)) break;
    const double length = size / along;
    for (std::size_t c = 0; c < k; ++c) {
      step_[c] += length * direction[c];
      residual[c] -= length * image[c];
      scaled[c] = residual[c] / diagonal_[c];
    }
    const double next = dot(residual, scaled), ratio = next / size;
    for (std::size_t c = 0; c < k; ++c) direction[c] = scaled[c] + ratio * direction[c];
    size = next;
  }
}

double SmoothPrices::improve(const Candidates& lists, double epsilon, int max_steps, double tol, double leash,
                             double* prices) {
  const auto k = static_cast<std::size_t>(k_);
  const std::vector<double>& anchor = lists.references.back();
  std::vector<double> trial(k);
  double excess = measure(lists, epsilon, prices, true);
  for (int it = 0; it < max_steps && excess > tol; ++it) {
    if (it > 0) measure(lists, epsilon, prices, true);
    double trace = 0;
    for (std::size_t a = 0; a < k; ++a) {
      double sum = 0;
      for (std::size_t b = 0; b < k; ++b) sum += curvature_[a * k + b];
      const bool between = std::abs(prices[a]) <= epsilon;
      diagonal_[a] = sum + (between ? static_cast<double>(sizes_.high[a] - sizes_.low[a]) / (2 * epsilon) : 0.0);
      trace += sum;
    }
    const double ridge = kRidge * trace / static_cast<double>(k_) + 1e-9 * static_cast<double>(n_) / epsilon;
    for (double& d : diagonal_) d += kDamping * d + ridge;
    solve();
    if (fixed_) {
      double mean = 0;
      for (const double s : step_) mean += s / static_cast<double>(k_);
      for (double& s : step_) s -= mean;
    }
    for (double& s : step_) s = std::clamp(s, -kLongest * epsilon, kLongest * epsilon);
    double length = 1, reached = excess;
    for (int cut = 0; cut < 2; ++cut, length *= 0.35) {
      for (std::size_t c = 0; c < k; ++c) {
        const double next = prices[c] + length * step_[c];
        trial[c] = std::clamp(next, std::min(prices[c], anchor[c] - leash), std::max(prices[c], anchor[c] + leash));
      }
      reached = measure(lists, epsilon, trial.data(), false);
      if (reached < (1 - 0.2 * length) * excess) break;
    }
    if (!(reached < 0.95 * excess)) break;
    std::copy(trial.begin(), trial.end(), prices);
    excess = reached;
  }
  return excess;
}

}  // namespace cl
