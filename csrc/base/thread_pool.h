#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace smidgen {

/// Runs one task at a time in a fixed number of parts, on the caller's thread and workers.
///
/// Each part goes to whichever thread claims it first, so that a caller need not wait for a worker
/// that the system has not woken yet. Workers spin for a few microseconds between the tasks of one
/// request and then sleep; between requests they sleep. One thread at a time may call `begin`,
/// `run` and `end`.
class ThreadPool {
 public:
  /// `threads` counts the caller, so it starts threads - 1 workers. Throws EngineError if the
  /// system refuses one.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// The number of threads, which is also the number of parts of each task.
  int size() const { return static_cast<int>(workers_.size()) + 1; }

  /// Marks a request, within which workers may spin.
  void begin() noexcept { busy_.store(true, std::memory_order_relaxed); }
  void end() noexcept { busy_.store(false, std::memory_order_relaxed); }

  /// Calls task(part) once for each part in [0, size()) and returns when all have finished.
  template <typename Task>
  void run(const Task& task) noexcept {
    run_erased([](const void* erased, int part) { (*static_cast<const Task*>(erased))(part); },
               &task);
  }

 private:
  using Call = void (*)(const void* task, int part);

  /// The number of the current task in the upper bits, the next part to claim in the lower ones.
  using Ticket = std::uint32_t;

  void run_erased(Call call, const void* task) noexcept;
  bool run_part() noexcept;
  void publish(Ticket first_part) noexcept;
  void await_parts() noexcept;
  void work() noexcept;
  void stop() noexcept;

  int parts_;
  Call call_ = nullptr;
  const void* task_ = nullptr;
  std::atomic<bool> busy_ = false;
  std::atomic<bool> stopping_ = false;
  alignas(64) std::atomic<Ticket> ticket_;
  alignas(64) std::atomic<int> unfinished_ = 0;
  std::vector<std::thread> workers_;
};

}  // namespace smidgen
