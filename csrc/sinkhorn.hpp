// Registers the Sinkhorn kernels.
#pragma once
#include <pybind11/pybind11.h>

namespace cl {
void register_sinkhorn(pybind11::module_& m);
}  // namespace cl
