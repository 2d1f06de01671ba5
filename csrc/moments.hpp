// Registers class_moments.
#pragma once
#include <pybind11/pybind11.h>

namespace cl {
void register_moments(pybind11::module_& m);
}  // namespace cl
