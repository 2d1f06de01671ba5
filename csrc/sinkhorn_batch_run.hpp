// The iterations of a batch, and what unbalanced problems need besides. Included inside the
// target's namespace after sinkhorn_batch.hpp.

// log2 of the mass that a penalty sees: sum_c w_c 2^(-x_c / rho), rho in units of
// epsilon.
template <class T>
CL_INLINE Vec<T> lane_penalised_mass(const T* log2_w, const T* zero_w, const T* x,
                                     std::ptrdiff_t count, Vec<T> inverse_rho) {
  constexpr int l = Simd<T>::lanes;
  const Vec<T> zero = {};
  Vec<T> most = splat(kNoTerm<T>), sum = {};
  const auto exponent = [&](std::ptrdiff_t c) {
    const Vec<T> z = load(log2_w + c * l) - load(x + c * l) * inverse_rho;
    return load(zero_w + c * l) > zero ? splat(kNoTerm<T>) : z;
  };
  for (std::ptrdiff_t c = 0; c < count; ++c) most = vmax(most, exponent(c));
  for (std::ptrdiff_t c = 0; c < count; ++c) sum += exp2_negative(exponent(c) - most);
  return most + log2_any<T>(sum);
}

// The translation of the potentials of a lane that maximises the dual: row + t, column - t.
template <class T>
Vec<T> lane_translation(const BatchLanes<T>& c, double tau_a, double tau_b) {
  const double rho_a = tau_a / (1 - tau_a), rho_b = tau_b / (1 - tau_b);
  const Vec<T> rows = lane_penalised_mass(c.log2_a, c.a_zero, c.row, c.p, splat(static_cast<T>(1 / rho_a)));
  const Vec<T> columns = lane_penalised_mass(c.log2_b, c.b_zero, c.column, c.q, splat(static_cast<T>(1 / rho_b)));
  return splat(static_cast<T>(rho_a * rho_b / (rho_a + rho_b))) * (rows - columns);
}

// One iteration with KL penalties: tau = rho / (rho + epsilon) damps each update. r holds K v.
template <class T>
IVec<T> unbalanced_iteration(const BatchLanes<T>& c, IVec<T> frozen, Vec<T>& error, double tau_a, double tau_b) {
  constexpr int l = Simd<T>::lanes;
  const Vec<T> zero = {}, none = splat(kNoTerm<T>), most = splat(kMostExponent<T>);
  const Vec<T> damp_a = splat(static_cast<T>(tau_a)), damp_b = splat(static_cast<T>(tau_b));
  for (std::ptrdiff_t i = 0; i < c.p; ++i) {
    const Vec<T> row = damp_a * (load(c.log2_a + i * l) - log2_any<T>(load(c.r + i * l)) + load(c.F + i * l));
    blend<T>(c.row + i * l, ~frozen, load(c.a_zero + i * l) > zero ? none : row);
  }
  const bool both = tau_a > 0 && tau_a < 1 && tau_b > 0 && tau_b < 1;
  const Vec<T> t = both ? (frozen ? zero : lane_translation(c, tau_a, tau_b)) : zero;
  IVec<T> lost = {};
  for (std::ptrdiff_t i = 0; i < c.p; ++i) {
    const Vec<T> row = vmax(load(c.row + i * l) + t, none);
    const Vec<T> u = exp2_any<T>(vmin(row - load(c.F + i * l), most));
    lost |= (load(c.a_zero + i * l) == zero) & out_of_safe_range<T>(u);
    store(c.row + i * l, row);
    store(c.u + i * l, load(c.a_zero + i * l) > zero ? zero : u);
  }
  error = zero;
  for (std::ptrdiff_t j = 0; j < c.q; ++j) {
    Vec<T> s = load(c.b_zero + j * l);
    for (std::ptrdiff_t i = 0; i < c.p; ++i)
      s = fma(load(c.K + (j * c.p + i) * l), load(c.u + i * l), s);
    const IVec<T> absent = load(c.b_zero + j * l) > zero, bad = out_of_safe_range<T>(s);
    s = bad ? splat(T(1)) : s;  // a lost sum is stepped in the log domain afterwards
    const Vec<T> G = load(c.G + j * l), column = vmax(load(c.column + j * l) - t, none);
    const Vec<T> target = damp_b * (load(c.log2_b + j * l) - log2_any<T>(s) + G);
    const Vec<T> next = exp2_any<T>(vmin(target - G, most));
    const Vec<T> moved = (next - exp2_any<T>(vmin(column - G, most))) * s;
    error += absent ? zero : vmax(moved, -moved);
    lost |= ~absent & (bad | out_of_safe_range<T>(next));
    store(c.column + j * l, column);
    store(c.target + j * l, absent ? none : target);
    store(c.v_new + j * l, absent ? zero : next);
  }
  return lost;
}

