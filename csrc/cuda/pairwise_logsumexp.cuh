// Logarithms of sums of exponentials of distances, and the softmax that belongs to them.
#pragma once
#include "pairwise_distances.cuh"

namespace cl {

// Exponents w_j - b_i D_ij; minus infinity for what a weight or a mask leaves out.
template <class T>
struct Exponent {
  Distance<T> distance;
  const T* inverse_temperature;
  const T* log_weight;  // may be null: zeros
  const long long* x_group;
  const long long* y_group;
  int mask;  // 0: none, 1: the same group, 2: different groups

  CL_DEVICE T operator()(T base_i, T factor_i, T b, T offset_j, T weight, T product) const {
    const T d = distance(base_i, factor_i, offset_j, product);
    // An infinite temperature makes distances void, infinite ones too; so does a weight of zero.
    const T exponent = b > T(0) ? fused(-b, d, weight) : weight;
    return weight > -infinity<T>() ? exponent : weight;
  }
  CL_DEVICE bool allows(long long row, long long column) const {
    return (x_group[row] == y_group[column]) == (mask == 1);
  }
  CL_DEVICE T weight(long long column) const { return log_weight ? log_weight[column] : T(0); }
  CL_DEVICE T offset(long long column) const {
    return distance.offset ? distance.offset[column] : T(0);
  }
};

// What exponents are taken against; an infinite highest one means that nothing is summed, or that
// the sum is infinite anyway.
template <class T>
CL_DEVICE T reference(T highest) {
  return is_finite(highest) ? highest : T(0);
}

// What the rows of a tile need, in shared memory: registers are for the products.
template <class G>
struct RowTerms {
  using T = typename G::Scalar;
  T base[G::BM], factor[G::BM], inverse_temperature[G::BM];

  CL_DEVICE void fill(const Exponent<T>& exponent, long long row0, long long n) {
    fill_rows(base, exponent.distance.base, row0, n);
    fill_rows(factor, exponent.distance.factor, row0, n);
    fill_rows(inverse_temperature, exponent.inverse_temperature, row0, n);
  }
};

// Largest exponent and sum of all against it, of the columns a thread has seen of its rows.
template <class G>
struct LogSum {
  using T = typename G::Scalar;
  T sum[G::TM];
  T (*highest)[G::threads];  // in shared memory: the registers are full
  Exponent<T> exponent;
  RowTerms<G>* terms;
  long long row0, rows, first, end;  // columns [first, end) are swept

  CL_DEVICE void start() {
#pragma unroll
    for (int i = 0; i < G::TM; ++i) top_of(i) = -infinity<T>(), sum[i] = T(0);
  }
  CL_DEVICE T& top_of(int i) { return highest[i][threadIdx.x]; }

  CL_DEVICE void operator()(const T (&acc)[G::TM][G::TN], long long column0) {
    const int width = inside(first + column0, end, G::BN);
    T weight[G::TN], offset[G::TN];
#pragma unroll
    for (int j = 0; j < G::TN; ++j) {
      const int c = G::column(j);
      weight[j] = c < width ? exponent.weight(first + column0 + c) : -infinity<T>();
      offset[j] = c < width ? exponent.offset(first + column0 + c) : T(0);
    }
    const unsigned kept = exponent.mask ? kept_pairs(first + column0, width) : ~0u;
#pragma unroll
    for (int i = 0; i < G::TM; ++i) {
      const int r = G::row(i);
      const T base = terms->base[r], factor = terms->factor[r], b = terms->inverse_temperature[r];
      T exponents[G::TN];
#pragma unroll
      for (int j = 0; j < G::TN; ++j) {
        const T e = exponent(base, factor, b, offset[j], weight[j], acc[i][j]);
        exponents[j] = kept >> (i * G::TN + j) & 1u ? e : -infinity<T>();
      }
      add(i, exponents);
    }
  }

