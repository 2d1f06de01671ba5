#include "parallel.hpp"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>

#ifdef _OPENMP
#include <omp.h>
#endif
// Threads of C++ in place of OpenMP, for a build that looks for races: the runtime of OpenMP is not
// compiled with it, and its barriers would look like races.
#ifdef CL_STD_THREADS
#include <atomic>
#include <thread>
#include <vector>
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
constexpr int kMostThreads = 1024;  // a system that has no more to give ends the process

// A loop in chunks. What leaves a parallel region ends the process, so the error of a chunk is kept
// and raised by the thread that called.
struct Chunks {
  std::ptrdiff_t n, grain, count;
  LoopBody body;
  void* context;
  std::exception_ptr failure = nullptr;
  std::mutex lock = {};

  void run(std::ptrdiff_t chunk, int worker) {
    try {
      body(context, chunk * grain, std::min(n, (chunk + 1) * grain), worker);
    } catch (...) {
      const std::lock_guard<std::mutex> guard(lock);
      failure = std::current_exception();
    }
  }
};

#if defined(_OPENMP)
int usual_threads() { return omp_get_max_threads(); }

void run_all(Chunks& chunks, int threads) {
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (std::ptrdiff_t c = 0; c < chunks.count; ++c) chunks.run(c, omp_get_thread_num());
}
#elif defined(CL_STD_THREADS)
int usual_threads() { return 1; }

void run_all(Chunks& chunks, int threads) {
  std::atomic<std::ptrdiff_t> next{0};
  const auto work = [&](int worker) {
    // Relaxed: nothing but the start and the end of a loop may put threads in order.
    for (std::ptrdiff_t c; (c = next.fetch_add(1, std::memory_order_relaxed)) < chunks.count;)
      chunks.run(c, worker);
  };
  std::vector<std::thread> others;
  for (int worker = 1; worker < threads; ++worker) others.emplace_back(work, worker);
  work(0);
  for (std::thread& other : others) other.join();
}
#else
int usual_threads() { return 1; }

void run_all(Chunks& chunks, int) {
  for (std::ptrdiff_t c = 0; c < chunks.count; ++c) chunks.run(c, 0);
}
#endif

}  // namespace

int max_threads() { return forked_child ? 1 : std::max(1, usual_threads()); }

bool has_openmp() {
#if defined(_OPENMP) || defined(CL_STD_THREADS)
  return true;
#else
  return false;
#endif
}

int resolve_threads(int requested, std::ptrdiff_t chunks) {
  if (!has_openmp() || forked_child) return 1;
  const std::ptrdiff_t wanted = std::min(kMostThreads, requested > 0 ? requested : max_threads());
  return static_cast<int>(std::max<std::ptrdiff_t>(1, std::min(wanted, chunks)));
}

void parallel_for(std::ptrdiff_t n, std::ptrdiff_t grain, int threads, LoopBody body,
                  void* context) {
  Chunks chunks{n, grain, (n + grain - 1) / grain, body, context};
  if (threads > 1 && chunks.count > 1) {
    run_all(chunks, threads);
    if (chunks.failure) std::rethrow_exception(chunks.failure);
    return;
  }
  for (std::ptrdiff_t c = 0; c < chunks.count; ++c)
    body(context, c * grain, std::min(n, (c + 1) * grain), 0);
}

Scratch::Scratch(std::size_t bytes, int count)
    : data_(nullptr), stride_((bytes + 2 * kAlign - 1) / kAlign * kAlign) {
  // One more cache line than asked for: packing may write a whole vector at the end.
  data_ = static_cast<char*>(
      ::operator new(stride_ * static_cast<std::size_t>(count), std::align_val_t(kAlign)));
}

Scratch::~Scratch() { ::operator delete(data_, std::align_val_t(kAlign)); }

}  // namespace cl
