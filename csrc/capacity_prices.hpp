// Prices under which a softened assignment fills the clusters as their bounds want it: Newton's
// method on the dual of the entropic problem. docs/kernels/assignment.md has the derivation.
#pragma once
#include <vector>

#include "candidates.hpp"

namespace cl {

// Sizes that clusters may have, (k) each.
struct SizeBounds {
  const std::int64_t *low, *high;
};

class SmoothPrices {
 public:
  SmoothPrices(const SizeBounds& sizes, std::ptrdiff_t n, std::ptrdiff_t k, int threads);

  // Newton steps at one temperature until the excess is below `tol` of all rows; each row of the
  // lists stands for n / lists.n rows. No price goes farther than `leash` from where rows were selected:
  // there, other columns than those of the lists would count. Returns the share of rows in excess.
  double improve(const Candidates& lists, double epsilon, int max_steps, double tol, double leash,
                 double* prices);

 private:
  double measure(const Candidates& lists, double epsilon, const double* prices, bool curvature);
  void solve();
  void multiply(const double* x, double* out) const;
  double target(std::ptrdiff_t c, double price, double epsilon) const;

  SizeBounds sizes_;
  std::ptrdiff_t n_, k_;
  int threads_;
  bool fixed_;  // every size is given: prices are free up to a constant
  std::vector<std::int64_t> loads_, common_;   // of each worker
  std::vector<double> excess_, curvature_, diagonal_, step_;
};

// What a sample of rows says about prices, before any list is made of the cheap columns.
struct FirstPrices {
  Status status;
  double unit;   // the typical difference between the two cheapest columns of a row
  double share;  // the temperature that was reached, in these units
  bool known;    // prices were good as they came
};

// Sinkhorn's iteration on all costs of a sample, each row of which stands for `weight` rows, from hot
// to `share` units of temperature, or as far as it gets: where groups of columns hardly see each other
// it gets slow.
template <class T>
FirstPrices first_prices(const CostSource<T>& sample, const SizeBounds& sizes, double weight, double share,
                         int threads, double* prices);

}  // namespace cl
