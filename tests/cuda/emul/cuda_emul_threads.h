// Threads of a block as threads of the operating system, for the sanitizers: ThreadSanitizer then
// reports shared memory that two threads use without a barrier between them.
//
// A deadlock hangs here; the fibers report it.
#pragma once

#include <pthread.h>

#include <cstdlib>

namespace emul {

using Body = void (*)(void** arguments);

struct Barriers {
  pthread_barrier_t block;
  std::vector<pthread_barrier_t> warps;  // their own: others must not be ordered by them
  Body body = nullptr;
  void** arguments = nullptr;
};
inline Barriers barriers;

inline void wait_block(Place) { pthread_barrier_wait(&barriers.block); }
inline void wait_warp(Place) { pthread_barrier_wait(&barriers.warps[thread->number / kWarp]); }

struct Faults {};  // the sanitizers' affair

struct Start {
  Thread* thread;
  uint3 block;
  dim3 threads, grid;
};

inline void* thread_entry(void* argument) {
  const Start* start = static_cast<const Start*>(argument);
  thread = start->thread;
  threadIdx = thread->index, blockIdx = start->block;
  blockDim = start->threads, gridDim = start->grid;
  try {
    barriers.body(barriers.arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    std::_Exit(3);
  }
  return nullptr;
}

inline void run_block(Block& b) {
  std::vector<Start> starts;
  for (Thread& t : b.threads) starts.push_back({&t, blockIdx, blockDim, gridDim});
  pthread_attr_t small;  // ThreadSanitizer maps several times the stack of every thread
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 256 * 1024);
  std::vector<pthread_t> handles(starts.size());
  for (std::size_t t = 0; t < starts.size(); ++t)
    if (pthread_create(&handles[t], &small, thread_entry, &starts[t]))
      fail("cannot start thread %zu of a block", t);
  pthread_attr_destroy(&small);
  for (pthread_t handle : handles) pthread_join(handle, nullptr);
}

inline void prepare_launch(Body body, void** arguments, int threads, int, unsigned long long) {
  for (pthread_barrier_t& warp : barriers.warps) pthread_barrier_destroy(&warp);
  if (!barriers.warps.empty()) pthread_barrier_destroy(&barriers.block);
  barriers.warps.resize(threads / kWarp);
  pthread_barrier_init(&barriers.block, nullptr, threads);
  for (pthread_barrier_t& warp : barriers.warps) pthread_barrier_init(&warp, nullptr, kWarp);
  barriers.body = body, barriers.arguments = arguments;
}

}  // namespace emul
