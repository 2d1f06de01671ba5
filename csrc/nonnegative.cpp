// hals_sweep and masked_hals_sweep: arrays to jobs; the sweeps are in hals_sweep.hpp and
// masked_hals.hpp, once per instruction set.
#include "nonnegative.hpp"

#include <algorithm>
#include <vector>

#include "bind.hpp"
#include "targets.hpp"

namespace cl {
namespace {

template <class T>
void run_hals(py::array& W, const py::array& R, const py::array& G, py::array& moves, int n_threads) {
  const Matrix<T> r = matrix<T>(R, "R");
  const std::ptrdiff_t n_sweeps = moves.size();
  const HalsJob<T> job{r.rows, r.cols, output<T>(W, r.rows * r.cols, "W"), r,
                       input<double>(G, r.cols * r.cols, "G"), n_sweeps,
                       output<double>(moves, n_sweeps, "moves"), n_threads};
  py::gil_scoped_release unlock;
  active_target().kernels<T>().hals_sweep(job);
}

void hals_sweep(py::array W, const py::array& R, const py::array& G, py::array moves, int n_threads) {
  const auto run = has_dtype<float>(W) ? run_hals<float> : run_hals<double>;
  run(W, R, G, moves, n_threads);
}

template <class T>
void run_masked_hals(py::array& W, const py::array& X, const py::array& V, const py::array& H, double l1,
                     double l2, py::array& moves, py::array& loss, int n_threads) {
  const Matrix<T> x = matrix<T>(X, "X"), v = matrix<T>(V, "V");
  if (v.rows != x.rows || v.cols != x.cols) refuse("V", "must have the shape of X");
  if (H.ndim() != 2) refuse("H", "must be a 2-d array");
  const std::ptrdiff_t k = H.shape(0), n_sweeps = moves.size();
  if (k < 1 || n_sweeps < 1) refuse("H and moves", "must have at least 1 row");
  double *out = output<double>(moves, n_sweeps, "moves"), *sum = output<double>(loss, 1, "loss");
  std::vector<double> sums(static_cast<std::size_t>(1 + n_sweeps));
  const MaskedHalsJob<T> job{x.rows, k, output<T>(W, x.rows * k, "W"), x, v,
                             input<T>(H, k * x.cols, "H"), l1, l2, n_sweeps, sums.data(), n_threads};
  py::gil_scoped_release unlock;
  active_target().kernels<T>().masked_hals(job);
  *sum = sums[0];
  std::copy_n(sums.data() + 1, n_sweeps, out);
}

void masked_hals_sweep(py::array W, const py::array& X, const py::array& V, const py::array& H, double l1,
                       double l2, py::array moves, py::array loss, int n_threads) {
  const auto run = has_dtype<float>(W) ? run_masked_hals<float> : run_masked_hals<double>;
  run(W, X, V, H, l1, l2, moves, loss, n_threads);
}

}  // namespace

void register_nonnegative(py::module_& m) {
  m.def("hals_sweep", &hals_sweep, py::arg("W"), py::arg("R"), py::arg("G"), py::arg("moves"),
        py::arg("n_threads"));
  m.def("masked_hals_sweep", &masked_hals_sweep, py::arg("W"), py::arg("X"), py::arg("V"), py::arg("H"),
        py::arg("l1"), py::arg("l2"), py::arg("moves"), py::arg("loss"), py::arg("n_threads"));
}

}  // namespace cl
