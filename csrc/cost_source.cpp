#include "cost_source.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "parallel.hpp"

namespace cl {
namespace {

template <class T>
std::vector<T> gathered(const Matrix<T>& X, const std::vector<std::ptrdiff_t>& rows) {
  std::vector<T> copy(rows.size() * static_cast<std::size_t>(X.cols));
  T* out = copy.data();
  for (const std::ptrdiff_t i : rows)
    for (std::ptrdiff_t p = 0; p < X.cols; ++p) *out++ = X.at(i, p);
  return copy;
}

template <class T>
Matrix<T> whole(const std::vector<T>& data, std::ptrdiff_t columns) {
  return {data.data(), static_cast<std::ptrdiff_t>(data.size()) / columns, columns, columns, 1};
}

template <class T>
class MatrixSource : public CostSource<T> {
 public:
  explicit MatrixSource(const Matrix<T>& costs) : CostSource<T>(costs.rows, costs.cols), costs_(costs) {}
  MatrixSource(std::vector<T> data, std::ptrdiff_t k)
      : CostSource<T>(static_cast<std::ptrdiff_t>(data.size()) / k, k), own_(std::move(data)), costs_(whole(own_, k)) {}

  // Costs that are not finite, or so large that sums could leave the range, are not ok.
  Status block(std::ptrdiff_t begin, std::ptrdiff_t end, T* room, const T*& costs, int) const override {
    const Matrix<T> rows{costs_.data + begin * costs_.row_stride, end - begin, costs_.cols, costs_.row_stride,
                         costs_.col_stride};
    const bool stored = rows.contiguous_rows() && (rows.row_stride == rows.cols || rows.rows == 1);
    for (std::ptrdiff_t i = 0; i < rows.rows && !stored; ++i)
      for (std::ptrdiff_t c = 0; c < rows.cols; ++c) room[i * rows.cols + c] = rows.at(i, c);
    costs = stored ? rows.data : room;
    const bool fine = active_target().kernels<T>().largest(rows, 0, rows.rows) <= kLargestCost;
    return fine ? Status::ok : Status::x_not_finite;
  }
  std::ptrdiff_t block_values() const override { return 1 << 15; }  // read twice: once from the memory
  double error(std::ptrdiff_t, double, double) const override { return 0; }
  void pairs(std::ptrdiff_t i, const std::int32_t* columns, std::ptrdiff_t count, double* out) const override {
    for (std::ptrdiff_t q = 0; q < count; ++q) out[q] = static_cast<double>(costs_.at(i, columns[q]));
  }
  std::unique_ptr<CostSource<T>> sample(const std::vector<std::ptrdiff_t>& rows) const override {
    return std::make_unique<MatrixSource<T>>(gathered(costs_, rows), this->k);
  }
  std::unique_ptr<CostSource<T>> part(const std::vector<std::int32_t>& columns) const override {
    std::vector<T> data;
    data.reserve(static_cast<std::size_t>(this->n) * columns.size());
    for (std::ptrdiff_t i = 0; i < this->n; ++i)
      for (const std::int32_t c : columns) data.push_back(costs_.at(i, c));
    return std::make_unique<MatrixSource<T>>(std::move(data), static_cast<std::ptrdiff_t>(columns.size()));
  }

 private:
  std::vector<T> own_;
  Matrix<T> costs_;
};

template <class T>
class PointsSource : public CostSource<T> {
 public:
  PointsSource(const Matrix<T>& X, const Matrix<T>& Y, Metric metric)
      : CostSource<T>(X.rows, Y.rows), X_(X), Y_(Y), metric_(metric) {
    measure();
  }
  // Of copied rows of X.
  PointsSource(std::vector<T> data, const Matrix<T>& Y, Metric metric)
      : CostSource<T>(static_cast<std::ptrdiff_t>(data.size()) / Y.cols, Y.rows), own_(std::move(data)),
        X_(whole(own_, Y.cols)), Y_(Y), metric_(metric) {
    measure();
  }
  // Of copied rows of Y.
  PointsSource(const Matrix<T>& X, std::vector<T> data, Metric metric)
      : CostSource<T>(X.rows, static_cast<std::ptrdiff_t>(data.size()) / X.cols), own_(std::move(data)), X_(X),
        Y_(whole(own_, X.cols)), metric_(metric) {
    measure();
  }

