// Table of contents of clusterlib.kernels._native.
#include <pybind11/pybind11.h>

#include <string>
#include <vector>
#include <pybind11/stl.h>

#include "assignment.hpp"
#include "centers.hpp"
#include "linear_assignment.hpp"
#include "mixtures.hpp"
#include "moments.hpp"
#include "nonnegative.hpp"
#include "pairwise.hpp"
#include "parallel.hpp"
#include "screening.hpp"
#include "simplex.hpp"
#include "sinkhorn.hpp"
#include "softmax.hpp"
#include "targets.hpp"

namespace py = pybind11;

namespace {

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const cl::Target* t : {cl::baseline_target(), cl::avx2_target(), cl::neon_target(),
                              cl::avx512_target(), cl::avx512_vnni_target()})
    if (t != nullptr) names.emplace_back(t->name);
  return names;
}

void set_isa(const std::string& name) {
  if (!cl::set_active_target(name.c_str()))
    throw py::value_error("name must be one of available_isas(); got '" + name + "'");
}

}  // namespace

PYBIND11_MODULE(_native, m, py::mod_gil_not_used()) {
  m.doc() = "Native kernels; called through clusterlib.kernels, which checks the arguments.";
  cl::register_pairwise(m);
  cl::register_centers(m);
  cl::register_moments(m);
  cl::register_softmax(m);
  cl::register_sinkhorn(m);
  cl::register_simplex(m);
  cl::register_mixtures(m);
  cl::register_nonnegative(m);
  cl::register_linear_assignment(m);
  cl::register_assignment(m);
  m.def("isa", [] { return std::string(cl::active_target().name); });
  m.def("available_isas", &available_isas);
  m.def("set_isa", &set_isa, py::arg("name"));
  // For the tests: a bound made too small must show wrong labels.
  m.def("set_screen_bound_factor", &cl::set_screen_bound_factor, py::arg("factor"));
  m.def("openmp", &cl::has_openmp);
  m.def("max_threads", &cl::max_threads);
}
