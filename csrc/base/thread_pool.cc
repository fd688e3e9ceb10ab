#include "base/thread_pool.h"

#include <string>
#include <system_error>

#include "base/error.h"

namespace smidgen {
namespace {

constexpr int kSpins = 2000;  // tens of microseconds
constexpr std::uint32_t kPartBits = 12;
constexpr std::uint32_t kPartMask = (1U << kPartBits) - 1U;

void relax() noexcept {
#if SMIDGEN_X86
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads)
    : parts_(threads), ticket_(static_cast<std::uint32_t>(threads)) {
  try {
    for (int thread = 1; thread < threads; ++thread) {
      workers_.emplace_back([this] { work(); });
    }
  } catch (const std::system_error& error) {
    stop();
    throw EngineError("the system refused thread " + std::to_string(size()) + " of " +
                          std::to_string(threads) + " (" + error.what() + "), ask for fewer",
                      "THREADS_UNAVAILABLE");
  }
}

ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::stop() noexcept {
  stopping_.store(true, std::memory_order_relaxed);
  publish(static_cast<Ticket>(parts_));
  for (std::thread& worker : workers_) worker.join();
}

/// Begins a new task whose parts from `first_part` on can be claimed.
void ThreadPool::publish(Ticket first_part) noexcept {
  const Ticket number = (ticket_.load(std::memory_order_relaxed) >> kPartBits) + 1;
  ticket_.store(number << kPartBits | first_part, std::memory_order_release);
  ticket_.notify_all();
}

void ThreadPool::run_erased(Call call, const void* task) noexcept {
  if (workers_.empty()) {
    call(task, 0);
    return;
  }
  call_ = call;
  task_ = task;
  unfinished_.store(parts_, std::memory_order_relaxed);
  publish(0);
  while (run_part()) {
  }
  for (int spin = 0; spin < kSpins; ++spin) {
    if (unfinished_.load(std::memory_order_acquire) == 0) return;
    relax();
  }
  for (int left = unfinished_.load(std::memory_order_acquire); left != 0;
       left = unfinished_.load(std::memory_order_acquire)) {
    unfinished_.wait(left, std::memory_order_acquire);
  }
}

/// Claims a part and runs it; returns false if there is none left.
bool ThreadPool::run_part() noexcept {
  Ticket ticket = ticket_.load(std::memory_order_acquire);
  do {
    if (static_cast<int>(ticket & kPartMask) >= parts_) return false;
  } while (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acquire));
  // A task stays in place until its parts have finished, so the claimed part belongs to these two.
  call_(task_, static_cast<int>(ticket & kPartMask));
  if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
  return true;
}

/// Returns when there may be a part to claim: spins for a while within a request, then sleeps.
void ThreadPool::await_parts() noexcept {
  const Ticket seen = ticket_.load(std::memory_order_acquire);
  if (static_cast<int>(seen & kPartMask) < parts_) return;
  for (int spin = 0; spin < kSpins && busy_.load(std::memory_order_relaxed); ++spin) {
    if (ticket_.load(std::memory_order_relaxed) != seen) return;
    relax();
  }
  // If the pool stops after this check, the ticket changes too, and wait returns at once.
  if (!stopping_.load(std::memory_order_relaxed)) ticket_.wait(seen, std::memory_order_acquire);
}

void ThreadPool::work() noexcept {
  while (!stopping_.load(std::memory_order_relaxed)) {
    while (run_part()) {
    }
    await_parts();
  }
}

}  // namespace smidgen
