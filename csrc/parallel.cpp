#include "parallel.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define CL_HAS_FORK 1
#endif

namespace cl {
namespace {

// libgomp hangs when a child forked after a parallel region starts one of its own, so such a
// child works with one thread.
bool forked_child = false;

#ifdef CL_HAS_FORK
const int fork_guard = pthread_atfork(nullptr, nullptr, [] { forked_child = true; });
#endif

constexpr std::size_t kAlign = 64;

}  // namespace

int max_threads() {
#ifdef _OPENMP
  return forked_child ? 1 : std::max(1, omp_get_max_threads());
#else
  return 1;
#endif
}

bool has_openmp() {
#ifdef _OPENMP
  return true;
#else
  return false;
#endif
}

int resolve_threads(int requested, std::ptrdiff_t chunks) {
  if (!has_openmp() || forked_child) return 1;
  const std::ptrdiff_t wanted = requested > 0 ? requested : max_threads();
  return static_cast<int>(std::max<std::ptrdiff_t>(1, std::min(wanted, chunks)));
}

void parallel_for(std::ptrdiff_t n, std::ptrdiff_t grain, int threads, LoopBody body,
                  void* context) {
  const std::ptrdiff_t chunks = (n + grain - 1) / grain;
  if (threads <= 1 || chunks <= 1) {
    for (std::ptrdiff_t c = 0; c < chunks; ++c)
      body(context, c * grain, std::min(n, (c + 1) * grain), 0);
    return;
  }
#ifdef _OPENMP
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (std::ptrdiff_t c = 0; c < chunks; ++c)
    body(context, c * grain, std::min(n, (c + 1) * grain), omp_get_thread_num());
#endif
}

Scratch::Scratch(std::size_t bytes, int count)
    : data_(nullptr), stride_((bytes + 2 * kAlign - 1) / kAlign * kAlign) {
  // One more cache line than asked for: packing may write a whole vector at the end.
  data_ = static_cast<char*>(
      ::operator new(stride_ * static_cast<std::size_t>(count), std::align_val_t(kAlign)));
}

Scratch::~Scratch() { ::operator delete(data_, std::align_val_t(kAlign)); }

}  // namespace cl