  // One bit for each pair of the thread: groups are compared before registers fill with sums.
  CL_DEVICE unsigned kept_pairs(long long column0, int width) const {
    static_assert(G::TM * G::TN <= 32, "one bit for each pair");
    unsigned kept = 0u;
#pragma unroll 1
    for (int i = 0; i < G::TM; ++i) {
      const long long row = row0 + G::row(i);
#pragma unroll 1
      for (int j = 0; j < G::TN; ++j)
        if (row < rows && G::column(j) < width && exponent.allows(row, column0 + G::column(j)))
          kept |= 1u << (i * G::TN + j);
    }
    return kept;
  }

  CL_DEVICE void add(int i, const T (&exponents)[G::TN]) {
    const T before = top_of(i);
    T top = before;
#pragma unroll
    for (int j = 0; j < G::TN; ++j) top = larger(top, exponents[j]);
    const T against = reference(top);
    T total = top > before ? sum[i] * exponential(before - against) : sum[i];
#pragma unroll
    for (int j = 0; j < G::TN; ++j) total += exponential(exponents[j] - against);
    sum[i] = total;
    top_of(i) = top;
  }

  // The threads of a row of the tile put together what they have seen; both of a pair compute the
  // same, so all of them have the same sum.
  CL_DEVICE void combine(int i) {
    T top = top_of(i);
#pragma unroll
    for (int apart = G::TX / 2; apart > 0; apart /= 2) {
      const T h = __shfl_xor_sync(kFullWarp, top, apart, G::TX);
      const T s = __shfl_xor_sync(kFullWarp, sum[i], apart, G::TX);
      const T joint = larger(top, h);
      sum[i] = rescaled(sum[i], top, joint) + rescaled(s, h, joint);
      top = joint;
    }
    top_of(i) = top;
  }

