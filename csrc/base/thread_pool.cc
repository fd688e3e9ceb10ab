#include "base/thread_pool.h"

#include <string>
#include <system_error>

#include "base/error.h"

namespace smidgen {
namespace {

constexpr int kSpins = 2000;  // tens of microseconds

void relax() noexcept {
#if SMIDGEN_X86
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
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
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_erased(Call call, const void* task) noexcept {
  if (workers_.empty()) {
    call(task, 0);
    return;
  }
  call_ = call;
  task_ = task;
  unfinished_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  call(task, 0);
  for (int spin = 0; spin < kSpins; ++spin) {
    if (unfinished_.load(std::memory_order_acquire) == 0) return;
    relax();
  }
  for (int left = unfinished_.load(std::memory_order_acquire); left != 0;
       left = unfinished_.load(std::memory_order_acquire)) {
    unfinished_.wait(left, std::memory_order_acquire);
  }
}

std::uint32_t ThreadPool::next_generation(std::uint32_t seen) const noexcept {
  for (int spin = 0; spin < kSpins && busy_.load(std::memory_order_relaxed); ++spin) {
    const std::uint32_t generation = generation_.load(std::memory_order_acquire);
    if (generation != seen) return generation;
    relax();
  }
  generation_.wait(seen, std::memory_order_acquire);
  return generation_.load(std::memory_order_acquire);
}

void ThreadPool::work(int thread) noexcept {
  std::uint32_t seen = 0;
  while (true) {
    seen = next_generation(seen);
    if (stopping_.load(std::memory_order_relaxed)) return;
    call_(task_, thread);
    if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_one();
  }
}

}  // namespace smidgen
