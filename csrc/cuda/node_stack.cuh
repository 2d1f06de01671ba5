// The fixed pairwise tree over leaves, of which only one node of each level is ever kept.
#pragma once
#include "device.cuh"

namespace cl {

constexpr long long kNoLeaf = 1ll << 40;  // after the last one

// Nodes of the tree of which the right neighbour is still to come. A missing leaf is a sum of 0, and
// adding 0 changes no bit of a sum that began as 0.
template <int LEVELS>
struct NodeStack {
  double left[LEVELS];
  unsigned filled;

  CL_DEVICE void start() {
    filled = 0;
#pragma unroll
    for (int level = 0; level < LEVELS; ++level) left[level] = 0;
  }

  // Leaf `index` has the sum `value`, and the next one that is not empty is `next`: merges what can
  // be merged. The result is the root, once `next` lies beyond all leaves.
  CL_DEVICE double add(double value, long long index, long long next) {
    bool rising = true;
#pragma unroll
    for (int level = 0; level < LEVELS; ++level) {
      if (rising) {
        const unsigned bit = 1u << level;
        if (index % 2 == 1) {
          if (filled & bit) value = __dadd_rn(left[level], value);
          filled &= ~bit;
        } else if (next < (index + 2) << level) {
          left[level] = value;
          filled |= bit;
          rising = false;
        }
        index /= 2;
      }
    }
    return value;
  }
};

constexpr int kMergeBatch = 8;  // nodes that are read before they are merged

// The root over `count` nodes of one level, `stride` apart.
template <int LEVELS>
CL_DEVICE double merged_nodes(const double* parts, long long count, long long stride) {
  NodeStack<LEVELS> nodes;
  nodes.start();
  double root = 0;
  for (long long first = 0; first < count; first += kMergeBatch) {
    double part[kMergeBatch];
#pragma unroll
    for (int q = 0; q < kMergeBatch; ++q)
      part[q] = first + q < count ? parts[(first + q) * stride] : 0.0;
#pragma unroll
    for (int q = 0; q < kMergeBatch; ++q) {
      const long long next = first + q + 1;
      if (next <= count) root = nodes.add(part[q], next - 1, next < count ? next : kNoLeaf);
    }
  }
  return root;
}

}  // namespace cl
