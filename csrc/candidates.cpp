#include "candidates.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace cl {
namespace {

constexpr std::ptrdiff_t kAgain = 1 << 16;         // rows that are selected again at once

// Moves the m smallest values, with their columns in rising order, to the front. `work` has room for
// all.
template <class T>
T keep_smallest(T* values, std::int32_t* columns, std::ptrdiff_t count, std::ptrdiff_t m, T* work) {
  std::copy(values, values + count, work);
  std::nth_element(work, work + m, work + count);
  const T bound = work[m];
  // All below the next value, and the first of those equal to it.
  std::ptrdiff_t equal = m, kept = 0;
  for (std::ptrdiff_t q = 0; q < count; ++q) equal -= values[q] < bound ? 1 : 0;
  for (std::ptrdiff_t q = 0; kept < m; ++q) {
    if (!(values[q] < bound) && !(values[q] == bound && equal-- > 0)) continue;
    values[kept] = values[q];
    columns[kept++] = columns[q];
  }
  return bound;
}

template <class T>
std::vector<T> rounded(const double* prices, std::ptrdiff_t k) {
  std::vector<T> result(static_cast<std::size_t>(k));
  for (std::ptrdiff_t c = 0; c < k; ++c) result[static_cast<std::size_t>(c)] = static_cast<T>(prices[c]);
  return result;
}

// Costs relative to the smallest one of the list, or as they are.
void rebase(Candidates& lists, std::ptrdiff_t i, double bound, bool relative) {
  double* cost = &lists.cost[i * lists.m];
  const double base = relative ? *std::min_element(cost, cost + lists.filled[i]) : 0.0;
  for (std::ptrdiff_t q = 0; q < lists.filled[i]; ++q) cost[q] -= base;
  lists.base[i] = base;
  lists.bound[i] = bound - base;
}

// False if a row has no candidate, because its costs are no numbers.
template <class T>
bool fill_rows(const CostSource<T>& source, std::ptrdiff_t first, const SelectJob<T>& job, const Selection& how,
               double largest_price, std::ptrdiff_t to, Candidates& lists) {
  constexpr double unit = std::numeric_limits<T>::epsilon();
  active_target().kernels<T>().select_candidates(job);
  for (std::ptrdiff_t r = 0; r < job.count; ++r) {
    const std::int32_t* index = job.index + r * job.m;
    const std::ptrdiff_t count = job.filled[r];
    if (count == 0) return false;
    double* cost = &lists.cost[(to + r) * job.m];
    if (how.exact)
      source.pairs(first + r, index, count, cost);
    else
      for (std::ptrdiff_t q = 0; q < count; ++q) cost[q] = static_cast<double>(job.costs[r * job.k + index[q]]);
    const double least = job.least[r], above = job.bound[r];
    const double value = least + above + largest_price;  // no cost of the others is farther up for its bound
    const double error = source.error(first + r, least, value) + 4 * unit * (std::abs(above) + 2 * largest_price);
    rebase(lists, to + r, above < std::numeric_limits<double>::infinity() ? least + above - error : above,
           how.relative);
  }
  return true;
}

}  // namespace

Candidates::Candidates(std::ptrdiff_t rows, std::ptrdiff_t columns, std::ptrdiff_t width)
    : n(rows), k(columns), m(std::min(width, columns)), index(uninitialized<std::int32_t>(n * m)),
      filled(uninitialized<std::int32_t>(n)), cost(uninitialized<double>(n * m)), bound(uninitialized<double>(n)), base(uninitialized<double>(n)),
      epoch(uninitialized<std::uint8_t>(n)) {}

bool Candidates::has(std::ptrdiff_t i, std::int32_t column) const {
  const std::int32_t* list = &index[i * m];
  return std::find(list, list + filled[i], column) != list + filled[i];
}

void Candidates::add(std::ptrdiff_t i, std::int32_t column, double value, std::int32_t kept,
                     const double* prices) {
  std::int32_t* list = &index[i * m];
  double* costs = &cost[i * m];
  std::int32_t size = filled[i];
  if (size == m) {
    std::int32_t out = list[0] == kept ? 1 : 0;
    for (std::int32_t q = out + 1; q < size; ++q)
      if (list[q] != kept && costs[q] + prices[list[q]] > costs[out] + prices[list[out]]) out = q;
    bound[i] = std::min(bound[i], costs[out] + references[epoch[i]][static_cast<std::size_t>(list[out])]);
    std::copy(list + out + 1, list + size, list + out);
    std::copy(costs + out + 1, costs + size, costs + out);
    --size;
  }
  std::int32_t q = size;
  for (; q > 0 && list[q - 1] > column; --q) {
    list[q] = list[q - 1];
    costs[q] = costs[q - 1];
  }
  list[q] = column;
  costs[q] = value - base[i];
  filled[i] = size + 1;
}

