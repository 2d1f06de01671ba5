// Registers hals_sweep and masked_hals_sweep.
#pragma once
#include <pybind11/pybind11.h>

namespace cl {
void register_nonnegative(pybind11::module_& m);
}  // namespace cl