// Reads the problems of the lanes: costs in base 2, weights, potentials. Lanes past the end repeat
// the last problem.
template <class T>
void read_lanes(const BatchJob<T>& job, std::ptrdiff_t first, const BatchLanes<T>& c) {
  constexpr int l = Simd<T>::lanes;
  const std::ptrdiff_t p = c.p, q = c.q;
  for (int lane = 0; lane < l; ++lane) {
    const std::ptrdiff_t e = first + lane < job.batch ? first + lane : job.batch - 1;
    const double k = kLog2E / job.epsilon[e];
    const T slope = static_cast<T>(k), *C = job.C + e * p * q;
    for (std::ptrdiff_t i = 0; i < p; ++i)
      for (std::ptrdiff_t j = 0; j < q; ++j) c.cost[(j * p + i) * l + lane] = C[i * q + j] * slope;
    const auto read = [&](const double* log_w, std::ptrdiff_t count, T* w, T* log2_w, T* zero) {
      for (std::ptrdiff_t i = 0; i < count; ++i) {
        const double log2 = log_w[i] * kLog2E;
        const bool absent = !(log2 > static_cast<double>(kNoTerm<T>));
        log2_w[i * l + lane] = absent ? kNoTerm<T> : static_cast<T>(log2);
        w[i * l + lane] = absent ? T(0) : static_cast<T>(exp_of(log_w[i]));
        zero[i * l + lane] = absent ? T(1) : T(0);
      }
    };
    read(job.log_a + e * p, p, c.a, c.log2_a, c.a_zero);
    read(job.log_b + e * q, q, c.b, c.log2_b, c.b_zero);
    for (std::ptrdiff_t i = 0; i < p; ++i) {
      c.F[i * l + lane] = c.row[i * l + lane] = T(0);
      c.u[i * l + lane] = T(1) - c.a_zero[i * l + lane];
    }
    for (std::ptrdiff_t j = 0; j < q; ++j) {
      const double G = job.g[e * q + j] * k;
      const bool absent = c.b_zero[j * l + lane] > 0 || !(G > static_cast<double>(kNoTerm<T>));
      c.G[j * l + lane] = absent ? kNoTerm<T> : static_cast<T>(G);
      c.column[j * l + lane] = c.G[j * l + lane];
      c.v[j * l + lane] = T(1) - c.b_zero[j * l + lane];
    }
  }
}

// (potential + log2 scaling, if there is one) / k, -inf without weight, for the lanes that hold a problem.
template <class T>
void write_potentials(const BatchJob<T>& job, std::ptrdiff_t first, const T* potential, const T* scaling,
                      const T* absent, std::ptrdiff_t count, double* out) {
  constexpr int l = Simd<T>::lanes;
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const Vec<T> log2 = scaling == nullptr ? Vec<T>{} : log2_any<T>(load(scaling + i * l));
    for (int lane = 0; lane < l && first + lane < job.batch; ++lane) {
      const double unit = job.epsilon[first + lane] * kLn2;
      const double value = static_cast<double>(potential[i * l + lane]) + static_cast<double>(log2[lane]);
      out[(first + lane) * count + i] = absent[i * l + lane] > 0 ? -__builtin_inf() : value * unit;
    }
  }
}

