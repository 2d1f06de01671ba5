// Largest magnitude of a block of rows, infinity if a value is not finite. Included inside the
// target's namespace.

template <class T>
double largest_magnitude(const Matrix<T>& X, std::ptrdiff_t begin, std::ptrdiff_t end) {
  constexpr int l = Simd<T>::lanes;
  // v - v is 0, or NaN for NaN and infinity: no branch in the loop.
  Vec<T> top[2] = {}, spoiled[2] = {};
  T most = 0, spoiled_rest = 0;
  for (std::ptrdiff_t i = begin; i < end; ++i) {
    const T* x = X.row(i);
    std::ptrdiff_t p = 0;
    for (; X.contiguous_rows() && p + 2 * l <= X.cols; p += 2 * l)
      for (int q = 0; q < 2; ++q) {
        const Vec<T> v = load(x + p + q * l);
        top[q] = vmax(top[q], vmax(v, -v));
        spoiled[q] += v - v;
      }
    for (; p < X.cols; ++p) {
      const T v = x[p * X.col_stride], size = v < 0 ? -v : v;
      most = most > size ? most : size;
      spoiled_rest += v - v;
    }
  }
  for (int q = 0; q < 2; ++q)
    for (int i = 0; i < l; ++i) {
      most = most > top[q][i] ? most : top[q][i];
      spoiled_rest += spoiled[q][i];
    }
  return spoiled_rest == 0 ? static_cast<double>(most) : __builtin_inf();
}
