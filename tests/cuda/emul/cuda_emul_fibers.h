// Threads of a block as fibers on one thread of the CPU. A fiber runs until it has to wait; a warp
// runs as far as it can before the next warp gets its turn, which is what makes missing barriers
// show, in one of the orders if not in all of them.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>

#if !defined(__x86_64__) || defined(CL_EMULATE_UCONTEXT)
#define EMUL_UCONTEXT
#include <ucontext.h>
#endif

namespace emul {

using Body = void (*)(void** arguments);
enum Order { up, down, shuffled };

#ifdef EMUL_UCONTEXT
using Context = ucontext_t;
inline void change(Context& from, Context& to) { swapcontext(&from, &to); }
inline void prepare(Context& context, char* stack, std::size_t bytes, void (*entry)()) {
  getcontext(&context);
  context.uc_stack.ss_sp = stack, context.uc_stack.ss_size = bytes, context.uc_link = nullptr;
  makecontext(&context, entry, 0);
}
#else
using Context = void*;  // a stack pointer; the registers that a call preserves lie there

// Several times faster than swapcontext, which asks the kernel for the signal mask every time.
__attribute__((naked, noinline, noipa)) inline void change(Context&, Context&) {
  asm volatile(
      "pushq %rbp\n\tpushq %rbx\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n\t"
      "movq %rsp, (%rdi)\n\tmovq (%rsi), %rsp\n\t"
      "popq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbx\n\tpopq %rbp\n\tret");
}

// Six registers, the address to go to, and a null where a caller's address would be.
inline void prepare(Context& context, char* stack, std::size_t bytes, void (*entry)()) {
  void** top = reinterpret_cast<void**>(stack + bytes) - 8;
  std::fill_n(top, 8, nullptr);
  top[6] = reinterpret_cast<void*>(entry);
  context = top;
}
#endif

struct Fibers {
  // Not a power of two, or all stacks would compete for the same lines of the cache.
  static constexpr std::size_t kStack = 96 * 1024 + 832;
  static constexpr std::uint64_t kCanary = 0x5a5ac0dec0de5a5aull;

  std::unique_ptr<char[]> stacks;  // kept from launch to launch
  std::vector<Context> contexts;
  Context scheduler;
  Body body = nullptr;
  void** arguments = nullptr;
  std::string failure;
  pthread_t host{};
  bool inside = false;  // a fiber runs, not the scheduler
  Order order = up;
  std::mt19937_64 random;

  char* stack(std::size_t t) { return stacks.get() + t * kStack; }
};
inline Fibers fibers;

inline void wait(State state, Place place) {
  thread->state = state;
  thread->place = place;
  change(fibers.contexts[thread->number], fibers.scheduler);
}
inline void wait_block(Place place) { wait(State::at_block, place); }
inline void wait_warp(Place place) { wait(State::at_warp, place); }

inline void fiber_entry() {
  try {
    fibers.body(fibers.arguments);
  } catch (const std::exception& error) {
    fibers.failure = error.what();
  }
  wait(State::left, {"the end of the kernel", "", 0});
}

// An address that a thread must not touch ends the launch, not the process: the handler leaves by
// the way that a barrier leaves. Lives for one launch.
class Faults {
 public:
  Faults() {
    struct sigaction action = {};
    action.sa_handler = handle;
    action.sa_flags = SA_NODEFER;  // the handler does not return
    for (int i = 0; i < 3; ++i) sigaction(kSignals[i], &action, &before()[i]);
  }
  ~Faults() {
    for (int i = 0; i < 3; ++i) sigaction(kSignals[i], &before()[i], nullptr);
  }

