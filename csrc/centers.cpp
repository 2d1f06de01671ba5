// cluster_sums: leaves of rows are summed in order and merged by the fixed pairwise tree.
#include "centers.hpp"

#include <algorithm>
#include <vector>

#include "bind.hpp"
#include "parallel.hpp"
#include "targets.hpp"

namespace cl {
namespace {

constexpr std::ptrdiff_t kLeafRows = 4096;  // clusterlib.kernels.centers.LEAF_ROWS

// The sums of some aligned run of leaves: (k, d) sums followed by (k) weights, on a cache line of
// their own, which halves the time of adding rows.
class Node {
 public:
  void clear(std::size_t size) {
    size_ = size;
    memory_.assign(size + kLine, 0.0);
  }
  double* data() {
    const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    return memory_.data() + (kLine * 8 - address % (kLine * 8)) % (kLine * 8) / 8;
  }
  void merge(Node& right) {
    double *left = data(), *other = right.data();
    for (std::size_t i = 0; i < size_; ++i) left[i] += other[i];
  }

 private:
  static constexpr std::size_t kLine = 8;
  std::vector<double> memory_;
  std::size_t size_ = 0;
};

// A run of 2^j aligned leaves is a node of the level-by-level tree, so runs may be summed apart
// and merged level by level: the same bits for any number of threads.
template <class T>
struct LeafTree {
  RowSums<T> rows;
  const Kernels<T>* kernels;
  std::ptrdiff_t k, run;  // run: leaves of a task, a power of two
  std::vector<Node> nodes;

  // `spare` nodes are used again: fresh memory costs more than the sums of a leaf.
  Node leaf(std::ptrdiff_t index, std::vector<Node>& spare) const {
    const std::ptrdiff_t begin = index * kLeafRows;
    Node node;
    if (!spare.empty()) {
      node = std::move(spare.back());
      spare.pop_back();
    }
    node.clear(static_cast<std::size_t>(k * (rows.X.cols + 1)));
    kernels->add_rows(rows, begin, std::min(begin + kLeafRows, rows.X.rows), node.data(),
                      node.data() + k * rows.X.cols);
    return node;
  }

  // Pairs are merged as soon as both sides are there: a stack as deep as the tree.
  Node subtree(std::ptrdiff_t begin, std::ptrdiff_t end) const {
    std::vector<std::pair<int, Node>> stack;
    std::vector<Node> spare;
    for (std::ptrdiff_t i = begin; i < end; ++i) {
      stack.emplace_back(0, leaf(i, spare));
      while (stack.size() > 1 && stack[stack.size() - 2].first == stack.back().first)
        fold(stack, spare);
    }
    while (stack.size() > 1) fold(stack, spare);
    return std::move(stack.back().second);
  }

  static void fold(std::vector<std::pair<int, Node>>& stack, std::vector<Node>& spare) {
    auto& left = stack[stack.size() - 2];
    left.second.merge(stack.back().second);
    ++left.first;
    spare.push_back(std::move(stack.back().second));
    stack.pop_back();
  }
};

template <class T>
void sum_tree(const RowSums<T>& rows, std::ptrdiff_t k, double* sums, double* weights,
              int n_threads) {
  const std::ptrdiff_t leaves = (rows.X.rows + kLeafRows - 1) / kLeafRows;
  const int threads = resolve_threads(n_threads, leaves);
  LeafTree<T> tree{rows, &active_target().kernels<T>(), k, 1, {}};
  while (tree.run * 4 * threads < leaves) tree.run *= 2;
  const std::ptrdiff_t tasks = (leaves + tree.run - 1) / tree.run;
  tree.nodes.resize(static_cast<std::size_t>(tasks));
  parallel_for(leaves, tree.run, threads,
               [](void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int) {
                 auto& t = *static_cast<LeafTree<T>*>(context);
                 t.nodes[static_cast<std::size_t>(begin / t.run)] = t.subtree(begin, end);
               },
               &tree);
  std::vector<Node>& nodes = tree.nodes;
  while (nodes.size() > 1) {
    std::vector<Node> next;
    for (std::size_t i = 0; i < nodes.size(); i += 2) {
      if (i + 1 < nodes.size()) nodes[i].merge(nodes[i + 1]);
      next.push_back(std::move(nodes[i]));
    }
    nodes = std::move(next);
  }
  const std::ptrdiff_t size = k * rows.X.cols;
  std::fill(sums, sums + size, 0.0);
  std::fill(weights, weights + k, 0.0);
  if (nodes.empty()) return;
  std::copy_n(nodes[0].data(), size, sums);
  std::copy_n(nodes[0].data() + size, k, weights);
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
  for (std::ptrdiff_t i = 0; i < x.rows; ++i)
    if (rows.labels[i] >= k) refuse("labels", "must be below the number of clusters");
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
