// Rows with contiguous features: the matrix itself, or a copy of it.
#pragma once
#include <vector>

#include "views.hpp"

namespace cl {

// Rows of Y are read again and again by the float64 decision: they must be contiguous, and are
// copied when they are not.
template <class T>
class ContiguousRows {
 public:
  explicit ContiguousRows(const Matrix<T>& Y) : view(Y) {
    if (Y.contiguous_rows()) return;
    copy_.resize(static_cast<std::size_t>(Y.rows * Y.cols));
    for (std::ptrdiff_t i = 0; i < Y.rows; ++i)
      for (std::ptrdiff_t p = 0; p < Y.cols; ++p)
        copy_[static_cast<std::size_t>(i * Y.cols + p)] = Y.at(i, p);
    view = {copy_.data(), Y.rows, Y.cols, Y.cols, 1};
  }
  Matrix<T> view;

 private:
  std::vector<T> copy_;
};

}  // namespace cl
