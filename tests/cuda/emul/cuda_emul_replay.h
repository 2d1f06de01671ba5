// A program that repeats recorded launches: what the sanitizers look at. Every memory gets a block
// of the heap of exactly its size, so that they see the first byte beyond it. See replay.py.
#pragma once

#include <cstdint>
#include <fstream>
#include <iostream>
#include <memory>

#include "cuda_emul_launch.h"

namespace emul {

class Recording {
 public:
  explicit Recording(const char* path) : file_(path, std::ios::binary) {
    if (!file_) fail("cannot read %s", path);
  }
  std::int64_t number() {
    std::int64_t value;
    bytes(&value, sizeof value);
    return value;
  }
  void bytes(void* target, std::size_t count) {
    if (!file_.read(static_cast<char*>(target), std::streamsize(count)))
      fail("the recording ends too early");
  }

 private:
  std::ifstream file_;
};

// One launch: the kernel, the grid, the memories, and the arguments.
inline void replay(Recording& recording, int order) {
  const Entry& entry = emul_kernels.at(std::size_t(recording.number()));
  Launch how{};
  how.grid_x = recording.number(), how.grid_y = recording.number();
  how.first = recording.number(), how.last = recording.number();
  how.threads = int(recording.number()), how.order = order;
  std::vector<std::unique_ptr<char[]>> memories(std::size_t(recording.number()));
  for (auto& memory : memories) {
    const std::size_t count = std::size_t(recording.number());
    memory.reset(new char[count]);
    recording.bytes(memory.get(), count);
  }
  // The bytes of a value, or the number of a memory (-1: a null pointer) and an offset in it.
  std::vector<std::uintptr_t> values(std::size_t(recording.number()));
  std::vector<void*> pointers;
  for (std::uintptr_t& value : values) {
    const bool pointer = recording.number();
    const std::int64_t memory = recording.number(), offset = recording.number();
    const auto start = reinterpret_cast<std::uintptr_t>(
        pointer && memory >= 0 ? memories.at(std::size_t(memory)).get() : nullptr);
    value = pointer ? start + std::uintptr_t(offset) : std::uintptr_t(memory);
    pointers.push_back(&value);
  }
#ifdef CL_EMULATE_THREADS
  // Slow, and races are looked for within a block: the first and the last block show them.
  if (how.last - how.first > 2) {
    Launch end = how;
    end.first = how.last - 1, how.last = how.first + 1;
    launch(entry, end, pointers.data());
  }
#endif
  launch(entry, how, pointers.data());
}

}  // namespace emul

int main(int count, char** words) {
  try {
    if (count != 2) emul::fail("usage: replay FILE");
    emul::Recording recording(words[1]);
    const std::int64_t launches = recording.number();
    for (std::int64_t i = 0; i < launches; ++i) emul::replay(recording, int(i % 3));
    std::cout << launches << " launches\n";
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
