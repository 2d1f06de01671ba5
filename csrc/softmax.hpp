// Registers row_softmax.
#pragma once
#include <pybind11/pybind11.h>

namespace cl {
void register_softmax(pybind11::module_& m);
}  // namespace cl
