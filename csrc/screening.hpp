// What the screen needs to know about Y before it starts, in float64: a shift that takes common
// offsets away, exact power-of-two scales, and the norms that enter the error bound.
// docs/kernels/pairwise.md derives the bound.
#pragma once
#include "views.hpp"

namespace cl {

// A row of Y and the value by which it is ordered.
struct Neighbor {
  double value;
  std::int32_t index;
};

// Order statistics for the files of one instruction set, which do not use the standard library.
float select_kth_largest(float* values, std::ptrdiff_t count, std::ptrdiff_t k);
std::int32_t select_kth_largest(std::int32_t* values, std::ptrdiff_t count, std::ptrdiff_t k);
// Sorts the k smallest by (value, index) to the front; returns how many there are.
double log2_of(double x);
double exp_of(double x);
// value / scale^power for a power of two, rounded once.
double scale_back(double value, double scale, int power);
std::ptrdiff_t keep_nearest(Neighbor* found, std::ptrdiff_t count, std::ptrdiff_t k);

template <class T>
struct ScreenSetup {
  const T* shift = nullptr;        // (d + padding), subtracted from X and Y; zero unless Euclidean
  const double* norms = nullptr;   // (m) float64 norms of Y, cosine only (0 for a zero row)
  T x_scale = 1, y_scale = 1;      // powers of two
  double exact_scale = 1.0;        // of the float64 evaluation: float64 input out of range only
  double bound_factor = 1.0;       // 1 outside of the tests that show the bound is needed
  bool finite = true;              // no NaN or infinity in Y
};

// Gives rows of Y that repeat an earlier one, bit for bit, an infinite norm: a later one never is
// the lowest index of the nearest.
template <class T>
void exclude_repeats(const Matrix<T>& Y, double* norms);

void set_screen_bound_factor(double factor);

// Owns what a ScreenSetup points to. Not a template of the standard library, so that the files
// of one instruction set may hold it.
template <class T>
class Screening {
 public:
  Screening(const Matrix<T>& X, const Matrix<T>& Y, Metric metric, int threads);
  ~Screening();
  Screening(const Screening&) = delete;
  Screening& operator=(const Screening&) = delete;
  ScreenSetup<T> setup;

 private:
  struct Storage;
  Storage* storage_;
};

}  // namespace cl
