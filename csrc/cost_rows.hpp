// Rows of costs of a linear assignment, in lanes of float64 whatever their type. Included inside the
// target's namespace.

constexpr std::ptrdiff_t kGroup = 64;  // columns that are read together
constexpr double kNever = __builtin_inf();

CL_INLINE double lower(double a, double b) { return a < b ? a : b; }
CL_INLINE double lowest(Vec<double> v) {
  double least = v[0];
  for (std::ptrdiff_t q = 1; q < Simd<double>::lanes; ++q) least = lower(least, v[q]);
  return least;
}

// Hands out arrays of `size` numbers of eight bytes.
template <class V, class... P>
void take(char*& at, std::ptrdiff_t size, V*& first, P*&... rest) {
  static_assert(sizeof(V) == 8, "all arrays are of one size");
  first = reinterpret_cast<V*>(at), at += 8 * size;
  if constexpr (sizeof...(rest) > 0) take(at, size, rest...);
}

// Least cost - v of a row, its column, and the least one of the others.
struct Bid {
  double first = kNever, second = kNever, largest = 0;  // largest: magnitude of a finite cost
  std::ptrdiff_t column = -1;
  bool sound = true;  // neither NaN nor -inf among the costs
};

template <class T>
class CostRows {
 public:
  static constexpr std::ptrdiff_t l = Simd<double>::lanes;

  CostRows(const Matrix<T>& C, double sign)
      : n(C.rows), m(C.cols), n_groups((m + kGroup - 1) / kGroup), C_(C), sign_(sign) {}

  double at(std::ptrdiff_t i, std::ptrdiff_t j) const { return static_cast<double>(C_.row(i)[j]) * sign_; }

  // Calls f(first column, costs) for the vectors of a group of a row; the last one is padded.
  template <class F>
  CL_INLINE void group(std::ptrdiff_t i, std::ptrdiff_t g, F f) const {
    const T* row = C_.row(i);
    const Vec<double> sign = splat(sign_);
    std::ptrdiff_t j = g * kGroup;
    if (j + kGroup <= m) {
      for (std::ptrdiff_t q = 0; q < kGroup; q += l) f(j + q, wide(row + j + q) * sign);
      return;
    }
    for (; j + l <= m; j += l) f(j, wide(row + j) * sign);
    if (j < m) f(j, last(row));
  }

  template <class F>
  CL_INLINE void each(std::ptrdiff_t i, F f) const {
    for (std::ptrdiff_t g = 0; g < n_groups; ++g) group(i, g, f);
  }

  template <bool CHECK>
  Bid best(std::ptrdiff_t i, const double* v) const {
    Vec<double> first = splat(kNever), second = first, largest = {};
    IVec<double> column = isplat<double>(-1), wrong = {}, here;
    for (std::ptrdiff_t k = 0; k < l; ++k) here[k] = k;
    each(i, [&](std::ptrdiff_t j, Vec<double> c) {
      const Vec<double> t = c - load(v + j);
      second = vmin(second, vmax(first, t));
      column = t < first ? here : column;
      first = vmin(t, first);
      here += l;
      if (CHECK) {
        wrong |= ~(c > -splat(kNever));
        largest = vmax(largest, c < splat(kNever) ? vmax(c, -c) : largest);
      }
    });
    std::ptrdiff_t k = 0;
    for (std::ptrdiff_t q = 1; q < l; ++q)
      if (first[q] < first[k] || (first[q] == first[k] && column[q] < column[k])) k = q;
    Bid bid{first[k], second[k], 0, column[k], movemask(wrong) == 0};
    for (std::ptrdiff_t q = 0; q < l; ++q) {
      if (q != k) bid.second = lower(bid.second, first[q]);
      if (CHECK && largest[q] > bid.largest) bid.largest = largest[q];
    }
    return bid;
  }

  const std::ptrdiff_t n, m, n_groups;

 private:
  CL_INLINE static Vec<double> wide(const double* p) { return load(p); }
  CL_INLINE static Vec<double> wide(const float* p) {
    typedef float half __attribute__((vector_size(CL_VECTOR_BYTES / 2), aligned(4)));
    return __builtin_convertvector(*reinterpret_cast<const half*>(p), Vec<double>);
  }

  Vec<double> last(const T* row) const {
    double rest[l];
    for (std::ptrdiff_t j = m / l * l, k = 0; k < l; ++k)
      rest[k] = j + k < m ? static_cast<double>(row[j + k]) * sign_ : kNever;
    return load(rest);
  }

  Matrix<T> C_;
  double sign_;
};
