#include "sum_tree.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "parallel.hpp"

namespace cl {
namespace {

// The sums of some aligned run of leaves, on a cache line of their own, which halves the time of
// adding rows.
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
struct LeafTree {
  LeafTerms add;
  void* context;
  std::size_t size;
  std::ptrdiff_t run;  // leaves of a task, a power of two
  std::vector<Node> nodes;

  // `spare` nodes are used again: fresh memory costs more than the sums of a leaf.
  Node leaf(std::ptrdiff_t index, std::vector<Node>& spare, int worker) const {
    Node node;
    if (!spare.empty()) {
      node = std::move(spare.back());
      spare.pop_back();
    }
    node.clear(size);
    add(context, index, node.data(), worker);
    return node;
  }

  // Pairs are merged as soon as both sides are there: a stack as deep as the tree.
  Node subtree(std::ptrdiff_t begin, std::ptrdiff_t end, int worker) const {
    std::vector<std::pair<int, Node>> stack;
    std::vector<Node> spare;
    for (std::ptrdiff_t i = begin; i < end; ++i) {
      stack.emplace_back(0, leaf(i, spare, worker));
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

}  // namespace

void sum_over_leaves(std::ptrdiff_t leaves, std::ptrdiff_t size, int threads, LeafTerms add,
                     void* context, double* out) {
  LeafTree tree{add, context, static_cast<std::size_t>(size), 1, {}};
  // Short tasks share the work evenly; long sums keep fewer, for each task holds its sums.
  const std::ptrdiff_t tasks_of_thread = size < (1 << 16) ? 16 : 4;
  while (tree.run * tasks_of_thread * threads < leaves) tree.run *= 2;
  const std::ptrdiff_t tasks = (leaves + tree.run - 1) / tree.run;
  tree.nodes.resize(static_cast<std::size_t>(tasks));
  parallel_for(leaves, tree.run, threads,
               [](void* ctx, std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
                 auto& t = *static_cast<LeafTree*>(ctx);
                 t.nodes[static_cast<std::size_t>(begin / t.run)] = t.subtree(begin, end, worker);
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
  if (nodes.empty())
    std::fill(out, out + size, 0.0);
  else
    std::copy_n(nodes[0].data(), size, out);
}

}  // namespace cl
