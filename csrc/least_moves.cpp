#include "least_moves.hpp"

#include <algorithm>
#include <limits>

namespace cl {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

LeastMoves::LeastMoves(const Candidates& lists, const double* prices, std::int32_t* labels)
    : lists_(lists), prices_(prices), labels_(labels), k_(lists.k), clusters_(static_cast<std::size_t>(k_)),
      position_(static_cast<std::size_t>(lists.n)), exit_(static_cast<std::size_t>(k_ * k_), -1) {
  std::vector<std::size_t> sizes(static_cast<std::size_t>(k_));
  for (std::ptrdiff_t i = 0; i < lists.n; ++i) ++sizes[static_cast<std::size_t>(labels[i])];
  for (std::size_t c = 0; c < sizes.size(); ++c) clusters_[c].members.reserve(sizes[c]);
  for (std::ptrdiff_t i = 0; i < lists.n; ++i) {
    auto& members = clusters_[static_cast<std::size_t>(labels[i])].members;
    position_[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(members.size());
    members.push_back(static_cast<std::int32_t>(i));
  }
}

void LeastMoves::build(double limit) {
  limit_ = limit;
  for (Cluster& cluster : clusters_)
    for (Held& held : cluster.held) held = {0, kInfinity, {}};
  for (std::ptrdiff_t i = 0; i < lists_.n; ++i) add(static_cast<std::int32_t>(i));
  for (Cluster& cluster : clusters_) weigh(cluster);
}

void LeastMoves::weigh(Cluster& cluster) {
  for (std::size_t e = 0; e < cluster.held.size(); ++e)
    cluster.exits.weight[e] = cluster.held[e].count > 0 ? cluster.held[e].entry[0].value : kInfinity;
}

std::size_t LeastMoves::exit_to(std::ptrdiff_t a, std::ptrdiff_t b) {
  std::int32_t& known = exit_[static_cast<std::size_t>(a * k_ + b)];
  if (known < 0) {
    Cluster& cluster = clusters_[static_cast<std::size_t>(a)];
    known = static_cast<std::int32_t>(cluster.held.size());
    cluster.exits.to.push_back(static_cast<std::int32_t>(b));
    cluster.exits.weight.push_back(kInfinity);
    cluster.held.push_back({0, kInfinity, {}});
  }
  return static_cast<std::size_t>(known);
}

void LeastMoves::insert(Held& held, Entry entry) const {
  if (entry.value >= held.beyond) return;
  if (held.count == kHeld) {
    const Entry last = held.entry[kHeld - 1];
    held.beyond = std::min(held.beyond, std::max(entry, last).value);
    if (!(entry < last)) return;
    --held.count;
  }
  int q = held.count++;
  for (; q > 0 && entry < held.entry[q - 1]; --q) held.entry[q] = held.entry[q - 1];
  held.entry[q] = entry;
}

// Offers the moves of row i out of its cluster.
void LeastMoves::add(std::int32_t i) {
  if (lists_.filled[i] == 1) return;
  const std::ptrdiff_t a = labels_[i], first = i * lists_.m;
  const double own = lists_.cost[lists_.place(i, labels_[i])], most = own + prices_[a] + limit_;
  for (std::ptrdiff_t q = first; q < first + lists_.filled[i]; ++q) {
    const std::int32_t b = lists_.index[q];
    if (b == a || !(lists_.cost[q] + prices_[b] < most)) continue;
    const std::size_t e = exit_to(a, b);
    insert(clusters_[static_cast<std::size_t>(a)].held[e], {lists_.cost[q] - own, i});
  }
}

void LeastMoves::rebuild(std::ptrdiff_t a) {
  Cluster& cluster = clusters_[static_cast<std::size_t>(a)];
  for (Held& held : cluster.held) held = {0, kInfinity, {}};
  for (const std::int32_t i : cluster.members) add(i);
  weigh(cluster);
}

// Drops rows that have left from the front of an exit, and finds others where none is left.
void LeastMoves::refresh(std::ptrdiff_t a, std::ptrdiff_t b) {
  const std::int32_t known = exit_[static_cast<std::size_t>(a * k_ + b)];
  if (known < 0) return;
  const auto e = static_cast<std::size_t>(known);
  Cluster& cluster = clusters_[static_cast<std::size_t>(a)];
  Held& held = cluster.held[e];
  int gone = 0;
  while (gone < held.count && labels_[held.entry[gone].row] != a) ++gone;
  std::copy(held.entry + gone, held.entry + held.count, held.entry);
  held.count -= gone;
  if (held.count == 0 && held.beyond < kInfinity) return rebuild(a);
  cluster.exits.weight[e] = held.count > 0 ? held.entry[0].value : kInfinity;
}

void LeastMoves::cheapest(std::ptrdiff_t a, std::ptrdiff_t b, std::int64_t limit,
                          std::vector<std::int32_t>& rows) const {
  const Cluster& cluster = clusters_[static_cast<std::size_t>(a)];
  const Held& held = cluster.held[static_cast<std::size_t>(exit_[static_cast<std::size_t>(a * k_ + b)])];
  const double least = held.entry[0].value;
  const double next = held.count > 1 ? held.entry[1].value : held.beyond;
  if (limit == 1 || next > least) {
    rows.push_back(held.entry[0].row);
    return;
  }
  // Ties: all rows of the cluster are looked at, in the order they have in it.
  for (const std::int32_t i : cluster.members) {
    const std::int32_t* index = &lists_.index[i * lists_.m];
    const double own = lists_.cost[lists_.place(i, labels_[i])];
    for (std::ptrdiff_t q = 0; q < lists_.filled[i]; ++q)
      if (index[q] == b && lists_.cost[i * lists_.m + q] - own == least) rows.push_back(i);
    if (static_cast<std::int64_t>(rows.size()) == limit) return;
  }
}

void LeastMoves::relabel(std::int32_t i, std::ptrdiff_t a, std::ptrdiff_t b) {
  auto& from = clusters_[static_cast<std::size_t>(a)].members;
  auto& to = clusters_[static_cast<std::size_t>(b)].members;
  const std::int32_t hole = position_[static_cast<std::size_t>(i)];
  from[static_cast<std::size_t>(hole)] = from.back();
  position_[static_cast<std::size_t>(from.back())] = hole;
  from.pop_back();
  position_[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(to.size());
  to.push_back(i);
  labels_[i] = static_cast<std::int32_t>(b);
}

void LeastMoves::change(std::ptrdiff_t i, std::int32_t label) {
  const std::int32_t before = labels_[i];
  if (label != before) relabel(static_cast<std::int32_t>(i), before, label);
  clusters_[static_cast<std::size_t>(before)].changed = clusters_[static_cast<std::size_t>(label)].changed = true;
}

void LeastMoves::extend(std::ptrdiff_t i, std::int32_t column) {
  const std::ptrdiff_t a = labels_[i];
  const std::size_t e = exit_to(a, column);
  Cluster& cluster = clusters_[static_cast<std::size_t>(a)];
  const double move = lists_.cost[lists_.place(i, column)] - lists_.cost[lists_.place(i, labels_[i])];
  insert(cluster.held[e], {move, static_cast<std::int32_t>(i)});
  if (!cluster.changed) refresh(a, column);
}

void LeastMoves::settle() {
  for (std::ptrdiff_t a = 0; a < k_; ++a) {
    bool& changed = clusters_[static_cast<std::size_t>(a)].changed;
    if (changed) rebuild(a);
    changed = false;
  }
}

void LeastMoves::move(const std::vector<std::int32_t>& rows, std::ptrdiff_t a, std::ptrdiff_t b) {
  for (const std::int32_t i : rows) relabel(i, a, b);
  if (rows.size() > static_cast<std::size_t>(kHeld)) {
    rebuild(a);
    rebuild(b);
    return;
  }
  for (const std::int32_t i : rows) {
    add(i);
    for (std::ptrdiff_t q = 0; q < lists_.filled[i]; ++q) {
      const std::int32_t c = lists_.index[i * lists_.m + q];
      if (c != a) refresh(a, c);
      if (c != b) refresh(b, c);
    }
  }
}

}  // namespace cl