 private:
  static constexpr int kSignals[3] = {SIGSEGV, SIGBUS, SIGFPE};
  static struct sigaction* before() {
    static struct sigaction actions[3];
    return actions;
  }
  static void handle(int signal) {
    if (!pthread_equal(pthread_self(), fibers.host) || !fibers.inside) {
      for (int i = 0; i < 3; ++i)
        if (kSignals[i] == signal) sigaction(signal, &before()[i], nullptr);
      return;  // not ours: it happens again, to whoever was there before
    }
    fibers.failure = "thread " + std::to_string(thread->number) + " of block (" +
                     std::to_string(blockIdx.x) + ", " + std::to_string(blockIdx.y) + ") " +
                     (signal == SIGFPE ? "divides an integer by zero"
                                       : "reads or writes at a wrong or misaligned address");
    wait(State::left, {"the end of the kernel", "", 0});
  }
};

inline std::string where(const Thread& t) {
  const std::string name = "thread " + std::to_string(t.number);
  return t.state == State::left ? name + " has left the kernel"
                                : name + " waits at " + t.place.text();
}

// Threads that wait for each other have to wait at the same place.
inline void check_together(const Thread* first, const Thread* last) {
  for (const Thread* t = first + 1; t < last; ++t)
    if (t->state != first->state || t->place != first->place)
      fail("deadlock or divergence in block (%u, %u): %s, %s", blockIdx.x, blockIdx.y,
           where(*first).c_str(), where(*t).c_str());
}

// Runs every lane to its next stop. Returns whether the warp can go on by itself.
inline bool advance(Thread* lanes) {
  int turns[kWarp];
  for (int i = 0; i < kWarp; ++i) turns[i] = fibers.order == down ? kWarp - 1 - i : i;
  if (fibers.order == shuffled) std::shuffle(turns, turns + kWarp, fibers.random);
  for (int lane : turns) {
    thread = lanes + lane;
    threadIdx = thread->index;
    fibers.inside = true;
    change(fibers.scheduler, fibers.contexts[thread->number]);
    fibers.inside = false;
    if (!fibers.failure.empty()) throw std::runtime_error(fibers.failure);
  }
  check_together(lanes, lanes + kWarp);
  if (lanes->state != State::at_warp) return false;
  for (int lane = 0; lane < kWarp; ++lane) lanes[lane].state = State::running;
  return true;
}

inline void run_block(Block& b) {
  const std::size_t count = b.threads.size();
  std::vector<Thread*> ready;
  auto all_ready = [&] {
    for (std::size_t t = 0; t < count; t += kWarp) ready.push_back(&b.threads[t]);
    if (fibers.order == up) std::reverse(ready.begin(), ready.end());
  };
  for (std::size_t t = 0; t < count; ++t) {
    // The last block's fibers were left inside a call, whose frames AddressSanitizer still guards.
    ASAN_UNPOISON_MEMORY_REGION(fibers.stack(t), Fibers::kStack);
    std::memcpy(fibers.stack(t), &Fibers::kCanary, sizeof Fibers::kCanary);
    prepare(fibers.contexts[t], fibers.stack(t), Fibers::kStack, fiber_entry);
  }
  for (;;) {
    all_ready();
    while (!ready.empty()) {
      if (fibers.order == shuffled) std::swap(ready[fibers.random() % ready.size()], ready.back());
      if (!advance(ready.back())) ready.pop_back();
    }
    check_together(b.threads.data(), b.threads.data() + count);
    if (b.threads[0].state == State::left) break;
    for (Thread& t : b.threads) t.state = State::running;
  }
  for (std::size_t t = 0; t < count; ++t)
    if (std::memcmp(fibers.stack(t), &Fibers::kCanary, sizeof Fibers::kCanary))
      fail("the stack of thread %zu overflowed %zu bytes", t, Fibers::kStack);
}

inline void prepare_launch(Body body, void** arguments, int, int order, unsigned long long seed) {
  if (!fibers.stacks) fibers.stacks.reset(new char[1024 * Fibers::kStack]);
  fibers.contexts.resize(1024);
  fibers.failure.clear();
  fibers.body = body, fibers.arguments = arguments, fibers.order = Order(order);
  fibers.random.seed(seed);
  fibers.host = pthread_self();
}

}  // namespace emul
