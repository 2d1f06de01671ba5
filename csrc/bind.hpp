// From Python arrays to views, and from a status to an exception. Shapes and dtypes are checked by
// clusterlib.kernels before it gets here; what is checked again is what would crash.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

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

inline void raise_if(Status status) {
  if (status == Status::x_not_finite) throw std::invalid_argument("X contains NaN or infinity");
  if (status == Status::y_not_finite) throw std::invalid_argument("Y contains NaN or infinity");
}

}  // namespace cl