std::ptrdiff_t Candidates::best(std::ptrdiff_t i, const double* prices) const {
  const std::int32_t* column = &index[i * m];
  const double* own = &cost[i * m];
  std::ptrdiff_t best = 0;
  double least = own[0] + prices[column[0]];
  for (std::ptrdiff_t q = 1; q < filled[i]; ++q) {
    const double value = own[q] + prices[column[q]];
    if (value < least) {  // columns rise
      least = value;
      best = q;
    }
  }
  return best;
}

template <class T>
Status select_rows(const CostSource<T>& source, std::ptrdiff_t begin, std::ptrdiff_t end, const Selection& how,
                   Candidates& lists) {
  const std::ptrdiff_t k = source.k;
  lists.references.assign(1, std::vector<double>(how.prices, how.prices + k));
  std::fill_n(lists.epoch.get(), end - begin, std::uint8_t{0});
  const std::vector<T> price = rounded<T>(how.prices, k);
  double largest_price = 0;
  for (std::ptrdiff_t c = 0; c < k; ++c) largest_price = std::max(largest_price, std::abs(how.prices[c]));
  const std::ptrdiff_t grain = std::max<std::ptrdiff_t>(16, source.block_values() / k);
  const int threads = resolve_threads(how.threads, (end - begin + grain - 1) / grain);
  const std::ptrdiff_t block = grain * threads;
  const auto room = uninitialized<T>(std::min(block, end - begin) * k);
  const auto bounds = uninitialized<T>(2 * block);
  bool filled = true;
  Scratch scratch(sizeof(T) * static_cast<std::size_t>(4 * k + 512), threads);
  for (std::ptrdiff_t at = begin; at < end; at += block) {
    const std::ptrdiff_t stop = std::min(end, at + block), to = at - begin;
    const T* costs;
    const Status status = source.block(at, stop, room.get(), costs, threads);
    if (status != Status::ok) return status;
    for_rows(stop - at, grain, threads, [&](std::ptrdiff_t low, std::ptrdiff_t high, int worker) {
      const SelectJob<T> job{costs + low * k, high - low, k, price.data(), static_cast<T>(how.reach), how.two && lists.m > 1, lists.m,
                             &lists.index[(to + low) * lists.m], &lists.filled[to + low], &bounds[low],
                             &bounds[block + low], keep_smallest<T>, reinterpret_cast<T*>(scratch.slice(worker))};
      if (!fill_rows(source, at + low, job, how, largest_price, to + low, lists))
        __atomic_store_n(&filled, false, __ATOMIC_RELAXED);
    });
    if (!filled) return Status::x_not_finite;
  }
  return Status::ok;
}

template <class T>
Status select_again(const CostSource<T>& source, const std::vector<std::ptrdiff_t>& rows, const Selection& how,
                    const std::int32_t* labels, Candidates& lists) {
  const std::ptrdiff_t m = lists.m, total = static_cast<std::ptrdiff_t>(rows.size());
  lists.references.emplace_back(how.prices, how.prices + lists.k);
  const auto now = static_cast<std::uint8_t>(lists.references.size() - 1);
  Candidates chosen(std::min(total, kAgain), lists.k, m);
  for (std::ptrdiff_t at = 0; at < total; at += kAgain) {
    const std::ptrdiff_t count = std::min(kAgain, total - at);
    const std::vector<std::ptrdiff_t> part(rows.begin() + at, rows.begin() + at + count);
    const Status status = select_rows(*source.sample(part), 0, count, how, chosen);
    if (status != Status::ok) return status;
    for (std::ptrdiff_t r = 0; r < count; ++r) {
      const std::ptrdiff_t i = part[static_cast<std::size_t>(r)];
      std::copy_n(&chosen.index[r * m], chosen.filled[r], &lists.index[i * m]);
      std::copy_n(&chosen.cost[r * m], chosen.filled[r], &lists.cost[i * m]);
      lists.filled[i] = chosen.filled[r];
      lists.bound[i] = chosen.bound[r];
      lists.base[i] = chosen.base[r];
      lists.epoch[i] = now;
      if (lists.has(i, labels[i])) continue;
      double cost;
      source.pairs(i, &labels[i], 1, &cost);
      lists.add(i, labels[i], cost, labels[i], how.prices);
    }
  }
  return Status::ok;
}

template Status select_rows(const CostSource<float>&, std::ptrdiff_t, std::ptrdiff_t, const Selection&, Candidates&);
template Status select_rows(const CostSource<double>&, std::ptrdiff_t, std::ptrdiff_t, const Selection&, Candidates&);
template Status select_again(const CostSource<float>&, const std::vector<std::ptrdiff_t>&, const Selection&,
                             const std::int32_t*, Candidates&);
template Status select_again(const CostSource<double>&, const std::vector<std::ptrdiff_t>&, const Selection&,
                             const std::int32_t*, Candidates&);

}  // namespace cl
