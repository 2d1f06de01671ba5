// The one parallel loop of the library. Type-erased, so that the files compiled for one
// instruction set contain no OpenMP region of their own.
#pragma once
#include <cstddef>

namespace cl {

// Work on items [begin, end); `worker` is in [0, threads) and selects the scratch buffer.
using LoopBody = void (*)(void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int worker);

// Threads that a loop over `items` chunks will use: `requested` (0 means the runtime's default),
// never more than chunks, and 1 in a child forked after the runtime has started its threads.
int resolve_threads(int requested, std::ptrdiff_t chunks);

// Runs body over [0, n) in chunks of `grain`, handed out dynamically. The result must not depend
// on which worker gets which chunk.
void parallel_for(std::ptrdiff_t n, std::ptrdiff_t grain, int threads, LoopBody body, void* context);

int max_threads();
bool has_openmp();

// Scratch memory of one call: `count` slices of `bytes` each, 64-byte aligned, freed at the end.
class Scratch {
 public:
  Scratch(std::size_t bytes, int count);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  char* slice(int i) const { return data_ + static_cast<std::size_t>(i) * stride_; }

 private:
  char* data_;
  std::size_t stride_;
};

}  // namespace cl
