// From Python arrays to views, and from a status to an exception. Shapes and dtypes are checked by
// clusterlib.kernels before it gets here; what is checked again is what would crash.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>

#include "views.hpp"

namespace cl {
namespace py = pybind11;

template <class T>
bool has_dtype(const py::array& a) {
  return py::isinstance<py::array_t<T>>(a) &&
         reinterpret_cast<std::uintptr_t>(a.data()) % alignof(T) == 0;
}

[[noreturn]] inline void refuse(const char* name, const char* what) {
  throw std::invalid_argument(std::string(name) + " " + what);
}

// A read-only view of a 2-d array with any strides.
template <class T>
Matrix<T> matrix(const py::array& a, const char* name) {
  if (a.ndim() != 2 || !has_dtype<T>(a)) refuse(name, "must be an aligned 2-d array of the dtype of X");
  const auto item = static_cast<std::ptrdiff_t>(sizeof(T));
  if (a.strides(0) % item || a.strides(1) % item) refuse(name, "has strides that are not whole items");
  Matrix<T> m{static_cast<const T*>(a.data()), a.shape(0), a.shape(1), a.strides(0) / item,
              a.strides(1) / item};
  if (m.cols <= 1) m.col_stride = 1;  // numpy leaves the stride of a single column arbitrary
  return m;
}

// The data of a contiguous output (or input) of a given length.
template <class T>
T* output(py::array& a, std::ptrdiff_t size, const char* name) {
  if (!has_dtype<T>(a) || a.size() != size || !(a.flags() & py::array::c_style) || !a.writeable())
    refuse(name, "must be a writeable C-contiguous array of the agreed size and dtype");
  return static_cast<T*>(a.mutable_data());
}

template <class T>
const T* input(const py::array& a, std::ptrdiff_t size, const char* name) {
  if (!has_dtype<T>(a) || a.size() != size || !(a.flags() & py::array::c_style))
    refuse(name, "must be a C-contiguous array of the agreed size and dtype");
  return static_cast<const T*>(a.data());
}

template <class T>
T* optional_output(py::object& a, std::ptrdiff_t size, const char* name) {
  if (a.is_none()) return nullptr;
  py::array view = py::cast<py::array>(a);
  return output<T>(view, size, name);
}

template <class T>
const T* optional_input(const py::object& a, std::ptrdiff_t size, const char* name) {
  return a.is_none() ? nullptr : input<T>(py::cast<py::array>(a), size, name);
}

inline std::ptrdiff_t columns_of(const py::array& a, const char* name) {
  if (a.ndim() != 2) refuse(name, "must be 2-d");
  return a.shape(1);
}

inline Metric checked_metric(int metric) {
  if (metric < 0 || metric > static_cast<int>(Metric::inner_product)) refuse("metric", "must be from 0 to 3");
  return static_cast<Metric>(metric);
}

// Rows of two matrices are compared feature by feature.
template <class T>
void check_features(const Matrix<T>& X, const Matrix<T>& Y) {
  if (X.cols < 1 || X.cols != Y.cols) refuse("Y", "must have the features of X, at least 1");
}

// Refuses an index outside of [least, bound), in one comparison of 32 bits for each: what is below
// `least` wraps to far above it.
inline void check_indices(const std::int32_t* index, std::ptrdiff_t n, std::int64_t least, std::int64_t bound,
                          const char* name, const char* what = "has an index that is out of range") {
  const std::int64_t count = std::min(bound - least, std::int64_t{1} << 32);
  std::uint32_t outside = count < 1 && n > 0;
  const auto first = static_cast<std::uint32_t>(least), most = static_cast<std::uint32_t>(count - 1);
  for (std::ptrdiff_t i = 0; i < n; ++i) outside |= static_cast<std::uint32_t>(index[i]) - first > most;
  if (outside != 0) refuse(name, what);
}

// Refuses an output in the memory of another one or of an array that is followed as indices or bounds,
// which were in range when they were checked. All are contiguous or None.
inline void check_apart(std::initializer_list<py::handle> followed, std::initializer_list<py::handle> written) {
  const auto share = [](py::handle one, py::handle other) {
    if (one.is_none() || other.is_none()) return false;
    const auto a = py::reinterpret_borrow<py::array>(one), b = py::reinterpret_borrow<py::array>(other);
    const auto first = reinterpret_cast<std::uintptr_t>(a.data()), second = reinterpret_cast<std::uintptr_t>(b.data());
    return first < second + static_cast<std::size_t>(b.nbytes()) && second < first + static_cast<std::size_t>(a.nbytes());
  };
  for (const py::handle* out = written.begin(); out != written.end(); ++out) {
    bool shared = std::any_of(followed.begin(), followed.end(), [&](py::handle x) { return share(x, *out); });
    shared = shared || std::any_of(written.begin(), out, [&](py::handle x) { return share(x, *out); });
    if (shared) refuse("an output", "must not share memory with another one or with indices");
  }
}

inline void raise_if(Status status) {
  if (status == Status::x_not_finite) throw std::invalid_argument("X contains NaN or infinity");
  if (status == Status::y_not_finite) throw std::invalid_argument("Y contains NaN or infinity");
}

}  // namespace cl