  static CL_DEVICE T rescaled(T sum, T from, T to) {
    return from == to ? sum : sum * exponential(from - reference(to));
  }
};

// Sums of the columns of one part for a row, columns in parts of `part`, a multiple of a tile:
// highest and sum are (parts, n). Blocks of the same rows follow one another.
template <class G>
__global__ void __launch_bounds__(G::threads, G::resident)
    logsumexp_tiles(const typename G::Scalar* __restrict__ X, long long n, int d,
                    const typename G::Scalar* __restrict__ shift, typename G::Scalar scale,
                    const typename G::Scalar* __restrict__ Y, long long m,
                    const typename G::Scalar* __restrict__ base,
                    const typename G::Scalar* __restrict__ factor,
                    const typename G::Scalar* __restrict__ offset, typename G::Scalar low,
                    typename G::Scalar below, typename G::Scalar high, typename G::Scalar above,
                    int rooted,
                    const typename G::Scalar* __restrict__ inverse_temperature,
                    const typename G::Scalar* __restrict__ log_weight,
                    const long long* __restrict__ x_group, const long long* __restrict__ y_group,
                    int mask, long long part, typename G::Scalar* __restrict__ highest,
                    typename G::Scalar* __restrict__ sum) {
  using T = typename G::Scalar;
  CL_SHARED(RowTerms<G>, terms, [1]);
  CL_SHARED(T, tops, [G::TM][G::threads]);
  const long long parts = (m + part - 1) / part;
  const long long which = static_cast<long long>(blockIdx.x) % parts;
  const long long row0 = static_cast<long long>(blockIdx.x) / parts * G::BM;
  const long long first = which * part, end = first + part < m ? first + part : m;
  LogSum<G> logs;
  logs.exponent = {{base, factor, offset, low, below, high, above, rooted},
                   inverse_temperature,
                   log_weight,
                   x_group,
                   y_group,
                   mask};
  logs.row0 = row0, logs.rows = n, logs.first = first, logs.end = end;
  logs.terms = &terms[0], logs.highest = tops;
  logs.terms->fill(logs.exponent, row0, n);  // the sweep has a barrier before the first use
  logs.start();
  const RowSource<T> rows = {X, n, d, shift, scale};
  const RowSource<T> columns = {Y + first * d, end - first, d, nullptr, T(1)};
  sweep_columns<G>(rows, row0, columns, logs);
#pragma unroll
  for (int i = 0; i < G::TM; ++i) {
    logs.combine(i);
    const long long row = row0 + G::row(i);
    if (speaks_for_row<G>() && row < n) {
      highest[which * n + row] = logs.top_of(i);
      sum[which * n + row] = logs.sum[i];
    }
  }
}

// The logarithm of the sum over all parts, in their order; minus infinity without any.
template <class T>
__global__ void __launch_bounds__(256)
    logsumexp_parts(const T* __restrict__ highest, const T* __restrict__ sum, long long n,
                    long long parts, T* __restrict__ out) {
  const long long row = static_cast<long long>(blockIdx.x) * 256 + threadIdx.x;
  if (row < n) {
    T top = -infinity<T>(), total = T(0);
    for (long long p = 0; p < parts; ++p) top = larger(top, highest[p * n + row]);
    const T against = reference(top);
    for (long long p = 0; p < parts; ++p)
      total += highest[p * n + row] == top
                   ? sum[p * n + row]
                   : sum[p * n + row] * exponential(highest[p * n + row] - against);
    out[row] = logarithm(total) + against;
  }
}

// Softmax of the exponents, rows by columns: one tile for a block. 0 in rows that sum nothing.
template <class G>
__global__ void __launch_bounds__(G::threads, G::resident)
    softmax_tiles(const typename G::Scalar* __restrict__ X, long long n, int d,
                  const typename G::Scalar* __restrict__ shift, typename G::Scalar scale,
                  const typename G::Scalar* __restrict__ Y, long long m,
                  const typename G::Scalar* __restrict__ base,
                  const typename G::Scalar* __restrict__ factor,
                  const typename G::Scalar* __restrict__ offset, typename G::Scalar low,
                  typename G::Scalar below, typename G::Scalar high, typename G::Scalar above,
                  int rooted,
                  const typename G::Scalar* __restrict__ inverse_temperature,
                  const typename G::Scalar* __restrict__ log_weight,
                  const long long* __restrict__ x_group, const long long* __restrict__ y_group,
                  int mask, const typename G::Scalar* __restrict__ lse,
                  typename G::Scalar* __restrict__ out) {
  using T = typename G::Scalar;
  CL_SHARED(T, xs, [G::BM][G::stride]);
  CL_SHARED(T, ys, [G::BN][G::stride]);
  CL_SHARED(RowTerms<G>, terms, [1]);
  CL_SHARED(T, sums, [G::BM]);
  const Exponent<T> exponent = {{base, factor, offset, low, below, high, above, rooted},
                                inverse_temperature,
                                log_weight,
                                x_group,
                                y_group,
                                mask};
  const long long across = (m + G::BN - 1) / G::BN;
  const long long row0 = static_cast<long long>(blockIdx.x) / across * G::BM;
  const long long column0 = static_cast<long long>(blockIdx.x) % across * G::BN;
  terms[0].fill(exponent, row0, n);
  fill_rows(sums, lse, row0, n);
  const RowSource<T> rows = {X, n, d, shift, scale}, columns = {Y, m, d, nullptr, T(1)};
  T acc[G::TM][G::TN];
  multiply_tile<G>(xs, ys, rows, row0, columns, column0, acc);  // its barriers serve the rows too
  const int height = inside(row0, n, G::BM), width = inside(column0, m, G::BN);
  T* const corner = out + row0 * m + column0;
#pragma unroll
  for (int j = 0; j < G::TN; ++j) {
    const int c = G::column(j);
    if (c < width) {
      const T offset_j = exponent.offset(column0 + c), weight_j = exponent.weight(column0 + c);
#pragma unroll
      for (int i = 0; i < G::TM; ++i) {
        const int r = G::row(i);
        if (r < height) {
          T e = exponent(terms[0].base[r], terms[0].factor[r], terms[0].inverse_temperature[r],
                         offset_j, weight_j, acc[i][j]);
          if (mask != 0 && !exponent.allows(row0 + r, column0 + c)) e = -infinity<T>();
          corner[r * m + c] = exponential(e - reference(sums[r]));
        }
      }
    }
  }
}

}  // namespace cl
