#include "capacity_paths.hpp"

#include <algorithm>
#include <limits>

namespace cl {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kPause = 64;  // paths between two looks at whether to stop

}  // namespace

CapacityPaths::CapacityPaths(const Candidates& lists, const SizeBounds& sizes, double near, double* prices,
                             std::int32_t* labels)
    : moves_(lists, prices, labels), sizes_(sizes), n_(lists.n), k_(lists.k), prices_(prices), trusted_(near),
      flow_(static_cast<std::size_t>(k_)), excess_(static_cast<std::size_t>(k_ + 1)),
      distance_(static_cast<std::size_t>(k_ + 1)), parent_(static_cast<std::size_t>(k_ + 1)),
      done_(static_cast<std::size_t>(k_ + 1)) {
  moves_.build(near);
}

// The sizes that prices ask for. The slack of all bounds takes what is left over.
void CapacityPaths::balance() {
  std::int64_t slack = -n_;
  for (std::ptrdiff_t c = 0; c < k_; ++c) {
    const auto s = static_cast<std::size_t>(c);
    const std::int64_t load = moves_.size(c), low = sizes_.low[c], high = sizes_.high[c];
    flow_[s] = prices_[c] > 0 ? high : prices_[c] < 0 ? low : std::clamp(load, low, high);
    excess_[s] = load - flow_[s];
    slack += flow_[s];
  }
  excess_[static_cast<std::size_t>(k_)] = slack;
}

PathsEnd CapacityPaths::run(double leash, bool jump, const std::function<void()>& pause) {
  moves_.settle();
  balance();
  for (double risen = 0; excess() > 0;) {
    const bool found = find_path(leash, jump);
    const double rise = found ? distance_[static_cast<std::size_t>(sink_)] : kInfinity;
    if (!found || (rise > leash && !jump)) {
      for (std::size_t c = 0; c < done_.size(); ++c) done_[c] = distance_[c] <= std::min(leash, rise);
      return PathsEnd::apart;
    }
    if (!jump && risen + rise > leash) return PathsEnd::stretched;
    if (!jump) risen += rise;
    jump = false;
    raise_prices();
    augment(amount());
    if (++count % kPause == 0) pause();
  }
  return PathsEnd::done;
}

// A shortest path among all moves, or none if it is longer than `leash` and no `jump`: near moves are looked at only
// where no others can make a shorter one.
bool CapacityPaths::find_path(double leash, bool jump) {
  for (;;) {
    const bool found = search();
    const double rise = found ? distance_[static_cast<std::size_t>(sink_)] : kInfinity;
    if (rise <= trusted_) {
      trusted_ -= rise;
      return found;
    }
    if (!found && !jump && trusted_ >= leash) return false;
    trusted_ = found ? std::max(leash, 2 * rise) : kInfinity;
    moves_.build(trusted_);
  }
}

std::int64_t CapacityPaths::excess() const {
  std::int64_t sum = 0;
  for (const std::int64_t e : excess_) sum += std::max<std::int64_t>(e, 0);
  return sum;
}

// Distances along an arc out of a final node. The arcs of the slack cost nothing: into it from
// clusters below size_max, out of it to clusters above size_min.
void CapacityPaths::relax(std::ptrdiff_t node) {
  const double from = distance_[static_cast<std::size_t>(node)];
  const auto offer = [&](std::ptrdiff_t to, double reduced) {
    const double value = from + std::max(reduced, 0.0);
    double& known = distance_[static_cast<std::size_t>(to)];
    if (value < known) {
      known = value;
      parent_[static_cast<std::size_t>(to)] = static_cast<std::int32_t>(node);
      queue_.push({value, static_cast<std::int32_t>(to)});
    }
  };
  if (node == k_) {
    for (std::ptrdiff_t c = 0; c < k_; ++c)
      if (flow_[static_cast<std::size_t>(c)] > sizes_.low[c]) offer(c, prices_[c]);
    return;
  }
  const LeastMoves::Exits& exits = moves_.exits(node);
  const double own = prices_[node];
  for (std::size_t e = 0; e < exits.to.size(); ++e) offer(exits.to[e], exits.weight[e] + prices_[exits.to[e]] - own);
  if (flow_[static_cast<std::size_t>(node)] < sizes_.high[node]) offer(k_, -own);
}

// Dijkstra's search from all nodes in excess to the nearest one that lacks rows.
bool CapacityPaths::search() {
  queue_ = {};
  for (std::ptrdiff_t c = 0; c <= k_; ++c) {
    const auto s = static_cast<std::size_t>(c);
    distance_[s] = is_source(c) ? 0 : kInfinity;
    parent_[s] = -1;
    done_[s] = 0;
    if (is_source(c)) queue_.push({0, static_cast<std::int32_t>(c)});
  }
  while (!queue_.empty()) {
    const std::ptrdiff_t next = queue_.top().second;
    queue_.pop();
    if (is_sink(next)) {
      sink_ = next;
      return true;
    }
    if (done_[static_cast<std::size_t>(next)]) continue;
    done_[static_cast<std::size_t>(next)] = 1;
    relax(next);
  }
  return false;
}

// Makes the path free; the slack keeps its price of 0.
void CapacityPaths::raise_prices() {
  const double reach = distance_[static_cast<std::size_t>(sink_)];
  const double slack = std::max(0.0, reach - distance_[static_cast<std::size_t>(k_)]);
  for (std::ptrdiff_t c = 0; c < k_; ++c) {
    const double below = reach - distance_[static_cast<std::size_t>(c)];
    const double change = std::max(0.0, below) - slack;
    if (change != 0) prices_[c] += change;
  }
}

// How many rows the path can take at once: more than one only where costs tie.
std::int64_t CapacityPaths::amount() {
  std::ptrdiff_t node = sink_;
  std::int64_t units = -excess_[static_cast<std::size_t>(sink_)];
  for (; parent_[static_cast<std::size_t>(node)] >= 0; node = parent_[static_cast<std::size_t>(node)]) {
    const std::ptrdiff_t before = parent_[static_cast<std::size_t>(node)];
    if (node == k_) units = std::min(units, sizes_.high[before] - flow_[static_cast<std::size_t>(before)]);
    if (before == k_) units = std::min(units, flow_[static_cast<std::size_t>(node)] - sizes_.low[node]);
  }
  return std::min(units, excess_[static_cast<std::size_t>(node)]);
}

void CapacityPaths::augment(std::int64_t units) {
  struct Arc {
    std::ptrdiff_t from, to;
    std::vector<std::int32_t> rows;
  };
  std::vector<Arc> arcs;
  std::ptrdiff_t node = sink_;
  for (; parent_[static_cast<std::size_t>(node)] >= 0; node = parent_[static_cast<std::size_t>(node)]) {
    arcs.push_back({parent_[static_cast<std::size_t>(node)], node, {}});
    Arc& arc = arcs.back();
    if (arc.from == k_ || arc.to == k_) continue;
    moves_.cheapest(arc.from, arc.to, units, arc.rows);
    units = std::min(units, static_cast<std::int64_t>(arc.rows.size()));
  }
  for (Arc& arc : arcs) {
    if (arc.from == k_)
      flow_[static_cast<std::size_t>(arc.to)] -= units;
    else if (arc.to == k_)
      flow_[static_cast<std::size_t>(arc.from)] += units;
    else {
      arc.rows.resize(static_cast<std::size_t>(units));
      moves_.move(arc.rows, arc.from, arc.to);
    }
  }
  excess_[static_cast<std::size_t>(node)] -= units;
  excess_[static_cast<std::size_t>(sink_)] += units;
}

}  // namespace cl
