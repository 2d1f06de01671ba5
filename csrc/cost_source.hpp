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

  // Costs of rows [begin, end), C-ordered, in the arithmetic of T: `costs` is set to where they are,
  // which is `room` unless they are stored.
  virtual Status block(std::ptrdiff_t begin, std::ptrdiff_t end, T* room, const T*& costs, int threads) const = 0;
  // How many costs a thread should ask for at once.
  virtual std::ptrdiff_t block_values() const = 0;
  // How far a value of `block` may be from the cost, in row i whose smallest value is `least`.
  virtual double error(std::ptrdiff_t i, double least, double value) const = 0;
  // Costs of row i in the defined float64 evaluation.
  virtual void pairs(std::ptrdiff_t i, const std::int32_t* columns, std::ptrdiff_t count,
                     double* out) const = 0;
  // The same for some rows, copied, or for some columns of this source, which has to outlive that.
  virtual std::unique_ptr<CostSource<T>> sample(const std::vector<std::ptrdiff_t>& rows) const = 0;
  virtual std::unique_ptr<CostSource<T>> part(const std::vector<std::int32_t>& columns) const = 0;
};

template <class T>
std::unique_ptr<CostSource<T>> matrix_source(const Matrix<T>& costs);
// Y has contiguous rows.
template <class T>
std::unique_ptr<CostSource<T>> points_source(const Matrix<T>& X, const Matrix<T>& Y, Metric metric);

}  // namespace cl
