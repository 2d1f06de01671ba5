// What the Sinkhorn operations share: weights and potentials in base 2, and the choice between a
// stored cost and point clouds. Included inside the target's namespace.

// Weights and column potentials of all sides, as the sweep wants them.
template <class T>
class SweepState {
 public:
  SweepState(const SinkhornJob<float>& job, std::ptrdiff_t ld) : SweepState(job.n, job.m, ld, job.sides) { fill(job); }
  SweepState(const SinkhornJob<double>& job, std::ptrdiff_t ld) : SweepState(job.n, job.m, ld, job.sides) { fill(job); }

  // k g in the type of the sweep.
  void set_columns(const double* g) {
    for (std::ptrdiff_t q = 0; q < task.R; ++q)
      for (std::ptrdiff_t j = 0; j < task.ld; ++j) {
        const double value = j < task.m ? g[q * task.m + j] * task.k : -__builtin_inf();
        columns_[q * task.ld + j] = value > static_cast<double>(kNoTerm<T>) ? static_cast<T>(value) : kNoTerm<T>;
      }
  }

  SweepTask<T> task;

 private:
  SweepState(std::ptrdiff_t n, std::ptrdiff_t m, std::ptrdiff_t ld, std::ptrdiff_t R)
      : rows_(sizeof(double) * static_cast<std::size_t>(2 * R * n + 32), 1),
        sums_(sizeof(T) * static_cast<std::size_t>(R * ld), 1),
        columns_(reinterpret_cast<T*>(sums_.slice(0))) {
    task.n = n;
    task.m = m;
    task.ld = ld;
    task.R = R;
  }

  template <class S>
  void fill(const SinkhornJob<S>& job) {
    double* log2_a = reinterpret_cast<double*>(rows_.slice(0));
    double* a = log2_a + task.R * task.n + 16;
    for (std::ptrdiff_t i = 0; i < task.R * task.n; ++i)
      log2_a[i] = job.log_a == nullptr ? 0.0 : job.log_a[i] * kLog2E;
    map_doubles(log2_a, task.R * task.n, a, [](Vec<double> v) { return exp2_any<double>(v); });
    task.log2_a = log2_a;
    task.a = a;
    task.f = job.f;
    task.G = columns_;
    task.k = kLog2E / job.epsilon;
    task.tau_a = job.tau_a;
    task.f_max = job.f_max;
    task.update_f = job.update_f;
    set_columns(job.g);
  }

  Scratch rows_, sums_;
  T* columns_;
};

// Calls use(source, ld) with the cost of the job.
template <class S, class Use>
Status with_points(const SinkhornJob<S>& job, Use use) {
  constexpr int W = Tile<S>::W;
  const Screening<S> screening(job.X, job.Y, job.metric, job.threads);
  if (!screening.setup.finite) return Status::y_not_finite;
  const std::ptrdiff_t ld = round_up(job.m, W), d = job.X.cols;
  const Scratch packed(sizeof(S) * static_cast<std::size_t>(ld * (d + 1) + W * (d + Simd<S>::lanes)), 1);
  S* panels = reinterpret_cast<S*>(packed.slice(0));
  S* side = panels + ld * d;
  const ExactMetric<S> exact{job.Y, job.metric, screening.setup};
  pack_panels(exact, panels, side, side + ld);
  for (std::ptrdiff_t j = 0; j < ld && job.metric == Metric::cosine; ++j)
    for (std::ptrdiff_t p = 0; p < d; ++p) panels[j / W * W * d + p * W + j % W] *= side[j];
  for (std::ptrdiff_t j = 0; j < ld; ++j) side[j] = is_euclidean(job.metric) ? S(-2) * side[j] : S(0);
  double k = kLog2E / job.epsilon;
  for (int i = scale_power(exact); i > 0; --i) k /= static_cast<double>(row_scale(exact));
  int status = 0;
  use(PointsCost<S>{job.X, job.metric, exact, panels, side, static_cast<S>(k), &status}, ld);
  return static_cast<Status>(status);
}

template <class S, class Use>
Status with_cost(const SinkhornJob<S>& job, Use use) {
  if (job.points) return with_points(job, use);
  const double k = (job.scores ? -kLog2E : kLog2E) / job.epsilon;
  if (sizeof(S) == 4 && job.precise)
    use(StoredCost<double, S>{job.X, k}, round_up(job.m, Simd<double>::lanes));
  else
    use(StoredCost<S, S>{job.X, static_cast<S>(k)}, round_up(job.m, Simd<S>::lanes));
  return Status::ok;
}

template <class S>
Status sinkhorn_sweep(const SinkhornJob<S>& job) {
  return with_cost(job, [&](const auto& source, std::ptrdiff_t ld) {
    const SweepState<decltype(source.slope)> state(job, ld);
    sweep(source, state.task, job.threads, job.column_sums);
  });
}

template <class S>
Status sinkhorn_plan(const SinkhornJob<S>& job) {
  return with_cost(job, [&](const auto& source, std::ptrdiff_t ld) {
    SweepState<decltype(source.slope)> state(job, ld);
    state.task.plan = job.plan;
    state.task.plan_item = static_cast<int>(sizeof(S));
    state.task.plan_stride = job.m;
    state.task.row_sums = job.row_sums;
    state.task.row_weight = job.row_weight;
    const bool squares = job.row_weight != nullptr;
    const Scratch sums(sizeof(double) * static_cast<std::size_t>((squares ? 2 : 1) * job.m), 1);
    double* out = reinterpret_cast<double*>(sums.slice(0));
    sweep(source, state.task, job.threads, out);
    for (std::ptrdiff_t j = 0; j < job.m; ++j) {
      job.column_sums[j] = out[j];
      if (squares) job.column_squares[j] = out[job.m + j];
    }
  });
}
