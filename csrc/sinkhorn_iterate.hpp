// Sinkhorn iterations: sweeps, each followed by the step of the column potentials. Included inside
// the target's namespace. The error of a step is the mass that it moves; error and dual value are
// by-products of the sweep.

// log2 of sum_i 2^(w_i - k x_i): of the masses that the marginals' penalties see.
inline double penalised_mass(const double* log2_w, const double* x, double k, std::ptrdiff_t n) {
  double most = -__builtin_inf(), sum = 0;
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const double z = log2_w[i] - k * x[i];
    if (log2_w[i] > -__builtin_inf() && z > most) most = z;
  }
  for (std::ptrdiff_t i = 0; i < n; ++i)
    if (log2_w[i] > -__builtin_inf()) sum += exp_of((log2_w[i] - k * x[i] - most) * kLn2);
  return most + log2_of(sum);
}

// <w, x>, or what the penalty makes of it; tau = rho / (rho + epsilon). A weight may be too small
// for a number while its product with the penalty's exponential is not.
inline double dual_term(const double* w, const double* log2_w, const double* x, double tau, double epsilon,
                        std::ptrdiff_t n) {
  double sum = 0;
  if (tau == 0) return sum;
  const double rho = epsilon * tau / (1 - tau);
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    if (log2_w[i] == -__builtin_inf()) continue;
    sum += tau == 1 ? w[i] * x[i] : rho * (w[i] - exp_of(log2_w[i] * kLn2 - x[i] / rho));
  }
  return sum;
}

// log2 of the sum of one column of the plan, in float64 and with its own shift.
template <class S, class Source>
double exact_column(const SinkhornJob<S>& job, const Source& source, const double* f, double g,
                    std::ptrdiff_t j) {
  const double k = kLog2E / job.epsilon;
  double most = -__builtin_inf(), sum = 0;
  for (std::ptrdiff_t i = 0; i < job.n; ++i) {
    if (f[i] == -__builtin_inf()) continue;
    const double z = (f[i] + g - source.cost(i, j)) * k;
    if (z > most) {
      sum = sum * exp_of((most - z) * kLn2) + 1;
      most = z;
    } else {
      sum += exp_of((z - most) * kLn2);
    }
  }
  return most + log2_of(sum);
}

// 2^z, and a large number where that is none.
inline double mass_of(double z) { return exp_of((z < 1000 ? z : 1000) * kLn2); }

template <class S, class Source>
struct ColumnRepair {
  const SinkhornJob<S>* job;
  const Source* source;
  const double *f, *g, *log_b;
  double *sums, *logs;
  double least, most;  // sums outside have lost terms to underflow, or overflowed
};

template <class S, class Source>
bool is_lost(const ColumnRepair<S, Source>& c, std::ptrdiff_t j) {
  return !(c.sums[j] > c.least && c.sums[j] < c.most) && c.log_b[j] > -__builtin_inf();
}

template <class S, class Source>
void repair_columns(void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int) {
  const auto& c = *static_cast<ColumnRepair<S, Source>*>(context);
  for (std::ptrdiff_t j = begin; j < end; ++j)
    if (is_lost(c, j)) {
      c.logs[j] = exact_column(*c.job, *c.source, c.f, c.g[j], j);
      c.sums[j] = mass_of(c.logs[j]);
    }
}

// Both marginals penalised: the translation of f against g that maximises the dual.
template <class S>
void translate(const SinkhornJob<S>& job, const double* log2_a, const double* log2_b, double* f, double* g) {
  const double rho_a = job.epsilon * job.tau_a / (1 - job.tau_a);
  const double rho_b = job.epsilon * job.tau_b / (1 - job.tau_b);
  const double t = rho_a * rho_b / (rho_a + rho_b) * kLn2 *
                   (penalised_mass(log2_a, f, kLog2E / rho_a, job.n) -
                    penalised_mass(log2_b, g, kLog2E / rho_b, job.m));
  for (std::ptrdiff_t i = 0; i < job.n; ++i) f[i] += t;
  for (std::ptrdiff_t j = 0; j < job.m; ++j) g[j] -= t;
}

// Columns of one side after a sweep: logs of the sums, targets of the step, error and dual.
struct ColumnStep {
  double *log2_b, *b, *logs, *step;  // (m) and room for a vector
};