  Status block(std::ptrdiff_t begin, std::ptrdiff_t end, T* room, const T*& costs, int threads) const override {
    const Matrix<T> rows{X_.data + begin * X_.row_stride, end - begin, X_.cols, X_.row_stride, X_.col_stride};
    costs = room;
    return active_target().kernels<T>().distances({rows, Y_, metric_, room, this->k, threads});
  }
  std::ptrdiff_t block_values() const override { return 1 << 20; }  // Y is packed anew for each block

  // The bounds of clusterlib/kernels/pairwise.py, whose offset s lies in the box of Y: a row is
  // no farther from s than from its nearest row of Y plus the diameter of that box.
  double error(std::ptrdiff_t i, double least, double value) const override {
    const double unit = std::numeric_limits<T>::epsilon() / 2, steps = 4.0 * (X_.cols + 4);
    const double floor = steps * std::numeric_limits<T>::min();
    if (metric_ == Metric::cosine) return steps * unit + floor;
    if (metric_ == Metric::inner_product) return steps * unit * length(i) * largest_ + floor;
    const bool squared = metric_ == Metric::sqeuclidean;
    const double near = squared ? std::sqrt(std::max(least, 0.0)) : least;
    const double reach = 1.01 * near + 2 * diameter_, bound = steps * unit * reach * reach + floor;
    if (squared) return bound;
    return value > 0 ? std::min(std::sqrt(bound), bound / value) + 2 * unit * value : std::sqrt(bound);
  }

  void pairs(std::ptrdiff_t i, const std::int32_t* columns, std::ptrdiff_t count, double* out) const override {
    const Matrix<T> row{X_.data + i * X_.row_stride, 1, X_.cols, X_.row_stride, X_.col_stride};
    active_target().kernels<T>().pair_costs({row, Y_, metric_, norms_.data(), columns, count, out});
  }

  std::unique_ptr<CostSource<T>> sample(const std::vector<std::ptrdiff_t>& rows) const override {
    return std::make_unique<PointsSource<T>>(gathered(X_, rows), Y_, metric_);
  }
  std::unique_ptr<CostSource<T>> part(const std::vector<std::int32_t>& columns) const override {
    const std::vector<std::ptrdiff_t> rows(columns.begin(), columns.end());
    return std::make_unique<PointsSource<T>>(X_, gathered(Y_, rows), metric_);
  }

 private:
  void measure() {
    norms_.resize(static_cast<std::size_t>(Y_.rows));
    double square = 0;
    for (std::ptrdiff_t p = 0; p < Y_.cols; ++p) {
      T low = Y_.at(0, p), high = low;
      for (std::ptrdiff_t j = 1; j < Y_.rows; ++j) {
        low = std::min(low, Y_.at(j, p));
        high = std::max(high, Y_.at(j, p));
      }
      square += (static_cast<double>(high) - low) * (static_cast<double>(high) - low);
    }
    diameter_ = std::sqrt(square);
    active_target().kernels<T>().row_norms(Y_, norms_.data());
    largest_ = *std::max_element(norms_.begin(), norms_.end());
  }
  double length(std::ptrdiff_t i) const {
    double square = 0;
    for (std::ptrdiff_t p = 0; p < X_.cols; ++p) square += static_cast<double>(X_.at(i, p)) * X_.at(i, p);
    return std::sqrt(square);
  }

  std::vector<T> own_;
  Matrix<T> X_, Y_;
  Metric metric_;
  std::vector<double> norms_;
  double diameter_ = 0, largest_ = 0;
};

}  // namespace

template <class T>
std::unique_ptr<CostSource<T>> matrix_source(const Matrix<T>& costs) {
  return std::make_unique<MatrixSource<T>>(costs);
}
template <class T>
std::unique_ptr<CostSource<T>> points_source(const Matrix<T>& X, const Matrix<T>& Y, Metric metric) {
  return std::make_unique<PointsSource<T>>(X, Y, metric);
}

template std::unique_ptr<CostSource<float>> matrix_source(const Matrix<float>&);
template std::unique_ptr<CostSource<double>> matrix_source(const Matrix<double>&);
template std::unique_ptr<CostSource<float>> points_source(const Matrix<float>&, const Matrix<float>&, Metric);
template std::unique_ptr<CostSource<double>> points_source(const Matrix<double>&, const Matrix<double>&, Metric);

}  // namespace cl
