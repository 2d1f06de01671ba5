// Costs of an assignment, row by row: a matrix, or distances between rows of X and of Y that are
// calculated when they are asked for and never stored as a whole.
#pragma once
#include <memory>
#include <vector>

#include "targets.hpp"

namespace cl {

// Of a matrix: clusterlib.kernels.assignment.
inline constexpr double kLargestCost = 0x1p900;

template <class T>
class CostSource {
 public:
  CostSource(std::ptrdiff_t rows, std::ptrdiff_t columns) : n(rows), k(columns) {}
  virtual ~CostSource() = default;
  const std::ptrdiff_t n, k;

  // Costs of rows [begin, end), C-ordered, in the arithmetic of T.
  virtual Status block(std::ptrdiff_t begin, std::ptrdiff_t end, T* out, int threads) const = 0;
  // How far a value of `block` may be from the cost, in row i whose smallest value is `least`.
  virtual double error(std::ptrdiff_t i, double least, double value) const = 0;
  // Costs of row i in the defined float64 evaluation.
  virtual void pairs(std::ptrdiff_t i, const std::int32_t* columns, std::ptrdiff_t count,
                     double* out) const = 0;
  // The same for some rows, copied.
  virtual std::unique_ptr<CostSource<T>> sample(const std::vector<std::ptrdiff_t>& rows) const = 0;
};

template <class T>
std::unique_ptr<CostSource<T>> matrix_source(const Matrix<T>& costs);
// Y has contiguous rows.
template <class T>
std::unique_ptr<CostSource<T>> points_source(const Matrix<T>& X, const Matrix<T>& Y, Metric metric);

}  // namespace cl
