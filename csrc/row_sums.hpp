// Adds rows to the float64 sums of their clusters in row order: products rounded, then added, so
// that the bits do not depend on the instruction set. Included inside the target's namespace.

template <class T>
void add_rows(const RowSums<T>& job, std::ptrdiff_t begin, std::ptrdiff_t end, double* sums,
              double* weights) {
  const std::ptrdiff_t d = job.X.cols, step = job.X.col_stride;
  for (std::ptrdiff_t i = begin; i < end; ++i) {
    const std::int32_t label = job.labels[i];
    if (label < 0) continue;
    // Rows come from memory and sums from the second-level cache: both are asked for in time.
    if (i + 16 < end && step == 1)
      for (std::ptrdiff_t p = 0; p < d; p += 64 / static_cast<std::ptrdiff_t>(sizeof(T)))
        __builtin_prefetch(job.X.row(i + 16) + p, 0, 2);
    const std::int32_t ahead = i + 2 < end ? job.labels[i + 2] : -1;
    for (std::ptrdiff_t p = 0; ahead >= 0 && p < d && p < 128; p += 8)
      __builtin_prefetch(sums + ahead * d + p, 1);
    const double w = job.weight == nullptr ? 1.0 : job.weight[i];
    double* sum = sums + label * d;
    const T* x = job.X.row(i);
    weights[label] += w;
    if (step == 1 && w == 1.0) {
      std::ptrdiff_t p = 0;
      for (; p + 8 <= d; p += 8) store_eight(sum + p, load_eight(sum + p) + load_eight(x + p));
      for (; p < d; ++p) sum[p] += static_cast<double>(x[p]);
    } else if (step == 1) {
      std::ptrdiff_t p = 0;
      for (; p + 8 <= d; p += 8) {
        store_eight(sum + p, load_eight(sum + p) + load_eight(x + p) * w);
      }
      for (; p < d; ++p) sum[p] += w * static_cast<double>(x[p]);
    } else {
      for (std::ptrdiff_t p = 0; p < d; ++p) sum[p] += w * static_cast<double>(x[p * step]);
    }
  }
}
