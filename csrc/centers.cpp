// cluster_sums: leaves of rows are summed in order and merged by the fixed pairwise tree.
#include "centers.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "bind.hpp"
#include "parallel.hpp"
#include "sum_tree.hpp"
#include "targets.hpp"

namespace cl {
namespace {

constexpr std::ptrdiff_t kLeafRows = 4096;  // clusterlib.kernels.centers.LEAF_ROWS

template <class T>
struct LabelledRows {
  RowSums<T> rows;
  const Kernels<T>* kernels;
  std::ptrdiff_t k;
};

template <class T>
void add_leaf(void* context, std::ptrdiff_t leaf, double* sums, int) {
  const auto& c = *static_cast<LabelledRows<T>*>(context);
  const std::ptrdiff_t begin = leaf * kLeafRows;
  c.kernels->add_rows(c.rows, begin, std::min(begin + kLeafRows, c.rows.X.rows), sums,
                      sums + c.k * c.rows.X.cols);
}

// Each node of the tree holds (k, d) sums followed by (k) weights.
template <class T>
void sum_tree(const RowSums<T>& rows, std::ptrdiff_t k, double* sums, double* weights,
              int n_threads) {
  const std::ptrdiff_t leaves = (rows.X.rows + kLeafRows - 1) / kLeafRows;
  const std::ptrdiff_t size = k * rows.X.cols;
  LabelledRows<T> labelled{rows, &active_target().kernels<T>(), k};
  std::vector<double> total(static_cast<std::size_t>(size + k));
  sum_over_leaves(leaves, size + k, resolve_threads(n_threads, leaves), add_leaf<T>, &labelled,
                  total.data());
  std::copy_n(total.data(), size, sums);
  std::copy_n(total.data() + size, k, weights);
}

template <class T>
void run_sums(const py::array& X, const py::array& labels, const py::object& sample_weight,
              py::array& sums, py::array& weights, int n_threads) {
  const Matrix<T> x = matrix<T>(X, "X");
  const std::ptrdiff_t k = weights.size();
  RowSums<T> rows{x, input<std::int32_t>(labels, x.rows, "labels"),
                  optional_input<double>(sample_weight, x.rows, "sample_weight")};
  double* s = output<double>(sums, k * x.cols, "sums");
  double* w = output<double>(weights, k, "weights");
  check_indices(rows.labels, x.rows, std::numeric_limits<std::int32_t>::min(), k, "labels",
                "must be below the number of clusters");
  py::gil_scoped_release unlock;
  sum_tree(rows, k, s, w, n_threads);
}

void cluster_sums(const py::array& X, const py::array& labels, const py::object& sample_weight,
                  py::array sums, py::array weights, int n_threads) {
  if (has_dtype<float>(X))
    run_sums<float>(X, labels, sample_weight, sums, weights, n_threads);
  else
    run_sums<double>(X, labels, sample_weight, sums, weights, n_threads);
}

}  // namespace

void register_centers(py::module_& m) {
  m.def("cluster_sums", &cluster_sums, py::arg("X"), py::arg("labels"), py::arg("sample_weight"),
        py::arg("sums"), py::arg("weights"), py::arg("n_threads"));
}

}  // namespace cl
