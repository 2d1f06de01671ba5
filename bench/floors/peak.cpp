// What the machine can do at best, measured: multiply-adds per second and bytes per second.
// Compiled by bench/floors/__init__.py for the very machine it runs on; called through ctypes.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <thread>
#include <vector>

#if defined(__AVX512BF16__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
constexpr int kBytes = 64, kChains = 24;  // 32 registers
#elif defined(__AVX__)
constexpr int kBytes = 32, kChains = 12;  // 16 registers
#elif defined(__aarch64__)
constexpr int kBytes = 16, kChains = 24;  // 32 registers
#else
constexpr int kBytes = 16, kChains = 12;
#endif

typedef float Floats __attribute__((vector_size(kBytes)));
typedef double Doubles __attribute__((vector_size(kBytes)));

// More chains than latency x units (4 x 2 on current x86, 4 x 4 on current ARM) fill the units.
template <class Vector, class Step>
static double run_chains(long iterations, Step step) {
  Vector chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = Vector{} + static_cast<float>(i + 1);
  for (long t = 0; t < iterations; ++t) {
#pragma GCC unroll 24
    for (int i = 0; i < kChains; ++i) chain[i] = step(chain[i]);
  }
  double sum = 0;
  for (int i = 0; i < kChains; ++i) sum += static_cast<double>(chain[i][0]);
  return sum;
}

template <class Vector>
static double multiply_add(long iterations) {
  // volatile: the compiler must not know the factors; a shrinking factor keeps the values finite.
  volatile float factor = 0.999f, term = 0.001f;
  const Vector a = Vector{} + static_cast<float>(factor), b = Vector{} + static_cast<float>(term);
  return run_chains<Vector>(iterations, [=](Vector c) { return c * a + b; });
}

#if defined(__AVX512BF16__)
constexpr int kBfloatOps = 64;
static double bfloat_dot(long iterations) {
  volatile int pair = 0x3c003c00;  // two bfloat16 of 0.0078
  const __m512bh a = (__m512bh)_mm512_set1_epi32(pair);
  return run_chains<Floats>(iterations, [=](Floats c) {
    return (Floats)_mm512_dpbf16_ps((__m512)c, a, a);
  });
}
#elif defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
constexpr int kBfloatOps = 16;
static double bfloat_dot(long iterations) {
  const bfloat16x8_t a = vdupq_n_bf16(vcvth_bf16_f32(0.0078f));
  return run_chains<Floats>(iterations, [=](Floats c) {
    return (Floats)vbfdotq_f32((float32x4_t)c, a, a);
  });
}
#else
constexpr int kBfloatOps = 0;
static double bfloat_dot(long) { return 0; }
#endif

static double thread_seconds() {
#if defined(CLOCK_THREAD_CPUTIME_ID)
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
#else
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
#endif
}

static double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Seconds of work(thread) on `threads` threads that start together. One thread: its CPU time,
// which another process cannot lengthen; several: wall time until the last one is done.
template <class Work>
static double timed(int threads, Work work) {
  if (threads <= 1) {
    const double start = thread_seconds();
    work(0);
    return thread_seconds() - start;
  }
  std::atomic<int> waiting{threads};
  auto run = [&](int thread) {
    --waiting;
    while (waiting.load() > 0) {
    }
    work(thread);
  };
  std::vector<std::thread> pool;
  for (int i = 1; i < threads; ++i) pool.emplace_back(run, i);
  --waiting;
  while (waiting.load() > 0) {
  }
  const double start = wall_seconds();
  work(0);
  for (auto& thread : pool) thread.join();
  return wall_seconds() - start;
}

static volatile double sink;  // keeps the results alive

extern "C" {

// kind 0: float32, 1: float64, 2: bfloat16 dot products. Operations per iteration and thread;
// 0 where the machine has no such instruction.
int64_t peak_operations(int kind) {
  if (kind == 2) return static_cast<int64_t>(kChains) * kBfloatOps;
  return 2 * static_cast<int64_t>(kChains) * kBytes / (kind == 0 ? sizeof(float) : sizeof(double));
}

double peak_seconds(int kind, int64_t iterations, int threads) {
  return timed(threads, [=](int) {
    if (kind == 0) sink = multiply_add<Floats>(iterations);
    if (kind == 1) sink = multiply_add<Doubles>(iterations);
    if (kind == 2) sink = bfloat_dot(iterations);
  });
}

// One pass over `floats` numbers (a multiple of 1024 per thread): sum them, or write them.
double read_seconds(const float* data, int64_t floats, int threads) {
  return timed(threads, [=](int thread) {
    constexpr int lanes = kBytes / sizeof(float), step = 8;
    const int64_t share = floats / threads;
    const float* begin = data + thread * share;
    Floats sum[step] = {};
    for (int64_t i = 0; i + lanes * step <= share; i += lanes * step) {
      for (int j = 0; j < step; ++j) {
        Floats v;
        std::memcpy(&v, begin + i + j * lanes, sizeof v);
        sum[j] += v;
      }
    }
    for (int j = 1; j < step; ++j) sum[0] += sum[j];
    sink = static_cast<double>(sum[0][0]);
  });
}

double write_seconds(float* data, int64_t floats, int threads) {
  return timed(threads, [=](int thread) {
    constexpr int lanes = kBytes / sizeof(float);
    const int64_t share = floats / threads;
    float* begin = data + thread * share;
    const Floats v = Floats{} + 1.0f;
    for (int64_t i = 0; i + lanes <= share; i += lanes) std::memcpy(begin + i, &v, sizeof v);
  });
}
}
