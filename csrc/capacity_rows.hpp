// What an assignment under capacities does row by row: the cheapest columns of a block of costs,
// float64 costs of chosen pairs, and loads of softened assignments. Included inside the target's
// namespace.

// Distances between a row and chosen rows of Y in the defined float64 evaluation.
template <class T>
void pair_costs(const PairsJob<T>& job) {
  const std::ptrdiff_t d = job.Y.cols;
  char* copy = nullptr;
  const std::size_t bytes = sizeof(T) * static_cast<std::size_t>(d) + 64;
  if (!job.X.contiguous_rows()) copy = static_cast<char*>(__builtin_malloc(bytes));
  const T* x = contiguous_row(job.X, 0, copy);
  const bool squares = is_euclidean(job.metric);
  const double own = job.metric == Metric::cosine ? __builtin_sqrt(exact_sum<false>(x, x, d, 1.0)) : 1.0;
  for (std::ptrdiff_t q = 0; q < job.count; ++q) {
    const std::ptrdiff_t j = job.columns[q];
    const double sum = squares ? exact_sum<true>(x, job.Y.row(j), d, 1.0) : exact_sum<false>(x, job.Y.row(j), d, 1.0);
    double cost = sum;
    if (job.metric == Metric::euclidean) cost = __builtin_sqrt(sum);
    if (job.metric == Metric::inner_product) cost = -sum;
    if (job.metric == Metric::cosine) {
      cost = own > 0 && job.norms[j] > 0 ? 1.0 - sum / job.norms[j] / own : 1.0;
      cost = cost < 0 ? 0.0 : cost > 2 ? 2.0 : cost;
    }
    job.out[q] = cost;
  }
  if (copy != nullptr) __builtin_free(copy);
}

template <class T>
void row_norms(const Matrix<T>& Y, double* norms) {
  for (std::ptrdiff_t j = 0; j < Y.rows; ++j) norms[j] = __builtin_sqrt(exact_sum<false>(Y.row(j), Y.row(j), Y.cols, 1.0));
}

// The smallest value above `smallest`, or that again if it is there twice.
template <class T>
CL_INLINE T second_smallest(const T* values, std::ptrdiff_t padded, T smallest) {
  constexpr int l = Simd<T>::lanes;
  const Vec<T> inf = splat(static_cast<T>(__builtin_inff())), one = splat(smallest);
  Vec<T> low = inf;
  int times = 0;
  for (std::ptrdiff_t c = 0; c < padded; c += l) {
    const Vec<T> value = load(values + c);
    const IVec<T> equal = value == one;
    times += __builtin_popcount(movemask(equal));
    low = vmin(low, equal ? inf : value);
  }
  return times > 1 ? smallest : -max_lanes<T>(-low);
}

// Keeps the columns of each row whose cost + price is within `reach` of the smallest one, the m
// smallest of them at most, in the order of the columns.
template <class T>
void select_candidates(const SelectJob<T>& job) {
  constexpr int l = Simd<T>::lanes;
  const std::ptrdiff_t k = job.k, padded = round_up(k, l);
  const T inf = static_cast<T>(__builtin_inff());
  T* values = job.scratch;  // padded
  T* found = values + padded;
  auto* where = reinterpret_cast<std::int32_t*>(found + k);
  for (std::ptrdiff_t i = 0; i < job.count; ++i) {
    const T* cost = job.costs + i * k;
    Vec<T> low = splat(inf);
    std::ptrdiff_t c = 0;
    for (; c + l <= k; c += l) low = vmin(low, load(cost + c));
    T least = -max_lanes<T>(-low);
    for (; c < k; ++c) least = cost[c] < least ? cost[c] : least;
    const Vec<T> base = splat(least);
    low = splat(inf);
    for (c = 0; c + l <= k; c += l) {
      const Vec<T> value = (load(cost + c) - base) + load(job.prices + c);
      store(values + c, value);
      low = vmin(low, value);
    }
    for (; c < padded; ++c) values[c] = c < k ? (cost[c] - least) + job.prices[c] : inf;
    low = vmin(low, load(values + padded - l));
    const T smallest = -max_lanes<T>(-low);
    T limit = smallest + job.reach;
    if (job.at_least_two) {
      const T second = second_smallest(values, padded, smallest);
      limit = second > limit ? second : limit;
    }
    std::ptrdiff_t count = 0;
    for (c = 0; c < padded; c += l) {
      unsigned mask = movemask(load(values + c) <= splat(limit));
      for (; mask != 0; mask &= mask - 1) {
        const std::ptrdiff_t at = c + __builtin_ctz(mask);
        if (at >= k) break;
        found[count] = values[at];
        where[count++] = static_cast<std::int32_t>(at);
      }
    }
    T bound = count < k ? limit : inf;  // a value beyond it may be as close as rounding lets it
    if (count > job.m) {
      const T next = job.keep(found, where, count, job.m, values);
      bound = next < bound ? next : bound;
      count = job.m;
    }
    job.least[i] = least;
    job.bound[i] = bound;
    job.filled[i] = static_cast<std::int32_t>(count);
    for (std::ptrdiff_t q = 0; q < count; ++q) job.index[i * job.m + q] = where[q];
  }
}

