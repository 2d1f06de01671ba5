// Registers cluster_sums.
#pragma once
#include <pybind11/pybind11.h>

namespace cl {
void register_centers(pybind11::module_& m);
}  // namespace cl
