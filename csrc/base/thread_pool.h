#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace smidgen {

/// Runs one task at a time on a fixed number of threads, the caller's among them.
///
/// Workers spin for a few microseconds between the tasks of one request and then sleep; between
/// requests they sleep. One thread at a time may call `begin`, `run` and `end`.
class ThreadPool {
 public:
  /// `threads` counts the caller, so it starts threads - 1 workers. Throws EngineError if the
  /// system refuses one.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  /// Marks a request, within which workers may spin.
  void begin() noexcept { busy_.store(true, std::memory_order_relaxed); }
  void end() noexcept { busy_.store(false, std::memory_order_relaxed); }

  /// Calls task(thread) once for each thread in [0, size()) and returns when all have finished.
  template <typename Task>
  void run(const Task& task) noexcept {
    run_erased([](const void* erased, int thread) { (*static_cast<const Task*>(erased))(thread); },
               &task);
  }

 private:
  using Call = void (*)(const void* task, int thread);

  void run_erased(Call call, const void* task) noexcept;
  void work(int thread) noexcept;
  void stop() noexcept;
  std::uint32_t next_generation(std::uint32_t seen) const noexcept;

  Call call_ = nullptr;
  const void* task_ = nullptr;
  std::atomic<bool> busy_ = false;
  std::atomic<bool> stopping_ = false;
  alignas(64) std::atomic<std::uint32_t> generation_ = 0;
  alignas(64) std::atomic<int> unfinished_ = 0;
  std::vector<std::thread> workers_;
};

}  // namespace smidgen
