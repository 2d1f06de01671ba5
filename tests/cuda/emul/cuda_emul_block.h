// A block of threads of the emulation: shared memory, exchange between lanes, and what a thread
// waits for. How threads take turns is in cuda_emul_fibers.h and cuda_emul_threads.h.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

#ifdef CL_EMULATE_THREADS
#define EMUL_OWN thread_local  // one per CUDA thread
#else
#define EMUL_OWN
#endif

struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};
struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
inline EMUL_OWN uint3 threadIdx, blockIdx;
inline EMUL_OWN dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace emul {

constexpr int kWarp = 32;
// A NaN as a float and, twice, as a double; no plausible number as an integer.
constexpr unsigned kPoison = 0xfffda5a5u;

[[noreturn]] __attribute__((format(printf, 1, 2))) inline void fail(const char* format, ...) {
  char text[512];
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  throw std::runtime_error(text);
}

// A call of a barrier or of a warp operation in the source.
struct Place {
  const char* what;
  const char* file;
  int line;
  bool operator!=(const Place& other) const {
    return line != other.line || std::strcmp(what, other.what) || std::strcmp(file, other.file);
  }
  std::string text() const {
    const char* slash = std::strrchr(file, '/');
    return std::string(what) + " (" + (slash ? slash + 1 : file) + ":" + std::to_string(line) + ")";
  }
};

// The static shared memory of a block. Arrays are handed out one after the other, between them
// space that nobody may write to.
class SharedMemory {
 public:
  static constexpr std::size_t kLimit = 48 * 1024, kGap = 64, kArrays = 32;

  SharedMemory() : words_((kLimit + (kArrays + 1) * (kGap + 16)) / sizeof(unsigned), kPoison) {}

  // Called before the threads of a block start.
  void clear() {
    ASAN_UNPOISON_MEMORY_REGION(words_.data(), words_.size() * sizeof(unsigned));
    std::fill_n(words_.begin(), end_ / sizeof(unsigned), kPoison);
    ASAN_POISON_MEMORY_REGION(words_.data(), words_.size() * sizeof(unsigned));
    count_ = 0, bytes_ = 0, end_ = kGap;
  }

  // Not instrumented for ThreadSanitizer: the lock would order threads that nothing else orders,
  // and hide their races.
  __attribute__((no_sanitize("thread"))) void* get(const void* key, std::size_t bytes) {
#ifdef CL_EMULATE_THREADS
    while (__atomic_exchange_n(&locked_, true, __ATOMIC_ACQUIRE)) {
    }
#endif
    std::size_t i = 0;
    while (i < count_ && keys_[i] != key) ++i;
    const bool fits = i < count_ || (i < kArrays && bytes_ + bytes <= kLimit);
    if (i == count_ && fits) {
      keys_[i] = key, starts_[i] = end_, sizes_[i] = bytes;
      bytes_ += bytes, ++count_;
      end_ = (end_ + bytes + kGap + 15) / 16 * 16;
    }
#ifdef CL_EMULATE_THREADS
    __atomic_store_n(&locked_, false, __ATOMIC_RELEASE);
#endif
    if (!fits) fail("static shared memory passes %zu bytes or %zu arrays", kLimit, kArrays);
    char* array = reinterpret_cast<char*>(words_.data()) + starts_[i];
    ASAN_UNPOISON_MEMORY_REGION(array, bytes);
    return array;
  }

  // Called when the threads of a block have left.
  void check() {
    ASAN_UNPOISON_MEMORY_REGION(words_.data(), words_.size() * sizeof(unsigned));
    std::size_t start = 0;
    for (std::size_t i = 0; i <= count_; ++i) {
      const std::size_t end = i < count_ ? starts_[i] : end_;
      const char* memory = reinterpret_cast<const char*>(words_.data());
      for (std::size_t at = start; at < end; ++at)
        if (memory[at] != static_cast<char>(kPoison >> at % 4 * 8))
          fail("a thread wrote outside the shared array number %zu of %zu bytes",
               i ? i - 1 : i, sizes_[i ? i - 1 : i]);
      start = i < count_ ? starts_[i] + sizes_[i] : end;
    }
  }

 private:
  std::vector<unsigned> words_;
  std::size_t count_ = 0, bytes_ = 0, end_ = 0;
  std::size_t starts_[kArrays], sizes_[kArrays];
  const void* keys_[kArrays];
  bool locked_ = false;
};

// What the lanes of a warp hand to each other. Two rounds, because a lane may begin the next
// operation while another one still reads.
struct Warp {
  unsigned long long given[2][kWarp];
};

enum class State { running, at_warp, at_block, left };

struct Thread {
  uint3 index;
  int number = 0, lane = 0, round = 0;
  Warp* warp = nullptr;
  State state = State::running;
  Place place = {"", "", 0};
};

struct Block {
  SharedMemory shared;
  std::vector<Warp> warps;
  std::vector<Thread> threads;

  void start(unsigned x, unsigned y, unsigned z) {
    const std::size_t count = std::size_t(x) * y * z;
    warps.resize(count / kWarp);
    threads.assign(count, Thread());
    for (std::size_t t = 0; t < count; ++t) {
      Thread& thread = threads[t];
      thread.index.x = t % x, thread.index.y = t / x % y, thread.index.z = t / x / y;
      thread.number = int(t), thread.lane = int(t % kWarp), thread.warp = &warps[t / kWarp];
    }
    shared.clear();
  }
};

inline Block* block = nullptr;
inline EMUL_OWN Thread* thread = nullptr;

void wait_block(Place place);
void wait_warp(Place place);

inline void whole_warp(unsigned mask, Place place) {
  if (mask != ~0u) fail("%s with mask 0x%08x: whole warps only", place.text().c_str(), mask);
}

// The first lane of the segment of `width` lanes that this thread belongs to.
inline int segment(unsigned mask, int width, Place place) {
  whole_warp(mask, place);
  if (width < 1 || width > kWarp || width & (width - 1))
    fail("%s with width %d, which is no power of two up to 32", place.text().c_str(), width);
  return thread->lane & ~(width - 1);
}

// Hands a value to the other lanes and returns what all of them gave.
inline const unsigned long long* publish(unsigned long long value, Place place) {
  unsigned long long* given = thread->warp->given[thread->round];
  thread->round ^= 1;
  given[thread->lane] = value;
  wait_warp(place);
  return given;
}

template <class T>
inline T shuffle(T value, int source, Place place) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8),
                "shuffles move 4 or 8 bytes");
  unsigned long long raw = 0;
  std::memcpy(&raw, &value, sizeof value);
  const unsigned long long* given = publish(raw, place);
  std::memcpy(&value, &given[source], sizeof value);
  return value;
}

}  // namespace emul

#ifdef CL_EMULATE_THREADS
#include "cuda_emul_threads.h"
#else
#include "cuda_emul_fibers.h"
#endif
