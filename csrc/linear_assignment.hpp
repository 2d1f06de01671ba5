// Registers linear_assignment.
#pragma once
#include <pybind11/pybind11.h>

namespace cl {
void register_linear_assignment(pybind11::module_& m);
}  // namespace cl
