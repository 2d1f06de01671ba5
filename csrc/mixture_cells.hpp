// One cell of a mixture at a time, safe for numbers of any size: what the vector code leaves to it
// is cells whose products come near the ends of the range. Included inside the target's namespace.

template <class T>
inline double largest_entry(const T* x, std::ptrdiff_t k) {
  double most = 0;
  for (std::ptrdiff_t t = 0; t < k; ++t) most = x[t] > most ? static_cast<double>(x[t]) : most;
  return most;
}

// p = left * right, normalised; uniform if all vanish. Returns the logarithm of the sum.
template <class L, class R>
inline double cell_products(const L* left, const R* right, std::ptrdiff_t k, double* p) {
  const double most_left = largest_entry(left, k), most_right = largest_entry(right, k);
  double sum = 0;
  for (std::ptrdiff_t t = 0; most_left > 0 && most_right > 0 && t < k; ++t) {
    p[t] = (static_cast<double>(left[t]) / most_left) * (static_cast<double>(right[t]) / most_right);
    sum += p[t];
  }
  if (sum < kLeastShare) {
    for (std::ptrdiff_t t = 0; t < k; ++t) p[t] = 1.0 / static_cast<double>(k);
    return -__builtin_inf();
  }
  for (std::ptrdiff_t t = 0; t < k; ++t) p[t] /= sum;
  return __builtin_log(sum) + __builtin_log(most_left) + __builtin_log(most_right);
}

// g = p^power, normalised: relative to the largest entry, so that none overflows.
inline void cell_power(const double* p, double power, std::ptrdiff_t k, double* g) {
  const double most = largest_entry(p, k);
  double sum = 0;
  for (std::ptrdiff_t t = 0; t < k; ++t) {
    const double x = p[t] / most;
    g[t] = power == 1 ? x : power == 2 ? x * x : power == 3 ? x * x * x : __builtin_pow(x, power);
    sum += g[t];
  }
  for (std::ptrdiff_t t = 0; t < k; ++t) g[t] /= sum;
}

// The same of what is normalised already.
inline void cell_shares(const double* p, double power, std::ptrdiff_t k, double* g) {
  if (power != 1) return cell_power(p, power, k, g);
  for (std::ptrdiff_t t = 0; t < k; ++t) g[t] = p[t];
}
