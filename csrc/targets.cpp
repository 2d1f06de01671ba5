#include "targets.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace cl {
namespace {

using Getter = const Target* (*)();
// From the best to the floor, which always exists.
constexpr Getter kLevels[] = {avx512_vnni_target, avx512_target, avx2_target, neon_target,
                              baseline_target};

// CLUSTERLIB_ISA caps the level: a level that is not there means the next lower one.
const Target* initial_target() {
  const char* cap = std::getenv("CLUSTERLIB_ISA");
  bool reached = cap == nullptr || *cap == '\0';
  static constexpr const char* names[] = {"avx512_vnni", "avx512", "avx2", "neon", "baseline"};
  bool known = reached;
  for (const char* name : names) known = known || std::strcmp(cap, name) == 0;
  for (int i = 0; i < 5; ++i) {
    reached = reached || !known || std::strcmp(cap, names[i]) == 0;
    const Target* t = kLevels[i]();
    if (reached && t != nullptr) return t;
  }
  return baseline_target();
}

std::atomic<const Target*>& active() {
  static std::atomic<const Target*> target{initial_target()};
  return target;
}

}  // namespace

const Target& active_target() { return *active().load(); }

bool set_active_target(const char* name) {
  for (Getter level : kLevels) {
    const Target* t = level();
    if (t != nullptr && std::strcmp(t->name, name) == 0) {
      active().store(t);
      return true;
    }
  }
  return false;
}

}  // namespace cl
