#include "base/thread_pool.h"

#include <string>
#include <system_error>

#include "base/error.h"
#include "base/partition.h"

namespace smidgen {
namespace {

constexpr int kSpins = 2000;  // tens of microseconds

/// What nobody has claimed of a thread's parts, see ThreadPool::Share.
struct Left {
  static constexpr int kPartBits = 16;
  static constexpr std::uint64_t kPartMask = (std::uint64_t{1} << kPartBits) - 1;

  std::uint32_t task;
  int begin;
  int end;

  static Left of(std::uint64_t bits) {
    return {.task = static_cast<std::uint32_t>(bits >> 2 * kPartBits),
            .begin = static_cast<int>(bits & kPartMask),
            .end = static_cast<int>(bits >> kPartBits & kPartMask)};
  }

  std::uint64_t bits() const {
    return std::uint64_t{task} << 2 * kPartBits | static_cast<std::uint64_t>(end) << kPartBits |
           static_cast<std::uint64_t>(begin);
  }
};

/// Claims the first part that is left, or for another thread's the last; -1 if there is none.
int claim(std::atomic<std::uint64_t>& share, std::uint32_t task, bool is_own) noexcept {
  std::uint64_t seen = share.load(std::memory_order_acquire);
  while (true) {
    Left left = Left::of(seen);
    if (left.task != task || left.begin == left.end) return -1;
    const int part = is_own ? left.begin++ : --left.end;
    if (share.compare_exchange_weak(seen, left.bits(), std::memory_order_acquire)) return part;
  }
}

void relax() noexcept {
#if SMIDGEN_X86
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads)
    : shares_(std::make_unique<Share[]>(static_cast<std::size_t>(threads))), threads_(threads) {
  workers_.reserve(static_cast<std::size_t>(threads - 1));
  try {
    for (int thread = 1; thread < threads; ++thread) {
      workers_.emplace_back([this, thread] { work(thread); });
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
  publish();
  for (std::thread& worker : workers_) worker.join();
}

/// Begins the next task, whose parts have been dealt.
void ThreadPool::publish() noexcept {
  number_.fetch_add(1, std::memory_order_release);
  number_.notify_all();
}

/// Gives each thread its parts of the next task.
void ThreadPool::deal(int parts) noexcept {
  const std::uint32_t task = number_.load(std::memory_order_relaxed) + 1;
  for (int thread = 0; thread < threads_; ++thread) {
    const Range own = partition(parts, 1, thread, threads_);
    const Left left{task, static_cast<int>(own.begin), static_cast<int>(own.end)};
    shares_[static_cast<std::size_t>(thread)].left.store(left.bits(), std::memory_order_release);
  }
}

void ThreadPool::run_erased(int parts, const void* task, Call call) noexcept {
  if (workers_.empty()) {
    for (int part = 0; part < parts; ++part) call(task, part, 0);
    return;
  }
  call_ = call;
  task_ = task;
  unfinished_.store(parts, std::memory_order_relaxed);
  deal(parts);
  publish();
  while (run_part(0, number_.load(std::memory_order_relaxed))) {
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

/// Claims a part of a task and runs it; returns false if there is none left.
bool ThreadPool::run_part(int thread, std::uint32_t task) noexcept {
  int part = -1;
  for (int i = 0; i < threads_ && part < 0; ++i) {
    const int owner = (thread + i) % threads_;
    part = claim(shares_[static_cast<std::size_t>(owner)].left, task, i == 0);
  }
  if (part < 0) return false;
  // A task stays in place until its parts have finished, so the claimed part belongs to these two.
  call_(task_, part, thread);
  if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
  return true;
}

/// Returns when there may be another task than `seen`: spins for a while within a request, then
/// sleeps.
void ThreadPool::await_task(std::uint32_t seen) noexcept {
  for (int spin = 0; spin < kSpins && busy_.load(std::memory_order_relaxed); ++spin) {
    if (number_.load(std::memory_order_relaxed) != seen) return;
    relax();
  }
  // If the pool stops after this check, the number changes too, and wait returns at once.
  if (!stopping_.load(std::memory_order_relaxed)) number_.wait(seen, std::memory_order_acquire);
}

void ThreadPool::work(int thread) noexcept {
  std::uint32_t seen = 0;
  while (!stopping_.load(std::memory_order_relaxed)) {
    await_task(seen);
    seen = number_.load(std::memory_order_acquire);
    while (run_part(thread, seen)) {
    }
  }
}

}  // namespace smidgen
