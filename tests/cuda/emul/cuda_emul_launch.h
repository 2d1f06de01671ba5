// Launches of the emulation: kernels by name, with the types of their parameters as text, taken
// from the functions themselves.
#pragma once

#include <algorithm>
#include <mutex>
#include <numeric>
#include <random>
#include <utility>

namespace emul {

template <class T>
struct TypeName;
#define EMUL_TYPE(type)                           \
  template <>                                     \
  struct TypeName<type> {                         \
    static std::string text() { return #type; }   \
  };
EMUL_TYPE(bool)
EMUL_TYPE(signed char)
EMUL_TYPE(unsigned char)
EMUL_TYPE(short)
EMUL_TYPE(unsigned short)
EMUL_TYPE(int)
EMUL_TYPE(unsigned)
EMUL_TYPE(long long)
EMUL_TYPE(unsigned long long)
EMUL_TYPE(float)
EMUL_TYPE(double)
EMUL_TYPE(float4)
EMUL_TYPE(double2)
template <class T>
struct TypeName<const T> {
  static std::string text() { return "const " + TypeName<T>::text(); }
};
template <class T>
struct TypeName<T*> {
  static std::string text() { return TypeName<T>::text() + "*"; }
};

struct Entry {
  const char* name;
  std::string parameters;  // separated by commas
  Body body;
};

template <auto kernel>
struct Kernel;
template <class... Parameters, void (*kernel)(Parameters...)>
struct Kernel<kernel> {
  static std::string parameters() {
    std::string text;
    ((text += (text.empty() ? "" : ",") + TypeName<Parameters>::text()), ...);
    return text;
  }
  template <std::size_t... i>
  static void call(void** arguments, std::index_sequence<i...>) {
    kernel(*static_cast<Parameters*>(arguments[i])...);
  }
  static void body(void** arguments) {
    call(arguments, std::index_sequence_for<Parameters...>());
  }
  static Entry entry(const char* name) { return {name, parameters(), body}; }
};

// blocks [first, last) along x of every row of the grid
struct Launch {
  long long grid_x, grid_y, first, last;
  int threads, order;
  unsigned long long seed;
};

inline void launch(const Entry& entry, const Launch& how, void** arguments) {
  static std::mutex one_at_a_time;
  static Block memory;
  std::lock_guard<std::mutex> lock(one_at_a_time);
  if (how.threads < kWarp || how.threads > 1024 || how.threads % kWarp)
    fail("%s with %d threads: whole warps, at most 1024 threads", entry.name, how.threads);
  if (how.grid_x < 1 || how.grid_x > 2147483647 || how.grid_y < 1 || how.grid_y > 65535)
    fail("%s with a grid of %lld by %lld blocks", entry.name, how.grid_x, how.grid_y);
  if (how.first < 0 || how.last > how.grid_x) fail("%s: no such blocks", entry.name);
  std::vector<long long> blocks((how.last - how.first) * how.grid_y);
  std::iota(blocks.begin(), blocks.end(), 0);
  if (how.order == 1) std::reverse(blocks.begin(), blocks.end());
  if (how.order == 2) std::shuffle(blocks.begin(), blocks.end(), std::mt19937_64(how.seed));
  block = &memory;
  prepare_launch(entry.body, arguments, how.threads, how.order, how.seed);
  gridDim = dim3(unsigned(how.grid_x), unsigned(how.grid_y));
  blockDim = dim3(unsigned(how.threads));
  Faults faults;
  for (long long number : blocks) {
    blockIdx.x = unsigned(how.first + number % (how.last - how.first));
    blockIdx.y = unsigned(number / (how.last - how.first));
    memory.start(blockDim.x, blockDim.y, blockDim.z);
    run_block(memory);
    memory.shared.check();
  }
}

}  // namespace emul

// The kernels of this library; written by emulator.py.
extern const std::vector<emul::Entry> emul_kernels;

#define EMUL_EXPORT extern "C" __attribute__((visibility("default")))

// "name: parameters" in lines, in the order of their numbers.
EMUL_EXPORT const char* cl_kernels() {
  static std::string text;
  if (text.empty())
    for (const emul::Entry& entry : emul_kernels)
      text += std::string(entry.name) + "\t" + entry.parameters + "\n";
  return text.c_str();
}

// 0, or 1 with a text in `error`, which has room for 512 bytes.
EMUL_EXPORT int cl_emulate(int number, const emul::Launch* how, void** arguments, char* error) {
  try {
    emul::launch(emul_kernels.at(number), *how, arguments);
    return 0;
  } catch (const std::exception& failure) {
    std::snprintf(error, 512, "%s", failure.what());
    return 1;
  }
}
