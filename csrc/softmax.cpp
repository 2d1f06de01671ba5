// row_softmax: arrays become views here, the work is done once per instruction set.
#include "softmax.hpp"

#include "bind.hpp"
#include "targets.hpp"

namespace cl {
namespace {

template <class T>
void run_softmax(const py::array& scores, const py::object& log_weight, py::array& posteriors,
                 py::array& lse, py::object& labels, int n_threads) {
  const Matrix<T> z = matrix<T>(scores, "scores");
  if (z.cols == 0) refuse("scores", "must have a column");
  const SoftmaxJob<T> job{z,
                          optional_input<T>(log_weight, z.cols, "log_weight"),
                          output<T>(posteriors, z.rows * z.cols, "posteriors"),
                          output<T>(lse, z.rows, "lse"),
                          optional_output<std::int32_t>(labels, z.rows, "labels"),
                          n_threads};
  py::gil_scoped_release unlock;
  active_target().kernels<T>().row_softmax(job);
}

void row_softmax(const py::array& scores, const py::object& log_weight, py::array posteriors,
                 py::array lse, py::object labels, int n_threads) {
  const auto run = has_dtype<float>(scores) ? run_softmax<float> : run_softmax<double>;
  run(scores, log_weight, posteriors, lse, labels, n_threads);
}

}  // namespace

void register_softmax(py::module_& m) {
  m.def("row_softmax", &row_softmax, py::arg("scores"), py::arg("log_weight"), py::arg("posteriors"),
        py::arg("lse"), py::arg("labels"), py::arg("n_threads"));
}

}  // namespace cl
