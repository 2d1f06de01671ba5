// Assignment of least cost under bounds on the sizes of clusters, with prices that prove it.
#pragma once
#include <functional>

#include "capacity_prices.hpp"

namespace cl {

template <class T>
struct CapacityJob {
  const CostSource<T>& source;
  SizeBounds sizes;
  double* prices;        // (k): where to start, and the answer
  std::int32_t* labels;  // (n)
  double* sums;          // (2): cost and gap
  int threads;
  std::function<void()> pause;  // may throw
  std::ptrdiff_t n_paths = 0;
};

template <class T>
Status assign_under_capacities(CapacityJob<T>& job);

// labels[i] = the smallest cost + price of row i, the lowest column on ties.
template <class T>
Status assign_at_prices(const CostSource<T>& source, const double* prices, std::int32_t* labels, int threads);

}  // namespace cl