template <class S, class Source>
double plan_step(const SinkhornJob<S>& job, const Source& source, double* sums, const double* log_b,
                 double* f, double* g, const double* a, const double* log2_a, const ColumnStep& c,
                 double* dual) {
  typedef decltype(Source::slope) T;
  map_doubles(sums, job.m, c.logs, [](Vec<double> v) { return log2_any<double>(v); });
  ColumnRepair<S, Source> repair{&job, &source, f, g, log_b, sums, c.logs, sizeof(T) == 4 ? 1e-30 : 1e-280,
                                 sizeof(T) == 4 ? 1e30 : 1e280};
  std::ptrdiff_t lost = 0;
  for (std::ptrdiff_t j = 0; j < job.m; ++j) lost += is_lost(repair, j) ? 1 : 0;
  if (lost > 0)
    parallel_for(job.m, 16, lost < 16 ? 1 : resolve_threads(job.threads, job.m), repair_columns<S, Source>, &repair);
  double mass = 0, error = 0;
  for (std::ptrdiff_t j = 0; j < job.m; ++j) mass += sums[j];
  if (job.tau_a > 0 && job.tau_a < 1 && job.tau_b > 0 && job.tau_b < 1)
    translate(job, log2_a, c.log2_b, f, g);
  *dual = dual_term(a, log2_a, f, job.tau_a, job.epsilon, job.n) +
          dual_term(c.b, c.log2_b, g, job.tau_b, job.epsilon, job.m) - job.epsilon * mass;
  for (std::ptrdiff_t j = 0; j < job.m; ++j) {
    const double target = job.tau_b * (g[j] + job.epsilon * kLn2 * (c.log2_b[j] - c.logs[j]));
    c.step[j] = c.log2_b[j] == -__builtin_inf() ? 0.0 : target - g[j];
  }
  if (job.tau_b == 1) {
    for (std::ptrdiff_t j = 0; j < job.m; ++j) error += __builtin_fabs(sums[j] - c.b[j]);
  } else {
    for (std::ptrdiff_t j = 0; j < job.m; ++j)
      error += c.log2_b[j] == -__builtin_inf()
                   ? 0
                   : __builtin_fabs(mass_of(c.logs[j] + c.step[j] * kLog2E / job.epsilon) - mass_of(c.logs[j]));
  }
  return error;
}

template <class S, class Source, class T>
void iterate(const SinkhornJob<S>& job, const Source& source, SweepState<T>& state) {
  const std::ptrdiff_t m = job.m, R = job.sides, room = round_up(m, 16);
  const Scratch memory(sizeof(double) * static_cast<std::size_t>(R * (4 * room + m + 16)), 1);
  double* columns = reinterpret_cast<double*>(memory.slice(0));
  double* sums = columns + R * 4 * room;
  const auto part = [&](std::ptrdiff_t q) {
    double* base = columns + q * 4 * room;
    return ColumnStep{base, base + room, base + 2 * room, base + 3 * room};
  };
  for (std::ptrdiff_t q = 0; q < R; ++q) {
    const ColumnStep c = part(q);
    for (std::ptrdiff_t j = 0; j < room; ++j)
      c.log2_b[j] = j < m ? job.log_b[q * m + j] * kLog2E : -__builtin_inf();
    map_doubles(c.log2_b, m, c.b, [](Vec<double> v) { return exp2_any<double>(v); });
    for (std::ptrdiff_t j = 0; j < m; ++j)
      if (c.log2_b[j] == -__builtin_inf()) job.g[q * m + j] = -__builtin_inf();
  }
  state.set_columns(job.g);
  const double k = state.task.k;
  for (*job.n_done = 0; *job.n_done < job.n_iters;) {
    sweep(source, state.task, job.threads, sums);
    bool done = true;
    for (std::ptrdiff_t q = 0; q < R; ++q) {
      double* out = job.history + (q * job.n_iters + *job.n_done) * 2;
      out[0] = plan_step(job, source, sums + q * m, job.log_b + q * m, job.f + q * job.n, job.g + q * m,
                         state.task.a + q * job.n, state.task.log2_a + q * job.n, part(q), out + 1);
      done = done && job.tol > 0 && out[0] <= job.tol;
    }
    ++*job.n_done;
    if (done) return;
    for (std::ptrdiff_t q = 0; q < R; ++q) {
      const ColumnStep c = part(q);
      double* g = job.g + q * m;
      // The potential is what the next sweep sees of it, so that its error belongs to it.
      for (std::ptrdiff_t j = 0; j < m; ++j)
        if (c.log2_b[j] > -__builtin_inf()) g[j] = static_cast<double>(static_cast<T>((g[j] + job.relaxation * c.step[j]) * k)) / k;
    }
    state.set_columns(job.g);
  }
}

template <class S>
Status sinkhorn_iterate(const SinkhornJob<S>& job) {
  return with_cost(job, [&](const auto& source, std::ptrdiff_t ld) {
    SweepState<std::remove_const_t<decltype(source.slope)>> state(job, ld);
    iterate(job, source, state);
  });
}
