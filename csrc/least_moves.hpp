// The cheapest move of a row from each cluster to each other one, kept while rows move.
#pragma once
#include <cstdint>
#include <vector>

#include "candidates.hpp"

namespace cl {

class LeastMoves {
 public:
  LeastMoves(const Candidates& lists, const double* prices, std::int32_t* labels);

  // Finds the moves anew. Those that cost `limit` or more above what the difference of prices makes of
  // it are left out, then and whenever moves are looked for.
  void build(double limit);

  // Moves out of one cluster: where to, and the smallest cost_to - cost_from of a row; infinity
  // where there is none at the moment.
  struct Exits {
    std::vector<std::int32_t> to;
    std::vector<double> weight;
  };
  const Exits& exits(std::ptrdiff_t a) const { return clusters_[static_cast<std::size_t>(a)].exits; }
  std::ptrdiff_t size(std::ptrdiff_t a) const {
    return static_cast<std::ptrdiff_t>(clusters_[static_cast<std::size_t>(a)].members.size());
  }
  // At most `limit` rows of a whose move to b costs least: appended to `rows`.
  void cheapest(std::ptrdiff_t a, std::ptrdiff_t b, std::int64_t limit, std::vector<std::int32_t>& rows) const;
  // Moves rows out of a into b; the exits of both are brought up to date.
  void move(const std::vector<std::int32_t>& rows, std::ptrdiff_t a, std::ptrdiff_t b);
  // Gives a row whose list has changed another label, or the same. The exits are wrong until `settle`.
  void change(std::ptrdiff_t i, std::int32_t label);
  void settle();
  // Takes a column in that has been added to the list of row i, and that no other had to leave.
  void extend(std::ptrdiff_t i, std::int32_t column);

 private:
  static constexpr int kHeld = 16;
  struct Entry {
    double value;
    std::int32_t row;
    bool operator<(const Entry& other) const {
      return value < other.value || (value == other.value && row < other.row);
    }
  };
  // The cheapest moves along one exit, in rising order; rows of some may have left.
  struct Held {
    int count;
    double beyond;  // moves that are not held although they could be cost at least this
    Entry entry[kHeld];
  };
  struct Cluster {
    Exits exits;
    std::vector<Held> held;  // of each exit
    std::vector<std::int32_t> members;
    bool changed = false;
  };

  std::size_t exit_to(std::ptrdiff_t a, std::ptrdiff_t b);
  void insert(Held& held, Entry entry) const;
  void add(std::int32_t i);
  void rebuild(std::ptrdiff_t a);
  static void weigh(Cluster& cluster);
  void refresh(std::ptrdiff_t a, std::ptrdiff_t b);
  void relabel(std::int32_t i, std::ptrdiff_t a, std::ptrdiff_t b);

  const Candidates& lists_;
  const double* prices_;
  double limit_ = 0;
  std::int32_t* labels_;
  std::ptrdiff_t k_;
  std::vector<Cluster> clusters_;
  std::vector<std::int32_t> position_;  // (n), in the members of its cluster
  std::vector<std::int32_t> exit_;      // (k, k): which exit leads from a to b, -1 if none
};

}  // namespace cl
