// The columns of every row that are cheap at some prices, their costs, and what all others cost at
// least.
#pragma once
#include <memory>

#include "cost_source.hpp"
#include "parallel.hpp"

namespace cl {

// Memory that is written before it is read: no page is touched twice.
template <class V>
std::unique_ptr<V[]> uninitialized(std::ptrdiff_t size) {
  return std::unique_ptr<V[]>(new V[static_cast<std::size_t>(size)]);
}

// Calls f(begin, end, worker) for parts of [0, n).
template <class F>
void for_rows(std::ptrdiff_t n, std::ptrdiff_t grain, int threads, F f) {
  const auto body = [](void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
    (*static_cast<F*>(context))(begin, end, worker);
  };
  parallel_for(n, grain, threads, body, &f);
}

// Row i holds filled[i] <= m different columns in rising order. Costs are relative to the smallest
// of the list, base[i], so that no offset of a row takes digits from what is compared. For a column c
// that is not in the list, cost + price is at least bound[i] at the prices references[epoch[i]].
struct Candidates {
  Candidates(std::ptrdiff_t rows, std::ptrdiff_t columns, std::ptrdiff_t width);
  std::ptrdiff_t n, k, m;
  std::unique_ptr<std::int32_t[]> index;   // (n, m)
  std::unique_ptr<std::int32_t[]> filled;  // (n)
  std::unique_ptr<double[]> cost;          // (n, m)
  std::unique_ptr<double[]> bound, base;   // (n)
  std::unique_ptr<std::uint8_t[]> epoch;   // (n)
  std::vector<std::vector<double>> references;  // (k) each

  // The position of the smallest cost + price of a row, the lowest column on ties.
  std::ptrdiff_t best(std::ptrdiff_t i, const double* prices) const;
  bool has(std::ptrdiff_t i, std::int32_t column) const;
  // Takes a column in, whose cost is `value`; in a full list in the place of the one other than `kept`
  // that is dearest at these prices.
  void add(std::ptrdiff_t i, std::int32_t column, double value, std::int32_t kept, const double* prices);
  // The position of a column that is in the list.
  std::ptrdiff_t place(std::ptrdiff_t i, std::int32_t column) const {
    if (filled[i] == k) return i * m + column;
    const std::int32_t* at = &index[i * m];
    while (*at != column) ++at;
    return at - &index[0];
  }
};

struct Selection {
  const double* prices;
  double reach;  // of cost + price above the smallest one
  bool exact;    // costs of the float64 evaluation, and bounds that hold; else those of the screen
  int threads;
  bool relative = true;  // costs are relative to the smallest one of the list
  bool two = false;      // columns at least, whatever they cost
};

// Fills rows [begin, end) of the source into rows 0, 1, ... of the lists, as their first epoch.
template <class T>
Status select_rows(const CostSource<T>& source, std::ptrdiff_t begin, std::ptrdiff_t end, const Selection& how,
                   Candidates& lists);

// Selects some rows again, at other prices, as a new epoch. Their labels stay in their lists.
template <class T>
Status select_again(const CostSource<T>& source, const std::vector<std::ptrdiff_t>& rows, const Selection& how,
                    const std::int32_t* labels, Candidates& lists);

}  // namespace cl