// Loads of exp(-(cost + price) / epsilon), normalised in each row, in units of 2^-30, and what
// they have in common: sum P_a P_b of different columns, for shares above 2^-14.
void soft_loads(const SoftJob& job, std::ptrdiff_t begin, std::ptrdiff_t end, std::int64_t* loads,
                std::int64_t* common, float* scratch) {
  constexpr int l = Simd<float>::lanes;
  constexpr float unit = 0x1p30f, least_share = 0x1p-14f;
  constexpr double cut = 10;  // e^-10 is below what steps can use
  const double scale = -1.4426950408889634 / job.epsilon, near = cut * job.epsilon;
  auto* active = reinterpret_cast<std::int32_t*>(scratch + round_up(job.m, l));
  auto* values = reinterpret_cast<double*>(active + round_up(job.m, 16));
  for (std::ptrdiff_t i = begin; i < end; ++i) {
    const std::int32_t* index = job.index + i * job.m;
    const double* cost = job.cost + i * job.m;
    const std::ptrdiff_t m = job.filled[i];
    double least = __builtin_inf();
    for (std::ptrdiff_t q = 0; q < m; ++q) {
      values[q] = cost[q] + job.prices[index[q]];
      least = values[q] < least ? values[q] : least;
    }
    std::ptrdiff_t count = 0;
    for (std::ptrdiff_t q = 0; q < m; ++q) {
      const double above = values[q] - least;
      scratch[count] = static_cast<float>(above * scale);
      active[count] = index[q];
      count += above < near ? 1 : 0;
    }
    if (count == 1) {
      loads[active[0]] += std::int64_t{1} << 30;
      continue;
    }
    for (std::ptrdiff_t q = count; q < round_up(count, l); ++q) scratch[q] = -200.0f;
    Vec<float> sums = {};
    for (std::ptrdiff_t q = 0; q < count; q += l) {
      const Vec<float> share = exp2_negative(load(scratch + q));
      store(scratch + q, share);
      sums += share;
    }
    float sum = 0;
    for (int lane = 0; lane < l; ++lane) sum += sums[lane];
    const float inverse = 1 / sum;
    for (std::ptrdiff_t q = 0; q < count; ++q) {
      scratch[q] *= inverse;
      loads[active[q]] += static_cast<std::int64_t>(scratch[q] * unit);
    }
    if (common == nullptr) continue;
    for (std::ptrdiff_t a = 1; a < count; ++a) {
      if (scratch[a] < least_share) continue;
      const float scaled = scratch[a] * unit;
      for (std::ptrdiff_t b = 0; b < a; ++b) {
        if (scratch[b] < least_share) continue;
        common[active[a] * job.k + active[b]] += static_cast<std::int64_t>(scaled * scratch[b]);
      }
    }
  }
}
