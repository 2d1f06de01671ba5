#include "pairwise.hpp"

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "bind.hpp"
#include "contiguous_rows.hpp"
#include "targets.hpp"

namespace cl {
namespace {

// Calls f with the views of X and Y in the dtype of X.
template <class F>
void with_matrices(const py::array& X, const py::array& Y, F f) {
  const auto call = [&](auto x, auto y) {
    check_features(x, y);
    f(x, y);
  };
  if (has_dtype<float>(X))
    call(matrix<float>(X, "X"), matrix<float>(Y, "Y"));
  else
    call(matrix<double>(X, "X"), matrix<double>(Y, "Y"));
}

template <class M>
using ItemOf = std::remove_cv_t<std::remove_reference_t<decltype(*std::declval<M>().data)>>;

// Runs a job without the GIL and raises what it says about its input.
template <class Job>
void run(Status (*kernel)(const Job&), const Job& job) {
  Status status = Status::ok;
  if (job.X.rows > 0 && job.Y.rows > 0) {
    py::gil_scoped_release unlock;
    status = kernel(job);
  }
  raise_if(status);
}

void argmin(const py::array& X, const py::array& Y, int metric, py::array labels,
            py::object distances, int n_threads) {
  with_matrices(X, Y, [&](auto x, auto y) {
    using T = ItemOf<decltype(x)>;
    const ContiguousRows<T> rows(y);
    ArgminJob<T> job{x, rows.view, checked_metric(metric),
                     output<std::int32_t>(labels, x.rows, "labels"),
                     optional_output<T>(distances, x.rows, "distances"), n_threads};
    check_apart({}, {labels, distances});  // labels are read again for the distances
    run(active_target().kernels<T>().argmin, job);
  });
}

// labels, upper and lower are read and brought up to date; returns how many rows had bounds and
// how many these kept where they were.
std::pair<std::ptrdiff_t, std::ptrdiff_t> bounded_argmin(const py::array& X, const py::array& Y,
                                                         const py::array& moves, py::array labels,
                                                         py::array upper, py::array lower,
                                                         bool sample, int n_threads) {
  BoundCounts counts;
  with_matrices(X, Y, [&](auto x, auto y) {
    using T = ItemOf<decltype(x)>;
    const ContiguousRows<T> rows(y);
    auto* label = output<std::int32_t>(labels, x.rows, "labels");
    check_indices(label, x.rows, 0, y.rows, "labels", "must be rows of the centers");
    ArgminJob<T> job{x, rows.view, Metric::sqeuclidean, label, nullptr, n_threads};
    job.upper = output<float>(upper, x.rows, "upper");
    job.lower = output<float>(lower, kBoundGroups * x.rows, "lower");
    job.moves = input<float>(moves, y.rows, "moves");
    job.sample = sample;
    check_apart({moves}, {labels, upper, lower});
    job.counts = &counts;
    run(active_target().kernels<T>().argmin, job);
  });
  return {counts.bounded, counts.kept};
}

void topk(const py::array& X, const py::array& Y, int metric, py::array distances,
          py::array indices, int n_threads) {
  with_matrices(X, Y, [&](auto x, auto y) {
    using T = ItemOf<decltype(x)>;
    const ContiguousRows<T> rows(y);
    if (distances.ndim() != 2) refuse("distances", "must be 2-d");
    const std::ptrdiff_t k = distances.shape(1);
    if (k < 1 || k > y.rows) refuse("k", "must be in [1, rows of Y]");
    TopkJob<T> job{x, rows.view, checked_metric(metric), k,
                   output<T>(distances, x.rows * k, "distances"),
                   output<std::int32_t>(indices, x.rows * k, "indices"), n_threads};
    check_apart({}, {distances, indices});
    run(active_target().kernels<T>().topk, job);
  });
}

void distances(const py::array& X, const py::array& Y, int metric, py::array out, int n_threads) {
  with_matrices(X, Y, [&](auto x, auto y) {
    using T = ItemOf<decltype(x)>;
    const ContiguousRows<T> rows(y);
    DistancesJob<T> job{x, rows.view, checked_metric(metric),
                        output<T>(out, x.rows * y.rows, "out"), y.rows, n_threads};
    run(active_target().kernels<T>().distances, job);
  });
}

void threshold(const py::array& X, const py::array& Y, int metric, const py::array& threshold,
               py::array counts, int n_threads) {
  with_matrices(X, Y, [&](auto x, auto y) {
    using T = ItemOf<decltype(x)>;
    const ContiguousRows<T> rows(y);
    ThresholdJob<T> job{x, rows.view, checked_metric(metric),
                        input<double>(threshold, x.rows, "threshold"),
                        output<std::int64_t>(counts, x.rows, "counts"), n_threads};
    std::fill_n(job.counts, x.rows, std::int64_t{0});
    run(active_target().kernels<T>().threshold, job);
  });
}

// Group ids as 32 bits, the width of a float32 lane: as they are when they fit, ranked otherwise.
class Groups {
 public:
  Groups(const std::int64_t* x, std::ptrdiff_t n, const std::int64_t* y, std::ptrdiff_t m) {
    constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
    const auto fits = [](std::int64_t v) { return v >= -most && v <= most; };
    std::vector<std::int64_t> ids;
    if (!std::all_of(x, x + n, fits) || !std::all_of(y, y + m, fits)) {
      ids.assign(x, x + n);
      ids.insert(ids.end(), y, y + m);
      std::sort(ids.begin(), ids.end());
      ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    }
    const auto narrow = [&](std::int64_t v) {
      return static_cast<std::int32_t>(
          ids.empty() ? v : std::lower_bound(ids.begin(), ids.end(), v) - ids.begin());
    };
    x_.resize(static_cast<std::size_t>(n));
    y_.resize(static_cast<std::size_t>(m));
    std::transform(x, x + n, x_.begin(), narrow);
    std::transform(y, y + m, y_.begin(), narrow);
  }
  const std::int32_t* x() const { return x_.data(); }
  const std::int32_t* y() const { return y_.data(); }

