#include "screening.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "parallel.hpp"
#include "targets.hpp"

namespace cl {
namespace {

std::atomic<double> screen_bound_factor{1.0};

constexpr std::ptrdiff_t kSample = 255;  // rows looked at for medians and scales
constexpr std::ptrdiff_t kPadding = 64;  // vectors may read past the end of the shift

// Any shift is correct; the median of a sample of Y is one that a few far rows cannot spoil.
template <class T>
void median_shift(const Matrix<T>& Y, std::vector<T>& shift) {
  const std::ptrdiff_t step = std::max<std::ptrdiff_t>(1, (Y.rows + kSample - 1) / kSample);
  std::vector<T> column;
  for (std::ptrdiff_t p = 0; p < Y.cols; ++p) {
    column.clear();
    for (std::ptrdiff_t i = 0; i < Y.rows; i += step) column.push_back(Y.at(i, p));
    auto middle = column.begin() + static_cast<std::ptrdiff_t>(column.size()) / 2;
    std::nth_element(column.begin(), middle, column.end());
    shift[static_cast<std::size_t>(p)] = *middle;
  }
}

// Largest |x - shift| of every `step`-th row; infinity if a value is not finite.
template <class T>
double largest_of_sample(const Matrix<T>& X, const T* shift, std::ptrdiff_t step) {
  T top = 0;
  for (std::ptrdiff_t i = 0; i < X.rows; i += step)
    for (std::ptrdiff_t p = 0; p < X.cols; ++p) {
      const T v = std::fabs(X.at(i, p) - shift[p]);
      if (!std::isfinite(v)) return std::numeric_limits<double>::infinity();
      top = std::max(top, v);
    }
  return static_cast<double>(top);
}

// 2^-e with v * 2^-e in [1/2, 1); 1 for zero. Kept inside the range of T.
template <class T>
T inverse_power(double v) {
  if (!(v > 0) || !std::isfinite(v)) return T(1);
  int e = 0;
  std::frexp(v, &e);
  const int limit = std::numeric_limits<T>::max_exponent - 2;
  return static_cast<T>(std::ldexp(1.0, std::clamp(-e, -limit, limit)));
}

template <class T>
struct LargestJob {
  const Matrix<T>* X;
  std::vector<double>* tops;
  std::ptrdiff_t grain;
};

// Largest magnitude of all of X; infinity if a value is not finite.
template <class T>
double largest(const Matrix<T>& X, int threads) {
  const std::ptrdiff_t grain = 4096;
  std::vector<double> tops(static_cast<std::size_t>((X.rows + grain - 1) / grain), 0.0);
  LargestJob<T> job{&X, &tops, grain};
  parallel_for(X.rows, grain, resolve_threads(threads, static_cast<std::ptrdiff_t>(tops.size())),
               [](void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int) {
                 auto& j = *static_cast<LargestJob<T>*>(context);
                 (*j.tops)[static_cast<std::size_t>(begin / j.grain)] =
                     active_target().kernels<T>().largest(*j.X, begin, end);
               },
               &job);
  return tops.empty() ? 0.0 : *std::max_element(tops.begin(), tops.end());
}

// Power of two that brings the largest value near 1 when float64 squares would overflow or vanish.
double exact_scale_for(double top) {
  if (!std::isfinite(top) || top == 0.0) return 1.0;
  if (top <= std::ldexp(1.0, 500) && top >= std::ldexp(1.0, -450)) return 1.0;
  int e = 0;
  std::frexp(top, &e);
  return std::ldexp(1.0, std::clamp(-e, -1022, 1022));
}

template <class T>
std::vector<double> row_norms(const Matrix<T>& Y, double scale) {
  // The defined sum of exact.hpp, written out once more in scalars.
  std::vector<double> norms(static_cast<std::size_t>(Y.rows));
  for (std::ptrdiff_t i = 0; i < Y.rows; ++i) {
    double s[8] = {};
    for (std::ptrdiff_t p = 0; p < Y.cols; ++p) {
      const double v = static_cast<double>(Y.at(i, p)) * scale;
      s[p % 8] += v * v;
    }
    norms[static_cast<std::size_t>(i)] =
        std::sqrt(((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7])));
  }
  return norms;
}

template <class T>
T kth_largest(T* values, std::ptrdiff_t count, std::ptrdiff_t k) {
  std::nth_element(values, values + (k - 1), values + count, [](T a, T b) { return a > b; });
  return values[k - 1];
}

}  // namespace

