// Successive shortest paths between clusters: from labels that are cheapest at some prices to labels
// that keep the bounds and are cheapest at others. docs/kernels/assignment.md has the proof.
#pragma once
#include <functional>
#include <queue>
#include <vector>

#include "candidates.hpp"
#include "capacity_prices.hpp"
#include "least_moves.hpp"

namespace cl {

// All rows are where they can be; or some clusters that rows have to go to are out of reach by the
// lists; or prices have risen as far as they may.
enum class PathsEnd { done, apart, stretched };

class CapacityPaths {
 public:
  // Every label is a column of its row's list, and no cheaper one is in it at these prices.
  // Moves that cost more than `near` are looked for only when paths come to be that long.
  CapacityPaths(const Candidates& lists, const SizeBounds& sizes, double near, double* prices,
                std::int32_t* labels);

  // Goes on while prices rise by no more than `leash` in all: beyond, lists that were made at lower
  // prices say little. One path may be longer, if `jump`. `pause` is called now and then and may throw.
  PathsEnd run(double leash, bool jump, const std::function<void()>& pause);
  std::ptrdiff_t count = 0;  // paths so far
  // Between two runs: a row whose list has changed gets another label, or the same.
  void change(std::ptrdiff_t i, std::int32_t label) { moves_.change(i, label); }
  // The same for a column that has come to the list of a row.
  void extend(std::ptrdiff_t i, std::int32_t column) { moves_.extend(i, column); }

  // How many rows still have to go; after an end `apart`, whether the search came to a cluster.
  std::int64_t excess() const;
  bool reached(std::ptrdiff_t cluster) const { return done_[static_cast<std::size_t>(cluster)] != 0; }

 private:
  void balance();
  bool find_path(double leash, bool jump);
  bool search();
  void relax(std::ptrdiff_t node);
  void raise_prices();
  std::int64_t amount();
  void augment(std::int64_t units);
  bool is_source(std::ptrdiff_t node) const { return excess_[static_cast<std::size_t>(node)] > 0; }
  bool is_sink(std::ptrdiff_t node) const { return excess_[static_cast<std::size_t>(node)] < 0; }

  LeastMoves moves_;
  SizeBounds sizes_;
  std::ptrdiff_t n_, k_;
  double* prices_;                   // (k)
  double trusted_;                   // how much prices may rise before moves have to be looked for again
  std::vector<std::int64_t> flow_;   // (k): the size that a cluster is to have
  std::vector<std::int64_t> excess_; // (k + 1), rows above it; last, the slack of all bounds
  // The search: distance of each node, the node before it, whether it is final.
  std::vector<double> distance_;
  std::vector<std::int32_t> parent_;
  std::vector<char> done_;
  using Offer = std::pair<double, std::int32_t>;
  std::priority_queue<Offer, std::vector<Offer>, std::greater<Offer>> queue_;
  std::ptrdiff_t sink_ = -1;
};

}  // namespace cl
