// linear_assignment: arrays to a job; the paths are in shortest_paths.hpp, once per instruction set.
#include "linear_assignment.hpp"

#include "bind.hpp"
#include "targets.hpp"

namespace cl {
namespace {

// False once the user wants to stop; only the main thread hears of it.
bool no_signal() {
  py::gil_scoped_acquire lock;
  return PyErr_CheckSignals() == 0;
}

template <class T>
LinearStatus run(const py::array& C, double sign, py::array& columns, py::array& u, py::array& v) {
  const Matrix<T> c = matrix<T>(C, "C");
  if (!c.contiguous_rows() || c.rows > c.cols) refuse("C", "must have contiguous rows and no more rows than columns");
  const LinearJob<T> job{c, sign, output<std::int64_t>(columns, c.rows, "columns"),
                         output<double>(u, c.rows, "u"), output<double>(v, c.cols, "v"), no_signal};
  check_apart({}, {columns, u, v});
  py::gil_scoped_release unlock;
  return active_target().kernels<T>().linear_assignment(job);
}

int linear_assignment(const py::array& C, double sign, py::array columns, py::array u, py::array v) {
  const auto solve = has_dtype<float>(C) ? run<float> : run<double>;
  const LinearStatus status = solve(C, sign, columns, u, v);
  if (status == LinearStatus::interrupted) throw py::error_already_set();
  return static_cast<int>(status);
}

}  // namespace

void register_linear_assignment(py::module_& m) {
  m.def("linear_assignment", &linear_assignment, py::arg("C"), py::arg("sign"), py::arg("columns"),
        py::arg("u"), py::arg("v"));
}

}  // namespace cl
