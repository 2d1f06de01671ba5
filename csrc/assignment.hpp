// Registers capacity_assignment, capacity_assignment_points and priced_argmin.
#pragma once
#include <pybind11/pybind11.h>

namespace cl {
void register_assignment(pybind11::module_& m);
}  // namespace cl
