// Registers simplex_projection and simplex_descent.
#pragma once
#include <pybind11/pybind11.h>

namespace cl {
void register_simplex(pybind11::module_& m);
}  // namespace cl
