// capacity_assignment and priced_argmin: arrays to jobs; the method is in capacity_solve.cpp.
#include "assignment.hpp"

#include <algorithm>
#include <limits>
#include <sstream>

#include "bind.hpp"
#include "capacity_solve.hpp"
#include "contiguous_rows.hpp"

namespace cl {
namespace {

// Lets a signal of Python end a long search: Ctrl-C raises from here.
void look_for_signals() {
  py::gil_scoped_acquire lock;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

struct Outputs {
  const py::array &size_min, &size_max;
  py::array &prices, &labels, &sums;
  int n_threads;
};

// A matrix of costs that the method has refused.
template <class T>
[[noreturn]] void refuse_costs(const Matrix<T>& costs) {
  const double largest = active_target().kernels<T>().largest(costs, 0, costs.rows);
  if (!(largest <= std::numeric_limits<double>::max()))
    throw std::invalid_argument("C contains NaN or infinity; every value must be finite");
  std::ostringstream message;
  message << "C must be at most 2^900 in absolute value, got " << largest << "; divide C by a constant";
  throw std::invalid_argument(message.str());
}

// Sizes that no assignment meets would be searched for without an end.
void check_sizes(const std::int64_t* low, const std::int64_t* high, std::ptrdiff_t n, std::ptrdiff_t k) {
  std::int64_t least = 0, most = 0;
  for (std::ptrdiff_t c = 0; c < k; ++c) {
    if (low[c] < 0 || low[c] > high[c] || high[c] > n + 1) refuse("size_min and size_max", "must rise, from 0 to n + 1");
    // No further than n + 1, that sums of many columns stay in the range.
    least = std::min<std::int64_t>(n + 1, least + low[c]);
    most = std::min<std::int64_t>(n + 1, most + high[c]);
  }
  if (least > n || most < n) refuse("size_min and size_max", "are met by no assignment");
}

template <class T>
std::ptrdiff_t solve(const CostSource<T>& source, const Outputs& out, const Matrix<T>* costs = nullptr) {
  if (source.k < 1) refuse("C", "must have a column");
  const auto* low = input<std::int64_t>(out.size_min, source.k, "size_min");
  const auto* high = input<std::int64_t>(out.size_max, source.k, "size_max");
  check_sizes(low, high, source.n, source.k);
  CapacityJob<T> job{source,
                     {low, high},
                     output<double>(out.prices, source.k, "prices"),
                     output<std::int32_t>(out.labels, source.n, "labels"),
                     output<double>(out.sums, 2, "sums"),
                     out.n_threads,
                     look_for_signals};
  check_apart({out.size_min, out.size_max}, {out.prices, out.labels, out.sums});
  Status status;
  {
    py::gil_scoped_release unlock;
    status = assign_under_capacities(job);
  }
  if (status != Status::ok && costs != nullptr) refuse_costs(*costs);
  raise_if(status);
  return job.n_paths;
}

std::ptrdiff_t capacity_assignment(const py::array& C, const py::array& size_min, const py::array& size_max,
                                   py::array prices, py::array labels, py::array sums, int n_threads) {
  const Outputs out{size_min, size_max, prices, labels, sums, n_threads};
  const auto run = [&](const auto& costs) { return solve(*matrix_source(costs), out, &costs); };
  return has_dtype<float>(C) ? run(matrix<float>(C, "C")) : run(matrix<double>(C, "C"));
}

template <class T, class F>
auto with_points(const py::array& X, const py::array& Y, int metric, F f) {
  const Matrix<T> x = matrix<T>(X, "X");
  const ContiguousRows<T> y(matrix<T>(Y, "Y"));
  check_features(x, y.view);
  if (y.view.rows < 1) refuse("Y", "must have rows");
  return f(*points_source(x, y.view, checked_metric(metric)));
}

std::ptrdiff_t capacity_assignment_points(const py::array& X, const py::array& Y, int metric,
                                          const py::array& size_min, const py::array& size_max, py::array prices,
                                          py::array labels, py::array sums, int n_threads) {
  const Outputs out{size_min, size_max, prices, labels, sums, n_threads};
  const auto run = [&](const auto& source) { return solve(source, out); };
  return has_dtype<float>(X) ? with_points<float>(X, Y, metric, run) : with_points<double>(X, Y, metric, run);
}

void priced_argmin(const py::array& X, const py::array& Y, int metric, const py::array& prices, py::array labels,
                   int n_threads) {
  const auto run = [&](const auto& source) {
    const double* p = input<double>(prices, source.k, "prices");
    auto* label = output<std::int32_t>(labels, source.n, "labels");
    py::gil_scoped_release unlock;
    return assign_at_prices(source, p, label, n_threads);
  };
  raise_if(has_dtype<float>(X) ? with_points<float>(X, Y, metric, run) : with_points<double>(X, Y, metric, run));
}

}  // namespace

void register_assignment(py::module_& m) {
  m.def("capacity_assignment", &capacity_assignment, py::arg("C"), py::arg("size_min"), py::arg("size_max"),
        py::arg("prices"), py::arg("labels"), py::arg("sums"), py::arg("n_threads"));
  m.def("capacity_assignment_points", &capacity_assignment_points, py::arg("X"), py::arg("Y"), py::arg("metric"),
        py::arg("size_min"), py::arg("size_max"), py::arg("prices"), py::arg("labels"), py::arg("sums"),
        py::arg("n_threads"));
  m.def("priced_argmin", &priced_argmin, py::arg("X"), py::arg("Y"), py::arg("metric"), py::arg("prices"),
        py::arg("labels"), py::arg("n_threads"));
}

}  // namespace cl
