// simplex_projection and simplex_descent: the loop of spectral projected gradients; the passes over
// the rows are in simplex_sweep.hpp, once per instruction set.
#include "simplex.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "bind.hpp"
#include "simplex_problem.hpp"
#include "targets.hpp"

namespace cl {
namespace {

// Constants of the descent: clusterlib.kernels.simplex_constants has the same.
constexpr std::ptrdiff_t kMemory = 10;      // values that a step may not exceed,
constexpr double kSlack = 4;                // but for so many units of rounding
constexpr int kMostBacktracks = 40;
constexpr double kBacktrack = 0.3, kDecrease = 1e-4, kFirstMove = 0.1, kResidual = 0.05;
constexpr double kShortest = 1e-4, kLongest = 1e3, kGrowth = 3, kGrown = 1e2;

template <class T>
class Descent {
 public:
  Descent(const SimplexProblem& problem, const StepJob<T>& job)
      : problem_(problem), job_(job), kernels_(active_target().kernels<T>()),
        sums_(problem.p, problem.r), step_(problem.p, problem.r), next_(problem.p, problem.r),
        value_(problem), next_value_(problem),
        C_(static_cast<std::size_t>(problem.p * problem.r)),
        columns_(static_cast<std::size_t>(5 * problem.r)) {
    job_.C = C_.data();
    job_.keep = columns_.data();
    job_.base = job_.keep + problem.r;
    job_.length = job_.base + problem.r;
    job_.metric = job_.length + problem.r;
    job_.inverse = job_.metric + problem.r;
    job_.scale = static_cast<T>(problem.n);
  }

  void begin(double& length) {
    T* spare = job_.next;
    job_.next = nullptr;
    job_.sums = sums_.values.data();
    kernels_.simplex_sweep(job_);
    job_.next = spare;
    job_.sums = step_.values.data();
    value_.evaluate(problem_, sums_);
    set_gradient();
    past_.push_back(value_.F);
    if (length == 0) {
      set_step(1, false);
      const double steepest = kernels_.steepest(job_);
      length = kFirstMove / std::max(steepest, kFirstMove / kLongest);
    }
  }

  // One iteration; returns the residual.
  double iterate(double& length) {
    double a = length, squared = 0;
    const double rounding = kSlack * static_cast<double>(std::numeric_limits<T>::epsilon()) *
                            (std::abs(value_.F) + std::abs(value_.f));
    const double limit = *std::max_element(past_.begin(), past_.end()) + rounding;
    for (int trial = 0; trial < kMostBacktracks; ++trial) {
      set_step(a, true);
      kernels_.simplex_sweep(job_);
      next_.add_step(sums_, step_, problem_.r);
      next_value_.evaluate(problem_, next_);
      squared = squared_length(problem_, sums_, step_);
      const double needed = kDecrease * squared / (2 * a * static_cast<double>(problem_.n));
      if (next_value_.F <= limit - needed) break;
      a *= kBacktrack;
    }
    const double bend = curvature(problem_, step_, value_, next_value_);
    length = bend > 1e-300 ? std::min(std::max(squared / bend, kShortest), kLongest)
                           : std::min(std::max(kGrowth * a, kShortest), kGrown);
    accept();
    return std::sqrt(squared / static_cast<double>(problem_.n)) / a * kResidual;
  }

  const SimplexValue& value() const { return value_; }
  const SimplexSums& sums() const { return sums_; }
  const T* factor() const { return job_.W; }

 private:
  void accept() {
    T* old = const_cast<T*>(job_.W);
    job_.W = job_.next;
    job_.next = old;
    std::swap(sums_, next_);
    std::swap(value_, next_value_);
    past_.push_back(value_.F);
    if (static_cast<std::ptrdiff_t>(past_.size()) > kMemory) past_.erase(past_.begin());
    set_gradient();
  }

  void set_gradient() {
    const std::ptrdiff_t p = problem_.p, r = problem_.r;
    for (std::ptrdiff_t c = 0; c < r; ++c)
      for (std::ptrdiff_t j = 0; j < p; ++j)
        C_[static_cast<std::size_t>(j * r + c)] = static_cast<T>(value_.C[static_cast<std::size_t>(c * p + j)]);
  }

  // A step of length a, in the metric of the column sizes or in the plain one.
  void set_step(double a, bool scaled) {
    const auto r = static_cast<std::size_t>(problem_.r);
    for (std::size_t c = 0; c < r; ++c) {
      const double metric =
          scaled ? metric_of_column(problem_, sums_, static_cast<std::ptrdiff_t>(c)) : 1.0;
      const double length = a * metric;
      columns_[c] = static_cast<T>(1 - length * value_.slope[c]);
      columns_[r + c] = static_cast<T>(-length * value_.offset[c]);
      columns_[2 * r + c] = static_cast<T>(length);
      columns_[3 * r + c] = static_cast<T>(metric);
      columns_[4 * r + c] = static_cast<T>(1 / metric);
    }
  }

