// Bindings of the Sinkhorn kernels; clusterlib/kernels/sinkhorn.py has the contracts.
#include "sinkhorn.hpp"

#include <limits>

#include "bind.hpp"
#include "contiguous_rows.hpp"
#include "targets.hpp"

namespace cl {
namespace {

// Weights and potentials of a job with `sides` right-hand sides.
template <class T>
void set_problem(SinkhornJob<T>& job, double epsilon, const py::array& log_a, py::array& f, py::array& g) {
  if (job.n < 1 && job.m < 1) refuse("the cost", "must have a row or a column");
  job.epsilon = epsilon;
  job.sides = job.n > 0 ? f.size() / job.n : g.size() / job.m;
  if (job.sides < 1 || (job.points && job.sides > 1)) refuse("f", "must be as long as the rows of the cost");
  job.log_a = input<double>(log_a, job.sides * job.n, "log_a");
  job.f = output<double>(f, job.sides * job.n, "f");
}

template <class T>
SinkhornJob<T> stored(const py::array& C) {
  SinkhornJob<T> job;
  job.X = matrix<T>(C, "C");
  job.n = job.X.rows;
  job.m = job.X.cols;
  return job;
}

// f is called with a job whose cost is C.
template <class F>
void with_cost(const py::array& C, F f) {
  if (has_dtype<float>(C))
    f(stored<float>(C));
  else
    f(stored<double>(C));
}

template <class T, class F>
void call_with_points(const py::array& X, const py::array& Y, int metric, F f) {
  const ContiguousRows<T> x(matrix<T>(X, "X")), y(matrix<T>(Y, "Y"));
  SinkhornJob<T> job;
  job.X = x.view;
  job.Y = y.view;
  check_features(job.X, job.Y);
  job.metric = checked_metric(metric);
  job.points = true;
  job.n = x.view.rows;
  job.m = y.view.rows;
  f(job);
}

// f is called with a job whose cost is metric(X_i, Y_j).
template <class F>
void with_points(const py::array& X, const py::array& Y, int metric, F f) {
  if (has_dtype<float>(X))
    call_with_points<float>(X, Y, metric, f);
  else
    call_with_points<double>(X, Y, metric, f);
}

template <class T>
void run(Status (*kernel)(const SinkhornJob<T>&), const SinkhornJob<T>& job) {
  Status status = Status::ok;
  {
    py::gil_scoped_release unlock;
    status = kernel(job);
  }
  raise_if(status);
}

struct SweepOptions {
  double epsilon, tau_a, f_max;
  bool update_f, precise, scores;
  int n_threads;
};

template <class T>
void sweep_job(SinkhornJob<T>& job, const py::array& log_a, py::array& f, const py::array& g,
               py::array& column_sums, const SweepOptions& o) {
  set_problem(job, o.epsilon, log_a, f, column_sums);
  job.g = const_cast<double*>(input<double>(g, job.sides * job.m, "g"));  // a sweep only reads it
  job.tau_a = o.tau_a;
  job.f_max = o.f_max;
  job.update_f = o.update_f;
  job.precise = o.precise;
  job.scores = o.scores;
  job.threads = o.n_threads;
  job.column_sums = output<double>(column_sums, job.sides * job.m, "column_sums");
  run(active_target().kernels<T>().sinkhorn_sweep, job);
}

struct IterateOptions {
  double epsilon, tau_a, tau_b, relaxation, tol;
  std::ptrdiff_t n_iters;
  bool precise;
  int n_threads;
};

template <class T>
std::ptrdiff_t iterate_job(SinkhornJob<T>& job, const py::array& log_a, const py::array& log_b, py::array& f,
                           py::array& g, py::array& history, const IterateOptions& o) {
  set_problem(job, o.epsilon, log_a, f, g);
  job.log_b = input<double>(log_b, job.sides * job.m, "log_b");
  job.g = output<double>(g, job.sides * job.m, "g");
  job.tau_a = o.tau_a;
  job.tau_b = o.tau_b;
  job.f_max = std::numeric_limits<double>::infinity();
  job.relaxation = o.relaxation;
  job.n_iters = o.n_iters;
  job.tol = o.tol;
  job.precise = o.precise;
  job.threads = o.n_threads;
  if (o.n_iters < 0 || o.n_iters > history.size()) refuse("history", "must have a row for each iteration");
  job.history = output<double>(history, job.sides * o.n_iters * 2, "history");
  std::ptrdiff_t done = 0;
  job.n_done = &done;
  run(active_target().kernels<T>().sinkhorn_iterate, job);
  return done;
}

void sinkhorn_sweep(const py::array& C, double epsilon, const py::array& log_a, py::array f, const py::array& g,
                    double tau_a, double f_max, bool update_f, bool precise, bool scores,
                    py::array column_sums, int n_threads) {
  with_cost(C, [&](auto job) {
    sweep_job(job, log_a, f, g, column_sums, {epsilon, tau_a, f_max, update_f, precise, scores, n_threads});
  });
}

void sinkhorn_sweep_points(const py::array& X, const py::array& Y, int metric, double epsilon,
                           const py::array& log_a, py::array f, const py::array& g, double tau_a, double f_max,
                           bool update_f, py::array column_sums, int n_threads) {
  with_points(X, Y, metric, [&](auto job) {
    sweep_job(job, log_a, f, g, column_sums, {epsilon, tau_a, f_max, update_f, false, false, n_threads});
  });
}

std::ptrdiff_t sinkhorn_iterate(const py::array& C, double epsilon, const py::array& log_a,
                                const py::array& log_b, py::array f, py::array g, double tau_a, double tau_b,
                                double relaxation, std::ptrdiff_t n_iters, double tol, bool precise,
                                py::array history, int n_threads) {
  std::ptrdiff_t done = 0;
  with_cost(C, [&](auto job) {
    done = iterate_job(job, log_a, log_b, f, g, history,
                       {epsilon, tau_a, tau_b, relaxation, tol, n_iters, precise, n_threads});
  });
  return done;
}

std::ptrdiff_t sinkhorn_iterate_points(const py::array& X, const py::array& Y, int metric, double epsilon,
                                       const py::array& log_a, const py::array& log_b, py::array f, py::array g,
                                       double tau_a, double tau_b, double relaxation, std::ptrdiff_t n_iters,
                                       double tol, py::array history, int n_threads) {
  std::ptrdiff_t done = 0;
  with_points(X, Y, metric, [&](auto job) {
    done = iterate_job(job, log_a, log_b, f, g, history,
                       {epsilon, tau_a, tau_b, relaxation, tol, n_iters, false, n_threads});
  });
  return done;
}

template <class T>
void plan_job(SinkhornJob<T>& job, double epsilon, const py::object& log_a, py::array& f, const py::array& g,
              const py::object& row_weight, bool precise, bool scores, py::array& out, py::array& row_sums,
              py::array& column_sums, py::object& column_squares, int n_threads) {
  job.epsilon = epsilon;
  job.f_max = std::numeric_limits<double>::infinity();
  job.log_a = optional_input<double>(log_a, job.n, "log_a");
  job.update_f = job.log_a != nullptr;
  job.f = output<double>(f, job.n, "f");
  job.g = const_cast<double*>(input<double>(g, job.m, "g"));  // the plan only reads it
  job.precise = precise;
  job.scores = scores;
  job.threads = n_threads;
  job.plan = output<T>(out, job.n * job.m, "out");
  job.row_sums = output<double>(row_sums, job.n, "row_sums");
  job.column_sums = output<double>(column_sums, job.m, "column_sums");
  job.row_weight = optional_input<double>(row_weight, job.n, "row_weight");
  job.column_squares = optional_output<double>(column_squares, job.m, "column_squares");
  if ((job.row_weight == nullptr) != (job.column_squares == nullptr))
    refuse("column_squares", "goes with row_weight");
  run(active_target().kernels<T>().sinkhorn_plan, job);
}

void sinkhorn_plan(const py::array& C, double epsilon, const py::object& log_a, py::array f, const py::array& g,
                   const py::object& row_weight, bool precise, bool scores, py::array out, py::array row_sums,
                   py::array column_sums, py::object column_squares, int n_threads) {
  with_cost(C, [&](auto job) {
    plan_job(job, epsilon, log_a, f, g, row_weight, precise, scores, out, row_sums, column_sums, column_squares,
             n_threads);
  });
}

template <class T>
void batch_job(const py::array& C, const py::array& epsilon, const py::array& log_a, const py::array& log_b,
               py::array& f, py::array& g, double tau_a, double tau_b, std::ptrdiff_t max_iter, double tol,
               py::array& n_iter, py::array& error, int n_threads) {
  const std::ptrdiff_t B = C.shape(0), p = C.shape(1), q = C.shape(2);
  const BatchJob<T> job{input<T>(C, B * p * q, "C"), B, p, q, input<double>(epsilon, B, "epsilon"),
                        input<double>(log_a, B * p, "log_a"), input<double>(log_b, B * q, "log_b"),
                        output<double>(f, B * p, "f"), output<double>(g, B * q, "g"), tau_a, tau_b, max_iter,
                        tol, output<std::int32_t>(n_iter, B, "n_iter"), output<double>(error, B, "error"),
                        n_threads};
  py::gil_scoped_release unlock;
  active_target().kernels<T>().sinkhorn_batch(job);
}

void sinkhorn_batch(const py::array& C, const py::array& epsilon, const py::array& log_a,
                    const py::array& log_b, py::array f, py::array g, double tau_a, double tau_b,
                    std::ptrdiff_t max_iter, double tol, py::array n_iter, py::array error, int n_threads) {
  if (C.ndim() != 3) refuse("C", "must have three dimensions");
  (has_dtype<float>(C) ? batch_job<float> : batch_job<double>)(C, epsilon, log_a, log_b, f, g, tau_a, tau_b,
                                                               max_iter, tol, n_iter, error, n_threads);
}

template <class T>
std::ptrdiff_t scaling_job(const py::array& K, const py::array& a, const py::array& b, py::array& u,
                           py::array& v, double relaxation, std::ptrdiff_t n_iters, double tol, double limit,
                           py::array& history, int n_threads) {
  std::ptrdiff_t done = 0;
  const Matrix<T> k = matrix<T>(K, "K");
  const ScalingJob<T> job{k, input<double>(a, k.rows, "a"), input<double>(b, k.cols, "b"),
                          output<double>(u, k.rows, "u"), output<double>(v, k.cols, "v"), relaxation, tol,
                          limit, n_iters, output<double>(history, n_iters, "history"), &done, n_threads};
  py::gil_scoped_release unlock;
  active_target().kernels<T>().scaling(job);
  return done;
}

std::ptrdiff_t scaling_iterate(const py::array& K, const py::array& a, const py::array& b, py::array u,
                               py::array v, double relaxation, std::ptrdiff_t n_iters, double tol, double limit,
                               py::array history, int n_threads) {
  const auto call = has_dtype<float>(K) ? scaling_job<float> : scaling_job<double>;
  return call(K, a, b, u, v, relaxation, n_iters, tol, limit, history, n_threads);
}

template <class T>
void gram_job(const py::array& K, const py::array& weight, const py::array& vector, py::array& product,
              int n_threads) {
  const Matrix<T> k = matrix<T>(K, "K");
  const GramJob<T> job{k, input<double>(weight, k.rows, "weight"), input<double>(vector, k.cols, "vector"),
                       output<double>(product, k.cols, "product"), n_threads};
  py::gil_scoped_release unlock;
  active_target().kernels<T>().gram(job);
}

void weighted_gram_product(const py::array& K, const py::array& weight, const py::array& vector,
                           py::array product, int n_threads) {
  (has_dtype<float>(K) ? gram_job<float> : gram_job<double>)(K, weight, vector, product, n_threads);
}

}  // namespace

void register_sinkhorn(py::module_& m) {
  m.def("sinkhorn_sweep", &sinkhorn_sweep, py::arg("C"), py::arg("epsilon"), py::arg("log_a"), py::arg("f"),
        py::arg("g"), py::arg("tau_a"), py::arg("f_max"), py::arg("update_f"), py::arg("precise"), py::arg("scores"),
        py::arg("column_sums"), py::arg("n_threads"));
  m.def("sinkhorn_sweep_points", &sinkhorn_sweep_points, py::arg("X"), py::arg("Y"), py::arg("metric"),
        py::arg("epsilon"), py::arg("log_a"), py::arg("f"), py::arg("g"), py::arg("tau_a"), py::arg("f_max"),
        py::arg("update_f"), py::arg("column_sums"), py::arg("n_threads"));
  m.def("sinkhorn_iterate", &sinkhorn_iterate, py::arg("C"), py::arg("epsilon"), py::arg("log_a"),
        py::arg("log_b"), py::arg("f"), py::arg("g"), py::arg("tau_a"), py::arg("tau_b"), py::arg("relaxation"),
        py::arg("n_iters"), py::arg("tol"), py::arg("precise"), py::arg("history"), py::arg("n_threads"));
  m.def("sinkhorn_iterate_points", &sinkhorn_iterate_points, py::arg("X"), py::arg("Y"), py::arg("metric"),
        py::arg("epsilon"), py::arg("log_a"), py::arg("log_b"), py::arg("f"), py::arg("g"), py::arg("tau_a"),
        py::arg("tau_b"), py::arg("relaxation"), py::arg("n_iters"), py::arg("tol"), py::arg("history"),
        py::arg("n_threads"));
  m.def("sinkhorn_plan", &sinkhorn_plan, py::arg("C"), py::arg("epsilon"), py::arg("log_a"), py::arg("f"),
        py::arg("g"), py::arg("row_weight"), py::arg("precise"), py::arg("scores"), py::arg("out"), py::arg("row_sums"),
        py::arg("column_sums"), py::arg("column_squares"), py::arg("n_threads"));
  m.def("sinkhorn_batch", &sinkhorn_batch, py::arg("C"), py::arg("epsilon"), py::arg("log_a"),
        py::arg("log_b"), py::arg("f"), py::arg("g"), py::arg("tau_a"), py::arg("tau_b"), py::arg("max_iter"),
        py::arg("tol"), py::arg("n_iter"), py::arg("error"), py::arg("n_threads"));
  m.def("scaling_iterate", &scaling_iterate, py::arg("K"), py::arg("a"), py::arg("b"), py::arg("u"),
        py::arg("v"), py::arg("relaxation"), py::arg("n_iters"), py::arg("tol"), py::arg("limit"),
        py::arg("history"), py::arg("n_threads"));
  m.def("weighted_gram_product", &weighted_gram_product, py::arg("K"), py::arg("weight"), py::arg("vector"),
        py::arg("product"), py::arg("n_threads"));
}

}  // namespace cl