float select_kth_largest(float* values, std::ptrdiff_t count, std::ptrdiff_t k) {
  // NaN has no place in an order: it is taken for the lowest, which only lowers the bound.
  for (std::ptrdiff_t i = 0; i < count; ++i)
    if (values[i] != values[i]) values[i] = -std::numeric_limits<float>::infinity();
  return kth_largest(values, count, k);
}

std::int32_t select_kth_largest(std::int32_t* values, std::ptrdiff_t count, std::ptrdiff_t k) {
  return kth_largest(values, count, k);
}

double log2_of(double x) { return std::log2(x); }
double scale_back(double value, double scale, int power) {
  return scale == 1.0 ? value : std::ldexp(value, -power * std::ilogb(scale));
}
double exp_of(double x) { return std::exp(x); }

std::ptrdiff_t keep_nearest(Neighbor* found, std::ptrdiff_t count, std::ptrdiff_t k) {
  const std::ptrdiff_t kept = std::min(count, k);
  std::partial_sort(found, found + kept, found + count, [](const Neighbor& a, const Neighbor& b) {
    return a.value < b.value || (a.value == b.value && a.index < b.index);
  });
  return kept;
}

template <class T>
void exclude_repeats(const Matrix<T>& Y, double* norms) {
  const std::size_t bytes = sizeof(T) * static_cast<std::size_t>(Y.cols);
  std::vector<std::pair<std::uint64_t, std::ptrdiff_t>> rows;
  for (std::ptrdiff_t j = 0; j < Y.rows; ++j) {
    std::uint64_t hash = 0;
    for (std::ptrdiff_t p = 0; p < Y.cols; ++p) {
      std::uint64_t bits = 0;
      std::memcpy(&bits, Y.row(j) + p, sizeof(T));
      hash = (hash ^ bits) * 0x9e3779b97f4a7c15u;
      hash ^= hash >> 29;
    }
    rows.emplace_back(hash, j);
  }
  std::sort(rows.begin(), rows.end());
  // Equal rows stand together unless a collision parts them, which only costs time.
  for (std::size_t i = 1; i < rows.size(); ++i)
    if (rows[i].first == rows[i - 1].first &&
        std::memcmp(Y.row(rows[i].second), Y.row(rows[i - 1].second), bytes) == 0)
      norms[rows[i].second] = std::numeric_limits<double>::infinity();
}

template void exclude_repeats(const Matrix<float>&, double*);
template void exclude_repeats(const Matrix<double>&, double*);

void set_screen_bound_factor(double factor) { screen_bound_factor.store(factor); }

template <class T>
struct Screening<T>::Storage {
  std::vector<T> shift;
  std::vector<double> norms;
};

template <class T>
Screening<T>::Screening(const Matrix<T>& X, const Matrix<T>& Y, Metric metric, int threads)
    : storage_(new Storage) {
  std::vector<T>& shift = storage_->shift;
  shift.assign(static_cast<std::size_t>(Y.cols + kPadding), T(0));
  const std::vector<T> zero = shift;
  const double y_top = largest(Y, threads);
  setup.finite = std::isfinite(y_top);
  setup.shift = shift.data();
  setup.bound_factor = screen_bound_factor.load();
  if (!setup.finite) return;
  if (sizeof(T) == 8)  // float32 values have room in float64: nothing to look for
    setup.exact_scale = exact_scale_for(std::max(y_top, largest(X, threads)));
  // Scales come from samples: they need not be right, only near.
  const auto sampled = [&](const Matrix<T>& M) {
    const std::ptrdiff_t step = std::max<std::ptrdiff_t>(1, (M.rows + kSample - 1) / kSample);
    return largest_of_sample(M, shift.data(), step);
  };
  if (is_euclidean(metric)) {
    median_shift(Y, shift);
    if (!std::isfinite(sampled(Y))) std::copy(zero.begin(), zero.end(), shift.begin());
  }
  const double x_some = sampled(X), y_some = sampled(Y);
  if (is_euclidean(metric)) {
    setup.x_scale = setup.y_scale = inverse_power<T>(y_some > 0 ? y_some : x_some);
  } else {
    setup.x_scale = inverse_power<T>(x_some);
    setup.y_scale = inverse_power<T>(y_top);
  }
  if (metric == Metric::cosine) storage_->norms = row_norms(Y, setup.exact_scale);
  setup.norms = storage_->norms.data();
}

template <class T>
Screening<T>::~Screening() {
  delete storage_;
}

template class Screening<float>;
template class Screening<double>;

}  // namespace cl
