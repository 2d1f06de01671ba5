// Plain descriptions of arrays that live in Python: no ownership, no checks (bind.hpp checks).
#pragma once
#include <cstddef>
#include <cstdint>

namespace cl {

// A matrix with any strides, counted in elements. Column stride 1 is the fast case.
template <class T>
struct Matrix {
  const T* data = nullptr;
  std::ptrdiff_t rows = 0, cols = 0;
  std::ptrdiff_t row_stride = 0, col_stride = 1;

  const T* row(std::ptrdiff_t i) const { return data + i * row_stride; }
  T at(std::ptrdiff_t i, std::ptrdiff_t j) const { return data[i * row_stride + j * col_stride]; }
  bool contiguous_rows() const { return col_stride == 1; }
};

enum class Metric : int { sqeuclidean = 0, euclidean = 1, cosine = 2, inner_product = 3 };

inline bool is_euclidean(Metric m) { return m == Metric::sqeuclidean || m == Metric::euclidean; }

// What a kernel says about the input it met; the binding turns it into an exception.
enum class Status : int { ok = 0, x_not_finite = 1, y_not_finite = 2 };

}  // namespace cl