template <class T>
IVec<T> unsafe_rows(const BatchLanes<T>& c) {
  constexpr int l = Simd<T>::lanes;
  IVec<T> lost = {};
  for (std::ptrdiff_t i = 0; i < c.p; ++i) lost |= out_of_safe_range<T>(load(c.r + i * l));
  return lost;
}

template <class T>
void iterate_lanes(const BatchJob<T>& job, std::ptrdiff_t first, BatchLanes<T>& c) {
  constexpr int l = Simd<T>::lanes;
  const bool balanced = job.tau_a == 1 && job.tau_b == 1;
  const Vec<T> tol = splat(static_cast<T>(job.tol)), damp_b = splat(static_cast<T>(job.tau_b));
  IVec<T> frozen = {}, anew = isplat<T>(-1);
  Vec<T> error = splat(T(0));
  for (std::ptrdiff_t t = 1; t <= job.max_iter && any<T>(~frozen); ++t) {
    if (any<T>(anew)) {
      rebuild(c, anew);
      sum_rows(c);
    }
    const IVec<T> live = ~frozen;
    Vec<T> now;
    const IVec<T> lost = (balanced ? balanced_iteration(c, frozen, now)
                                   : unbalanced_iteration(c, frozen, now, job.tau_a, job.tau_b)) & live;
    const IVec<T> done = live & (now <= tol) & (tol > splat(T(0)));
    for (int lane = 0; lane < l && first + lane < job.batch; ++lane)
      if (live[lane] != 0) job.n_iter[first + lane] = static_cast<std::int32_t>(t);
    frozen |= done;
    anew = lost & ~done;
    if (any<T>(anew)) {
      absorb(c, anew, balanced);
      now = anew ? step_columns(c, anew, damp_b) : now;
    }
    for (std::ptrdiff_t j = 0; j < c.q && (any<T>(done | anew) || !balanced); ++j) {
      blend<T>(c.v_new + j * l, frozen | anew, load(c.v + j * l));
      const Vec<T> target = anew ? load(c.G + j * l) : load(c.target + j * l);
      if (!balanced) blend<T>(c.column + j * l, ~frozen, target);
    }
    error = live ? now : error;
    T* old = c.v;
    c.v = c.v_new;
    c.v_new = old;
    if (!balanced) sum_rows(c);
    const IVec<T> unsafe = unsafe_rows(c) & ~frozen & ~anew;
    if (any<T>(unsafe)) absorb(c, unsafe, balanced);
    anew |= unsafe;
  }
  for (int lane = 0; lane < l && first + lane < job.batch; ++lane)
    job.error[first + lane] = static_cast<double>(error[lane]);
  write_potentials(job, first, balanced ? c.F : c.row, balanced ? c.u : nullptr, c.a_zero, c.p, job.f);
  write_potentials(job, first, balanced ? c.G : c.column, balanced ? c.v : nullptr, c.b_zero, c.q, job.g);
}

template <class T>
struct BatchContext {
  const BatchJob<T>* job;
  Scratch* scratch;
};

template <class T>
void batch_body(void* context, std::ptrdiff_t begin, std::ptrdiff_t, int worker) {
  const auto& c = *static_cast<BatchContext<T>*>(context);
  BatchLanes<T> lanes(c.scratch->slice(worker), c.job->p, c.job->q);
  read_lanes(*c.job, begin, lanes);
  iterate_lanes(*c.job, begin, lanes);
}

template <class T>
void sinkhorn_batch(const BatchJob<T>& job) {
  constexpr int l = Simd<T>::lanes;
  const int threads = resolve_threads(job.threads, (job.batch + l - 1) / l);
  Scratch scratch(BatchLanes<T>(nullptr, job.p, job.q).size, threads);
  BatchContext<T> c{&job, &scratch};
  parallel_for(job.batch, l, threads, batch_body<T>, &c);
}
