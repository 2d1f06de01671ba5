// Registers the pairwise operations.
#pragma once
#include <pybind11/pybind11.h>

namespace cl {
void register_pairwise(pybind11::module_& m);
}  // namespace cl
