// Registers plsa_step, mixture_weights and tempered_posterior.
#pragma once
#include <pybind11/pybind11.h>

namespace cl {
void register_mixtures(pybind11::module_& m);
}  // namespace cl