  SimplexProblem problem_;
  StepJob<T> job_;
  const Kernels<T>& kernels_;
  SimplexSums sums_, step_, next_;
  SimplexValue value_, next_value_;
  std::vector<T> C_, columns_;
  std::vector<double> past_;
};

template <class T>
std::ptrdiff_t descend(const SimplexProblem& problem, const StepJob<T>& job, double tol,
                       double* length, double* violation, double* sizes, double* history,
                       std::ptrdiff_t n_iters) {
  Descent<T> descent(problem, job);
  descent.begin(*length);
  if (!std::isfinite(descent.value().F)) return 0;  // numbers that are not are in these sums
  std::ptrdiff_t done = 0;
  while (done < n_iters) {
    const double residual = descent.iterate(*length);
    history[2 * done] = descent.value().f;
    history[2 * done + 1] = residual;
    ++done;
    if (residual < tol) break;
  }
  std::copy_n(descent.value().violation.data(), problem.constraints, violation);
  for (std::ptrdiff_t c = 0; c < problem.r; ++c) sizes[c] = descent.sums().size(c);
  if (descent.factor() != job.W) {
    const std::ptrdiff_t tiles = (job.n + kTileRows - 1) / kTileRows;
    std::copy_n(descent.factor(), tiles * job.r * kTileRows, const_cast<T*>(job.W));
  }
  return done;
}

// Groups that an array of three dimensions has, at least those that are named.
std::ptrdiff_t groups_of(const py::object& terms, std::ptrdiff_t axis, std::ptrdiff_t named) {
  if (terms.is_none()) return named;
  const py::array array = py::cast<py::array>(terms);
  if (array.ndim() != 3 || array.shape(axis) < named)
    refuse("linear and precisions", "must have three dimensions and all groups");
  return array.shape(axis);
}

template <class T>
std::ptrdiff_t run_descent(std::ptrdiff_t n_rows, const py::array& X, py::array& W, py::array& spare,
                           const py::object& linear, const py::object& precisions,
                           const py::array& group, const py::array& constraint,
                           const py::array& target, const py::array& multiplier, double penalty,
                           double tol, py::array& step, py::array& violation, py::array& sizes,
                           py::array& history, int n_threads) {
  if (n_rows < 0 || X.ndim() != 3 || W.ndim() != 3) refuse("X and W", "must be tiles of rows: 3-d arrays");
  const std::ptrdiff_t tiles = (n_rows + kTileRows - 1) / kTileRows, p = X.shape(1), r = W.shape(1);
  const std::int32_t* columns = input<std::int32_t>(group, r, "group");
  const std::int32_t* constraints = input<std::int32_t>(constraint, r, "constraint");
  const std::ptrdiff_t bounds = target.size();
  std::ptrdiff_t groups = 1;
  for (std::ptrdiff_t c = 0; c < r; ++c) {
    if (columns[c] < 0 || constraints[c] < 0 || constraints[c] >= bounds)
      refuse("group and constraint", "must be indices");
    groups = std::max(groups, std::ptrdiff_t{columns[c]} + 1);
  }
  groups = groups_of(linear, 1, groups_of(precisions, 0, groups));  // there may be more than columns name
  const SimplexProblem problem{
      n_rows, p, r, bounds,
      precisions.is_none() ? nullptr
                           : input<double>(py::cast<py::array>(precisions), groups * p * p, "precisions"),
      columns, constraints, input<double>(target, bounds, "target"),
      input<double>(multiplier, bounds, "multiplier"), penalty};
  StepJob<T> job{};
  job.n = n_rows, job.p = p, job.r = r, job.groups = groups;
  job.X = input<T>(X, tiles * p * kTileRows, "X");
  job.W = output<T>(W, tiles * r * kTileRows, "W");
  job.next = output<T>(spare, tiles * r * kTileRows, "spare");
  job.linear = optional_input<T>(linear, tiles * groups * kTileRows, "linear");
  job.group = columns;
  job.threads = n_threads;
  double *length = output<double>(step, 1, "step"), *v = output<double>(violation, bounds, "violation"),
         *s = output<double>(sizes, r, "sizes"), *h = output<double>(history, history.size(), "history");
  const std::ptrdiff_t n_iters = history.size() / 2;
  check_apart({group, constraint}, {W, spare, step, violation, sizes, history});
  py::gil_scoped_release unlock;
  return descend<T>(problem, job, tol, length, v, s, h, n_iters);
}

std::ptrdiff_t simplex_descent(std::ptrdiff_t n_rows, const py::array& X, py::array W, py::array spare,
                               const py::object& linear, const py::object& precisions,
                               const py::array& group, const py::array& constraint,
                               const py::array& target, const py::array& multiplier, double penalty,
                               double tol, py::array step, py::array violation, py::array sizes,
                               py::array history, int n_threads) {
  const auto run = has_dtype<float>(X) ? run_descent<float> : run_descent<double>;
  return run(n_rows, X, W, spare, linear, precisions, group, constraint, target, multiplier, penalty,
             tol, step, violation, sizes, history, n_threads);
}

template <class T>
void run_projection(const py::array& V, py::array& out, int n_threads) {
  const Matrix<T> v = matrix<T>(V, "V");
  const ProjectionJob<T> job{v, output<T>(out, v.rows * v.cols, "out"), n_threads};
  py::gil_scoped_release unlock;
  active_target().kernels<T>().simplex_projection(job);
}

void simplex_projection(const py::array& V, py::array out, int n_threads) {
  if (has_dtype<float>(V))
    run_projection<float>(V, out, n_threads);
  else
    run_projection<double>(V, out, n_threads);
}

}  // namespace

void register_simplex(py::module_& m) {
  m.def("simplex_projection", &simplex_projection, py::arg("V"), py::arg("out"), py::arg("n_threads"));
  m.def("simplex_descent", &simplex_descent, py::arg("n_rows"), py::arg("X"), py::arg("W"),
        py::arg("spare"), py::arg("linear"), py::arg("precisions"), py::arg("group"),
        py::arg("constraint"), py::arg("target"), py::arg("multiplier"), py::arg("penalty"),
        py::arg("tol"), py::arg("step"), py::arg("violation"), py::arg("sizes"), py::arg("history"),
        py::arg("n_threads"));
}

}  // namespace cl