 private:
  std::vector<std::int32_t> x_, y_;
};

void logsumexp(const py::array& X, const py::array& Y, int metric,
               const py::array& inverse_temperature, const py::object& log_weight,
               const py::object& x_group, const py::object& y_group, int mask,
               const py::object& values, py::array out, py::object weighted, int n_threads) {
  with_matrices(X, Y, [&](auto x, auto y) {
    using T = ItemOf<decltype(x)>;
    const ContiguousRows<T> rows(y);
    const std::ptrdiff_t n = x.rows, m = y.rows;
    const std::ptrdiff_t q = values.is_none() ? 0 : columns_of(py::cast<py::array>(values), "values");
    const auto* xg = optional_input<std::int64_t>(x_group, n, "x_group");
    const auto* yg = optional_input<std::int64_t>(y_group, m, "y_group");
    if (mask < 0 || mask > 2) refuse("mask", "must be from 0 to 2");
    if (mask != 0 && (xg == nullptr || yg == nullptr)) refuse("mask", "needs both groups");
    const Groups groups(xg, mask != 0 ? n : 0, yg, mask != 0 ? m : 0);
    LogsumexpJob<T> job{x, rows.view, checked_metric(metric),
                        input<double>(inverse_temperature, n, "inverse_temperature"),
                        optional_input<double>(log_weight, m, "log_weight"), groups.x(),
                        groups.y(), mask, optional_input<T>(values, m * q, "values"), q,
                        output<T>(out, n, "out"), optional_output<T>(weighted, n * q, "weighted"),
                        n_threads};
    if ((job.values == nullptr) != (job.weighted == nullptr))
      refuse("weighted", "goes with values");
    std::fill_n(job.out, n, -std::numeric_limits<T>::infinity());  // stays when Y has no rows
    if (job.weighted != nullptr) std::fill_n(job.weighted, n * q, T(0));
    run(active_target().kernels<T>().logsumexp, job);
  });
}

}  // namespace

void register_pairwise(py::module_& m) {
  m.def("pairwise_argmin", &argmin, py::arg("X"), py::arg("Y"), py::arg("metric"),
        py::arg("labels"), py::arg("distances"), py::arg("n_threads"));
  m.def("bounded_argmin", &bounded_argmin, py::arg("X"), py::arg("centers"), py::arg("moves"),
        py::arg("labels"), py::arg("upper"), py::arg("lower"), py::arg("sample"),
        py::arg("n_threads"));
  m.def("pairwise_topk", &topk, py::arg("X"), py::arg("Y"), py::arg("metric"),
        py::arg("distances"), py::arg("indices"), py::arg("n_threads"));
  m.def("pairwise_distances", &distances, py::arg("X"), py::arg("Y"), py::arg("metric"),
        py::arg("out"), py::arg("n_threads"));
  m.def("pairwise_threshold", &threshold, py::arg("X"), py::arg("Y"), py::arg("metric"),
        py::arg("threshold"), py::arg("counts"), py::arg("n_threads"));
  m.def("pairwise_logsumexp", &logsumexp, py::arg("X"), py::arg("Y"), py::arg("metric"),
        py::arg("inverse_temperature"), py::arg("log_weight"), py::arg("x_group"),
        py::arg("y_group"), py::arg("mask"), py::arg("values"), py::arg("out"),
        py::arg("weighted"), py::arg("n_threads"));
}

}  // namespace cl
