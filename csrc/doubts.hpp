// What lists leave open once prices have changed.
#pragma once
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "candidates.hpp"

namespace cl {

// How much the price of a column has changed, and which.
using Drift = std::pair<double, std::int32_t>;

// Changes since each epoch of lists, the largest falls first.
struct Drifts {
  Drifts(const Candidates& lists, const double* prices) : of(lists.references.size()) {
    for (std::size_t e = 0; e < of.size(); ++e) {
      for (std::int32_t c = 0; c < lists.k; ++c) {
        of[e].push_back({prices[c] - lists.references[e][static_cast<std::size_t>(c)], c});
        largest = std::max(largest, std::abs(prices[c]));
      }
      std::sort(of[e].begin(), of[e].end());
    }
  }
  std::vector<std::vector<Drift>> of;
  double largest = 0;  // price
};

// What the list of a row leaves open about its label.
enum class Doubt { none, some, many };

// The rows that all workers found, in rising order.
inline std::vector<std::ptrdiff_t> joined(const std::vector<std::vector<std::ptrdiff_t>>& parts) {
  std::vector<std::ptrdiff_t> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace cl
